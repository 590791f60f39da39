"""Scores of probit classifiers against adaptive quadrature, Monte Carlo, and what information must satisfy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from bal.acquisition import houlsby_bald, probit_bald, probit_entropy, probit_epig, probit_probability
from bal.numerics import normal_excess
from bal.typing import Latent

bald, houlsby, epig, excess = map(jax.jit, (probit_bald, houlsby_bald, probit_epig, normal_excess))
probability, label_entropy = jax.jit(probit_probability), jax.jit(probit_entropy)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def entropy(p):
    return -scipy.special.xlogy(p, p) - scipy.special.xlogy(1 - p, 1 - p)


def bump(f):
    """``h(Φ(f))``, accurate in the tails."""
    yes, no = scipy.special.log_ndtr(f), scipy.special.log_ndtr(-f)
    return -np.exp(yes) * yes - np.exp(no) * no


def expected_entropy(mean: float, variance: float) -> float:
    scale = np.sqrt(variance)
    low, high = (0.0, np.inf) if scale > 1 else (mean - 12 * scale, mean + 12 * scale)
    density = scipy.stats.norm(mean, scale).pdf
    if scale > 1:  # the bump is the narrow one
        value = scipy.integrate.quad(lambda f: bump(f) * (density(f) + density(-f)), low, 12.0, epsabs=1e-13)
    else:
        value = scipy.integrate.quad(lambda f: bump(f) * density(f), low, high, epsabs=1e-13, limit=200)
    return value[0]


def information(table: np.ndarray) -> np.ndarray:
    """Mutual information of tables ``[..., 2, 2]``."""
    apart = table.sum(-1, keepdims=True) * table.sum(-2, keepdims=True)
    return np.sum(scipy.special.xlogy(table, table / apart), (-2, -1))


def both(a: float, b: float, correlation: float) -> float:
    """``P(u <= a, v <= b)``: condition on u, and integrate it."""
    rest = np.sqrt(1 - correlation**2)
    integrand = lambda u: scipy.stats.norm.pdf(u) * scipy.special.ndtr((b - correlation * u) / rest)
    step = b / correlation if correlation else 0.0  # where the integrand falls, steeply if the correlation is high
    inner = [point for point in (step - 5 * rest, step, step + 5 * rest) if -12 < point < a]
    return scipy.integrate.quad(integrand, -12.0, a, points=inner or None, epsabs=1e-13, limit=400)[0]


def pair_information(a: float, b: float, correlation: float) -> float:
    one, p, q = both(a, b, correlation), scipy.special.ndtr(a), scipy.special.ndtr(b)
    return float(information(np.array([[one, p - one], [q - one, 1 - p - q + one]])))


def latents(seed: int = 0, num: int = 12) -> tuple[Latent, Latent, jax.Array]:
    """Rows, seven targets, and a covariance that some joint normal has, in whatever dtype is on."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(num + 7, 5)) * np.geomspace(0.1, 5, num + 7)[rng.permutation(num + 7), None]
    covariance, mean = factor @ factor.T, 1.5 * rng.normal(size=num + 7)
    every = Latent(jnp.asarray(mean[:, None]), jnp.asarray(np.diag(covariance)[:, None]))
    rows, targets = (jax.tree.map(lambda leaf, part=part: leaf[part], every) for part in (slice(num), slice(num, None)))
    return rows, targets, jnp.asarray(covariance[:num, num:])


# Entropy and BALD -------------------------------------------------------------------------------------------

MEANS, VARIANCES = (0.0, 0.3, 1.0, 2.5, 6.0, -1.5), tuple(10.0**power for power in range(-4, 5))


def grid() -> Latent:
    mean, variance = np.meshgrid(MEANS, VARIANCES)
    return Latent(jnp.asarray(mean.reshape(-1, 1)), jnp.asarray(variance.reshape(-1, 1)))


@pytest.fixture(scope="module")
def exact_bald():
    expected = np.array([[expected_entropy(mean, variance) for mean in MEANS] for variance in VARIANCES])
    standard = np.array(MEANS) / np.sqrt(1 + np.array(VARIANCES)[:, None])
    return (bump(standard) - expected).ravel()


def test_bald_is_that_of_adaptive_quadrature(exact_bald, float64):
    np.testing.assert_allclose(bald(grid()), exact_bald, atol=1e-9)


def test_bald_in_float32(exact_bald):
    np.testing.assert_allclose(bald(grid()), exact_bald, atol=5e-7)


