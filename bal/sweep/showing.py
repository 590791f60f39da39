"""How far a sweep is, with the time that is left: a bar in a terminal, lines in a log file."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bal.sweep.store import Outcome


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(5.0), duration(180.0), duration(7300.0)
    ('5 s', '3 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def time_left(seconds: float, here: int, missing: int) -> str:
    """How long it will take, from how long `here` cells took together so far."""
    if not missing:
        return "nothing left"
    return f"about {duration(seconds / here * missing)} left" if here else "time left not known"


def again(function: str, root: str | Path) -> str:
    """What to type to run the cells of a function that are not done.

    >>> again("module:run", "my runs")
    "bal sweep module:run --root 'my runs' --resume"
    """
    return f"bal sweep {function} --root {shlex.quote(str(root))} --resume"


@contextmanager
def showing(console: Any, total: int) -> Iterator[Callable[..., None]]:
    """Yields ``show(outcomes, running, ran, what)``: ends of cells so far, how many run, how many this sweep ran."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    out, begun = console or Console(), time.monotonic()

    def words(outcomes: list[Outcome], running: int, ran: int) -> str:
        failed = sum(outcome.state == "failed" for outcome in outcomes)
        left = time_left(time.monotonic() - begun, ran, total - len(outcomes))
        parts = [f"{len(outcomes)} of {total} cells", f"{running} running", f"{failed} failed" if failed else "", left]
        return ", ".join(part for part in parts if part)

    if not out.is_terminal:

        def line(outcomes: list[Outcome], running: int, ran: int, what: str = "") -> None:
            tail = f": {what}" if what else ""
            text = f"{time.monotonic() - begun:6.0f} s  {words(outcomes, running, ran)}{tail}"
            out.print(text, soft_wrap=True, highlight=False, markup=False)

        yield line
        return
    columns = (BarColumn(12), TextColumn("{task.fields[said]}", markup=False))
    with Progress(*columns, console=out) as bars:
        bar = bars.add_task("", total=total, said=f"0 of {total} cells")

        def move(outcomes: list[Outcome], running: int, ran: int, what: str = "") -> None:
            bars.update(bar, completed=len(outcomes), said=words(outcomes, running, ran))
            if outcomes and outcomes[-1].state == "failed" and what:
                out.print(what, soft_wrap=True, highlight=False, markup=False)

        yield move
