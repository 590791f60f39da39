"""bal replay."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bal.cli.commands import Replay
from bal.records.reading import read_record
from bal.sweep.functions import function_of
from bal.typing import Setup


def replay(command: Replay, console: Console) -> int:
    """The picks of a record once more, beside those on record; 1 if they differ."""
    problem: Callable[..., Any] = function_of(command.function)
    contents = read_record(Path(command.path))
    query = None
    if command.query is not None:
        from bal import strategies
        from bal.strategies.installed import plug_in

        if ":" not in command.query and command.query not in strategies.__all__:
            raise ValueError(f"no strategy {command.query!r}; choose one of {', '.join(strategies.__all__)}")
        query = plug_in(command.query) if ":" in command.query else getattr(strategies, command.query)()
    from bal.loop import replay as again

    try:
        made = problem(contents.config, command.seed)
    except Exception as error:
        known = ", ".join(contents.config)
        raise ValueError(
            f"{command.function} failed with {type(error).__name__}: {error}; it is called with what is on record, a "
            f"dict of {known}, and a seed"
        ) from error
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], Setup)):
        raise TypeError(
            f"{command.function} must return a task and a set-up, got {type(made).__name__}; of answers of people "
            "bal.labeling.recorded_labels makes a task"
        )
    task, setup = made
    found = again(command.path, task, setup, command.seed, command.rounds or None, query)
    console.print(str(found), markup=False, highlight=False, soft_wrap=True)
    if query is not None:
        return 0
    if not found.agrees:
        print("the picks differ from those on record", file=sys.stderr)
    return 0 if found.agrees else 1
