"""Reading records back: one record strictly, many records as a table."""

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.records.encoding import decode, encode, plain, unseal
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG, LogReport, parse
from bal.records.rounds import Progress, advance, check_events, valid_ids

SCHEMA = 1
CONFIG, DONE, REPLACED = "config.json", "done.json", ".replaced"

CAMPAIGN_KINDS = frozenset({"ask", "tell", "correct", "withdraw", "skip", "add"})  # runs of both kinds write "open"

_MISSING = object()
_FIXED = ("name", "sha", "fingerprint", "done", "seed", "round", "seconds")


class Contents(NamedTuple):
    """All of a record that its files say and that has been checked; `log` are the bytes of its log."""

    config: dict[str, Any]
    fingerprint: str
    log: bytes
    events: list[dict[str, Any]]
    report: LogReport
    progress: dict[int, Progress]
    summary: dict[str, Any] | None


def describe(config: dict[str, Any], fingerprint: str) -> bytes:
    """The bytes of ``config.json``, whose SHA-256 is the identity of the run."""
    if not isinstance(config, dict):
        raise TypeError(f"config: expected a dict, got {type(config).__name__}; use dataclasses.asdict")
    return encode(plain({"config": config, "fingerprint": fingerprint, "schema": SCHEMA}, "record"))


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
    if schema != SCHEMA:
        raise CorruptRecordError(f"{path} has schema {schema}, this version reads {SCHEMA}; use a newer `bal`")
    if not isinstance(body.get("config"), dict) or not isinstance(body.get("fingerprint"), str):
        raise CorruptRecordError(f"{path / CONFIG} lacks config or fingerprint; restore it from a copy")
    return body


def _check_log(path: Path, events: list[dict[str, Any]], report: LogReport) -> dict[int, Progress]:
    if report.damaged_lines:
        raise CorruptRecordError(
            f"{path} is damaged at byte {report.valid_bytes}, before {report.intact_after} intact events; "
            "restore it from a copy, or cut it at that byte and delete state.npz to do what followed again"
        )
    progress: dict[int, Progress] = {}
    try:
        advance(progress, check_events(events, progress))
    except (TypeError, ValueError) as error:
        raise CorruptRecordError(f"{path} holds events that do not follow: {error}; restore it from a copy") from error
    return progress


def load(path: Path) -> Contents:
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
    events, report = parse(data)
    if seal is not None and (hashlib.sha256(data).hexdigest() != seal["log_sha256"] or report.dropped_bytes):
        if _seal(path) != seal:
            return load(path)
        raise CorruptRecordError(f"{path / LOG} has changed since the run finished; restore it from a copy")
    progress = _check_log(path / LOG, events, report)
    summary = None if seal is None else seal["summary"]
    return Contents(body["config"], body["fingerprint"], data, events, report, progress, summary)


def _seal(path: Path) -> dict[str, Any] | None:
    try:
        data = (path / DONE).read_bytes()
    except FileNotFoundError:
        return None
    seal = unseal(data, str(path / DONE))
    if not isinstance(seal, dict) or not isinstance(seal.get("summary"), dict) or "log_sha256" not in seal:
        raise CorruptRecordError(f"{path / DONE} is no seal of a log; restore it from a copy")
    return seal


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
    for event in load(Path(path)).events:
        if event["kind"] == "round":
            rows.setdefault(event["seed"], []).extend(valid_ids(event))
    return {seed: np.array(ids, np.int64) for seed, ids in rows.items()}


def _flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


def warn_of_torn_tail(path: Path, report: LogReport) -> None:
    """For readers, who change nothing."""
    if report.dropped_bytes:
        warnings.warn(
            f"{path}: passed over a torn tail of {report.dropped_bytes} bytes; the run was killed or is still running",
            stacklevel=3,
        )


def _rows(path: Path, contents: Contents) -> list[dict[str, Any]]:
    run = {"name": path.parent.name, "sha": path.name, "fingerprint": contents.fingerprint}
    run |= {"done": contents.summary is not None} | dict(_flat(contents.config, "config"))
    return [
        run
        | {"seed": event["seed"], "round": event["round"]}
        | {f"counts.{key}": value for key, value in event["counts"].items()}
        | {f"metrics.{key}": float(value) for key, value in event["metrics"].items()}
        | {"seconds": np.nan if event["seconds"] is None else float(event["seconds"])}
        for event in contents.events
        if event["kind"] == "round"
    ]


def _column(values: list[Any]) -> np.ndarray:
    kinds, complete = {type(value) for value in values if value is not _MISSING}, _MISSING not in values
    try:
        if complete and kinds in ({int}, {bool}):
            return np.array(values, np.int64 if kinds == {int} else np.bool_)
        if kinds <= {int, float} and all(float(value) == value for value in values if type(value) is int):
            return np.array([np.nan if value is _MISSING else value for value in values], np.float64)
    except OverflowError:  # an integer that no dtype holds exactly keeps its digits as text
        pass
    if kinds == {str}:
        return np.array(["" if value is _MISSING else value for value in values], np.str_)
    return np.array(["" if value is _MISSING else encode(value).decode() for value in values], np.str_)


def _records(root: Path) -> list[Path]:
    """Every folder that holds a record, or what is left of one; what was set aside is hidden."""
    found = {file.parent for file in root.glob(f"*/*/{CONFIG}")}
    found |= {file.parent for file in root.glob(f"*/*/{LOG}") if file.stat().st_size}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def table(root: str | Path) -> dict[str, np.ndarray]:
    """Every round of every record under `root` in long form: columns of one length, one entry a round.

    Columns: ``name, sha, fingerprint, done, config.*`` (nested keys joined by dots), ``seed, round, counts.*,
    metrics.*, seconds``; ready for ``polars.DataFrame(table(root))`` or pandas. What a run lacks is NaN in a
    column of numbers and "" in a column of text. A column of mixed kinds or of lists holds their JSON as
    text. Rows are sorted by name, sha, then in the order of the log.

    Warns about each record that cannot be read, which is left out, about each torn tail, and, once, of campaigns: they
    have answers and no rounds, which `answers` reads. Raises FileNotFoundError if `root` is not a folder.

    >>> import tempfile
    >>> sorted(table(tempfile.mkdtemp()))
    ['done', 'fingerprint', 'name', 'round', 'seconds', 'seed', 'sha']
    """
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root} is not a folder; pass the root that was given to open_record")
    rows: list[dict[str, Any]] = []
    campaigns: list[Path] = []
    for path in _records(Path(root)):
        try:
            contents = load(path)
        except (CorruptRecordError, OSError) as error:
            warnings.warn(f"left out of the table: {error}", stacklevel=2)
            continue
        warn_of_torn_tail(path, contents.report)
        rows += _rows(path, contents)
        if any(event["kind"] in CAMPAIGN_KINDS for event in contents.events):
            campaigns.append(path)
    if campaigns:
        warnings.warn(
            f"{len(campaigns)} of the records hold campaigns, which have answers and no rounds for this table; "
            f'read each with bal.records.answers, the first with answers("{campaigns[0]}")',
            stacklevel=2,
        )
    names = dict.fromkeys([*_FIXED, *(name for row in rows for name in row)])
    return {name: _column([row.get(name, _MISSING) for row in rows]) for name in names}
