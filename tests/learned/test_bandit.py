"""The bandit over strategies: EXP4.P and ALBL once more in float64, its law by enumeration, its drivers."""

from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, POOL, TASK, X, Y, evaluate

from bal import run_eager, run_seeds, seed_keys, streamed
from bal.evaluation.active import lure_weights
from bal.learned import bandit, exp4, importance_weighted, lure_weighted
from bal.pool import make_pool
from bal.pool.labeled import empty_log
from bal.query import run_query
from bal.strategies import badge, batchbald, entropy, margin, random, remembered
from bal.typing import Gaussian, Learner, Posterior, Query, Round, Setup, Stage

ARMS = (entropy(), margin())
ROUNDS = 6
QUERY = bandit(*ARMS, num_rounds=ROUNDS)
SETUP = Setup(CENTERS, QUERY, batch_size=3, num_rounds=ROUNDS, num_initial=3, evaluate=evaluate)
SEEDS = 2


def paper(log_weights, stood, reward, num_arms, horizon, delta=0.1):
    """A round of EXP4.P from the paper, with advice that is the arms themselves, in float64."""
    floor = min(np.sqrt(np.log(num_arms) / (num_arms * horizon)), 1 / num_arms)
    w = np.exp(log_weights)
    p = (1 - num_arms * floor) * w / w.sum() + floor
    v = 1 / p
    w = w * np.exp(floor / 2 * (reward * stood + v * np.sqrt(np.log(num_arms / delta) / (num_arms * horizon))))
    return np.log(w), p


def law_of(log_weights, num_arms, horizon):
    return paper(log_weights, np.zeros(num_arms), 0.0, num_arms, horizon)[1]


@pytest.mark.parametrize("horizon", [2, 500])
def test_exp4_is_that_of_the_paper(horizon):
    rng, pace = np.random.default_rng(0), exp4.pace(4, horizon)
    ours, theirs = jnp.zeros(4), np.zeros(4)
    law = jax.jit(partial(exp4.law, pace=pace))
    for _ in range(30):
        stood, reward = rng.exponential(size=4), rng.random()
        probs = law(ours)
        ours = exp4.rewarded(ours, probs, jnp.asarray(stood, jnp.float32), jnp.float32(reward), pace)
        theirs, expected = paper(theirs, stood, reward, 4, horizon)
        np.testing.assert_allclose(probs, expected, rtol=2e-5)
    assert probs.sum() == pytest.approx(1, abs=1e-6)
    assert (probs >= pace.floor * (1 - 1e-6)).all()
    assert (probs.max() - probs.min() > 0.02) == (horizon > 4)  # in two rounds the floor is all there is


def test_regret_is_within_the_bound_and_the_best_arm_is_found():
    means, horizon = jnp.array([0.9, 0.3, 0.2, 0.1]), 20_000
    pace = exp4.pace(4, horizon)

    def pull(log_weights, key):
        key_arm, key_reward = jax.random.split(key)
        probs = exp4.law(log_weights, pace)
        arm = jax.random.categorical(key_arm, jnp.log(probs))
        reward = (jax.random.uniform(key_reward) < means[arm]).astype(float)
        stood = jax.nn.one_hot(arm, 4) / probs[arm]
        return exp4.rewarded(log_weights, probs, stood, reward, pace), (arm, means[0] - means[arm])

    keys = jax.random.split(jax.random.key(0), horizon)
    _, (arms, regret) = jax.jit(partial(jax.lax.scan, pull))(jnp.zeros(4), keys)
    bound = 6 * np.sqrt(4 * horizon * np.log(4 / 0.1))
    assert regret.sum() < bound < 0.7 * horizon * float(means[0] - means.mean())  # what uniform pulls would lose
    assert (arms[-2000:] == 0).mean() > 0.9


TABLE = np.log([[0.5, 0.5], [0.8, 0.2], [0.6, 0.4], [0.9, 0.1], [0.55, 0.45]])[:, None]
RIGHT = np.array([1, 0, 1, 1, 0])


