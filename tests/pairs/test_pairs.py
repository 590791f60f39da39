"""Pairs against brute force, plain NumPy and other libraries: queries, likelihoods, the loop, a campaign."""

import itertools
import math
import pickle
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bal.acquisition import bald
from bal.pairs import (
    Items,
    PairCampaign,
    PairLog,
    PairRound,
    PairSetup,
    bal_pm,
    bradley_terry,
    d_optimal,
    double_thompson,
    empty_log,
    kendall_tau,
    linear_reward,
    pair_bald,
    past_aware_d_optimal,
    posterior_d_optimal,
    random_pairs,
    rank_agreement,
    run_pairs,
    simulated_answers,
    thurstone,
)
from bal.pairs.drawing import num_distinct
from bal.pairs.information import most_information, pairwise_bald
from bal.typing import PADDING, Learner, Posterior, Task

N, F, K, B = 12, 4, 5, 8
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, F)).astype(np.float32)
DRAWS = RNG.normal(size=(K, F)).astype(np.float32)
ALL = np.array(list(itertools.combinations(range(N), 2)))
ASKED = ALL[[3, 17, 40]]


def given_weights(state, x):
    return bradley_terry.log_probs((x[:, 0] - x[:, 1]) @ state.T)


LINEAR = Learner(
    lambda key, data: DRAWS,
    lambda key, state, data: state,
    given_weights,
    lambda state, x: (x[:, 0] - x[:, 1])[:, None],
)
"""A linear reward of given draws, never fitted."""


def log_of(pairs, capacity=6):
    padded = np.full((capacity, 2), PADDING, np.int32)
    padded[: len(pairs)] = np.reshape(pairs, (-1, 2))
    weight = (np.arange(capacity) < len(pairs)).astype(np.float32)
    return PairLog(jnp.asarray(padded), jnp.zeros(capacity, jnp.int32), jnp.asarray(weight), jnp.int32(len(pairs)))


def round_of(x=X, pairs=ASKED, **rest):
    return PairRound(Posterior(jnp.asarray(DRAWS), LINEAR), Items(jnp.asarray(x), **rest), log_of(pairs))


ASK = jax.jit(lambda query, key, round, size: query(key, round, size), static_argnums=(0, 3))


def asked_of(query, round=None, size=B, key=0):
    return ASK(query, jax.random.key(key), round_of() if round is None else round, size)


def sigmoid(d):
    return special.expit(np.asarray(d, np.float64))


def greedy_design(ridge, past, x=X, candidates=ALL):
    """Pairs and gains of the greedy log-determinant, every determinant anew."""
    x, w = x.astype(np.float64), DRAWS.astype(np.float64).mean(0)

    def information(pair):
        z = x[pair[0]] - x[pair[1]]
        p = sigmoid(z @ w)
        return p * (1 - p) * np.outer(z, z)

    matrix = ridge * np.eye(F) + sum((information(pair) for pair in past), np.zeros((F, F)))
    left, found, gains = [tuple(p) for p in candidates if tuple(p) not in {tuple(p) for p in ASKED}], [], []
    for _ in range(B):
        values = [np.linalg.slogdet(matrix + information(pair))[1] for pair in left]
        best = int(np.argmax(values))
        gains.append(values[best] - np.linalg.slogdet(matrix)[1])
        found.append(left.pop(best))
        matrix = matrix + information(found[-1])
    return np.array(found), np.array(gains)


@pytest.mark.parametrize(
    ("query", "past"),
    [pytest.param(d_optimal(ridge=0.5), [], marks=pytest.mark.slow), (past_aware_d_optimal(ridge=0.5), ASKED)],
    ids=["batch", "past"],
)
def test_designs_are_greedy_by_brute_force(query, past):
    found = asked_of(query)
    pairs, gains = greedy_design(0.5, past)
    np.testing.assert_array_equal(found.pairs, pairs)
    np.testing.assert_allclose(found.scores, gains, rtol=2e-4)
    assert found.valid.all()


def test_pairs_of_most_information():
    d = (X[ALL[:, 0]] - X[ALL[:, 1]]).astype(np.float64) @ DRAWS.T
    entropy = lambda p: -special.xlogy(p, p) - special.xlogy(1 - p, 1 - p)
    scores = entropy(sigmoid(d).mean(1)) - entropy(sigmoid(d)).mean(1)
    free = ~(ALL[:, None] == ASKED[None]).all(2).any(1)
    order = np.argsort(-np.where(free, scores, -1))[:B]
    found = asked_of(pair_bald())
    np.testing.assert_array_equal(found.pairs, ALL[order])
    np.testing.assert_allclose(found.scores, scores[order], rtol=1e-4)


