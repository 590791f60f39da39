"""Greedy ALC against brute-force conditioning, and against BAIT, which it must equal for linear regression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.kernels import given_known, linear, noisy
from bal.selection import TargetRows, bait, integrated_variance, regression_fisher, sum_fisher, transformed
from bal.typing import Candidates

KEY = jax.random.key(0)
N, M, F, B = 12, 5, 4, 4
RNG = np.random.default_rng(0)
ROWS, TARGETS, WEIGHT = RNG.normal(size=(N, F)), RNG.normal(size=(M, F)), RNG.uniform(0.2, 2, M)
NOISE = RNG.uniform(0.1, 1.0, N)
BY_ROW = noisy(lambda candidates: linear(candidates._replace(rows=candidates.rows[:, :F])), lambda rows: rows[:, F])


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def candidates(rows, targets=TARGETS, weight=WEIGHT, eligible=None):
    n = len(rows)
    eligible = jnp.ones(n, bool) if eligible is None else jnp.asarray(eligible)
    context = TargetRows(jnp.asarray(targets), jnp.asarray(weight))
    return Candidates(jnp.asarray(rows), jnp.arange(n, dtype=jnp.int32), eligible, jnp.ones(n), context=context)


def run(select, some, batch_size=B):
    return jax.jit(select, static_argnums=2)(KEY, some, batch_size)


def mean_variance(batch, noise=NOISE):
    """Weighted mean posterior variance at the targets given the labels of a batch, from an explicit inverse."""
    precision = np.eye(F) + sum(np.outer(ROWS[n], ROWS[n]) / noise[n] for n in batch)
    return WEIGHT @ np.einsum("mf,fg,mg->m", TARGETS, np.linalg.inv(precision), TARGETS) / WEIGHT.sum()


def greedy_by_conditioning(eligible):
    chosen, gains = [], []
    for _ in range(B):
        rest = [n for n in np.flatnonzero(eligible) if n not in chosen]
        values = [mean_variance([*chosen, n]) for n in rest]
        gains.append(mean_variance(chosen) - min(values))
        chosen.append(int(rest[int(np.argmin(values))]))
    return chosen, gains


@pytest.mark.parametrize("some", ["all", "half"])
def test_picks_and_gains_are_those_of_conditioning(some):
    eligible = np.ones(N, bool) if some == "all" else np.arange(N) % 2 == 0
    chosen, gains = greedy_by_conditioning(eligible)
    picks = run(integrated_variance(BY_ROW), candidates(np.hstack([ROWS, NOISE[:, None]]), eligible=eligible))
    assert picks.indices.tolist() == chosen
    np.testing.assert_allclose(picks.scores, gains, rtol=1e-9)


@pytest.mark.slow
def test_linear_regression_is_bait():
    """BAIT's trace is the summed posterior variance at the pool: the same picks, and gains N / σ² times as large."""
    sigma2 = 0.3
    rows = regression_fisher(jnp.asarray(ROWS), sigma2)
    some = candidates(ROWS, ROWS, np.ones(N))
    known = jnp.asarray(RNG.normal(size=(2, F)))
    fishers = some._replace(rows=rows, context=sum_fisher(rows, jnp.ones(N)), known=regression_fisher(known, sigma2))
    fishers = fishers._replace(known_weight=jnp.ones(2))
    other = run(bait(prior_precision=1.0, backward=False), fishers)
    rule = transformed(integrated_variance(noisy(linear, sigma2)), given_known(sigma2))
    targets = given_known(sigma2)(KEY, some._replace(known=known, known_weight=jnp.ones(2))).rows
    given = some._replace(known=known, known_weight=jnp.ones(2), context=TargetRows(targets, jnp.ones(N)))
    picks = run(rule, given)
    assert picks.indices.tolist() == other.indices.tolist()
    np.testing.assert_allclose(picks.scores * N / sigma2, other.scores, rtol=1e-8)


def test_without_noise_a_picked_row_is_known():
    """A copy of a picked row gains nothing; a row of zeros has no variance and gains nothing, not NaN."""
    rows = np.array([[2.0, 0, 0, 0], [2.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0]])
    picks = run(integrated_variance(linear), candidates(rows, np.eye(F), np.ones(F)))
    assert picks.indices.tolist() == [0, 2, 1, 3]
    np.testing.assert_allclose(picks.scores, [0.25, 0.25, 0.0, 0.0], atol=1e-12)
    assert int(picks.info["num_nan"]) == 0


def test_needs_targets():
    with pytest.raises(ValueError, match="TargetRows"):
        integrated_variance()(KEY, candidates(ROWS)._replace(context=None), 2)