@cache
def outcomes(num_draws=20_000):
    """Pairs picked of five rows by two arms and chance: how often, and their law as the selection tells it."""
    learner = Learner(None, None, lambda state, x: jnp.asarray(TABLE, jnp.float32)[x])
    first = Query((Stage(lambda posterior, context, x: -jnp.asarray(x, float), ARMS[0].stages[0].select),))
    query = bandit(ARMS[0], first, num_rounds=100)
    round = Round(Posterior(None, learner), make_pool(jnp.arange(5)), empty_log(2, np.zeros(1, np.int32)), None)
    memory = query.memory(round.pool)._replace(log_weights=jnp.array([0.0, 0.7, -0.3]))
    draw = lambda key: run_query(key, query, round._replace(memory=memory), 2)[0]
    picks = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), num_draws))
    pairs, place, counts = np.unique(np.asarray(picks.indices), axis=0, return_index=True, return_counts=True)
    return pairs, np.asarray(picks.log_q, np.float64)[place], counts / num_draws, picks


def test_the_law_of_picks_adds_up_to_one_and_is_how_often_they_come():
    pairs, log_q, frequency, _ = outcomes()
    chance = np.exp(log_q.sum(1))
    assert len(pairs) == 20
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert chance.sum() == pytest.approx(1, abs=1e-5)
    firsts = {row: np.exp(q) for row, q in zip(pairs[:, 0], log_q[:, 0], strict=True)}
    assert sum(firsts.values()) == pytest.approx(1, abs=1e-5)
    assert np.abs(frequency - chance).max() < 5 * np.sqrt(chance.max() / 20_000)


def test_the_law_of_picks_from_its_definition():
    pairs, log_q, _, picks = outcomes()
    p = law_of(np.array([0.0, 0.7, -0.3]), 3, 100)
    np.testing.assert_allclose(picks.info["arm_probs"][0], p, rtol=1e-5)
    proposals = [0, 4], [0, 1]  # closest to a half; lowest number
    for pair, told in zip(pairs, log_q, strict=True):
        taken = set()
        for row, each in zip(pair, told, strict=True):
            wants = [next(one for one in arm if one not in taken) for arm in proposals]
            q = sum(p[arm] * (want == row) for arm, want in enumerate(wants)) + p[2] / (5 - len(taken))
            assert np.exp(each) == pytest.approx(q, rel=1e-5)
            taken.add(row)


def test_each_arm_stands_behind_one_pick_on_average():
    stood = np.asarray(outcomes()[3].info["stood"], np.float64)
    error = stood.std(0) / np.sqrt(len(stood))
    assert (np.abs(stood.mean(0) - 1) < 4 * error).all()
    assert (error < 0.03).all()


@pytest.mark.parametrize("estimate", [importance_weighted, lure_weighted])
def test_the_reward_of_a_model_that_stays_is_unbiased_by_enumeration(estimate):
    pairs, log_q, _, _ = outcomes()
    weights = [estimate(jnp.asarray(one, jnp.float32), jnp.array([1, 2]), jnp.int32(2), jnp.int32(5)) for one in log_q]
    chance = np.exp(log_q.sum(1))
    expected = chance @ (np.asarray(weights) * RIGHT[pairs]).sum(1) / chance.sum()
    assert expected == pytest.approx(RIGHT.mean(), abs=1e-5)


def test_weights_of_lure_are_those_of_active_testing():
    log_q = np.log([0.5, 0.2, 0.4, 0.1])
    ours = lure_weighted(jnp.asarray(log_q, jnp.float32), jnp.array([1, 2, 3, 4]), jnp.int32(4), jnp.int32(9))
    np.testing.assert_allclose(4 * ours, lure_weights(log_q, 9), rtol=1e-5)


@cache
def logs():
    return jax.tree.map(np.asarray, run_seeds(seed_keys(0, SEEDS), TASK, SETUP).log)


