"""One run on disk: opened by its config, appended to round by round, finished once."""

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import numpy as np

from bal.records import files
from bal.records.encoding import plain, seal, unseal
from bal.records.environment import environment
from bal.records.errors import CorruptRecordError, RecordLockedError
from bal.records.log import LOG, encode_line
from bal.records.reading import CONFIG, DONE, Contents, describe, load
from bal.records.rounds import advance, check_events
from bal.records.state import pack, unpack

_ENV, _STATE, _LOCK, _TORN = "env.json", "state.npz", "lock", "events.torn"


class Record:
    """A run's record, as `open_record` returns it; a context manager that lets go of the lock.

    path: its folder.
    done, summary: whether `finish` was called, and with what (None before).
    events: every event so far, as it reads back from disk.
    """

    def __init__(self, path: Path, contents: Contents, lock: filelock.BaseFileLock | None):
        self.path = path
        self.summary = contents.summary
        self._events = contents.events
        self._progress = contents.progress
        self._size = contents.report.valid_bytes
        self._lock = lock

    @property
    def done(self) -> bool:
        """Whether the run has finished; a finished record is read only."""
        return self.summary is not None

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event so far, in order."""
        return list(self._events)

    def rounds(self, seed: int = 0) -> list[dict[str, Any]]:
        """The round events of one seed, in order: entry r is round r."""
        return [event for event in self._events if event["kind"] == "round" and event["seed"] == seed]

    def append(self, events: Sequence[dict[str, Any]]) -> None:
        """Add events to the log; on return all of them are on disk, if this raises none of them is.

        Events of kind "round" are held to the schema of this package, others need only the text ``kind``.
        Raises TypeError or ValueError at an event that may not follow, RuntimeError on a finished or closed
        record, and OSError naming the file when the disk refuses, which closes the record: open it again to
        continue.
        """
        self._check_writable()
        taken = [plain(event, f"events[{i}]") for i, event in enumerate(events)]
        added = check_events(taken, self._progress)
        data = b"".join(map(encode_line, taken))
        try:
            files.append(self.path / LOG, data, self._size)
        except BaseException:
            self.close()
            raise
        self._size += len(data)
        self._events += taken
        advance(self._progress, added)

    def save_state(self, round: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the arrays kept beside the log; the old ones stay until the new ones are whole.

        The log is the truth: append the round first, and trust a loaded state only if its round is in the
        log.
        """
        self._check_writable()
        files.replace(self.path / _STATE, pack(round, arrays))

    def load_state(self) -> tuple[int, dict[str, np.ndarray]] | None:
        """Round and arrays last saved, or None; raises CorruptRecordError if a bit has changed."""
        file = self.path / _STATE
        return unpack(file.read_bytes(), str(file)) if file.exists() else None

    def finish(self, summary: dict[str, Any]) -> None:
        """Declare the run finished, with a free-form summary; from here on the record is read only."""
        self._check_writable()
        summary = plain(summary, "summary")
        data = (self.path / LOG).read_bytes()
        if len(data) != self._size:
            raise CorruptRecordError(f"{self.path / LOG} has changed under its writer; open the record again")
        files.replace(self.path / DONE, seal({"log_sha256": hashlib.sha256(data).hexdigest(), "summary": summary}))
        self.summary = summary

    def close(self) -> None:
        """Let go of the lock; an unfinished record may be opened again and continued."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.close()

    def _check_writable(self) -> None:
        if self.done:
            raise RuntimeError(f"{self.path} is finished and read only; start a run with another config or name")
        if self._lock is None:
            raise RuntimeError(f"{self.path} is closed; open the record again to continue it")


def identity(config: dict[str, Any], fingerprint: str = "") -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of config, data fingerprint and schema version.

    The order of keys and the difference between list, tuple and array do not matter; 1 and 1.0 differ. Its
    first 12 digits name the record's folder. Raises TypeError naming the key of a value that JSON cannot hold
    exactly.

    >>> identity({"a": 1, "b": 2})[:12] == identity({"b": 2, "a": 1})[:12]
    True
    """
    return hashlib.sha256(describe(config, fingerprint)).hexdigest()


def _lock(path: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(path / _LOCK, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise RecordLockedError(
            f"{path} is being written by another process; wait for it, or use another config or name"
        ) from error
    return lock


def _note_environment(path: Path) -> None:
    """One entry for each environment that has written to the record, in order."""
    file = path / _ENV
    earlier = unseal(file.read_bytes(), str(file)) if file.exists() else []
    now = environment()
    if not earlier or earlier[-1] != now:
        files.replace(file, seal([*earlier, now]))


def _prepare(path: Path, description: bytes) -> None:
    """The files of a record that has none yet; config.json comes last and makes the folder a record."""
    _note_environment(path)
    if not (path / CONFIG).exists():
        (path / LOG).touch()
        files.replace(path / CONFIG, description)
        files.sync_folder(path.parent)
        files.sync_folder(path.parent.parent)


def _recover(path: Path) -> Contents:
    contents = load(path)
    if contents.summary is None and contents.report.dropped_bytes:
        files.cut(path / LOG, contents.report.valid_bytes, path / _TORN)
        warnings.warn(
            f"{path / LOG}: cut a torn tail of {contents.report.dropped_bytes} bytes, kept in {_TORN}; "
            f"continuing after {len(contents.events)} intact events",
            stacklevel=3,
        )
    return contents


def open_record(root: str | Path, name: str, config: dict[str, Any], fingerprint: str = "") -> Record:
    """The record of one run, in the folder ``root/name/<first 12 digits of its identity>``.

    A run is what `config` and `fingerprint` (a digest of its data) say: the same two continue the same
    record, other values start another. Use it as a context manager. An unfinished record comes back with
    every event that was appended; a half-written tail is cut off with a warning and kept in ``events.torn``.
    A finished one comes back read only, ``done`` True.

    Raises RecordLockedError if another writer has it open, CorruptRecordError if a file was changed,
    ValueError for a name that is no plain folder name, TypeError for a config that JSON cannot hold, OSError
    naming the path.

    >>> import tempfile
    >>> root = tempfile.mkdtemp()
    >>> with open_record(root, "demo", {"learning_rate": 0.1}) as record:
    ...     record.append([{"kind": "note", "text": "started"}])
    >>> with open_record(root, "demo", {"learning_rate": 0.1}) as record:
    ...     record.events
    ...     record.finish({"accuracy": 0.9})
    [{'kind': 'note', 'text': 'started'}]
    >>> open_record(root, "demo", {"learning_rate": 0.1}).summary
    {'accuracy': 0.9}
    """
    if not re.fullmatch(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*", name):
        raise ValueError(
            f"expected a name of letters, digits and . _ + = - that makes one folder, got {name!r}; rename it"
        )
    description = describe(config, fingerprint)
    path = Path(root) / name / hashlib.sha256(description).hexdigest()[:12]
    if (path / DONE).exists():
        return Record(path, load(path), None)
    path.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        if not (path / DONE).exists():  # another writer may have finished it while this one came to the lock
            _prepare(path, description)
        return Record(path, _recover(path), lock)
    except BaseException:
        lock.release()
        raise
