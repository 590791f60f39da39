"""How far something is: bars in a terminal or a notebook, lines in a log file, and never two displays at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

LINES = 10.0
"""Seconds from a line in a log file to the next."""
FRAMES = 0.2
"""Seconds from a picture in a notebook to the next: each is sent whole."""


class Progress(NamedTuple):
    """What whoever works calls.

    update: ``name, finished, total, words``: how far the part of this name is; shown at once with ``urgent=True``.
    say: a line of its own, above the bars.
    bars: whether there are bars, rather than lines.
    """

    update: Callable[..., None]
    say: Callable[[str], None]
    bars: bool


_UP: list[Any] = []
"""The console whose bars are up; whatever begins meanwhile writes lines above them."""
_LOCK = threading.Lock()


@contextmanager
def progress(console: Any = None, bars: bool = True) -> Iterator[Progress]:
    """Show how far something is while the context is open.

    In a terminal each name has a bar, and so it has in a notebook, whose cell keeps the last picture. Elsewhere, and
    while another display of this process is up, there are lines with the time: one at most every `LINES` seconds, and
    always the newest.

    Args:
      console: a `rich.console.Console`; standard output by default. A quiet one shows nothing.
      bars: False = lines everywhere, for work that may have bars of its own.

    >>> from rich.console import Console
    >>> with progress(Console(force_terminal=False)) as (update, say, _):
    ...     update("digits", 0, 4, "compiling")
    ...     update("digits", 4, 4, "done", urgent=True)
    ...     say("on record")
         0 s  digits: compiling
         0 s  digits: done
    on record
    """
    from rich.console import Console

    out = console or Console()
    with _LOCK:
        is_mine = bars and not _UP and not out.quiet and (out.is_interactive or out.is_jupyter)
        if is_mine:
            _UP.append(out)
        elif _UP and (out.is_interactive or out.is_jupyter) and not out.quiet:
            out = _UP[0]
    shown = _lines if not is_mine else _in_notebook if out.is_jupyter else _in_terminal
    say = lambda text: out.print(text, soft_wrap=True, highlight=False, markup=False)
    try:
        with shown(out) as update:
            yield Progress(update, say, is_mine)
    finally:
        if is_mine:
            _UP.remove(out)


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
    """How long it will take, from how long `here` pieces took together so far."""
    if not missing:
        return "nothing left"
    return f"about {duration(seconds / here * missing)} left" if here else "time left not known"


@contextmanager
def _lines(out: Any) -> Iterator[Callable[..., None]]:
    begun = time.monotonic()

    def line(name: str, finished: int, total: int, words: str) -> None:
        text = f"{time.monotonic() - begun:6.0f} s  {name}{': ' if name else ''}{words}"
        out.print(text, soft_wrap=True, highlight=False, markup=False)

    with _paced(line, LINES) as update:
        yield update


@contextmanager
def _in_terminal(out: Any) -> Iterator[Callable[..., None]]:
    with _bars(out) as bars:
        yield lambda *told, urgent=False: _move(bars, *told)


@contextmanager
def _in_notebook(out: Any) -> Iterator[Callable[..., None]]:
    """Pictures of the bars in one place of a cell, by IPython alone: no widget, whose state a saved notebook lacks."""
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    bars = _bars(out)
    picture = lambda: bars.make_tasks_table(bars.tasks)
    place = display(picture(), display_id=True)
    with _paced(lambda: place.update(picture()), FRAMES) as draw:

        def update(*told: Any, urgent: bool = False) -> None:
            _move(bars, *told)
            draw(urgent=urgent)

        try:
            yield update
        finally:
            draw(urgent=True)


def _bars(out: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[words]}", markup=False), console=out)


def _move(bars: Any, name: str, finished: int, total: int, words: str) -> None:
    of_name = {task.description: task.id for task in bars.tasks}
    place = of_name[name] if name in of_name else bars.add_task(name, words=words)
    bars.update(place, completed=finished, total=total, words=words)


@contextmanager
def _paced(show: Callable[..., None], every: float) -> Iterator[Callable[..., None]]:
    """Yields ``update(*told, urgent=False)``: shows what is told, at most every so many seconds and then the newest;
    what is urgent at once."""
    lock, waiting, last = threading.Lock(), [], [-every]

    def now(told: tuple) -> None:
        while waiting:
            waiting.pop().cancel()
        last[0] = time.monotonic()
        show(*told)

    def late(told: list) -> None:
        with lock:
            if waiting:  # nothing newer came while the lock was waited for
                now(told[0])

    newest: list[tuple] = [()]

    def update(*told: Any, urgent: bool = False) -> None:
        with lock:
            newest[0], left = told, last[0] + every - time.monotonic()
            if urgent or left <= 0:
                now(told)
            elif not waiting:
                waiting.append(threading.Timer(left, late, (newest,)))
                waiting[0].daemon = True
                waiting[0].start()

    try:
        yield update
    finally:
        with lock:
            while waiting:
                waiting.pop().cancel()
