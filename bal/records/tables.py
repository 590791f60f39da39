"""Many records as tables: a line for each event, a line for each row that was picked or labeled."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bal.records.campaigns import lines
from bal.records.encoding import encode
from bal.records.errors import CorruptRecordError
from bal.records.log import LOG
from bal.records.reading import CAMPAIGN_KINDS, CONFIG, Contents, load, warn_of_torn_tail

_MISSING = object()
_RUN = ("name", "sha", "fingerprint", "done")
_EVENTS = (*_RUN, "kind", "seed", "round", "rows", "scores", "labels", "seconds")
_PICKS = (*_RUN, "seed", "round", "row", "score", "label", "state")


def table(root: str | Path) -> dict[str, np.ndarray]:
    """Every event of every record under `root` in long form: columns of one length, one entry an event.

    Columns: ``name, sha, fingerprint, done, config.*`` (nested keys joined by dots), ``kind``: "round", or an event of
    a campaign ("ask", "tell", "correct", "withdraw", "skip", "add"); ``seed, round``; ``rows``, the pool ids acquired,
    asked for or told; ``scores, labels, counts.*, metrics.*, seconds, info.*`` and what else a campaign wrote:
    ``annotator, weight, cost``, and ``at``, in seconds of Unix time. Ready for ``polars.DataFrame(table(root))`` or
    pandas. What an event lacks is NaN in a column of numbers and "" in a column of text. A column of mixed kinds or of
    lists holds their JSON as text; `picks` has a line for each row instead. Sorted by name, sha, then as logged.

    Warns about each record that cannot be read, which is left out, and about each torn tail. Raises FileNotFoundError
    if `root` is not a folder.

    >>> import tempfile
    >>> sorted(table(tempfile.mkdtemp()))
    ['done', 'fingerprint', 'kind', 'labels', 'name', 'round', 'rows', 'scores', 'seconds', 'seed', 'sha']
    """
    rows: list[dict[str, Any]] = []
    for path, contents in _records(root):
        run = _run(path, contents)
        events = (event for event in contents.events if event["kind"] == "round" or event["kind"] in CAMPAIGN_KINDS)
        rows += [run | (_round(event) if event["kind"] == "round" else _happened(event)) for event in events]
    return _columns(rows, _EVENTS)


def picks(root: str | Path) -> dict[str, np.ndarray]:
    """Every row that was picked or labeled in any record under `root`: columns of one length, one entry a row.

    Columns: ``name, sha, fingerprint, done, config.*, seed, round, row, score, label, state``, with what the selector
    told of each pick (``info.*``); rows of campaigns have the columns of `answers`. A pick that was not valid is left
    out. Missing values, order and warnings are those of `table`.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> root = tempfile.mkdtemp()
    >>> with open_record(root, "campaign", {}) as record:
    ...     record.append([{"kind": "ask", "rows": [7, 4], "scores": [0.9, 0.5], "queries": 1}])
    ...     record.append([{"kind": "tell", "rows": [4], "labels": [1]}])
    >>> found = picks(root)
    >>> found["row"].tolist(), found["score"].tolist(), found["state"].tolist()
    ([7, 4], [0.9, 0.5], ['pending', 'answered'])
    """
    rows: list[dict[str, Any]] = []
    for path, contents in _records(root):
        run = _run(path, contents)
        for event in contents.events:
            if event["kind"] == "round":
                rows += [run | pick for pick in _picked(event)]
        rows += [run | _present(line) for line in lines(contents.events, str(path))]
    return _columns(rows, _PICKS)


def _records(root: str | Path) -> Iterator[tuple[Path, Contents]]:
    """Every record under a root that can be read; what was set aside is hidden."""
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; pass the root that was given to open_record")
    found = {file.parent for file in root.glob(f"*/*/{CONFIG}")}
    found |= {file.parent for file in root.glob(f"*/*/{LOG}") if file.stat().st_size}
    for path in sorted(found):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        try:
            contents = load(path)
        except (CorruptRecordError, OSError) as error:
            warnings.warn(f"left out of the table: {error}", stacklevel=3)
            continue
        warn_of_torn_tail(path, contents.report)
        yield path, contents


def _run(path: Path, contents: Contents) -> dict[str, Any]:
    run = {"name": path.parent.name, "sha": path.name, "fingerprint": contents.fingerprint}
    return run | {"done": contents.summary is not None} | dict(_flat(contents.config, "config"))


def _round(event: dict[str, Any]) -> dict[str, Any]:
    return (
        {"kind": "round", "seed": event["seed"], "round": event["round"], "rows": event["acquired"]}
        | {name: event[name] for name in ("scores", "labels") if name in event}
        | {f"counts.{key}": value for key, value in event["counts"].items()}
        | {f"metrics.{key}": float(value) for key, value in event["metrics"].items()}
        | {"seconds": np.nan if event["seconds"] is None else float(event["seconds"])}
        | dict(_flat(event.get("info", {}), "info"))
    )


def _happened(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("digests", "pool")}


def _picked(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One entry for each valid pick of a round."""
    number = len(event["acquired"])
    info = {name: value for name, value in event.get("info", {}).items() if isinstance(value, list)}
    for place in range(number):
        if event["valid"][place]:
            told = {f"info.{name}": value[place] for name, value in info.items() if len(value) == number}
            label = {"label": event["labels"][place]} if "labels" in event else {}
            pick = {"row": event["acquired"][place], "score": float(event["scores"][place]), "state": "answered"}
            yield {"seed": event["seed"], "round": event["round"]} | pick | label | told


def _present(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value is not None}


def _flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}.{key}")
        else:
            yield f"{prefix}.{key}", value


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


def _columns(rows: list[dict[str, Any]], first: tuple[str, ...]) -> dict[str, np.ndarray]:
    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return {name: _column([row.get(name, _MISSING) for row in rows]) for name in names}
