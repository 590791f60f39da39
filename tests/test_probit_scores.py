"""EPIG of a Gaussian process classifier as a stage: covariances from the learner, the same picks in any chunks."""

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import probit_bald, probit_epig
from bal.learners.gp import gp_classification, process
from bal.pool import chunked, make_pool
from bal.pool.labeled import empty_log
from bal.query import Query, Stage, Targets, epig_scores, run_query, targets
from bal.selection import best
from bal.typing import Data, Posterior, Round

RNG = np.random.default_rng(0)
X, X_TARGET, X_LABELED = (RNG.normal(size=(num, 2)) for num in (11, 5, 6))
Y = (X_LABELED[:, 0] > 0).astype(np.int32)
KERNEL = gpjax.kernels.RBF(lengthscale=1.0, variance=10.0)

scores = jax.jit(epig_scores)
predict = jax.jit(Posterior.predict)
LEARNER = gp_classification(process(KERNEL, fixed=True))
fit = jax.jit(LEARNER.fit)


def fitted(weight) -> Posterior:
    data = Data(jnp.asarray(X_LABELED), jnp.asarray(Y), jnp.asarray(weight, jnp.float64))
    key = jax.random.key(0)
    return Posterior(fit(key, LEARNER.init(key, data), data), LEARNER)


def about(posterior: Posterior, weight=None) -> Targets:
    x = jnp.asarray(X_TARGET)
    return Targets(predict(posterior, x), jnp.ones(5) if weight is None else jnp.asarray(weight), x)


@pytest.fixture(scope="module")
def posterior():
    with jax.enable_x64(True):
        return fitted([1, 1, 1, 1, 1, 0])


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def test_without_labels_it_is_that_of_the_prior(float64):
    prior = fitted(np.zeros(6))
    square = ((X[:, None] - X_TARGET[None]) ** 2).sum(-1)
    correlation = 10 * np.exp(-0.5 * square) / 11
    one = 0.25 + np.arcsin(correlation) / (2 * np.pi)  # both latents are positive: Sheppard's formula
    exact = 2 * one * np.log(4 * one) + (1 - 2 * one) * np.log(2 - 4 * one)
    np.testing.assert_allclose(scores(prior, about(prior), jnp.asarray(X)), exact.mean(1), atol=1e-6)


def test_after_labels_it_uses_the_covariance_pair_by_pair(posterior, float64):
    @jax.jit
    def covariance_of(posterior, x, z):
        rows, there = posterior.embed(x), posterior.embed(z)
        row = lambda tree, n: jax.tree.map(lambda leaf: leaf[n], tree)
        one = lambda place: posterior.kernel(row(rows, place // 5), row(there, place % 5))
        return jax.lax.map(one, jnp.arange(55)).reshape(11, 5)

    covariance = covariance_of(posterior, jnp.asarray(X), jnp.asarray(X_TARGET))
    weight = [1.0, 2.0, 0.0, 3.0, 1.0]
    prediction, context = predict(posterior, jnp.asarray(X)), about(posterior, weight)
    double = jax.jit(probit_epig)(prediction, context.predictions, covariance, context.weight)
    found = np.asarray(scores(posterior, context, jnp.asarray(X)))
    np.testing.assert_allclose(found, double, atol=1e-6)
    assert found.argmax() == np.argmax(double)
    assert (found <= np.asarray(jax.jit(probit_bald)(prediction)) + 1e-6).all()
    assert (found > 0).all()


def test_chunks_and_subsets_give_the_same_rows(posterior, float64):
    context = about(posterior)
    whole = scores(posterior, context, jnp.asarray(X))
    pieces = jax.jit(lambda *args: chunked(4).map(epig_scores, args[:2], args[2]))
    np.testing.assert_allclose(pieces(posterior, context, jnp.asarray(X)), whole, rtol=1e-4, atol=1e-8)


@pytest.mark.slow  # queries about targets: tests/acquisition/test_epig.py
def test_in_a_query_the_best_row_is_picked(posterior, float64):
    query = Query((Stage(epig_scores, best, context=targets(jnp.asarray(X_TARGET))),))
    pool = make_pool(jnp.asarray(X))
    labeled = empty_log(3, jnp.zeros(11, jnp.int32))

    @jax.jit
    def picked(posterior, pool, labeled):
        return run_query(jax.random.key(0), query, Round(posterior, pool, labeled, None), 1)[0]

    selection = picked(posterior, pool, labeled)
    whole = np.asarray(scores(posterior, about(posterior), jnp.asarray(X)))
    assert int(selection.indices[0]) == whole.argmax()
    assert float(selection.scores[0]) == pytest.approx(whole.max(), rel=1e-5)
