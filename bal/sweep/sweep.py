"""A sweep: every cell exactly once, by whatever processes and machines share the folder."""

import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from bal.records import CorruptRecordError
from bal.sweep import store
from bal.sweep.cells import as_values
from bal.sweep.engines import Engine, opened
from bal.sweep.functions import Run, config_of, name_of
from bal.sweep.showing import showing
from bal.sweep.store import CELLS, Cell, Outcome
from bal.sweep.work import variables, work

ATTEMPTS = 2
"""How often a cell is begun whose process dies: once more, for something else may have killed it."""
LOOK = 1.0
"""Seconds between looks at cells that others run."""


def sweep(
    root: str | Path,
    run: Run,
    cells: Sequence[Any],
    *,
    engine: Any = "local",
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
    console: Any = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Run every cell that is not done yet, exactly once.

    What is left to do is decided by the folder, not by the engine: each cell has a lock there, which the operating
    system holds for whoever runs it and frees when that process dies, and a ``done.json`` once it is done (`store`).
    So a sweep that was killed goes on when it is started again, and one that is started on several machines with a
    common folder is shared among them; each waits until all cells are done, and takes over those of dead ones. The
    file system must keep locks between the machines (NFS does, unless it was mounted with nolock).

    A cell that fails leaves its traceback on record, and the others go on; the next sweep runs it again. One whose
    process dies, of lack of memory for example, is begun once more and then counts as failed.

    Use it when one machine, or one process, is not enough: over data sets, learners, strategies. Seeds belong into a
    cell, where they are one compiled program.

    Args:
      root: folder of the sweep and of its records.
      run: ``config, root -> summary``: runs one cell and writes its records under root, a `bal.study` for example. It
        must be at the top of a module, with its first argument annotated; what it returns, a dict or None, is kept.
      cells: from `grid`: instances of the frozen dataclass that `run` takes. Equal ones are one cell.
      engine: "local", processes of this machine; "here", this process, one cell after the other; "slurm" (submitit),
        "ray" or "dask", which are extras; or anything with ``submit(function, *arguments) -> future``. A worker gets
        one thread of BLAS and of XLA, and shares ``~/.cache/bal/xla``, unless the environment says otherwise.
      workers: how many cells are run at a time; as many as there are cores by default. Say 1 where all share one
        accelerator.
      options: of the engine: parameters of ``submitit.AutoExecutor`` (and ``cluster``), of ``ray.init``, of
        ``distributed.Client``.
      console: a `rich.console.Console` for progress, see `bal.progress`; a bar only where cells run elsewhere, for
        in this process they have bars of their own.
      on_progress: called with the number of cells that ended, and of all.

    Returns:
      An `Outcome` for each cell, "done" or "failed", in the order of `cells`.

    Raises:
      TypeError, ValueError: no cells, or such as `run` does not take; a function that cannot be imported; no such
        engine.
      ImportError: the library of the engine is missing.

    >>> import tempfile
    >>> from rich.console import Console
    >>> from bal.sweep import grid
    >>> from bal.sweep.examples import Square, square
    >>> root, quiet = tempfile.mkdtemp(), Console(quiet=True)
    >>> found = sweep(root, square, grid(Square(), number=[2, 3]), engine="here", console=quiet)
    >>> [(outcome.state, outcome.summary) for outcome in found]
    [('done', {'square': 4}), ('done', {'square': 9})]
    """
    root = Path(root).absolute()  # workers may be in other folders
    places = _places(root, run, cells, workers)
    since, distinct = time.time(), {cell.path: cell for cell in places}
    ends = {path: found for path, cell in distinct.items() if (found := _settled(cell, since)) is not None}
    missing = [cell for path, cell in distinct.items() if path not in ends]
    with ExitStack() as stack:  # an engine that cannot be had leaves no cells on the list
        at_work = stack.enter_context(opened(engine, workers, root / CELLS, options or {})) if missing else None
        for cell in places:
            store.declare(cell)
        show = stack.enter_context(showing(console, len(distinct), engine != "here"))

        def told(running: int, said: str) -> None:
            show(list(ends.values()), running, sum(outcome.at >= since for outcome in ends.values()), said)
            if on_progress is not None:
                on_progress(len(ends), len(distinct))

        told(0, "on record")
        if at_work is not None:
            _run_all(missing, at_work, since, ends, told, places)
    return [ends[cell.path] for cell in places]


def _run_all(
    missing: list[Cell],
    engine: Engine,
    since: float,
    ends: dict[Path, Outcome],
    told: Callable[[int, str], None],
    cells: list[Cell],
) -> None:
    """Hand the missing ones of the cells out until all have ended; `told` hears of each end."""
    waiting, elsewhere, running = deque(missing), deque(), {}
    deaths, looked = defaultdict(list), time.monotonic()
    arguments = (since, os.getpid(), _folders(), variables())

    def ended(cell: Cell, outcome: Outcome) -> None:
        ends[cell.path] = outcome
        told(
            len(running), f"{outcome.state}, {in_words(cell, cells)}" + (f": {outcome.error}" if outcome.error else "")
        )

    def take() -> list[Cell]:
        """Cells that the engine has room for and that nobody has ended meanwhile."""
        ready = []
        while waiting and (engine.at_once is None or len(running) + len(ready) < engine.at_once):
            cell = waiting.popleft()
            found = _settled(cell, since)
            if found is None and len(deaths[cell.path]) >= ATTEMPTS:
                found = _died(cell, deaths[cell.path][-1])
            if found is None:
                ready.append(cell)
            elif found.state == "running":
                elsewhere.append(cell)
            else:
                ended(cell, found)
        return ready

    while waiting or elsewhere or running:
        ready = take()
        with engine.batch() if ready else nullcontext():
            for cell in ready:
                running[cell.path] = cell, engine.submit(work, cell, *arguments)
        _pause([future for _, future in running.values()])
        for path in [path for path, (_, future) in running.items() if future.done()]:
            cell, future = running.pop(path)
            outcome = _result(future)
            if outcome.state == "missing":
                deaths[path].append(outcome.error)
                waiting.append(cell)
            elif outcome.state == "running":
                elsewhere.append(cell)
            else:
                ended(cell, outcome)
        if elsewhere and time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            waiting.extend(cell for cell in elsewhere if not store.is_locked(cell))
            elsewhere = deque(cell for cell in elsewhere if cell not in waiting)


def in_words(cell: Cell, others: Sequence[Cell] = ()) -> str:
    """The settings of a cell in one line; only those in which it differs from some of the others, if it does.

    >>> one = Cell(Path(), "module:run", {"data": "iris", "width": 2})
    >>> in_words(one), in_words(one, [one, Cell(Path(), "module:run", {"data": "iris", "width": 3})])
    ('data=iris width=2', 'width=2')
    """
    varied = [name for name in cell.values if any(other.values.get(name) != cell.values[name] for other in others)]
    return " ".join(f"{name}={cell.values[name]}" for name in varied or cell.values)


def _places(root: Path, run: Run, cells: Sequence[Any], workers: int | None) -> list[Cell]:
    """Where the cells are, checked."""
    name, kind = name_of(run), config_of(run)
    if not cells:
        raise ValueError("a sweep needs at least one cell: grid(Config(), field=[...])")
    for cell in cells:
        if type(cell) is not kind:
            raise TypeError(f"{name} takes a {kind.__name__}, got the cell {cell!r}; make them by grid")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    return [store.place(root, name, as_values(cell)) for cell in cells]


def _settled(cell: Cell, since: float) -> Outcome | None:
    """How a cell ended, if there is nothing left to do; one with damaged files has failed."""
    try:
        found = store.recorded(cell)
    except CorruptRecordError as error:
        return Outcome("failed", error=str(error))
    if found.state == "done" or (found.state == "failed" and found.at >= since):
        return found
    return None


def _result(future: Any) -> Outcome:
    """What became of a cell; "missing" if its process ended before it said so."""
    try:
        return future.result()
    except Exception as error:  # each engine has its own
        return Outcome("missing", error=f"{type(error).__name__}: {str(error).strip()}")


def _died(cell: Cell, why: str) -> Outcome:
    error = f"its process ended {ATTEMPTS} times before it was done, killed or out of memory ({why})"
    with store.claimed(cell) as mine:
        return store.fail(cell, error, error, 0.0) if mine else Outcome("running")


def _pause(futures: list[Any]) -> None:
    """Until something may have happened."""
    if futures and all(isinstance(future, Future) for future in futures):
        wait(futures, 0.5, FIRST_COMPLETED)
    elif not any(future.done() for future in futures):
        time.sleep(0.1)


def _folders() -> list[str]:
    """Where this process looks for modules; the folder of a script among them."""
    return [os.path.abspath(folder) for folder in sys.path]
