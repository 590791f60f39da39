"""How many labels of the baseline is one label worth: label efficiency at matched accuracy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from bal.evaluation.bootstrap import RESAMPLES, percentile_interval, stratified_distribution
from bal.evaluation.curves import censored_quantile, labels_to_target


class Efficiency(NamedTuple):
    """``baseline_labels / labels`` to the target, and its interval; inf and NaN where seeds never arrive.

    labels, baseline_labels: median over seeds, inf where fewer than half arrive.
    """

    ratio: float
    low: float
    high: float
    labels: float
    baseline_labels: float


def label_efficiency(
    labels: Real[np.ndarray, "... E"],
    values: Float[np.ndarray, "S E"],
    baseline: Float[np.ndarray, "S E"],
    target: float,
    higher_is_better: bool = True,
    sustained: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
    num_resamples: int = RESAMPLES,
) -> Efficiency:
    """Median labels to a target of the baseline over those of the strategy: 2 means half the labels.

    Seeds that never arrive count as "more than the budget" (`labels_to_target`), none is dropped: the ratio is inf
    where only the strategy arrives, 0 where only the baseline does, and NaN where neither does. The interval is that of
    a bootstrap over paired seeds; a resample where neither arrives could be anything, so it widens both ends. It is
    cautious: a nominal 95% covers 98%.
    The ratio depends on the target: state it before the run, or show several. Counts are those of evaluations, so
    batches make it coarse.

    Use it when labels are what is paid for; on curves of `values_at` it is the efficiency in cost or seconds.

    Args:
      labels: in the training set at each evaluation.
      values, baseline: one curve a seed, paired.
      target: the value to reach.
      higher_is_better: False for a loss.
      sustained: the curve must also stay there, see `labels_to_target`.
      confidence: of the interval.
      seed, num_resamples: of the bootstrap.

    Raises:
      ValueError: as `labels_to_target`; fewer than two seeds, or not as many in both; counts that are not positive.

    >>> curve = np.array([[0.5, 0.8, 0.9], [0.6, 0.8, 0.9]])
    >>> found = label_efficiency(np.array([10, 20, 40]), curve, curve - 0.1, target=0.8)
    >>> found.ratio, round(found.low, 3), round(found.high, 3)
    (2.0, 2.0, 2.0)
    """
    if values.shape != baseline.shape:
        raise ValueError(f"expected paired seeds, [S, E] for both, got {values.shape} and {baseline.shape}")
    if not (labels > 0).all():
        raise ValueError(f"a ratio takes positive counts, got {labels.tolist()}; count the start set too")
    ours = labels_to_target(labels, values, target, higher_is_better, sustained)
    theirs = labels_to_target(labels, baseline, target, higher_is_better, sustained)
    place = (len(ours) + 1) // 2 - 1  # of the median in order, as `censored_quantile` has it

    def shares(rows: np.ndarray) -> Float[np.ndarray, "2 n"]:
        """Ratio r as ``r / (1 + r)``, which has no infinity; 0 and 1 where neither arrives."""
        us, them = (np.sort(counts[rows[..., 0]], axis=-1)[:, place] for counts in (ours, theirs))
        share = np.where(np.isinf(them), 1.0, 1 / (1 + us / np.where(np.isinf(them), 1.0, them)))
        neither = np.isinf(us) & np.isinf(them)
        return np.where(neither, np.array([[0.0], [1.0]]), share)

    drawn = stratified_distribution(len(ours), 1, shares, seed, num_resamples)
    low, high = percentile_interval(drawn, confidence)
    count, count_baseline = censored_quantile(ours, 0.5), censored_quantile(theirs, 0.5)
    ratio = np.nan if np.isinf(count) and np.isinf(count_baseline) else count_baseline / count
    odds = lambda share: float(share / (1 - share)) if share < 1 else np.inf
    return Efficiency(float(ratio), odds(low[0]), odds(high[1]), count, count_baseline)
