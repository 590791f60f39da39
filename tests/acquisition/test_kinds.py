"""Predictions of another kind or shape are refused where a score is called, by one sentence that says what to use."""

import inspect

import jax
import jax.numpy as jnp
import pytest
from cases import ACQUISITIONS, predictions

from bal import acquisition
from bal.typing import Gaussian, Latent, MultiLabel

KINDS = {kind: predictions(kind, rows=2) for kind in ("log_probs", "gaussian", "latent")}
SAYS = {
    ("log_probs", "gaussian"): r"needs log probabilities \[rows, draws, classes\]; got a Gaussian: .* gaussian_bald$",
    ("log_probs", "latent"): r"needs log probabilities \[rows, draws, classes\]; got a Latent: .* probit_bald$",
    ("gaussian", "log_probs"): r"needs a Gaussian with leaves \[rows, draws\]; got an array of shape .* bald$",
    ("gaussian", "latent"): r"needs a Gaussian with leaves \[rows, draws\]; got a Latent: .* probit_bald$",
    ("latent", "log_probs"): r"needs a Latent with leaves \[rows, draws\]; got an array of shape .* bald$",
    ("latent", "gaussian"): r"needs a Latent with leaves \[rows, draws\]; got a Gaussian: .* gaussian_bald$",
}
MADE = {  # what factories make
    "annotated_bald": acquisition.annotated_bald(jnp.eye(4)),
    "annotated_epig": acquisition.annotated_epig(jnp.eye(4)),
    "robust_bald": acquisition.robust_bald(0.5),
    "straddle": acquisition.straddle(0.3),
    "value_of_information": acquisition.value_of_information(jnp.eye(4)),
}
TARGETS = {  # scores that take targets or further arrays, and what is handed in beside the predictions
    "annotated_epig": (KINDS["log_probs"],),
    "epig": (KINDS["log_probs"],),
    "epig_by_entropies": (KINDS["log_probs"],),
    "expected_error_reduction": (KINDS["log_probs"],),
    "gaussian_epig": (KINDS["gaussian"],),
    "gaussian_functional_epig": (KINDS["gaussian"], jnp.eye(2)),
    "jepig": (jnp.zeros((3, 5)),),
    "probit_epig": (KINDS["latent"], jnp.zeros((2, 2))),
    "value_of_information": (KINDS["log_probs"],),
}
COVARIANCES = {"alc", "covariance_epig", "functional_epig"}  # take arrays, not predictions
OF_SCORES = {"over_outputs", "standard_error"}  # take what their score takes
OF_LABELS = {
    "joint_labels_bald": acquisition.joint_labels_bald,
    "labels_bald": acquisition.labels_bald,
    "over_labels": acquisition.over_labels(acquisition.bald),
    "sampled_labels_bald": acquisition.sampled_labels_bald(4),
}
DIRECT = sorted(set(ACQUISITIONS) - COVARIANCES - OF_SCORES - set(OF_LABELS))


def as_users_call(name):
    """The score without the shape checks that only tests switch on."""
    return inspect.unwrap(MADE.get(name) or getattr(acquisition, name))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DIRECT)
def test_kind_of_prediction_times_acquisition(name, kind):
    score, beside, wanted = as_users_call(name), TARGETS.get(name, ()), ACQUISITIONS[name].inputs
    if kind == wanted:
        assert jax.eval_shape(score, KINDS[kind], *beside).shape == (2,)
    else:
        with pytest.raises(TypeError, match=f"^{name} {SAYS[wanted, kind]}"):
            score(KINDS[kind], *beside)


@pytest.mark.parametrize("name", OF_LABELS)
def test_scores_of_several_labels(name):
    score, log_odds = inspect.unwrap(OF_LABELS[name]), KINDS["log_probs"]
    assert jax.eval_shape(score, MultiLabel(log_odds)).shape == (2,)
    for kind, instead in (("log_probs", "bald"), ("gaussian", "gaussian_bald"), ("latent", "probit_bald")):
        with pytest.raises(TypeError, match=f"^{name} needs a MultiLabel of .*; got .* {instead}$"):
            score(KINDS[kind])
    with pytest.raises(ValueError, match=rf"^{name} needs .*; got shape \(2, 4\): add the axis of draws"):
        score(MultiLabel(log_odds[:, 0]))


