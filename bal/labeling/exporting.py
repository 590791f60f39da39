"""Answers as files: comma-separated values, or JSON that Label Studio imports."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bal.labeling.beliefs import in_words
from bal.labeling.forms import Form
from bal.labeling.nouns import Entry
from bal.records.files import replace

COLUMNS = ("id", "row", "label", "annotator", "seconds", "time", "what")
FROM, TO = "label", "item"
"""Names of the control and of the object in Label Studio's results."""


def write_entries(
    path: Path,
    form: Form,
    entries: list[Entry],
    names: Mapping[int, Any],
    beliefs: Mapping[int, tuple[int, np.ndarray]] | None = None,
) -> int:
    """Write the answers that stand, "cannot tell" included; returns how many. The file appears as a whole.

    Args:
      path: ends in .csv or .json.
      form: what answers are.
      entries: of a ledger.
      names: of rows; the number of a row that has none.
      beliefs: what the model said of rows, with the round: predictions of Label Studio.

    Raises:
      ValueError: a file of another kind.
    """
    stand = [entry for entry in entries if entry.state == "stands"]
    if path.suffix == ".csv":
        data = as_csv(stand, names)
    elif path.suffix == ".json":
        data = json.dumps(as_tasks(form, stand, names, beliefs or {}), indent=1, ensure_ascii=False)
    else:
        raise ValueError(f"expected a file that ends in .csv or .json, got {path}")
    replace(path, data.encode())
    return len(stand)


def as_csv(entries: list[Entry], names: Mapping[int, Any]) -> str:
    """One line an answer; several names and distributions as JSON; no label where nobody could tell.

    >>> print(as_csv([Entry(4, "ada", "cat", 1.5, 0.0, "first")], {4: "d.png"}), end="")
    id,row,label,annotator,seconds,time,what
    d.png,4,cat,ada,1.5,1970-01-01T00:00:00Z,first
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in entries:
        plain = entry.answer is None or isinstance(entry.answer, str | float)
        said = entry.answer if plain else json.dumps(entry.answer, ensure_ascii=False)
        writer.writerow(
            [names.get(entry.row, entry.row), entry.row, said, entry.annotator, entry.seconds, _time(entry), entry.what]
        )
    return file.getvalue()


def as_tasks(
    form: Form, entries: list[Entry], names: Mapping[int, Any], beliefs: Mapping[int, tuple[int, np.ndarray]]
) -> list[dict[str, Any]]:
    """Tasks of Label Studio with annotations, and predictions where there are beliefs.

    Classes are `choices`, one or several; numbers `number`; "cannot tell" is an annotation that was cancelled. Label
    Studio refuses a `completed_by` that it does not know, so the annotator's name is in a field of its own.

    >>> form = Form(("cat", "dog"), False, False, None, 9, ())
    >>> task = as_tasks(form, [Entry(4, "ada", "cat", 1.5, 0.0, "first")], {}, {})[0]
    >>> task["data"], task["annotations"][0]["result"]
    ({'id': 4, 'row': 4}, [{'from_name': 'label', 'to_name': 'item', 'type': 'choices', 'value': {'choices': ['cat']}}])
    """
    tasks = []
    for row in dict.fromkeys(entry.row for entry in entries):
        task: dict[str, Any] = {"data": {"id": names.get(row, row), "row": row}, "annotations": [], "predictions": []}
        for entry in (entry for entry in entries if entry.row == row):
            annotation: dict[str, Any] = {
                "result": [] if entry.answer is None else [_result(form, entry.answer)],
                "was_cancelled": entry.answer is None,
                "created_at": _time(entry),
                "annotator": entry.annotator,
                "what": entry.what,
            }
            task["annotations"].append(annotation | ({} if entry.seconds is None else {"lead_time": entry.seconds}))
        if row in beliefs:
            number, belief = beliefs[row]
            task["predictions"].append(_prediction(form, number, in_words(form, belief)))
        tasks.append(task)
    return tasks


def _prediction(form: Form, number: int, said: dict[str, float]) -> dict[str, Any]:
    version = {"model_version": f"fit {number}"}
    if form.number is not None:
        return version | {"result": [_result(form, said["mean"])]}
    if form.several:
        return version | {"result": [_result(form, tuple(name for name, chance in said.items() if chance >= 0.5))]}
    best = max(said, key=said.__getitem__)
    return version | {"score": said[best], "result": [_result(form, best)]}


def _result(form: Form, answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"from_name": FROM, "to_name": TO}
    if form.number is not None:
        return found | {"type": "number", "value": {"number": answer}}
    if isinstance(answer, dict):
        best = max(answer, key=answer.__getitem__)
        return found | {"type": "choices", "value": {"choices": [best]}, "meta": {"probabilities": answer}}
    choices = [answer] if isinstance(answer, str) else list(answer)
    return found | {"type": "choices", "value": {"choices": choices}}


def _time(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.at, UTC).isoformat().replace("+00:00", "Z")
