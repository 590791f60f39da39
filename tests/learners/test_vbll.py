"""Variational last layers: exact linear regression on fixed features, and Jensen's bound by its own formula."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp

from bal import learners
from bal.learners.heads.normals import Head, spread
from bal.learners.vbll import Trained, VbllState
from bal.typing import Data

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
WEIGHT = np.array([1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.0])


def test_on_fixed_features_the_posterior_is_that_of_linear_regression():
    noise, prior = 0.3, 2.0
    y = X @ [1.0, -2.0] + 0.5 + 0.3 * RNG.normal(size=7)
    learner = learners.vbll_regression(
        learners.linear(1),  # its features are the inputs
        noise=noise,
        prior=prior,
        diagonal=False,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.02, 3_000)),
        num_steps=3_000,
    )
    data = Data(jnp.float32(X), jnp.float32(y), jnp.float32(WEIGHT))
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, data), data))()
    phi = np.c_[X, np.ones(7)]
    covariance = np.linalg.inv(3 / prior * np.eye(3) + phi.T @ (phi * WEIGHT[:, None]) / noise)
    mean = covariance @ phi.T @ (WEIGHT * y) / noise
    new = np.c_[RNG.normal(size=(5, 2)) * 2, np.ones(5)]
    found, rows = (jax.jit(part)(state, jnp.float32(new[:, :2])) for part in (learner.predict, learner.embed))
    np.testing.assert_allclose(found.mean[:, 0], new @ mean, atol=0.03)
    np.testing.assert_allclose(found.variance[:, 0], np.diag(new @ covariance @ new.T), rtol=0.05)
    np.testing.assert_allclose(found.noise, noise, rtol=1e-6)
    pairs = jax.vmap(jax.vmap(learner.kernel, (None, None, 0)), (None, 0, None))(state, rows, rows)
    np.testing.assert_allclose(pairs, new @ covariance @ new.T, atol=0.02)


@pytest.mark.parametrize("diagonal", [pytest.param(True, marks=pytest.mark.slow), False])
def test_draws_have_the_normals_and_one_step_descends_jensens_bound(diagonal):
    """The bound is below what the draws say; its slope is what one step of plain descent takes from the mean."""
    make = lambda rate: learners.vbll(
        learners.linear(3),
        50_000,
        prior=2.0,
        diagonal=diagonal,
        optimizer=optax.sgd(rate),
        num_steps=1,
        restart=learners.warm,
    )
    x, label = np.array([0.7, -1.2]), 1
    data = Data(jnp.float32(x[None]), jnp.array([label]), jnp.array([4.0]))
    start = make(0.0).init(KEY, data).trained
    root = np.tril(RNG.normal(size=(3, 3, 3)), -1) + np.eye(3) * RNG.uniform(0.3, 1.5, size=(3, 1, 3))
    if diagonal:
        root = root * np.eye(3)
    held = np.tril(root, -1) + np.eye(3) * np.log(np.where(np.eye(3) > 0, root, 1.0)) / 10
    held = np.diagonal(held, axis1=1, axis2=2) if diagonal else held
    mean = RNG.normal(size=(3, 3))
    trained = Trained(start.params, Head(jnp.float32(mean), jnp.float32(held), jnp.zeros(())))
    phi = np.append(x, 1.0) * np.sqrt(2.0 / 3)
    np.testing.assert_allclose(
        spread(trained.head.factor, jnp.float32(phi[None]))[0], [np.sum((phi @ L) ** 2) for L in root], rtol=1e-5
    )
    fit = jax.jit(lambda trained: make(0.01).fit(KEY, VbllState(trained, jnp.zeros((50_000, 3, 3))), data))
    state = fit(trained)

    def bound(mean):
        variance = np.array([phi @ L @ L.T @ phi for L in root])
        return logsumexp(mean @ phi + variance / 2) - mean[label] @ phi + 0.5 * np.sum(mean**2) / 4

    slope = np.array([[(bound(mean + e) - bound(mean - e)) / 2e-5 for e in 1e-5 * np.eye(9).reshape(9, 3, 3)]]).reshape(
        3, 3
    )
    np.testing.assert_allclose(state.trained.head.mean, mean - 0.01 * slope, atol=1e-5)
    new_root = np.asarray(state.trained.head.factor)
    new_root = np.stack(
        [np.diag(np.exp(10 * f)) if diagonal else np.tril(f, -1) + np.diag(np.exp(10 * np.diag(f))) for f in new_root]
    )
    draws = np.asarray(state.draws, np.float64)
    for c in range(3):
        covariance = new_root[c] @ new_root[c].T
        np.testing.assert_allclose(np.cov(draws[:, c].T), covariance, atol=0.04 * covariance.max())
    log_probs = draws @ phi
    log_probs = (log_probs - logsumexp(log_probs, 1, keepdims=True))[:, label]
    likelihood = bound(mean) - 0.5 * np.sum(mean**2) / 4
    assert likelihood > -log_probs.mean() - 0.1
    np.testing.assert_allclose(
        make(0.0).predict(state, jnp.float32(x[None]))[0, :, label], log_probs, rtol=1e-4, atol=1e-4
    )


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
