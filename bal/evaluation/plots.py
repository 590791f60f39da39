"""Learning curves as a figure, drawn without pyplot: nothing global is changed, and no display is needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import scipy.stats
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tueplots import axes, figsizes, fontsizes
from tueplots.constants.color import palettes

from bal.evaluation.curves import support

# Seven colors and four line styles have no common divisor: 28 curves before a pair comes back.
COLORS = [f"#{color}" for color in palettes.paultol_bright]
LINE_STYLES = ("solid", "dashed", "dotted", "dashdot")
MARKERS = "os^Dv<>"


def learning_curves(
    path: str | Path,
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    ylabel: str,
    title: str | None = None,
) -> None:
    """Writes a picture of mean learning curves, one a strategy; the suffix of `path` chooses png, pdf or svg.

    The line is the mean over S seeds, the band its pointwise 95% t interval, ``mean +- t s / sqrt(S)``; one
    seed has no band. Bands show each curve by itself: strategies share their seeds, so bands that overlap
    say nothing about a difference, which `bal.evaluation.paired_difference` tests. The legend states what
    the band is.
    Raises ValueError if there are no curves or more than 28, or if counts and values do not fit (see
    `support`).

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "curves.png"
    ...     learning_curves(path, np.array([10, 20]), {"random": np.array([[0.5, 0.6]])}, "test accuracy")
    ...     path.read_bytes()[1:4]
    b'PNG'
    """
    most = len(COLORS) * len(LINE_STYLES)
    if not 0 < len(curves) <= most:
        raise ValueError(f"expected 1 .. {most} curves, got {len(curves)}; draw several figures")
    size = figsizes.neurips2024(nrows=1, ncols=1, rel_width=1.0, height_to_width_ratio=0.5)
    style: dict[Any, Any] = {**size, **fontsizes.neurips2024(), **axes.lines(), **axes.grid()}
    with matplotlib.rc_context({**style, "font.family": "DejaVu Sans"}):
        figure = Figure()
        FigureCanvasAgg(figure)
        axis = figure.add_subplot(xlabel="labels", ylabel=ylabel, title=title or "")
        for number, (name, values) in enumerate(curves.items()):
            _draw(axis, number, name, support(labels, values), values)
        axis.grid(alpha=0.3)
        figure.legend(
            loc="outside right center",
            frameon=False,
            title=_band(curves),
            title_fontsize="small",
            handlelength=3,
        )
        figure.savefig(path, dpi=200)


def _draw(axis: Axes, number: int, name: str, labels: np.ndarray, values: np.ndarray) -> None:
    color = COLORS[number % len(COLORS)]
    mean, num_seeds = values.mean(axis=0), len(values)
    axis.plot(
        labels,
        mean,
        label=name,
        color=color,
        linestyle=LINE_STYLES[number % len(LINE_STYLES)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=2.5,
        markevery=max(1, len(labels) // 10),
    )
    if num_seeds > 1:
        half = scipy.stats.t.ppf(0.975, num_seeds - 1) * values.std(axis=0, ddof=1) / np.sqrt(num_seeds)
        axis.fill_between(labels, mean - half, mean + half, color=color, alpha=0.15, linewidth=0)


def _band(curves: Mapping[str, np.ndarray]) -> str:
    fewest, most = min(map(len, curves.values())), max(map(len, curves.values()))
    if most == 1:
        return "one seed"
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    return f"mean of {seeds} seeds,\nband: 95% t interval"
