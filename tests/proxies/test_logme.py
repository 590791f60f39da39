"""LogME against the density of a normal, a search over both precisions, and the authors' sum."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from bal.proxies.logme import evidence, logme

RANDOM = np.random.default_rng(0)


def problem(n, d, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, d)) * random.uniform(0.2, 3, d)
    signal = features @ random.normal(size=(d, 2)) / np.sqrt(d)
    return features, np.concatenate([signal + 0.5 * random.normal(size=(n, 2)), (signal[:, :1] > 0) * 1.0], 1)


def density(features, y, alpha, beta):
    """Log of the normal density, from its covariance."""
    covariance = np.eye(len(y)) / beta + features @ features.T / alpha
    return multivariate_normal(np.zeros(len(y)), covariance).logpdf(y) / len(y)


def best_of_ratio(features, y, ratio):
    """The evidence at the best precision of the noise, given that of the weights over it."""
    n = len(y)
    covariance = ratio * np.eye(n) + features @ features.T
    scale = y @ np.linalg.solve(covariance, y) / n
    return -(n * np.log(2 * np.pi * scale) + n + np.linalg.slogdet(covariance)[1]) / (2 * n)


SHAPES = [(30, 4), (12, 12), (10, 25)]


@pytest.mark.parametrize("shape", SHAPES)
def test_evidence_is_the_density_of_a_normal(shape):
    features, targets = problem(*shape)
    found = evidence(features, targets)
    for column, (value, alpha, beta) in enumerate(zip(*found, strict=True)):
        assert value == pytest.approx(density(features, targets[:, column], alpha, beta), abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_fixed_point_is_the_maximum_of_the_evidence(shape):
    features, targets = problem(*shape, seed=1)
    found = evidence(features, targets)
    for column, value in enumerate(found.value):
        loss = lambda log_ratio, column=column: -best_of_ratio(features, targets[:, column], np.exp(log_ratio))
        grid = np.linspace(-26, 26, 105)  # where noise or signal is nothing, the end of the range is the best
        near = grid[np.argmin([loss(point) for point in grid])]
        best = minimize_scalar(loss, bounds=(near - 0.5, near + 0.5), method="bounded", options={"xatol": 1e-9})
        assert value == pytest.approx(-best.fun, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sum_of_the_authors_is_too_large_where_there_are_more_features_than_rows(shape):
    (n, d), (features, targets) = shape, problem(*shape)
    found = evidence(features, targets)
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    sigma = singular**2
    for column, (value, alpha, beta) in enumerate(zip(*found, strict=True)):
        y, x, t = targets[:, column], left.T @ targets[:, column], alpha / beta
        m2 = (sigma * x**2 / (t + sigma) ** 2).sum()
        r2 = (x**2 / (1 + sigma / t) ** 2).sum() + ((y - left @ x) ** 2).sum()  # y @ y - x @ x would cancel
        theirs = d / 2 * np.log(alpha) + n / 2 * np.log(beta) - np.log(alpha + beta * sigma).sum() / 2
        theirs = (theirs - beta / 2 * r2 - alpha / 2 * m2 - n / 2 * np.log(2 * np.pi)) / n
        assert theirs - value == pytest.approx(max(d - n, 0) / (2 * n) * np.log(alpha), abs=1e-9)


def test_a_rotation_and_a_scale_change_nothing():
    features, targets = problem(20, 6)
    rotation = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]
    whole = evidence(features, targets).value
    np.testing.assert_allclose(evidence(features @ rotation, targets).value, whole, atol=1e-9)
    np.testing.assert_allclose(evidence(7 * features, targets).value, whole, atol=1e-9)


def test_features_that_are_the_classes_score_above_random_ones():
    y = RANDOM.integers(0, 4, 60)
    shaky = np.eye(4)[y] + 0.1 * RANDOM.normal(size=(60, 4))
    random = RANDOM.normal(size=(60, 4))
    exact = logme(np.eye(4)[y], y)
    assert np.isfinite(exact)
    assert exact > logme(shaky, y) > logme(random, y) + 0.5


@pytest.mark.parametrize("shape", [(6, 3), (4, 9)])
def test_features_of_nothing_leave_the_noise(shape):
    y = np.arange(shape[0]) % 2
    expected = (
        -(1 + np.log(2 * np.pi * 0.5)) / 2
    )  # a normal of mean 0 whose variance is the mean square of one-hot rows
    for features in (np.zeros(shape), 1e-160 * RANDOM.normal(size=shape)):
        with np.errstate(divide="raise", invalid="raise"):
            assert logme(features, y) == pytest.approx(expected, abs=1e-9)


def test_it_is_the_mean_over_classes_that_occur():
    features, y = RANDOM.normal(size=(30, 5)), np.arange(30) % 3
    each = [evidence(features, (y == c).astype(float)[:, None]).value[0] for c in range(3)]
    assert logme(features, y) == pytest.approx(np.mean(each))
    assert logme(features, 5 * y + 2) == logme(features, y)  # other numbers, the same classes


@pytest.mark.parametrize(
    ("features", "y", "message"),
    [
        (np.ones(3), [0, 1, 0], "flatten each row"),
        (np.ones((2, 1)), [0, -1], "expected 2 class numbers"),
        (np.ones((2, 1)), [0, 1, 1], "expected 2 class numbers"),
        ([[1.0], [np.nan]], [0, 1], "row 1 is not finite"),
    ],
)
def test_what_cannot_be_scored_is_refused(features, y, message):
    with pytest.raises(ValueError, match=message):
        logme(features, y)


def test_targets_of_nothing_are_refused():
    with pytest.raises(ValueError, match="target 1 is 0 in all rows"):
        evidence(np.ones((2, 1)), np.array([[1.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"expected finite targets \[2, C\]"):
        evidence(np.ones((2, 1)), np.ones((3, 1)))
