"""Linear heads against conjugate posteriors, evidences and densities in float64, from their definitions."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

from bal.learners import bayesian_linear, from_functions, gaussian, mlp, neural_linear, normal_inverse_gamma
from bal.learners.heads.features import check_features
from bal.query import features
from bal.typing import Data, Posterior

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, X_NEW = RNG.normal(size=(9, 3)).astype(np.float32), RNG.normal(size=(5, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 0.5] + 3.0 + 0.3 * RNG.normal(size=9)).astype(np.float32)
ONES = np.ones(9, np.float32)
PHI, PHI_NEW = (np.c_[np.float64(x), np.ones(len(x))] for x in (X, X_NEW))


@lru_cache
def compiled(learner):
    return jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))


def fitted(learner, x=X, y=Y, weight=ONES):
    return compiled(learner)(KEY, Data(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight)))


def posterior(alpha, beta, y=Y, weight=ONES):
    """Mean and covariance of the weights."""
    covariance = np.linalg.inv(alpha * np.eye(4) + beta * PHI.T @ (weight[:, None] * PHI))
    return beta * covariance @ PHI.T @ (weight * np.float64(y)), covariance


def test_the_conjugate_posterior():
    """Exact with fractional weights, weight 0 (whatever is there) and weight 2, which is a row twice."""
    learner, weight = bayesian_linear(noise=0.2, prior=1.5), np.float32([1, 0.5, 2, 1, 0, 1, 1, 2, 0])
    x, y = X.copy(), Y.copy()
    x[weight == 0], y[weight == 0] = np.nan, np.nan
    state = fitted(learner, x, y, weight)
    mean, covariance = posterior(1 / 1.5, 1 / 0.2, weight=weight)
    found = learner.predict(state, X_NEW)
    np.testing.assert_allclose(found.mean[:, 0], PHI_NEW @ mean, rtol=1e-6, atol=1e-6)
    expected = PHI_NEW @ covariance @ PHI_NEW.T
    np.testing.assert_allclose(found.variance[:, 0], np.diag(expected), rtol=1e-6)
    np.testing.assert_allclose(found.noise, 0.2, rtol=1e-7)
    rows = learner.embed(state, X_NEW)
    between = jax.vmap(jax.vmap(learner.kernel, (None, None, 0)), (None, 0, None))(state, rows, rows)
    np.testing.assert_allclose(between, expected, atol=1e-6)
    np.testing.assert_array_equal(features(Posterior(state, learner), None, jnp.asarray(X_NEW)), np.float32(PHI_NEW))


def standardized(y=Y):
    y = np.float64(y)
    return (y - y.mean()) / y.std(), y.std()


def hyper_prior(precision, mode):
    """Log gamma density of the logarithm of a precision, worth two observations."""
    return np.log(precision) - precision / mode


USUAL = np.mean(np.sum(PHI**2, 1))


@pytest.mark.parametrize(("noise", "prior"), [(None, None), (0.3, None), (None, 0.7)])
def test_what_is_not_given_maximises_the_evidence(noise, prior):
    z, scale = standardized()

    def negative(logs):
        alpha, beta = np.exp(logs)
        alpha, beta = scale**2 / prior if prior else alpha, scale**2 / noise if noise else beta
        evidence = stats.multivariate_normal(np.zeros(9), PHI @ PHI.T / alpha + np.eye(9) / beta).logpdf(z)
        return -evidence - hyper_prior(alpha, USUAL) - hyper_prior(beta, 10.0)

    best = np.exp(minimize(negative, [0.0, 0.0], tol=1e-9).x)
    state = fitted(bayesian_linear(noise=noise, prior=prior))
    assert state.converged.all()
    np.testing.assert_allclose(state.prior, prior or scale**2 / best[0], rtol=1e-3)
    np.testing.assert_allclose(state.noise[0], noise or scale**2 / best[1], rtol=1e-3)
    mean, _ = posterior(1 / float(state.prior), 1 / float(state.noise[0]), Y - Y.mean())
    np.testing.assert_allclose(state.mean, mean, rtol=1e-4, atol=1e-5)


def test_unknown_noise_is_the_normal_inverse_gamma_posterior():
    a, b, prior = 1.5, 0.4, 2.0
    learner = normal_inverse_gamma(3, prior=prior, shape=a, scale=b, standardize=False)
    state = fitted(learner)
    mean, covariance = posterior(1 / prior, 1.0)
    y = np.float64(Y)
    b_post = b + 0.5 * (y @ y - mean @ np.linalg.solve(covariance, mean))
    np.testing.assert_allclose([state.shape, state.scale], [a + 4.5, b_post], rtol=1e-6)
    found = learner.predict(state, X_NEW)
    np.testing.assert_allclose(found.mean, np.repeat((PHI_NEW @ mean)[:, None], 3, 1), rtol=1e-5, atol=1e-6)
    spread = np.sum(PHI_NEW @ covariance * PHI_NEW, 1)
    np.testing.assert_allclose(found.variance / found.noise, np.repeat(spread[:, None], 3, 1), rtol=1e-5)


def test_draws_of_the_noise_mix_to_a_student_t():
    """Density by quadrature over the noise = Student t = average over many draws, within their error."""
    learner = normal_inverse_gamma(4000, prior=2.0)
    state = fitted(learner)
    found = jax.tree.map(lambda leaf: np.float64(leaf[0]), learner.predict(state, X_NEW[:1]))
    a, b, spread = float(state.shape), float(state.scale), found.variance[0] / found.noise[0]
    t = stats.t(2 * a, found.mean[0], np.sqrt(b / a * (1 + spread)))
    for y in found.mean[0] + np.array([0.0, 0.7, 2.0]):
        joint = lambda s, y=y: (
            stats.norm.pdf(y, found.mean[0], np.sqrt(s * (1 + spread))) * stats.invgamma.pdf(s, a, 0, b)
        )
        np.testing.assert_allclose(t.pdf(y), quad(joint, 0, np.inf)[0], rtol=1e-5)
        each = stats.norm.pdf(y, found.mean, np.sqrt(found.variance + found.noise))
        assert abs(each.mean() - t.pdf(y)) < 4 * each.std() / np.sqrt(4000)


def test_the_prior_under_unknown_noise_maximises_the_evidence():
    z, _ = standardized()

    def negative(log_ratio):
        ratio = np.exp(log_ratio[0])
        shape = 0.1 * (np.eye(9) + PHI @ PHI.T / ratio)  # scale over shape, a = 1
        return -stats.multivariate_t(np.zeros(9), shape, df=2.0).logpdf(z) - hyper_prior(ratio, 0.1 * USUAL)

    state = fitted(normal_inverse_gamma(3))
    assert state.converged.all()
    np.testing.assert_allclose(1 / state.prior, np.exp(minimize(negative, [0.0], tol=1e-9).x[0]), rtol=1e-3)


@pytest.mark.parametrize("learner", [bayesian_linear(), normal_inverse_gamma(3)])
def test_units_of_labels_do_not_matter(learner):
    """Labels in other units give the same predictions in them, also if they are all equal, one or none."""
    plain, scaled = (learner.predict(fitted(learner, y=y), X_NEW) for y in (Y, np.float32(500 + 2e3 * Y)))
    np.testing.assert_allclose(scaled.mean, 500 + 2e3 * plain.mean, rtol=1e-4)
    np.testing.assert_allclose(scaled.variance, 4e6 * plain.variance, rtol=1e-3)
    for weight, y in ((ONES, np.full_like(Y, 7.0)), (ONES * (np.arange(9) == 2), Y), (0 * ONES, Y)):
        state = fitted(learner, y=y, weight=weight)
        found = learner.predict(state, X_NEW)
        assert all(np.isfinite(leaf).all() for leaf in found)
        assert state.converged.all()
        assert (found.variance > 0).all()
        center = np.sum(weight * y) / max(weight.sum(), 1.0)
        np.testing.assert_allclose(found.mean, center, rtol=1e-5, atol=1e-5)


def test_a_head_on_a_trained_network_is_the_posterior_of_its_features():
    learner = neural_linear(mlp((4,), 1), bayesian_linear(noise=0.2, prior=1.5), likelihood=gaussian(0.2), num_steps=30)
    state = fitted(learner)
    hidden = state.params["hidden"][0]
    features_of = lambda x: np.maximum(np.float64(x) @ np.float64(hidden["kernel"]) + np.float64(hidden["bias"]), 0)
    phi, phi_new = (np.c_[features_of(x), np.ones(len(x))] for x in (X, X_NEW))
    covariance = np.linalg.inv(np.eye(5) / 1.5 + phi.T @ phi / 0.2)
    given = Data(jnp.asarray(X), jnp.asarray(Y), jnp.asarray(ONES))
    both = jax.jit(lambda state, x: (learner.predict(state, x), learner.condition(KEY, state, given)))
    found, again = both(state, X_NEW)
    np.testing.assert_allclose(found.mean[:, 0], phi_new @ covariance @ phi.T @ Y / 0.2, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.variance[:, 0], np.sum(phi_new @ covariance * phi_new, 1), rtol=1e-4)
    np.testing.assert_allclose(again.head.mean, state.head.mean, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match=r"expected a learner of JAX as head, got an object of type Learner"):
        neural_linear(mlp((4,), 1), from_functions(lambda x, y: 0.0, lambda model, x: np.zeros((len(x), 2))))


def test_bad_settings_are_taught():
    for make in (lambda: bayesian_linear(noise=0.0), lambda: normal_inverse_gamma(3, shape=-1.0)):
        with pytest.raises(ValueError, match="must be positive and finite"):
            make()
    with pytest.raises(TypeError, match="expected a function of the inputs as features"):
        check_features(3)
    data = Data(jnp.ones((2, 3)), jnp.ones(2), jnp.ones(2))
    with pytest.raises(ValueError, match="one vector a row, got shape"):
        bayesian_linear(lambda x: x.sum(1)).init(KEY, data)
    with pytest.raises(ValueError, match=r"labels \[L\]"):
        fitted(bayesian_linear(), y=Y[:, None])
