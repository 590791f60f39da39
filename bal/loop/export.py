"""The answers of a campaign as a table: columns, a data frame, a file of comma-separated values."""

import csv
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from bal.loop.labels import LabelKind
from bal.pool.asked import Book

STATES = ("pending", "answered", "skipped", "corrected", "withdrawn")


def columns(book: Book, kind: LabelKind, ids: np.ndarray | None) -> dict[str, list[Any]]:
    """One entry for each place that the log has taken, in its order."""
    log, used = book.log, slice(int(book.log.count))
    rows = np.asarray(log.indices)[used]
    states = [STATES[status] for status in np.asarray(log.status)[used].tolist()]
    given = np.array([state in ("answered", "corrected", "withdrawn") for state in states], bool)
    found: dict[str, list[Any]] = {"row": rows.tolist()}
    if ids is not None:
        found["id"] = ids[rows].tolist()
    for name, values in kind.columns(np.asarray(log.y)[used]).items():
        found[name] = [value if is_given else None for value, is_given in zip(values, given.tolist(), strict=True)]
    found["annotator"] = [book.annotators[number] for number in np.asarray(log.annotator)[used].tolist()]
    for name in ("weight", "cost", "time"):
        found[name] = np.asarray(getattr(log, name))[used].tolist()
    return found | {"state": states}


def frame(table: dict[str, list[Any]]) -> Any:
    """A data frame of polars, or of pandas where that is what is installed.

    Raises:
      ImportError: neither is installed.
    """
    for library in ("polars", "pandas"):
        try:
            return importlib.import_module(library).DataFrame(table)
        except ModuleNotFoundError as error:
            if error.name != library:
                raise
    raise ImportError("a data frame needs polars or pandas, and neither is installed; install one, or use to_csv(path)")


def write_csv(path: str | Path, table: dict[str, list[Any]]) -> None:
    """Comma-separated values with a line of names; what is missing is empty."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
