"""What the experiment scripts share: the command line, and a recorded study of several strategies.

A study is one record a strategy under ``runs/<name>/``, on which seeds are as soon as they are finished. Seeds on
record are read back, not run again, so a study that was interrupted goes on where it stopped: type the same command.
How many seeds is no part of a record's name: a study of 10 grows to 20. What other code recorded is said to be so.
"""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bal.datasets import CorruptDataError, MissingDataError
from bal.evaluation import (
    area_under_curve,
    comparison_table,
    learning_curves,
)
from bal.loop import Log, SeedRuns, run_seeds, seed_keys
from bal.loop.events import log_events
from bal.loop.fingerprint import describe, difference
from bal.query import Query
from bal.records import CorruptRecordError, Record, RecordLockedError, open_record
from bal.records.environment import environment
from bal.records.writers import written_by
from bal.typing import Setup, Task

Config = TypeVar("Config")
ON_RECORD: dict[tuple[str, str], tuple[int, int]] = {}
"""Finished seeds and all seeds by study and strategy: what `start` says when it is stopped."""
WRITING = threading.Lock()
"""Held while events are written, so that stopping leaves no half of a line."""


def start(main: Callable[[Config], None], config: type[Config], description: str | None) -> None:
    """Run a script: options from the command line, then `main` with them.

    Ctrl-C ends the process at once with one line and exit code 130, finished seeds kept. XLA compiles and runs where
    Python sees no signal, so `main` gets a thread of its own and this one waits for the signal. Nothing is cleaned up,
    for XLA's threads would crash meanwhile; records are made for that. Missing or damaged data and records, and a
    record that another process is writing, end in their one line too.
    """
    options = tyro.cli(config, description=description)
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    try:
        ThreadPoolExecutor(1).submit(main, options).result()
    except KeyboardInterrupt:
        WRITING.acquire(timeout=10)
        leave(getattr(options, "fresh", False))
    except (MissingDataError, CorruptDataError, RecordLockedError, CorruptRecordError) as error:
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
    config: Mapping[str, Any],
    fingerprint: str,
    queries: Mapping[str, Query],
    num_seeds: int,
    data: tuple,
    in_axes: tuple,
    runs: Path,
    console: Console,
    seeds_per_call: int,
    fresh: bool = False,
    **settings: Any,
) -> dict[str, dict[str, np.ndarray]]:
    """Run (or read back) every strategy over all seeds; returns metrics ``[S, R + 1]`` by strategy and name.

    `data` is (pool, oracle, test, start), `in_axes` as in `bal.loop.run_seeds`, `settings` the static arguments of
    `bal.loop.run` except the query. Every `seeds_per_call` seeds are written to disk. With `fresh` nothing is
    read back.
    """
    ON_RECORD.update({(name, strategy): (0, num_seeds) for strategy in queries})
    learner = describe(settings["learner"])  # before it is used: what libraries remember of use would be told too
    methods = {strategy: {"query": describe(query), "learner": learner} for strategy, query in queries.items()}
    curves = {}
    with _progress(console, name, num_seeds) as show:
        for strategy, query in queries.items():
            with open_record(runs, name, {**config, "strategy": strategy}, fingerprint, fresh) as record:
                words = _origin(record, methods[strategy])
                if _num_finished(record) < num_seeds:
                    task, setup, axes = Task(*data), Setup(query=query, **settings), Task(*in_axes)
                    run = partial(run_seeds, seed_keys(0, num_seeds), task, setup, axes)
                    _run_rest(record, num_seeds, partial(show, strategy), partial(run, seeds_per_call=seeds_per_call))
                else:
                    show(strategy, num_seeds, "on record")
                if not record.done:
                    record.finish({"num_seeds": num_seeds})
                curves[strategy] = _curves(record, num_seeds)
            console.print(f"{strategy}: {record.path}{words}", soft_wrap=True, highlight=False)
    return curves


