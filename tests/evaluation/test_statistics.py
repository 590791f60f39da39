import itertools
import warnings

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import (
    PairedDifference,
    compare,
    detectable_difference,
    holm,
    interquartile_mean,
    judgment,
    paired_difference,
    statistics,
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
    assert verdict(result, result.p_value) == (
        "better than random (+0.020, 95% interval [+0.020, +0.020], p = 0.000, 12 seeds, all differences equal)"
    )
    assert (nothing.low, nothing.high, nothing.p_value) == (0, 0, 1)
    assert verdict(nothing, 1.0).startswith("not distinguishable from random")
    few = paired_difference(baseline[:5] + 0.02, baseline[:5])
    assert verdict(few, few.p_value).startswith("too few seeds to tell (+0.020")


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
        (0.006, 0.036, True, "better than random (+0.021, 95% interval [+0.006, +0.036]"),
        (0.006, 0.036, False, "worse than random (+0.021, 95% interval [+0.006, +0.036]"),
        (-0.036, -0.006, True, "worse than random (-0.021, 95% interval [-0.036, -0.006]"),
        (-0.036, -0.006, False, "better than random (-0.021, 95% interval [-0.036, -0.006]"),
        (-0.01, 0.052, True, "not distinguishable from random (+0.021, 95% interval [-0.010, +0.052]"),
        (0.0, 0.042, True, "not distinguishable from random (+0.021, 95% interval [+0.000, +0.042]"),
    ],
)
def test_verdict_words(low, high, higher_is_better, words):
    difference = PairedDifference((low + high) / 2, low, high, 0.01, 20, 0.95)
    assert verdict(difference, 0.03, 3, higher_is_better=higher_is_better) == words + ", p = 0.030, 20 seeds)"


@pytest.mark.parametrize(
    ("num_seeds", "num_tests", "adjusted_p", "confidence", "words"),
    [
        (20, 1, 0.05, 0.95, "better than random"),
        (20, 1, 0.051, 0.95, "not distinguishable from random"),
        (20, 1, 0.1, 0.9, "better than random"),
        (20, 1, 0.02, 0.99, "not distinguishable from random"),
        (6, 1, 2 / 64, 0.95, "better than random"),
        (5, 1, 2 / 32, 0.95, "too few seeds to tell"),
        (2, 1, 0.5, 0.95, "too few seeds to tell"),
        (6, 2, 4 / 64, 0.95, "too few seeds to tell"),  # over two strategies no p-value can be smaller
        (8, 6, 12 / 256, 0.95, "better than random"),
        (8, 7, 14 / 256, 0.95, "too few seeds to tell"),
        (7, 1, 2 / 128, 0.99, "too few seeds to tell"),
        (20, 300, 300 * 2e-4, 0.95, "too few seeds to tell"),  # 9,999 sampled sign patterns
    ],
)
def test_a_verdict_takes_the_interval_and_the_test(num_seeds, num_tests, adjusted_p, confidence, words):
    """Whatever its interval, a difference gets no verdict against its test."""
    smallest = min(adjusted_p, statistics.smallest_p_value(num_seeds))
    assert judgment(PairedDifference(0.02, 0.01, 0.03, smallest, num_seeds, confidence), adjusted_p, num_tests) == words


@pytest.mark.parametrize("num_seeds", [2, 5, 6, 13, 14, 20])
def test_smallest_p_value_is_that_of_equal_signs(num_seeds):
    positive = np.random.default_rng(0).uniform(1, 2, num_seeds)
    reached = paired_difference(positive, np.zeros(num_seeds)).p_value
    assert reached == pytest.approx(statistics.smallest_p_value(num_seeds), rel=1e-9)


@pytest.mark.parametrize("adjusted_p", [0.005, 1.5, np.nan])
def test_an_adjusted_p_value_is_no_smaller_than_the_p_value(adjusted_p):
    with pytest.raises(ValueError, match=r"adjusted_p must lie between the p-value, 0\.01, and 1"):
        judgment(PairedDifference(0.02, 0.01, 0.03, 0.01, 20, 0.95), adjusted_p)


