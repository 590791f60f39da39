"""Headroom: how far up a curve could go, by references that see what no strategy may see.

A reference looks at labels nobody has asked for, or at the test set. It is no strategy that could be used: its name
ends in "(peeks)", and whatever has such a name is neither tested nor judged, only shown.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from bal.evaluation.curves import area_under_curve
from bal.evaluation.statistics import RESAMPLES

PEEKS = " (peeks)"
BEST_OF_STRATEGIES = f"best in hindsight{PEEKS}"


class Headroom(NamedTuple):
    """Share of the way from the baseline to a reference: its value and the ends of its interval."""

    share: float
    low: float
    high: float


def peeks(name: str) -> bool:
    """Whether a curve of this name is a reference, which sees labels or test set, and no strategy.

    >>> peeks("greedy oracle (peeks)"), peeks("margin")
    (True, False)
    """
    return name.endswith(PEEKS)


def best_of_strategies(
    curves: Mapping[str, Float[np.ndarray, "S R"]], higher_is_better: bool = True
) -> dict[str, Float[np.ndarray, "S R"]]:
    """For each label count the curve, over all seeds, of the strategy whose mean is best there: a reference.

    ``{name: values}`` of one entry, to be added to the curves: ``curves | best_of_strategies(curves)``. Which strategy
    is best is known only afterwards, from the same seeds, so it flatters: by as much as the best of m noisy means is
    above the best mean.

    Use it when a choice of strategy, or a switch between them, is to be judged: no such choice among these strategies
    has a higher mean over these seeds.

    Args:
      curves: of strategies, one row a seed; other references among them are left out.
      higher_is_better: False for losses.

    Raises:
      ValueError: no strategy among the curves.

    >>> curves = {"random": np.array([[0.5, 0.6], [0.5, 0.8]]), "bald": np.array([[0.4, 0.9], [0.4, 0.7]])}
    >>> {name: values.tolist() for name, values in best_of_strategies(curves).items()}
    {'best in hindsight (peeks)': [[0.5, 0.9], [0.5, 0.7]]}

    Hacohen and Weinshall 2023, "How to Select Which Active Learning Strategy is Best Suited for Your Specific Problem
    and Budget".
    """
    own = [values for name, values in curves.items() if not peeks(name)]
    if not own:
        raise ValueError(f"expected curves of strategies, got {', '.join(curves) or 'none'}; add at least one")
    stacked = np.stack(own)
    means = stacked.mean(axis=1)
    best = (means if higher_is_better else -means).argmax(axis=0)
    return {BEST_OF_STRATEGIES: np.take_along_axis(stacked, best[None, None], axis=0)[0]}


def headroom(
    labels: Real[np.ndarray, "R"],
    values: Float[np.ndarray, "S R"],
    baseline: Float[np.ndarray, "S R"],
    reference: Float[np.ndarray, "S R"],
    confidence: float = 0.95,
    seed: int = 0,
    higher_is_better: bool = True,
) -> Headroom | None:
    """How much of the way from the baseline to a reference a strategy goes, in area under the curve.

    ``(A - A_baseline) / (A_reference - A_baseline)`` of mean areas over S paired seeds: 0 for the baseline, 1 for the
    reference, negative below the baseline. The interval is a percentile bootstrap over seeds, 9,999 resamples from
    `seed`; None where in 2.5 of 100 of them the reference is not better than the baseline: then there is no way to go.
    Say ``higher_is_better=False`` of losses.

    Use it when a gain is to be called small or large: of .02 there may be .03 to have, or .2.

    Raises:
      ValueError: fewer than two seeds, or curves that do not fit the counts.

    >>> labels, zero = np.array([10, 20]), np.zeros((3, 2))
    >>> headroom(labels, zero + [[0.1], [0.2], [0.3]], zero, zero + 0.4).share
    0.5

    Werner et al. 2024, "A Cross-Domain Benchmark for Active Learning".
    """
    if len(values) < 2 or not values.shape == baseline.shape == reference.shape:
        raise ValueError(
            f"expected the same 2 or more paired seeds of all three, got {values.shape}, {baseline.shape} and "
            f"{reference.shape}; run more seeds"
        )
    areas = [area_under_curve(labels, curve) for curve in (values, baseline, reference)]
    gain, room = areas[0] - areas[1], areas[2] - areas[1]
    drawn = np.random.default_rng(seed).integers(0, len(gain), (RESAMPLES, len(gain)))
    gains, rooms = gain[drawn].mean(axis=1), room[drawn].mean(axis=1)
    tail = (1 - confidence) / 2
    sign = 1 if higher_is_better else -1
    if room.mean() == 0 or (sign * rooms <= 0).mean() > tail:
        return None
    usable = sign * rooms > 0
    low, high = np.quantile(gains[usable] / rooms[usable], [tail, 1 - tail])
    return Headroom(float(gain.mean() / room.mean()), float(low), float(high))