@pytest.mark.parametrize(("name", "targets"), [(name, rest) for name, rest in TARGETS.items() if name != "jepig"])
def test_targets_of_another_kind(name, targets):
    other = KINDS["gaussian" if ACQUISITIONS[name].inputs != "gaussian" else "latent"]
    with pytest.raises(TypeError, match=rf"^{name} needs .*\[targets, draws.*; got a (Gaussian|Latent): use"):
        as_users_call(name)(KINDS[ACQUISITIONS[name].inputs], other, *targets[1:])


@pytest.mark.parametrize("name", sorted(name for name in DIRECT if ACQUISITIONS[name].inputs == "log_probs"))
def test_log_probabilities_of_another_rank(name):
    beside = TARGETS.get(name, ())
    with pytest.raises(ValueError, match=rf"^{name} needs .*; got shape \(2, 4\): add the axis of draws"):
        as_users_call(name)(KINDS["log_probs"][:, 0], *beside)


@pytest.mark.parametrize("name", sorted(name for name in DIRECT if ACQUISITIONS[name].inputs != "log_probs"))
def test_moments_of_another_rank(name):
    score, beside, right = as_users_call(name), TARGETS.get(name, ()), KINDS[ACQUISITIONS[name].inputs]
    with pytest.raises(ValueError, match=rf"^{name} needs .*; got shape \(2,\): add the axis of draws"):
        score(type(right)(*(leaf[:, 0] for leaf in right)), *beside)
    with pytest.raises(ValueError, match=rf"^{name} needs .*; got shape \(2, 5, 1\): .* over_outputs"):
        score(type(right)(*(leaf[..., None] for leaf in right)), *beside)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ([[[0.0]]], "a list"),
        (None, "a NoneType"),
        (jnp.zeros((2, 5, 4), jnp.int32), "an array of int32 and shape"),
        (tuple(KINDS["gaussian"]), "a tuple"),
    ],
)
def test_what_is_no_prediction_at_all(wrong, found):
    for name in ("bald", "gaussian_bald", "probit_bald"):
        with pytest.raises(TypeError, match=f"^{name} needs .*; got {found}"):
            as_users_call(name)(wrong)


def test_arrays_of_another_shape_are_refused_also_where_they_would_broadcast():
    one, covariance = jnp.ones(2), jnp.zeros((2, 3))
    alc, pair = as_users_call("alc"), as_users_call("covariance_epig")
    with pytest.raises(TypeError, match=r"^alc needs covariances \[rows, targets\]; got a Gaussian"):
        alc(KINDS["gaussian"], one, one)
    with pytest.raises(ValueError, match=r"^alc needs covariances \[rows, targets\]; got shape \(2,\)"):
        alc(one, one, one)
    with pytest.raises(ValueError, match=r"^alc needs noises of shape \(2,\); got shape \(1,\)"):
        alc(covariance, one, one[:1])
    with pytest.raises(
        ValueError, match=r"^covariance_epig needs variances of targets of shape \(3,\); got shape \(2,\)"
    ):
        pair(covariance, one, one, one, one)
    with pytest.raises(ValueError, match=r"^jepig needs log draw weights \[labelings, draws\]; got shape \(5,\)"):
        as_users_call("jepig")(KINDS["log_probs"], jnp.zeros(5))
    with pytest.raises(
        ValueError, match=r"^epig needs one log weight per draw, an array of shape \(5,\); got shape \(1,\)"
    ):
        as_users_call("epig")(KINDS["log_probs"], KINDS["log_probs"], log_draw_weight=jnp.zeros(1))
    with pytest.raises(ValueError, match=r"^weighted_variance needs one weight per row, an array of shape \(2,\)"):
        as_users_call("weighted_variance")(KINDS["gaussian"], jnp.ones(1))
    beside = {**TARGETS, "alc": (one, one), "covariance_epig": (one, one, jnp.ones(3), jnp.ones(3))}
    beside["functional_epig"] = (one, one, jnp.eye(3), jnp.eye(3), None)
    beside["gaussian_functional_epig"] += (None,)
    del beside["jepig"]  # has no weights
    for name, rest in beside.items():
        first = covariance if name in COVARIANCES else KINDS[ACQUISITIONS[name].inputs]
        with pytest.raises(
            ValueError, match=rf"^{name} needs one weight per target, an array of shape .*; got shape \(1,\)"
        ):
            as_users_call(name)(first, *rest, jnp.ones(1))


def test_a_score_of_ones_own_needs_no_check():
    """`over_outputs` and a plain function take whatever they are made for."""
    right = KINDS["gaussian"]
    several = Gaussian(*(leaf[..., None] for leaf in right))
    assert acquisition.over_outputs(lambda g: g.mean.sum(-1))(several).shape == (2,)
    assert isinstance(KINDS["latent"], Latent)
