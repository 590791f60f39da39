"""Scores of regression models against slow float64 versions, closed forms and quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import acquisition
from bal.typing import Gaussian
from tests import oracles

epistemic_variance = jax.jit(acquisition.epistemic_variance)
gaussian_bald = jax.jit(acquisition.gaussian_bald)
gaussian_entropy = jax.jit(acquisition.gaussian_entropy)
total_variance = jax.jit(acquisition.total_variance)

FAST = [total_variance, epistemic_variance, gaussian_entropy, gaussian_bald]
SLOW = {
    total_variance: oracles.total_variance,
    epistemic_variance: lambda mean, variance, noise: oracles.epistemic_variance(mean, variance),
    gaussian_entropy: oracles.gaussian_entropy,
    gaussian_bald: oracles.gaussian_bald,
}


def random_moments(seed: int = 0, num_rows: int = 32, num_draws: int = 6, network: bool = False) -> Gaussian:
    rng = np.random.default_rng(seed)
    shape = (num_rows, num_draws)
    mean = rng.normal(size=(num_rows, 1)) + rng.normal(size=shape) * np.geomspace(0.01, 10, num_rows)[:, None]
    variance = np.zeros(shape) if network else rng.uniform(0.0, 2.0, shape)
    noise = 10 ** rng.uniform(-2, 1, shape)
    return Gaussian(*(jnp.asarray(leaf, jnp.float32) for leaf in (mean, variance, noise)))


def constant(mean, variance: float, noise: float) -> Gaussian:
    """One row of draws that share their variance and their noise."""
    mean = jnp.asarray([mean], jnp.float32)
    return Gaussian(mean, jnp.full_like(mean, variance), jnp.full_like(mean, noise))


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("fast", FAST)
def test_equals_the_oracle(fast, network):
    moments = random_moments(network=network)
    scores = fast(moments)
    assert scores.shape == (32,)
    assert scores.dtype == jnp.float32
    np.testing.assert_allclose(scores, SLOW[fast](*moments), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("fast", FAST)
def test_large_means_do_not_cancel(fast):
    moments = random_moments(1)
    shifted = moments._replace(mean=moments.mean + 1000.0)
    np.testing.assert_allclose(fast(shifted), SLOW[fast](*shifted), rtol=2e-5, atol=2e-6)


# Exact values -----------------------------------------------------------------------------------------------


def test_law_of_total_variance():
    moments = random_moments(9)
    noise = moments.noise.mean(axis=1)
    np.testing.assert_allclose(total_variance(moments), epistemic_variance(moments) + noise, rtol=1e-5)


def test_one_network_knows_no_epistemic_variance():
    moments = random_moments(10, num_draws=1, network=True)
    assert np.all(np.asarray(epistemic_variance(moments)) == 0.0)
    np.testing.assert_allclose(gaussian_bald(moments), 0.0, atol=1e-6)


def test_disagreement_of_two_networks():
    moments = constant([-3.0, 3.0], 0.0, 1.0)
    assert float(epistemic_variance(moments)[0]) == pytest.approx(9.0, rel=1e-6)
    assert float(total_variance(moments)[0]) == pytest.approx(10.0, rel=1e-6)
    assert float(gaussian_bald(moments)[0]) == pytest.approx(0.5 * np.log(10), rel=1e-6)


@pytest.mark.parametrize("num_draws", [1, 4])
@pytest.mark.parametrize("ratio", [1e-2, 1.0, 1e2])
def test_bald_is_exact_where_the_predictions_are_one_normal(num_draws, ratio):
    moments = constant([0.7] * num_draws, 0.3 * ratio, 0.3)
    assert float(gaussian_bald(moments)[0]) == pytest.approx(0.5 * np.log1p(ratio), rel=2e-5)


@pytest.mark.parametrize("ratio", [1e-6, 1e-4])
def test_bald_of_a_confident_process_keeps_its_relative_accuracy(ratio):
    assert float(gaussian_bald(constant([0.7], 0.3 * ratio, 0.3))[0]) == pytest.approx(0.5 * ratio, rel=1e-2)


def test_bald_bounds_the_information_of_the_mixture_from_above():
    moments = random_moments(11, num_rows=4, num_draws=4)
    exact = np.array([oracles.mixture_information(*row) for row in zip(*(np.asarray(leaf) for leaf in moments))])
    assert np.all(gaussian_bald(moments) >= exact - 1e-5)
    assert np.min(gaussian_bald(moments) - exact) < 0.1


def test_bald_is_not_negative_where_noise_differs_between_draws():
    rng = np.random.default_rng(12)
    noise = jnp.asarray(10 ** rng.uniform(-3, 3, (64, 5)), jnp.float32)
    moments = Gaussian(jnp.zeros((64, 5)), jnp.zeros((64, 5)), noise)
    assert np.all(gaussian_bald(moments) > 0)


def test_entropy_of_a_standard_normal():
    moments = constant([0.0, 0.0], 0.25, 0.75)
    assert float(gaussian_entropy(moments)[0]) == pytest.approx(0.5 * np.log(2 * np.pi * np.e), rel=1e-6)


def test_bald_ranks_as_variance_under_equal_noise_and_differently_otherwise():
    variance, noise = jnp.asarray([[0.1], [1.0], [2.0]]), jnp.asarray([[0.01], [1.0], [5.0]])
    equal = Gaussian(jnp.zeros((3, 1)), variance, jnp.ones((3, 1)))
    assert np.argsort(np.asarray(gaussian_bald(equal))).tolist() == [0, 1, 2]
    unequal = equal._replace(noise=noise)
    assert np.argsort(np.asarray(total_variance(unequal))).tolist() == [0, 1, 2]
    assert np.argsort(np.asarray(gaussian_bald(unequal))).tolist() == [2, 1, 0]


def test_defect_information_without_the_term_between_means():
    apart, together = constant([-2.0, 0.0, 2.0], 0.0, 0.5), constant([0.0, 0.0, 0.0], 0.0, 0.5)
    assert float(gaussian_bald(together)[0]) == pytest.approx(0.0, abs=1e-6)
    assert float(gaussian_bald(apart)[0]) == pytest.approx(0.5 * np.log1p(8 / 3 / 0.5), rel=1e-5)
