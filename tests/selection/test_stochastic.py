"""Random batches against exact probabilities of sampling without replacement, and the top-B limit."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bal.selection import best, power, random_uniform, softmax, softrank
from bal.typing import Candidates
from tests import oracles

SCORES = (0.2, 1.1, 0.7, 0.05, 1.6)
RULES = {
    "power": (power, oracles.power_weights),
    "softmax": (softmax, oracles.softmax_weights),
    "softrank": (softrank, oracles.softrank_weights),
}
FACTORIES = [power, softmax, softrank]
NUM_KEYS = 10_000
BETA = 2.0


EVERY = [lambda _: random_uniform, lambda _: best, *FACTORIES]
IDS = ["random_uniform", "best", "power", "softmax", "softrank"]


def candidates(scores, eligible=None, index=None) -> Candidates:
    scores = jnp.asarray(scores, jnp.float32)
    eligible = jnp.ones(len(scores), bool) if eligible is None else jnp.asarray(eligible, bool)
    index = jnp.arange(len(scores)) if index is None else jnp.asarray(index, jnp.int32)
    return Candidates(scores, index, eligible, jnp.ones(len(scores), jnp.float32))


@functools.partial(jax.jit, static_argnums=(0, 3))
def _many(factory, beta, pool: Candidates, batch_size: int):  # few shapes: compiling is slow
    keys = jax.random.split(jax.random.key(0), NUM_KEYS)
    return jax.vmap(lambda key: factory(beta)(key, pool, batch_size))(keys)


def pairs(factory, beta: float, pool: Candidates):
    """Batches of 2 from 5 rows under many keys: leaves [NUM_KEYS, 2]."""
    return jax.tree.map(np.asarray, _many(factory, beta, pool, 2))


def orders(factory, beta: float, pool: Candidates):
    """Batches of 10 from 8 rows under many keys, so that every pool is exhausted: leaves [NUM_KEYS, 10]."""
    assert len(pool.index) == 8
    return jax.tree.map(np.asarray, _many(factory, beta, pool, 10))


def same_rows(indices, rows) -> bool:
    return bool(np.all(np.sort(indices, axis=1) == np.asarray(rows)))


def chi_square(counts, probs) -> float:
    probs = np.asarray(probs)
    return stats.chisquare(counts, probs / probs.sum() * np.sum(counts)).pvalue


# Probabilities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_first_picks_have_the_stated_probabilities(name):
    factory, weights = RULES[name]
    scores = [*SCORES, 0.4, 0.9, 0.3]
    counts = np.bincount(orders(factory, BETA, candidates(scores)).indices[:, 0], minlength=8)
    exact = np.array(weights(scores, BETA))
    assert chi_square(counts, exact) > 1e-3
    assert chi_square(counts, exact**1.25) < 1e-3


@pytest.mark.slow  # first picks of batches have the stated probabilities, above
def test_a_batch_of_one_is_the_first_pick():
    pool = candidates(SCORES)
    batches, alone = pairs(power, BETA, pool), _many(power, BETA, pool, 1)
    np.testing.assert_array_equal(alone.indices[:, 0], batches.indices[:, 0])
    np.testing.assert_allclose(alone.log_q[:, 0], batches.log_q[:, 0], rtol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_batches_of_two_are_sequential_sampling_without_replacement(name):
    factory, weights = RULES[name]
    picks = pairs(factory, BETA, candidates(SCORES)).indices
    exact = dict(oracles.ordered_batches(weights(SCORES, BETA), 2))
    counts = [np.sum((picks[:, 0] == first) & (picks[:, 1] == second)) for first, second in exact]
    assert sum(counts) == NUM_KEYS
    assert chi_square(counts, list(exact.values())) > 1e-3
    included = np.bincount(picks.ravel(), minlength=5) / NUM_KEYS
    np.testing.assert_allclose(included, oracles.inclusion_probabilities(weights(SCORES, BETA), 2), atol=0.02)


@pytest.mark.parametrize("factory", FACTORIES)
def test_small_beta_is_uniform(factory):
    picks = orders(factory, 1e-4, candidates(np.linspace(0.1, 2.0, 8)))
    assert chi_square(np.bincount(picks.indices[:, 0], minlength=8), np.ones(8)) > 1e-3
    np.testing.assert_allclose(picks.log_q[:, 0], -math.log(8), atol=1e-3)


def test_random_uniform_ignores_scores_and_is_uniform():
    picks = pairs(EVERY[0], BETA, candidates([0.0, jnp.nan, -3.0, 1e9, jnp.inf]))
    counts = np.bincount(picks.indices @ np.array([5, 1]), minlength=25).reshape(5, 5)
    assert np.trace(counts) == 0
    assert chi_square(counts[~np.eye(5, dtype=bool)], np.ones(20)) > 1e-3
    np.testing.assert_allclose(picks.log_q, np.broadcast_to(-np.log([5.0, 4.0]), (NUM_KEYS, 2)), rtol=1e-6)


@pytest.mark.parametrize("factory", FACTORIES)
def test_large_beta_takes_the_best(factory):
    scores = np.random.default_rng(0).permutation(np.linspace(0.1, 2.0, 8))
    picks = orders(factory, 1e4, candidates(scores))
    assert np.all(picks.indices[:, :8] == np.argsort(-scores))
    np.testing.assert_allclose(picks.scores[0, :8], np.sort(scores)[::-1], rtol=1e-6)
    np.testing.assert_allclose(picks.log_q[:, :8], 0.0, atol=1e-3)


@pytest.mark.parametrize("name", RULES)
def test_log_q_is_the_enumerated_sequential_probability(name):
    factory, weights = RULES[name]
    scores = np.float32([0.4, np.nan, 1.3, 0.9, 2.0, 0.15, 0.6, 1.7])
    usable = np.array([0, 2, 3, 5, 6, 7])
    picks = orders(factory, BETA, candidates(scores, np.arange(8) != 4))
    weight = weights(scores[usable], BETA)
    assert len({tuple(order) for order in picks.indices[:40, :6].tolist()}) > 20
    for order, log_q in zip(picks.indices[:40, :6], picks.log_q[:40, :6]):
        exact = oracles.pick_probabilities(weight, np.searchsorted(usable, order))
        np.testing.assert_allclose(log_q, np.log(exact), rtol=1e-4, atol=2e-5)


# Zero weight ------------------------------------------------------------------------------------------------


def test_power_takes_rows_of_score_zero_last_and_at_random():
    scores = [0.0, 1e-30, 0.0, 0.5, 0.0, 3.0, 0.2, 1.0]
    picks = orders(power, BETA, candidates(scores))
    order = picks.indices[:, :8]
    assert np.all(picks.valid[:, :8])
    assert same_rows(order[:, :5], [1, 3, 5, 6, 7])
    assert chi_square(np.bincount(order[:, 5], minlength=8)[[0, 2, 4]], np.ones(3)) > 1e-3
    weight = oracles.power_weights(scores, BETA)
    exact = [np.log(oracles.pick_probabilities(weight, row.tolist())) for row in order[:20]]
    np.testing.assert_allclose(picks.log_q[:20, :8], exact, rtol=1e-4, atol=1e-3)


def test_power_treats_negative_scores_as_zero_and_counts_them():
    picks = pairs(power, BETA, candidates([-5.0, 1.0, -0.1, 0.0, -0.0]))
    assert np.all(picks.indices[:, 0] == 1)
    assert chi_square(np.bincount(picks.indices[:, 1], minlength=5)[[0, 2, 3, 4]], np.ones(4)) > 1e-3
    assert np.all(picks.info["num_negative"] == 2)


def test_softmax_of_minus_infinity_comes_last_and_has_a_probability():
    picks = orders(softmax, BETA, candidates([-np.inf, 0.5, -np.inf, 1.0, 0.1, 0.2, 0.3, 0.4]))
    assert same_rows(picks.indices[:, 6:8], [0, 2])
    assert np.all(picks.valid[:, :8])
    assert np.all(np.isfinite(picks.log_q[:, :8]))
    assert np.all(picks.log_q <= 1e-6)


def test_defect_softrank_uses_ranks_and_not_positions_of_a_sort():
    scores = [0.1, 0.9, 0.5, 0.7, 0.2]  # sorting permutation [1, 3, 2, 4, 0], ranks [5, 1, 3, 2, 4]
    picks = pairs(softrank, BETA, candidates(scores))
    assert chi_square(np.bincount(picks.indices[:, 0], minlength=5), [1 / 25, 1, 1 / 9, 1 / 4, 1 / 16]) > 1e-3
    total = sum(1 / rank**2 for rank in range(1, 6))
    np.testing.assert_allclose(np.exp(picks.log_q[:, 0].max()), 1 / total, rtol=1e-5)


# Contracts of every selector --------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", EVERY, ids=IDS)
def test_exhausted_pool_leaves_invalid_places_and_no_ineligible_pick(factory):
    scores, eligible = [0.3, 9.0, 0.0, 0.8, 7.0, 0.1, 0.2, 5.0], [1, 0, 1, 1, 0, 1, 1, 0]
    picks = orders(factory, BETA, candidates(scores, eligible))
    assert picks.indices.shape == picks.scores.shape == picks.valid.shape == (NUM_KEYS, 10)
    assert np.all(picks.valid == (np.arange(10) < 5))
    assert same_rows(picks.indices[:, :5], [0, 2, 3, 5, 6])
    assert np.all((picks.indices >= 0) & (picks.indices < 8))
    assert np.all(picks.info["num_eligible"] == 5)
    if picks.log_q is not None:
        assert np.all(np.isfinite(picks.log_q[:, :4]))
        np.testing.assert_allclose(picks.log_q[:, 4], 0.0, atol=1e-5)
        assert not np.any(np.isnan(picks.log_q))


@pytest.mark.parametrize("factory", EVERY, ids=IDS)
def test_nothing_eligible(factory):
    picks = orders(factory, BETA, candidates(np.linspace(0, 1, 8), np.zeros(8, bool)))
    assert not np.any(picks.valid)
    assert np.all(picks.info["num_eligible"] == 0)
    assert picks.log_q is None or not np.any(np.isnan(picks.log_q))


@pytest.mark.parametrize("factory", EVERY[1:], ids=IDS[1:])
def test_nan_is_never_picked_and_is_counted(factory):
    scores = [0.3, np.nan, 0.0, np.nan, 7.0, np.nan, 0.0, 0.2]
    picks = orders(factory, BETA, candidates(scores, np.arange(8) != 5))
    assert same_rows(picks.indices[:, :5], [0, 2, 4, 6, 7])
    assert np.all(picks.valid == (np.arange(10) < 5))
    assert np.all(picks.info["num_nan"] == 2)
    assert picks.log_q is None or not np.any(np.isnan(picks.log_q))


@pytest.mark.parametrize("factory", EVERY, ids=IDS)
def test_order_of_rows_does_not_matter_given_their_index(factory):
    rng = np.random.default_rng(2)
    scores, eligible, index = rng.gamma(1.0, size=8), np.arange(8) != 3, rng.permutation(1000)[:8]
    shuffle = np.roll(rng.permutation(8), 1)
    straight = orders(factory, BETA, candidates(scores, eligible, index))
    mixed = orders(factory, BETA, candidates(scores[shuffle], eligible[shuffle], index[shuffle]))
    few = slice(500), slice(7)  # among 10,000 keys two sort keys may tie in float32, and position decides
    np.testing.assert_array_equal(index[straight.indices[few]], index[shuffle][mixed.indices[few]])
    np.testing.assert_array_equal(straight.scores[few], mixed.scores[few])
    if straight.log_q is not None:
        np.testing.assert_allclose(straight.log_q[few], mixed.log_q[few], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factory", EVERY, ids=IDS)
def test_masked_rows_and_absent_rows_are_the_same(factory):
    scores, kept = np.random.default_rng(4).gamma(1.0, size=8), np.array([0, 2, 3, 6, 7])
    masked = orders(factory, BETA, candidates(scores, np.isin(np.arange(8), kept)))
    compact = pairs(factory, BETA, candidates(scores[kept], index=kept))
    np.testing.assert_array_equal(masked.indices[:, :2], kept[compact.indices])
    if masked.log_q is not None:
        np.testing.assert_allclose(masked.log_q[:, :2], compact.log_q, rtol=1e-5, atol=1e-5)


def test_best_breaks_ties_by_position_and_claims_no_probability():
    picks = orders(EVERY[1], BETA, candidates([1.0, 2.0, 2.0, 1.0, 2.0, 0.0, 3.0, -1.0]))
    assert np.all(picks.indices[:, :8] == [6, 1, 2, 4, 0, 3, 5, 7])
    assert picks.scores[0, :8].tolist() == [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.0, -1.0]
    assert picks.log_q is None


@pytest.mark.parametrize("factory", [EVERY[0], *FACTORIES], ids=[IDS[0], *IDS[2:]])
def test_defect_unseeded_the_key_alone_decides(factory):
    pool = candidates(SCORES)
    first, again = pairs(factory, BETA, pool), pairs(factory, BETA, pool)
    np.testing.assert_array_equal(first.indices, again.indices)
    assert len({tuple(batch) for batch in first.indices.tolist()}) > 10


@pytest.mark.parametrize("factory", FACTORIES)
def test_beta_must_be_positive(factory):
    for beta in (0.0, -1.0):
        with pytest.raises(ValueError, match="beta"):
            factory(beta)


@pytest.mark.parametrize("factory", [power, pytest.param(softmax, marks=pytest.mark.slow)])
def test_infinite_scores_have_all_the_weight(factory):
    """One: certain to come first, the others as without it. Two: in random order."""
    one = jax.jit(lambda key: factory()(key, candidates([math.inf, 2.0, 1.0]), 3))(jax.random.key(0))
    assert int(one.indices[0]) == 0
    weights = {1: 2.0, 2: 1.0} if factory is power else {1: math.exp(2), 2: math.exp(1)}
    share = weights[int(one.indices[1])] / sum(weights.values())
    np.testing.assert_allclose(one.log_q, [0.0, math.log(share), 0.0], atol=1e-6)
    two = jax.jit(jax.vmap(lambda key: factory()(key, candidates([math.inf, 2.0, math.inf]), 3)))
    picks = two(jax.random.split(jax.random.key(0), 200))
    assert 60 < int((picks.indices[:, 0] == 0).sum()) < 140
    assert set(picks.indices[:, 2].tolist()) == {1}
    np.testing.assert_allclose(picks.log_q[0], [-math.log(2), 0.0, 0.0], atol=1e-6)
