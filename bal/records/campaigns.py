"""What people answered: the asks, answers and skips of a campaign as a table of pool rows."""

from pathlib import Path
from typing import Any

import numpy as np

from bal.records.errors import CorruptRecordError
from bal.records.reading import CAMPAIGN_KINDS, load, warn_of_torn_tail
from bal.records.rounds import is_number


def answers(path: str | Path) -> dict[str, Any]:
    """One entry for each pool row that a campaign asked for or was told, from the record in folder `path`.

    Columns of one length, in the order in which the rows first came up; ready for ``pandas.DataFrame(answers(path))``
    or polars:

        order  int64, 0, 1, 2, ...
        row    int64, the row of the pool
        score  float64, by which it was asked for; NaN where it was drawn at random or told unasked
        label  a list: the last answer given, as it was recorded, None where there is none yet
        state  "answered", "pending" (asked for and not answered) or "skipped" (given up)

    Events of other kinds are passed over, and so is a torn tail, with a warning. Raises CorruptRecordError at damage,
    ValueError for the record of an experiment, which `table` reads, FileNotFoundError if the folder is no record.

    >>> import tempfile
    >>> from bal.records import open_record
    >>> with open_record(tempfile.mkdtemp(), "campaign", {}) as record:
    ...     record.append([{"kind": "ask", "rows": [7, 4], "scores": [0.9, 0.5], "queries": 1}])
    ...     record.append([{"kind": "tell", "rows": [4], "labels": [1]}])
    >>> columns = answers(record.path)
    >>> columns["row"].tolist(), columns["label"], columns["state"].tolist()
    ([7, 4], [None, 1], ['pending', 'answered'])
    """
    contents = load(Path(path))
    warn_of_torn_tail(Path(path), contents.report)
    kinds = {event["kind"] for event in contents.events}
    if "round" in kinds and not kinds & CAMPAIGN_KINDS:
        raise ValueError(f"{path} holds the rounds of an experiment, no campaign; read it with bal.records.table(root)")
    scores: dict[int, float] = {}
    labels: dict[int, Any] = {}
    states: dict[int, str] = {}
    for number, event in enumerate(contents.events):
        where = f"event {number} in {path}"
        if event["kind"] == "ask":
            rows = _rows(event, where)
            scores |= dict(zip(rows, _aligned(event, "scores", rows, where)))
            states |= {row: "pending" for row in rows if row not in labels}
        elif event["kind"] == "tell":
            rows = _rows(event, where)
            labels |= dict(zip(rows, _aligned(event, "labels", rows, where)))
            states |= dict.fromkeys(rows, "answered")
        elif event["kind"] == "skip":
            states |= {row: "skipped" for row in _rows(event, where) if row not in labels}
    return {
        "order": np.arange(len(states)),
        "row": np.array(list(states), np.int64),
        "score": np.array([scores.get(row, np.nan) for row in states], np.float64),
        "label": [labels.get(row) for row in states],
        "state": np.array(list(states.values()), np.str_),
    }


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