def test_gauss_hermite_for_the_normal_itself_would_fail(exact_bald):
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    naive = np.log(2) - weights @ bump(10 * nodes) / weights.sum()
    assert abs(naive - float(bald(Latent(jnp.zeros((1, 1)), jnp.full((1, 1), 100.0)))[0])) > 0.05


def test_houlsby_is_as_close_as_its_bump_and_in_nats(exact_bald, float64):
    error = np.asarray(houlsby(grid())) - exact_bald
    assert 0.0015 < np.abs(error).max() < 0.0019
    assert float(houlsby(Latent(jnp.zeros((1, 1)), jnp.zeros((1, 1))))[0]) == pytest.approx(0.0, abs=1e-15)
    assert float(houlsby(grid()).min()) < -1e-4


def test_several_draws_average_entropies_and_probabilities(float64):
    mean, variance = np.array([[-1.0, 2.0, 0.5]]), np.array([[0.5, 3.0, 0.0]])
    p = scipy.special.ndtr(mean / np.sqrt(1 + variance)).mean()
    expected = (expected_entropy(-1.0, 0.5) + expected_entropy(2.0, 3.0) + bump(0.5)) / 3
    draws = Latent(jnp.asarray(mean), jnp.asarray(variance))
    assert float(probability(draws)[0]) == pytest.approx(p, abs=1e-14)
    assert float(label_entropy(draws)[0]) == pytest.approx(entropy(p), abs=1e-14)
    assert float(bald(draws)[0]) == pytest.approx(entropy(p) - expected, abs=1e-9)


# EPIG -------------------------------------------------------------------------------------------------------


def test_excess_of_the_bivariate_normal(float64):
    a, b = np.array([0.0, 0.3, -2.5, 4.0]), np.array([0.0, 0.301, -2.5, 2.0, 0.29])
    for rho in (-0.9999, -0.99, -0.7, 0.0, 1e-3, 0.5, 0.95, 0.999, 0.9999):
        found = excess(jnp.asarray(a[:, None]), jnp.asarray(b[None]), jnp.full((4, 5), rho))
        exact = np.array([[both(x, y, rho) for y in b] for x in a])
        np.testing.assert_allclose(found + np.outer(*map(scipy.special.ndtr, (a, b))), exact, atol=2e-8)
        library = scipy.stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([a[1], b[1]])
        assert exact[1, 1] == pytest.approx(library, abs=1e-5)


def test_epig_is_the_information_of_exact_tables(float64):
    rows, targets, covariance = latents()
    scale, away = (np.sqrt(1 + np.asarray(part.variance[:, 0])) for part in (rows, targets))
    a, b = np.asarray(rows.mean[:, 0]) / scale, np.asarray(targets.mean[:, 0]) / away
    correlation = np.asarray(covariance) / scale[:, None] / away
    exact = [[pair_information(a[n], b[m], correlation[n, m]) for m in range(7)] for n in range(12)]
    for weight in (None, [1.0, 0.0, 2.0, 0.5, 3.0, 1.0, 1.0]):
        found = epig(rows, targets, covariance, None if weight is None else jnp.asarray(weight))
        np.testing.assert_allclose(found, np.average(exact, 1, weight), atol=1e-7)


@pytest.mark.slow  # exact tables are above
def test_epig_is_the_information_of_sampled_labels(float64):
    rows, targets, covariance = latents(1)
    rng = np.random.default_rng(0)
    num = 400_000
    for n in (0, 1):
        moments = [[rows.variance[n, 0], covariance[n, 0]], [covariance[n, 0], targets.variance[0, 0]]]
        f = rng.multivariate_normal([rows.mean[n, 0], targets.mean[0, 0]], np.array(moments, float), num)
        y = (f + rng.normal(size=f.shape) > 0).astype(int)
        table = np.histogram2d(*y.T, bins=2, range=[[-0.5, 1.5]] * 2)[0] / num
        log_ratio = np.log(table / (table.sum(1, keepdims=True) * table.sum(0, keepdims=True)))
        error = np.sqrt(max(np.sum(table * log_ratio**2) - information(table) ** 2, 0) / num)
        found = float(epig(rows, targets, covariance, jnp.eye(7)[0])[n])
        assert abs(found - information(table)) < 4 * error + 2 / num  # the plug-in estimate is biased by 1 / 2 num


def test_epig_is_at_most_bald_of_row_and_of_target(float64):
    rows, targets, covariance = latents(2)
    single = np.array([epig(rows, targets, covariance, weight) for weight in jnp.eye(7)])
    assert (single >= 0).all()
    assert (single <= np.asarray(bald(rows))[None] + 1e-8).all()
    assert (single <= np.asarray(bald(targets))[:, None] + 1e-8).all()
    assert single.max() > 0.1


