"""Where the seconds go."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bal.evaluation.plots import COLORS, beside, canvas

PARTS = ("compile", "fit", "predict", "select", "evaluate", "run")


def time_split(seconds: Mapping[str, Mapping[str, float]], title: str | None = None) -> Any:
    """Seconds of every strategy, a bar each, split into parts.

    Use it when a strategy is called cheap or dear: by what it takes to select, or by what is the same for all of them.
    What was compiled together is known together: a program over seeds tells compile and run, and no more.

    Args:
      seconds: by strategy, by part: compile, fit, predict, select, evaluate, run, or names of one's own.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: no strategies, or seconds that are negative or no numbers.

    >>> figure = time_split({"bald": {"fit": 2.0, "select": 0.5}, "random": {"fit": 2.0}})
    >>> [round(float(bar.get_width()), 1) for bar in figure.axes[0].patches]
    [2.0, 2.0, 0.5, 0.0]
    """
    values = [value for parts in seconds.values() for value in parts.values()]
    if not values or not all(np.isfinite(value) and value >= 0 for value in values):
        raise ValueError(f"expected seconds by strategy and part, numbers of at least 0, got {dict(seconds)}")
    found = dict.fromkeys(part for parts in seconds.values() for part in parts)
    parts = [part for part in PARTS if part in found] + [part for part in found if part not in PARTS]
    with canvas(1, min(0.9, 0.15 + 0.04 * len(seconds))) as figure:
        axis = figure.add_subplot(title=title or "", xlabel="seconds")
        left = np.zeros(len(seconds))
        for place, part in enumerate(parts):
            width = np.array([of.get(part, 0.0) for of in seconds.values()])
            axis.barh(list(seconds), width, left=left, label=part, color=COLORS[place % len(COLORS)])
            left += width
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
        beside(figure)
    return figure
