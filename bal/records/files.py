"""Writing that survives a kill or a power cut: atomic replacement and durable appending.

Errors of the operating system name the path even where it does not (a full disk reports none).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bal.records.errors import CorruptRecordError


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, f"could not write: {error.strerror}", str(path)) from error


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def sync_folder(path: Path) -> None:
    """Make new names in the folder durable; Windows has no such call and needs none."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Write the whole file so that a reader sees the old bytes or the new ones, never a mixture."""
    temporary = path.with_name(f".{path.name}.tmp")
    with _naming(path):
        try:
            with temporary.open("wb", buffering=0) as file:
                _write_all(file.fileno(), data)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def remove(path: Path) -> None:
    """Take a file away for good."""
    path.unlink()
    sync_folder(path.parent)


def append(path: Path, data: bytes, size: int) -> None:
    """Add bytes to a file of `size` bytes: all of them are on disk on return, none if this raises.

    Raises CorruptRecordError if the file has another size: someone else has written to it.
    """
    with _naming(path), path.open("r+b", buffering=0) as file:
        found = file.seek(0, os.SEEK_END)
        if found != size:
            raise CorruptRecordError(
                f"{path} was left with {size} bytes and now has {found}: something else writes to it; "
                "stop that, then open the record again"
            )
        try:
            _write_all(file.fileno(), data)
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(size)
            raise


def cut(path: Path, size: int, kept: Path) -> None:
    """Shorten a file to `size` bytes, after adding what is cut off to the file `kept`."""
    with _naming(kept):
        kept.touch()
    append(kept, path.read_bytes()[size:], kept.stat().st_size)
    sync_folder(kept.parent)
    with _naming(path), path.open("r+b", buffering=0) as file:
        file.truncate(size)
        os.fsync(file.fileno())
