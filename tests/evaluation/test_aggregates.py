"""Statistics over tasks and seeds: rliable's numbers, closed forms, and intervals that cover as often as they say."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import aggregate, normalized_scores, performance_profiles, probability_of_improvement
from bal.evaluation.aggregates import middle
from bal.evaluation.bootstrap import percentile_interval, stratified_distribution

# Ten seeds of six tasks. The numbers below are those of rliable 1.2.0: interval estimates with 50,000 resamples of its
# stratified bootstrap, a profile with 2,000.
A = np.array([
    [0.635, 0.699, 0.666, 0.52, 0.757, 0.728], [0.546, 0.675, 0.67, 0.679, 0.67, 0.738],
    [0.526, 0.6, 0.585, 0.71, 0.671, 0.654], [0.522, 0.591, 0.634, 0.622, 0.796, 0.784],
    [0.329, 0.428, 0.616, 0.608, 0.688, 0.705], [0.812, 0.505, 0.596, 0.854, 0.731, 0.75],
    [0.549, 0.452, 0.65, 0.661, 0.544, 0.615], [0.593, 0.522, 0.624, 0.66, 0.67, 0.633],
    [0.659, 0.706, 0.665, 0.568, 0.74, 0.633], [0.688, 0.509, 0.725, 0.648, 0.542, 0.652],
])  # fmt: skip
B = np.array([
    [0.642, 0.691, 0.574, 0.491, 0.714, 0.647], [0.612, 0.718, 0.523, 0.68, 0.753, 0.665],
    [0.518, 0.68, 0.633, 0.747, 0.628, 0.528], [0.572, 0.58, 0.699, 0.646, 0.588, 0.616],
    [0.555, 0.588, 0.577, 0.624, 0.7, 0.71], [0.796, 0.593, 0.61, 0.726, 0.77, 0.515],
    [0.583, 0.549, 0.531, 0.677, 0.54, 0.696], [0.606, 0.635, 0.73, 0.681, 0.585, 0.515],
    [0.79, 0.664, 0.597, 0.616, 0.675, 0.705], [0.667, 0.576, 0.625, 0.682, 0.508, 0.699],
])  # fmt: skip


def by_task(**columns):
    return {
        str(t): {name: values[:, t] for name, values in columns.items()}
        for t in range(next(iter(columns.values())).shape[1])
    }


def test_numbers_of_rliable():
    found = aggregate(by_task(random=B, bald=A))
    _, difference, improvement = found["bald"]
    for values, (mean, *ends) in ((A, (0.6442, 0.6226, 0.6641675)), (B, (0.63386667, 0.6116, 0.65703417))):
        drawn = stratified_distribution(10, 6, lambda rows, values=values: middle(values, rows))
        np.testing.assert_allclose(np.quantile(drawn, [0.025, 0.975]), ends, atol=0.0015)
        ours = found["bald" if values is A else "random"].interquartile_mean
        np.testing.assert_allclose(ours.value, mean, atol=1e-8)
        np.testing.assert_allclose(ours[1:], mean + 1.08 * (np.array(ends) - mean), atol=0.003)  # expanded
    assert found["random"][1:] == (None, None)
    np.testing.assert_allclose(difference.value, 0.6442 - 0.63386667, atol=1e-8)
    np.testing.assert_allclose(improvement.value, 0.5191666666666667, rtol=1e-12)
    profile = performance_profiles(by_task(bald=A), np.array([0.5, 0.6, 0.7, 0.8]))["bald"]
    np.testing.assert_allclose(profile.share, [57 / 60, 41 / 60, 14 / 60, 2 / 60])
    np.testing.assert_allclose(profile.low, [0.9, 0.58333333, 0.13333333, 0.0], atol=0.026)  # a run is 1/60
    np.testing.assert_allclose(profile.high, [1.0, 0.78333333, 0.33333333, 0.08333333], atol=0.026)


def test_the_bootstrap_draws_in_every_task_apart():
    """The variance of a mean over tasks is that of the seeds, however far the tasks are apart."""
    values = np.random.default_rng(0).normal(size=(7, 3)) * [1.0, 2.0, 0.5] + [0.0, 100.0, -50.0]
    mean = lambda rows: values[rows, np.arange(3)].mean(axis=(1, 2))
    drawn = stratified_distribution(7, 3, mean, num_resamples=20_000)
    np.testing.assert_allclose(drawn.var(), values.var(axis=0).sum() / 7 / 9, rtol=0.04)
    np.testing.assert_allclose(drawn.mean(), values.mean(), atol=0.02)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        stratified_distribution(1, 3, mean)


@pytest.mark.parametrize(("num_seeds", "num_tasks"), [(4, 1), (20, 1), (8, 5)])
def test_of_a_normal_distribution_the_interval_is_students(num_seeds, num_tasks):
    """The bootstrap's standard deviation of a mean has ddof = 0."""
    drawn = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * np.sqrt((num_seeds - 1) / num_seeds)
    expected = scipy.stats.t.ppf([0.05, 0.95], num_tasks * (num_seeds - 1))
    np.testing.assert_allclose(percentile_interval(drawn, 0.9, num_seeds, num_tasks), expected, rtol=2e-3)


