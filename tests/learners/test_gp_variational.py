"""The variational posterior of a classifier against its own conditions, an optimizer and integration on a grid."""

import functools

import jax
import numpy as np
import pytest
from gp_classifiers import MEAN, METHODS, NUMPY, X, Y, gram, prior, run_approximate, slopes
from scipy.integrate import quad
from scipy.optimize import minimize


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def bound(link, x, y, mean, covariance):
    """The evidence lower bound of any normal of the labeled f, with dense sums for expectations."""
    z = np.linspace(-10, 10, 2001)
    mass = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    f = (2 * y - 1)[:, None] * (mean[:, None] + np.sqrt(np.diagonal(covariance))[:, None] * z)
    k = gram(x, x)
    trace = np.trace(np.linalg.solve(k, covariance))
    quadratic = (mean - MEAN) @ np.linalg.solve(k, mean - MEAN)
    divergence = 0.5 * (trace + quadratic - len(x) + np.linalg.slogdet(k)[1] - np.linalg.slogdet(covariance)[1])
    return (NUMPY[link](f) @ mass).sum() - divergence


def expected(sign, mean, deviation, of):
    """Expectation of a function of the signed f by adaptive integration."""
    density = lambda z: of(sign * (mean + deviation * z)) * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return quad(density, -12, 12, epsabs=1e-12, limit=200)[0]


def normal(x, found):
    """Mean and covariance of the labeled f of an approximation."""
    k = gram(x, x)
    return MEAN + k @ found.alpha, np.linalg.inv(np.linalg.inv(k) + np.diag(found.precision))


@pytest.mark.parametrize("link", ["probit", pytest.param("logit", marks=pytest.mark.slow)])
def test_variational_is_a_fixed_point_and_better_than_laplace(link):
    found = run_approximate(prior(), "variational", link)
    mean, covariance = normal(X, found)
    sign, deviation = 2 * Y - 1, np.sqrt(np.diagonal(covariance))
    for place in range(8):
        at = functools.partial(expected, sign[place], mean[place], deviation[place])
        np.testing.assert_allclose(found.alpha[place], sign[place] * at(lambda f: slopes(link, f)[0]), atol=1e-8)
        np.testing.assert_allclose(found.precision[place], at(lambda f: slopes(link, f)[1]), atol=1e-8)
    np.testing.assert_allclose(found.log_evidence, bound(link, X, Y, mean, covariance), atol=1e-9)
    laplaces = run_approximate(prior(), "laplace", link)
    assert found.log_evidence > bound(link, X, Y, *normal(X, laplaces)) + 1e-3


def test_variational_is_what_an_optimizer_finds():
    """Over every mean and covariance of three labels, from another start."""
    x, y = X[:3], Y[:3]
    lower = np.tril_indices(3)

    def unpack(parameters):
        factor = np.zeros((3, 3))
        factor[lower] = parameters[3:]
        return parameters[:3], factor @ factor.T + 1e-12 * np.eye(3)

    start = np.r_[np.zeros(3), np.eye(3)[lower]]
    best = minimize(lambda p: -bound("probit", x, y, *unpack(p)), start, tol=1e-12, options={"maxiter": 2000})
    found = run_approximate(prior(), "variational", "probit", x, y)
    np.testing.assert_allclose(found.log_evidence, -best.fun, atol=1e-8)
    mean, covariance = normal(x, found)
    np.testing.assert_allclose(mean, unpack(best.x)[0], atol=1e-3)
    np.testing.assert_allclose(covariance, unpack(best.x)[1], atol=1e-3)


def test_both_are_close_to_the_exact_posterior_of_two_labels():
    """Integrated on a grid. The variational mean is off by less than 2 % of a deviation, the mode by a third of one."""
    x, y = X[:2], Y[:2]
    axis = np.linspace(-12, 12, 601)
    f = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    k = gram(x, x)
    log_density = NUMPY["probit"]((2 * y - 1) * f).sum(1) - 0.5 * np.einsum(
        "ni,ij,nj->n", f - MEAN, np.linalg.inv(k), f - MEAN
    )
    density = np.exp(log_density)
    log_evidence = np.log(density.sum() * (axis[1] - axis[0]) ** 2) - np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(k)[1]
    mean = density @ f / density.sum()
    deviation = np.sqrt(density @ (f - mean) ** 2 / density.sum())
    off = {}
    for method in METHODS:
        found = run_approximate(prior(), method, "probit", x, y)
        center, covariance = normal(x, found)
        off[method] = np.abs(center - mean) / deviation
        assert (np.sqrt(np.diagonal(covariance)) / deviation < 1.0).all()
        assert (np.sqrt(np.diagonal(covariance)) / deviation > {"laplace": 0.8, "variational": 0.9}[method]).all()
        assert abs(found.log_evidence - log_evidence) < {"laplace": 0.2, "variational": 0.02}[method]
        assert method == "laplace" or found.log_evidence < log_evidence
    assert off["variational"].max() < 0.02
    assert 0.1 < off["laplace"].max() < 0.34
