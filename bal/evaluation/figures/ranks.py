"""The critical-difference diagram."""

from typing import Any

import numpy as np

from bal.evaluation.plots import canvas
from bal.evaluation.ranks import CriticalDifference


def rank_diagram(found: CriticalDifference, title: str | None = None) -> Any:
    """Mean ranks over data sets on a line, 1 is best; a bar joins strategies that cannot be told apart.

    The length at the top is Nemenyi's critical difference. No bar is no proof of a difference that matters: ranks say
    nothing of its size.

    Use it when strategies were run on many data sets; see `bal.evaluation.critical_difference`.

    >>> names, square = ("bald", "margin", "random"), np.ones((3, 3))
    >>> found = CriticalDifference(names, np.array([1.2, 1.8, 3.0]), 0.01, 1.0, square, square, (names[:2],), 10)
    >>> sorted({text.get_text() for text in rank_diagram(found).axes[0].texts} & set(names))
    ['bald', 'margin', 'random']

    Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".
    """
    names, ranks = found.strategies, np.asarray(found.mean_ranks)
    num, place = len(names), dict(zip(found.strategies, found.mean_ranks, strict=True))
    left = -(-num // 2)
    with canvas(1, 0.12 + 0.035 * (left + len(found.groups))) as figure:
        axis = figure.add_subplot(title=title or "")
        axis.set_axis_off()
        axis.plot([1, num], [0, 0], color="black", linewidth=0.8)
        for tick in range(1, num + 1):
            axis.plot([tick, tick], [0, 0.25], color="black", linewidth=0.8)
            axis.text(tick, 0.35, str(tick), ha="center", va="bottom", fontsize="small")
        ends = [1, 1 + found.critical_difference]
        axis.plot(ends, [1.6, 1.6], color="black", linewidth=1.2, marker="|", markersize=4)
        words = f"critical difference {found.critical_difference:.2f} ({found.num_tasks} data sets)"
        axis.text(1, 1.8, words, ha="left", va="bottom", fontsize="small")
        for bar, group in enumerate(found.groups):
            ends = [place[group[0]] - 0.04, place[group[-1]] + 0.04]
            axis.plot(ends, [-0.4 - 0.4 * bar] * 2, color="black", linewidth=2.5, solid_capstyle="butt")
        deep = -0.8 - 0.4 * len(found.groups)
        for number, (name, rank) in enumerate(zip(names, ranks.tolist(), strict=True)):
            first = number < left
            depth, side = deep - (number if first else num - 1 - number), 0.6 if first else num + 0.4
            axis.plot([rank, rank, side], [0, depth, depth], color="black", linewidth=0.5)
            axis.text(side, depth, name, ha="right" if first else "left", va="center")
            axis.text(side, depth + 0.1, f" {rank:.2f} ", ha="left" if first else "right", va="bottom", fontsize=5)
        axis.set(xlim=(-0.6, num + 1.6), ylim=(deep - left, 3))
    return figure
