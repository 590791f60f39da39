import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from bal.evaluation import (
    accuracy,
    brier,
    ece,
    gaussian_nll,
    mixture_nll,
    mixture_probabilities,
    nll,
    rmse,
)

CLASSIFICATION = [accuracy, nll, brier, ece]


@pytest.fixture(scope="module")
def cases():
    random = np.random.default_rng(0)
    log_probs = np.log(random.dirichlet(np.full(5, 0.5), size=(50, 7)))
    return log_probs, random.integers(0, 5, 50)


@pytest.mark.slow
def test_import_needs_no_jax():
    script = "import sys, bal.evaluation; sys.exit('jax' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_against_scikit_learn(cases):
    log_probs, labels = cases
    probs = mixture_probabilities(log_probs)
    np.testing.assert_allclose(probs.sum(1), 1)
    assert accuracy(probs, labels) == sklearn.metrics.accuracy_score(labels, probs.argmax(1))
    classes = np.arange(5)
    np.testing.assert_allclose(nll(probs, labels), sklearn.metrics.log_loss(labels, probs, labels=classes))
    expected = sklearn.metrics.brier_score_loss(labels, probs, labels=classes, scale_by_half=False)
    np.testing.assert_allclose(brier(probs, labels), expected)


def slow_ece(probs, labels, num_bins):
    total = 0.0
    confidences = probs.max(axis=1)
    for b in range(num_bins):
        low, high = b / num_bins, (b + 1) / num_bins
        inside = [m for m, c in enumerate(confidences) if (low < c <= high) or (b == 0 and c == 0)]
        if inside:
            hits = np.mean([float(probs[m].argmax() == labels[m]) for m in inside])
            total += len(inside) / len(labels) * abs(hits - np.mean(confidences[inside]))
    return total


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_ece_against_a_loop_over_bins(cases, num_bins):
    log_probs, labels = cases
    probs = mixture_probabilities(log_probs)
    np.testing.assert_allclose(ece(probs, labels, num_bins), slow_ece(probs, labels, num_bins), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("where", ["numpy", "jax", "jit"])
def test_ece_puts_a_confidence_on_an_edge_into_the_lower_bin(dtype, where):
    # Two rows: one exactly on the edge j/15 and wrong, one in the middle of the lower bin and right. In one
    # bin their gaps cancel, in two bins they would add up.
    function = jax.jit(ece) if where == "jit" else ece
    for j in range(8, 15):
        on_edge, below = j / 15, (j - 0.5) / 15
        probs = np.array([[on_edge, 1 - on_edge], [below, 1 - below]]).astype(dtype)
        labels = np.array([1, 0])
        if where != "numpy":
            probs, labels = jnp.asarray(probs), jnp.asarray(labels)
        expected = abs(1 - on_edge - below) / 2
        np.testing.assert_allclose(function(probs, labels), expected, atol=1e-6)


def test_perfect_and_worst_predictions():
    labels = np.array([0, 1, 2])
    sure = np.eye(3)
    assert [float(metric(sure, labels)) for metric in CLASSIFICATION] == [1, 0, 0, 0]
    wrong = np.roll(sure, 1, axis=1)
    assert [float(metric(wrong, labels)) for metric in CLASSIFICATION] == [0, np.inf, 2, 1]


def test_accuracy_gives_ties_to_the_lowest_class():
    assert accuracy(np.full((4, 4), 0.25), np.arange(4)) == 0.25


def test_gaussian_metrics_against_scipy():
    random = np.random.default_rng(1)
    mean, variance, y = random.normal(size=(20, 3)), random.uniform(0.1, 2, (20, 3)), random.normal(size=20)
    density = scipy.stats.norm.pdf(y[:, None], mean, np.sqrt(variance)).mean(axis=1)
    np.testing.assert_allclose(gaussian_nll(mean, variance, y), -np.log(density).mean())
    far = gaussian_nll(np.zeros((1, 2)), np.ones((1, 2)), np.array([100.0]))
    np.testing.assert_allclose(far, -scipy.stats.norm.logpdf(100))
    expected = sklearn.metrics.root_mean_squared_error(y, mean[:, 0])
    np.testing.assert_allclose(rmse(mean[:, 0], y), expected)


def test_mixture_nll_agrees_and_does_not_underflow(cases):
    log_probs, labels = cases
    np.testing.assert_allclose(mixture_nll(log_probs, labels), nll(mixture_probabilities(log_probs), labels))
    tiny = np.array([[[0.0, -300.0], [0.0, -301.0]]], dtype=np.float32)
    expected = 300 - np.log((1 + np.exp(-1)) / 2)
    np.testing.assert_allclose(mixture_nll(tiny, np.array([1])), expected, rtol=1e-6)
    assert nll(mixture_probabilities(tiny), np.array([1])) == np.inf
    assert mixture_nll(np.array([[[0.0, -np.inf]]]), np.array([1])) == np.inf


def test_jax_under_jit_and_vmap_equals_numpy(cases):
    log_probs, labels = cases
    random = np.random.default_rng(2)
    mean, variance, y = random.normal(size=(50, 7)), random.uniform(0.1, 2, (50, 7)), random.normal(size=50)
    probs = mixture_probabilities(log_probs)
    calls = [(metric, (probs, labels)) for metric in CLASSIFICATION]
    calls += [(mixture_nll, (log_probs, labels)), (mixture_probabilities, (log_probs,))]
    calls += [(gaussian_nll, (mean, variance, y)), (rmse, (y, y + 1))]
    before = jax.config.jax_numpy_rank_promotion
    jax.config.update("jax_numpy_rank_promotion", "raise")
    try:
        for metric, arguments in calls:
            arrays = tuple(jnp.asarray(a) for a in arguments)
            result = jax.jit(metric)(*arrays)
            assert isinstance(result, jax.Array)
            np.testing.assert_allclose(result, metric(*arguments), rtol=2e-5, err_msg=metric.__name__)
            stacked = jax.jit(jax.vmap(metric))(*(np.stack([a, a]) for a in arrays))
            np.testing.assert_allclose(stacked[1], result, rtol=1e-5)
    finally:
        jax.config.update("jax_numpy_rank_promotion", before)


@pytest.mark.parametrize("metric", [*CLASSIFICATION, mixture_nll])
def test_a_nan_prediction_makes_the_metric_nan(metric):
    """Whichever class it stands for: argmax would take it for class 0, and the label's own probability is known."""
    values = np.full((20, 4, 3) if metric is mixture_nll else (20, 3), 1 / 3)
    values = np.log(values) if metric is mixture_nll else values
    labels, compiled = np.zeros(20, int), jax.jit(metric)
    for entries in (np.s_[7], np.s_[7, ..., 0], np.s_[7, ..., 2]):
        bad = values.copy()
        bad[entries] = np.nan
        assert np.isnan(metric(bad, labels))
        assert np.isnan(compiled(jnp.asarray(bad), jnp.asarray(labels)))


@pytest.mark.parametrize("metric", [*CLASSIFICATION, mixture_nll])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused_or_makes_the_metric_nan(metric, label):
    values = np.full((4, 2, 3) if metric is mixture_nll else (4, 3), 1 / 3)
    values = np.log(values) if metric is mixture_nll else values
    labels = np.array([0, 1, label, 2])
    with pytest.raises(ValueError, match=r"labels must be classes 0 \.\. 2, got .*; encode them first"):
        metric(values, labels)
    assert np.isnan(jax.jit(metric)(jnp.asarray(values), jnp.asarray(labels)))


def test_nan_in_a_regression_makes_the_metric_nan():
    mean, variance, y = np.zeros((5, 2)), np.ones((5, 2)), np.zeros(5)
    bad, bad_y = mean.copy(), y.copy()
    bad[3, 1] = bad_y[3] = np.nan
    for wrap in (lambda metric: metric, jax.jit):
        arrays = [(bad, variance, y), (mean, variance + bad, y), (mean, variance, bad_y)]
        assert all(np.isnan(wrap(gaussian_nll)(*some)) for some in arrays)
        assert np.isnan(wrap(rmse)(bad[:, 1], y))
        assert np.isnan(wrap(rmse)(y, bad_y))


CHECKED = "|[Tt]ype-check"  # where annotations are checked at run time, that check speaks first


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([[0.5, 0.5]], np.array([0])), "numpy or JAX array"),
        (lambda: nll(np.full((3, 2), 0.5), np.array([0, 1])), r"labels must have shape \(3,\)"),
        (lambda: brier(np.full(3, 0.5), np.array([0, 1, 0])), r"probabilities \[M, C\]"),
        (lambda: ece(np.full((0, 2), 0.5), np.zeros(0, int)), "at least one row"),
        (lambda: accuracy(np.full((2, 2), 0.5), np.array([0.0, 1.0])), "integer classes"),
        (lambda: accuracy(np.full((2, 2), 0.5), np.array([[0], [1]])), r"labels must have shape \(2,\)"),
        (lambda: brier(np.eye(2, dtype=int), np.array([0, 1])), "probabilities must be floating"),
        (lambda: nll(np.log(np.full((2, 2), 0.5)), np.array([0, 1])), "must sum to 1 in every row, got -1.386"),
        (lambda: ece(np.full((2, 4), 0.5), np.array([0, 1])), "must sum to 1 in every row, got 2"),
        (lambda: mixture_nll(np.full((2, 3, 2), 0.5), np.array([0, 1])), "must sum to 1 in every row"),
        (lambda: mixture_probabilities(np.zeros((0, 3, 2))), "at least one row"),
        (lambda: rmse(np.zeros(0), np.zeros(0)), "at least one row"),
        (lambda: ece(np.full((2, 2), 0.5), np.array([0, 1]), num_bins=0), "num_bins"),
        (lambda: mixture_nll(np.zeros((2, 2)), np.array([0, 1])), r"log_probs \[M, K, C\]"),
        (lambda: rmse(np.zeros(3), np.zeros(2)), "y must have shape"),
        (
            lambda: gaussian_nll(np.zeros((3, 2)), np.ones((3, 1)), np.zeros(3)),
            "variance must have the shape",
        ),
    ],
)
def test_wrong_kinds_and_shapes_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message + CHECKED):
        call()
