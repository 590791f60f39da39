"""The mean that a surrogate expects, where no law is known or none is wanted."""

from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Shaped

from bal.evaluation.active.unbiased import MeanEstimate, checked_indices


def surrogate_estimate(
    draws: Float[Any, "K N"],
    values: Shaped[Any, "M"],
    indices: Int[Any, "M"],
    variances: Float[Any, "K N"] | None = None,
    confidence: float = 0.95,
) -> MeanEstimate:
    """ASE: the mean over all rows of what is known of M of them and what a surrogate expects of the others.

    ``(sum of values + sum over the other rows of the mean of K draws) / N``. Its error is the surrogate's: it needs no
    `log_q`, takes labels however chosen, and is *not* unbiased. The interval is credible, ``mean +- z s``: s² the
    variance over draws of that sum, plus the mean over draws of the sum of `variances`, over N². It covers as often
    as the surrogate is right; hold it against `residual_lure`, whose interval does not ask that.

    Use it with few labels and a good surrogate, trained on the labels so far, for models under test that are not it.

    Args:
      draws: the expected value of each row under K draws of the surrogate, ``sum over c of p_knc loss(n, c)``.
      values, indices: of the labeled rows; none of them may come twice.
      variances: of a row's value given the draw, ``p (1 - p)`` for an error; none where values have no noise.
      confidence: of the interval.

    Returns:
      The estimate after the last label, arrays of no axis.

    Raises:
      ValueError: a position outside the rows or twice, numbers that are not finite, a confidence outside (0, 1).

    >>> found = surrogate_estimate(np.array([[0.2, 0.4, 0.9], [0.2, 0.2, 0.7]]), np.array([1.0]), np.array([2]))
    >>> round(float(found.mean), 3), round(float(found.standard_error), 3)
    (0.5, 0.047)

    Kossen, Farquhar, Gal and Rainforth 2022, "Active Surrogate Estimators: An Active Learning Approach to
    Label-Efficient Model Evaluation".
    """
    draws, values = np.asarray(draws, np.float64), np.asarray(values, np.float64)
    indices = checked_indices(indices, draws.shape[-1]) if len(values) else np.zeros(0, int)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
    if len(values) != len(indices) or not (np.isfinite(draws).all() and np.isfinite(values).all()):
        raise ValueError("expected finite draws, and finite values, one for each position")
    other = np.ones(draws.shape[-1], bool)
    other[indices] = False
    sums = draws[:, other].sum(-1)
    noise = 0.0 if variances is None else np.asarray(variances, np.float64)[:, other].sum(-1).mean()
    mean = (values.sum() + sums.mean()) / len(other)
    error = np.sqrt(sums.var(ddof=1 if len(sums) > 1 else 0) + noise) / len(other)
    half = scipy.stats.norm.ppf(0.5 + confidence / 2) * error
    return MeanEstimate(*map(np.asarray, (mean, error, mean - half, mean + half)))