def slow_reward(rows, y_rows, order, log_q, num_rows):
    """Accuracy of the class means of all labels, weighted as in ALBL, from the definitions, in float64."""
    means = np.stack(
        [x.sum(0) / (1 + len(x)) for x in (np.asarray(X, float)[rows][y_rows == c] for c in range(CLASSES))]
    )
    squared = np.square(np.asarray(X, float)[order][:, None] - means[None]).sum(-1)
    logits = [-squared * width for width in (0.2, 1.0)]
    probs = sum(np.exp(one) / np.exp(one).sum(1, keepdims=True) for one in logits)
    right = probs.argmax(1) == np.asarray(Y)[order]
    terms = [(right[:m].sum() + right[m] / np.exp(log_q[m])) / num_rows for m in range(len(order))]
    return min(np.mean(terms), 1.0)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_compiled_run_is_albl_in_float64(seed):
    log = jax.tree.map(lambda leaf: leaf[seed], logs())
    start, weights = log.start, np.zeros(3)
    reward, stood = 0.0, np.zeros(3)
    for number in range(ROUNDS):
        if number:
            order, q = log.indices[:number].ravel(), log.log_q[:number].ravel().astype(float)
            rows = np.concatenate([start, order])
            reward, stood = slow_reward(rows, np.asarray(Y)[rows], order, q, len(Y) - 3), log.info["stood"][number - 1]
            weights, _ = paper(weights, stood, reward, 3, ROUNDS)
        np.testing.assert_allclose(log.info["reward"][number], reward, rtol=1e-4)
        np.testing.assert_allclose(log.info["arm_probs"][number], law_of(weights, 3, ROUNDS), rtol=1e-4)
    assert log.info["reward"][1:].min() > 0
    assert np.ptp(log.info["arm_probs"][-1]) > 0.005
    assert len({*log.indices.ravel(), *start}) == log.indices.size + len(start)


@pytest.mark.slow  # that drivers agree is tested for every query elsewhere
@pytest.mark.parametrize("over", [None, streamed(16)])
def test_a_loop_in_python_does_the_same(over):
    one = run_eager(seed_keys(0, SEEDS)[1], TASK, SETUP._replace(over=over), seed=1)
    whole = jax.tree.map(lambda leaf: leaf[1], logs())
    np.testing.assert_array_equal(one.indices, whole.indices)
    for name in ("arm", "arm_probs", "reward", "stood"):
        np.testing.assert_allclose(one.info[name], whole.info[name], rtol=1e-5)
    np.testing.assert_allclose(one.log_q, whole.log_q, rtol=1e-5)


def test_an_exhausted_pool_ends_in_picks_that_are_not_valid():
    few = make_pool(X, present=np.arange(len(X)) < 5)
    round = Round(Posterior(jnp.zeros((CLASSES, 2)), CENTERS), few, empty_log(1, np.zeros(1, np.int32)), None)
    ask = jax.jit(run_query, static_argnames=("query", "batch_size"))
    picks, memory = ask(jax.random.key(0), QUERY, round._replace(memory=QUERY.memory(few)), 7)
    assert picks.valid.tolist() == [True] * 5 + [False] * 2
    assert np.isneginf(picks.log_q[5:]).all()
    assert memory.num_picks == 5
    assert np.isfinite(picks.info["stood"]).all()
    np.testing.assert_array_equal(memory.place[picks.indices[:5]], np.arange(5) + 1)


def test_arms_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="got none"):
        bandit(num_rounds=3)
    with pytest.raises(ValueError, match="2 stages"):
        bandit(batchbald(), num_rounds=3)
    with pytest.raises(ValueError, match="and a memory"):
        bandit(remembered(entropy(), 5), num_rounds=3)
    with pytest.raises(ValueError, match="delta"):
        bandit(entropy(), num_rounds=3, delta=0.0)
    with pytest.raises(TypeError, match=r"(?i)query"):
        bandit(entropy, num_rounds=3)  # pyright: ignore[reportArgumentType]
    normal = Learner(None, None, lambda state, x: Gaussian(*(jnp.ones((len(x), 2)),) * 3))
    round = Round(Posterior(None, normal), POOL, empty_log(1, np.zeros(1, np.int32)), None)
    query = bandit(random(), num_rounds=3)
    with pytest.raises((TypeError, ValueError), match="bandit needs log probabilities"):
        run_query(jax.random.key(0), query, round._replace(memory=query.memory(POOL)), 1)


def test_a_bandit_is_a_value_and_arms_may_lack_rows():
    assert bandit(*ARMS, num_rounds=ROUNDS) == QUERY
    assert hash(bandit(*ARMS, num_rounds=ROUNDS)) == hash(QUERY)
    assert repr(QUERY).startswith("bandit(entropy(select=best), margin(), num_rounds=6")
    assert bandit(random(), num_rounds=2).stages[0].rows is None
    assert all(bandit(arm, num_rounds=2) != bandit(other, num_rounds=2) for arm, other in pairwise((*ARMS, badge())))
