"""ALC and EPIG from covariances, against loops in float64 and 2 x 2 determinants."""

import jax
import numpy as np
import pytest

from bal import acquisition

alc, covariance_epig = jax.jit(acquisition.alc), jax.jit(acquisition.covariance_epig)
N, M = 32, 5


def random_covariances(seed=0, scale=1.0):
    """Blocks of a true covariance matrix, so that every correlation is one."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(N + M, 4)) * scale
    full = root @ root.T
    noise, target_noise = 10 ** rng.uniform(-2, 1, N), 10 ** rng.uniform(-2, 1, M)
    return full[:N, N:], full.diagonal()[:N], noise, full.diagonal()[N:], target_noise, rng.uniform(0, 2, M)


def single(arrays):
    return [np.asarray(x, np.float32) for x in arrays]


def alc_by_loop(covariance, variance, noise, weight):
    weight = weight / weight.sum()
    terms = [[w * c**2 / (v + s) for c, w in zip(row, weight)] for row, v, s in zip(covariance, variance, noise)]
    return np.array([sum(row) for row in terms])


def epig_by_determinants(covariance, variance, noise, target_variance, target_noise, weight):
    out = np.zeros(len(covariance))
    for n, m in np.ndindex(covariance.shape):
        joint = np.array([[variance[n] + noise[n], covariance[n, m]], [0, target_variance[m] + target_noise[m]]])
        joint[1, 0] = joint[0, 1]
        out[n] += weight[m] * 0.5 * (np.log(joint[0, 0]) + np.log(joint[1, 1]) - np.linalg.slogdet(joint)[1])
    return out / weight.sum()


def test_alc_is_its_definition():
    covariance, variance, noise, _, _, weight = random_covariances()
    got = alc(*single((covariance, variance, noise, weight)))
    np.testing.assert_allclose(got, alc_by_loop(covariance, variance, noise, weight), rtol=2e-5)


def test_epig_is_the_information_of_two_normals():
    case = random_covariances(1)
    np.testing.assert_allclose(covariance_epig(*single(case)), epig_by_determinants(*case), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("scale", [1e-3, 3e-3])
def test_epig_of_small_correlations_keeps_its_relative_accuracy(scale):
    """There it is ``½ ρ²`` of the order 1e-9, below what a difference of entropies resolves in float32."""
    case = random_covariances(2, scale)
    np.testing.assert_allclose(covariance_epig(*single(case)), epig_by_correlations(*case), rtol=1e-4)


def epig_by_correlations(covariance, variance, noise, target_variance, target_noise, weight):
    square = covariance**2 / ((variance + noise)[:, None] * (target_variance + target_noise)[None])
    return -0.5 * np.log1p(-square) @ weight / weight.sum()


def test_epig_is_at_most_the_information_about_the_function():
    covariance, variance, noise, target_variance, target_noise, _ = random_covariances(3)
    for weight in np.eye(M):
        got = covariance_epig(*single((covariance, variance, noise, target_variance, target_noise, weight)))
        assert np.all(got <= 0.5 * np.log1p(variance / noise) + 1e-5)


@pytest.mark.parametrize("name", ["alc", "covariance_epig"])
def test_weights_are_normalized_and_all_equal_unless_given(name):
    covariance, *rest, _ = single(random_covariances(4))
    rest = rest[:2] if name == "alc" else rest
    score = {"alc": alc, "covariance_epig": covariance_epig}[name]
    equal = score(covariance, *rest)
    np.testing.assert_allclose(score(covariance, *rest, np.full(M, 7, np.float32)), equal, rtol=1e-6)
    only = [leaf[1:2] if leaf.shape == (M,) else leaf for leaf in rest]
    first = score(covariance[:, 1:2], *only)
    np.testing.assert_allclose(score(covariance, *rest, np.eye(M, dtype=np.float32)[1]), first, rtol=1e-6)


def test_alc_of_all_targets_known_through_one_label():
    """A noise-free label of a function that is the same everywhere takes all variance away."""
    one = np.ones(1, np.float32)
    assert float(alc(np.ones((1, 3), np.float32), one, 0 * one)[0]) == pytest.approx(1.0)


def test_blocks_join():
    covariance, variance, noise, target_variance, target_noise, weight = random_covariances(5)
    many = lambda leaf: np.tile(leaf, (33, 1)) if leaf.ndim == 2 else np.tile(leaf, 33)
    rows = [many(leaf) for leaf in (covariance, variance, noise)]
    for score, rest in ((alc, (weight,)), (covariance_epig, (target_variance, target_noise, weight))):
        got = score(*single((*rows, *rest)))
        np.testing.assert_allclose(got, np.tile(score(*single((covariance, variance, noise, *rest))), 33), rtol=2e-6)