@pytest.mark.parametrize("size", [4.0, 6.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_epig_of_nearly_certain_rows_keeps_its_relative_accuracy(size, sign, float64):
    """Where both latents are 4 or 6 standard deviations from 0 the information is 1e-4 or 1e-9."""
    variance = jnp.full((1, 1), 19.0)
    mean = jnp.full((1, 1), sign * size * np.sqrt(20.0))
    found = float(epig(Latent(mean, variance), Latent(mean, variance), jnp.full((1, 1), 18.0))[0])
    assert found == pytest.approx(pair_information(-size, -size, 0.9), rel=1e-3)


def test_epig_is_symmetric_and_zero_for_independent_targets(float64):
    rows, targets, covariance = latents(3)
    row, target = (jax.tree.map(lambda leaf: leaf[2:3], part) for part in (rows, targets))
    forth, back = epig(row, target, covariance[2:3, 2:3]), epig(target, row, covariance[2:3, 2:3])
    np.testing.assert_allclose(forth, back, rtol=1e-12)
    assert np.all(np.asarray(epig(rows, targets, 0 * covariance)) == 0.0)
    other_class = epig(rows, targets._replace(mean=-targets.mean), -covariance)
    np.testing.assert_allclose(other_class, epig(rows, targets, covariance), rtol=1e-9)


def test_weak_dependence_keeps_its_relative_accuracy_in_float32():
    one = jnp.ones((1, 1))
    found = float(epig(Latent(0 * one, one), Latent(one, one), 1e-4 * one)[0])
    a, p = 1 / np.sqrt(2), scipy.special.ndtr(1 / np.sqrt(2))
    excess = 0.5e-4 * scipy.stats.norm.pdf(0) * scipy.stats.norm.pdf(a)
    assert found == pytest.approx(0.5 * excess**2 / (0.25 * p * (1 - p)), rel=1e-3)


def test_float32_errs_by_less_than_a_millionth_and_picks_the_same_row():
    with jax.enable_x64(True):
        double = latents(4)
        exact = np.asarray(epig(*double))
    single = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float32), double)
    found = np.asarray(epig(*single))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-6)
    assert exact[found.argmax()] >= exact.max() - 1e-6


def test_several_draws_are_the_normal_of_their_moments(float64):
    rows, targets, covariance = latents(5)
    offset = jnp.asarray([[-1.0, 1.0]])
    draws = Latent(rows.mean + offset, jnp.concatenate([rows.variance, rows.variance], 1))
    np.testing.assert_allclose(
        epig(draws, targets, covariance),
        epig(rows._replace(variance=rows.variance + 1), targets, covariance),
        rtol=1e-9,
    )


@pytest.mark.slow
def test_blocks_change_nothing():
    rows, targets, covariance = latents(6)
    small = jax.jit(partial(probit_epig, budget=5 * 7 * 4))(rows, targets, covariance)
    np.testing.assert_allclose(small, epig(rows, targets, covariance), rtol=1e-5, atol=1e-8)


def test_extreme_moments_give_finite_scores():
    mean = jnp.asarray([[0.0], [40.0], [-1e4], [1e4], [1e-3]])
    variance = jnp.asarray([[1e4], [1e4], [0.0], [1e4], [1e10]])
    covariance = jnp.sqrt(variance) * jnp.sqrt(variance).T
    scores = np.asarray(epig(Latent(mean, variance), Latent(mean, variance), covariance))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    assert scores[2] == 0.0
    assert np.isfinite(bald(Latent(mean, variance))).all()


@pytest.mark.slow
def test_gradients_are_those_of_differences(float64):
    rows, targets, covariance = latents(7)
    mean, variance = (leaf.at[0].set(there[0]) for leaf, there in zip(targets, rows))  # there |a - b| has its corner
    there = Latent(mean, variance)
    score = lambda shift: epig(Latent(rows.mean + shift, rows.variance), there, covariance)[0]
    numeric = (score(1e-5) - score(-1e-5)) / 2e-5
    assert float(jax.jit(jax.jacfwd(score))(0.0)) == pytest.approx(float(numeric), rel=1e-3)


def test_a_covariance_of_another_shape_is_refused():
    rows, targets, covariance = latents()
    with pytest.raises(ValueError, match="12 rows by 7 targets"):
        probit_epig(rows, targets, covariance[:, :3])
