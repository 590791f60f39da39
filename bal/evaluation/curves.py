"""What a learning curve says: area under it, and the number of labels it needs to reach a target.

A curve is R values at R label counts; S seeds give ``[S, R]``. Count the labels in the training set when it was
evaluated, start set and validation included. Any axis will do in place of counts: their logarithm, a cost, seconds;
where it differs from seed to seed, `values_at` (`bal.evaluation.budgets`) first puts the curves on a common one.
"""

import math
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Real


def area_under_curve(labels: Real[np.ndarray, "... R"], values: Float[np.ndarray, "... R"]) -> Float[Any, "..."]:
    """Area under the budget curve: the trapezoid rule over label counts, divided by their range.

    It is an average of the values over the budget, in their units and between their extremes. Nothing is
    extrapolated.
    Raises ValueError if the counts do not increase, differ between seeds, or if values are missing (NaN).

    >>> import numpy as np
    >>> area_under_curve(np.array([10, 20, 40]), np.array([[0.4, 0.6, 0.8], [1, 1, 1.0]])).round(3).tolist()
    [0.633, 1.0]
    """
    labels = support(labels, values)
    return np.trapezoid(values, labels, axis=-1) / (labels[-1] - labels[0])


def labels_to_target(
    labels: Real[np.ndarray, "... R"],
    values: Float[np.ndarray, "S R"],
    target: float,
    higher_is_better: bool = True,
    sustained: bool = False,
) -> Float[np.ndarray, "S"]:
    """Smallest measured label count at which each seed reaches `target`; inf for a seed that never does.

    inf means right-censored, "more than the budget": keep such seeds and summarize with `censored_quantile`.
    The first crossing of a noisy curve is optimistic; with ``sustained=True`` the curve must also stay at
    the target or better until the last count. No interpolation between counts.
    Raises ValueError as `area_under_curve`.

    >>> import numpy as np
    >>> curves = np.array([[0.5, 0.9, 0.8], [0.5, 0.6, 0.7]])
    >>> labels_to_target(np.array([10, 20, 30]), curves, target=0.85).tolist()
    [20.0, inf]
    """
    labels = support(labels, values)
    if np.isnan(target):
        raise ValueError("target must be a number, got NaN, which no curve reaches")
    reached = values >= target if higher_is_better else values <= target
    if sustained:
        reached = np.logical_and.accumulate(reached[:, ::-1], axis=1)[:, ::-1]
    return np.where(reached.any(axis=1), labels[reached.argmax(axis=1)].astype(float), np.inf)


def censored_quantile(counts: Float[np.ndarray, "S"], quantile: float) -> float:
    """Smallest count t such that a share of at least `quantile` of the seeds has ``count <= t``; may be inf.

    The inverse of the empirical distribution, without interpolation (which infinities do not allow): with
    one common budget it is the Kaplan-Meier quantile, and inf says that too few seeds arrived. The median of
    an even number of seeds is the lower middle one.
    Raises ValueError if quantile lies outside (0, 1] or if counts are empty or NaN.

    >>> import numpy as np
    >>> counts = np.array([30.0, np.inf, 20.0])
    >>> censored_quantile(counts, 0.5), censored_quantile(counts, 0.75)
    (30.0, inf)
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must lie in (0, 1], got {quantile}")
    if counts.ndim != 1 or len(counts) == 0 or np.isnan(counts).any():
        raise ValueError(f"counts must be a vector [S] of numbers or inf, one a seed, got {counts!r}")
    # The small slack keeps 0.07 * 100 = 7.000000000000001 from asking for the eighth.
    return float(np.sort(counts)[math.ceil(quantile * len(counts) - 1e-9) - 1])


def quantile_interval(
    counts: Float[np.ndarray, "S"], quantile: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """`censored_quantile` and the two ends of its interval over seeds, each of which may be inf.

    The ends are two of the counts themselves, chosen by the binomial distribution: whatever the distribution of counts,
    the interval covers with `confidence` or more. An end that S seeds cannot give is -inf or inf: the median's 95%
    interval takes 6 seeds.

    Use it beside labels to a target: a median of 120 with an interval from 90 to inf is no finding.

    Args:
      counts: of `labels_to_target`, one a seed, inf for those that never arrive.
      quantile: in (0, 1), 0.5 for the median.
      confidence: of the interval.

    Raises:
      ValueError: as `censored_quantile`; a quantile of 1, a confidence outside (0, 1).

    >>> quantile_interval(np.array([20.0, 30.0, 30.0, 40.0, 50.0, np.inf, np.inf, np.inf]), 0.5)
    (40.0, 20.0, inf)
    """
    if not (0 < quantile < 1 and 0 < confidence < 1):
        raise ValueError(f"quantile and confidence must lie in (0, 1), got {quantile} and {confidence}")
    middle = censored_quantile(counts, quantile)
    low, high = scipy.stats.quantile_test(counts, p=quantile).confidence_interval(confidence)
    return middle, -np.inf if np.isnan(low) else float(low), np.inf if np.isnan(high) else float(high)


def support(labels: Real[np.ndarray, "... R"], values: Float[np.ndarray, "... R"]) -> Real[np.ndarray, "R"]:
    """The label counts ``[R]`` that all curves share, checked.

    >>> import numpy as np
    >>> support(np.array([[10, 20], [10, 20]]), np.zeros((2, 2))).tolist()
    [10, 20]
    """
    rows = labels.reshape(-1, labels.shape[-1])
    if (rows != rows[0]).any():
        raise ValueError("curves have different label counts; compare them over counts that all of them have")
    if values.shape[-1] != rows.shape[1] or rows.shape[1] < 2:
        raise ValueError(f"values must be [..., R >= 2], one value a label count ({rows.shape[1]}), got {values.shape}")
    if not (np.diff(rows[0]) > 0).all():
        raise ValueError(f"label counts must increase, got {rows[0].tolist()}")
    if np.isnan(values).any():
        raise ValueError(f"{int(np.isnan(values).sum())} values are NaN; drop no seed: find out why they are missing")
    return rows[0]
