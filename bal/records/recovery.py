"""A writer's first look at an unfinished record: what a kill left is put in order, what no kill leaves is refused."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

from bal.records import files
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG
from bal.records.reading import Contents, read_record
from bal.records.state import unpack

STATE = "state.npz"
_TORN = "events.torn"


def recover(path: Path, writers: list[dict[str, Any]]) -> Contents:
    """The record's contents, checked against its saved arrays; a torn tail is cut off and kept."""
    contents = read_record(path)
    _check_state(path, contents, writers)
    if contents.summary is None and contents.report.dropped_bytes:
        files.cut(path / LOG, contents.report.valid_bytes, path / _TORN)
        warnings.warn(
            f"{path / LOG}: cut a torn tail of {contents.report.dropped_bytes} bytes, kept in {_TORN}; "
            f"continuing after {len(contents.events)} intact events",
            stacklevel=3,
        )
    return contents


def _check_state(path: Path, contents: Contents, writers: list[dict[str, Any]]) -> None:
    """What was in the log when the arrays were saved had been on disk by then, so no kill can have taken it."""
    file = path / STATE
    if not file.exists():
        if any(entry.get("state") for entry in writers):
            warnings.warn(
                f"{file} is gone: going on from the log alone, as if no round had left a model or a memory behind; "
                "restore it from a copy to go on as before",
                stacklevel=4,
            )
        return
    saved = unpack(file.read_bytes(), str(file))
    if saved.log_size is None:
        return
    found = contents.log[: contents.report.valid_bytes]
    if hashlib.sha256(found[: saved.log_size]).hexdigest() != saved.log_sha256:
        lost = f"has {len(found)} intact bytes and once had" if len(found) < saved.log_size else "differs in the first"
        raise CorruptRecordError(
            f"{path / LOG} {lost} {saved.log_size} bytes that were there when {STATE} was saved; "
            f"restore it from a copy, or delete {STATE} to go on from this log"
        )
