"""What people give with their answers: who they are, weights, costs, row names; what is wrong is named."""

from typing import Any

import numpy as np

from bal.loop.checks import as_stored
from bal.pool.arrays import as_rows
from bal.pool.asked import Book, standing
from bal.typing import PADDING, PENDING, SKIPPED, Labeled, Values


def told(
    book: Book, rows: np.ndarray, annotator: Any, weight: Values | None, cost: Values | None, again: bool
) -> dict[str, Any]:
    """What an event of kind "tell" holds beside rows and labels.

    Raises:
      ValueError: a row that has an answer of this annotator, unless `again`; weights or costs that are no positive
        numbers, names that are no text.
    """
    names = _names(annotator, len(rows))
    answered = standing(book.log, book.annotators)
    for row, name in zip(rows.tolist(), names, strict=True):
        if row in answered and not again and (name is None or name in answered[row]):
            raise ValueError(
                f"row {row} has a label already; replace it by correct(rows, labels), or add a second opinion by "
                "naming another annotator=..., or again=True"
            )
    found: dict[str, Any] = {}
    if annotator is not None:
        found["annotator"] = annotator if isinstance(annotator, str) else names
    for name, value in (("weight", weight), ("cost", cost)):
        if value is not None:
            found[name] = _amounts(name, value, len(rows))
    return found


def taken(seconds: float | int | None) -> dict[str, float]:
    """How long it took, where that is known."""
    if seconds is None:
        return {}
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"expected seconds as a number of at least 0, got {seconds}; leave it out")
    return {"seconds": float(seconds)}


def check_answered(book: Book, rows: np.ndarray, annotator: Any, what: str, alone: bool) -> None:
    """Every row has an answer that stands, of the annotator if one is named; `alone`: of one annotator only."""
    if annotator is not None:
        _names([annotator], 1)
    answered = standing(book.log, book.annotators)
    for row in rows.tolist():
        who = answered.get(row, set())
        if not who or (annotator is not None and annotator not in who):
            of = "" if annotator is None else f" of {annotator}"
            raise ValueError(f"row {row} has no label{of} that could be {what}; use tell for a first one")
        if alone and annotator is None and len(who) > 1:
            people = ", ".join(sorted(str(name) for name in who))
            raise ValueError(f"row {row} has labels of {people}; say whose is {what} by annotator=...")


def check_room(log: Labeled, num_new: int) -> None:
    """The log has places left."""
    room = len(log.indices) - int(log.count)
    if num_new > room:
        raise ValueError(f"the capacity leaves room for {room} more rows, got {num_new}; open with a larger capacity")


def new_places(log: Labeled, rows: np.ndarray) -> int:
    """How many of the rows to be told have no place that waits for an answer."""
    waits = (np.asarray(log.indices) < PADDING) & np.isin(log.status, (PENDING, SKIPPED))
    return len(np.setdiff1d(rows, np.asarray(log.indices)[waits]))


def row_ids(x: Any, ids: Values | None, num_rows: int) -> np.ndarray | None:
    """The user's names of rows: those given, or the index of a data frame unless it merely counts."""
    if ids is None:
        index = getattr(x, "index", None)
        if not hasattr(x, "columns") or index is None or type(index).__name__ == "RangeIndex":
            return None
        ids = index
    found = np.asarray(ids)
    if found.dtype == object and found.ndim == 1:
        found = np.array([str(name) for name in found])
    if found.shape != (num_rows,) or found.dtype.kind not in "iuU" or len(np.unique(found)) != num_rows:
        raise ValueError(
            f"expected ids that are text or whole numbers, a different one for each of {num_rows} rows, got an array "
            f"{found.dtype} of shape {found.shape}"
        )
    return found


def taken_ids(old: np.ndarray | None, new: np.ndarray | None, num_old: int, num_new: int) -> np.ndarray | None:
    """Names of all rows once new ones joined: those without one of their own are named by their number."""
    if old is None and new is None:
        return None
    numbers = np.arange(num_old + num_new)
    parts = [numbers[:num_old] if old is None else old, numbers[num_old:] if new is None else new]
    both = np.concatenate([part.astype(str) for part in parts] if parts[0].dtype.kind != parts[1].dtype.kind else parts)
    if len(np.unique(both)) != len(both):
        raise ValueError("expected ids of new rows that no other row has; name them anew by ids=...")
    return both


def _names(annotator: Any, count: int) -> list[str | None]:
    names: list[Any] = [annotator] * count
    if isinstance(annotator, list | tuple | np.ndarray):
        names = list(annotator)
    if len(names) != count or not all(name is None or (isinstance(name, str) and name) for name in names):
        raise ValueError(f"expected annotator as a name, or a list of {count} names, got {annotator!r}; use text")
    return [None if name is None else str(name) for name in names]


def _amounts(name: str, value: Values, count: int) -> Any:
    found = np.asarray(as_rows(value, f"{name}s"), np.float64)
    kept = as_stored(found)
    if found.shape not in ((), (count,)) or not (np.isfinite(kept) & (kept > 0)).all():
        raise ValueError(
            f"expected {name} as one positive number that float32 holds, or one for each of {count} rows, got {value!r}"
        )
    return found.tolist()