def test_information_of_pairs_is_that_of_rows():
    d = jnp.asarray(RNG.normal(size=(6, K)) * np.array([1e-3, 1, 1, 5, 30, 0])[:, None], jnp.float32)
    both = jnp.concatenate([d, jnp.zeros((1, K))])
    kinds = (bradley_terry, thurstone)
    program = lambda both: [(bald(kind.log_probs(both)), pairwise_bald(both, both, kind)) for kind in kinds]
    for rows, pairs in jax.jit(program)(both):
        np.testing.assert_allclose(pairs[:, -1], rows, rtol=2e-3, atol=1e-9)
        np.testing.assert_allclose(pairs[-1], rows, rtol=2e-3, atol=1e-9)


def test_the_bound_of_information_is_one_and_is_near_where_draws_are():
    rng, items = np.random.default_rng(1), 60
    both = jax.jit(lambda draws: (pairwise_bald(draws, draws), most_information(draws, jnp.arange(items))))
    for spread in (1e-4, 0.1, 1.0, 30.0):
        draws = rng.normal(size=(items, 1)) + spread * rng.normal(size=(items, K)) + 100  # one offset says nothing
        found, most = both(jnp.asarray(draws, jnp.float32))
        assert (most >= found).all()
        assert most.max() <= 1.001 * math.log(2)
    draws = jnp.asarray(0.1 * rng.normal(size=(items, K)), jnp.float32)
    found, most = both(draws)  # differences near 0, where the curvature is the most there is
    far = ~np.eye(items, dtype=bool)
    np.testing.assert_allclose(most[far], found[far], rtol=0.05, atol=1e-5)


@pytest.mark.slow
def test_missing_items_are_in_no_pair_and_change_nothing_else():
    spoiled, told = np.concatenate([X, X[:1]]), np.array([[1, 5], [3, 12]])
    spoiled[12] = np.nan
    for query in (past_aware_d_optimal(ridge=0.5), pair_bald()):
        found = asked_of(query, round_of(spoiled, told))
        np.testing.assert_array_equal(found.pairs, asked_of(query, round_of(X, told[:1])).pairs)
        assert int(found.info["num_nan"]) == 1


@pytest.mark.slow
def test_every_pair_once_and_then_none():
    few, group = X[:4], jnp.array([0, 0, 1, 1])
    for query in (past_aware_d_optimal(), random_pairs(), double_thompson(3)):
        found = asked_of(query, round_of(few, []), size=8)
        np.testing.assert_array_equal(np.unique(found.pairs[:6], axis=0), list(itertools.combinations(range(4), 2)))
        np.testing.assert_array_equal(found.valid, np.arange(8) < 6)
        inside = asked_of(query, round_of(few, [], group=group), size=3)
        assert sorted(np.asarray(inside.pairs[:2]).tolist()) == [[0, 1], [2, 3]]
        np.testing.assert_array_equal(inside.valid, [True, True, False])


@pytest.mark.slow
def test_equal_items_tie_and_the_lowest_wins():
    twice = np.concatenate([X, X])
    found = asked_of(past_aware_d_optimal(ridge=0.5), round_of(twice), size=1)
    np.testing.assert_array_equal(found.pairs, greedy_design(0.5, ASKED)[0][:1])


@pytest.mark.slow
def test_random_pairs_are_uniform():
    group = jnp.array([0, 1, 0, 1, 0, 2])
    round = PairRound(Posterior(None, LINEAR), Items(jnp.zeros((6, 1)), group), log_of([(1, 3)]))
    keys = jax.random.split(jax.random.key(1), 900)
    pairs = jax.jit(jax.vmap(lambda key: random_pairs()(key, round, 1).pairs[0]))(keys)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 2], [0, 4], [2, 4]]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_repeated_pairs_count_once():
    asked = jnp.array([[0, 1], [0, 2], [0, 1], [PADDING, PADDING], [1, 2], [PADDING, PADDING]])
    assert int(num_distinct(asked)) == 3


@pytest.mark.slow
def test_double_thompson_compares_best_items_of_draws():
    best = set((X @ DRAWS.T).argmax(0).tolist())
    assert len(best) > 2
    found = asked_of(double_thompson(200), round_of(pairs=[]), size=1)
    assert set(np.asarray(found.pairs[0]).tolist()) <= best


