"""The mean over all rows from labels of rows that were chosen: unbiased, with an interval, after each label.

A pick m of the law ``q_m``, given the picks before it, tells of the mean over all N rows by

``a_m = (v_(i_m) / q_m + sum over earlier picks of v) / N``, whose expectation given the past *is* that mean,

whatever the law and however it came from the labels so far. LURE is the average of the a_m with the weights
``c_m = N (N - M) / (M (N - m) (N - m + 1))``; so its error is a sum of martingale differences, and the sum of
``c_m² (a_m - mean)²`` estimates its variance.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Shaped


class MeanEstimate(NamedTuple):
    """A mean over all rows, as known after each of M labels.

    standard_error, low, high: NaN after the first label. Take ``[..., -1]`` for what is known in the end.
    """

    mean: Float[np.ndarray, "*R M"]
    standard_error: Float[np.ndarray, "*R M"]
    low: Float[np.ndarray, "*R M"]
    high: Float[np.ndarray, "*R M"]


def lure_weights(log_q: Float[Any, "*R M"] | None, num_rows: int) -> Float[np.ndarray, "*R M"]:
    """What each of M picks stands for: 1 on average, more where the law would rarely have picked the row.

    ``v_m = 1 + (N - M) / (N - m) (1 / ((N - m + 1) q_m) - 1)``, ``m = 1 ... M``. All weights are 1 for uniform picks,
    and where all rows are labeled; none is negative. Their average times anything that a row has is unbiased for its
    mean over the N rows.

    Use them to weigh losses in training or metrics of your own; `lure` and `conformal_threshold` have them inside.

    Args:
      log_q: log P(pick | earlier picks, remaining rows), in the order of the picks. That of a log of
        `bal.loop.run_seeds` fits as it is, ``log.log_q.reshape(num_seeds, -1)``: batches are picked in order too.
      num_rows: N, the rows that could be picked when the first one was; without a start set, which nothing drew.

    Raises:
      ValueError: no `log_q`, as of a deterministic selector, or one that is positive or not finite; fewer rows than
        picks.

    >>> lure_weights(np.log([[0.5, 0.25]]), 4).round(3).tolist()
    [[0.667, 1.333]]

    Farquhar, Gal and Rainforth 2021, "On Statistical Bias In Active Learning: How and When to Fix It".
    """
    log_q = checked_law(log_q, num_rows)
    num_picks = log_q.shape[-1]
    pick = np.arange(1, num_picks + 1)
    share = (num_rows - num_picks) / np.maximum(num_rows - pick, 1)
    return 1 + share * (np.exp(-log_q) / (num_rows - pick + 1) - 1)


def lure(
    log_q: Float[Any, "*R M"] | None, values: Shaped[Any, "*R M"], num_rows: int, confidence: float = 0.95
) -> MeanEstimate:
    """Unbiased mean of a value over all N rows, a test loss say, from M rows that were chosen by a known law.

    The average of `lure_weights` times values; for uniform picks the plain mean. The interval is ``mean +- t s`` with
    M - 1 degrees of freedom, s² the sum of squared martingale differences (see `bal.evaluation.active.unbiased`): it
    takes no independence, and vanishes where all rows are labeled. It is as good as the normal approximation: where a
    few rows have most of the total, as of rare errors, it is too short until some of these were seen, and after picks
    that show no error at all it has no width. A law that gives next to nothing to rows that count makes it useless.

    Use it to report a test loss, or any mean over a pool, from labels that active learning or active testing chose.

    Args:
      log_q, num_rows: as of `lure_weights`.
      values: of the picks, in their order. They must not come from a model that was trained on the picks' own labels.
      confidence: of the interval.

    Returns:
      The estimate after each label.

    Raises:
      ValueError: as `lure_weights`; values that are not finite or have another shape; a confidence outside (0, 1).

    >>> found = lure(np.log([0.5, 0.4, 0.25]), np.array([1.0, 1.2, 0.9]), 4)
    >>> found.mean.round(3).tolist(), found.standard_error.round(3).tolist()
    ([0.5, 0.833, 1.244], [nan, 0.24, 0.259])

    Farquhar, Gal and Rainforth 2021, "On Statistical Bias In Active Learning: How and When to Fix It"; Kossen,
    Farquhar, Gal and Rainforth 2021, "Active Testing: Sample-Efficient Model Evaluation".
    """
    log_q = checked_law(log_q, num_rows)
    values = np.asarray(values, np.float64)
    if values.shape != log_q.shape or not np.isfinite(values).all():
        raise ValueError(
            f"expected one finite value for each pick, shape {log_q.shape}, got shape {values.shape} with "
            f"{int((~np.isfinite(values)).sum())} that are not finite"
        )
    num_picks = log_q.shape[-1]
    pick = np.arange(1, num_picks + 1)
    left = np.maximum(num_rows - pick, 1)  # after the pick; the last row of all is set right below
    gain, noise = num_rows / (left * (left + 1)), (left + 1) / num_rows
    factor = (num_rows - pick) / pick
    center = values.mean(-1, keepdims=True)  # less cancels in what follows
    apart = values - center
    told = (apart * np.exp(-log_q) + np.cumsum(apart, -1) - apart) / num_rows - center * _drift(log_q, pick, num_rows)
    mean = factor * np.cumsum(gain * told, -1)
    squares = [np.cumsum(gain**2 * told**power, -1) for power in range(3)]
    variance = factor**2 * (squares[2] - 2 * mean * squares[1] + mean**2 * squares[0])
    lost = 2 * factor * np.cumsum(gain**3 * noise**2) / np.cumsum(gain**2 * noise**2)
    kept = 1 - lost + factor**2 * squares[0]  # for the mean is estimated too: 1 - 1/M for M << N
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(variance / kept, 0.0))
    mean, error = mean + center, np.where(pick == 1, np.nan, error)
    whole = pick == num_rows
    mean, error = np.where(whole, np.cumsum(values, -1) / pick, mean), np.where(whole, 0.0, error)
    return with_interval(mean, error, pick - 1, confidence)


def residual_lure(
    log_q: Float[Any, "*R M"] | None,
    values: Shaped[Any, "*R M"],
    predictions: Float[Any, "*#R N"],
    indices: Int[Any, "*R M"],
    confidence: float = 0.95,
) -> MeanEstimate:
    """`lure` of what predictions leave over, plus the mean of the predictions over all rows.

    ``mean of p over N rows + LURE of (v_m - p_(i_m))``: unbiased for *any* predictions that were there before the
    labels, and of little variance where they are good: "prediction-powered". Bad predictions lengthen the interval.
    The best law for it has weights like the standard deviation of a residual, ``sqrt(p (1 - p))`` for an error of
    chance p.

    Use it whenever a surrogate predicts the value of every row: the expected loss by an ensemble, the errors of other
    models on the same row.

    Args:
      log_q, values, confidence: as of `lure`.
      predictions: of the value, one for each of the N rows that could be picked.
      indices: positions of the picks in `predictions`.

    Raises:
      ValueError: as `lure`, with N the number of predictions; predictions that are not finite, a position outside them
        or twice in a repetition.

    >>> predictions = np.array([0.1, 0.3, 1.1, 0.9])
    >>> found = residual_lure(np.log([0.4, 0.5]), np.array([0.0, 1.0]), predictions, np.array([0, 2]))
    >>> found.mean.round(3).tolist()
    [0.538, 0.529]

    Kossen, Farquhar, Gal and Rainforth 2021, "Active Testing: Sample-Efficient Model Evaluation"; Angelopoulos, Bates,
    Fannjiang, Jordan and Zrnic 2023, "Prediction-Powered Inference".
    """
    predictions, indices = np.asarray(predictions, np.float64), checked_indices(indices, np.shape(predictions)[-1])
    if not np.isfinite(predictions).all():
        raise ValueError("expected a finite prediction for every row, and some are not; predict each of them")
    predictions = np.broadcast_to(predictions, (*indices.shape[:-1], predictions.shape[-1]))
    left_over = np.asarray(values, np.float64) - np.take_along_axis(predictions, indices, -1)
    found = lure(log_q, left_over, predictions.shape[-1], confidence)
    mean = predictions.mean(-1, keepdims=True)
    return MeanEstimate(found.mean + mean, found.standard_error, found.low + mean, found.high + mean)


def labels_until(estimate: MeanEstimate, half_width: float | int, at_least: int = 30) -> Int[np.ndarray, "*R"]:
    """Labels after which an interval was first as short as `half_width` to either side; M + 1 where it never was.

    Looking at the interval after each label and stopping when it is short stops too early where it is short by chance;
    so no stop comes before `at_least` labels. With 30, intervals of nominal 95 % covered 94 to 95 % where they stopped
    after 30 to 210 labels of normal residuals or of errors, 92 to 94 % after 80 to 300 of gamma-distributed values.

    Use it to label until a number is known as precisely as it must be, on `lure` or `residual_lure` after each label.

    Args:
      estimate: after each label.
      half_width: what is precise enough, in units of the values.
      at_least: labels before the first look.

    Raises:
      ValueError: a half-width that is not positive, or less than 2 labels before the first look.

    >>> ends = np.array([9.0, 0.5, 0.4, 0.2])
    >>> int(labels_until(MeanEstimate(0 * ends, ends, -ends, ends), 0.3, at_least=2))
    4

    Chow and Robbins 1965, "On the Asymptotic Theory of Fixed-Width Sequential Confidence Intervals for the Mean".
    """
    if estimate.mean.ndim == 0:
        raise ValueError("expected an estimate after each label, of lure or residual_lure, got that of the last alone")
    if not half_width > 0 or at_least < 2:
        raise ValueError(f"expected half_width > 0 and at_least >= 2, got {half_width} and {at_least}")
    short = (estimate.high - estimate.low) / 2 <= half_width
    short[..., : at_least - 1] = False
    return np.where(short.any(-1), short.argmax(-1) + 1, short.shape[-1] + 1)


def with_interval(mean: Any, error: Any, freedom: Any, confidence: float) -> MeanEstimate:
    """``mean +- t error``; NaN where there is no degree of freedom."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
    with np.errstate(invalid="ignore"):
        half = scipy.stats.t.ppf(0.5 + confidence / 2, freedom) * error
    return MeanEstimate(*map(np.asarray, (mean, error, mean - half, mean + half)))


