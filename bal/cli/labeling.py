"""bal label."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from bal.cli.commands import Label

LEAVING: list[Callable[[], None]] = []
"""What is still to be done where Ctrl-C ends the process."""

_OWN = ("batch_size", "budget", "repeat", "test_rows")


def label(command: Label, console: Console) -> int:
    """A desk in the browser, until Ctrl-C."""
    from bal.labeling import Desk
    from bal.labeling.page import serve_desk
    from bal.records import open_record

    labeling, said, config = labeling_of(command)
    say = lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
    root = command.root.resolve()
    with open_record(root.parent, root.name, config) as record, Desk(labeling, record) as desk:
        say(said)
        say(f"answers are kept in {record.path}; {desk.progress().labels} rows have one")
        if command.load is not None:
            say(f"{desk.load(command.load)} answers taken in from {command.load}")
        if not (desk.form.test_rows or labeling.test):
            say("no rows are held out, so accuracy is not estimated; --test-rows 50 holds some out")
        if (file := command.export) is not None:
            LEAVING.append(lambda: say(f"{desk.export(file)} answers in {file}"))
        serve_desk(desk, host=command.host, port=command.port, open_browser=command.open)
        leave()
    return 0


def labeling_of(command: Label) -> tuple[Any, str, dict[str, Any]]:
    """The labeling that was typed, what is said of it, and the configuration of its record."""
    from bal.labeling import Labeling
    from bal.labeling.files import from_files

    given = asdict(command)
    own = {name: given[name] for name in _OWN if given[name] is not None}
    own |= {"annotators": command.annotators} if command.annotators else {}
    if ":" in command.source and not command.source.endswith(".csv"):
        from bal.cli.parsing import options
        from bal.sweep.functions import function_of

        function: Callable[..., Any] = function_of(command.source)
        settings = options(command.settings, "setting")
        try:
            labeling = function(**settings)
        except TypeError as error:
            raise ValueError(
                f"{command.source} cannot be called with {settings}: {error}; mend the settings"
            ) from error
        if not isinstance(labeling, Labeling):
            raise TypeError(f"{command.source} must return a bal.labeling.Labeling, got {type(labeling).__name__}")
        strangers = [name for name in ("classes", "several", "text", "columns", "id", "number") if given[name]]
        if strangers:
            raise ValueError(f"--{strangers[0]} is for files; {command.source} says it itself")
        config = {"labeling": command.source, "settings": settings}
        return labeling._replace(**own), f"{command.source}: query {labeling.query!r}", config
    if command.settings:
        raise ValueError(
            f"settings such as {command.settings[0]!r} are for module:function; {command.source} is a file"
        )
    asked = {name: given[name] for name in ("classes", "several", "number")}
    told = {"text_column": command.text, "columns": command.columns, "id_column": command.id}
    found = from_files(command.source, **asked, **told)
    where = os.path.relpath(Path(command.source).resolve(), Path.cwd().resolve())  # one record, however it is typed
    return found.labeling._replace(**own), found.said, {"labeling": where, **asked, **told}


def leave() -> None:
    """Do what is left to do, once."""
    while LEAVING:
        LEAVING.pop()()