def false_verdicts(num_seeds, num_strategies, num_studies, draw=np.random.Generator.standard_normal):
    """Number of studies with a verdict on any strategy, where none differs from random and seeds are shared."""
    random, labels, found = np.random.default_rng(7), np.array([10, 20]), 0
    for _ in range(num_studies):
        values = 0.7 + 0.01 * draw(random, (num_strategies + 1, num_seeds, 1)) * np.ones(2)
        curves = dict(zip(["random", *map(str, range(num_strategies))], values))
        words = [one.judgment for one in compare(labels, curves).values()]
        found += any("better" in word or "worse" in word for word in words)
    return found


def at_most(level, num_studies):
    """Two standard errors above the level."""
    return num_studies * level + 2 * np.sqrt(num_studies * level * (1 - level))


@pytest.mark.parametrize(
    ("num_seeds", "num_strategies", "allowed"),
    [(2, 1, 0), (5, 3, 0), (6, 1, None), pytest.param(8, 3, None, marks=pytest.mark.slow)],
)
def test_no_difference_seldom_gets_a_verdict(num_seeds, num_strategies, allowed, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 499)  # enough for every sign pattern of 8 seeds
    found = false_verdicts(num_seeds, num_strategies, 100)
    assert found <= (at_most(0.05, 100) if allowed is None else allowed)


@pytest.mark.slow
@pytest.mark.parametrize("num_strategies", [1, 4])
@pytest.mark.parametrize("num_seeds", [6, 10, 20])
def test_verdicts_on_no_difference_are_as_rare_as_stated(num_seeds, num_strategies):
    num_studies = 1_000 if num_strategies == 1 else 400
    assert false_verdicts(num_seeds, num_strategies, num_studies) <= at_most(0.05, num_studies)


def test_a_clear_difference_gets_its_verdict():
    random = np.random.default_rng(8)
    start = random.normal(0.7, 0.05, (20, 1)) * np.ones(2)
    curves = {"random": start, "good": start + 0.05 + random.normal(0, 0.02, (20, 1)), "same": start.copy()}
    found = compare(np.array([10, 20]), curves)
    assert [one.judgment for one in found.values()] == [
        "baseline",
        "better than random",
        "not distinguishable from random",
    ]
    assert [one.adjusted_p for one in found.values()] == [None, pytest.approx(4e-4), 1.0]


@pytest.mark.parametrize(("num_seeds", "warned"), [(9, True), (10, False)])
def test_verdict_warns_below_ten_seeds(num_seeds, warned):
    words = verdict(PairedDifference(0.02, 0.01, 0.03, 0.05, num_seeds, 0.9), 0.05, baseline="entropy")
    assert ("unreliable interval: fewer than 10 seeds" in words) == warned
    assert words.startswith("better than entropy (+0.020, 90% interval")


def test_interval_of_skewed_differences_is_bias_corrected_and_accelerated():
    """Efron's BCa by hand, from resamples of its own: the percentile interval lies far from it."""
    differences = np.array([0.01, 0.02, 0.02, 0.03, 0.05, 0.08, 0.4])
    means = np.random.default_rng(9).choice(differences, (200_000, 7)).mean(1)
    shift = scipy.stats.norm.ppf((means < differences.mean()).mean() / 2 + (means <= differences.mean()).mean() / 2)
    jackknife = (differences.sum() - differences) / 6
    left = jackknife.mean() - jackknife
    acceleration = (left**3).sum() / (6 * (left**2).sum() ** 1.5)
    z = shift + scipy.stats.norm.ppf([0.025, 0.975])
    expected = np.quantile(means, scipy.stats.norm.cdf(shift + z / (1 - acceleration * z)))
    result = paired_difference(differences, np.zeros(7))
    np.testing.assert_allclose([result.low, result.high], expected, atol=0.006)
    assert np.quantile(means, 0.975) < expected[1] - 0.04


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
    for values in ([], [1.0, np.nan, 2.0, 3.0]):
        with pytest.raises(ValueError, match="at least one value and no NaN"):
            interquartile_mean(np.array(values))
