"""One writer to a record: a lock that the operating system frees when its owner dies."""

import os
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from bal.records.errors import RecordLockedError

_LOCK = "lock"
_held: WeakValueDictionary[tuple[int, Path], Any] = WeakValueDictionary()


def acquire(path: Path) -> Any:
    """The lock of filelock of the record in folder `path`, held; RecordLockedError at once if somebody has it."""
    import filelock  # experiments that keep no record do without

    lock = filelock.FileLock(path / _LOCK, thread_local=False)
    mine = (os.getpid(), path.resolve())
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        other = _held.get(mine)
        if other is not None and other.is_locked:
            message = "is open in this very process (an earlier cell, or an object that was kept); use or close() that"
        else:
            message = "is being written by another process; wait for it, or use another config or name"
        raise RecordLockedError(f"{path} {message}") from error
    _held[mine] = lock
    return lock
