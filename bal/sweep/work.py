"""One cell, run by the process that claims it: one thread of BLAS, its output in a file, its failure on record."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from bal.sweep import store
from bal.sweep.cells import of_values
from bal.sweep.functions import config_of, function_of
from bal.sweep.store import Cell, Outcome

ONE_THREAD = {name: "1" for name in ("NPROC", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
"""Read by XLA and BLAS when they start: workers share the cores, and bits depend on the number of threads."""
COMPILED = str(Path.home() / ".cache" / "bal" / "xla")


def variables() -> dict[str, str]:
    """The environment of a worker: one thread, and compiled programs that all of them share; what is set stays."""
    return {**ONE_THREAD, "JAX_COMPILATION_CACHE_DIR": COMPILED} | {
        name: os.environ[name] for name in (*ONE_THREAD, "JAX_COMPILATION_CACHE_DIR") if name in os.environ
    }


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """`variables` for the processes that are started meanwhile."""
    added = {name: value for name, value in variables().items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def work(cell: Cell, since: float, parent: int, folders: list[str], told: Mapping[str, str]) -> Outcome:
    """Run a cell, unless somebody else runs it, or it is done, or has failed since.

    Args:
      cell: what to run.
      since: when the sweep began (Unix time): a cell that failed before is run again.
      parent: number of the process of the sweep; in another one, what a cell prints goes into its file.
      folders: where the sweep's process looks for modules.
      told: variables of the environment, for what is imported from here on.
    """
    if os.getpid() != parent:
        for name, value in told.items():
            os.environ.setdefault(name, value)
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    with store.claimed(cell) as mine:
        if not mine:
            return Outcome("running")
        found = store.recorded(cell)
        if found.state == "done" or (found.state == "failed" and found.at >= since):
            return found
        store.begin(cell)
        begun = time.monotonic()
        try:
            with _printing_into(cell.path / "output.txt", parent), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "run_seeds uses one of")  # the other cores have workers of their own
                run = function_of(cell.function)
                summary = run(of_values(config_of(run), cell.values), cell.root) or {}
            return store.finish(cell, summary, time.monotonic() - begun)
        except (Exception, SystemExit) as error:  # scripts refuse their options by SystemExit
            last = traceback.format_exception_only(error)[-1].strip()
            return store.fail(cell, last, traceback.format_exc(), time.monotonic() - begun)


def die_with(parent: Connection) -> None:
    """Let this process end when the other end of a pipe is closed, as the system does for a process that dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches all; the sweep's process decides

    def wait() -> None:
        with contextlib.suppress(EOFError, OSError):
            parent.recv()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _printing_into(file: Path, parent: int) -> Iterator[None]:
    """Standard output and error of this process into a file, where a process runs one cell at a time."""
    if os.getpid() == parent or threading.current_thread() is not threading.main_thread():
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    try:
        with file.open("ab", buffering=0) as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept, 1):
            os.dup2(old, number)
            os.close(old)
