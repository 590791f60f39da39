"""The mean of a population from rows that were labeled each by its own coin, with predictions for all."""

from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Shaped

from bal.evaluation.active.unbiased import MeanEstimate


def active_inference(
    inclusion: Float[Any, "*#R N"],
    values: Shaped[Any, "*R N"],
    predictions: Float[Any, "*#R N"],
    labeled: Bool[Any, "*R N"],
    confidence: float = 0.95,
) -> MeanEstimate:
    """Mean of the *population* that N rows are a sample of, from those rows of them that were labeled by coins.

    The mean over rows of ``p_n + (v_n - p_n) labeled_n / pi_n`` and the normal interval of a mean of N independent
    terms: unbiased for any predictions, and valid for large N. The interval is about new rows, so it does not vanish
    with all rows labeled: there it is the classical one. `residual_lure` is about these N rows instead.

    Use it where a mean of the world is asked for, a share or an effect, and a model predicts what labels would say.

    Args:
      inclusion: the chance pi with which each row was to be labeled, of `inclusion_probabilities`.
      values: of the rows; those that are not labeled are never read and may be NaN.
      predictions: for all rows, made without these labels.
      labeled: what the coins said, each on its own.
      confidence: of the interval.

    Returns:
      The estimate after the last label: one number a repetition.

    Raises:
      ValueError: chances outside (0, 1], numbers that are not finite, fewer than 2 rows, a confidence outside (0, 1).

    >>> pi, labeled = np.array([0.5, 0.5, 1.0, 0.5]), np.array([True, False, True, False])
    >>> found = active_inference(pi, np.array([1.0, np.nan, 2.0, np.nan]), np.array([0.9, 1.0, 1.8, 1.2]), labeled)
    >>> round(float(found.mean), 3), round(float(found.standard_error), 3)
    (1.325, 0.229)

    Zrnic and Candès 2024, "Active Statistical Inference".
    """
    inclusion, predictions = np.asarray(inclusion, np.float64), np.asarray(predictions, np.float64)
    labeled = np.asarray(labeled, bool)
    values = np.where(labeled, np.asarray(values, np.float64), 0.0)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
    if not ((inclusion > 0) & (inclusion <= 1)).all():
        raise ValueError(f"expected chances in (0, 1], got {np.min(inclusion)} to {np.max(inclusion)}")
    if not (np.isfinite(values).all() and np.isfinite(predictions).all()) or labeled.shape[-1] < 2:
        raise ValueError("expected 2 rows at least, a finite prediction for each and finite values of the labeled ones")
    terms = predictions + np.where(labeled, values - predictions, 0.0) / inclusion
    mean, error = terms.mean(-1), terms.std(-1, ddof=1) / np.sqrt(terms.shape[-1])
    half = scipy.stats.norm.ppf(0.5 + confidence / 2) * error
    return MeanEstimate(*map(np.asarray, (mean, error, mean - half, mean + half)))
