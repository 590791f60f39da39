"""What is known of every cell of a sweep, in a folder that any number of processes and machines may share.

``root/.cells/<digits>/`` is one cell; the digits are those of the SHA-256 of its function and its settings.

    cell.json    function and settings; written when a sweep first names the cell
    lock         held, by the operating system, while the cell is run; that of a dead process is free
    claim.json   who runs it, or ran it last
    output.txt   what it printed, if it ran in a process of its own
    failed.json  the traceback of its last failure
    done.json    written last: settings, summary, seconds, who and when; sealed by its SHA-256

A cell is run by whoever holds its lock and sees no done.json.
"""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bal.records import CorruptRecordError, RecordLockedError
from bal.records.encoding import encode, plain, seal, unseal
from bal.records.files import replace
from bal.records.lock import acquire

CELLS = ".cells"
CELL, CLAIM, FAILED, DONE = "cell.json", "claim.json", "failed.json", "done.json"


class Cell(NamedTuple):
    """Where a cell is, the function that runs it, and its settings as plain values."""

    path: Path
    function: str
    values: dict[str, Any]

    @property
    def root(self) -> Path:
        """The folder of the sweep."""
        return self.path.parent.parent


class Outcome(NamedTuple):
    """What is known of a cell.

    state: "done", "failed", "running" (elsewhere, for a sweep), or "missing".
    summary: what its function returned. error: the last line of the traceback, which failed.json has in full.
    seconds: how long it ran. who: host and process number. at: when it ended, or began if it runs; Unix time.
    """

    state: Literal["done", "failed", "running", "missing"]
    summary: dict[str, Any] = {}  # noqa: RUF012 - never written to
    error: str = ""
    seconds: float = 0.0
    who: str = ""
    at: float = 0.0


def place(root: str | Path, function: str, values: dict[str, Any]) -> Cell:
    """The cell of a function and settings."""
    identity = encode(plain({"function": function, "config": values}, "cell"))
    return Cell(Path(root) / CELLS / hashlib.sha256(identity).hexdigest()[:12], function, values)


def declare(cell: Cell) -> None:
    """Put a cell on the list of what is to be run."""
    text = seal(plain({"function": cell.function, "config": cell.values}, "cell"))
    file = cell.path / CELL
    if not file.exists() or file.read_bytes() != text:
        cell.path.mkdir(parents=True, exist_ok=True)
        _put(file, text)


def cells(root: str | Path) -> list[Cell]:
    """All cells that sweeps under `root` have named, sorted by function and settings."""
    return in_order(cell_at(file.parent) for file in Path(root).glob(f"{CELLS}/*/{CELL}"))


def cell_at(path: Path) -> Cell:
    """The cell in a folder."""
    body = unseal((path / CELL).read_bytes(), str(path / CELL))
    return Cell(path, body["function"], body["config"])


def in_order(found: Iterable[Cell]) -> list[Cell]:
    """By function and settings."""
    return sorted(found, key=lambda cell: (cell.function, encode(cell.values)))


def known(cell: Cell, is_run: Callable[[Cell], bool] | None = None) -> Outcome:
    """What is on record of a cell, and whether it is being run: by its lock, or as `is_run` says.

    Raises:
      CorruptRecordError: a file of it was changed.
    """
    if recorded(cell).state != "done" and (is_run or is_locked)(cell):
        claim = _read(cell.path / CLAIM) or {"who": "", "at": time.time()}
        return Outcome("running", {}, "", time.time() - claim["at"], claim["who"], claim["at"])
    return recorded(cell)


def seems_run(cell: Cell) -> bool:
    """Whether somebody runs the cell, for those who only look on and touch no lock: by its last claim.

    A claim that was followed by an end is none; neither is that of a process of this machine that is no more. Of other
    machines nobody can tell: their claims stand.
    """
    claim, end = _read(cell.path / CLAIM), recorded(cell)
    if claim is None or end.at >= claim["at"]:
        return False
    host, _, number = claim["who"].rpartition(":")
    if host != socket.gethostname() or os.name != "posix":  # elsewhere `os.kill` would end the process
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user, and alive
        pass
    return True


def recorded(cell: Cell) -> Outcome:
    """How a cell ended, whoever may be running it again."""
    done, failed = _read(cell.path / DONE), _read(cell.path / FAILED)
    if done is not None:
        return Outcome("done", done["summary"], "", done["seconds"], done["who"], done["at"])
    if failed is not None:
        return Outcome("failed", {}, failed["error"], failed["seconds"], failed["who"], failed["at"])
    return Outcome("missing")


def is_locked(cell: Cell) -> bool:
    """True while somebody runs the cell."""
    if not (cell.path / "lock").exists():
        return False
    try:
        acquire(cell.path).release()
    except RecordLockedError:
        return True
    return False


@contextmanager
def claimed(cell: Cell) -> Iterator[bool]:
    """Yields True with the lock of the cell held, False if somebody else has it."""
    try:
        lock = _acquired(cell.path)
    except RecordLockedError:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _acquired(path: Path) -> Any:
    try:
        return acquire(path)
    except RecordLockedError:
        time.sleep(0.02)  # `is_locked` holds a lock for no longer
        return acquire(path)


def begin(cell: Cell) -> None:
    """Say who runs the cell; for the holder of its lock, as all that follow."""
    _put(cell.path / CLAIM, seal({"who": _me(), "at": time.time()}))


def finish(cell: Cell, summary: dict[str, Any], seconds: float) -> Outcome:
    """Put on record that a cell is done."""
    said = {"summary": plain(summary, "summary"), "seconds": seconds, "who": _me(), "at": time.time()}
    body = {"function": cell.function, "config": plain(cell.values, "cell"), **said}
    replace(cell.path / DONE, seal(body))
    return Outcome("done", said["summary"], "", seconds, said["who"], said["at"])


def fail(cell: Cell, error: str, traceback: str, seconds: float) -> Outcome:
    """Put on record that a cell failed."""
    said = {"error": error, "traceback": traceback, "seconds": seconds, "who": _me(), "at": time.time()}
    replace(cell.path / FAILED, seal(said))
    return Outcome("failed", {}, error, seconds, said["who"], said["at"])


def traceback_of(cell: Cell) -> str:
    """The traceback of the last failure of a cell, "" if it never failed."""
    failed = _read(cell.path / FAILED)
    return "" if failed is None else failed["traceback"]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    body = unseal(data, str(file))
    if not isinstance(body, dict):
        raise CorruptRecordError(f"{file} is no file of a cell; restore it from a copy, or delete it")
    return body


def _put(file: Path, data: bytes) -> None:
    """Write a file that several processes may write at once, each the whole of it; it need not survive a power cut."""
    own = file.with_name(f".{file.name}.{socket.gethostname()}.{os.getpid()}")
    own.write_bytes(data)
    os.replace(own, file)


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
