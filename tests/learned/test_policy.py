"""The policy: signals and scores from their definitions, its training on a problem whose answer is known."""

from functools import partial
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problem import CENTERS, CLASSES, KEY, POOL, TASK, X, Y, class_means, evaluate

from bal import run_seeds, seed_keys
from bal.learned import (
    SIGNALS,
    Evolved,
    environment,
    generation,
    learned_policy,
    new_policy,
    play,
    policy_scores,
    policy_select,
    row_signals,
    surroundings,
)
from bal.learned.policy import Surroundings
from bal.pool import dense
from bal.pool.labeled import answer, empty_log, training_set
from bal.query import run_query
from bal.strategies import entropy
from bal.typing import Learner, Posterior, Round, Setup

RNG = np.random.default_rng(0)
LOGITS, INPUTS = RNG.normal(size=(20, 3, 4)), RNG.normal(size=(20, 2, 3)).astype(np.float32)
LOG_PROBS = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
FIRST = (jnp.array([3, 8, 20]), jnp.ones(3, bool), Y[jnp.array([3, 8, 20])], jnp.ones(3))
POLICY = new_policy(jax.random.key(1))
POSTERIOR = Posterior(None, Learner(None, None, lambda state, x: jnp.asarray(LOG_PROBS, jnp.float32)[: len(x)]))
AROUND = Surroundings(
    jnp.asarray(INPUTS[:3].reshape(3, -1)),
    jnp.array([True, True, False]),
    jnp.asarray(INPUTS[5:10].reshape(5, -1)).at[4].set(jnp.nan),
    jnp.arange(5) < 4,
    0.3,
)


def test_signals_are_their_definitions():
    found = np.asarray(jax.jit(lambda x: row_signals(POSTERIOR, AROUND, x))(INPUTS), float)
    probs = np.exp(LOG_PROBS)
    mean, flat = probs.mean(1), INPUTS.reshape(20, -1).astype(float)
    entropy = lambda p: -(p * np.log(p)).sum(-1)
    top = np.sort(mean, 1)
    away = np.sqrt(np.square(flat[:, None] - flat[None]).sum(-1) / 6)
    expected = {
        "entropy": entropy(mean) / np.log(4),
        "margin": top[:, -2] - top[:, -1],
        "least confidence": 1 - top[:, -1],
        "bald": (entropy(mean) - entropy(probs).mean(1)) / np.log(4),
        "distance to labels": away[:, :2].min(1),
        "distance to pool": away[:, 5:9].mean(1),
    }
    assert tuple(expected) == SIGNALS
    np.testing.assert_allclose(found, np.stack([*expected.values()], 1), atol=2e-3)  # 0 of a distance in float32


def scores_of(signals, eligible):
    return np.asarray(jax.jit(policy_scores)(POLICY, jnp.asarray(signals, jnp.float32), eligible, jnp.float32(0.3)))


def test_scores_are_those_of_the_standardized_network():
    signals, eligible = RNG.normal(size=(20, 6)), np.arange(20) % 3 > 0
    signals[4, 2] = np.nan
    usable = eligible & ~np.isnan(signals).any(1)
    z = (signals - signals[usable].mean(0)) / signals[usable].std(0)
    z = np.concatenate([z, np.full((20, 1), -0.4)], 1)
    skip, hidden, bias, out = (np.asarray(leaf, float) for leaf in POLICY)
    expected = z @ skip + np.tanh(z @ hidden + bias) @ out
    np.testing.assert_allclose(scores_of(signals, eligible), expected, rtol=1e-4, atol=1e-5)
    assert np.isnan(expected).tolist() == [row == 4 for row in range(20)]


def test_scores_do_not_depend_on_units_or_on_rows_that_may_not_be_picked():
    signals, eligible = RNG.normal(size=(20, 6)), np.arange(20) < 15
    moved = 5 * signals + 2
    moved[15:] = 99.0
    np.testing.assert_allclose(scores_of(signals, eligible)[:15], scores_of(moved, eligible)[:15], atol=1e-4)
    assert np.isfinite(scores_of(np.ones((20, 6)), eligible)).all()


def test_a_policy_is_a_strategy():
    query = learned_policy(POLICY)

    @jax.jit
    def parts(key):
        log = answer(empty_log(4, Y[:1]), *FIRST, 0)
        state = class_means(key, jnp.zeros((CLASSES, 2)), training_set(log, POOL))
        round = Round(Posterior(state, CENTERS), POOL, log, None)
        around = surroundings(key, round, dense)  # of the whole pool, which has no more rows than are drawn
        waiting = ~jnp.isin(jnp.arange(len(X)), FIRST[0])
        scores = policy_scores(POLICY, row_signals(round.posterior, around, X), waiting, around.spent)
        return run_query(key, query, round, 3)[0], around.spent, scores

    picks, spent, scores = jax.tree.map(np.array, parts(KEY))
    assert spent == 0.75
    scores[np.asarray(FIRST[0])] = -np.inf
    np.testing.assert_array_equal(picks.indices, np.argsort(-scores)[:3])
    assert query == learned_policy(new_policy(jax.random.key(1)))
    assert query != learned_policy(new_policy(jax.random.key(2)))


