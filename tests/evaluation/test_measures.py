"""`evaluate` functions against scikit-learn and SciPy, on numpy arrays and inside a compiled program."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

from bal.evaluation import (
    adaptive_ece,
    classification,
    classification_report,
    classwise_ece,
    crps,
    ece,
    interval_coverage,
    joint_gaussian_nll,
    joint_nll,
    regression,
    regression_report,
)
from bal.pool import chunked
from bal.typing import Gaussian, Latent

RANDOM = np.random.default_rng(0)
M, K, C = 40, 3, 4
LOG_PROBS = np.log(RANDOM.dirichlet(np.ones(C), size=(M, K)))
Y = RANDOM.integers(0, C, M)
X = np.arange(M)


def knowing(rows):
    """A posterior whose predictions for row m are those of a table."""
    return SimpleNamespace(predict=lambda x: jax.tree.map(lambda leaf: leaf[x], rows))


@jax.jit
def measured(rows, test):
    return classification()(knowing(rows), test)


def agree(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)


def of_classes(probs, y):
    return {
        "accuracy": sklearn.metrics.accuracy_score(y, probs.argmax(1)),
        "nll": sklearn.metrics.log_loss(y, probs, labels=np.arange(probs.shape[1])),
        "brier": ((probs - np.eye(probs.shape[1])[y]) ** 2).sum(1).mean(),
        "ece": float(ece(probs, y)),
    }


def test_classification():
    expected = of_classes(np.exp(LOG_PROBS).mean(1), Y)
    agree(classification()(knowing(LOG_PROBS), (X, Y)), expected)
    agree(measured(jnp.asarray(LOG_PROBS), (X, jnp.asarray(Y))), expected)


def test_truth_values_are_the_classes_0_and_1():
    two = np.log(RANDOM.dirichlet(np.ones(2), size=(M, K)))
    agree(classification()(knowing(two), (X, Y > 1)), of_classes(np.exp(two).mean(1), (Y > 1).astype(int)))


def test_rows_of_a_shared_test_set_and_chunks():
    rows = RANDOM.permutation(M)[:11]
    expected = of_classes(np.exp(LOG_PROBS[rows]).mean(1), Y[rows])
    agree(classification()(knowing(LOG_PROBS), (X, Y, rows)), expected)

    @jax.jit
    def in_chunks(table, test):
        posterior = jax.tree_util.Partial(lambda table, x: table[x], table)
        posterior.predict = posterior
        return classification(chunked(4))(posterior, test)

    agree(in_chunks(jnp.asarray(LOG_PROBS), (jnp.asarray(X), jnp.asarray(Y), jnp.asarray(rows))), expected)


def test_a_binary_process_is_read_as_a_probit_model():
    latent = Latent(RANDOM.normal(size=(M, K)), RANDOM.gamma(1.0, size=(M, K)))
    one = scipy.stats.norm.cdf(latent.mean / np.sqrt(1 + latent.variance)).mean(1)
    agree(measured(latent, (X, Y % 2)), of_classes(np.stack([1 - one, one], 1), Y % 2))
    far = Latent(np.full((1, 1), -40.0), np.zeros((1, 1)))
    found = measured(far, (np.zeros(1, int), np.ones(1, int)))
    np.testing.assert_allclose(found["nll"], -scipy.special.log_ndtr(-40.0), rtol=1e-6)  # a probability of 0 in float32


def test_regression():
    moments = Gaussian(RANDOM.normal(size=(M, K)), RANDOM.gamma(1.0, size=(M, K)), np.full((M, K), 0.3))
    y = RANDOM.normal(size=M)
    density = scipy.stats.norm.pdf(y[:, None], moments.mean, np.sqrt(moments.variance + 0.3)).mean(1)
    expected = {
        "rmse": sklearn.metrics.root_mean_squared_error(y, moments.mean.mean(1)),
        "nll": -np.log(density).mean(),
    }
    agree(regression()(knowing(moments), (X, y)), expected)
    traced = jax.jit(lambda moments, test: regression()(knowing(moments), test))
    agree(traced(jax.tree.map(jnp.asarray, moments), (X, jnp.asarray(y))), expected)


@pytest.mark.parametrize("factory", [classification, regression])
def test_made_alike_is_the_same_function(factory):
    assert factory() is factory()
    assert factory(chunked(4)) is factory(chunked(4))
    assert factory(chunked(4)) is not factory()


def test_reports_hold_the_shorter_measures_and_more():
    probs = np.exp(LOG_PROBS).mean(1)
    more = {"adaptive_ece": adaptive_ece(probs, Y), "classwise_ece": classwise_ece(probs, Y)}
    expected = {**of_classes(probs, Y), **more, "joint_nll": joint_nll(LOG_PROBS, Y)}
    agree(classification_report()(knowing(LOG_PROBS), (X, Y)), expected)
    compiled = jax.jit(lambda rows, y: classification_report()(knowing(rows), (X, y)))
    agree(compiled(jnp.asarray(LOG_PROBS), jnp.asarray(Y)), expected)
    mean, variance, y = RANDOM.normal(size=(M, K)), RANDOM.gamma(1.0, size=(M, K)), RANDOM.normal(size=M)
    moments, total = Gaussian(mean, variance, np.full((M, K), 0.3)), variance + 0.3
    more = {"crps": crps(mean, total, y), "coverage": interval_coverage(mean, total, y)}
    expected = {**regression()(knowing(moments), (X, y)), **more, "joint_nll": joint_gaussian_nll(mean, total, y)}
    agree(regression_report()(knowing(moments), (X, y)), expected)
    compiled = jax.jit(lambda rows, y: regression_report()(knowing(rows), (X, y)))
    agree(compiled(jax.tree.map(jnp.asarray, moments), jnp.asarray(y)), expected)


def test_what_cannot_be_measured_is_said():
    class Wrong:
        def predict(self, x):
            raise TypeError("dot_general requires contracting dimensions to have the same shape, got (5,) and (64,).")

    with pytest.raises(ValueError, match=r"cannot predict the test rows, of shape \(3, 5\).*features of the pool"):
        classification()(Wrong(), (np.zeros((3, 5)), np.zeros(3, int)))
    for report in (regression, regression_report):
        with pytest.raises(ValueError, match=r"predicts log probabilities .*evaluate a classifier by classification"):
            report()(knowing(np.zeros((M, 1, 2))), (X, np.zeros(M)))
