"""bal run, bal sweep, bal status."""

import dataclasses
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bal.cli import parsing
from bal.cli.commands import Status
from bal.progress import duration
from bal.records import CorruptRecordError
from bal.sweep import store
from bal.sweep.cells import as_values, of_values
from bal.sweep.functions import config_of, function_of, name_of
from bal.sweep.showing import again
from bal.sweep.store import Cell, Outcome
from bal.sweep.sweep import in_words, sweep

ON_RECORD = [0, 0]
"""Cells that have ended, and all cells of the sweep: what is said when it is stopped."""


def run(command: Any, console: Console) -> int:
    """One cell, in this process; 0 if it is done, 1 if it failed, 2 if it refused its settings."""
    function = function_of(command.function)
    config: Any = command.config
    (outcome,) = sweep(command.root, function, [config], engine="here", console=Console(quiet=True))
    cell = store.place(command.root, name_of(function), as_values(config))
    if outcome.state == "failed" and outcome.error.startswith("SystemExit: "):  # how scripts refuse, in one sentence
        raise ValueError(outcome.error.removeprefix("SystemExit: "))
    if outcome.state == "failed":
        print(store.traceback_of(cell) or outcome.error, file=sys.stderr)
        return 1
    for name, value in outcome.summary.items():
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
    console.print(f"done in {duration(outcome.seconds)}; records under {command.root}", markup=False, soft_wrap=True)
    return 0


def run_sweep(command: Any, console: Console) -> int:
    """Many cells; 0 if all are done, 1 if some failed, which are listed."""
    function = function_of(command.function)
    kind, name = config_of(function), name_of(function)
    if command.resume:
        if command.grid or command.file:
            raise ValueError("--resume runs what is on record; leave out --grid and --file, or leave out --resume")
        known = [cell for cell in store.cells(command.root) if cell.function == name]
        cells = [of_values(kind, cell.values) for cell in known]
        if not cells:
            raise ValueError(f"no cells of {name} are on record under {command.root}; name them with --grid")
    else:
        cells = parsing.cells(command.config, command.grid, command.file)
    words = {"workers": command.workers, "options": parsing.options(command.with_)}
    ends = sweep(command.root, function, cells, engine=command.engine, **words, console=console, on_progress=_count)
    places = [store.place(command.root, name, as_values(cell)) for cell in cells]
    failed = {place.path: (place, cell, end) for place, cell, end in zip(places, cells, ends) if end.state == "failed"}
    if failed:
        _list(command, name, list(failed.values()), places, console)
    return 1 if failed else 0


def _count(ended: int, total: int) -> None:
    ON_RECORD[:] = ended, total


def _list(
    command: Any, name: str, failed: list[tuple[Cell, Any, Outcome]], places: list[Cell], console: Console
) -> None:
    """What failed, and how to run it again."""
    say: Callable[..., None] = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)
    say(f"\n{len(failed)} cell{'s' if len(failed) > 1 else ''} failed:")
    for cell, _, outcome in failed:
        say(f"  {in_words(cell, places)}\n    {outcome.error}\n    {cell.path / store.FAILED}")
    root = shlex.quote(str(command.root))
    say(f"All tracebacks: bal status {root} --traceback")
    engine = "" if command.engine == "local" else f" --engine {command.engine}"
    told = "".join(f" {shlex.quote(word)}" for word in command.with_)
    say(f"Run them again: {again(name, command.root)}{engine}{f' --with{told}' if told else ''}")
    say(f"One by itself:  bal run {name} --root {root} {_typed(failed[0][1])}".rstrip())


def _typed(config: Any, default: Any = None) -> str:
    """The settings that are not the defaults, as options."""
    words = []
    for field in dataclasses.fields(config):
        name, value = field.name, getattr(config, field.name)
        option, usual = f"--{name.replace('_', '-')}", getattr(type(config) if default is None else default, name, None)
        if value == usual:
            continue
        if dataclasses.is_dataclass(value):
            words.append(_typed(value, usual))
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [option, *(shlex.quote(str(one)) for one in values)]
    return " ".join(words)


def status(command: Status, console: Console) -> int:
    """All cells under a folder; 1 if some failed."""
    if not Path(command.root).is_dir():
        raise ValueError(f"{command.root} is not a folder; pass the folder of records")
    found = [(cell, _known(cell)) for cell in store.cells(command.root)]
    if not found:
        from bal.cli.exporting import holds_labels, other_ways

        root = Path(command.root)
        next_step = other_ways(root) if holds_labels(root) else f"bal report {root} reads its records"
        console.print(f"no sweep under {root}; {next_step}", markup=False, highlight=False, soft_wrap=True)
        return 0
    counts = Counter((cell.function, outcome.state) for cell, outcome in found)
    states = ("done", "running", "failed", "missing")
    table = Table("function", *states, box=None, pad_edge=False, header_style="")
    for function in dict.fromkeys(cell.function for cell, _ in found):
        table.add_row(function, *(str(counts[function, state]) for state in states))
    console.print(table)
    for state, tail in (("running", _since), ("failed", _why)):
        chosen = [(cell, outcome) for cell, outcome in found if outcome.state == state]
        if chosen:
            console.print(f"\n{state}", highlight=False)
        for cell, outcome in chosen:
            text = f"  {in_words(cell, [other for other, _ in found])}\n    {tail(cell, outcome, command.traceback)}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    failed = sum(outcome.state == "failed" for _, outcome in found)
    if failed:
        names = {cell.function for cell, outcome in found if outcome.state == "failed"}
        for name in sorted(names):
            text = f"\nRun them again: {again(name, command.root)}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0


def _known(cell: Cell) -> Outcome:
    try:
        return store.known(cell)
    except CorruptRecordError as error:
        return Outcome("failed", error=str(error))


def _since(cell: Cell, outcome: Outcome, whole: bool) -> str:
    return f"for {duration(outcome.seconds)} on {outcome.who}"


def _why(cell: Cell, outcome: Outcome, whole: bool) -> str:
    return store.traceback_of(cell) if whole else f"{outcome.error}\n    {cell.path / store.FAILED}"
