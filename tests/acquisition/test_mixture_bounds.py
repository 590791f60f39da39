"""Bounds by pairwise distances against the integrals that they bound, and against integrals of each pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from test_mixture import as_arrays, random_moments

from bal.acquisition import mixture_bald_lower, mixture_bald_upper
from bal.typing import Gaussian

lower, upper = jax.jit(mixture_bald_lower), jax.jit(mixture_bald_upper)


def draw_information(mean, variance):
    """``mean_k KL(p_k ‖ p̄)`` of one row by the trapezoidal rule on points around every draw."""
    width = np.sqrt(variance)
    y = np.sort((mean + width * np.linspace(-9, 9, 20_001)[:, None]).ravel())
    log_p = stats.norm.logpdf(y[:, None], mean, width)
    log_mixture = np.logaddexp.reduce(log_p, 1) - np.log(len(mean))
    return np.trapezoid(np.mean(np.exp(log_p) * (log_p - log_mixture[:, None]), 1), y)


@pytest.mark.parametrize("ratio", [1.0, 100.0])
@pytest.mark.parametrize("spread", [0.02, 1.0, 40.0])
def test_the_bounds_hold_the_information_between_them(spread, ratio):
    moments = random_moments(spread, ratio)
    given_draw = np.mean(0.5 * np.log1p(moments.variance / moments.noise), 1)
    exact = (
        np.array([draw_information(*row) for row in zip(moments.mean, moments.variance + moments.noise)]) + given_draw
    )
    arrays = as_arrays(moments, jnp.float32)
    low, high = (np.asarray(bound(arrays), np.float64) for bound in (lower, upper))
    assert (low <= exact + 1e-5).all()
    assert (exact <= high + 1e-5).all()
    assert (low >= given_draw - 1e-6).all()
    assert (high <= given_draw + np.log(4) + 1e-5).all()


def test_distances_are_those_of_the_densities():
    """Of two draws, with the coefficient and the divergence integrated."""
    mean, variance = np.array([[0.3, -1.0]]), np.array([[0.5, 2.0]])
    p, q = (stats.norm(m, np.sqrt(v)) for m, v in zip(mean[0], variance[0]))
    integral = lambda f: integrate.quad(f, -30, 30, limit=200, epsabs=1e-12)[0]
    coefficient = integral(lambda y: np.sqrt(p.pdf(y) * q.pdf(y)))
    apart = [integral(lambda y, a=a, b=b: a.pdf(y) * (a.logpdf(y) - b.logpdf(y))) for a, b in ((p, q), (q, p))]
    arrays = as_arrays(Gaussian(mean, 0 * variance, variance), jnp.float32)
    assert float(lower(arrays)[0]) == pytest.approx(-np.log((1 + coefficient) / 2), rel=1e-5)
    assert float(upper(arrays)[0]) == pytest.approx(-np.mean(np.log((1 + np.exp(-np.array(apart))) / 2)), rel=1e-5)


def test_limits():
    """Nothing about the draw where all agree, log K where they are far apart; accurate where they nearly agree."""
    one = np.ones((3, 5))
    mean = np.arange(5.0)[None] * np.array([[0.0], [1e-3], [1e3]])
    moments = as_arrays(Gaussian(mean, 0 * one, one), jnp.float32)  # information about the draw: small
    for bound in (lower, upper):
        found = np.asarray(bound(moments), np.float64)
        assert found[0] == 0
        assert found[2] == pytest.approx(np.log(5), rel=1e-6)
    small = 1e-6 * np.var(np.arange(5)) / 2  # ½ Var_k mean_k / noise
    assert float(lower(moments)[1]) == pytest.approx(small / 2, rel=1e-3)
    assert float(upper(moments)[1]) == pytest.approx(2 * small, rel=1e-3)
