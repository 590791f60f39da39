"""Labels of the baseline for one of the strategy: constructed curves, censoring, coverage, and planning of a run."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import (
    area_under_curve,
    censored_quantile,
    detectable_area,
    detectable_difference,
    label_efficiency,
    quantile_interval,
    seeds_to_detect,
)

LABELS = np.arange(10, 130, 10)


def arriving(at):
    """Curves that jump from 0 to 1 at these counts."""
    return (np.asarray(at)[:, None] <= LABELS).astype(float)


def test_half_the_labels():
    found = label_efficiency(LABELS, arriving([20, 30, 40]), arriving([40, 60, 80]), target=1.0)
    assert (found.ratio, found.labels, found.baseline_labels) == (2, 30, 60)
    assert 1 - 1e-9 < found.low <= 2.0 + 1e-9
    assert 2 - 1e-9 < found.high < 4 + 1e-9
    turned = label_efficiency(LABELS, 1 - arriving([20] * 3), 1 - arriving([40] * 3), 0.0, higher_is_better=False)
    np.testing.assert_allclose(turned[:3], 2)


def test_a_first_crossing_that_does_not_last():
    noisy = arriving([20, 20, 20])
    noisy[:, 3] = 0.0  # at 40
    curves = arriving([50, 50, 50])
    assert label_efficiency(LABELS, noisy, curves, 1.0).ratio == 2.5
    assert label_efficiency(LABELS, noisy, curves, 1.0, sustained=True).ratio == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio", "low", "high"),
    [
        ([20, 20, 20], [999, 999, 999], np.inf, np.inf, np.inf),
        ([999, 999, 999], [20, 20, 20], 0, 0, 0),
        ([999, 999, 999], [999, 999, 999], np.nan, 0, np.inf),
    ],
)
def test_seeds_that_never_arrive_are_not_dropped(ours, theirs, ratio, low, high):
    found = label_efficiency(LABELS, arriving(ours), arriving(theirs), 1.0)
    np.testing.assert_array_equal(found[:3], [ratio, low, high])


def test_some_seeds_that_never_arrive_leave_the_interval_open():
    found = label_efficiency(LABELS, arriving([20] * 9), arriving([60] * 5 + [999] * 4), 1.0)
    assert (found.ratio, found.low, found.high) == (3, pytest.approx(3), np.inf)


def test_the_interval_is_of_resampled_pairs_and_covers():
    random, true, found = np.random.default_rng(0), 2.0, []
    for number in range(100):
        shared = random.lognormal(0, 0.3, 21)
        ours, theirs = (factor * shared * random.lognormal(0, 0.2, 21) for factor in (30, 30 * true))
        counts = np.arange(1, 301, 2)
        curves = [(counts >= at[:, None]).astype(float) for at in (ours, theirs)]
        found.append(label_efficiency(counts, *curves, 1.0, seed=number, num_resamples=300))
    covered = np.mean([one.low <= true <= one.high for one in found])
    assert covered >= 0.95  # 0.98 of 400
    assert np.median([one.high / one.low for one in found]) < 1.6


def test_pairs_are_refused_that_are_none():
    with pytest.raises((TypeError, ValueError), match=r"paired seeds|[Tt]ype-check"):
        label_efficiency(LABELS, arriving([20, 20]), arriving([20]), 1.0)
    with pytest.raises(ValueError, match="positive counts"):
        label_efficiency(LABELS - 10, arriving([20, 20]), arriving([20, 20]), 1.0)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        label_efficiency(LABELS, arriving([20]), arriving([20]), 1.0)


@pytest.mark.parametrize(("num", "quantile"), [(6, 0.5), (11, 0.5), (20, 0.25), (40, 0.9)])
def test_the_interval_of_a_quantile_covers_by_the_binomial_distribution(num, quantile):
    """Its ends are places in order: the number of seeds below the true quantile must lie between them."""
    counts = np.random.default_rng(1).permutation(np.arange(1.0, num + 1))
    middle, low, high = quantile_interval(counts, quantile)
    assert middle == censored_quantile(counts, quantile)
    at_least = 0 if low == -np.inf else int(low)
    at_most = num if high == np.inf else int(high) - 1
    covered = scipy.stats.binom(num, quantile).pmf(np.arange(at_least, at_most + 1)).sum()
    assert 0.95 <= covered < 0.99
    assert (num, low, high) in {(6, 1, 6), (11, 2, 10), (20, low, high), (40, low, high)}


def test_the_interval_of_a_quantile_may_be_infinite():
    counts = np.array([20.0, 30, 30, 40, 50, 60, 70, np.inf, np.inf, np.inf])
    assert quantile_interval(counts, 0.5) == (50, 30, np.inf)
    assert quantile_interval(np.full(4, np.inf), 0.5) == (np.inf, -np.inf, np.inf)
    for quantile, confidence in ((0.0, 0.95), (1.0, 0.95), (0.5, 95.0)):
        with pytest.raises(ValueError, match="must lie in"):
            quantile_interval(counts, quantile, confidence)


def test_detectable_areas_and_the_seeds_they_take():
    random = np.random.default_rng(2)
    pilot, baseline = random.normal(0.7, 0.05, (2, 8, 12))
    areas = area_under_curve(LABELS, pilot) - area_under_curve(LABELS, baseline)
    found = detectable_area(LABELS, pilot, baseline, 15)
    assert found == detectable_difference(areas, 15)
    assert found > 1.5 * detectable_difference(areas, 40)
    for difference in (found, 0.7 * found):
        num = seeds_to_detect(areas, difference * (1 + 1e-9))
        assert detectable_difference(areas, num) <= difference * (1 + 1e-9)
        assert detectable_difference(areas, num - 1) > difference
    assert seeds_to_detect(areas, found * (1 + 1e-9)) == 15
    assert seeds_to_detect(areas, 9 * found) == 6  # with fewer no sign-flip test can reject
    assert seeds_to_detect(areas, found, level=0.01) > 20
    with pytest.raises(ValueError, match="difference must be positive"):
        seeds_to_detect(areas, 0.0)
