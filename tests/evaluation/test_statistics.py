import itertools
import warnings

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import (
    PairedDifference,
    detectable_difference,
    holm,
    interquartile_mean,
    paired_difference,
    verdict,
)


def test_pairing_is_by_seed():
    random = np.random.default_rng(0)
    baseline = random.normal(0, 1, 20)  # seeds differ far more than strategies do
    result = paired_difference(baseline + 0.02 + random.normal(0, 0.01, 20), baseline)
    assert 0 < result.low < result.mean < result.high < 0.04
    assert (result.num_seeds, result.confidence) == (20, 0.95)
    swapped = paired_difference(baseline, baseline + 0.02)
    assert swapped.high < 0


def test_interval_is_close_to_the_t_interval_for_many_seeds():
    differences = np.random.default_rng(1).normal(0.5, 2, 400)
    result = paired_difference(differences, np.zeros(400))
    expected = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    scale = differences.std() / 20
    np.testing.assert_allclose([result.low, result.high], expected, atol=0.15 * scale)


@pytest.mark.slow
def test_interval_covers_as_often_as_stated():
    # For normal data the bootstrap interval is mean +- 1.96 sqrt((S - 1) / S) s.e., whose coverage is known.
    num_seeds, repeats = 20, 300
    half_width = 1.96 * np.sqrt((num_seeds - 1) / num_seeds)
    nominal = 1 - 2 * scipy.stats.t.sf(half_width, num_seeds - 1)
    assert round(nominal, 2) == 0.93
    samples = np.random.default_rng(2).normal(1.0, 1.0, (repeats, num_seeds))
    zeros = np.zeros(num_seeds)
    covered = [
        result.low <= 1.0 <= result.high
        for result in (paired_difference(s, zeros, seed=i) for i, s in enumerate(samples))
    ]
    assert abs(np.mean(covered) - nominal) < 3 * np.sqrt(nominal * (1 - nominal) / repeats)


def test_p_value_is_exact_for_few_seeds():
    differences = np.array([0.3, -0.1, 0.25, 0.4, 0.05, 0.12])
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    flipped = np.abs((signs * differences).mean(axis=1))
    expected = np.mean(flipped >= abs(differences.mean()) - 1e-12)
    np.testing.assert_allclose(paired_difference(differences, np.zeros(6)).p_value, expected)


def test_same_seed_same_interval():
    values, zeros = np.random.default_rng(3).normal(size=15), np.zeros(15)
    assert paired_difference(values, zeros, seed=4) == paired_difference(values, zeros, seed=4)
    assert paired_difference(values, zeros, seed=4) != paired_difference(values, zeros, seed=5)
    wide, narrow = (paired_difference(values, zeros, confidence=c) for c in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_equal_differences_are_stated_not_guessed():
    baseline = np.linspace(0.5, 0.9, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = paired_difference(baseline + 0.02, baseline)
        nothing = paired_difference(baseline, baseline)
    assert result.low == result.high == result.mean
    np.testing.assert_allclose(result.p_value, 2 / 2**12)
    assert verdict(result) == (
        "better than random (+0.020, 95% interval [+0.020, +0.020], 12 seeds, all differences equal)"
    )
    assert (nothing.low, nothing.high, nothing.p_value) == (0, 0, 1)
    assert verdict(nothing).startswith("not distinguishable from random")


@pytest.mark.parametrize(
    ("values", "baseline", "confidence", "message"),
    [
        ([0.5], [0.4], 0.95, "at least 2 paired seeds, got 1"),
        ([0.5, 0.6], [0.4], 0.95, "one value a seed"),
        ([0.5, np.inf], [0.4, 0.4], 0.95, "finite"),
        ([0.5, 0.6], [0.4, 0.4], 95, "confidence"),
    ],
)
def test_bad_arguments_are_refused(values, baseline, confidence, message):
    with pytest.raises((TypeError, ValueError), match=message + "|[Tt]ype-check"):
        paired_difference(np.array(values), np.array(baseline), float(confidence))


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "words"),
    [
        (0.006, 0.036, True, "better than random (+0.021, 95% interval [+0.006, +0.036], 20 seeds)"),
        (0.006, 0.036, False, "worse than random (+0.021, 95% interval [+0.006, +0.036], 20 seeds)"),
        (-0.036, -0.006, True, "worse than random (-0.021, 95% interval [-0.036, -0.006], 20 seeds)"),
        (-0.036, -0.006, False, "better than random (-0.021, 95% interval [-0.036, -0.006], 20 seeds)"),
        (
            -0.01,
            0.052,
            True,
            "not distinguishable from random (+0.021, 95% interval [-0.010, +0.052], 20 seeds)",
        ),
        (
            0.0,
            0.042,
            True,
            "not distinguishable from random (+0.021, 95% interval [+0.000, +0.042], 20 seeds)",
        ),
    ],
)
def test_verdict_words(low, high, higher_is_better, words):
    difference = PairedDifference((low + high) / 2, low, high, 0.5, 20, 0.95)
    assert verdict(difference, higher_is_better=higher_is_better) == words


@pytest.mark.parametrize(("num_seeds", "warned"), [(9, True), (10, False)])
def test_verdict_warns_below_ten_seeds(num_seeds, warned):
    words = verdict(PairedDifference(0.02, 0.01, 0.03, 0.5, num_seeds, 0.9), baseline="entropy")
    assert ("unreliable interval: fewer than 10 seeds" in words) == warned
    assert words.startswith("better than entropy (+0.020, 90% interval")


def test_holm_by_hand_and_by_definition():
    np.testing.assert_allclose(holm(np.array([0.01, 0.02, 0.03, 0.005])), [0.03, 0.04, 0.04, 0.02])
    p = np.random.default_rng(5).uniform(size=9) ** 3
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = np.zeros(9, bool)
        for rank, i in enumerate(np.argsort(p)):
            if p[i] > level / (9 - rank):
                break
            rejected[i] = True
        np.testing.assert_array_equal(adjusted <= level, rejected)
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
        holm(np.array([0.5, np.nan]))


def test_detectable_difference_is_detected_with_its_power():
    random = np.random.default_rng(6)
    pilot = random.normal(0, 0.05, 50)
    pilot *= 0.05 / pilot.std(ddof=1)
    for num_seeds, power in ((5, 0.8), (20, 0.9)):
        true = detectable_difference(pilot, num_seeds, power)
        runs = random.normal(true, 0.05, (4000, num_seeds))
        found = scipy.stats.ttest_1samp(runs, 0, axis=1).pvalue < 0.05
        assert abs(found.mean() - power) < 3.5 * np.sqrt(power * (1 - power) / 4000)


def test_detectable_difference_refuses_bad_arguments():
    with pytest.raises(ValueError, match="at least 2 paired seeds"):
        detectable_difference(np.array([0.1]), 20)
    with pytest.raises(ValueError, match="num_seeds"):
        detectable_difference(np.array([0.1, 0.2]), 1)
    with pytest.raises(ValueError, match="level < power"):
        detectable_difference(np.array([0.1, 0.2]), 20, power=0.01)


def test_interquartile_mean_ignores_the_outer_quarters():
    values = np.array([[-1e9, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 1e9]])
    assert interquartile_mean(values) == 3.5
    with pytest.raises(ValueError, match="at least one value"):
        interquartile_mean(np.array([]))
