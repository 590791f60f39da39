"""What the figures share: scales, a picture, and a verdict for every published claim."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from tueplots import axes, figsizes, fontsizes

Scale = Literal["smoke", "cpu", "paper"]
"""smoke: does it run; cpu: minutes on two cores; paper: the published sizes."""

FOLDER = Path("figures")


class Interval(NamedTuple):
    """A mean over seeds with its two-sided 95 % interval; a single seed has none (NaN)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Rounded for a table."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Claim(NamedTuple):
    """A published statement beside ours.

    holds: whether ours agrees, or None where this scale or data set cannot tell.
    """

    statement: str
    published: str
    source: str
    ours: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.holds is None:
            return "not testable at this scale"
        return "reproduced" if self.holds else "not reproduced"


def interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Mean of one value a seed, and its 95 % t interval.

    >>> str(interval([1.0, 2.0, 3.0]))
    '2.000 [-0.484, 4.484]'
    """
    values = np.asarray(values, np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def near(ours: Interval, published: float, tolerance: float) -> bool:
    """Whether the interval touches ``published ± tolerance``; without an interval, whether the mean lies in it.

    >>> near(Interval(0.5, 0.45, 0.55), 0.58, 0.05), near(Interval(0.5, 0.45, 0.55), 0.7, 0.05)
    (True, False)
    """
    low, high = (ours.mean, ours.mean) if np.isnan(ours.low) else (ours.low, ours.high)
    return low <= published + tolerance and high >= published - tolerance


@contextmanager
def picture(name: str, num_panels: int) -> Iterator[list[Axes]]:
    """Panels side by side, written to ``figures/<name>.png`` and ``.pdf`` at the end."""
    size = figsizes.neurips2024(nrows=1, ncols=num_panels, rel_width=1.0, height_to_width_ratio=0.75)
    style: Any = {**size, **fontsizes.neurips2024(), **axes.lines(), **axes.grid(), "font.family": "DejaVu Sans"}
    with matplotlib.rc_context(style):
        figure = Figure()
        FigureCanvasAgg(figure)
        yield list(figure.subplots(1, num_panels, squeeze=False)[0])
        FOLDER.mkdir(exist_ok=True)
        for suffix in ("png", "pdf"):
            figure.savefig(FOLDER / f"{name}.{suffix}", dpi=200)


def report(claims: Sequence[Claim], title: str) -> None:
    """Print a row a claim."""
    table = Table("claim", "published", "source", "ours, 95 % interval over seeds", "verdict", title=title)
    for claim in claims:
        table.add_row(claim.statement, claim.published, claim.source, claim.ours, claim.verdict)
    Console().print(table)
