"""What people answered: the events of a campaign as a list of answers."""

from pathlib import Path
from typing import Any

import numpy as np

from bal.records.errors import CorruptRecordError
from bal.records.reading import CAMPAIGN_KINDS, read_record, warn_of_torn_tail
from bal.records.rounds import is_number


def answers(path: str | Path) -> dict[str, Any]:
    """One entry for each answer that a campaign was given or waits for, from the record in folder `path`.

    Columns of one length, in the order in which the rows first came up; ready for ``pandas.DataFrame(answers(path))``
    or polars:

        order      int64, 0, 1, 2, ...
        row        int64, the row of the pool
        score      float64, by which it was asked for; NaN where it was drawn at random or told unasked
        label      a list: the answer, by name where the classes have names, None where there is none yet
        annotator  a list: who answered, None where nobody was named
        weight     float64, how much it counts: 0 where no answer stands
        cost       float64, what it cost, 0 for a correction; NaN where that was not said
        at         float64, when it came, in seconds of Unix time; NaN where that is not on record
        state      "answered", "pending" (asked for and not answered), "skipped" (given up), "corrected" (superseded by
                   another answer) or "withdrawn"
        id         a list: the user's own name of the row; only where rows have names
        seconds    float64, how long the answer took, NaN where that was not said; only where it was said of any

    The answers that count are those of ``state == "answered"``. Events of other kinds are passed over, and so is a torn
    tail, with a warning. Raises CorruptRecordError at damage, ValueError for the record of an experiment, which `table`
    reads, FileNotFoundError if the folder is no record.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "campaign", {}) as record:
    ...     record.append([{"kind": "ask", "rows": [7, 4], "scores": [0.9, 0.5], "queries": 1}])
    ...     record.append([{"kind": "tell", "rows": [4], "labels": [0]}])
    ...     record.append([{"kind": "correct", "rows": [4], "labels": [1]}])
    >>> columns = answers(record.path)
    >>> columns["row"].tolist(), columns["label"], columns["state"].tolist()
    ([7, 4, 4], [None, 1, 0], ['pending', 'answered', 'corrected'])
    """
    contents = read_record(Path(path))
    warn_of_torn_tail(Path(path), contents.report)
    kinds = {event["kind"] for event in contents.events}
    if "round" in kinds and not kinds & CAMPAIGN_KINDS:
        raise ValueError(f"{path} holds the rounds of an experiment, no campaign; read it with bal.records.table(root)")
    found = lines(contents.events, str(path))
    columns: dict[str, Any] = {name: [line[name] for line in found] for name in _FIRST}
    columns |= {"order": np.arange(len(found)), "row": np.array(columns["row"], np.int64)}
    for name in ("score", "weight", "cost", "at"):
        columns[name] = np.array([np.nan if value is None else value for value in columns[name]], np.float64)
    columns["state"] = np.array(columns["state"], np.str_)
    if any(line["id"] is not None for line in found):
        columns["id"] = [line["id"] for line in found]
    if any(line["seconds"] is not None for line in found):
        columns["seconds"] = np.array([np.nan if line["seconds"] is None else line["seconds"] for line in found])
    return {name: columns[name] for name in ("order", *_FIRST, "id", "seconds") if name in columns}


_FIRST = ("row", "score", "label", "annotator", "weight", "cost", "at", "state")
_OF_A_PICK = {"log_q": "log_q"} | {f"info.{name}": name for name in ("predicted", "predicted_variance")}
_EMPTY = dict.fromkeys((*_FIRST, *_OF_A_PICK, "id", "seconds")) | {"weight": 0.0, "state": "pending"}


def lines(events: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """The answers of `answers`, each as a dict. A correction takes the place of what it corrects, which goes last."""
    found: list[dict[str, Any]] = []
    places: dict[int, list[dict[str, Any]]] = {}  # by row, those that are pending, skipped or answered
    scores: dict[int, float] = {}
    told: dict[int, dict[str, Any]] = {}
    classes = None
    for number, event in enumerate(events):
        kind, where = event["kind"], f"event {number} in {path}"
        if kind == "open" and "seed" not in event:
            classes = event.get("classes") or classes
        if kind not in CAMPAIGN_KINDS or kind == "add":
            continue
        rows = _rows(event, where)
        if kind == "ask":
            scores |= dict(zip(rows, _aligned(event, "scores", rows, where)))
            said = event.get("told") or {}
            for name, key in _OF_A_PICK.items():
                for row, value in zip(rows, said.get(key) or ()):
                    told.setdefault(row, {})[name] = value
        labels = _aligned(event, "labels", rows, where) if kind in ("tell", "correct") else [None] * len(rows)
        ids = _aligned(event, "ids", rows, where) if "ids" in event else [None] * len(rows)
        for place, row in enumerate(rows):
            held = places.setdefault(row, [])
            new = {"row": row, "id": ids[place], "score": scores.get(row), "label": labels[place]}
            new |= dict.fromkeys(_OF_A_PICK) | told.get(row, {})
            if kind in ("ask", "tell"):
                line = next((line for line in held if line["state"] in ("pending", "skipped")), None)
                if line is None:
                    line = dict(_EMPTY)
                    found.append(line)
                    held.append(line)
                line |= new
                if kind == "tell":
                    who, weight, cost = (_each(event.get(name), place) for name in ("annotator", "weight", "cost"))
                    line |= {"state": "answered", "annotator": who, "weight": 1.0 if weight is None else float(weight)}
                    line |= {"cost": cost, "at": event.get("at"), "seconds": event.get("seconds")}
            elif kind == "skip":
                for line in held:
                    line["state"] = "skipped" if line["state"] == "pending" else line["state"]
            else:
                who = event.get("annotator")
                stand = [line for line in held if line["state"] == "answered" and who in (None, line["annotator"])]
                if not stand:
                    raise CorruptRecordError(f"{where} is about an answer that there is not; restore it from a copy")
                first = dict(stand[0])
                for line in stand:
                    line |= {"state": "corrected" if kind == "correct" else "withdrawn", "weight": 0.0}
                if kind == "correct":
                    found.append(dict(stand[0]))
                    again = None if first["cost"] is None else 0.0  # what was paid stays with what was wrong
                    stand[0] |= first | {"label": labels[place], "cost": again, "at": event.get("at")}
                places[row] = [line for line in held if line["state"] not in ("corrected", "withdrawn")]
    named = lambda label: classes[label] if classes and type(label) is int and 0 <= label < len(classes) else label
    return [line | {"label": named(line["label"])} for line in found]


def _each(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) else value


def _rows(event: dict[str, Any], where: str) -> list[int]:
    rows = event.get("rows")
    if not isinstance(rows, list) or not all(type(row) is int and 0 <= row < 2**63 for row in rows):
        raise CorruptRecordError(f"{where} names no pool rows; restore the record from a copy")
    return rows


def _aligned(event: dict[str, Any], name: str, rows: list[int], where: str) -> list[Any]:
    values = event.get(name)
    if not isinstance(values, list) or len(values) != len(rows):
        raise CorruptRecordError(f"{where} has not one of {name} for each row; restore the record from a copy")
    if name == "scores" and not all(map(is_number, values)):
        raise CorruptRecordError(f"{where} has scores that are no numbers; restore the record from a copy")
    return values