def test_bal_pm_is_its_formula_by_brute_force():
    group, prompt = np.repeat(np.arange(4), 3), RNG.normal(size=(4, 2)).astype(np.float32)
    prompt[1] = prompt[0] + 0.1
    inside = [tuple(pair) for pair in ALL if group[pair[0]] == group[pair[1]]]
    past = [inside[0], inside[1], inside[4]]
    apart = np.linalg.norm(prompt[:, None].astype(float) - prompt[None], axis=2)
    radius = np.sort(apart + 1e9 * np.eye(4), 1)[:, 1]
    d = {pair: (X[pair[0]] - X[pair[1]]).astype(float) @ DRAWS.T for pair in inside}
    entropy = lambda p: -special.xlogy(p, p) - special.xlogy(1 - p, 1 - p)
    told = {pair: entropy(sigmoid(one).mean()) - entropy(sigmoid(one)).mean() for pair, one in d.items()}
    near, expected, gains = [group[pair[0]] for pair in past], [], []
    left = [pair for pair in inside if pair not in past]
    for _ in range(5):
        term = [
            2 * np.log(2 * radius[g]) - special.digamma(1 + sum(apart[g, o] < radius[g] for o in near))
            for g in range(4)
        ]
        scores = [told[pair] + 0.1 * term[group[pair[0]]] for pair in left]
        gains.append(max(scores))
        expected.append(left.pop(int(np.argmax(scores))))
        near.append(group[expected[-1][0]])
    items = {"group": jnp.asarray(group), "prompt": jnp.asarray(prompt)}
    found = asked_of(bal_pm(0.1, neighbors=2), round_of(pairs=past, **items), size=5)
    np.testing.assert_array_equal(found.pairs, expected)
    np.testing.assert_allclose(found.scores, gains, rtol=1e-4)
    with pytest.raises(ValueError, match="give Items"):
        asked_of(bal_pm(), size=1)


def test_prompts_that_are_equal_come_last_whatever_beta():
    items = {"group": jnp.repeat(jnp.arange(4), 3), "prompt": jnp.array([[0.0], [0.0], [0.0], [1.0]])}
    for beta in (1.0, 20.0):
        found = asked_of(bal_pm(beta, neighbors=1), round_of(pairs=[], **items), size=4)
        assert found.valid.all()
        assert set(found.pairs[0].tolist()) <= {9, 10, 11}


def fitted(learner, pairs, y, x=X):
    data = learner_data(pairs, y, x)
    return Posterior(jax.jit(lambda key: learner.fit(key, learner.init(key, data), data))(jax.random.key(0)), learner)


def learner_data(pairs, y, x=X):
    from bal.typing import Data

    return Data(jnp.asarray(x[np.asarray(pairs)]), jnp.asarray(y), jnp.ones(len(y)))


@pytest.mark.parametrize("comparison", [bradley_terry, pytest.param(thurstone, marks=pytest.mark.slow)], ids=str)
def test_linear_reward_is_the_mode_and_curvature_by_scipy(comparison):
    from scipy.optimize import minimize

    pairs, y = ALL[::3], (RNG.random(len(ALL[::3])) < 0.6).astype(np.int32)
    z = (X[pairs[:, 0]] - X[pairs[:, 1]]).astype(np.float64) * (2 * y - 1)[:, None]
    log_g = special.log_expit if comparison is bradley_terry else special.log_ndtr
    loss = lambda w: 0.5 * w @ w / 0.7 - log_g(z @ w).sum()
    mode = minimize(loss, np.zeros(F), tol=1e-12).x
    learner = linear_reward(4000, comparison=comparison, prior=0.7)
    posterior = fitted(learner, pairs, y)
    np.testing.assert_allclose(posterior.state.mode, mode, atol=2e-5)
    step = 1e-4 * np.eye(F)
    hessian = [
        [(loss(mode + a + b) - loss(mode + a - b) - loss(mode - a + b) + loss(mode - a - b)) / 4e-8 for b in step]
        for a in step
    ]
    root = np.asarray(posterior.state.root, np.float64)
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(hessian), rtol=2e-2, atol=1e-4)
    np.testing.assert_allclose(np.cov(posterior.state.draws.T), root @ root.T, atol=0.03)
    assert posterior.state.converged.all()


