"""Scores of several draws of hyper-parameters, against dense numerical integration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from bal import acquisition
from bal.typing import Gaussian
from tests import oracles

b_alm, b_qbc, qb_mgp, gaussian_bald, hyperparameter_bald, mixture_bald, weighted_information, weighted_variance = (
    jax.jit(getattr(acquisition, name))
    for name in (
        *("b_alm", "b_qbc", "qb_mgp", "gaussian_bald", "hyperparameter_bald", "mixture_bald"),
        *("weighted_information", "weighted_variance"),
    )
)


def random_moments(spread, ratio, num_draws=4, num_rows=4, seed=0):
    """Means `spread` apart; widths over a range of `ratio`, the widest and the narrowest of it being there."""
    rng = np.random.default_rng(seed)
    width = ratio ** rng.uniform(-0.5, 0.5, (num_rows, num_draws))
    width[:, 0], width[:, 1] = ratio**-0.5, ratio**0.5
    share = rng.uniform(0.2, 0.8, (num_rows, num_draws))
    mean = spread * rng.normal(size=(num_rows, num_draws))
    return Gaussian(mean, share * width**2, (1 - share) * width**2)


def as_arrays(moments, dtype):
    return Gaussian(*(jnp.asarray(leaf, dtype) for leaf in moments))


def draw_information(mean, variance, noise):
    """``mean_k KL(p_k ‖ p̄)`` of one row by adaptive quadrature, piece by piece around every draw."""
    width = np.sqrt(variance + noise)
    log_height = -np.log(width * np.sqrt(2 * np.pi))

    def integrand(y):
        log_p = log_height - ((y - mean) / width) ** 2 / 2
        return float(np.mean(np.exp(log_p) * (log_p - np.logaddexp.reduce(log_p) + np.log(len(mean)))))

    ends = np.unique(mean + np.arange(-10, 11, 2)[:, None] * width)
    return sum(integrate.quad(integrand, a, b, epsabs=1e-12, limit=200)[0] for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("ratio", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("spread", [0.02, 1.0, 40.0])
def test_information_about_the_draw_equals_dense_integration(spread, ratio):
    moments = random_moments(spread, ratio)
    exact = [draw_information(*row) for row in zip(*moments)]
    np.testing.assert_allclose(hyperparameter_bald(as_arrays(moments, jnp.float32)), exact, atol=2e-5, rtol=1e-4)
    with jax.enable_x64(True):
        np.testing.assert_allclose(hyperparameter_bald(as_arrays(moments, jnp.float64)), exact, atol=1e-7)


def test_float32_errs_by_as_much_as_it_says():
    """Two draws one of which is narrow, at distances of every size: nodes are rounded to where the narrow one is."""
    rng = np.random.default_rng(0)
    distance, narrow = 10 ** rng.uniform(-1, 4, 256), 10 ** rng.uniform(-3, 0, 256)
    mean = rng.permuted(np.stack([0 * distance, distance], 1), axis=1)
    noise = np.stack([np.ones(256), narrow**2], 1)
    moments = Gaussian(*(leaf.astype(np.float32) for leaf in (mean, 0 * mean, noise)))
    single = np.asarray(hyperparameter_bald(as_arrays(moments, jnp.float32)), np.float64)
    with jax.enable_x64(True):
        error = np.abs(single - np.asarray(hyperparameter_bald(as_arrays(moments, jnp.float64))))
    reach = distance / narrow
    assert (error <= 1e-6 + 2e-8 * reach).all()
    assert (error > 1e-6 + 2e-9 * reach).any()


def test_mixture_bald_is_the_information_of_the_mixture():
    moments = random_moments(1.0, 4.0)
    exact = [oracles.mixture_information(*row) for row in zip(*moments)]
    with jax.enable_x64(True):
        np.testing.assert_allclose(mixture_bald(as_arrays(moments, jnp.float64)), exact, atol=1e-6)


def test_mixture_bald_is_below_the_bound_of_matched_moments():
    for spread in (0.1, 1.0, 10.0):
        moments = as_arrays(random_moments(spread, 9.0, num_rows=32), jnp.float32)
        moments = moments._replace(noise=np.full_like(moments.noise, 0.3))
        bound = gaussian_bald(moments)
        exact = mixture_bald(moments)
        assert np.all(exact <= bound + 1e-5)
        assert np.max(bound - exact) > 1e-3


def test_one_draw_disagrees_about_nothing():
    moments = as_arrays(random_moments(3.0, 10.0, num_draws=2), jnp.float32)
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[:, :1], moments)
    assert b_qbc(one).tolist() == [0.0] * 4
    assert hyperparameter_bald(one).tolist() == [0.0] * 4
    np.testing.assert_allclose(qb_mgp(one), b_alm(one), rtol=1e-6)
    np.testing.assert_allclose(mixture_bald(one), gaussian_bald(one), rtol=1e-6)


def test_draws_that_agree_disagree_about_nothing():
    same = as_arrays(random_moments(3.0, 10.0), jnp.float32)
    same = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[:, :1], 4, 1), same)
    assert b_qbc(same).tolist() == [0.0] * 4
    assert hyperparameter_bald(same).tolist() == [0.0] * 4


def test_law_of_total_variance():
    moments = as_arrays(random_moments(2.0, 5.0, num_rows=16), jnp.float32)
    both = np.asarray(b_alm(moments)) + np.asarray(b_qbc(moments))
    np.testing.assert_allclose(qb_mgp(moments), both, rtol=1e-6)
    samples = np.random.default_rng(0)
    draw = samples.integers(0, 4, 200_000)
    mean, variance, noise = (np.asarray(leaf)[0] for leaf in moments)
    y = mean[draw] + samples.normal(size=len(draw)) * np.sqrt(variance + noise)[draw]
    fourth = np.mean((y - y.mean()) ** 4)
    error = np.sqrt((fourth - y.var() ** 2) / len(y))
    assert abs(y.var() - float(both[0])) < 4 * error


def test_moments_by_hand():
    moments = Gaussian(*(jnp.array([row]) for row in ([1.0, 3.0], [0.5, 1.5], [0.1, 0.3])))
    assert float(b_alm(moments)[0]) == pytest.approx(1.2)
    assert float(b_qbc(moments)[0]) == pytest.approx(1.0)


def test_far_apart_draws_are_told_apart_by_one_label():
    far = Gaussian(jnp.array([[-30.0, 0.0, 30.0]]), jnp.zeros((1, 3)), jnp.array([[1.0, 0.25, 4.0]]))
    assert float(hyperparameter_bald(far)[0]) == pytest.approx(np.log(3), abs=1e-5)


def test_defect_information_without_the_term_between_means():
    """``log mean sd - mean log sd`` is 0 for draws of one width, however far apart."""
    apart = Gaussian(jnp.array([[-3.0, 3.0]]), jnp.zeros((1, 2)), jnp.ones((1, 2)))
    assert float(hyperparameter_bald(apart)[0]) > 0.6


def test_large_means_do_not_cancel():
    moments = random_moments(1.0, 3.0, seed=1)
    here = hyperparameter_bald(as_arrays(moments, jnp.float32))
    there = hyperparameter_bald(as_arrays(moments._replace(mean=moments.mean + 1000.0), jnp.float32))
    np.testing.assert_allclose(there, here, atol=1e-4)


# Level sets


def test_straddle_is_its_formula_and_prefers_the_uncertain_and_the_near():
    mean, variance = np.array([[0.0], [0.0], [2.0]]), np.array([[1.0], [4.0], [4.0]])
    moments = as_arrays(Gaussian(mean, variance, np.ones((3, 1))), jnp.float32)
    got = jax.jit(acquisition.straddle(0.5))(moments)
    np.testing.assert_allclose(got, 1.96 * np.sqrt(variance[:, 0]) - np.abs(mean[:, 0] - 0.5), rtol=1e-6)
    assert np.argmax(got) == 1
    assert acquisition.straddle(0.5) == acquisition.straddle(0.5)
    with pytest.raises(ValueError, match="not negative"):
        acquisition.straddle(0.5, width=-1.0)
    with pytest.raises(ValueError, match="finite number"):
        acquisition.straddle(float("nan"))


def test_straddle_has_a_finite_slope_at_a_known_row():
    def at(variance):
        return acquisition.straddle(0.5)(Gaussian(jnp.ones((1, 1)), variance[None, None], jnp.ones((1, 1))))[0]

    assert np.isfinite(jax.jit(jax.grad(at))(0.0))


# Weights


def test_a_weight_is_one_over_the_mean_noise_of_the_draws():
    """Not the mean of one over the noise, which is above it where the draws' noises differ, and ranks otherwise."""
    one = np.ones((2, 2), np.float32)
    moments = Gaussian(0 * one, one, np.array([[0.5, 3.5], [1.5, 1.5]], np.float32))
    np.testing.assert_allclose(weighted_variance(moments), [1 / 2, 1 / 1.5], rtol=1e-6)
    np.testing.assert_allclose(weighted_information(moments), 0.5 * np.log1p([1 / 2, 1 / 1.5]), rtol=1e-6)


def test_weighted_rules_are_their_formulas():
    moments = as_arrays(random_moments(0.0, 5.0, num_draws=2, num_rows=8), jnp.float32)
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[:, :1], moments)
    np.testing.assert_allclose(weighted_variance(one), (one.variance / one.noise)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(weighted_information(one), gaussian_bald(one), rtol=1e-5)
    weight = np.arange(8, dtype=np.float32)
    np.testing.assert_allclose(weighted_variance(one, weight), weight * one.variance[:, 0], rtol=1e-6)
    information = 0.5 * np.log1p(weight * one.variance[:, 0])
    np.testing.assert_allclose(weighted_information(one, weight), information, rtol=1e-5)
