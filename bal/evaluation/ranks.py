"""Ranks of strategies over data sets: a test that any differ, and which of them do."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from bal.evaluation.results import Results, stacked_results
from bal.evaluation.statistics import holm, sign_flips


class CriticalDifference(NamedTuple):
    """What a critical-difference diagram shows of A strategies over T tasks, best first.

    mean_ranks: 1 is best. p_value: Friedman's, of no difference among any.
    critical_difference: Nemenyi's, the gap in mean rank from which two strategies differ at the level.
    nemenyi, wilcoxon: p-values of each pair, Nemenyi's and Holm-adjusted of Wilcoxon's signed-rank test.
    groups: of strategies that Nemenyi's test does not tell apart, as large as possible; a bar each.
    """

    strategies: tuple[str, ...]
    mean_ranks: Float[np.ndarray, "A"]
    p_value: float
    critical_difference: float
    nemenyi: Float[np.ndarray, "A A"]
    wilcoxon: Float[np.ndarray, "A A"]
    groups: tuple[tuple[str, ...], ...]
    num_tasks: int


def critical_difference(results: Results, level: float = 0.05, higher_is_better: bool = True) -> CriticalDifference:
    """Mean ranks over T data sets, Friedman's test, Nemenyi's critical difference and Wilcoxon's tests of pairs.

    On each task the strategies are ranked by their mean over seeds, ties sharing their mean rank. Nemenyi's difference
    is ``q sqrt(A (A + 1) / (6 T))``, q the quantile of the studentized range of A over sqrt(2). The unit of all tests
    is the data set: seeds make a rank surer, but add no evidence that it holds elsewhere.

    Ranks are a complement to effects: they do not say how far strategies are apart, they jump when one is added that
    lies between two others, and Nemenyi's verdict on a pair depends on which others were run. Wilcoxon's, from the
    pair alone, does so only through Holm. It takes 6 tasks to give any p-value below 0.05, 9 for 10 pairs. Friedman's
    p-value is that of its chi-square, for about 10 tasks or 5 strategies and more.

    Use it when strategies were run on many data sets whose scores have no common scale.

    Args:
      results: ``{task: {strategy: [S]}}``, at least 2 tasks and 3 strategies.
      level: of Nemenyi's difference and the groups.
      higher_is_better: False for a loss.

    Raises:
      ValueError: too few tasks or strategies, other ones in some task, seeds that are not paired, values that are not
        finite, a level outside (0, 1).

    >>> score = lambda *values: dict(zip(["random", "margin", "bald"], np.array(values)[:, None]))
    >>> results = {"a": score(0.1, 0.2, 0.3), "b": score(0.5, 0.7, 0.8), "c": score(0.4, 0.9, 0.6)}
    >>> found = critical_difference(results)
    >>> found.strategies, found.mean_ranks.round(2).tolist(), round(found.critical_difference, 2), len(found.groups)
    (('bald', 'margin', 'random'), [1.33, 1.67, 3.0], 1.91, 1)

    Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets"; Benavoli, Corani and Mangili 2016,
    "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?".
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), for instance 0.05, got {level}")
    columns = stacked_results(results, same_seeds=False)
    means = np.array([[column.mean() for column in of] for of in columns.values()])
    num, tasks = means.shape
    if num < 3 or tasks < 2:
        raise ValueError(
            f"expected at least 3 strategies and 2 tasks, got {num} and {tasks}; compare two by their area"
        )
    ranks = scipy.stats.rankdata(-means if higher_is_better else means, axis=0)
    order = np.argsort(ranks.mean(axis=1), kind="stable")
    names, ranks, means = tuple(np.array(list(columns))[order].tolist()), ranks[order], means[order]
    average = ranks.mean(axis=1)
    unit = np.sqrt(num * (num + 1) / (12 * tasks))
    critical = float(scipy.stats.studentized_range.ppf(1 - level, num, np.inf) * unit)
    gaps = np.abs(average[:, None] - average[None])
    nemenyi = scipy.stats.studentized_range.sf(gaps / unit, num, np.inf)
    p = 1.0 if (ranks == ranks[:1]).all() else float(scipy.stats.friedmanchisquare(*ranks).pvalue)
    groups = _groups(names, average, critical)
    return CriticalDifference(names, average, p, critical, nemenyi, _wilcoxon(means), groups, tasks)


def _wilcoxon(means: Float[np.ndarray, "A T"]) -> Float[np.ndarray, "A A"]:
    """Holm-adjusted over all pairs: exact up to 13 tasks, where scipy's own takes seconds a pair once values tie."""
    first, second = np.triu_indices(len(means), 1)
    gaps = means[first] - means[second]
    if gaps.shape[1] <= 13:
        size = np.abs(gaps)
        p = sign_flips(np.sign(gaps) * (scipy.stats.rankdata(size, axis=1) - (size == 0).sum(axis=1, keepdims=True)))
    else:
        p = np.array([scipy.stats.wilcoxon(gap)[1] if gap.any() else 1.0 for gap in gaps])
    adjusted = np.ones((len(means), len(means)))
    adjusted[first, second] = adjusted[second, first] = holm(p)
    return adjusted


def _groups(names: tuple[str, ...], ranks: np.ndarray, critical: float) -> tuple[tuple[str, ...], ...]:
    """Runs of neighbors in rank, the ends closer than the difference, none inside another."""
    ends = np.searchsorted(ranks, ranks + critical, side="left")  # first that differs
    runs = [(i, int(end)) for i, end in enumerate(ends) if i == 0 or end > ends[i - 1]]
    return tuple(names[i:end] for i, end in runs if end - i > 1)
