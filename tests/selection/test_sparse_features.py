"""Features and closed-form products of sparse approximations against slow float64 references and simulation."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from bal import query, selection
from bal.pool import chunked, dense, make_pool
from bal.pool.labeled import ask, empty_log
from bal.selection import SparseRows, sum_rows
from bal.typing import Gaussian, Learner, Posterior, Round

RNG = np.random.RandomState(0)
KEY = jax.random.key(0)
log_likelihoods = jax.jit(selection.expected_log_likelihoods)
known_noise = jax.jit(selection.known_noise, static_argnums=3)
unknown_noise = jax.jit(selection.unknown_noise, static_argnums=(3, 4))
head_rows = jax.jit(selection.head_rows)


def test_expected_log_likelihoods_from_the_definition():
    probs = np.random.RandomState(1).dirichlet(np.ones(3), (5, 4))  # [n, K, C]
    got = log_likelihoods(np.log(probs).astype(np.float32))
    for n in range(5):
        mean = probs[n].mean(0)
        g = [(np.log(probs[n, :, y]) - np.log(probs[n, :, y]).mean()) / np.sqrt(4) for y in range(3)]
        phi = sum(mean[y] * g[y] for y in range(3))
        np.testing.assert_allclose(got.features[n], phi, rtol=1e-4, atol=1e-6)
        spread = sum(mean[y] * np.sum((g[y] - phi) ** 2) for y in range(3))
        np.testing.assert_allclose(got.variance[n], spread, rtol=1e-4)


def test_log_likelihoods_with_certain_or_identical_draws():
    probs = np.array([[[1, 0], [0.5, 0.5]], [[0.3, 0.7], [0.3, 0.7]], [[1, 0], [1, 0]]], np.float32)
    with np.errstate(divide="ignore"):
        rows = jax.device_get(log_likelihoods(np.log(probs)))
    assert np.isfinite(rows.features).all()
    assert np.isfinite(rows.variance).all()
    assert rows.features[1:].tolist() == [[0.0, 0.0]] * 2
    assert rows.variance[1:].tolist() == [0.0] * 2
    np.testing.assert_allclose(rows.features.sum(1), 0.0, atol=1e-4)  # centered


def test_gaussian_log_likelihoods_by_quadrature():
    rng = np.random.RandomState(2)
    mean, variance, noise = rng.randn(3, 4), rng.rand(3, 4), 0.3 + rng.rand(3, 4)
    some = Gaussian(*(x.astype(np.float32) for x in (mean, variance, noise)))
    got = jax.jit(selection.expected_gaussian_log_likelihoods)(some)
    y = np.linspace(-15, 15, 20001)
    for n in range(3):
        log_p = scipy.stats.norm.logpdf(y[:, None], mean[n], np.sqrt(variance[n] + noise[n]))
        weight = np.exp(log_p).mean(1) * (y[1] - y[0])
        g = (log_p - log_p.mean(1, keepdims=True)) / 2
        phi = weight @ g
        np.testing.assert_allclose(got.features[n], phi, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(got.variance[n], weight @ np.sum((g - phi) ** 2, 1), rtol=1e-3)


def test_pseudo_label_gradients_are_gradients():
    logits, hidden = RNG.randn(3).astype(np.float32), RNG.randn(2).astype(np.float32)
    layer = jnp.zeros((3, 2))
    loss = lambda layer, y: -jax.nn.log_softmax(logits + layer @ hidden)[y]
    gradients = np.asarray(jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(layer, np.arange(3))).reshape(3, -1)
    log_p = scipy.special.log_softmax(logits)
    rows = jax.jit(selection.pseudo_label_gradients)(log_p[None, None], hidden[None])
    np.testing.assert_allclose(rows.features[0], gradients[int(np.argmax(logits))], atol=1e-6)
    p = np.exp(log_p)
    np.testing.assert_allclose(p @ gradients, 0.0, atol=1e-6)  # why the pseudo-label is needed
    np.testing.assert_allclose(rows.variance[0], p @ np.sum(gradients**2, 1), rtol=1e-5)


def _softmax_posterior():
    weights = jnp.asarray(RNG.randn(2, 4, 3), jnp.float32)  # D K C
    predict = lambda state, x: jax.nn.log_softmax(jnp.einsum("nd,dkc->nkc", x, state), -1)
    embed = lambda state, x: x[:, None]
    return Posterior(weights, Learner(None, None, predict, embed))


@pytest.mark.parametrize("over", [dense, chunked(4)])
def test_pool_sums_count_what_waits_for_a_label(over):
    posterior, x = _softmax_posterior(), jnp.asarray(RNG.randn(10, 2), jnp.float32)
    pool = make_pool(x)._replace(present=jnp.arange(10) != 3)
    labeled = ask(empty_log(4, jnp.zeros(10, jnp.int32)), jnp.array([5, 7]), jnp.ones(2) > 0)
    rows = query.sparse_rows(selection.expected_log_likelihoods)
    sums = jax.jit(lambda x: query.pool_sums(rows)(KEY, Round(posterior, pool._replace(x=x), labeled, None), over))(x)
    wait = [0, 1, 2, 4, 6, 8, 9]
    values, gradients = jax.jit(lambda x: (rows(posterior, None, x), query.gradient_rows(posterior, None, x)))(x)
    phi = np.asarray(values.features, np.float64)[wait]
    np.testing.assert_allclose(sums.features, phi.sum(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sums.norm, np.linalg.norm(phi, axis=1).sum(), rtol=1e-5)
    assert int(sums.count) == 7
    assert gradients.features.shape == (10, 6)


def test_a_row_without_a_value_is_left_out_of_the_sums():
    one = np.ones(3, np.float32)
    sums = jax.jit(sum_rows)(SparseRows(np.array([[1], [np.nan], [2]], np.float32), one), one)
    assert (sums.features.tolist(), float(sums.count)) == ([3.0], 2.0)


D = 3
X = RNG.randn(6, D)
TRAIN_X, TRAIN_Y = RNG.randn(8, D), RNG.randn(8)
NOISE = 0.5


def gram(pair, rows):
    every = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))
    return np.asarray(jax.jit(every)(rows, rows))


@functools.cache
def linear_draws():
    """Head, Gram matrices by the closed forms, and log likelihoods and gradients at 200,000 draws."""
    as32 = lambda x: jnp.asarray(x, jnp.float32)
    head = known_noise(as32(TRAIN_X), as32(TRAIN_Y), jnp.ones(8), NOISE)
    rows = head_rows(as32(X), head)
    mean, covariance = np.asarray(head.mean, np.float64), np.asarray(head.covariance, np.float64)
    theta = np.random.RandomState(3).multivariate_normal(mean, covariance, 200_000)
    f, s = theta @ X.T, np.einsum("nd,de,ne->n", X, covariance, X)
    expected = -0.5 * np.log(2 * np.pi * NOISE) - (NOISE + s + (X @ mean - f) ** 2) / (2 * NOISE)
    entropy = 0.5 * np.log(2 * np.pi * np.e * (NOISE + s))
    scores = (X @ mean - f) / NOISE
    return head, rows, expected + entropy, scores


def test_head_is_the_regularized_regression():
    head = linear_draws()[0]
    covariance = NOISE * np.linalg.inv(TRAIN_X.T @ TRAIN_X + NOISE * np.eye(D))
    np.testing.assert_allclose(head.covariance, covariance, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.mean, covariance @ TRAIN_X.T @ TRAIN_Y / NOISE, rtol=1e-4, atol=1e-5)


def test_linear_fisher_by_simulation_and_as_features():
    _, rows, _, scores = linear_draws()
    simulated = (scores.T @ scores / len(scores)) * (X @ X.T)
    closed = gram(selection.linear_fisher, rows)
    np.testing.assert_allclose(closed, simulated, atol=0.02 * np.abs(simulated).max())
    features = jax.jit(selection.linear_features, static_argnums=2)(rows.x, linear_draws()[0].covariance, NOISE)
    features = np.asarray(features.features)
    np.testing.assert_allclose(features @ features.T, closed, rtol=1e-4, atol=1e-5)


def test_projections_converge_to_the_euclidean_closed_form():
    """The error of J projections falls as 1 / √J."""
    _, rows, values, _ = linear_draws()
    closed = gram(selection.linear_euclidean, rows)

    def error(size):
        blocks = values[: 200_000 // size * size].reshape(-1, size, values.shape[1])[:400]
        return np.sqrt(np.mean([(block.T @ block / size - closed) ** 2 for block in blocks]))

    np.testing.assert_allclose(closed, values.T @ values / len(values), atol=0.03 * np.abs(closed).max())
    assert 2.3 < error(50) / error(450) < 3.9  # √9 = 3


def test_unknown_noise_is_the_expectation_over_the_noise():
    as32 = lambda x: jnp.asarray(x, jnp.float32)
    head = unknown_noise(as32(TRAIN_X), as32(TRAIN_Y), jnp.ones(8), 2.0, 1.5)
    precision = TRAIN_X.T @ TRAIN_X + np.eye(D)
    scale, mean = np.linalg.inv(precision), np.linalg.solve(precision, TRAIN_X.T @ TRAIN_Y)
    a, b = 2.0 + 4, 1.5 + 0.5 * (TRAIN_Y @ TRAIN_Y - mean @ precision @ mean)
    closed = gram(selection.linear_fisher, head_rows(as32(X), head))
    np.testing.assert_allclose(closed, a / b * (X @ X.T) * (X @ scale @ X.T), rtol=1e-3, atol=1e-4)
    noise = 1 / np.random.RandomState(4).gamma(a, 1 / b, 200_000)
    deviation = np.random.RandomState(5).multivariate_normal(np.zeros(D), scale, 200_000) * np.sqrt(noise)[:, None]
    scores = deviation @ X.T / noise[:, None]
    simulated = (scores.T @ scores / len(scores)) * (X @ X.T)
    np.testing.assert_allclose(closed, simulated, atol=0.02 * np.abs(simulated).max())


def test_probit_form_against_bivariate_normal_and_owens_t():
    head, rows, _, _ = linear_draws()
    got = gram(selection.probit_fisher, rows)
    mean, covariance = X @ np.asarray(head.mean), X @ np.asarray(head.covariance, np.float64) @ X.T
    total = np.sqrt(1 + np.diag(covariance))
    zeta, rho = mean / total, covariance / np.outer(total, total)
    for n, m in itertools.combinations(range(4), 2):
        joint = scipy.stats.multivariate_normal.cdf(zeta[[n, m]], cov=[[1, rho[n, m]], [rho[n, m], 1]])
        expected = X[n] @ X[m] * (joint - scipy.stats.norm.cdf(zeta[n]) * scipy.stats.norm.cdf(zeta[m]))
        np.testing.assert_allclose(got[n, m], expected, rtol=2e-3, atol=2e-5)
    single = scipy.stats.norm.cdf(zeta)
    owen = scipy.special.owens_t(zeta, 1 / np.sqrt(1 + 2 * np.diag(covariance)))
    np.testing.assert_allclose(np.diag(got), np.sum(X**2, 1) * (single * (1 - single) - 2 * owen), rtol=1e-3)


def test_logistic_form_is_close_to_the_logistic():
    head, rows, _, _ = linear_draws()
    theta = np.random.RandomState(6).multivariate_normal(head.mean, head.covariance, 200_000)
    sigmoid = scipy.special.expit(theta @ X.T)
    simulated = np.diag(np.cov(sigmoid.T) * (X @ X.T))
    ratio = np.diag(gram(selection.logistic_fisher, rows)) / simulated
    assert (ratio > 0.88).all()
    assert (ratio < 1.1).all()
