"""Answers on record, read back: as a table of files, as labels, as an oracle for other strategies."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from bal.labeling.forms import Form, label, stored
from bal.labeling.ledger import Ledger, recorded_form
from bal.labeling.nouns import Entry, Number
from bal.records.reading import CONFIG, read_record, warn_of_torn_tail
from bal.typing import Oracle, PRNGKey, PyTree


class Recorded(NamedTuple):
    """Labels on record: rows by number, each once, and one label for each, as a learner takes it."""

    rows: Int[np.ndarray, "n"]
    y: Shaped[np.ndarray, "n ..."]


def read_entries(path: str | Path) -> tuple[Form, list[Entry], dict[int, Any]]:
    """What answers are, all entries, and names of rows, of the record in a folder, or of the only one below it.

    Raises:
      ValueError: no record of labels, or several. CorruptRecordError: a damaged one.
    """
    path = Path(path)
    folders = [path] if (path / CONFIG).exists() else [file.parent for file in sorted(path.glob(f"*/{CONFIG}"))]
    folders = folders or [file.parent for file in sorted(path.glob(f"*/*/{CONFIG}"))]
    if len(folders) != 1:
        which = f"{len(folders)} records, such as {folders[0]}" if folders else "no record"
        raise ValueError(f"expected one record of labels under {path}, got {which}; name its folder")
    contents = read_record(folders[0])
    warn_of_torn_tail(folders[0], contents.report)
    opened = next((event for event in contents.events if event["kind"] == "open" and "seed" not in event), None)
    form = recorded_form(contents.events) or (None if opened is None else _form(opened))
    if form is None:
        raise ValueError(f"{folders[0]} holds no answers of people; name the record of a desk or a campaign")
    ledger = Ledger(form, contents.events)
    return form, ledger.entries, ledger.ids


def recorded_labels(path: str | Path) -> Recorded:
    """One label a row from the answers that stand: what most said, the earliest where they tie; of numbers and soft
    answers the mean. Answers to test rows are among them, what one and the same person said again is not.

    Use it when another strategy is to be tried on what people have labeled: ``Task(make_pool(x[rows]), y)`` is compiled
    like any other.

    Args:
      path: folder of a record, as of `read_entries`.

    Raises:
      ValueError: no record, or nothing labeled.
    """
    form, entries, _ = read_entries(path)
    said: dict[int, list[Any]] = {}
    for entry in entries:
        if entry.state == "stands" and entry.answer is not None and entry.what != "again":
            said.setdefault(entry.row, []).append(stored(form, label(form, entry.answer)))
    if not said:
        raise ValueError(f"{path} holds no label that stands; label some rows first")
    rows = sorted(said)
    y = np.array([_one(form, said[row]) for row in rows])
    dtype = np.int32 if form.number is None and not (form.soft or form.several) else np.float32
    return Recorded(np.array(rows), y.astype(dtype))


def recorded_oracle(path: str | Path) -> Oracle:
    """The labels on record as an oracle for `bal.run_eager`, by row number.

    Use it when a loop is to be replayed with another strategy over the same pool; where that asks for a row that nobody
    labeled it says so. In compiled runs, whose shapes are fixed, take `recorded_labels`.

    Args:
      path: folder of a record, as of `read_entries`.

    Raises:
      ValueError: no record, or nothing labeled; when asked, a row without a label.
    """
    known = recorded_labels(path)
    place = {row: number for number, row in enumerate(known.rows.tolist())}

    def oracle(key: PRNGKey, indices: Any, x: PyTree) -> np.ndarray:
        del key, x
        rows = np.asarray(indices).tolist()
        missing = next((row for row in rows if row not in place), None)
        if missing is not None:
            raise ValueError(
                f"row {missing} has no label on record, which has {len(place)}; leave such rows out of the pool: "
                "make_pool(x, present=np.isin(np.arange(len(x)), recorded_labels(path).rows))"
            )
        return known.y[[place[row] for row in rows]]

    return oracle


def _one(form: Form, held: list[Any]) -> Any:
    values = np.array(held)
    if form.number is not None or (form.soft and not form.several):
        return values.mean(0)
    if form.several:
        return (values.mean(0) + 1e-9 * (values[0] - 0.5) >= 0.5).astype(int)
    counts = np.bincount(values, minlength=len(form.names))
    return next(value for value in held if counts[value] == counts.max())


def _form(opened: dict[str, Any]) -> Form | None:
    """Of a campaign that no desk kept."""
    if opened["num_outputs"] is not None:
        return None
    names = opened["classes"] or range(opened["num_classes"] or 0)
    number = Number(float("-inf"), float("inf")) if opened["num_classes"] is None else None
    return Form(tuple(map(str, names)), False, opened["soft"], number, opened["pool_capacity"], ())
