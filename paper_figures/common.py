"""What the figures share: options, records of finished parts, pictures, and a verdict for every published claim."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bal.evaluation import mean_interval
from bal.evaluation.plots import UNBOUNDED, figure_settings
from bal.evaluation.statistics import Bounds
from bal.records import open_record
from experiments.common import ON_RECORD

Scale = Literal["smoke", "cpu", "paper"]
"""smoke: does it run; cpu: minutes on two cores; paper: the published sizes."""


@dataclass(frozen=True)
class Options:
    """What every figure takes."""

    scale: Scale = "cpu"
    """smoke, cpu or paper; sizes follow from it."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Start over: what is on record is not read back."""


class Interval(NamedTuple):
    """A mean over seeds with its two-sided 95 % interval; one or two seeds have none (NaN)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Rounded for a table."""
        if np.isnan(self.low):
            return f"{self.mean:.3f} (no interval)"
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


def interval(values: Sequence[float] | np.ndarray, bounds: Bounds = UNBOUNDED) -> Interval:
    """Mean of one value a seed, and its 95 % t interval within the range of the quantity.

    >>> str(interval([1.0, 2.0, 3.0])), str(interval([0.8, 0.9, 1.0], (0, 1)))
    ('2.000 [-0.484, 4.484]', '0.900 [0.652, 1.000]')
    >>> str(interval([1.0, 2.0]))
    '1.500 (no interval)'
    """
    return Interval(*map(float, mean_interval(np.asarray(values, np.float64), bounds)))


def near(ours: Interval, published: float, tolerance: float) -> bool | None:
    """Whether the interval touches ``published ± tolerance``; None without an interval.

    >>> near(Interval(0.5, 0.45, 0.55), 0.58, 0.05), near(Interval(0.5, 0.45, 0.55), 0.7, 0.05)
    (True, False)
    """
    return None if np.isnan(ours.low) else ours.low <= published + tolerance and ours.high >= published - tolerance


def above(ours: Interval, level: float = 0.0) -> bool | None:
    """Whether the whole interval lies above a level; None without an interval.

    >>> above(Interval(0.5, 0.45, 0.55)), above(Interval(0.5, -0.1, 1.1)), above(interval([1.0, 2.0]))
    (True, False, None)
    """
    return None if np.isnan(ours.low) else ours.low > level


def all_hold(parts: Sequence[bool | None]) -> bool | None:
    """Whether all statements hold; None where one cannot be told.

    >>> all_hold([True, True]), all_hold([True, None]), all_hold([False, None])
    (True, None, False)
    """
    if False in parts:
        return False
    return None if None in parts else True


def on_record(
    options: Options,
    figure: str,
    part: Mapping[str, Any],
    compute: Callable[[], Mapping[str, Any]],
    data: str = "",
    num_seeds: int = 1,
    of: int = 1,
) -> dict[str, np.ndarray]:
    """The arrays of one part of a figure, from its record where that is finished, else computed and recorded.

    `part` is all that determines them but the data, whose fingerprint is `data`; it has `num_seeds` of the `of` seeds
    of the figure. A figure that was stopped goes on after its finished parts.
    """
    shown = ", ".join(f"{name} {value}" for name, value in part.items() if not isinstance(value, list | tuple | dict))
    finished = ON_RECORD.get((figure, ""), (0, of))[0] % of
    ON_RECORD[figure, ""] = finished, of
    with open_record(options.runs, figure, dict(part), data, fresh=options.fresh) as record:
        found = "on record" if record.events else "compiling and running"
        Console().print(f"{figure}: {shown}: {found}", markup=False, highlight=False, soft_wrap=True)
        if not record.events:
            arrays = {name: np.asarray(values) for name, values in compute().items()}
            record.append([{"kind": "part", **arrays}])
        if not record.done:
            record.finish({})
        ON_RECORD[figure, ""] = finished + num_seeds, of
        return {name: np.asarray(values) for name, values in record.events[-1].items() if name != "kind"}


@contextmanager
def picture(folder: Path, name: str, num_panels: int, height_to_width: float = 0.9) -> Iterator[list[Axes]]:
    """Panels side by side, written to ``<folder>/<name>.png`` and ``.pdf`` at the end."""
    with matplotlib.rc_context(figure_settings(num_panels, height_to_width)):
        figure = Figure()
        FigureCanvasAgg(figure)
        yield list(figure.subplots(1, num_panels, squeeze=False)[0])
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=200)
    Console().print(f"picture: {folder / name}.png, .pdf", markup=False, highlight=False, soft_wrap=True)


def legend(panels: Sequence[Axes], num_columns: int, title: str | None = None, handles: Sequence[Any] = ()) -> None:
    """One legend for all panels, below them and off the data; entries that share a name are listed once."""
    figure, entries = panels[0].figure, {}
    for axis in panels:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if handles:
        entries = {handle.get_label(): handle for handle in handles}
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=num_columns, frameon=False, title=title,
        title_fontsize="small", handlelength=2.5,
    )  # fmt: skip


def report(claims: Sequence[Claim], title: str, console: Console | None = None) -> None:
    """Print a block a claim, for 80 columns, and how many were reproduced."""
    blocks: list[RenderableType] = [Text(f"\n{title}", style="bold")]
    for number, claim in enumerate(claims, 1):
        lines = Table.grid(padding=(0, 2))
        lines.add_row("published", escape(f"{claim.published} ({claim.source})"))
        lines.add_row("ours", escape(claim.ours))
        lines.add_row("verdict", Text(claim.verdict, style="bold"))
        blocks += [Text(f"{number}. {claim.statement}"), Padding(lines, (0, 0, 0, 4), expand=False)]
    if any("[" in claim.ours for claim in claims):
        blocks.append(Text("in brackets: 95 % interval of the mean over seeds"))
    if any("(no interval)" in claim.ours for claim in claims):
        blocks.append(Text("no interval: fewer than 3 seeds"))
    verdicts = [claim.verdict for claim in claims]
    blocks.append(Text(", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))))
    (console or Console()).print(Group(*blocks))
