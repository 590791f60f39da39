"""The inverse-gap law against its formula in float64, and draws against enumerated sequences of picks."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bal.selection import inverse_gap, select
from bal.selection.inverse_gap import inverse_gap_law
from bal.typing import Candidates

NUM_KEYS = 4_000
GAPS = np.array([0.4, 0.1, 0.25, 0.9, 0.15])
law = jax.jit(inverse_gap_law, static_argnames=("gamma", "mu"))


def published(gap, gamma, mu):
    """p_i = w / (mu w + gamma (w_i - w)) with w the smallest gap, and for its row what is left of 1."""
    gap = np.asarray(gap, np.float64)
    best = int(gap.argmin())
    p = gap[best] / (mu * gap[best] + gamma * (gap - gap[best]))
    p[best] = 0.0
    p[best] = 1.0 - p.sum()
    return p


def ours(gap, gamma, mu=None):
    gap = np.asarray(gap, np.float32)
    return np.asarray(law(gap, np.ones(len(gap), bool), gamma, mu))


@pytest.mark.parametrize(("gamma", "mu"), [(0.5, None), (5.0, 8.0), (1000.0, 1000.0)])
def test_the_law_is_the_published_one(gamma, mu):
    for seed in range(20):
        gap = np.random.default_rng(seed).gamma(0.5, size=6) + 1e-3
        p = ours(gap, gamma, mu)
        np.testing.assert_allclose(p, published(gap, gamma, 6 if mu is None else mu), rtol=2e-5, atol=1e-7)
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        assert (p >= 0).all()
        assert (np.diff(p[gap.argsort()]) <= 1e-7).all(), "decreasing in the gap"


def test_limits():
    np.testing.assert_allclose(ours(GAPS, 0.0), 0.2, rtol=1e-6)
    np.testing.assert_allclose(ours(GAPS, 1e12), [0, 1, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(ours(np.full(5, 0.3), 7.0), 0.2, rtol=1e-6)


def test_a_gap_of_zero_is_the_limit_of_small_ones():
    gap = np.array([0.0, 0.5, 0.0, 0.2, 0.9])
    np.testing.assert_allclose(ours(gap, 5.0, 8.0), published(np.maximum(gap, 1e-9), 5.0, 8.0), atol=1e-6)
    np.testing.assert_allclose(ours(gap, 5.0, 8.0), [0.875, 0, 0.125, 0, 0], rtol=1e-6)


def test_the_likeliest_of_many_nearly_equal_gaps_is_not_lost_in_rounding():
    gap = 1.0 + 1e-3 * np.random.default_rng(0).random(20_000).astype(np.float32)
    p, exact = ours(gap, 1.0), published(gap, 1.0, 20_000)
    np.testing.assert_allclose(p[gap.argmin()], exact[gap.argmin()], rtol=1e-4)


def test_probabilities_that_could_be_negative_are_refused():
    """Of 10,000 nearly equal gaps with mu = 1,000, as in the authors' code, the formula gives the best about -9."""
    gap = 1.0 + 1e-6 * np.arange(10_000)
    assert published(gap, 1000.0, 1000.0).min() == pytest.approx(-9, abs=0.2)
    with pytest.raises(ValueError, match="at least the number of candidates, 10000, got 1000"):
        select(None, None, inverse_gap(1000.0, mu=1000.0), 1, scores=-gap)
    assert published(gap, 1000.0, 10_000.0).min() > 0


@pytest.mark.parametrize("settings", [{"gamma": -1.0}, {"gamma": float("nan")}, {"mu": 0.0}, {"mu": float("inf")}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="must be finite and"):
        inverse_gap(**settings)


def test_pairs_come_with_the_probabilities_of_drawing_without_replacement():
    """Every ordered pair of the four rows that may be picked: its log_q, and how often it comes."""
    gamma, eligible = 2.0, GAPS != 0.25
    scores = jnp.asarray(-GAPS, jnp.float32)
    candidates = Candidates(scores, jnp.arange(5), jnp.asarray(eligible), jnp.ones(5))
    draw = jax.jit(jax.vmap(partial(inverse_gap(gamma), candidates=candidates, batch_size=2)))
    picks = jax.device_get(draw(jax.random.split(jax.random.key(0), NUM_KEYS)))
    assert picks.valid.all()
    rows = np.flatnonzero(eligible)
    expected, seen = [], []
    for first, second in itertools.permutations(rows, 2):
        left = rows[rows != first]
        q = published(GAPS[rows], gamma, 4)[rows == first], published(GAPS[left], gamma, 3)[left == second]
        mine = (picks.indices == [first, second]).all(1)
        np.testing.assert_allclose(picks.log_q[mine], np.log(np.broadcast_to(np.ravel(q), (mine.sum(), 2))), rtol=1e-4)
        np.testing.assert_allclose(picks.scores[mine], np.broadcast_to(-GAPS[[first, second]], (mine.sum(), 2)))
        expected.append(np.prod(q))
        seen.append(mine.sum())
    assert sum(seen) == NUM_KEYS
    assert stats.chisquare(seen, np.array(expected) * NUM_KEYS).pvalue > 1e-3
