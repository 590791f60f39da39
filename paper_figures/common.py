"""How a figure of a paper is written, and what all of them share: options, records, pictures.

A figure is a module with a `FIGURE` (`paper_figures.figure`); copy `label_complexity.py` or `gp_toys.py`:

1. Docstring: what is shown, the command, *Not as published* (each departure), *Found at `cpu`* (numbers; of what was
   not reproduced, what was tried). It is the caption in the gallery.
2. `Sizes`, a NamedTuple, and `SIZES` by scale: smoke in seconds, cpu in at most 20 minutes on two cores, paper as
   published. A scale that is not built is left out, and refused.
3. `run(config, sizes) -> found`: experiments by `run_study` (seeds as one program, records shared by all figures that
   ask for the same), anything else by `on_record`. Both go on after an interruption and wait for a process that
   computes the same. Real data through `bal.datasets`, which says what is missing and how to get it; with
   other data in their place `stand_in(found)` names them, titles say it, and no claim is judged.
4. `claims(config, sizes) -> [Claim]`: statement, published value, source (and what its x-axis counts), `measure`
   (found -> one number a seed), `test` (`exceeds`, `touches`, or `told`). Tolerances come from the paper or its logs,
   before the first run, and are never changed afterwards. Differences are paired; at least 20 seeds at cpu.
5. `draw(found, config)`: `picture`, colors by `bal.evaluation.strategy_styles`, curves by `draw_curve` with the bounds
   of the quantity, units on both axes, `legend`.
6. `FIGURE = Figure(...)`, with `work(sizes)`: a number that run time is proportional to, for the cost of `paper`.
7. A row in `SMOKE` and `TINY` of `tests/test_paper_figures.py`, and tests of what is new in it by an oracle.
8. `--scale cpu`, then `python -m paper_figures`: the gallery takes it up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from rich.console import Console

from bal.evaluation.plots import canvas, save
from bal.loop import Curves
from bal.loop.study import BASELINE
from bal.records import RecordLockedError, files, open_record
from bal.typing import Setup, Task
from experiments import common
from experiments.common import ON_RECORD
from paper_figures.claims import Scale

Result = TypeVar("Result")


@dataclass(frozen=True)
class Options:
    """What every figure takes."""

    scale: Scale = "cpu"
    """smoke: does it run; cpu: minutes on two cores; paper: the published sizes where
    they are built, of which the cost is said first."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures, and of what was found beside each."""
    fresh: bool = False
    """Start over: what is on record is not read back."""


@dataclass(frozen=True)
class Repeated(Options):
    """Options of the figure; sizes follow from the scale."""

    seeds: int | None = None
    """Paired repetitions, if not those of the scale."""


def say(text: str) -> None:
    """A line that is not folded."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def undisturbed(compute: Callable[[], Result]) -> Result:
    """What `compute` returns, as soon as no other process writes a record that it needs."""
    pause = 0.2
    while True:
        try:
            return compute()
        except RecordLockedError as error:
            if "another process" not in str(error):
                raise
            if pause == 0.2:
                say(f"{error}; waiting")
            sleep(pause)
            pause = min(2 * pause, 20.0)


def run_study(
    name: str,
    task: Task | Callable[[int], Task],
    setups: Mapping[str, Setup],
    config: Options,
    num_seeds: int,
    seeds_per_call: int = 4,
    options: Mapping[str, Any] | None = None,
    baseline: str | None = BASELINE,
) -> Curves:
    """A study of one task under ``runs/<name>/``, see `bal.loop.study`; `options` tell apart what its name does not.

    Figures that ask for the same name, task, set-up and options share its records.
    """
    seeds = num_seeds, seeds_per_call
    return undisturbed(lambda: common.run_study(name, task, setups, config, Console(), *seeds, options or {}, baseline))


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
    with undisturbed(lambda: open_record(options.runs, figure, dict(part), data, fresh=options.fresh)) as record:
        found = "on record" if record.events else "compiling and running"
        say(f"{figure}: {shown}: {found}")
        if not record.events:
            arrays = {name: np.asarray(values) for name, values in compute().items()}
            record.append([{"kind": "part", **arrays}])
        if not record.done:
            record.finish({})
        ON_RECORD[figure, ""] = finished + num_seeds, of
        return {name: np.asarray(values) for name, values in record.events[-1].items() if name != "kind"}


@contextmanager
def picture(folder: Path, name: str, num_panels: int, height_to_width: float = 0.9) -> Iterator[list[Axes]]:
    """Panels side by side, written to ``<folder>/<name>.png`` and ``.pdf`` at the end.

    Equal panels are equal files, and each file is there as a whole or not at all.
    """
    with canvas(num_panels, height_to_width) as figure:
        yield list(figure.subplots(1, num_panels, squeeze=False)[0])
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("png", "pdf"):
            save(figure, drawn := BytesIO(), suffix)
            files.replace(folder / f"{name}.{suffix}", drawn.getvalue())
    say(f"picture: {folder / name}.png, .pdf")


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
