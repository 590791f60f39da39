"""Opening a record: which folder is whose, and what a new one holds."""

import hashlib
import re
from itertools import count
from pathlib import Path
from typing import Any

from bal.records import files, lock
from bal.records.environment import environment
from bal.records.log import LOG
from bal.records.reading import CONFIG, DONE, REPLACED, SCHEMAS, describe, read_record
from bal.records.record import Record
from bal.records.recovery import recover
from bal.records.writers import load_writers, sign


def identity(config: dict[str, Any], fingerprint: str = "") -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of config, data fingerprint and schema version.

    The order of keys and the difference between list, tuple and array do not matter; 1 and 1.0 differ. Its
    first 12 digits name the record's folder. Raises TypeError naming the key of a value that JSON cannot hold
    exactly.

    >>> identity({"a": 1, "b": 2})[:12] == identity({"b": 2, "a": 1})[:12]
    True
    """
    return hashlib.sha256(describe(config, fingerprint)).hexdigest()


def open_record(
    root: str | Path, name: str, config: dict[str, Any], fingerprint: str = "", fresh: bool = False
) -> Record:
    """The record of one run, in the folder ``root/name/<first 12 digits of its identity>``.

    A run is what `config` and `fingerprint` (a digest of its data) say: the same two continue the same
    record, other values start another. Use it as a context manager. An unfinished record comes back with
    every event that was appended; a half-written tail is cut off with a warning and kept in ``events.torn``.
    A finished one comes back read only, ``done`` True; ``reopen`` makes it grow.

    The code is no part of the identity. Going on with a record that other code began is warned of, in one line that
    names both; ``written_by`` and ``changes`` say the same of any record, so that a script can print whose results it
    reads back. With `fresh` the run starts over: the folder that is there is set aside under ``root/name/.replaced``,
    where no reader takes it for a run, and never deleted.

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
    >>> with open_record(root, "demo", {"learning_rate": 0.1}, fresh=True) as record:
    ...     record.events
    []
    """
    if not re.fullmatch(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*", name):
        raise ValueError(
            f"expected a name of letters, digits and . _ + = - that makes one folder, got {name!r}; rename it"
        )
    path, description = _place(Path(root) / name, config, fingerprint, fresh)
    if not fresh and (path / DONE).exists():
        return Record(path, read_record(path), None)
    path.mkdir(parents=True, exist_ok=True)
    held = lock.acquire(path)
    try:
        if fresh:
            held = _set_aside(path, held)
        if not (path / DONE).exists():  # another writer may have finished it while this one came to the lock
            _prepare(path, description)
        return Record(path, recover(path, load_writers(path)), held)
    except BaseException:
        held.release()
        raise


def _place(folder: Path, config: dict[str, Any], fingerprint: str, fresh: bool) -> tuple[Path, bytes]:
    """Where the record is, in the schema it was begun in, and its ``config.json``; a new one is of the last schema."""
    for schema in reversed(SCHEMAS):
        description = describe(config, fingerprint, schema)
        path = folder / hashlib.sha256(description).hexdigest()[:12]
        if (path / CONFIG).exists() or (path / LOG).exists():
            if not fresh or schema == SCHEMAS[-1]:
                return path, description
            _set_aside(path, lock.acquire(path)).release()
    description = describe(config, fingerprint)
    return folder / hashlib.sha256(description).hexdigest()[:12], description


def _prepare(path: Path, description: bytes) -> None:
    """The files of a record that has none yet; config.json comes last and makes the folder a record."""
    if not (path / CONFIG).exists():
        if not (path / LOG).exists():
            sign(path, load_writers(path), environment(), 0)
            (path / LOG).touch()
        files.replace(path / CONFIG, description)
        files.sync_folder(path.parent)
        files.sync_folder(path.parent.parent)


def _set_aside(path: Path, held: Any) -> Any:
    """Move what is in the folder out of every reader's sight; returns the lock of the empty folder in its place."""
    if not any((path / name).exists() for name in (CONFIG, LOG, DONE)):
        return held
    replaced = path.parent / REPLACED
    replaced.mkdir(exist_ok=True)
    path.rename(next(to for n in count() if not (to := replaced / f"{path.name}.{n}").exists()))
    try:
        path.mkdir()
        files.sync_folder(replaced)
        files.sync_folder(path.parent)
        return lock.acquire(path)  # before the old lock goes: who was waiting for that one must not slip in
    finally:
        held.release()
