"""Information through an annotator, against the joint of draw, class and answer in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bal.acquisition import annotated_bald, annotated_epig, bald, epig
from tests.acquisition.inputs import INPUTS, spread_out

ERRS = np.random.default_rng(0).dirichlet(np.ones(3), 5)  # five classes, three answers
TARGETS = spread_out(7, (4, 9, 6))
EQUAL, WEIGHT = jnp.ones(4), jnp.array([1.0, 0.0, 2.0, 1.0])
compiled = {"bald": jax.jit(annotated_bald(ERRS)), "epig": jax.jit(annotated_epig(ERRS))}


def information(joint):
    """Of the last two axes of a joint distribution."""
    apart = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    ratio = np.divide(joint, apart, out=np.ones_like(joint), where=joint > 0)
    return np.sum(joint * np.log(ratio), (-2, -1))


def probabilities(log_probs):
    return special.softmax(np.asarray(log_probs, np.float64), -1)  # those of float32 sum to 1 within 1e-7


@pytest.mark.parametrize("name", INPUTS)
def test_bald_by_enumeration(name):
    joint = np.einsum("nkc,ca->nka", probabilities(INPUTS[name]), ERRS) / INPUTS[name].shape[1]
    np.testing.assert_allclose(compiled["bald"](INPUTS[name]), information(joint), rtol=2e-3, atol=2e-9)


@pytest.mark.parametrize("name", INPUTS)
def test_epig_by_enumeration(name):
    answers = np.einsum("nkc,ca->nka", probabilities(INPUTS[name]), ERRS)
    joint = np.einsum("nka,zkt->nzat", answers, probabilities(TARGETS)) / len(answers[0])
    expected = information(joint) @ np.asarray(WEIGHT, np.float64) / 4
    np.testing.assert_allclose(compiled["epig"](INPUTS[name], TARGETS, WEIGHT), expected, rtol=2e-3, atol=2e-9)


def test_a_perfect_annotator_and_one_who_guesses():
    guess = np.tile([0.2, 0.3, 0.5], (5, 1))
    none, no_gain = jax.jit(annotated_bald(guess)), jax.jit(annotated_epig(guess))
    perfect, full_gain, exact, gain = map(jax.jit, (annotated_bald(np.eye(5)), annotated_epig(np.eye(5)), bald, epig))
    for log_probs in INPUTS.values():
        np.testing.assert_allclose(perfect(log_probs), exact(log_probs), rtol=2e-3, atol=2e-9)
        np.testing.assert_allclose(full_gain(log_probs, TARGETS), gain(log_probs, TARGETS), rtol=1e-3, atol=2e-8)
        assert not np.any(none(log_probs))
        assert not np.any(no_gain(log_probs, TARGETS))
        assert (np.asarray(compiled["bald"](log_probs)) <= np.asarray(exact(log_probs)) + 1e-7).all()
        answer = np.asarray(compiled["epig"](log_probs, TARGETS, EQUAL))
        assert (answer <= np.asarray(gain(log_probs, TARGETS)) + 1e-7).all()
        assert (answer <= np.asarray(compiled["bald"](log_probs)) + 1e-7).all()


def test_a_confusion_may_be_traced():
    scores = jax.jit(lambda confusion, x: annotated_bald(confusion)(x))(jnp.asarray(ERRS), INPUTS["spread_out"])
    np.testing.assert_allclose(scores, compiled["bald"](INPUTS["spread_out"]), rtol=1e-6)


@pytest.mark.parametrize(
    ("confusion", "message"),
    [
        (np.ones((2, 2)), r"rows are probabilities, got a row that sums to 2 .* divide each row by its sum"),
        (np.array([[1.5, -0.5], [0.0, 1.0]]), "or an entry of -0.5"),
        (np.ones(2), r"a confusion \[classes, answers\]; got shape \(2,\)"),
        (np.eye(3), r"needs a confusion with a row for each of the 5 classes; got shape \(3, 3\)"),
    ],
)
def test_wrong_confusions_are_named(confusion, message):
    with pytest.raises(ValueError, match=message):
        annotated_bald(confusion)(jnp.asarray(INPUTS["spread_out"]))
