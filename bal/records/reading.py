"""Reading one record back, strictly."""

import hashlib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.records.chain import check_chain
from bal.records.encoding import decode, encode, plain, unseal
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG, LogReport, parse
from bal.records.rounds import Progress, advance, check_events, valid_ids

SCHEMAS = (1, 2, 3)  # the last is written, all are read: 2 added corrections and withdrawals, 3 chains lines
CONFIG, DONE, REPLACED = "config.json", "done.json", ".replaced"

CAMPAIGN_KINDS = frozenset({"ask", "tell", "correct", "withdraw", "skip", "add"})  # runs of both kinds write "open"


class Contents(NamedTuple):
    """All of a record that its files say and that has been checked; `log` are the bytes of its log, `chain` the last
    digest of the chain over them."""

    config: dict[str, Any]
    fingerprint: str
    log: bytes
    events: list[dict[str, Any]]
    report: LogReport
    progress: dict[int, Progress]
    schema: int
    chain: str
    summary: dict[str, Any] | None


def describe(config: dict[str, Any], fingerprint: str, schema: int = SCHEMAS[-1]) -> bytes:
    """The bytes of ``config.json``, whose SHA-256 is the identity of the run."""
    if not isinstance(config, dict):
        raise TypeError(f"config: expected a dict, got {type(config).__name__}; use dataclasses.asdict")
    return encode(plain({"config": config, "fingerprint": fingerprint, "schema": schema}, "record"))


def _load_config(path: Path) -> dict[str, Any]:
    try:
        data = (path / CONFIG).read_bytes()
    except FileNotFoundError as error:
        if (path / LOG).exists() or (path / DONE).exists():
            raise CorruptRecordError(f"{path / CONFIG} is gone; restore it from a copy") from error
        raise FileNotFoundError(
            f"{path} holds no record; pass the folder of one, `path` of what open_record returns"
        ) from error
    digits = hashlib.sha256(data).hexdigest()[:12]
    if digits != path.name:
        raise CorruptRecordError(
            f"{path / CONFIG} has the checksum {digits}, not that of its folder; "
            "restore the file from a copy, or give the folder its own name back"
        )
    try:
        body = decode(data)
        schema = body["schema"]
        if encode(body) != data:
            raise ValueError("its bytes are not canonical")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRecordError(f"{path / CONFIG} is no configuration ({error}); restore it from a copy") from error
    if schema not in SCHEMAS:
        raise CorruptRecordError(
            f"{path} has schema {schema}, this version reads {', '.join(map(str, SCHEMAS))}; use a newer `bal`"
        )
    if not isinstance(body.get("config"), dict) or not isinstance(body.get("fingerprint"), str):
        raise CorruptRecordError(f"{path / CONFIG} lacks config or fingerprint; restore it from a copy")
    return body


def _check_log(path: Path, events: list[dict[str, Any]]) -> dict[int, Progress]:
    progress: dict[int, Progress] = {}
    try:
        advance(progress, check_events(events, progress))
    except (TypeError, ValueError) as error:
        raise CorruptRecordError(f"{path} holds events that do not follow: {error}; restore it from a copy") from error
    return progress


def _check_whole(path: Path, report: LogReport) -> None:
    if report.damaged_lines:
        raise CorruptRecordError(
            f"{path} is damaged at byte {report.valid_bytes}, before {report.intact_after} intact events; "
            "restore it from a copy, or cut it at that byte and delete state.npz to do what followed again"
        )


def read_record(path: Path) -> Contents:
    """Everything in the record's folder, checked; a torn tail of an unfinished log is left to the caller.

    Raises CorruptRecordError if any file is not what was written, FileNotFoundError if the folder is no
    record.
    """
    body = _load_config(path)
    # the order matters beside a live writer: what is done changes no more, unless it is reopened
    seal = _seal(path)
    try:
        data = (path / LOG).read_bytes()
    except FileNotFoundError as error:
        raise CorruptRecordError(f"{path / LOG} is gone; restore it from a copy") from error
    lines, report = parse(data)
    if seal is not None and (hashlib.sha256(data).hexdigest() != seal["log_sha256"] or report.dropped_bytes):
        if _seal(path) != seal:
            return read_record(path)
        raise CorruptRecordError(f"{path / LOG} has changed since the run finished; restore it from a copy")
    _check_whole(path / LOG, report)
    schema, events = body["schema"], [line.event for line in lines]
    first = hashlib.sha256(describe(body["config"], body["fingerprint"], schema)).hexdigest()
    last = check_chain(path / LOG, first, lines, schema)
    progress = _check_log(path / LOG, events)
    summary = None if seal is None else seal["summary"]
    return Contents(body["config"], body["fingerprint"], data, events, report, progress, schema, last, summary)


def _seal(path: Path) -> dict[str, Any] | None:
    try:
        data = (path / DONE).read_bytes()
    except FileNotFoundError:
        return None
    seal = unseal(data, str(path / DONE))
    if not isinstance(seal, dict) or not isinstance(seal.get("summary"), dict) or "log_sha256" not in seal:
        raise CorruptRecordError(f"{path / DONE} is no seal of a log; restore it from a copy")
    return seal


def chain(path: str | Path) -> str:
    """The last digest of the chain over the record in folder `path`: what a paper prints to pin its data.

    ``sha256(previous digest + JSON of the event)``, in hexadecimal, over all events, beginning with the SHA-256 of
    ``config.json``: it stands for configuration, data fingerprint, and every event in its place. Equal runs have equal
    digests. Lines of records before schema 3 carry none; theirs is computed, and is worth what it is compared with.

    Use it to say in print which record a result comes from. That nothing is missing at the end is told by this digest,
    or by ``done.json``, alone.

    Args:
      path: folder of the record.

    Raises:
      CorruptRecordError: a file was changed, or an event does not follow from those before it.
      FileNotFoundError: the folder is no record.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "demo", {}) as record:
    ...     record.append([{"kind": "note", "text": "hello"}])
    >>> chain(record.path)[:12]
    '6295ef6d9dde'
    """
    return read_record(Path(path)).chain


def acquired(path: str | Path) -> dict[int, np.ndarray]:
    """Pool rows ``int64 [n]`` that each seed of the record in folder `path` acquired, in order.

    Entries with ``valid`` False are left out. A torn tail is passed over; raises CorruptRecordError at
    damage.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> picks = {"kind": "round", "seed": 3, "round": 0, "acquired": [5, 2], "scores": [0.2, 0.1],
    ...          "valid": [True, True], "metrics": {}, "seconds": None,
    ...          "counts": {"acquired": 2, "training": 2, "start": 0, "validation": 0}}
    >>> with open_record(tempfile.mkdtemp(), "demo", {}) as record:
    ...     record.append([picks])
    >>> acquired(record.path)
    {3: array([5, 2])}
    """
    rows: dict[int, list[int]] = {}
    for event in read_record(Path(path)).events:
        if event["kind"] == "round":
            rows.setdefault(event["seed"], []).extend(valid_ids(event))
    return {seed: np.array(ids, np.int64) for seed, ids in rows.items()}


def warn_of_torn_tail(path: Path, report: LogReport) -> None:
    """For readers, who change nothing."""
    if report.dropped_bytes:
        warnings.warn(
            f"{path}: passed over a torn tail of {report.dropped_bytes} bytes; the run was killed or is still running",
            stacklevel=3,
        )
