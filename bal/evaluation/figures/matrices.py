"""Strategy against strategy, as a square of numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.evaluation.overlap import Overlap
from bal.evaluation.penalty import PenaltyMatrix
from bal.evaluation.plots import canvas


def penalties(matrix: PenaltyMatrix, title: str | None = None) -> Any:
    """Who beats whom: row beats column, at the share of label counts that is written, summed over settings.

    The last row is the mean of each column: how often a strategy was beaten. Low is good.

    Use it when many strategies were run on many data sets; see `bal.evaluation.penalty_matrix`.

    >>> names = ("random", "bald")
    >>> figure = penalties(PenaltyMatrix(names, np.array([[0, 0], [0.5, 0]]), np.array([0.5, 0]), 1))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['', '0.00', '0.50', '', '0.50', '0.00']

    Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
    Lower Bounds".
    """
    own = np.where(np.eye(len(matrix.strategies), dtype=bool), np.nan, matrix.penalties)
    values = np.vstack([own, matrix.mean_penalties])
    settings = f"{matrix.num_settings} setting" + "s" * (matrix.num_settings > 1)
    rows = [*matrix.strategies, "mean"]
    words = f"row beats column (of {settings}); mean: beaten, low is good"
    return _square(values, rows, matrix.strategies, words, title, matrix.num_settings)


def overlaps(found: Overlap, title: str | None = None) -> Any:
    """How much of what one strategy asks for another asks for as well: shares of rows, in a square.

    Use it when two strategies are said to be alike, or a batch method to be different from its score; see
    `bal.evaluation.query_overlap`, and compare with the share that chance alone would give, which is written below.

    >>> figure = overlaps(Overlap(("random", "bald"), np.array([[1, 0.2], [0.2, 1]]), 0.1))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['', '0.20', '0.20', '']
    """
    values = np.where(np.eye(len(found.strategies), dtype=bool), np.nan, found.shares)
    chance = "" if np.isnan(found.by_chance) else f"; {found.by_chance:.2f} by chance"
    return _square(values, found.strategies, found.strategies, f"share of rows in common{chance}", title, 1.0)


def _square(
    values: Float[np.ndarray, "_ A"],
    rows: Sequence[str],
    columns: Sequence[str],
    words: str,
    title: str | None,
    most: float | int,
) -> Any:
    with canvas(1, min(0.9, 0.2 + 0.045 * len(rows))) as figure:
        axis = figure.add_subplot(title=title or "", xlabel=words)
        axis.imshow(values, cmap="Blues", vmin=0, vmax=most, aspect="auto")
        axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(rows)), rows)
        axis.grid(False)
        for (row, column), value in np.ndenumerate(values):
            text = "" if np.isnan(value) else f"{value:.2f}"
            color = "white" if value > 0.6 * most else "black"
            axis.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
        if len(rows) > len(columns):
            axis.axhline(len(columns) - 0.5, color="black", linewidth=0.7)
    return figure
