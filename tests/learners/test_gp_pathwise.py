"""Joint draws of Gaussian processes against the exact posterior, by their moments."""

import functools

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from bal.acquisition import bald
from bal.learners.gp import (
    Chosen,
    Hyperparameters,
    gp_classification,
    gp_classification_draws,
    gp_regression,
    gp_regression_draws,
    laplace,
    process,
)
from bal.learners.gp.classification import approximate
from bal.learners.gp.links import probit
from bal.loop.checks import check_predictions
from bal.typing import Data

KEY, OTHER = jax.random.key(0), jax.random.key(1)
RNG = np.random.default_rng(0)
X, X_NEW = RNG.normal(size=(8, 2)), RNG.normal(size=(4, 2))
WEIGHT = np.array([1.0, 1, 1, 0, 2, 1, 1, 0])
LENGTHSCALE, VARIANCE, NOISE, MEAN = np.array([0.8, 1.5]), 2.0, 0.1, 0.3
DRAWS, FEATURES = 2000, 512


def prior(kind):
    kernel = gpjax.kernels.RBF(lengthscale=jnp.array(LENGTHSCALE), variance=VARIANCE)
    noise = NOISE if kind == "regression" else None
    return process(kernel, noise, gpjax.mean_functions.Constant(MEAN), fixed=True)


def data(kind):
    y = np.sin(2 * X[:, 0]) + X[:, 1] if kind == "regression" else np.array([1, 0, 0, 1, 1, 0, 1, 1])
    return Data(jnp.array(X), jnp.array(y), jnp.array(WEIGHT))


def gram(a, b):
    return VARIANCE * np.exp(-0.5 * (((a[:, None] - b[None]) / LENGTHSCALE) ** 2).sum(-1))


class Fitted:
    """Many draws, and the posterior that they are of, in float64."""

    def __init__(self, kind):
        self.kind, self.data = kind, data(kind)
        make, exact = {
            "regression": (gp_regression_draws, gp_regression),
            "classification": (gp_classification_draws, gp_classification),
        }[kind]
        self.learner = make(prior(kind), DRAWS, num_features=FEATURES)
        self.fit = jax.jit(lambda key, data: self.learner.fit(key, self.learner.init(key, data), data))
        self.predict = jax.jit(self.learner.predict)
        self.state = self.fit(KEY, self.data)
        exact = exact(prior(kind))
        self.exact = jax.jit(lambda data: exact.predict(exact.fit(KEY, exact.init(KEY, data), data), jnp.array(X_NEW)))

    def functions(self, x, state=None):
        """Draws of f ``[n, K]``: of a classifier, from its probabilities."""
        predictions = self.predict(self.state if state is None else state, jnp.array(x))
        if self.kind == "regression":
            return np.asarray(predictions.mean)
        return scipy.special.ndtri(np.exp(predictions[..., 1]))


@pytest.fixture(scope="module", params=["regression", pytest.param("classification", marks=pytest.mark.slow)])
def fitted(request):
    with jax.enable_x64(True):
        yield Fitted(request.param)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@functools.cache
def precisions(fitted):
    if fitted.kind == "regression":
        return WEIGHT / NOISE
    found = jax.jit(lambda data: approximate(prior(fitted.kind), laplace(), probit, data, jnp.zeros(8)).precision)
    return np.asarray(found(fitted.data))


def test_mean_of_the_draws_is_the_posterior_mean(fitted):
    """The update is exact: the mean of all draws has no error of the features, only of their number."""
    draws, exact = fitted.functions(X_NEW), fitted.exact(fitted.data)
    error = np.abs(draws.mean(1) - exact.mean[:, 0]) / (draws.std(1) / np.sqrt(DRAWS))
    assert error.max() < 4


def test_covariance_of_the_draws(fitted):
    """Within standard errors of what these features give, which is near the posterior covariance of the kernel."""
    real = WEIGHT > 0
    angles = lambda x: x @ np.asarray(fitted.state.draws.frequencies[0]).T
    features = lambda x: np.concatenate([np.cos(angles(x)), np.sin(angles(x))], 1) * np.sqrt(2 * VARIANCE / FEATURES)
    precision = np.linalg.inv(gram(X[real], X[real]) + np.diag(1 / precisions(fitted)[real]))
    gain = gram(X_NEW, X[real]) @ precision
    moved = features(X_NEW) - gain @ features(X[real])
    expected = moved @ moved.T + (gain / precisions(fitted)[real]) @ gain.T
    draws = fitted.functions(X_NEW)
    error = np.sqrt((expected**2 + np.outer(np.diagonal(expected), np.diagonal(expected))) / DRAWS)
    assert (np.abs(np.cov(draws) - expected) / error).max() < 4
    exact = gram(X_NEW, X_NEW) - gain @ gram(X[real], X_NEW)
    assert np.abs(expected - exact).max() < 4 * VARIANCE / np.sqrt(FEATURES)
    assert np.abs(expected - exact).max() > 1e-6  # or the features are not those of the draws
    np.testing.assert_allclose(np.diagonal(exact), fitted.exact(fitted.data).variance[:, 0], atol=1e-9)


def test_the_posterior_itself_is_at_hand(fitted):
    learner = fitted.learner
    own = lambda state: jax.vmap(lambda a: learner.kernel(state, a, a))(learner.embed(state, jnp.array(X_NEW)))
    np.testing.assert_allclose(jax.jit(own)(fitted.state), fitted.exact(fitted.data).variance[:, 0], atol=1e-9)


