"""Metrics of posteriors against scikit-learn, SciPy, integrals and loops; numpy, JAX and compiled agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sklearn.calibration
import sklearn.metrics

from bal.evaluation import (
    adaptive_ece,
    auroc,
    classwise_ece,
    crps,
    ece,
    false_positive_rate,
    gaussian_nll,
    interval_coverage,
    joint_gaussian_nll,
    joint_nll,
    mixture_cdf,
    mixture_nll,
    mixture_probabilities,
)

RNG = np.random.default_rng(0)
M, K, C = 47, 6, 4
LOG_PROBS = np.log(RNG.dirichlet(np.full(C, 0.5), (M, K)))
PROBS, LABELS = mixture_probabilities(LOG_PROBS), RNG.integers(0, C, M)
MEAN, VARIANCE, Y = RNG.normal(size=(M, K)), RNG.uniform(0.1, 2, (M, K)), 2 * RNG.normal(size=M)
INSIDE, OUTSIDE = RNG.normal(size=60).round(1), (0.7 + RNG.normal(size=M)).round(1)
METRICS = {
    "adaptive_ece": (adaptive_ece, PROBS, LABELS),
    "classwise_ece": (classwise_ece, PROBS, LABELS),
    "joint_nll": (joint_nll, LOG_PROBS, LABELS),
    "joint_gaussian_nll": (joint_gaussian_nll, MEAN, VARIANCE, Y),
    "mixture_cdf": (mixture_cdf, MEAN, VARIANCE, Y),
    "interval_coverage": (interval_coverage, MEAN, VARIANCE, Y),
    "crps": (crps, MEAN, VARIANCE, Y),
    "auroc": (auroc, INSIDE, OUTSIDE),
    "false_positive_rate": (false_positive_rate, INSIDE, OUTSIDE),
}


@pytest.mark.parametrize("name", METRICS)
def test_compiled_in_float32_as_in_numpy(name):
    """And of one NaN it is NaN."""
    metric, *arrays = METRICS[name]
    single = [jnp.asarray(x, jnp.int32 if x.dtype.kind == "i" else jnp.float32) for x in arrays]
    compiled = jax.jit(metric)
    np.testing.assert_allclose(compiled(*single), metric(*arrays), rtol=2e-5, atol=1e-6)
    assert np.isnan(compiled(single[0].at[3].set(jnp.nan), *single[1:])).any()


@pytest.mark.parametrize("size", [1, 3, 10])
def test_joint_nll_by_products_of_likelihoods(size):
    p = np.exp(LOG_PROBS)[np.arange(M), :, LABELS]
    density = scipy.stats.norm.pdf(Y[:, None], MEAN, np.sqrt(VARIANCE))
    for likelihood, found in (
        (p, joint_nll(LOG_PROBS, LABELS, size)),
        (density, joint_gaussian_nll(MEAN, VARIANCE, Y, size)),
    ):
        groups = [likelihood[start : start + size] for start in range(0, M - size + 1, size)]
        expected = np.mean([-np.log(np.mean(np.prod(group, 0))) for group in groups]) / size
        assert found == pytest.approx(expected, rel=1e-10)
    assert joint_nll(LOG_PROBS, LABELS, 1) == pytest.approx(mixture_nll(LOG_PROBS, LABELS))
    assert joint_gaussian_nll(MEAN, VARIANCE, Y, 1) == pytest.approx(gaussian_nll(MEAN, VARIANCE, Y))


def test_draws_that_are_the_same_everywhere_are_better_together():
    """Independent rows and common draws: the right draw is found from several rows, not from one."""
    right = np.log(np.tile([[0.9, 0.1], [0.1, 0.9]], (40, 1, 1)))
    mixed = np.where(RNG.random((40, 1, 1)) < 0.5, right, right[:, ::-1])
    labels = np.zeros(40, int)
    assert mixture_nll(right, labels) == pytest.approx(mixture_nll(mixed, labels))
    assert joint_nll(right, labels) < joint_nll(mixed, labels) - 0.2


@pytest.mark.parametrize("num_bins", [1, 4, 10])
def test_adaptive_bins_by_a_loop(num_bins):
    confidence, hit = PROBS.max(1), PROBS.argmax(1) == LABELS
    order = np.argsort(confidence)
    bins = [[m for rank, m in enumerate(order) if rank * num_bins // M == b] for b in range(num_bins)]
    expected = sum(len(rows) / M * abs(hit[rows].mean() - confidence[rows].mean()) for rows in bins)
    assert adaptive_ece(PROBS, LABELS, num_bins) == pytest.approx(expected)
    assert adaptive_ece(PROBS, LABELS, 1) == pytest.approx(ece(PROBS, LABELS, 1))
    if M % num_bins == 0 or num_bins == 1:
        share, mean = sklearn.calibration.calibration_curve(hit, confidence, n_bins=num_bins, strategy="quantile")
        assert adaptive_ece(PROBS, LABELS, num_bins) == pytest.approx(np.mean(np.abs(share - mean)))


@pytest.mark.parametrize("num_bins", [1, 5, 15])
def test_each_class_against_the_calibration_curves_of_scikit_learn(num_bins):
    expected = 0.0
    for c in range(C):
        p = PROBS[:, c]
        share, mean = sklearn.calibration.calibration_curve(c == LABELS, p, n_bins=num_bins)
        edges = np.linspace(0, 1, num_bins + 1)
        counts = np.bincount(np.searchsorted(edges[1:-1], p), minlength=num_bins)
        expected += np.sum(counts[counts > 0] / M * np.abs(share - mean)) / C
    assert classwise_ece(PROBS, LABELS, num_bins) == pytest.approx(expected)


def test_crps_by_integration_of_its_definition():
    expected = []
    for mean, variance, y in zip(MEAN[:8], VARIANCE[:8], Y[:8]):
        cdf = lambda t, mean=mean, variance=variance: scipy.stats.norm.cdf(t, mean, np.sqrt(variance)).mean()
        below = scipy.integrate.quad(lambda t, cdf=cdf: cdf(t) ** 2, y - 25, y, limit=200)[0]
        above = scipy.integrate.quad(lambda t, cdf=cdf: (1 - cdf(t)) ** 2, y, y + 25, limit=200)[0]
        expected.append(below + above)
    assert crps(MEAN[:8], VARIANCE[:8], Y[:8]) == pytest.approx(np.mean(expected), rel=1e-6)
    assert crps(MEAN[:, :1], 0 * VARIANCE[:, :1], Y) == pytest.approx(np.mean(np.abs(MEAN[:, 0] - Y)))
    one = MEAN[:, :1], VARIANCE[:, :1]
    z = (Y - MEAN[:, 0]) / np.sqrt(VARIANCE[:, 0])
    closed = z * (2 * scipy.stats.norm.cdf(z) - 1) + 2 * scipy.stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    assert crps(*one, Y) == pytest.approx(np.mean(np.sqrt(VARIANCE[:, 0]) * closed))


def test_right_densities_cover_what_they_say():
    y = MEAN[0, RNG.integers(0, K, 4000)] + np.sqrt(0.3) * RNG.normal(size=4000)
    densities = np.tile(MEAN[:1], (4000, 1)), np.full((4000, K), 0.3)
    assert scipy.stats.kstest(mixture_cdf(*densities, y), "uniform").pvalue > 0.01
    for level in (0.5, 0.9):
        assert abs(interval_coverage(*densities, y, level) - level) < 4 * np.sqrt(level * (1 - level) / 4000)
    narrow = interval_coverage(MEAN[:, :1], VARIANCE[:, :1], Y, 0.8)
    low, high = (scipy.stats.norm.ppf(q, MEAN[:, 0], np.sqrt(VARIANCE[:, 0])) for q in (0.1, 0.9))
    assert narrow == np.mean((low <= Y) & (high >= Y))


def test_novelty_against_scikit_learn():
    is_outside = np.r_[np.zeros(60), np.ones(M)]
    scores = np.r_[INSIDE, OUTSIDE]
    assert auroc(INSIDE, OUTSIDE) == pytest.approx(sklearn.metrics.roc_auc_score(is_outside, scores))
    for recall in (0.5, 0.95, 1.0):
        false, true, _ = sklearn.metrics.roc_curve(1 - is_outside, -scores, drop_intermediate=False)
        expected = false[np.argmax(true >= recall - 1e-12)]
        assert false_positive_rate(INSIDE, OUTSIDE, recall) == pytest.approx(expected)
    assert auroc(INSIDE, INSIDE) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: joint_nll(LOG_PROBS, LABELS, 48), "groups of at least 1 row and at most 47, got size=48"),
        (lambda: joint_nll(LOG_PROBS, LABELS, 0), "got size=0"),
        (lambda: adaptive_ece(PROBS, LABELS, 48), "between 1 and the number of rows, 47, got 48"),
        (lambda: classwise_ece(PROBS, LABELS, 0), "num_bins must be at least 1, got 0"),
        (lambda: interval_coverage(MEAN, VARIANCE, Y, 90.0), r"level must lie in \(0, 1\), for instance 0.9, got 90.0"),
        (lambda: false_positive_rate(INSIDE, OUTSIDE, 95.0), r"recall must lie in \(0, 1\], .* got 95.0"),
        (lambda: auroc(INSIDE, OUTSIDE[:0]), r"scores of outside rows \[M\] with at least one row, got shape \(0,\)"),
    ],
)
def test_wrong_settings(call, message):
    with pytest.raises(ValueError, match=message):
        call()