def checked_law(log_q: Any, num_rows: int) -> np.ndarray:
    """The law in float64, if it is one."""
    if log_q is None:
        raise ValueError(
            "expected the log_q of picks, got None: this selector is deterministic, or a stage narrowed the pool "
            "before it; pick by power, softmax, softrank or random_uniform in one stage"
        )
    log_q = np.asarray(log_q, np.float64)
    if log_q.ndim == 0 or not 1 <= log_q.shape[-1] <= num_rows:
        raise ValueError(f"expected the log_q of 1 to {num_rows} picks on the last axis, got shape {log_q.shape}")
    if not (np.isfinite(log_q) & (log_q <= 1e-6)).all():
        raise ValueError(
            f"expected finite log_q <= 0, got {int((~np.isfinite(log_q)).sum())} that are not finite and the largest "
            f"{np.max(log_q)}; cut off picks that are not valid, which have -inf"
        )
    return log_q


def checked_indices(indices: Any, num_rows: int) -> np.ndarray:
    """Positions, if they lie in the rows and none comes twice."""
    indices = np.asarray(indices)
    ordered = np.sort(indices, -1)
    if ordered.min() < 0 or ordered.max() >= num_rows or (np.diff(ordered, axis=-1) == 0).any():
        raise ValueError(f"expected positions in {num_rows} rows, each once, got {ordered.min()} to {ordered.max()}")
    return indices


def _drift(log_q: np.ndarray, pick: np.ndarray, num_rows: int) -> np.ndarray:
    """Of a constant 1, what `a_m` is short of 1: nothing on average."""
    return 1 - (np.exp(-log_q) + pick - 1) / num_rows