@pytest.mark.slow  # rows, keys and padding: tests/contracts
def test_draws_are_functions(fitted):
    """Row by row, in any order and number, the same; another key, other functions; padding changes none."""
    whole = fitted.functions(X_NEW)
    np.testing.assert_allclose(fitted.functions(X_NEW[[2, 0, 0]]), whole[[2, 0, 0]], atol=1e-6)
    again, other = (fitted.functions(X_NEW, fitted.fit(key, fitted.data)) for key in (KEY, OTHER))
    np.testing.assert_array_equal(again, whole)
    assert np.abs(other - whole).min(0).max() > 0.1
    assert np.abs(np.diff(whole, axis=1)).max(0).min() > 1e-4
    real = jnp.array(WEIGHT > 0)
    x, y = jnp.where(real[:, None], fitted.data.x, jnp.nan), jnp.where(real, fitted.data.y, 9)
    poisoned = fitted.functions(X_NEW, fitted.fit(KEY, fitted.data._replace(x=x, y=y)))
    np.testing.assert_allclose(poisoned, whole, atol=1e-9)


def test_predictions_are_sound(fitted):
    predictions = fitted.predict(fitted.state, jnp.array(X_NEW))
    check_predictions(predictions, 4, None if fitted.kind == "regression" else 2)
    if fitted.kind == "regression":
        assert (predictions.variance == 0).all()
        np.testing.assert_allclose(predictions.noise, NOISE)
    else:
        assert (bald(predictions) > 0).all()


def test_noise_free_draws_pass_through_the_labels():
    y = np.sin(X[:, 0])
    learner = gp_regression_draws(process(gpjax.kernels.Matern32(), noise=1e-8), 3, num_features=64)
    given = Data(jnp.array(X), jnp.array(y), jnp.ones(8))
    predict = jax.jit(lambda given: learner.predict(learner.fit(KEY, learner.init(KEY, given), given), given.x).mean)
    np.testing.assert_allclose(predict(given), np.stack([y] * 3, 1), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RBF", "Matern12", "Matern32", "Matern52"])
def test_features_are_those_of_the_kernel(kind):
    """Without a label the draws are of the prior; the second input is not active. Four standard errors."""
    num_draws, num_features = 8000, 8192
    kernel = getattr(gpjax.kernels, kind)(active_dims=[0], lengthscale=0.7, variance=1.5)
    learner = gp_regression_draws(process(kernel, noise=NOISE), num_draws, num_features=num_features)
    empty = Data(jnp.zeros((1, 2)), jnp.zeros(1), jnp.zeros(1))
    predict = jax.jit(lambda x: learner.predict(learner.fit(KEY, learner.init(KEY, empty), empty), x).mean)
    draws = np.asarray(predict(jnp.array([[0.0, 0.0], [0.5, 9.0], [2.0, -9.0]])))
    expected = np.array(
        [[float(kernel(jnp.array([a]), jnp.array([b]))) for b in (0.0, 0.5, 2.0)] for a in (0.0, 0.5, 2.0)]
    )
    variance = (expected**2 + 1.5**2) / num_draws + 1.5**2 / num_features * (1 - np.eye(3))  # cos² + sin² is 1
    assert (np.abs(np.cov(draws) - expected) / np.sqrt(variance)).max() < 4


def test_draws_of_hyperparameters_share_the_draws():
    """Prior means 0 and 50, two functions each, far from the labels."""

    def choose(key, initial, previous, objective):
        return Chosen(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 50.0]), initial), jnp.ones(2, bool))

    fixed = process(gpjax.kernels.RBF(), 1.0, fixed=True)
    model = fixed._replace(mean=gpjax.mean_functions.Constant(0.0))
    learner = gp_regression_draws(model, 4, Hyperparameters(2, choose), num_features=64)
    given = Data(jnp.zeros((2, 1)), jnp.zeros(2), jnp.ones(2))
    far = jnp.full((1, 1), 100.0)
    predict = jax.jit(lambda given: learner.predict(learner.fit(KEY, learner.init(KEY, given), given), far).mean[0])
    f = np.asarray(predict(given))
    np.testing.assert_allclose(f, [0, 0, 50, 50], atol=5)
    assert len(set(np.round(f % 50, 6).tolist())) == 4


def test_errors_teach():
    rbf = gpjax.kernels.RBF()
    for kernel in (rbf + rbf, gpjax.kernels.Periodic(), gpjax.kernels.Linear()):
        with pytest.raises(ValueError, match="spectral density"):
            gp_regression_draws(process(kernel, noise=1.0), 4)
    with pytest.raises(ValueError, match="num_draws=3"):
        gp_regression_draws(process(rbf, noise=1.0), 3, Hyperparameters(2, lambda *arguments: None))
    with pytest.raises(ValueError, match="even number"):
        gp_classification_draws(process(rbf), 3, num_features=7)
    learner = gp_regression_draws(process(rbf, noise=1.0), 2, num_features=8)
    given = Data(jnp.zeros((2, 1)), jnp.zeros((2, 3)), jnp.ones(2))
    with pytest.raises(ValueError, match="one output"):
        jax.eval_shape(lambda given: learner.fit(KEY, learner.init(KEY, given), given), given)
