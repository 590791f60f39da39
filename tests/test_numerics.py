"""NaN and infinity pass through every numerical helper, in loops of every size that XLA compiles in its own way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import numerics

HELPERS = {
    "entropy": jax.jit(lambda x: numerics.entropy(x[:, 0])),
    "logmeanexp": jax.jit(lambda x: numerics.logmeanexp(x, 1)),
    "mean_log_probs": jax.jit(numerics.mean_log_probs),
    "mean_divergence_of_draws": jax.jit(numerics.mean_divergence_of_draws),
    "xlogx": jax.jit(numerics.xlogx),
    "at_least": jax.jit(lambda x: numerics.at_least(jnp.exp(x).sum(-1), 0.5)),
    "at_most": jax.jit(lambda x: numerics.at_most(jnp.exp(x).sum(-1), 0.5)),
}


def log_probs(num_rows, dtype):
    draws = np.random.default_rng(0).dirichlet(np.ones(3), size=(num_rows, 7))
    return np.log(draws).astype(dtype)


@pytest.mark.parametrize(("num_rows", "dtype"), [(24, "float32"), (10_000, "float32"), (2_000, "float64")])
@pytest.mark.parametrize("name", HELPERS)
def test_nan_stays_in_its_row(name, num_rows, dtype):
    inputs = log_probs(num_rows, dtype)
    inputs[2], inputs[5, 0, 1], inputs[num_rows - 3] = np.nan, np.nan, np.nan
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(HELPERS[name](jnp.asarray(inputs)))
    assert found.dtype == dtype
    broken = np.isnan(found.reshape(num_rows, -1)).any(1)
    assert np.flatnonzero(broken).tolist() == [2, 5, num_rows - 3]


@pytest.mark.parametrize("name", ["entropy", "logmeanexp", "mean_log_probs", "mean_divergence_of_draws"])
def test_an_infinite_log_probability_is_nobodys(name):
    inputs = log_probs(24, "float32")
    inputs[5, 0, 1] = np.inf
    found = np.asarray(HELPERS[name](jnp.asarray(inputs))).reshape(24, -1)
    assert np.flatnonzero(np.isnan(found).any(1)).tolist() == [5]


@pytest.mark.parametrize("num_draws", [3, 49])
def test_a_class_that_no_draw_believes_in_contributes_nothing(num_draws):
    """Also where 1/K is rounded, so that K times 1/K is not 1."""
    possible = np.random.default_rng(1).dirichlet(np.ones(3), size=(8, num_draws)).astype(np.float32)
    impossible = np.concatenate([np.log(possible), np.full((8, num_draws, 1), -np.inf, np.float32)], -1)
    found, exact = (HELPERS["mean_divergence_of_draws"](jnp.asarray(x)) for x in (impossible, np.log(possible)))
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_one_draw_of_many_that_believes_in_a_class_counts():
    """The least belief that is not none: one certain draw of K, whose information is that of 1/K against 0."""
    num_draws = 500
    certain = np.where(np.arange(num_draws)[:, None] == [[0]], [[-np.inf, 0.0]], [[0.0, -np.inf]]).astype(np.float32)
    share = 1 / num_draws
    exact = -share * np.log(share) - (1 - share) * np.log1p(-share)
    assert float(HELPERS["mean_divergence_of_draws"](jnp.asarray(certain[None]))[0]) == pytest.approx(exact, rel=1e-5)


def test_nan_in_a_small_matrix_is_nan_in_what_is_solved_with_it():
    matrices = np.tile(np.eye(3, dtype=np.float32) * 2, (9_000, 1, 1))
    matrices[5, 0, 2] = matrices[5, 2, 0] = np.nan
    broken = lambda x: np.flatnonzero(np.isnan(np.asarray(x)).reshape(9_000, -1).any(1)).tolist()
    assert broken(jax.jit(numerics.small_log_determinants)(matrices)) == [5]
    assert broken(jax.jit(numerics.small_solves)(matrices, jnp.ones((9_000, 3, 1)))) == [5]


def test_nan_never_passes_the_door_to_a_ranking():
    scores = jnp.zeros(9_000).at[5].set(jnp.nan).at[7].set(-jnp.inf)
    masked = numerics.mask_scores(scores, jnp.arange(9_000) != 3)
    assert np.flatnonzero(np.isneginf(masked)).tolist() == [3, 5]
    assert int(numerics.first_argmax(masked)) == 0