@pytest.mark.slow
def test_posterior_of_a_linear_reward_is_past_aware():
    pairs, y = ALL[:20:2], np.array([0, 1] * 5, np.int32)
    posterior = fitted(linear_reward(6, prior=2.0), pairs, y)
    posterior = Posterior(posterior.state._replace(draws=posterior.state.mode[None]), posterior.learner)
    round = PairRound(posterior, Items(jnp.asarray(X)), log_of(pairs, 10))
    ours, theirs = (
        asked_of(query, round, 4) for query in (posterior_d_optimal(rank=6), past_aware_d_optimal(ridge=0.5))
    )
    np.testing.assert_array_equal(ours.pairs, theirs.pairs)
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-3)


def test_comparisons_read_back_what_they_say():
    d = jnp.linspace(-9.0, 9.0, 7)
    kinds = (bradley_terry, thurstone)
    at = jnp.array([1.3])
    program = jax.jit(
        lambda d: [(kind.difference(kind.log_probs(d)), kind.information(at), kind(at)) for kind in kinds]
    )
    (logistic, logistic_information, log_g), (probit, probit_information, _) = program(d)
    np.testing.assert_allclose(logistic, d, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(probit, d, rtol=1e-4, atol=1e-6)
    assert all(pickle.loads(pickle.dumps(kind)) is kind for kind in kinds)
    p = stats.norm.cdf(1.3)
    fisher = stats.norm.pdf(1.3) ** 2 / (p * (1 - p))
    np.testing.assert_allclose(probit_information, fisher, rtol=1e-5)
    np.testing.assert_allclose(logistic_information, sigmoid(1.3) * sigmoid(-1.3), rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_g), sigmoid(1.3), rtol=1e-6)


def test_agreement_is_kendalls():
    one, other = RNG.normal(size=(2, 30))
    np.testing.assert_allclose(
        kendall_tau(jnp.asarray(one), jnp.asarray(other)), stats.kendalltau(one, other)[0], rtol=1e-5
    )


REWARDS = jnp.asarray(X.astype(np.float32) @ np.array([2.0, -1.0, 0.5, 3.0], np.float32))
SETUP = PairSetup(linear_reward(3, prior=4.0), past_aware_d_optimal(), 2, 3, 4, rank_agreement())
RUN = jax.jit(lambda key, oracle: run_pairs(key, Task(Items(jnp.asarray(X)), oracle, (X, REWARDS)), SETUP))


BARE_RUN = unwrap(run_pairs)  # behind the check of types


def test_without_a_start_set_the_first_round_asks():
    """The default of a set-up."""
    setup = PairSetup(LINEAR, random_pairs(), 2, 1)
    task = Task(Items(jnp.asarray(X)), simulated_answers(REWARDS))
    found = jax.eval_shape(lambda key: run_pairs(key, task, setup), jax.random.key(0))
    assert found.num_training.shape == (2,)
    assert found.log.pairs.shape == (2, 2)


@pytest.mark.slow
def test_a_run_asks_answers_and_measures():
    found = RUN(jax.random.key(0), simulated_answers(REWARDS))
    assert found.num_training.tolist() == [4, 6, 8, 10]
    pairs = np.asarray(found.log.pairs)
    assert len(np.unique(pairs, axis=0)) == 10
    assert (pairs[:, 0] < pairs[:, 1]).all()
    posterior = fitted(SETUP.learner, pairs, found.log.y)
    order = jnp.asarray(X) @ posterior.state.draws.mean(0)
    tau = stats.kendalltau(np.asarray(order), np.asarray(REWARDS))[0]
    assert abs(tau - float(found.metrics["tau"][-1])) < 0.15  # the draws are others
    sure = RUN(jax.random.key(0), simulated_answers(1e3 * REWARDS))
    won = np.asarray(REWARDS)[np.asarray(sure.log.pairs)]
    np.testing.assert_array_equal(sure.log.y, won[:, 0] > won[:, 1])


def test_simulated_answers_have_their_probability():
    pairs = jnp.tile(jnp.array([[0, 1]]), (400, 1)).at[:, 0].set(jnp.arange(400) + 2)
    oracle = simulated_answers(jnp.concatenate([jnp.zeros(2), jnp.full(400, 1.0)]))
    y = jax.jit(lambda key: oracle(key, pairs, None))(jax.random.key(0))
    assert abs(float(y.mean()) - sigmoid(1.0)) < 3 * math.sqrt(0.2 / 400)


