import numpy as np
import pytest

from bal.evaluation import area_under_curve, censored_quantile, labels_to_target


def test_area_by_hand():
    labels = np.array([10, 20, 50])
    values = np.array([[0.0, 1.0, 0.5], [0.3, 0.3, 0.3]])
    # (10 * 0.5 + 30 * 0.75) / 40
    np.testing.assert_allclose(area_under_curve(labels, values), [0.6875, 0.3])
    np.testing.assert_allclose(area_under_curve(labels, values[0]), 0.6875)
    np.testing.assert_allclose(area_under_curve(np.tile(labels, (2, 1)), values), [0.6875, 0.3])


def test_area_of_a_finer_grid_on_the_same_line_is_the_same():
    coarse, fine = np.array([10, 50]), np.array([10, 13, 20, 50])
    np.testing.assert_allclose(area_under_curve(coarse, coarse / 50), area_under_curve(fine, fine / 50))


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ([[10, 20], [10, 30]], [[0.1, 0.2], [0.1, 0.2]], "different label counts"),
        ([10, 20, 30], [[0.1, 0.2]], "one value a label count"),
        ([10], [[0.1]], "R >= 2"),
        ([10, 10], [[0.1, 0.2]], "must increase"),
        ([20, 10], [[0.1, 0.2]], "must increase"),
        ([10, 20], [[0.1, np.nan]], "1 values are NaN"),
    ],
)
@pytest.mark.parametrize("quantity", [area_under_curve, lambda *a: labels_to_target(*a, target=0.5)])
def test_curves_that_cannot_be_compared_are_refused(labels, values, message, quantity):
    with pytest.raises((TypeError, ValueError), match=message + "|[Tt]ype-check"):
        quantity(np.array(labels), np.array(values))


def test_labels_to_target_first_and_sustained():
    labels = np.array([10, 20, 30, 40])
    noisy, steady, never, always = (
        [0.5, 0.9, 0.7, 0.9],
        [0.5, 0.6, 0.8, 0.9],
        [0.1, 0.2, 0.3, 0.79],
        [0.8] * 4,
    )
    curves = np.array([noisy, steady, never, always])
    assert labels_to_target(labels, curves, 0.8).tolist() == [20, 30, np.inf, 10]
    assert labels_to_target(labels, curves, 0.8, sustained=True).tolist() == [40, 30, np.inf, 10]
    losses = labels_to_target(labels, 1 - curves, 1 - 0.8 + 1e-12, higher_is_better=False)
    assert losses.tolist() == [20, 30, np.inf, 10]


def test_a_target_of_nan_is_refused():
    with pytest.raises(ValueError, match="target must be a number, got NaN"):
        labels_to_target(np.array([10, 20]), np.array([[0.1, 0.2]]), np.nan)


def test_sustained_refuses_a_curve_that_falls_at_the_end():
    curve = np.array([[0.9, 0.9, 0.1]])
    assert labels_to_target(np.array([1, 2, 3]), curve, 0.5, sustained=True).tolist() == [np.inf]


def test_censored_quantile_inverts_the_distribution():
    counts = np.array([40.0, np.inf, 10.0, 20.0, np.inf])
    assert [censored_quantile(counts, q) for q in (0.2, 0.21, 0.5, 0.6, 0.61, 1.0)] == [
        10,
        20,
        40,
        40,
        np.inf,
        np.inf,
    ]
    assert censored_quantile(np.full(3, np.inf), 0.5) == np.inf
    for share, num in ((0.07, 100), (0.28, 25)):  # whose product is 7.000000000000001
        assert share * num > 7
        assert censored_quantile(np.arange(1.0, num + 1), share) == 7
    finite = np.random.default_rng(0).normal(size=17)
    for q in (0.05, 0.25, 0.5, 0.9):
        assert censored_quantile(finite, q) == np.quantile(finite, q, method="inverted_cdf")


@pytest.mark.parametrize(
    ("counts", "quantile", "message"),
    [([1.0], 0.0, "quantile"), ([1.0], 1.1, "quantile"), ([], 0.5, "counts"), ([1.0, np.nan], 0.5, "counts")],
)
def test_censored_quantile_refuses_bad_arguments(counts, quantile, message):
    with pytest.raises(ValueError, match=message):
        censored_quantile(np.array(counts), quantile)
