"""What a label is worth, by enumeration of labels: each reweights the draws, and the loss at the targets is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bal.acquisition import epig, expected_error_reduction, value_of_information
from tests.acquisition.inputs import INPUTS, spread_out

TARGETS = spread_out(7, (4, 9, 3))
WEIGHT = np.array([1.0, 0.0, 2.0, 1.0], np.float32)
UTILITY = np.array([[0.0, -10.0, -3.0], [-1.0, 0.0, -2.0], [-1.5, -1.5, 0.0], [-1.0, -1.0, -1.0]])
error_reduction, value = jax.jit(expected_error_reduction), jax.jit(value_of_information(UTILITY))


def probabilities(log_probs):
    return special.softmax(np.asarray(log_probs, np.float64), -1)


def expected_drop(log_probs, loss):
    """``Σ_z w_z (loss(p̄_z) - E_y loss(p_z after y))`` for a loss of a prediction, by the model's own labels."""
    p, q = probabilities(log_probs), probabilities(TARGETS)
    drop = np.zeros(len(p))
    for n, row in enumerate(p):
        for z, target in enumerate(q):
            after = 0.0
            for likelihood in row.T:
                if likelihood.any():
                    posterior = likelihood / likelihood.sum()
                    after += likelihood.mean() * loss(posterior @ target)
            drop[n] += WEIGHT[z] / WEIGHT.sum() * (loss(target.mean(0)) - after)
    return drop


@pytest.mark.parametrize("name", ["spread_out", "one_hot", "impossible_classes"])
def test_by_enumeration(name):
    rows = INPUTS[name]
    expected = expected_drop(rows, lambda p: 1 - p.max())
    np.testing.assert_allclose(error_reduction(rows, TARGETS, WEIGHT), expected, atol=1e-6)
    expected = expected_drop(rows, lambda p: -(UTILITY @ p).max())
    np.testing.assert_allclose(value(rows, TARGETS, WEIGHT), expected, atol=1e-5)
    assert expected.max() > 0.01


def test_the_logarithmic_loss_is_epig():
    rows = INPUTS["spread_out"]
    expected = expected_drop(rows, lambda p: special.entr(p).sum())
    np.testing.assert_allclose(jax.jit(epig)(rows, TARGETS, WEIGHT), expected, rtol=1e-5, atol=1e-7)


def test_the_error_is_the_utility_of_being_right():
    rows = INPUTS["spread_out"]
    right = jax.jit(value_of_information(np.eye(3)))(rows, TARGETS, WEIGHT)
    np.testing.assert_array_equal(right, error_reduction(rows, TARGETS, WEIGHT))


def test_exactly_zero_where_no_label_changes_a_class():
    equal = np.repeat(spread_out()[:, :1], 9, 1)
    for scores in (error_reduction(equal, TARGETS, WEIGHT), value(equal, TARGETS, WEIGHT)):
        assert np.abs(scores).max() < 1e-6
    certain = np.tile(np.log(np.float32([0.6, 0.2, 0.2])), (4, 9, 1))
    assert not np.any(error_reduction(INPUTS["one_hot"], certain, WEIGHT))


def test_wrong_utilities_and_draws_are_named():
    rows, targets = jnp.zeros((2, 9, 5)), jnp.zeros((2, 9, 3))
    with pytest.raises(ValueError, match=r"a utility \[actions, 3 classes\]; got shape \(2, 2\)"):
        value_of_information(np.eye(2))(rows, targets)
    with pytest.raises(ValueError, match=r"a utility \[actions, classes\]; got shape \(2,\)"):
        value_of_information(np.ones(2))
    with pytest.raises(ValueError, match="by the same posterior draws, got 9 and 8 of them"):
        expected_error_reduction(rows, targets[:, :8])