def test_a_campaign_is_the_run_of_the_same_answers():
    campaign = PairCampaign(jax.random.key(0), SETUP.learner, SETUP.query, Items(X), capacity=9)
    asked = campaign.ask(2)
    np.testing.assert_array_equal(campaign.pending, asked)
    campaign.tell(asked[::-1, ::-1], [1, 0])  # the second of the last, and the first of the first... as written
    pairs, y = campaign.answers
    np.testing.assert_array_equal(pairs, asked)
    np.testing.assert_array_equal(y, [1, 0])
    campaign.tell([[5, 2], [5, 2]], [1, 1])
    assert campaign.num_answers == 4
    again = campaign.ask(2)
    everything = [tuple(pair) for pair in [*asked, *again, (2, 5)]]
    assert len(set(everything)) == 5
    posterior = fitted(SETUP.learner, campaign.answers[0], campaign.answers[1])
    rewards = campaign.rewards()
    assert np.corrcoef(rewards, X @ np.asarray(posterior.state.mode))[0, 1] > 0.5
    for pairs, answers, message in (
        ([[0, 0]], [1], "two different items"),
        ([[0, 12]], [1], "among 0 to 11"),
        ([[0, 1]], [2], "1 for the first"),
        ([[0, 1, 2]], [1], r"\[m, 2\]"),
        ([[0, 1]] * 9, [1] * 9, "larger capacity"),
    ):
        with pytest.raises(ValueError, match=message):
            campaign.tell(pairs, answers)
    with pytest.raises(ValueError, match="larger capacity"):
        campaign.ask(4)


def test_settings_that_cannot_be_meant():
    for make in (lambda: d_optimal(ridge=0.0), lambda: linear_reward(0), lambda: linear_reward(1, prior=-1.0)):
        with pytest.raises(ValueError, match="must be"):
            make()
    with pytest.raises(ValueError, match="at least 2 items"):
        PairCampaign(jax.random.key(0), SETUP.learner, SETUP.query, Items(X[:1]), capacity=9)
    items, oracle = Items(jnp.asarray(X)), simulated_answers(REWARDS)
    for change, message in (
        ({"start": np.array([[0, 12]])}, "among 0 to 11"),
        ({"start": np.array([[1, 1]])}, "two different items"),
        ({"start": np.array([0, 1])}, r"\[m, 2\] whole numbers"),
        ({"oracle": simulated_answers(REWARDS[:5])}, "a reward of each of 12 items, got 5"),
        ({"pool": Items(X, np.zeros(5, int))}, "the group of every item"),
        ({"pool": Items(X, np.full(N, 3), np.zeros((2, 2), np.float32))}, "item 0 answers prompt 3, but there are 2"),
        ({"pool": Items(X, np.zeros(N, int), np.full((1, 2), np.nan, np.float32))}, "finite features of prompts"),
    ):
        with pytest.raises(ValueError, match=message):
            BARE_RUN(jax.random.key(0), Task(items, oracle)._replace(**change), SETUP)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        BARE_RUN(jax.random.key(0), Task(items, oracle), SETUP._replace(batch_size=0))
    for kind, task, setup in (
        ("Items", Task(X, oracle), SETUP),
        ("a function of pairs", Task(items, REWARDS), SETUP),
        ("a PairSetup", Task(items, oracle), SETUP.learner),
        ("a query of pairs", Task(items, oracle), SETUP._replace(query=bald)),
        ("a Learner", Task(items, oracle), SETUP._replace(learner=linear_reward)),
    ):
        with pytest.raises(TypeError, match=f"expected {kind}"):
            BARE_RUN(jax.random.key(0), task, setup)
    with pytest.raises(ValueError, match="finite rewards"):
        simulated_answers(REWARDS.at[3].set(jnp.nan))
    with pytest.raises(ValueError, match="the same items"):
        unwrap(kendall_tau)(REWARDS, REWARDS[:3])
    with pytest.raises(ValueError, match="row 2 of the inputs holds NaN"):
        PairCampaign(jax.random.key(0), SETUP.learner, SETUP.query, Items(np.where(X[2] == X, np.nan, X)), capacity=9)
    vain = LINEAR._replace(predict=lambda state, x: bradley_terry.log_probs(x[:, 0] @ state.T))
    with pytest.raises(ValueError, match="prefers an item to itself"):
        PairCampaign(jax.random.key(0), vain, SETUP.query, Items(X), capacity=9).ask()
    bad = Learner(None, None, lambda state, x: jnp.zeros((len(x), 3)))
    with pytest.raises(ValueError, match="expected log_probs"):
        pair_bald()(jax.random.key(0), PairRound(Posterior(None, bad), Items(jnp.asarray(X)), empty_log(1)), 1)
