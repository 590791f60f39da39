"""Bands: that of one point is Student's, and whole curves lie inside as often as is said."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from bal.evaluation import bands, mean_interval, sup_t_band


def test_of_one_point_it_is_the_t_interval():
    values = np.random.default_rng(0).normal(size=(8, 1))
    band, (mean, low, high) = sup_t_band(values), mean_interval(values)
    np.testing.assert_allclose(band.mean, mean)
    np.testing.assert_allclose(band.critical, scipy.stats.t.ppf(0.975, 7), rtol=0.03)
    np.testing.assert_allclose([band.low, band.high], [low, high], atol=0.03 * float(np.ptp([low, high])))


def test_points_that_move_together_ask_for_no_more_than_one():
    curve = np.random.default_rng(1).normal(size=(12, 1))
    together = sup_t_band(curve * np.array([1.0, -2.0, 1e-3]))
    np.testing.assert_allclose(together.critical, scipy.stats.t.ppf(0.975, 11), rtol=0.03)


@pytest.mark.parametrize("num_points", [2, 7])
def test_of_points_apart_it_is_that_of_as_many_tests(num_points):
    signs = scipy.linalg.hadamard(16)[:, 1 : 1 + num_points].astype(float)  # uncorrelated to the last digit
    expected = scipy.stats.t.ppf(0.5 + 0.95 ** (1 / num_points) / 2, 15)
    np.testing.assert_allclose(sup_t_band(signs).critical, expected, rtol=0.03)


def test_where_all_seeds_agree_the_band_has_no_width_and_the_rest_is_as_without():
    values = np.random.default_rng(2).uniform(size=(10, 4))
    band, rest = sup_t_band(np.insert(values, 0, 0.3, axis=1)), sup_t_band(values)
    assert band.low[0] == band.mean[0] == band.high[0]
    np.testing.assert_allclose(band.mean[0], 0.3)
    np.testing.assert_array_equal(band.low[1:], rest.low)
    all_equal = sup_t_band(np.full((5, 2), 0.1))
    assert (all_equal.low == all_equal.high).all()


def test_bands_cover_whole_curves_and_pointwise_intervals_do_not(monkeypatch):
    """Curves of three kinds at once: steps that add up, noise of its own at every point, and noise that grows."""
    monkeypatch.setattr(bands, "DRAWS", 250)
    random, truth = np.random.default_rng(3), np.sqrt(np.arange(8))
    noise = random.normal(size=(600, 8, 8))
    studies = 0.5 * noise.cumsum(axis=2) + noise * np.linspace(0.1, 3, 8) + truth
    found = [sup_t_band(values, seed=number) for number, values in enumerate(studies)]
    inside = np.mean([((band.low <= truth) & (truth <= band.high)).all() for band in found])
    pointwise = np.mean([((low <= truth) & (truth <= high)).all() for _, low, high in map(mean_interval, studies)])
    assert 0.93 <= inside <= 0.97
    assert pointwise < 0.85


def test_bands_stay_within_the_range_of_the_metric():
    band = sup_t_band(np.array([[0.9, 0.99], [0.98, 1.0], [1.0, 0.97]]), bounds=(0, 1))
    assert band.high.tolist() == [1, 1]
    assert (band.low < band.mean).all()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.ones((2, 3)), {}, "at least 3 seeds, got 2"),
        (np.array([[0.1], [np.nan], [0.2]]), {}, "no NaN"),
        (np.array([[0.1], [1.2], [0.2]]), {"bounds": (0, 1)}, "within the bounds"),
        (np.ones((3, 3)), {"confidence": 95.0}, "confidence"),
    ],
)
def test_bad_arguments_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        sup_t_band(values, **options)
