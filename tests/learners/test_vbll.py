"""Variational last layers: exact linear regression on fixed features, and Jensen's bound by its own formula."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal

from bal import learners
from bal.learners.heads.normals import Head, full_spreads, spread
from bal.learners.vbll import Trained
from bal.typing import Data

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
WEIGHT = np.array([1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.0])


def test_the_bound_of_regression_is_the_exact_log_evidence_where_training_leaves_it():
    """On features that are fixed, with no training at all: the posterior in closed form, and the bound there."""
    noise, prior = 0.3, 2.0
    y = X @ [1.0, -2.0] + 0.5 + 0.3 * RNG.normal(size=7)
    learner = learners.vbll_regression(
        learners.linear(1), noise=noise, prior=prior, num_steps=0
    )  # features: the inputs
    data = Data(jnp.float32(X), jnp.float32(y), jnp.float32(WEIGHT))
    state = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(data)
    phi = np.c_[X, np.ones(7)]
    precision = 3 / prior * np.eye(3) + phi.T @ (phi * WEIGHT[:, None]) / noise
    covariance = np.linalg.inv(precision)
    mean = covariance @ phi.T @ (WEIGHT * y) / noise
    new = np.c_[RNG.normal(size=(5, 2)) * 2, np.ones(5)]
    found, rows = jax.jit(lambda state, x: (learner.predict(state, x), learner.embed(state, x)))(
        state, jnp.float32(new[:, :2])
    )
    np.testing.assert_allclose(found.mean[:, 0], new @ mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.variance[:, 0], np.diag(new @ covariance @ new.T), rtol=1e-4)
    np.testing.assert_allclose(found.noise, noise, rtol=1e-6)
    pairs = jax.jit(jax.vmap(jax.vmap(learner.kernel, (None, None, 0)), (None, 0, None)))(state, rows, rows)
    np.testing.assert_allclose(pairs, new @ covariance @ new.T, rtol=1e-3, atol=1e-5)

    m, root = np.float64(state.head.mean), np.float64(state.head.root)
    given, spread = WEIGHT > 0, noise * root @ root.T
    residual = (y - phi @ m) ** 2 + np.sum(phi @ spread * phi, 1)
    divergence = np.trace(spread) * 3 / prior + m @ m * 3 / prior - 3 - np.linalg.slogdet(spread * 3 / prior)[1]
    bound = -0.5 * np.sum(WEIGHT * (np.log(2 * np.pi * noise) + residual / noise)) - 0.5 * divergence
    evidence = multivariate_normal.logpdf(
        y[given], cov=prior / 3 * phi[given] @ phi[given].T + np.diag(noise / WEIGHT[given])
    )  # a weight w counts a label w times: a normal of variance noise / w, up to its normalization
    evidence += np.sum(0.5 * (1 - WEIGHT[given]) * np.log(2 * np.pi * noise) - 0.5 * np.log(WEIGHT[given]))
    np.testing.assert_allclose(bound, evidence, rtol=1e-5)


def test_training_of_regression_stays_at_the_best_independent_normals():
    """Mean of the exact posterior, one over the diagonal of its precision, and the noise that these leave.

    One long step of plain descent on the bound goes nowhere from there, and somewhere else from elsewhere.
    """
    y = X @ [1.0, -2.0] + 0.5 + 0.3 * RNG.normal(size=7)
    given = WEIGHT > 0
    phi = np.c_[X, np.ones(7)] * np.sqrt(2.0 / 3)
    noise = 1.0
    for _ in range(500):
        precision = np.eye(3) + phi.T @ (phi * WEIGHT[:, None]) / noise
        mean, variance = np.linalg.solve(precision, phi.T @ (WEIGHT * y) / noise), 1 / np.diag(precision)
        noise = (WEIGHT @ ((y - phi @ mean) ** 2 + phi**2 @ variance) + 0.01) / (WEIGHT.sum() + 3)
    learner = learners.vbll_regression(
        learners.linear(1),
        prior=2.0,
        optimizer=optax.sgd(1.0),
        num_steps=1,
        minibatch_size=50_000,
        restart=learners.warm,
    )
    x, labels, weight = (jnp.float32(part[given]) for part in (X, y, WEIGHT))
    data = Data(x, labels, weight)
    start = learner.init(KEY, data)
    fit = jax.jit(lambda head: learner.fit(KEY, start._replace(trained=Trained(start.trained.params, head)), data))
    best = Head(jnp.float32(mean[None]), jnp.float32(np.log(variance)[None] / 20), jnp.float32(np.log(noise) / 10))
    for shift in (0.0, 0.05):
        after = fit(jax.tree.map(lambda leaf, shift=shift: leaf + shift, best)).trained.head
        moved = [np.abs(a - b - shift).max() for a, b in zip(after, best, strict=True)]
        assert (np.array(moved) < 0.1).all() if shift == 0 else (np.array(moved) > 0.15).all(), moved


@pytest.mark.parametrize("diagonal", [pytest.param(True, marks=pytest.mark.slow), False])
def test_draws_have_the_normals_and_one_step_descends_jensens_bound(diagonal):
    """The bound is below what the draws say; its slope is what one step of plain descent takes from the mean. Full
    covariances are where it is lowest, by its slopes about their entries."""
    make = lambda rate: learners.vbll(
        learners.linear(3),
        50_000,
        prior=2.0,
        diagonal=diagonal,
        optimizer=optax.sgd(rate),
        num_steps=1,
        restart=learners.warm,
    )
    x, label, weight = np.array([0.7, -1.2]), 1, 4.0
    data = Data(jnp.float32(x[None]), jnp.array([label]), jnp.array([weight]))
    start = make(0.0).init(KEY, data)
    scales, mean = RNG.uniform(0.3, 1.5, size=(3, 3)), RNG.normal(size=(3, 3))
    trained = Trained(start.trained.params, Head(jnp.float32(mean), jnp.float32(np.log(scales) / 10), jnp.zeros(())))
    phi = np.append(x, 1.0) * np.sqrt(2.0 / 3)
    np.testing.assert_allclose(spread(trained.head.log_scale, jnp.float32(phi[None]))[0], scales**2 @ phi**2, rtol=1e-5)
    state = jax.jit(lambda trained: make(0.01).fit(KEY, start._replace(trained=trained), data))(trained)

    def bound(mean, covariances):
        logits = mean @ phi + covariances @ phi @ phi / 2
        norms = np.trace(covariances, axis1=1, axis2=2) - np.linalg.slogdet(covariances)[1] + np.sum(mean**2, 1)
        return logsumexp(logits) - mean[label] @ phi + 0.5 * np.sum(norms) / weight

    independent = np.stack([np.diag(row) for row in scales**2])
    slope = np.reshape(
        [
            (bound(mean + e, independent) - bound(mean - e, independent)) / 2e-5
            for e in 1e-5 * np.eye(9).reshape(9, 3, 3)
        ],
        (3, 3),
    )
    after = np.float64(state.trained.head.mean)
    np.testing.assert_allclose(after, mean - 0.01 * slope, atol=1e-5)
    if diagonal:
        covariances = np.stack([np.diag(row) for row in np.exp(20 * np.float64(state.trained.head.log_scale))])
    else:
        covariances = independent
        for _ in range(200):  # where the slopes below vanish
            share = softmax(after @ phi + covariances @ phi @ phi / 2)
            covariances = np.stack([np.linalg.inv(np.eye(3) + weight * p * np.outer(phi, phi)) for p in share])
        for place in np.ndindex(3, 3, 3):
            e = np.zeros((3, 3, 3))
            e[place] = e[place[0], place[2], place[1]] = 1e-5
            assert abs(bound(after, covariances + e) - bound(after, covariances - e)) < 1e-9
    draws = np.asarray(state.draws, np.float64)
    for c in range(3):
        np.testing.assert_allclose(np.cov(draws[:, c].T), covariances[c], atol=0.04 * covariances[c].max())
    np.testing.assert_allclose(draws.mean(0), after, atol=0.03)
    log_probs = draws @ phi
    log_probs = (log_probs - logsumexp(log_probs, 1, keepdims=True))[:, label]
    likelihood = logsumexp(after @ phi + covariances @ phi @ phi / 2) - after[label] @ phi
    assert likelihood > -log_probs.mean()
    np.testing.assert_allclose(
        jax.jit(make(0.01).predict)(state, jnp.float32(x[None]))[0, :, label], log_probs, rtol=1e-4, atol=1e-4
    )


def test_full_covariances_are_found_for_wide_priors_too():
    """The fixed point in numpy; logits of variance 30 and labels of weight 100."""
    phi, mean = 5 * RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3))
    weight = np.array([1.0, 100.0, 1.0, 0.0, 2.0, 1.0])
    head = Head(jnp.float32(mean), jnp.full((4, 3), -0.2), jnp.zeros(()))
    z = jnp.tile(jnp.eye(3)[None], (4, 1, 1))
    roots = np.float64(jax.jit(full_spreads)(head, jnp.float32(phi), jnp.float32(weight), z))
    covariances = roots @ roots.transpose(0, 2, 1)
    share = softmax(phi @ mean.T + 0.5 * np.einsum("nf,cfg,ng->nc", phi, covariances, phi), 1)
    for c in range(4):
        expected = np.linalg.inv(np.eye(3) + phi.T @ (phi * (weight * share[:, c])[:, None]))
        np.testing.assert_allclose(covariances[c], expected, rtol=0.02, atol=1e-4)


@pytest.mark.slow
def test_the_noise_of_labels_is_learned():
    """With features that say nothing the noise is the variance of the labels, within its prior."""
    y = np.random.default_rng(1).normal(size=200) * 0.5
    data = Data(jnp.zeros((200, 1)), jnp.float32(y), jnp.ones(200))
    learner = learners.vbll_regression(learners.linear(1), optimizer=optax.adam(0.01), num_steps=600)
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, data), data))()
    found = jax.jit(learner.predict)(state, jnp.zeros((1, 1)))
    np.testing.assert_allclose(found.noise[0, 0], y.var(), rtol=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: learners.vbll(learners.linear(2), 0), "num_draws must be at least 1"),
        (lambda: learners.vbll(learners.linear(2), 2, prior=0.0), "prior is a variance and must be positive"),
        (lambda: learners.vbll_regression(learners.linear(1), noise=-1.0), "noise is a variance and must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
