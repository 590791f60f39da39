"""How far a sweep is, with the time that is left."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bal.progress import progress, time_left
from bal.sweep.store import Outcome


def again(function: str, root: str | Path) -> str:
    """What to type to run the cells of a function that are not done.

    >>> again("module:run", "my runs")
    "bal sweep module:run --root 'my runs' --resume"
    """
    return f"bal sweep {function} --root {shlex.quote(str(root))} --resume"


@contextmanager
def showing(console: Any, total: int, bars: bool = True) -> Iterator[Callable[..., None]]:
    """Yields ``show(outcomes, running, ran, what)``: ends of cells so far, how many run, how many this sweep ran."""
    begun = time.monotonic()
    with progress(console, bars) as (update, say, bars):

        def show(outcomes: list[Outcome], running: int, ran: int, what: str) -> None:
            failed, ended = sum(outcome.state == "failed" for outcome in outcomes), len(outcomes)
            left = time_left(time.monotonic() - begun, ran, total - ended)
            parts = [f"{ended} of {total} cells", f"{running} running", f"{failed} failed" if failed else "", left]
            words, ill = ", ".join(part for part in parts if part), bool(outcomes) and outcomes[-1].state == "failed"
            if bars and ill:
                say(what)
            update("", ended, total, words if bars else f"{words}: {what}", urgent=ill or ended == total)

        yield show