@contextmanager
def _progress(console: Console, name: str, num_seeds: int) -> Iterator[Callable[[str, int, str], None]]:
    """Yields ``show(strategy, finished, doing)``: a bar a strategy in a terminal, lines with the time in a log file."""
    begun = time.monotonic()
    if not console.is_terminal:

        def line(strategy: str, finished: int, doing: str) -> None:
            ON_RECORD[name, strategy] = finished, num_seeds
            text = f"{time.monotonic() - begun:6.0f} s  {strategy}: {doing}, {finished} of {num_seeds} seeds"
            console.print(text, soft_wrap=True)

        yield line
        return
    doing = TextColumn("{task.fields[doing]}")
    columns = (TextColumn("{task.description:<17}"), BarColumn(26), MofNCompleteColumn(), TimeElapsedColumn(), doing)
    with Progress(*columns, console=console) as bars:
        tasks = {}

        def bar(strategy: str, finished: int, doing: str) -> None:
            ON_RECORD[name, strategy] = finished, num_seeds
            if strategy not in tasks:
                tasks[strategy] = bars.add_task(strategy, total=num_seeds, doing=doing)
            bars.update(tasks[strategy], completed=finished, doing=doing)

        yield bar


def _origin(record: Record, methods: dict[str, str]) -> str:
    """Who recorded what is there, and what has changed since, in words; notes the methods in an empty record."""
    if not record.events:
        record.append([{"kind": "methods", **methods}])
        return ""
    noted = next((event for event in record.events if event["kind"] == "methods"), methods)
    other = {name: difference(noted[name], now) for name, now in methods.items()}
    changed = [f"another {name} ({how})" for name, how in other.items() if how] + record.changes
    words = f", recorded by {record.written_by}"
    if not changed:
        return words
    return f"{words}; this is {_present()}, changed: {', '.join(changed)}; --fresh runs it anew"


@cache
def _present() -> str:
    return written_by([environment()])


def _num_finished(record: Record) -> int:
    return len({event["seed"] for event in record.events if event["kind"] == "round"})


def _run_rest(record: Record, num_seeds: int, show: Callable[[int, str], None], run: Callable[..., SeedRuns]) -> None:
    """Run the seeds that are not on record; they are numbered on from those that are."""
    if record.done:
        record.reopen()
    finished = _num_finished(record)

    def keep(log: Log) -> None:
        first, num = _num_finished(record), len(log.start)
        seeds = [jax.tree.map(lambda leaf, place=place: leaf[place], log) for place in range(num)]
        with WRITING:
            record.append([event for place, seed in enumerate(seeds) for event in log_events(seed, first + place)])
        show(first + num, "running" if first + num < num_seeds else "done")

    show(finished, "compiling")
    done = run(skip=finished, on_compiled=lambda seconds: show(finished, "running"), on_seeds=keep)
    seconds = {"compile_seconds": done.compile_seconds, "run_seconds": done.run_seconds}
    record.append([{"kind": "timing", **seconds, "num_seeds": num_seeds - finished}])


def _curves(record: Record, num_seeds: int) -> dict[str, np.ndarray]:
    rounds = [record.rounds(seed) for seed in range(num_seeds)]
    names = rounds[0][0]["metrics"]
    curves = {name: np.array([[event["metrics"][name] for event in seed] for seed in rounds]) for name in names}
    labels = np.array([[event["counts"]["training"] for event in seed] for seed in rounds])
    acquired = np.array([[event["acquired"] for event in seed[1:]] for seed in rounds])
    start = np.array([seed[0]["acquired"] for seed in rounds])
    return {**curves, "labels": labels, "acquired": acquired, "start": start}


def report(
    name: str,
    curves: dict[str, dict[str, np.ndarray]],
    target: float | None,
    picture: Path,
    console: Console,
    metric: str = "accuracy",
    higher_is_better: bool = True,
) -> None:
    """Print the table of one metric against random and draw its learning curves."""
    labels = next(iter(curves.values()))["labels"][0]
    chosen = {strategy: values[metric] for strategy, values in curves.items()}
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
