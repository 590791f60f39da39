"""Learning curves, and differences to a baseline, with bands for every point and for the whole curve."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Real

from bal.evaluation.bands import sup_t_band
from bal.evaluation.curves import support
from bal.evaluation.plots import MOST, UNBOUNDED, beside, canvas, draw_curve, strategy_styles
from bal.evaluation.statistics import Bounds, mean_interval

BANDS = "mean of {seeds} seeds, 95%:\nband for each point,\nlines for the whole curve"


def curve_bands(
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    ylabel: str,
    bounds: Bounds = UNBOUNDED,
    title: str | None = None,
) -> Any:
    """Mean learning curves with two bands each: for every point by itself, and for the whole curve at once.

    The filled band is the t interval of each point (`mean_interval`); the true curve leaves it somewhere far more often
    than in 5 of 100 cases. The thin lines are the simultaneous band (`sup_t_band`), which it leaves in 5 of 100.
    Neither says anything about a difference, since strategies share their seeds: see `differences`.

    Use it when a curve is claimed as a whole: "stays above 90 % from 40 labels on".

    Args:
      labels: in the training set at each of R evaluations.
      curves: ``[S, R]`` by strategy; fewer than 3 seeds have no band.
      ylabel: the metric, in words.
      bounds: where values can lie.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: no curves or more than 28; values outside the bounds, or that do not fit the counts.

    >>> figure = curve_bands(np.array([10, 20]), {"random": np.array([[0.5, 0.6], [0.4, 0.6], [0.5, 0.7]])}, "accuracy")
    >>> [line.get_label() for line in figure.axes[0].lines][0]
    'random'
    """
    if not 0 < len(curves) <= MOST:
        raise ValueError(f"expected 1 .. {MOST} curves, got {len(curves)}; draw several figures")
    styles, seeds = strategy_styles(curves), max(map(len, curves.values()))
    with canvas() as figure:
        axis = figure.add_subplot(xlabel="labels", ylabel=ylabel, title=title or "")
        for name, values in curves.items():
            counts = support(labels, values)
            draw_curve(axis, counts, values, name, styles[name], bounds)
            if len(values) > 2:
                band = sup_t_band(values, bounds)
                for end in (band.low, band.high):
                    axis.plot(counts, end, color=styles[name]["color"], linewidth=0.4, alpha=0.6)
        axis.grid(alpha=0.3)
        beside(figure, BANDS.format(seeds=seeds) if seeds > 2 else None)
    return figure


def differences(
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    ylabel: str,
    baseline: str = "random",
    title: str | None = None,
) -> Any:
    """Mean difference to a baseline over paired seeds, a panel a strategy, with both bands.

    Where the light band leaves out zero the strategy differs from the baseline there, with one error in 20 curves; the
    dark band says it of a single point that was chosen before. Several panels are several chances of an error: a
    verdict over all of them is `bal.evaluation.comparison_table`'s.

    Use it when it is asked *from where to where* a strategy is better.

    Args:
      labels: in the training set at each of R evaluations.
      curves: ``[S, R]`` by strategy; row s of all of them is one seed.
      ylabel: the metric, in words.
      baseline: the name of what is subtracted.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: a baseline that is missing, or nothing beside it; curves that are not of the same seeds, or that do
        not fit the counts.

    >>> random = np.array([[0.5, 0.6], [0.4, 0.6], [0.5, 0.7]])
    >>> figure = differences(np.array([10, 20]), {"random": random, "bald": random + [0, 0.1]}, "accuracy")
    >>> [axis.get_title() for axis in figure.axes]
    ['bald']
    """
    if baseline not in curves or len(curves) < 2:
        raise ValueError(
            f"expected curves of {baseline!r} and of at least one more, got {', '.join(curves)}; name the baseline"
        )
    names = [name for name in curves if name != baseline]
    styles, seeds = strategy_styles(curves), len(curves[baseline])
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    with canvas(1, 0.1 + 0.23 * rows * (4 / (columns + 1))) as figure:
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axis, name in zip(axes, names, strict=False):
            if curves[name].shape != curves[baseline].shape:
                raise ValueError(f"{name} has other seeds or counts than {baseline}; run what is missing")
            apart = np.asarray(curves[name], np.float64) - curves[baseline]
            counts, color = support(labels, apart), styles[name]["color"]
            axis.axhline(0, color="black", linewidth=0.7)
            axis.plot(counts, apart.mean(0), color=color, linestyle=styles[name]["linestyle"])
            if seeds > 2:
                band, (_, low, high) = sup_t_band(apart), mean_interval(apart)
                axis.fill_between(counts, band.low, band.high, color=color, alpha=0.15, linewidth=0)
                axis.fill_between(counts, low, high, color=color, alpha=0.25, linewidth=0)
            axis.set_title(name)
            axis.grid(alpha=0.3)
        for place, axis in enumerate(axes):
            axis.tick_params(labelbottom=place + columns >= len(names))
            if place >= len(names):
                axis.remove()
        bands = f"; 95% bands of {seeds} seeds: dark for each point, light for the whole curve" if seeds > 2 else ""
        figure.suptitle(title)
        figure.supxlabel(f"labels{bands}", fontsize="small")
        figure.supylabel(f"{ylabel} minus {baseline}", fontsize="small")
    return figure
