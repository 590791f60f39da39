"""Slices that became worse: McNemar's test by hand and scipy, intervals, verdicts."""

from math import comb

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import paired_difference
from bal.evaluation.protocol import silent_regressions

ALL = {"first": np.arange(200) < 60, "rest": np.arange(200) >= 60}


def test_mcnemar_is_the_binomial_of_the_rows_that_differ():
    before, after = np.ones(200), np.ones(200)
    after[:9], before[9:12] = 0, 0  # nine became wrong, three right
    found = silent_regressions(before, after, ALL)["first"]
    by_hand = 2 * sum(comb(12, k) for k in range(4)) / 2**12
    assert found.p_value == pytest.approx(by_hand)
    assert found.p_value == pytest.approx(scipy.stats.binomtest(3, 12).pvalue)
    assert (found.num_rows, found.before, found.after) == (60, 57 / 60, 51 / 60)


def test_a_slice_that_drops_is_found_while_the_average_rises():
    before = np.tile([1.0, 0.0], 100)
    after = before.copy()
    after[61:160:2], after[:60:4] = 1, 0
    found = silent_regressions(before, after, ALL)
    assert found["all"].after > found["all"].before
    assert [found[name].verdict for name in ("all", "first", "rest")] == ["better", "worse", "better"]
    assert found["first"].high < 0
    assert found["first"].adjusted_p >= found["first"].p_value


def test_few_rows_exclude_nothing_and_many_on_which_models_agree_all():
    before = np.tile([1.0, 1.0, 0.0, 1.0], 150)
    after = before.copy()
    after[[0, 1]], after[[2, 6]] = 0, 1
    rows = np.arange(600)
    slices = {"first": rows < 60, "few": (rows >= 60) & (rows < 200), "many": rows >= 200, "one": rows == 599}
    found = silent_regressions(before, after, slices)
    for name in ("first", "few", "one"):
        assert found[name].verdict == "a drop beyond 0.01 cannot be excluded"
    assert found["many"].verdict == "no drop beyond 0.01"
    half = scipy.stats.norm.isf(0.025) * np.sqrt(2) / 402  # by hand: one row of 402 for each kind
    assert (found["many"].low, found["many"].high) == pytest.approx((-half, half))
    assert found["many"].p_value == 1
    assert silent_regressions(before, after, slices, tolerance=0.2)["first"].verdict == "no drop beyond 0.2"
    log_probs = silent_regressions(before - 0.5, before - 0.5, slices)  # one point shows nothing
    assert {one.verdict for one in log_probs.values()} == {"a drop beyond 0.01 cannot be excluded"}


def test_a_drop_that_is_there_is_seldom_excluded():
    """One row of 20 turns wrong on average; 95 % intervals let 5 % of the audits pass, binomially at most 9 of 80."""
    rng, ones, passed = np.random.default_rng(2), np.ones(20), 0
    for _ in range(80):
        passed += silent_regressions(ones, (rng.random(20) >= 0.05) * 1.0, {})["all"].verdict.startswith("no drop")
    assert passed <= 9


def test_real_scores_by_a_paired_bootstrap_and_sign_flips():
    """Both are those of `paired_difference`, which is tested against scipy, up to resampling."""
    rng = np.random.default_rng(0)
    before = rng.normal(size=200)
    after = before + 0.15 + rng.normal(size=200)
    found = silent_regressions(before, after, ALL)["first"]
    known = paired_difference(after[:60], before[:60])
    assert [found.low, found.high] == pytest.approx([known.low, known.high], abs=0.02)
    assert found.p_value == pytest.approx(known.p_value, abs=0.02)


def test_false_alarms_are_rare():
    """Two models alike, four slices: a verdict "worse" or "better" anywhere in at most 5 % of the audits."""
    rng, alarms = np.random.default_rng(1), 0
    slices = {str(i): np.arange(80) % 4 == i for i in range(4)}
    for _ in range(30):
        before, after = rng.random((2, 80)) < 0.8
        found = silent_regressions(before, after, slices)
        alarms += any(one.verdict in ("worse", "better") for one in found.values())
    assert alarms <= 4  # binomial of 30 and .05: above in 2 % of the seeds


def test_refusals():
    ones = np.ones(4)
    for slices, text in [
        ({"all": ones > 0}, "none named 'all'"),
        ({"a": ones < 0}, "at least one of them true"),
        ({"a": ones}, "truth values"),
    ]:
        with pytest.raises(Exception, match=text if "truth" not in text else "truth values|Type-check"):
            silent_regressions(ones, ones, slices)
    with pytest.raises(ValueError, match="one finite score"):
        silent_regressions(ones, ones * np.nan, {})
    with pytest.raises(ValueError, match="expected tolerance >= 0"):
        silent_regressions(ones, ones, {}, tolerance=-1)
