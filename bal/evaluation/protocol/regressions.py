"""Slices that became worse from one model to the next, while the average may have become better."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Shaped

from bal.evaluation.statistics import holm

RESAMPLES = 4999


class SliceChange(NamedTuple):
    """One slice of M test rows, before and after: means of a score, higher is better, and their difference.

    low, high: interval of the change. p_value: two-sided; adjusted_p: after `bal.evaluation.holm` over all slices.
    verdict: "worse", "better", "no drop beyond the tolerance", or that one cannot be excluded.
    """

    num_rows: int
    before: float
    after: float
    low: float
    high: float
    p_value: float
    adjusted_p: float
    verdict: str


def silent_regressions(
    before: Shaped[np.ndarray, "M"],
    after: Shaped[np.ndarray, "M"],
    slices: Mapping[str, Bool[np.ndarray, "M"]],
    tolerance: float | int = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, SliceChange]:
    """The change of a score from one model to the next on the same test rows, slice by slice and on "all" of them.

    Scores are one number a row, higher is better: whether it is right (0, 1), or a log probability. For right and
    wrong the test is McNemar's exact one, binomial over the rows on which the models differ; for other scores the
    sign-flip permutation test of the mean. The interval of right and wrong is Wald's with one row added to each kind on
    which the models differ, ``p = (n + 1) / (M + 2)``: models that agree on all of 20 rows may still be .13 apart. That
    of other scores is a paired bootstrap (4,999 resamples; BCa), one point where all rows differ by the same number.

    - "worse": the interval is below zero and ``adjusted_p <= 1 - confidence``.
    - "a drop beyond the tolerance cannot be excluded": the lower end is below minus the tolerance, or the interval is
      one point, which shows nothing. Mostly that says that the slice has too few rows to tell.
    - "no drop beyond the tolerance", or "better".

    Use it when a model is replaced by one with more labels: on an audit set that acquisition never touches.

    Args:
      before, after: scores of the two models, row by row.
      slices: by name, which rows belong to it; they may overlap.
      tolerance: the drop that would not matter.
      confidence: of intervals and of all verdicts "worse" and "better" together.
      seed: of the resamples.

    Raises:
      ValueError: scores that are not finite or of other lengths, a slice without rows or named "all".

    >>> right = np.tile([1, 1, 1, 0], 50)
    >>> now = right.copy()
    >>> now[3:160:4], now[180:200] = 1, 0  # better on most, worse on the last 20
    >>> found = silent_regressions(right, now, {"old": np.arange(200) < 180, "new": np.arange(200) >= 180})
    >>> {name: (round(one.before, 3), round(one.after, 3), one.verdict) for name, one in found.items()}
    {'all': (0.75, 0.875, 'better'), 'old': (0.75, 0.972, 'better'), 'new': (0.75, 0.0, 'worse')}

    McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages"; Bonett
    and Price 2012, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired Data".
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    _check(before, after, slices, tolerance, confidence)
    chosen = {"all": np.ones(len(before), bool), **slices}
    exact = bool(np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all())
    tests = [_test(after[rows] - before[rows], exact, seed) for rows in chosen.values()]
    found = {}
    for (name, rows), p, adjusted in zip(chosen.items(), tests, holm(np.array(tests)).tolist(), strict=True):
        low, high = _interval(after[rows] - before[rows], exact, confidence, seed)
        sure = adjusted <= 1 - confidence + 1e-12
        if sure and (high < 0 or low > 0):
            verdict = "worse" if high < 0 else "better"
        elif not low >= -tolerance or low == high:  # also where the interval is not defined
            verdict = f"a drop beyond {tolerance:g} cannot be excluded"
        else:
            verdict = f"no drop beyond {tolerance:g}"
        means = float(before[rows].mean()), float(after[rows].mean())
        found[name] = SliceChange(int(rows.sum()), *means, low, high, p, adjusted, verdict)
    return found


def _test(change: np.ndarray, exact: bool, seed: int) -> float:
    """Two-sided p-value of no change."""
    differing = change[change != 0]
    if not len(differing):
        return 1.0
    if exact:
        return float(scipy.stats.binomtest(int((differing > 0).sum()), len(differing), 0.5).pvalue)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (RESAMPLES, len(differing)))
    least = abs(differing.sum()) * (1 - 1e-12)
    return float((1 + (np.abs(signs @ differing) >= least).sum()) / (RESAMPLES + 1))


def _interval(change: np.ndarray, exact: bool, confidence: float, seed: int) -> tuple[float, float]:
    if exact:
        better, worse = (((sign * change > 0).sum() + 1) / (len(change) + 2) for sign in (1, -1))
        error = np.sqrt((better + worse - (better - worse) ** 2) / (len(change) + 2))
        half = scipy.stats.norm.isf((1 - confidence) / 2) * error
        return float(max(better - worse - half, -1.0)), float(min(better - worse + half, 1.0))
    if np.ptp(change) == 0:
        return float(change[0]), float(change[0])
    rng = np.random.default_rng(seed)
    found = scipy.stats.bootstrap(
        (change,), np.mean, n_resamples=RESAMPLES, confidence_level=confidence, rng=rng, batch=500
    ).confidence_interval
    return float(found.low), float(found.high)


def _check(before: np.ndarray, after: np.ndarray, slices: Mapping, tolerance: float | int, confidence: float) -> None:
    if before.shape != after.shape or before.ndim != 1 or not np.isfinite([*before, *after]).all() or not len(before):
        raise ValueError(
            f"expected one finite score [M] a row for both models, got shapes {before.shape} and {after.shape}; give "
            "probs.argmax(1) == y, or log probabilities of the labels"
        )
    for name, rows in slices.items():
        if name == "all" or np.shape(rows) != before.shape or np.asarray(rows).dtype != bool or not np.any(rows):
            raise ValueError(
                f"expected slices as truth values of {len(before)} rows, at least one of them true, none named 'all'; "
                f"{name} is none"
            )
    if tolerance < 0 or not 0 < confidence < 1:
        raise ValueError(f"expected tolerance >= 0 and confidence in (0, 1), got {tolerance} and {confidence}")
