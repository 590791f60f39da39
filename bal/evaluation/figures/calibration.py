"""Reliability diagrams: whether what is said with confidence p is right p of the time."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from bal.evaluation.metrics import ece
from bal.evaluation.plots import canvas, strategy_styles


class Bins(NamedTuple):
    """Test rows by confidence: mean confidence and share that is right in each bin, its 95% interval, and how many."""

    confidence: Float[np.ndarray, "J"]
    accuracy: Float[np.ndarray, "J"]
    low: Float[np.ndarray, "J"]
    high: Float[np.ndarray, "J"]
    count: Int[np.ndarray, "J"]


def confidence_bins(probs: Float[np.ndarray, "M C"], labels: Int[np.ndarray, "M"], num_bins: int = 15) -> Bins:
    """Accuracy against confidence in bins of equal width, closed on the right; NaN where a bin is empty.

    The intervals are Wilson's, of a share of independent rows.

    >>> found = confidence_bins(np.array([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]]), np.array([0, 1, 1]), 5)
    >>> found.count.tolist(), found.accuracy[2:4].tolist()
    ([0, 0, 1, 2, 0], [1.0, 0.5])
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = (confidence[:, None] > (np.arange(1, num_bins) / num_bins).astype(probs.dtype)).sum(axis=1)
    count = np.bincount(bins, minlength=num_bins)
    hits = np.bincount(bins, weights=right, minlength=num_bins).astype(int)
    mean = lambda total: np.divide(total, count, out=np.full(num_bins, np.nan), where=count > 0)
    interval = lambda hit, number: scipy.stats.binomtest(hit, number).proportion_ci(method="wilson")
    ends = [interval(hit, number) if number else (np.nan, np.nan) for hit, number in zip(hits.tolist(), count.tolist())]
    low, high = np.array(ends).T
    return Bins(mean(np.bincount(bins, weights=confidence, minlength=num_bins)), mean(hits), low, high, count)


def reliability(
    predictions: Mapping[str, Float[np.ndarray, "M C"]],
    labels: Int[np.ndarray, "M"],
    num_bins: int = 15,
    title: str | None = None,
) -> Any:
    """How often the likeliest class is right, against how likely it is said to be: a panel for each name.

    On the diagonal confidences are right; below it they are too high. Bars are Wilson intervals of each bin, the gray
    histogram says how many rows it has, and the title of a panel its expected calibration error (`bal.evaluation.ece`,
    of the same bins). Labels that were chosen say nothing of calibration: use a test set of its own.

    Use it when probabilities, not only decisions, are to be believed.

    Args:
      predictions: class probabilities by name: of strategies, or of rounds.
      labels: true classes.
      num_bins: of equal width over [0, 1].
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: no predictions, or what `bal.evaluation.ece` refuses.

    >>> figure = reliability({"bald": np.array([[0.8, 0.2], [0.8, 0.2]])}, np.array([0, 1]))
    >>> figure.axes[0].get_title()
    'bald: ECE 0.300'

    Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks".
    """
    if not predictions:
        raise ValueError("expected probabilities of at least one name, got none")
    styles = strategy_styles(predictions)
    columns = min(4, len(predictions))
    rows = -(-len(predictions) // columns)
    with canvas(1, 0.12 + 0.9 * rows / (columns + 1)) as figure:
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axis, (name, probs) in zip(axes, predictions.items(), strict=False):
            error = float(ece(probs, labels, num_bins))
            bins = confidence_bins(probs, labels, num_bins)
            middle = (np.arange(num_bins) + 0.5) / num_bins
            axis.bar(middle, bins.count / bins.count.sum(), 1 / num_bins, color="lightgray", label="share of rows")
            axis.plot([0, 1], [0, 1], color="black", linewidth=0.7)
            reach = np.clip([bins.accuracy - bins.low, bins.high - bins.accuracy], 0, None)
            axis.errorbar(
                bins.confidence, bins.accuracy, reach, color=styles[name]["color"], marker="o", markersize=2.5,
                linewidth=0.8, label="accuracy, 95% interval",
            )  # fmt: skip
            axis.set_title(f"{name}: ECE {error:.3f}")
            axis.set(xlim=(0, 1), ylim=(0, 1))
        for axis in axes[len(predictions) :]:
            axis.remove()
        figure.suptitle(title)
        figure.supxlabel("confidence of the likeliest class; gray: share of rows", fontsize="small")
        figure.supylabel("share that is right", fontsize="small")
    return figure
