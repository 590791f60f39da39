"""A target that is NaN or infinite leaves no score defined: every score is a mean over targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import DRAWS, predictions

from bal import acquisition

NUM_ROWS, NUM_TARGETS = 2_000, 3
COVARIANCE = 0.1 * np.random.default_rng(0).normal(size=(NUM_ROWS, NUM_TARGETS)).astype(np.float32)
ONE, EACH = jnp.ones(NUM_ROWS), jnp.ones(NUM_TARGETS)


def with_targets(kind, score):
    """A score of its targets and their weights, the rows being given."""
    return score(predictions(kind, rows=NUM_ROWS)), predictions(kind, rows=NUM_TARGETS, seed=1)


SCORES = {
    "epig": with_targets("log_probs", lambda x: lambda z, weight: acquisition.epig(x, z, weight)),
    "epig_by_entropies": with_targets(
        "log_probs", lambda x: lambda z, weight: acquisition.epig_by_entropies(x, z, weight)
    ),
    "expected_error_reduction": with_targets(
        "log_probs", lambda x: lambda z, weight: acquisition.expected_error_reduction(x, z, weight)
    ),
    "gaussian_functional_epig": with_targets(
        "gaussian", lambda x: lambda z, weight: acquisition.gaussian_functional_epig(x, z, jnp.eye(3), None, weight)
    ),
    "gaussian_epig": with_targets("gaussian", lambda x: lambda z, weight: acquisition.gaussian_epig(x, z, weight)),
    "probit_epig": with_targets(
        "latent", lambda x: lambda z, weight: acquisition.probit_epig(x, z, jnp.asarray(COVARIANCE), weight)
    ),
    "covariance_epig": (
        lambda z, weight: acquisition.covariance_epig(jnp.asarray(COVARIANCE), ONE, ONE, *z, weight),
        (EACH, EACH),
    ),
}
COMPILED = {name: jax.jit(score) for name, (score, _) in SCORES.items()}


@pytest.mark.parametrize("name", SCORES)
def test_a_broken_target_or_weight_breaks_every_score(name):
    score, targets = COMPILED[name], SCORES[name][1]
    assert np.isfinite(score(targets, EACH)).all()
    leaves, tree = jax.tree.flatten(jax.tree.map(np.array, targets))
    for place, leaf in enumerate(leaves):
        for value in (np.nan, np.inf, -np.inf):
            if value == -np.inf and leaf.ndim == 3:
                continue  # the log of probability zero
            broken = [other.copy() for other in leaves]
            broken[place].reshape(NUM_TARGETS, -1)[1, -1] = value
            assert np.isnan(score(jax.tree.unflatten(tree, broken), EACH)).all(), (place, value)
    assert np.isnan(score(targets, np.array([1.0, np.nan, 1.0], np.float32))).all()


def test_a_broken_labeling_of_targets_breaks_every_score():
    score = jax.jit(lambda log_draw_weight: acquisition.jepig(predictions("log_probs", rows=NUM_ROWS), log_draw_weight))
    log_weight = np.full((7, DRAWS), -np.log(DRAWS), np.float32)
    assert np.isfinite(score(log_weight)).all()
    for value in (np.nan, np.inf):
        log_weight[2, 1] = value
        assert np.isnan(score(log_weight)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_broken_covariance_breaks_the_score_of_its_row_alone(value):
    covariance = COVARIANCE.copy()
    covariance[1_997, 1] = value
    rows, targets = (predictions("latent", rows=n, seed=2) for n in (NUM_ROWS, NUM_TARGETS))
    for scores in by_covariance(rows, targets, covariance):
        assert np.flatnonzero(np.isnan(scores)).tolist() == [1_997]


@jax.jit
def by_covariance(rows, targets, covariance):
    return (
        acquisition.alc(covariance, ONE, ONE),
        acquisition.covariance_epig(covariance, ONE, ONE, EACH, EACH),
        acquisition.probit_epig(rows, targets, covariance),
    )


def test_the_weights_of_draws_may_break_every_score():
    rows, targets = (predictions("log_probs", rows=n) for n in (4, NUM_TARGETS))
    log_weight = jnp.full(DRAWS, -np.log(DRAWS)).at[0].set(jnp.nan)
    score = jax.jit(lambda log_draw_weight: acquisition.epig(rows, targets, log_draw_weight=log_draw_weight))
    assert np.isnan(score(log_weight)).all()
