"""How far a study is: a bar a set-up in a terminal, lines with the time in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(console: Any, title: str, num_seeds: int) -> Iterator[tuple[Callable, Callable]]:
    """Yields ``show(set-up, finished, doing)``, a bar a set-up in a terminal and lines with the time in a log file; and
    ``say(set-up, text)``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    out, begun = console or Console(), time.monotonic()
    titled = lambda name: f"{title} {name}".strip()
    say = lambda name, text: out.print(f"{titled(name)}: {text}", soft_wrap=True, highlight=False)
    if not out.is_terminal:

        def line(name: str, finished: int, doing: str) -> None:
            text = f"{time.monotonic() - begun:6.0f} s  {titled(name)}: {doing}, {finished} of {num_seeds} seeds"
            out.print(text, soft_wrap=True)

        yield line, say
        return
    doing = TextColumn("{task.fields[doing]}")
    columns = (TextColumn("{task.description:<17}"), BarColumn(26), MofNCompleteColumn(), TimeElapsedColumn(), doing)
    with Progress(*columns, console=out) as bars:
        bar_of = {}

        def bar(name: str, finished: int, doing: str) -> None:
            if name not in bar_of:
                bar_of[name] = bars.add_task(titled(name), total=num_seeds, doing=doing)
            bars.update(bar_of[name], completed=finished, doing=doing)

        yield bar, say
