"""Learners of pairs: a process against plain NumPy and against classification of differences; networks and Laplace."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bal.learners import ensemble, laplace, mlp
from bal.pairs import (
    Items,
    PairLog,
    PairRound,
    bradley_terry,
    d_optimal,
    double_thompson,
    gp_reward,
    pair_bald,
    posterior_d_optimal,
    reward_features,
    reward_network,
    rewards,
    thurstone,
)
from bal.typing import PADDING, Data, Posterior

gpjax = pytest.importorskip("gpjax")
N = 7
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
PAIRS = np.array(list(itertools.combinations(range(N), 2)))
TOLD = PAIRS[::3]
Y = (RNG.random(len(TOLD)) < 0.5).astype(np.int32)
DATA = Data(X[TOLD], Y, np.ones(len(TOLD)))
LOG = PairLog(jnp.full((2, 2), PADDING), jnp.zeros(2, jnp.int32), jnp.zeros(2), jnp.int32(0))


def fit(learner, data):
    fitted = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    return Posterior(fitted(jax.random.key(0), data), learner)


def by_hand(k, told, y):
    """Mean and covariance of differences of all pairs, from a process on the items: by Newton on rewards."""
    a = np.zeros((len(told), N))
    a[np.arange(len(told)), told[:, 0]], a[np.arange(len(told)), told[:, 1]] = 1, -1
    sign, f = 2.0 * y - 1, np.zeros(N)
    for _ in range(60):
        u = sign * (a @ f)
        hazard = np.exp(stats.norm.logpdf(u) - stats.norm.logcdf(u))
        slope, curvature = a.T @ (sign * hazard), a.T @ np.diag(hazard * (u + hazard)) @ a
        f = k @ np.linalg.solve(np.eye(N) + curvature @ k, curvature @ f + slope)
    covariance = k - k @ np.linalg.solve(np.eye(N) + curvature @ k, curvature @ k)
    d = np.zeros((len(PAIRS), N))
    d[np.arange(len(PAIRS)), PAIRS[:, 0]], d[np.arange(len(PAIRS)), PAIRS[:, 1]] = 1, -1
    return d @ f, d @ covariance @ d.T


CONSTANT = gpjax.mean_functions.Constant


@jax.jit
def ask_pairs(posterior):
    """Predictions of all pairs, and the posterior covariance of the first with each."""
    embedded = posterior.embed(X[PAIRS])
    first = jax.tree.map(lambda leaf: leaf[0], embedded)
    return posterior.predict(X[PAIRS]), jax.vmap(lambda other: posterior.kernel(first, other))(embedded)


def test_process_of_pairs_is_that_of_rewards_and_classification_of_differences():
    from bal.learners.gp import gp_classification, process

    with jax.enable_x64(True):
        linear = process(gpjax.kernels.Linear(variance=1.7))
        found = fit(gp_reward(process(gpjax.kernels.Linear(variance=1.7), mean=CONSTANT(3.0))), DATA)
        of_pairs, column = ask_pairs(found)
        differences = fit(gp_classification(linear), DATA._replace(x=X[TOLD[:, 0]] - X[TOLD[:, 1]]))
        of_differences = jax.jit(lambda p: p.predict(jnp.asarray(X[PAIRS[:, 0]] - X[PAIRS[:, 1]])))(differences)
        for ours, theirs in zip(of_pairs, of_differences):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        mean, covariance = by_hand(1.7 * X @ X.T, TOLD, Y)
        np.testing.assert_allclose(of_pairs.mean[:, 0], mean, atol=1e-8)
        np.testing.assert_allclose(of_pairs.variance[:, 0], np.diag(covariance), atol=1e-8)
        np.testing.assert_allclose(column, covariance[0], atol=1e-8)


@pytest.mark.slow
def test_a_smooth_process_of_pairs_is_that_of_rewards():
    from bal.learners.gp import process

    with jax.enable_x64(True):
        smooth = fit(gp_reward(process(gpjax.kernels.RBF(lengthscale=0.8), mean=CONSTANT(3.0))), DATA)
        apart = ((X[:, None] - X[None]) ** 2).sum(2)
        mean, covariance = by_hand(np.exp(-0.5 * apart / 0.8**2), TOLD, Y)
        latent, column = ask_pairs(smooth)
        np.testing.assert_allclose(latent.mean[:, 0], mean, atol=1e-8)
        np.testing.assert_allclose(latent.variance[:, 0], np.diag(covariance), atol=1e-8)
        np.testing.assert_allclose(column, covariance[0], atol=1e-8)


@pytest.mark.slow
def test_queries_of_a_process():
    from bal.learners.gp import process

    with jax.enable_x64(True):
        smooth = fit(gp_reward(process(gpjax.kernels.RBF(lengthscale=0.8))), DATA)
        apart = ((X[:, None] - X[None]) ** 2).sum(2)
        mean, covariance = by_hand(np.exp(-0.5 * apart / 0.8**2), TOLD, Y)
        items = Items(jnp.asarray(X))
        psi = np.asarray(jax.jit(lambda p: reward_features(p, items))(smooth))
        variance = ((psi[PAIRS[:, 0]] - psi[PAIRS[:, 1]]) ** 2).sum(1)
        np.testing.assert_allclose(variance, np.diag(covariance), atol=1e-7)
        r = np.asarray(jax.jit(lambda p: rewards(p, items).mean)(smooth))
        np.testing.assert_allclose(r[PAIRS[:, 0]] - r[PAIRS[:, 1]], mean, atol=1e-8)

        told = probit_information(mean, np.diag(covariance))
        query = pair_bald(thurstone)
        found = jax.jit(lambda p: query(jax.random.key(0), PairRound(p, items, LOG), 4))(smooth)
        order = np.argsort(-told)[:4]
        np.testing.assert_array_equal(found.pairs, PAIRS[order])
        np.testing.assert_allclose(found.scores, told[order], rtol=1e-5)
        for query in (posterior_d_optimal(thurstone), double_thompson(3, thurstone)):
            found = jax.jit(lambda p, query=query: query(jax.random.key(0), PairRound(p, items, LOG), 2))(smooth)
            assert len(np.unique(found.pairs, axis=0)) == 2


def probit_information(mean, variance):
    """``h(p̄) - E h(Φ(f))`` by a fine sum."""
    z = np.linspace(-9, 9, 4001)
    entropy = lambda p: stats.bernoulli.entropy(p)
    weight = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    inner = [weight @ entropy(stats.norm.cdf(m + np.sqrt(v) * z)) for m, v in zip(mean, variance)]
    return entropy(stats.norm.cdf(mean / np.sqrt(1 + variance))) - np.array(inner)


@pytest.mark.slow
def test_an_ensemble_of_reward_networks_is_its_network_twice():
    network = mlp((4,), num_outputs=1)
    learner = ensemble(reward_network(network), 3, num_steps=3, likelihood=bradley_terry.likelihood)
    x = jnp.asarray(X, jnp.float32)
    posterior = fit(learner, Data(x[TOLD], jnp.asarray(Y), jnp.ones(len(Y))))
    alone = jax.jit(jax.vmap(lambda params: network.apply(params, x)))
    outputs, features = alone(posterior.state.params)
    d = np.asarray(outputs)[:, PAIRS[:, 0], 0] - np.asarray(outputs)[:, PAIRS[:, 1], 0]
    predicted = jax.jit(lambda p: p.predict(x[PAIRS]))(posterior)
    np.testing.assert_allclose(
        predicted, np.moveaxis(np.asarray(bradley_terry.log_probs(jnp.asarray(d))), 0, 1), atol=1e-6
    )
    found = jax.jit(lambda p: rewards(p, Items(x)).draws)(posterior)
    np.testing.assert_allclose(found[PAIRS[:, 0]] - found[PAIRS[:, 1]], d.T, atol=1e-5)
    query = d_optimal()
    picked = jax.jit(lambda p: query(jax.random.key(0), PairRound(p, Items(x), LOG), 1))(posterior)
    flat = np.asarray(features).transpose(1, 0, 2).reshape(N, -1)
    p = 1 / (1 + np.exp(-d.mean(0)))
    gains = np.log1p(p * (1 - p) * ((flat[PAIRS[:, 0]] - flat[PAIRS[:, 1]]) ** 2).sum(1))
    np.testing.assert_array_equal(picked.pairs[0], PAIRS[gains.argmax()])
    np.testing.assert_allclose(picked.scores[0], gains.max(), rtol=1e-4)


@pytest.mark.slow
def test_laplace_of_a_linear_reward_network_is_exact():
    learner = laplace(
        reward_network(mlp((), num_outputs=1)),
        4000,
        "last_layer",
        prior=0.5,
        num_steps=5,
        likelihood=bradley_terry.likelihood,
    )
    x = jnp.asarray(X, jnp.float32)
    posterior = fit(learner, Data(x[TOLD], jnp.asarray(Y), jnp.ones(len(Y))))
    w = np.asarray(posterior.state.params["out"]["kernel"])[:, 0]
    z = X[TOLD[:, 0]] - X[TOLD[:, 1]]
    p = 1 / (1 + np.exp(-z @ w))
    covariance = np.linalg.inv(z.T @ ((p * (1 - p))[:, None] * z) + 2 * np.eye(2))
    draws = jax.jit(lambda p: rewards(p, Items(x)).draws)(posterior)
    centered = X - X[:1]
    np.testing.assert_allclose(np.cov(draws), centered @ covariance @ centered.T, atol=0.1)
    np.testing.assert_allclose(draws.mean(1), centered @ w, atol=0.06)


def test_what_is_no_pair_says_so():
    network = reward_network(mlp((4,), num_outputs=1))
    with pytest.raises(ValueError, match=r"\[n, 2, \.\.\.\]"):
        network.init(jax.random.key(0), jnp.ones((5, 3)))
    with pytest.raises(ValueError, match="num_outputs=1"):
        bradley_terry.likelihood.loss(jnp.ones((5, 2)), jnp.ones(5))
    with pytest.raises(ValueError, match="one answer a pair"):
        bradley_terry.likelihood.loss(jnp.ones((5, 1)), jnp.ones((5, 1)))
    from bal.learners.gp import process

    with pytest.raises(ValueError, match=r"\[n, 2, D\]"):
        gp_reward(process(gpjax.kernels.RBF())).init(
            jax.random.key(0), Data(jnp.ones((5, 3)), jnp.ones(5), jnp.ones(5))
        )
