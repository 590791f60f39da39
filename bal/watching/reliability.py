"""Whether the model that asked foresaw the answers: what it predicted of each pick, beside what was answered."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Judged = tuple[float, bool]
"""How sure the model was of its likeliest class, and whether that was answered."""


class Reliability(NamedTuple):
    """Picks in bins of equal width by confidence, as `bal.evaluation.ece` has them.

    number: picks in each. confidence, right: their mean confidence, and the share that was answered as foreseen; NaN
    where there is none.
    """

    number: Int[np.ndarray, "_"]
    confidence: Float[np.ndarray, "_"]
    right: Float[np.ndarray, "_"]


def judged(event: dict[str, Any]) -> list[Judged]:
    """The valid picks of a round of which class probabilities and an answer are on record.

    >>> probs = [[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]]
    >>> judged({"valid": [True, False, True], "labels": [1, 0, 1], "info": {"predicted": probs}})
    [(0.75, True), (1.0, False)]
    """
    picks = zip(event.get("info", {}).get("predicted", ()), event.get("labels", ()), event["valid"])
    found = (judge(predicted, label) for predicted, label, valid in picks if valid)
    return [one for one in found if one is not None]


def judge(predicted: Any, label: Any) -> Judged | None:
    """One pick; None where the prediction is no class probabilities, or the answer no class."""
    if not isinstance(predicted, list) or isinstance(label, list | str | None) or label not in range(len(predicted)):
        return None
    sure = max(predicted)
    return (sure, predicted.index(sure) == label) if sum(predicted) == sum(predicted) else None


def reliability(picks: Iterable[Judged], num_bins: int = 10) -> Reliability:
    """Counts, mean confidence and share of foreseen answers in each bin ``(b / B, (b + 1) / B]``.

    Use it with care: picks are no random sample. A query that asks where the model is unsure finds it worse than it is
    on new rows; those of random alone stand for the pool.

    >>> found = reliability([(0.95, True), (0.93, False), (0.5, True)], num_bins=4)
    >>> found.number.tolist(), found.right.tolist()
    ([0, 1, 0, 2], [nan, 1.0, nan, 0.5])

    Niculescu-Mizil and Caruana 2005, "Predicting Good Probabilities with Supervised Learning".
    """
    sure, right = np.array(list(picks), np.float64).reshape(-1, 2).T
    place = np.searchsorted(np.arange(1, num_bins) / num_bins, sure)
    number = np.bincount(place, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        mean = lambda values: np.bincount(place, values, num_bins) / number
        return Reliability(number, mean(sure), mean(right))


def so_far(found: Reliability) -> tuple[int, float, float]:
    """Of all bins together: picks, mean confidence and share of foreseen answers."""
    number = int(found.number.sum())
    total = lambda values: float(np.nansum(values * found.number) / number) if number else np.nan
    return number, total(found.confidence), total(found.right)
