"""Ranks over data sets, against Demšar's tables, scikit-posthocs and loops."""

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import critical_difference, holm

# Eight data sets, four strategies; the p-values are those of scikit-posthocs 0.17.1, posthoc_nemenyi_friedman and
# posthoc_wilcoxon(p_adjust="holm"), rounded to 8 digits.
SCORES = np.array([
    [0.684, 0.692, 0.748, 0.804], [0.594, 0.708, 0.697, 0.747], [0.742, 0.781, 0.841, 0.896],
    [0.705, 0.795, 0.744, 0.815], [0.683, 0.68, 0.677, 0.7], [0.718, 0.775, 0.756, 0.818],
    [0.824, 0.882, 0.899, 0.935], [0.769, 0.82, 0.886, 0.944],
])  # fmt: skip
NEMENYI = {"ab": 0.30144941, "ac": 0.30144941, "ad": 0.00012005, "bc": 1.0, "bd": 0.05725272, "cd": 0.05725272}
WILCOXON = {"ab": 0.046875, "ac": 0.046875, "ad": 0.046875, "bc": 0.4609375, "bd": 0.046875, "cd": 0.046875}


def by_task(scores, names="abcdefgh"):
    """Two seeds around each score."""
    spread = np.array([-0.01, 0.01])
    return {str(task): {name: score + spread for name, score in zip(names, row)} for task, row in enumerate(scores)}


def of_pairs(found, matrix):
    place = found.strategies.index
    return {one + other: matrix[place(one), place(other)] for one in "abcd" for other in "abcd" if one < other}


def test_numbers_of_scikit_posthocs():
    found = critical_difference(by_task(SCORES))
    assert (found.strategies, found.num_tasks) == (("d", "b", "c", "a"), 8)
    np.testing.assert_allclose(found.mean_ranks, [1.0, 2.625, 2.625, 3.75])
    np.testing.assert_allclose(found.p_value, 0.00035517364724, rtol=1e-9)
    for matrix, expected in ((found.nemenyi, NEMENYI), (found.wilcoxon, WILCOXON)):
        np.testing.assert_allclose(list(of_pairs(found, matrix).values()), list(expected.values()), atol=1e-6)
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_allclose(np.diag(matrix), 1)
    assert found.groups == (("d", "b", "c"), ("b", "c", "a"))


def test_against_scikit_posthocs_where_it_is_installed():
    posthocs = pytest.importorskip("scikit_posthocs", reason="scikit-posthocs is not installed")
    scores = np.random.default_rng(0).normal(size=(9, 5))
    found = critical_difference(by_task(scores))
    order = ["abcde".index(name) for name in found.strategies]
    np.testing.assert_allclose(found.nemenyi, posthocs.posthoc_nemenyi_friedman(scores[:, order]).to_numpy(), atol=1e-6)


@pytest.mark.parametrize("num_tasks", [7, 15])
def test_signed_ranks_with_ties_and_without(num_tasks):
    """Scipy's own, which goes through all signs of few tasks; two strategies are equal on two of them."""
    scores = np.random.default_rng(4).normal(size=(num_tasks, 4))
    scores[:, 2] = scores[:, 1] + np.resize([0.0, 0.5, 0.5, -0.25, 0.0, 1.0, 0.5], num_tasks)
    scores[:, 3] = scores[:, 0]
    found = critical_difference(by_task(scores))
    pairs = {one + other: (i, j) for i, one in enumerate("abcd") for j, other in enumerate("abcd") if i < j}
    p = [
        scipy.stats.wilcoxon(scores[:, i] - scores[:, j]).pvalue if pair != "ad" else 1.0
        for pair, (i, j) in pairs.items()
    ]
    np.testing.assert_allclose(list(of_pairs(found, found.wilcoxon).values()), holm(np.array(p)), rtol=1e-9)


@pytest.mark.parametrize(("num", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_difference_is_demsars(num, q):
    """q of table 5 of his paper."""
    scores = np.random.default_rng(num).normal(size=(14, num))
    found = critical_difference(by_task(scores, "abcdefghij"))
    np.testing.assert_allclose(found.critical_difference, q * np.sqrt(num * (num + 1) / (6 * 14)), rtol=5e-4)


def test_groups_are_the_largest_runs_that_are_not_told_apart():
    random, sizes = np.random.default_rng(1), set()
    for _ in range(20):
        found = critical_difference(by_task(random.normal(size=(20, 6)) + random.choice([0, 0.5, 1]) * np.arange(6)))
        ranks, runs = found.mean_ranks, []
        for i in range(6):
            for j in range(i + 1, 6):
                alike = ranks[j] - ranks[i] < found.critical_difference
                wider = (i > 0 and ranks[j] - ranks[i - 1] < found.critical_difference) or (
                    j < 5 and ranks[j + 1] - ranks[i] < found.critical_difference
                )
                runs += [found.strategies[i : j + 1]] if alike and not wider else []
        assert found.groups == tuple(runs)
        sizes.add(len(runs))
    assert len(sizes) >= 3


def test_no_difference_seldom_gets_a_verdict_and_a_loss_turns_ranks_around():
    assert critical_difference(by_task(np.zeros((6, 3)))).p_value == 1
    random = np.random.default_rng(2)
    told = [(critical_difference(by_task(random.normal(size=(12, 3)))).nemenyi <= 0.05).any() for _ in range(40)]
    assert np.mean(told) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 40)
    found = critical_difference(by_task(SCORES), higher_is_better=False)
    np.testing.assert_allclose(found.mean_ranks, [1.25, 2.375, 2.375, 4.0])


def test_ranks_of_a_pair_jump_when_another_is_added():
    """Why they are a complement only: a third strategy between two makes the same gap look twice as large."""
    random = np.random.default_rng(3)
    scores = random.normal(size=(10, 1)) + random.uniform(0.5, 1, (10, 3)) * np.array([0.0, 1.0, -1.0])
    gap = lambda found: np.ptp(found.mean_ranks[[found.strategies.index("a"), found.strategies.index("b")]])
    between = np.concatenate([scores, scores[:, :1] + random.uniform(0.1, 0.4, (10, 1))], axis=1)
    assert gap(critical_difference(by_task(scores))) == 1
    assert gap(critical_difference(by_task(between))) == 2


@pytest.mark.parametrize(
    ("results", "level", "message"),
    [
        ({}, 0.05, "at least one task"),
        (by_task(SCORES[:, :2]), 0.05, "3 strategies and 2 tasks, got 2 and 8"),
        (by_task(SCORES[:1]), 0.05, "got 4 and 1"),
        (by_task(SCORES) | {"other": {"a": np.ones(2)}}, 0.05, "same strategies"),
        (by_task(SCORES) | {"other": dict.fromkeys("abcd", np.array([np.inf]))}, 0.05, "finite"),
        (by_task(SCORES), 5.0, "level"),
    ],
)
def test_bad_arguments_are_refused(results, level, message):
    with pytest.raises(ValueError, match=message):
        critical_difference(results, level)
