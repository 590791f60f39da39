"""As good as: the test against its definition, its size at the margin, its power against the exact one."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import equivalence_test, paired_difference

S, SPREAD = 12, 0.02


def test_equivalent_is_an_interval_inside_the_margin():
    random, seen = np.random.default_rng(0), set()
    for _ in range(40):
        values, baseline = random.normal(0.7, 0.02, (2, 9))
        found = equivalence_test(values, baseline, margin=0.03, level=0.1)
        gaps = values - baseline
        error = gaps.std(ddof=1) / 3
        half = scipy.stats.t.ppf(0.9, 8) * error
        np.testing.assert_allclose([found.mean, found.low, found.high], gaps.mean() + half * np.array([0, -1, 1]))
        sides = ((-0.03, "greater"), (0.03, "less"))
        p = max(scipy.stats.ttest_1samp(gaps, edge, alternative=side).pvalue for edge, side in sides)
        np.testing.assert_allclose(found.p_value, p)
        assert found.equivalent == (found.low > -0.03 and found.high < 0.03) == (p <= 0.1)
        seen.add(found.equivalent)
    assert seen == {True, False}


def power(true, margin):
    """Exact, of normal differences: over the distribution of their standard deviation."""
    spread = SPREAD * np.sqrt(scipy.stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, S - 1) / (S - 1))
    reach = margin - scipy.stats.t.ppf(0.95, S - 1) * spread / np.sqrt(S)
    inside = lambda edge: scipy.stats.norm.cdf((edge - true) / (SPREAD / np.sqrt(S)))
    return np.maximum(inside(reach) - inside(-reach), 0).mean()


@pytest.mark.parametrize(("true", "expected"), [(0.03, 0.05), (-0.03, 0.05), (0.0, None), (0.015, None)])
def test_size_and_power(true, expected):
    """At the margin it is the level, and everywhere what theory says."""
    exact = power(true, 0.03)
    if expected:
        np.testing.assert_allclose(exact, expected, atol=0.001)
    runs = np.random.default_rng(1).normal(true, SPREAD, (400, S))
    found = np.mean([equivalence_test(run, np.zeros(S), 0.03).equivalent for run in runs])
    assert abs(found - exact) < 2.5 * np.sqrt(exact * (1 - exact) / 400) + 1e-3


def test_nothing_found_is_not_equivalence_with_few_seeds():
    gaps = np.array([-0.05, 0.04, 0.06, -0.04])
    assert paired_difference(gaps, np.zeros(4)).p_value > 0.5
    assert not equivalence_test(gaps, np.zeros(4), margin=0.03).equivalent


def test_equal_differences():
    baseline = np.linspace(0, 1, 5)
    assert equivalence_test(baseline + 0.01, baseline, margin=0.02)[3:5] == (2**-5, True)
    assert equivalence_test(baseline + 0.02, baseline, margin=0.01)[3:5] == (1, False)
    assert equivalence_test(baseline, baseline, margin=0.01)[:5] == (0, 0, 0, 2**-5, True)
    assert equivalence_test(baseline[:2], baseline[:2], margin=0.01)[3:5] == (0.25, False)  # two seeds show nothing


@pytest.mark.parametrize(
    ("values", "margin", "level", "message"),
    [
        ([0.1, 0.2], 0.0, 0.05, "margin must be positive"),
        ([0.1, 0.2], np.nan, 0.05, "margin must be positive"),
        ([0.1, 0.2], 0.1, 0.5, "level"),
        ([0.1], 0.1, 0.05, "at least 2 paired seeds"),
        ([0.1, np.inf], 0.1, 0.05, "finite"),
    ],
)
def test_bad_arguments_are_refused(values, margin, level, message):
    with pytest.raises(ValueError, match=message):
        equivalence_test(np.array(values), np.zeros(len(values)), margin, level)