@pytest.mark.slow
def test_a_policy_plays_as_it_runs():
    setup = Setup(CENTERS, learned_policy(POLICY), 2, 3, 4, evaluate)
    log = run_seeds(seed_keys(0, 1), TASK, setup).log
    mine = jax.jit(lambda key, policy: play(key, TASK, environment(setup), policy_select(policy)))
    found = mine(seed_keys(0, 1)[0], POLICY)
    np.testing.assert_array_equal(found.actions, log.indices[0])
    np.testing.assert_allclose(found.values, log.metrics["accuracy"][0], rtol=1e-6)
    assert found.log_q is None


def test_training_finds_what_is_rewarded():
    """Of many pools, the picked row's signal is the reward: less of the second, which the start does not know."""
    pools = jnp.asarray(RNG.normal(size=(10, 15, 6)), jnp.float32)
    whole = jnp.ones(15, bool)

    def mean_reward(policy):
        picked = jax.vmap(lambda rows: policy_scores(policy, rows, whole, jnp.float32(0)).argmax())(pools)
        return -jnp.take_along_axis(pools[:, :, 1], picked[:, None], 1).mean()

    optimizer = optax.adam(0.1)
    step = lambda now, key: (generation(key, now, jax.vmap(mean_reward), optimizer, 16, 0.3)[0], None)

    @jax.jit
    def before_and_after(policy):
        begun = Evolved(policy, optimizer.init(policy))
        trained = jax.lax.scan(step, begun, jax.random.split(KEY, 60))[0].params
        return jax.vmap(mean_reward)(jax.tree.map(lambda *both: jnp.stack(both), policy, trained))

    before, after = before_and_after(POLICY)
    best = -np.asarray(pools)[:, :, 1].min(1).mean()
    assert before < 0.6 * best
    assert after > 0.9 * best


@pytest.mark.parametrize("change", [lambda x: x, jnp.exp, lambda x: 7 * x - 3])
def test_a_generation_is_the_rank_weighted_sum_of_its_noise(change):
    slope, start = jnp.array([1.0, -2.0, 0.5]), jnp.zeros(3)
    now = Evolved(start, optax.sgd(1.0).init(start))
    one = lambda key, now: generation(key, now, lambda x: change(x @ slope), optax.sgd(1.0), 64, 0.1)
    after, found = jax.jit(one)(KEY, now)
    half = np.asarray(jax.random.normal(KEY, (32, 3)))
    noise = np.concatenate([half, -half]).astype(float)
    ranks = np.argsort(np.argsort(noise @ np.asarray(slope, float))) / 63 - 0.5
    np.testing.assert_allclose(after.params, ranks @ noise / 6.4, rtol=1e-4)
    assert found.shape == (64,)
    moved = np.asarray(after.params)
    cosine = moved @ np.asarray(slope) / np.linalg.norm(moved) / np.linalg.norm(slope)
    assert cosine > 0.9


def test_ties_and_nan_rank_as_they_should_and_wrong_settings_are_refused():
    now = Evolved(jnp.zeros(2), optax.sgd(1.0).init(jnp.zeros(2)))
    ask = partial(generation, KEY, now, optimizer=optax.sgd(1.0))
    moved = jax.jit(lambda found: ask(fitness=lambda x: found, population=4)[0].params)
    np.testing.assert_array_equal(moved(jnp.ones(4)), np.zeros(2))
    lost = lambda value: moved(jnp.array([value, 1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(lost(jnp.nan), lost(-5.0))
    with pytest.raises(ValueError, match="even"):
        ask(fitness=lambda x: x[:, 0], population=5)
    with pytest.raises(ValueError, match="positive"):
        ask(fitness=lambda x: x[:, 0], sigma=0.0)
    with pytest.raises(ValueError, match="a number for each of 4 parameters"):
        ask(fitness=lambda x: jnp.ones(2), population=4)
    with pytest.raises(TypeError, match="expected a Policy, got None"):
        unwrap(policy_select)(None)
    game = environment(Setup(CENTERS, entropy(), 2, 3, 4, evaluate))
    with pytest.raises(ValueError, match="take learned_policy"):
        jax.eval_shape(lambda key: play(key, TASK, game, policy_select(POLICY)), KEY)


def test_rows_that_are_not_in_the_pool_do_not_stand_for_it():
    pool = POOL._replace(present=jnp.arange(len(X)) % 2 == 0)
    round = Round(Posterior(None, CENTERS), pool, empty_log(4, Y[:1]), None)
    around = jax.jit(lambda key: surroundings(key, round, dense))(KEY)
    assert around.is_present.sum() == len(X) // 2
    np.testing.assert_array_equal(
        np.unique(around.pool[around.is_present], axis=0), np.unique(np.asarray(X)[::2], axis=0)
    )
