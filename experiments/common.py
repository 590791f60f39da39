"""What the experiment scripts share: the command line, Ctrl-C, and the report of a study.

A study is one record a strategy under ``runs/<name>/``, see `bal.loop.study`: one that was interrupted goes on where it
stopped, and one of 10 seeds grows to 20. Type the same command.
"""

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal.datasets import CorruptDataError, MissingDataError
from bal.evaluation import area_under_curve, comparison_table, learning_curves
from bal.libraries import MissingLibraryError
from bal.loop import Curves, study
from bal.loop.study import BASELINE
from bal.records import CorruptRecordError, RecordLockedError
from bal.typing import Setup, Task
from experiments.options import recorded

Config = TypeVar("Config")
ON_RECORD: dict[tuple[str, str], tuple[int, int]] = {}
"""Finished seeds and all seeds by study and strategy: what `start` says when it is stopped."""


def start(main: Callable[[Config], None], config: type[Config], description: str | None) -> None:
    """Run a script: options from the command line, then `main` with them.

    Ctrl-C ends the process at once with one line and exit code 130, finished seeds kept. XLA compiles and runs where
    Python sees no signal, so `main` gets a thread of its own and this one waits for the signal. Nothing is cleaned up,
    for XLA's threads would crash meanwhile; records are made for that. Missing or damaged data and records, a
    library that is not installed, and a record that another process is writing end in their one line too.
    """
    options = tyro.cli(config, description=description)
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    try:
        ThreadPoolExecutor(1).submit(main, options).result()
    except KeyboardInterrupt:
        leave(getattr(options, "fresh", False))
    except (MissingDataError, MissingLibraryError, CorruptDataError, RecordLockedError, CorruptRecordError) as error:
        raise SystemExit(str(error)) from None


def leave(fresh: bool) -> None:
    """End the process as Ctrl-C does, with a line on what is kept."""
    known = [sum(part) for part in zip(*ON_RECORD.values())]
    again = "type the command again without --fresh" if fresh else "type the same command again"
    kept = f"; {again} to go on: {known[0]} of {known[1]} seeds are on record" if known else ""
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        sys.__stdout__.write("\033[?25h\n")  # the cursor, which bars hide
    for stream, text in ((sys.__stdout__, ""), (sys.__stderr__, f"stopped{kept}\n")):
        if stream is not None:
            stream.write(text)
            stream.flush()
    os._exit(130)


def run_study(
    name: str,
    task: Task | Callable[[int], Task],
    setups: Mapping[str, Setup],
    config: Any,
    console: Console,
    num_seeds: int | None = None,
    seeds_per_call: int = 4,
    options: Mapping[str, Any] | None = None,
    baseline: str | None = BASELINE,
) -> Curves:
    """A study of one task under ``runs/<name>/``, as `bal.loop.study` runs it; counted for what Ctrl-C says.

    `config` tells seeds, folder of records and whether to start over; `options` are noted in every record.
    """
    num = config.seeds if num_seeds is None else num_seeds

    def count(task_name: str, setup_name: str, finished: int) -> None:
        ON_RECORD[task_name, setup_name] = finished, num

    found = study(
        config.runs,
        {name: task},
        setups,
        num,
        seeds_per_call=seeds_per_call,
        fresh=config.fresh,
        options=recorded(config) if options is None else options,
        console=console,
        on_progress=count,
        baseline=baseline,
    )
    return found[name]


def report(
    name: str,
    curves: Curves,
    target: float | None,
    picture: Path,
    console: Console,
    metric: str = "accuracy",
    higher_is_better: bool = True,
) -> None:
    """Print the table of one metric against random and draw its learning curves."""
    labels, chosen = curves.labels, curves.metrics[metric]
    num_seeds = len(next(iter(chosen.values())))
    title = f"{name}: test {metric} against labels"
    if num_seeds == 1:
        table = Table(title=title, caption="one seed: no intervals and no verdicts, see --seeds", box=SIMPLE_HEAD)
        for column in ("strategy", f"final {metric}", "area under curve"):
            table.add_column(column, justify="left" if column == "strategy" else "right")
        for strategy, values in chosen.items():
            table.add_row(strategy, f"{values[0, -1]:.3f}", f"{area_under_curve(labels, values)[0]:.3f}")
    else:
        better = {"target": target, "higher_is_better": higher_is_better}
        table = comparison_table(labels, chosen, metric=metric, title=title, **better)
    console.print(table)
    picture.parent.mkdir(parents=True, exist_ok=True)
    seeds = "one seed" if num_seeds == 1 else f"mean over {num_seeds} seeds"
    bounds = {"accuracy": (0, 1), "rmse": (0, np.inf)}.get(metric, (-np.inf, np.inf))
    learning_curves(picture, labels, chosen, f"test {metric}", f"{name}: {seeds}", bounds)
    console.print(f"learning curves: {picture}", soft_wrap=True)
