"""The acquisition log in numpy, as a campaign keeps it: what people asked for, answered, corrected and gave up on.

One function serves the next call and the replay of a whole record, so that both end in the same log. Places, weights
and states mean what they mean in `bal.pool.labeled`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from bal.pool.labeled import holds_row
from bal.typing import ANSWERED, CORRECTED, PENDING, SKIPPED, WITHDRAWN, Labeled

KINDS = ("ask", "tell", "correct", "withdraw", "skip")


class Book(NamedTuple):
    """log: in numpy; annotators: their names by number, of which 0 is nobody in particular; num_queries: asks that
    fitted the learner."""

    log: Labeled
    annotators: tuple[str | None, ...] = (None,)
    num_queries: int = 0


def advance(book: Book, events: Iterable[Mapping[str, Any]], cost: np.ndarray) -> Book:
    """The log after some events of the kinds above; others change nothing. `cost` are the prices of pool rows ``[N]``.

    An answer goes where its row is pending or was skipped, and to a new place otherwise. A correction takes the place
    of what it corrects, which moves to a new one: training then is what it would be had it been told at once.

    Raises:
      ValueError: the events take more places than the log has.

    >>> log = Labeled(np.full(3, 9), *np.zeros((6, 3), int), np.array(0))
    >>> events = [{"kind": "ask", "rows": [7]}, {"kind": "tell", "rows": [3, 7], "labels": [5, 6]}]
    >>> log = advance(Book(log), [*events, {"kind": "correct", "rows": [7], "labels": [8]}], np.ones(9)).log
    >>> log.indices.tolist(), log.y.tolist(), log.weight.tolist()
    ([7, 3, 7], [8, 5, 6], [1, 1, 0])
    """
    arrays = jax.tree.map(np.array, book.log)
    log = _Open(arrays, int(book.log.count), list(book.annotators), book.num_queries)
    for event in events:
        if event["kind"] in KINDS:
            _ACTS[event["kind"]](log, event, np.asarray(event["rows"], int).tolist(), cost)
    places: Any = np.asarray(log.count, np.int32)
    return Book(log.arrays._replace(count=places), tuple(log.annotators), log.num_queries)


def standing(log: Labeled, annotators: tuple[str | None, ...]) -> dict[int, set[str | None]]:
    """Who gave the answers that stand, for each row that has any."""
    found: dict[int, set[str | None]] = {}
    for place in np.flatnonzero(np.asarray(log.weight) > 0).tolist():
        found.setdefault(int(log.indices[place]), set()).add(annotators[log.annotator[place]])
    return found


class _Open:
    """A log that is written to. Places of a row: those that keep it from being asked for again."""

    def __init__(self, arrays: Labeled, count: int, annotators: list[str | None], num_queries: int):
        self.arrays, self.count, self.annotators, self.num_queries = arrays, count, annotators, num_queries
        self.places: dict[int, list[int]] = {}
        for place in np.flatnonzero(holds_row(arrays)).tolist():
            self.places.setdefault(int(arrays.indices[place]), []).append(place)

    def new(self, row: int) -> int:
        if self.count == len(self.arrays.indices):
            raise ValueError(
                f"the capacity of {self.count} is below the number of answers and pending rows on record; open with a "
                "larger capacity"
            )
        self.count += 1
        self.arrays.indices[self.count - 1] = row
        return self.count - 1

    def write(self, place: int, y: Any, annotator: Any, weight: Any, cost: Any) -> None:
        log = self.arrays
        log.y[place], log.annotator[place], log.weight[place], log.cost[place] = y, annotator, weight, cost
        log.time[place], log.status[place] = self.num_queries, ANSWERED

    def number(self, name: str | None) -> int:
        if name not in self.annotators:
            self.annotators.append(name)
        return self.annotators.index(name)

    def close(self, place: int, status: int) -> None:
        self.arrays.weight[place], self.arrays.status[place] = 0, status

    def answers(self, row: int, name: str | None) -> list[int]:
        """Places of the answers that stand, of all annotators or one."""
        log, who = self.arrays, None if name is None else self.number(name)
        places = [place for place in self.places.get(row, ()) if log.status[place] == ANSWERED]
        return [place for place in places if who is None or log.annotator[place] == who]


def _ask(log: _Open, event: Mapping, rows: list[int], cost: np.ndarray) -> None:
    del cost
    for row in rows:
        log.places.setdefault(row, []).append(log.new(row))
    log.num_queries = event.get("queries", log.num_queries)


def _tell(log: _Open, event: Mapping, rows: list[int], cost: np.ndarray) -> None:
    prices = event.get("cost")
    for number, row in enumerate(rows):
        of_row = log.places.setdefault(row, [])
        place = next((place for place in of_row if log.arrays.status[place] in (PENDING, SKIPPED)), None)
        if place is None:
            of_row.append(place := log.new(row))
        who = log.number(_each(event.get("annotator"), number))
        price = cost[row] if prices is None else _each(prices, number)
        log.write(place, event["labels"][number], who, _each(event.get("weight", 1), number), price)


def _correct(log: _Open, event: Mapping, rows: list[int], cost: np.ndarray) -> None:
    del cost
    for number, row in enumerate(rows):
        place, *others = log.answers(row, event.get("annotator"))
        kept, arrays = log.new(row), log.arrays
        for leaf in (arrays.y, arrays.annotator, arrays.cost, arrays.time):
            leaf[kept] = leaf[place]
        weight = arrays.weight[place]
        for old in (kept, *others):
            log.close(old, CORRECTED)
        log.places[row] = [held for held in log.places[row] if held not in others]
        log.write(place, event["labels"][number], arrays.annotator[place], weight, 0.0)


def _withdraw(log: _Open, event: Mapping, rows: list[int], cost: np.ndarray) -> None:
    del cost
    for row in rows:
        taken = log.answers(row, event.get("annotator"))
        for place in taken:
            log.close(place, WITHDRAWN)
        log.places[row] = [held for held in log.places[row] if held not in taken]


def _skip(log: _Open, event: Mapping, rows: list[int], cost: np.ndarray) -> None:
    del event, cost
    for row in rows:
        for place in log.places[row]:
            if log.arrays.status[place] == PENDING:
                log.arrays.status[place] = SKIPPED


_ACTS = {"ask": _ask, "tell": _tell, "correct": _correct, "withdraw": _withdraw, "skip": _skip}


def _each(value: Any, number: int) -> Any:
    """The value of one row, from one for all or a list."""
    return value[number] if isinstance(value, list | tuple | np.ndarray) else value
