"""How many of the relevant rows of a pool are found, from the chance with which each row was picked."""

from typing import Any, NamedTuple

import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Bool, Float


class Recall(NamedTuple):
    """The share of relevant rows that are found, with its interval; total: how many there are, estimated."""

    recall: float
    low: float
    high: float
    num_found: int
    total: float
    total_low: float
    total_high: float


def estimated_recall(relevant: Bool[Any, "n"], log_q: Float[Any, "n"], confidence: float = 0.95) -> Recall:
    """Relevant rows found, over an unbiased estimate of all that the pool holds, with an interval.

    Pick m was row i with probability ``q_m`` among what was left, so ``t_m = (found before m) + y_m / q_m`` is an
    unbiased estimate of the total whatever the query, and the ``t_m`` are uncorrelated. Their mean is Des Raj's
    estimate, ``Σ (t_m - mean)² / (M (M - 1))`` an unbiased estimate of its variance. The interval is that of Student,
    both ends moved by the skewness g of the ``t_m``, ``g s (1 + 2 t²) / 6 M``, and cut at what was found: the ``t_m``
    are mostly small and rarely large, and without that the upper end of the total is too low twice as often as it says.
    Draws none of which is relevant say nothing about how many there are: the total may then be anything, and recall 0.

    Range: simulated ends of a nominal 97.5 % hold in 97 to 98 % of the runs where all relevant rows are about equally
    likely to be picked, in 94 % where their chances differ by a factor of 20. Rows that have next to no chance leave no
    trace in any estimate, nor do those of score 0 under `bal.selection.power`, which come last.

    Use it when rows were drawn: `bal.selection.power`, `softmax`, `random_uniform`; `best` has no `log_q`.

    Args:
      relevant: whether each labeled row is, in the order in which the rows left the pool; the start set first.
      log_q: log of the chance of each pick given the earlier ones; NaN for rows that were known without being drawn.
      confidence: of the two-sided interval.

    Raises:
      ValueError: fewer than two rows with `log_q`, or one above 0.

    >>> rng = np.random.default_rng(0)
    >>> weight = np.where(np.arange(400) < 40, 9.0, 1.0)  # 40 relevant rows of 400, nine times as likely to be drawn
    >>> left, picks, log_q = weight.copy(), [], []
    >>> for _ in range(120):
    ...     picks.append(rng.choice(400, p=left / left.sum()))
    ...     log_q.append(np.log(left[picks[-1]] / left.sum()))
    ...     left[picks[-1]] = 0
    >>> found = estimated_recall(np.array(picks) < 40, np.array(log_q))
    >>> found.num_found, [round(value, 2) for value in (found.recall, found.low, found.high, found.total)]
    (37, [0.95, 0.84, 1.0, 38.88])

    Des Raj 1956, "Some Estimators in Sampling with Varying Probabilities Without Replacement"; Johnson 1978, "Modified
    t Tests and Confidence Intervals for Asymmetrical Populations".
    """
    relevant, log_q = np.asarray(relevant, bool), np.asarray(log_q, np.float64)
    drawn = np.isfinite(log_q)
    if relevant.shape != log_q.shape or relevant.ndim != 1 or drawn.sum() < 2 or (log_q[drawn] > 1e-6).any():
        raise ValueError(
            f"expected one log_q of at most 0 for each labeled row, and two drawn rows at least, got shapes "
            f"{relevant.shape} and {log_q.shape} with {int(drawn.sum())} drawn; use a query that draws its rows, as "
            "strategies.power_bald"
        )
    before = np.cumsum(relevant) - relevant
    estimates = (before + relevant * np.exp(-np.where(drawn, log_q, 0.0)))[drawn]
    num_found, num_drawn = int(relevant.sum()), len(estimates)
    total = max(float(estimates.mean()), num_found)
    quantile, spread = float(scipy.special.stdtrit(num_drawn - 1, 0.5 + confidence / 2)), estimates.std(ddof=1)
    half = quantile * spread / np.sqrt(num_drawn)
    skew = scipy.stats.skew(estimates) * spread * (1 + 2 * quantile**2) / (6 * num_drawn) if spread > 0 else 0.0
    ends = estimates.mean() + skew - half, estimates.mean() + skew + half
    low, high = (max(float(end), num_found) for end in ends)
    high = high if relevant[drawn].any() else float("inf")
    share = lambda number: num_found / number if number > 0 else float("nan")
    return Recall(share(total), share(high), share(low), num_found, total, low, high)
