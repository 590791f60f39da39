"""Answers from files: comma-separated values, or JSON of Label Studio. Nothing is believed that is not checked."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bal.labeling.forms import Form, check_annotator, label
from bal.labeling.nouns import Answer

MOST_BYTES = 200 * 2**20
"""Size of a file that is read."""


class Given(NamedTuple):
    """An answer from elsewhere; None = cannot tell. again: the same annotator's to a row that was shown once more."""

    row: int
    annotator: str
    answer: Answer
    seconds: float | None
    again: bool = False


def read_answers(path: str | Path, form: Form, names: Mapping[int, Any], annotator: str = "imported") -> list[Given]:
    """All answers of a file, each checked.

    Of a .csv file the columns `id` or `row`, `label`, and, where they are there, `annotator`, `seconds` and `what`, as
    a desk writes them. Of a .json file Label Studio's tasks: the row is ``data["id"]`` or ``data["row"]``; every
    annotation has one result of type `choices` or `number`; predictions are passed over.

    Args:
      path: of the file.
      form: what answers are.
      names: of rows, by number; a row without one is called by its number.
      annotator: who answered where that is not said.

    Raises:
      ValueError: named with its entry: an unknown row, class or number, twice the same annotator of a row, no such
        file, no JSON, more than 200 MB.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.json")
    >>> result = {"type": "choices", "from_name": "x", "to_name": "y", "value": {"choices": ["dog"]}}
    >>> _ = file.write_text(json.dumps([{"data": {"id": 4}, "annotations": [{"result": [result], "lead_time": 2.5}]}]))
    >>> read_answers(file, Form(("cat", "dog"), False, False, None, 9, ()), {})
    [Given(row=4, annotator='imported', answer='dog', seconds=2.5, again=False)]
    """
    path = Path(path)
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"expected a file that ends in .csv or .json, got {path}")
    if not path.is_file():
        raise ValueError(f"expected a file of answers, but there is no file {str(path)!r}")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES // 2**20} MB; split it")
    try:
        words = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is no text in UTF-8 ({error.reason}); save it as such") from None
    rows = {str(names.get(row, row)): row for row in range(form.num_rows)}
    found = _of_csv(path.name, words, form) if path.suffix == ".csv" else _of_tasks(path.name, words, form)
    given, seen = [], set()
    for where, name, by_number, who, answer, seconds, what in found:
        row = _row(where, name, by_number, rows, form)
        try:
            who = check_annotator(annotator if who in (None, "") else who)
            if answer is not None:
                label(form, answer)
            if seconds is not None and not (isinstance(seconds, int | float) and 0 <= seconds < float("inf")):
                raise ValueError(f"expected seconds as a number of at least 0, got {seconds!r}")
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if (row, who, again := what == "again") in seen:
            raise ValueError(f"{where}: {who} answers {name!r} twice; keep one of them")
        seen.add((row, who, again))
        given.append(Given(row, who, answer, None if seconds is None else float(seconds), again))
    return given


def _row(where: str, name: Any, by_number: bool, rows: dict[str, int], form: Form) -> int:
    if by_number:
        known = isinstance(name, int) or (isinstance(name, str) and name.isdecimal())
        row = int(name) if known else -1
        if not 0 <= row < form.num_rows:
            raise ValueError(f"{where}: row {name!r} is none of the {form.num_rows} rows; mend or drop it")
        return row
    if isinstance(name, bool) or not isinstance(name, str | int) or str(name) not in rows:
        raise ValueError(f"{where}: id {str(name)[:60]!r} names none of the {form.num_rows} rows; mend or drop it")
    return rows[str(name)]


def _of_csv(file: str, words: str, form: Form) -> list[tuple]:
    reader = csv.DictReader(io.StringIO(words, newline=""))
    try:
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}; save it as comma-separated values") from None
    have = dict.fromkeys(reader.fieldnames or ())
    if "label" not in have or not have.keys() & {"id", "row"}:
        raise ValueError(
            f"{file}: expected the columns id (or row) and label, got {', '.join(map(str, have)) or 'none'}"
        )
    found = []
    for number, line in lines:
        where, said, seconds = f"{file}, line {number}", line["label"], line.get("seconds") or None
        try:
            if said is None:
                raise ValueError
            if said == "":
                answer = None
            elif form.number is not None:
                answer = float(said)
            else:
                answer = json.loads(said) if said not in form.names and (form.several or form.soft) else said
            seconds = None if seconds is None else float(seconds)
        except ValueError:
            raise ValueError(
                f"{where}: cannot read label {said!r}, seconds {seconds!r}; see what export writes"
            ) from None
        by_number = "id" not in have
        name, who = line["row" if by_number else "id"], line.get("annotator")
        found.append((where, name, by_number, who, answer, seconds, line.get("what")))
    return found


def _of_tasks(file: str, words: str, form: Form) -> list[tuple]:
    try:
        tasks = json.loads(words)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}); export it from Label Studio as JSON") from None
    if not isinstance(tasks, list):
        raise ValueError(f"{file}: expected a list of tasks, got {type(tasks).__name__}; export as JSON, not JSON-MIN")
    found = []
    for number, task in enumerate(tasks):
        where = f"{file}, task {number}"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict) or not data.keys() & {"id", "row"}:
            raise ValueError(
                f"{where}: expected data with the id of a row, got {str(data)[:60]}; import tasks with ids"
            )
        annotations = task.get("annotations", [])
        if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
            raise ValueError(f"{where}: expected a list of annotations, got {str(annotations)[:60]}")
        for one in annotations:
            by_number = "id" not in data
            name, who = data["row" if by_number else "id"], _who(one)
            found.append(
                (where, name, by_number, who, _answer(where, one, form), one.get("lead_time"), one.get("what"))
            )
    return found


def _who(annotation: dict[str, Any]) -> Any:
    """The annotator's name: our own field, or the address or number of Label Studio's user."""
    who = annotation.get("annotator", annotation.get("completed_by"))
    if isinstance(who, dict):
        who = who.get("email", who.get("id"))
    return f"user {who}" if isinstance(who, int) else who


def _answer(where: str, annotation: dict[str, Any], form: Form) -> Answer:
    result = annotation.get("result", [])
    if annotation.get("was_cancelled"):
        return None
    if result == [] and form.several:
        return []
    if not isinstance(result, list) or len(result) != 1 or not isinstance(result[0], dict):
        raise ValueError(f"{where}: expected one result an annotation, got {str(result)[:60]}; one question at a time")
    kind, value = result[0].get("type"), result[0].get("value")
    meta = result[0].get("meta")
    if kind == "number" and isinstance(value, dict) and "number" in value:
        return value["number"]
    choices = value.get("choices") if kind == "choices" and isinstance(value, dict) else None
    if not isinstance(choices, list):
        raise ValueError(f"{where}: expected a result of type choices or number, got {str(kind)[:60]!r}")
    if isinstance(meta, dict) and "probabilities" in meta:
        return meta["probabilities"]
    if form.several:
        return choices
    if len(choices) != 1:
        raise ValueError(f"{where}: expected one choice of {list(form.names)}, got {str(choices)[:60]}; choose one")
    return choices[0]
