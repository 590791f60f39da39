"""Strata of rows that are alike, labels shared out among them, and the mean over all rows that they tell."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from bal.evaluation.active.unbiased import MeanEstimate, with_interval


def equal_strata(scores: Float[Any, "N"], num_strata: int) -> Int[np.ndarray, "N"]:
    """Number of the stratum of each row: rows in order of their scores, cut into parts of equal size.

    Use it with what goes with the value to be estimated, a predicted loss or an entropy.

    Args:
      scores: any; ties go by position.
      num_strata: at most half the rows, for a stratum of one row tells no variance.

    Raises:
      ValueError: scores that are not finite, or too many strata.

    >>> equal_strata(np.array([0.3, 0.1, 0.9, 0.2]), 2).tolist()
    [1, 0, 1, 0]
    """
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all() or not 1 <= num_strata <= len(scores) // 2:
        raise ValueError(f"expected finite scores and 1 to {len(scores) // 2} strata, got {num_strata}")
    strata = np.empty(len(scores), int)
    strata[np.argsort(scores, kind="stable")] = np.arange(len(scores)) * num_strata // len(scores)
    return strata


def neyman_allocation(
    sizes: Int[Any, "H"], deviations: Float[Any, "H"], num_labels: int, at_least: int = 2
) -> Int[np.ndarray, "H"]:
    """Labels of each of H strata for which the variance of the stratified mean is least, in whole numbers.

    ``sum of N_h² s_h² / n_h`` is minimal under ``sum n_h = num_labels`` and ``at_least <= n_h <= N_h``: about
    ``n_h ~ N_h s_h``, and exactly by giving one label after the other to the largest ``N_h s_h / sqrt(n (n + 1))``.

    Use it with deviations that predictions suggest, ``sqrt(mean of p (1 - p))`` for errors, or that of a pilot.

    Args:
      sizes: rows of each stratum.
      deviations: of the value within each.
      num_labels: in all.
      at_least: in each, or all its rows.

    Raises:
      ValueError: more labels than rows or fewer than the least; deviations that are negative or not finite.

    >>> neyman_allocation(np.array([50, 50]), np.array([0.1, 0.4]), 20).tolist()
    [4, 16]

    Neyman 1934, "On the Two Different Aspects of the Representative Method"; Wright 2012, "The Equivalence of Neyman
    Optimum Allocation for Sampling and Equal Proportions for Apportioning the U.S. House of Representatives".
    """
    sizes, deviations = np.asarray(sizes), np.asarray(deviations, np.float64)
    allocation = np.minimum(at_least, sizes)
    if not allocation.sum() <= num_labels <= sizes.sum() or at_least < 1:
        raise ValueError(
            f"expected from {allocation.sum()} labels, at_least in each stratum, to {sizes.sum()}, all rows, got "
            f"{num_labels}"
        )
    if deviations.shape != sizes.shape or not ((deviations >= 0) & np.isfinite(deviations)).all():
        raise ValueError(f"expected a finite deviation >= 0 for each of {len(sizes)} strata, got {deviations}")
    allocation = allocation.copy()
    for _ in range(num_labels - allocation.sum()):
        gain = sizes * deviations / np.sqrt(allocation * (allocation + 1.0))
        allocation[np.argmax(np.where(allocation < sizes, gain, -1.0))] += 1
    return allocation


def stratified(
    values: Shaped[Any, "*R M"], strata: Int[Any, "*R M"], sizes: Int[Any, "H"], confidence: float = 0.95
) -> MeanEstimate:
    """Mean over all rows from labels drawn uniformly within each of H strata: unbiased.

    ``sum of N_h / N mean_h``, with variance ``sum (N_h / N)² s_h² / n_h (1 - n_h / N_h)`` and a t interval with the
    degrees of freedom of Satterthwaite. Give ``values - predictions`` and add the mean of the predictions for a
    difference estimator.

    Use it where labels are asked for all at once: `equal_strata`, `neyman_allocation`, then uniform picks in each.

    Args:
      values: of the labeled rows, in any order.
      strata: the stratum of each of them.
      sizes: rows of each stratum.
      confidence: of the interval.

    Returns:
      The estimate after the last label: one number a repetition.

    Raises:
      ValueError: a stratum with no label, with one that is not all of it, or with more labels than rows; values that
        are not finite.

    >>> found = stratified(np.array([1.0, 2.0, 5.0, 7.0]), np.array([0, 0, 1, 1]), np.array([6, 2]))
    >>> round(float(found.mean), 3), round(float(found.standard_error), 3)
    (2.625, 0.306)

    Cochran 1977, "Sampling Techniques".
    """
    values, strata, sizes = np.asarray(values, np.float64), np.asarray(strata), np.asarray(sizes)
    if values.shape != strata.shape or not np.isfinite(values).all():
        raise ValueError(f"expected a finite value for each of {strata.shape} strata, got shape {values.shape}")
    belongs = strata[..., None] == np.arange(len(sizes))
    count = belongs.sum(-2)
    if (count.sum(-1) != strata.shape[-1]).any() or not ((count >= np.minimum(2, sizes)) & (count <= sizes)).all():
        raise ValueError(
            f"expected strata 0 to {len(sizes) - 1} with 2 labels at least, or all rows, and at most their sizes "
            f"{sizes.tolist()}, got {count.reshape(-1, len(sizes))[0].tolist()} labels"
        )
    share = sizes / sizes.sum()
    means = np.where(belongs, values[..., None], 0.0).sum(-2) / count
    squares = np.where(belongs, (values[..., None] - means[..., None, :]) ** 2, 0.0).sum(-2)
    parts = share**2 * squares / np.maximum(count - 1, 1) / count * (1 - count / sizes)
    variance = parts.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (parts**2 / np.maximum(count - 1, 1)).sum(-1)
    freedom = np.where(variance > 0, freedom, 1.0)
    return with_interval((share * means).sum(-1), np.sqrt(variance), freedom, confidence)
