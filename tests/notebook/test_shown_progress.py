"""Progress in a terminal, in a log file and in a notebook: one display at a time, few lines, and the newest of them."""

import io
import itertools
import threading
from concurrent.futures import Future

import pytest
import trivial_shown
from rich.console import Console

from bal import progress as module
from bal.progress import progress
from bal.sweep import sweep
from bal.sweep.engines import Engine

UP = "\x1b[?25l"
"""The cursor is hidden: a live display begins."""


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=120)


@pytest.fixture
def timed(monkeypatch):
    """Time and timers that move when the test says so."""
    now, waiting = [100.0], []

    class Timer:
        def __init__(self, seconds, function, arguments):
            self.at, self.call = now[0] + seconds, lambda: function(*arguments)

        def start(self):
            waiting.append(self)

        def cancel(self):
            if self in waiting:
                waiting.remove(self)

    def move(seconds):
        now[0] += seconds
        for timer in [timer for timer in waiting if timer.at <= now[0]]:
            waiting.remove(timer)
            timer.call()

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.threading, "Timer", Timer)
    return move


def test_lines_are_few_and_the_newest_is_never_missed(timed):
    out = Console(file=io.StringIO(), force_terminal=False, width=80)
    with progress(out) as (update, _, bars):
        for step in range(1000):
            update("a", step, 1000, f"step {step}")
            timed(0.07)
        timed(60)  # nothing happens, and the last word is said all the same
        said = out.file.getvalue().splitlines()
        update("a", 1000, 1000, "done", urgent=True)
    assert not bars
    assert len(said) == 8
    assert said[0] == "     0 s  a: step 0"
    assert said[-1].endswith("a: step 999")
    times = [float(line.split(" s ")[0]) for line in said]
    assert min(after - before for before, after in itertools.pairwise(times)) >= module.LINES
    assert out.file.getvalue().splitlines()[-1].endswith("a: done")


def test_what_is_brackets_is_no_markup():
    for out in (terminal(), Console(file=io.StringIO(), force_terminal=False, width=120)):
        with progress(out) as (update, say, _):
            update("[red]name", 1, 2, "[b]words")
            say("[i]said")
        for text in ("[red]name", "[b]words", "[i]said"):
            assert text in out.file.getvalue()


def test_two_bars_are_never_up_at_once():
    out = terminal()
    with progress(out) as (update, _, first), progress(Console(force_terminal=True, force_interactive=True)) as inner:
        inner.update("inner", 0, 2, "lines meanwhile")
        update("outer", 1, 2, "bar")
    with progress(terminal()) as (_, _, later):
        pass
    assert (first, inner.bars, later) == (True, False, True)
    assert out.file.getvalue().count(UP) == 1
    assert "inner: lines meanwhile" in out.file.getvalue()


def in_process(function, *arguments):
    future: Future = Future()
    future.set_result(function(*arguments))
    return future


@pytest.mark.parametrize(("engine", "of_cell"), [("here", True), (Engine(in_process), False)], ids=["here", "own"])
def test_a_sweep_and_its_cells_have_one_display(tmp_path, engine, of_cell):
    """A sweep in this process leaves the bar to its cells; another keeps it, and what they show are lines above."""
    out = trivial_shown.OUT = terminal()
    sweep(tmp_path, trivial_shown.run, [trivial_shown.Cell(1), trivial_shown.Cell(2)], engine=engine, console=out)
    text = out.file.getvalue()
    assert trivial_shown.BARS[-2:] == [of_cell, of_cell]
    assert text.count(UP) == (2 if of_cell else 1)
    assert "2 of 2 cells" in text
    assert "cell 2" in text
    assert "at work" in text


def test_a_quiet_console_leaves_the_bars_to_others():
    with (
        progress(Console(quiet=True, force_terminal=True, force_interactive=True)) as quiet,
        progress(terminal()) as own,
    ):
        assert (quiet.bars, own.bars) == (False, True)


def test_no_timer_outlives_its_display():
    with progress(Console(file=io.StringIO(), force_terminal=False)) as (update, _, _):
        update("a", 0, 9, "one")
        update("a", 1, 9, "two")
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert timers
    for timer in timers:
        timer.join(5)