def test_intervals_cover_as_often_as_stated():
    """Of tasks that differ; each study resamples anew."""
    random, shift = np.random.default_rng(1), np.arange(2.0)
    noise = random.normal(size=(250, 20, 2))
    truth = scipy.stats.trim_mean((np.random.default_rng(2).normal(size=(200_000, 2)) + shift).ravel(), 0.25)
    found = [
        aggregate(by_task(random=values), seed=number, num_resamples=200)["random"].interquartile_mean
        for number, values in enumerate(noise + shift)
    ]
    assert 0.93 <= np.mean([low <= truth <= high for _, low, high in found]) <= 0.97


def test_a_difference_keeps_the_pairing():
    """The gain is steadier than the seeds, and its interval is that of the gains."""
    random = np.random.default_rng(5)
    base, gain = random.normal(0, 1, (20, 3)), 0.3 + random.normal(0, 0.1, (20, 3))
    apart = aggregate(by_task(random=base, bald=base + gain))["bald"]
    width = lambda estimate: estimate.high - estimate.low
    assert width(apart.difference) < 0.3 * width(apart.interquartile_mean)


def test_a_constant_gain_has_no_width():
    found = aggregate(by_task(random=B, bald=B + 0.125))["bald"]
    np.testing.assert_allclose(found.difference, 0.125, rtol=1e-12)


def test_improvement_is_mann_whitneys_over_all_pairs():
    one, other = np.round(A, 1), np.round(B, 1)  # with ties
    expected = [scipy.stats.mannwhitneyu(one[:, t], other[:, t]).statistic / 100 for t in range(6)]
    results = by_task(random=other, bald=one)
    np.testing.assert_allclose(probability_of_improvement(results, "bald"), np.mean(expected), rtol=1e-12)
    np.testing.assert_allclose(aggregate(results)["bald"].improvement.value, np.mean(expected), rtol=1e-12)
    np.testing.assert_allclose(probability_of_improvement(results, "random", "bald"), 1 - np.mean(expected))
    assert probability_of_improvement(results, "bald", "bald") == 0.5
    fewer = results | {"0": {name: values[:5] for name, values in results["0"].items()}}
    expected[0] = scipy.stats.mannwhitneyu(one[:5, 0], other[:5, 0]).statistic / 25
    np.testing.assert_allclose(probability_of_improvement(fewer, "bald"), np.mean(expected), rtol=1e-12)


def test_the_interval_of_improvement_resamples_pairs_of_seeds():
    results = by_task(random=B[:, :2], bald=A[:, :2])
    found = aggregate(results, seed=3, num_resamples=2000)["bald"].improvement
    random, drawn = np.random.default_rng(4), []
    for _ in range(1500):
        wins = []
        for t in range(2):
            rows = random.integers(0, 10, 10)
            wins.append((A[rows, t][:, None] > B[rows, t]).mean() + (A[rows, t][:, None] == B[rows, t]).mean() / 2)
        drawn.append(np.mean(wins))
    np.testing.assert_allclose([found.low, found.high], percentile_interval(np.array(drawn), 0.95, 10, 2), atol=0.015)


def test_a_profile_falls_from_one_to_zero():
    profile = performance_profiles(by_task(bald=A), np.linspace(0, 1, 51))["bald"]
    assert (profile.share[0], profile.share[-1]) == (1, 0)
    assert (np.diff(profile.share) <= 0).all()
    assert ((profile.low <= profile.share) & (profile.share <= profile.high)).all()


def test_scores_of_gains_and_losses_are_on_one_scale():
    np.testing.assert_allclose(normalized_scores(np.array([2.0, 0.5, 1.25]), start=2.0, full=0.5), [0, 1, 0.5])
    np.testing.assert_allclose(normalized_scores(np.array([[0.4, 0.9]]), start=0.4, full=0.9), [[0, 1]])
    for start, full in ((0.5, 0.5), (0.5, np.nan)):
        with pytest.raises(ValueError, match="two different numbers"):
            normalized_scores(np.array([0.5]), start, full)


@pytest.mark.parametrize(
    ("results", "options", "message"),
    [
        ({}, {}, "at least one task"),
        (by_task(bald=A), {}, "baseline 'random' is not among"),
        (by_task(random=A) | {"x": {"bald": A[:, 0]}}, {}, "same strategies"),
        (by_task(random=A) | {"x": {"random": A[:3, 0]}}, {}, "one number of seeds"),
        ({"x": {"random": A[:3, 0], "bald": A[:, 0]}}, {}, "same seeds"),
        ({"x": {"random": np.array([0.1, np.nan])}}, {}, "finite"),
        (by_task(random=A[:1]), {}, "at least 2, got 1"),
        (by_task(random=A), {"confidence": 95.0}, "confidence"),
    ],
)
def test_bad_arguments_are_refused(results, options, message):
    with pytest.raises(ValueError, match=message):
        aggregate(results, **options)


def test_thresholds_must_increase():
    with pytest.raises(ValueError, match="increase"):
        performance_profiles(by_task(bald=A), np.array([0.5, 0.4]))
    with pytest.raises(ValueError, match="'best' is not among"):
        probability_of_improvement(by_task(random=A), "best")
