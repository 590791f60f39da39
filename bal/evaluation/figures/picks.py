"""What was asked for, round by round: as pictures, or as places on a map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from bal.evaluation.plots import canvas


def picked_images(
    images: Shaped[np.ndarray, "N _ *_"],
    acquired: Int[np.ndarray, "R B"],
    labels: Sequence[Any] | Shaped[np.ndarray, "N"] | None = None,
    most_rounds: int = 8,
    title: str | None = None,
) -> Any:
    """The pictures that were asked for, a line a round, in the order of the picks.

    Of more than `most_rounds` rounds some are drawn, evenly spread, the first and the last among them.

    Use it when it is asked *what* a strategy looks for: repeats, outliers, broken pictures, one class over and over.

    Args:
      images: of the pool, ``[N, height, width]`` or with channels last, in any range that matplotlib draws.
      acquired: rows of the pool, by round, of one seed.
      labels: of all rows, written over the pictures; None = nothing is written.
      most_rounds: that are drawn.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: pictures of another shape, or rows that the pool does not have.

    >>> figure = picked_images(np.zeros((9, 4, 4)), np.array([[3, 1], [8, 2]]), labels=list("abcdefghi"))
    >>> [axis.get_title() for axis in figure.axes]
    ['d', 'b', 'i', 'c']
    """
    if images.ndim not in (3, 4) or not (0 <= acquired.min(initial=0) <= acquired.max(initial=0) < len(images)):
        raise ValueError(
            f"expected pictures [N, height, width] or [N, height, width, channels] and rows below N, got "
            f"{images.shape} and rows {acquired.min(initial=0)} .. {acquired.max(initial=0)}; reshape the pool"
        )
    rounds, batch = acquired.shape
    shown = np.unique(np.linspace(0, rounds - 1, min(rounds, most_rounds)).round().astype(int))
    with canvas(1, min(2.0, len(shown) / (batch + 1) * (1.0 if labels is None else 1.2) + 0.1)) as figure:
        axes = figure.subplots(len(shown), batch, squeeze=False)
        for line, number in zip(axes, shown.tolist(), strict=True):
            for axis, row in zip(line, acquired[number].tolist(), strict=True):
                axis.imshow(images[row], cmap="gray" if images.ndim == 3 else None)
                axis.set(xticks=[], yticks=[])
                if labels is not None:
                    axis.set_title(str(labels[row]), fontsize="small", pad=1)
            line[0].set_ylabel(f"round {number + 1}", rotation=0, ha="right", va="center", fontsize="small")
        figure.suptitle(title)
    return figure


def picked_map(
    points: Shaped[np.ndarray, "N 2"],
    acquired: Int[np.ndarray, "R B"],
    start: Int[np.ndarray, "_"] | None = None,
    y: Shaped[np.ndarray, "N"] | None = None,
    title: str | None = None,
) -> Any:
    """The pool as points in the plane, and what was asked for on it, colored by round.

    Use it when inputs have two dimensions, or a projection that means something (the first principal components, an
    embedding): does the strategy sit on a border, in a corner, on outliers?

    Args:
      points: of the pool.
      acquired: rows of the pool, by round, of one seed.
      start: rows of the start set, drawn as crosses.
      y: classes or numbers of all rows, which color the pool; None = gray.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: points that are not in the plane, or rows that the pool does not have.

    >>> figure = picked_map(np.random.default_rng(0).normal(size=(9, 2)), np.array([[3, 1], [8, 2]]))
    >>> [len(each.get_offsets()) for each in figure.axes[0].collections]
    [9, 4]
    """
    if (
        points.ndim != 2
        or points.shape[1] != 2
        or not 0 <= acquired.min(initial=0) <= acquired.max(initial=0) < len(points)
    ):
        raise ValueError(
            f"expected points [N, 2] and rows from 0 and below N, got {points.shape} and rows "
            f"{acquired.min(initial=0)} .. {acquired.max(initial=0)}; "
            "project the pool to two dimensions"
        )
    rounds = np.repeat(np.arange(1, len(acquired) + 1), acquired.shape[1])
    with canvas(1, 0.6) as figure:
        axis = figure.add_subplot(title=title or "")
        look = {"c": "lightgray"} if y is None else {"c": np.asarray(y), "alpha": 0.35}
        if y is not None:
            look["cmap"] = "tab10" if np.issubdtype(np.asarray(y).dtype, np.integer) else "coolwarm"
        axis.scatter(*points.T, **look, s=8, linewidth=0, label="pool")
        if start is not None:
            axis.scatter(*points[start].T, c="black", marker="x", s=14, linewidth=0.8, label="start set")
        drawn = axis.scatter(
            *points[acquired.ravel()].T, c=rounds, cmap="viridis", s=14, edgecolor="black", linewidth=0.3
        )
        figure.colorbar(drawn, ax=axis, label="round")
        axis.set(xticks=[], yticks=[])
    return figure
