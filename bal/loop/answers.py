"""What people answer: labels told, corrected and taken back, each on record before a call returns; no model."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.loop.checks import check_row_ids
from bal.loop.export import columns, frame, write_csv
from bal.loop.fingerprint import row_digests
from bal.loop.giving import check_answered, check_room, new_places, taken, told
from bal.loop.labels import LabelKind
from bal.loop.stopping import Asked
from bal.pool.asked import Book, advance
from bal.pool.labeled import is_answered, is_pending
from bal.typing import SKIPPED, Labeled, Pool, PyTree, Selection, Values


class Now(NamedTuple):
    """All that a campaign knows; each call makes the next one, and puts it in place at its very end."""

    pool: Pool
    num_rows: int
    ids: np.ndarray | None
    book: Book
    state: PyTree
    memory: PyTree
    selection: Selection | None
    asks: tuple[Asked, ...] = ()


class Answers:
    """The answers to one pool: read, given, corrected, exported. `Campaign` is this with a model that asks.

    kind: what a label may be; record: an open `bal.records.Record`, or None; now: what is known at the start.
    """

    def __init__(self, kind: LabelKind, record: Any, now: Now):
        self._kind, self._record, self._now = kind, record, now
        self._lock, self._is_behind, self._late = threading.RLock(), False, 0

    @property
    def num_labeled(self) -> int:
        """Rows with an answer that stands."""
        return len(np.unique(self.indices))

    @property
    def indices(self) -> np.ndarray:
        """Rows of the answers that stand, in the order in which they were asked for: one entry an answer."""
        return rows_of(self._now, is_answered)

    @property
    def labels(self) -> np.ndarray:
        """The answers that stand, aligned with `indices`; by name where the classes have names."""
        log = self._now.book.log
        return self._kind.named(np.asarray(log.y)[is_answered(log)])

    @property
    def pending(self) -> np.ndarray:
        """Rows asked for and neither answered nor skipped."""
        return rows_of(self._now, is_pending)

    @property
    def skipped(self) -> np.ndarray:
        """Rows given up."""
        return rows_of(self._now, lambda log: log.status == SKIPPED)

    @property
    def room(self) -> int:
        """Places that are left for answers and pending rows."""
        log = self._now.book.log
        return len(log.indices) - int(log.count)

    @property
    def ids(self) -> np.ndarray:
        """The user's own names of the rows, ``[N]``: row numbers where none were given."""
        now = self._now
        return np.arange(now.num_rows) if now.ids is None else now.ids

    def tell(
        self,
        indices: Values,
        labels: Values,
        *,
        annotator: Any = None,
        weight: Values | None = None,
        cost: Values | None = None,
        again: bool = False,
        seconds: float | int | None = None,
    ) -> None:
        """Give labels of rows: pending ones, or any other present row that has no label yet.

        Args:
          indices, labels: rows of the pool, each once, and one label for each.
          annotator: who answers, a name, or one for each row. An answer of somebody new to a row that has one already
            is a second opinion, and both stand.
          weight: how much the answers count in training, a number or one for each row; 1 by default.
          cost: what they cost; that of the pool by default.
          again: a further answer of the same annotator stands beside the first, as a measurement that is repeated.
          seconds: how long each of them took; kept on record, no more.

        Raises:
          ValueError: a row outside the pool, named twice, or labeled before by the same annotator; labels of another
            number, not finite, not of the classes or out of range; weights or costs that are not positive; no room in
            the capacity. Nothing is stored then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            if not len(rows) and not np.size(labels):
                return
            event = {"kind": "tell", "rows": rows, "labels": self._kind.stored(labels, rows)}
            event |= told(now.book, rows, annotator, weight, cost, again) | taken(seconds)
            check_room(now.book.log, new_places(now.book.log, rows))
            self._note(now, event)

    def correct(self, indices: Values, labels: Values, *, annotator: str | None = None) -> None:
        """Replace wrong answers. The old ones stay on record with weight 0; training is as if the new had come at once.

        Args:
          indices, labels: rows with an answer, and the right one for each, of the weight of the old one.
          annotator: whose answers are replaced; needed where several people answered a row.

        Raises:
          ValueError: a row without an answer, or with answers of several people; labels as in `tell`; no room in the
            capacity. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            check_answered(now.book, rows, annotator, "corrected", alone=True)
            event = {"kind": "correct", "rows": rows, "labels": self._kind.stored(labels, rows)}
            check_room(now.book.log, len(rows))
            if len(rows):
                self._note(now, event | ({} if annotator is None else {"annotator": annotator}))

    def withdraw(self, indices: Values, *, annotator: str | None = None) -> None:
        """Take answers back, of everybody or of one annotator: they stay on record with weight 0.

        A row without another answer is as it was before it was asked for: `ask` may pick it again, `tell` may answer
        it. To be rid of it, skip it when it comes.

        Raises:
          ValueError: a row that has no such answer. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            check_answered(now.book, rows, annotator, "withdrawn", alone=False)
            if len(rows):
                event = {"kind": "withdraw", "rows": rows}
                self._note(now, event | ({} if annotator is None else {"annotator": annotator}))

    def skip(self, indices: Values, *, annotator: str | None = None, seconds: float | int | None = None) -> None:
        """Give up on pending rows: they are not asked for again and training never sees them.

        Args:
          indices: pending rows.
          annotator, seconds: who cannot tell, and how long that took; kept on record, no more.

        Raises:
          ValueError: a row that is not pending. Nothing is changed then.
        """
        with self._alone() as now:
            rows = check_row_ids(indices, now.num_rows)
            strangers = rows[~np.isin(rows, self.pending)]
            if len(strangers):
                raise ValueError(
                    f"row {strangers[0]} is not pending, so it cannot be skipped; pending are {self.pending}"
                )
            if len(rows):
                who = {} if annotator is None else {"annotator": annotator}
                self._note(now, {"kind": "skip", "rows": rows} | who | taken(seconds))

    def to_frame(self) -> Any:
        """All answers as a data frame of polars, or pandas: those that stand, were corrected or withdrawn, and rows
        pending or skipped; one line each, named by ``state``.

        Raises:
          ImportError: neither library is installed.
        """
        return frame(self._columns())

    def to_csv(self, path: str | Path) -> None:
        """All answers as a file of comma-separated values: the lines of `to_frame`."""
        write_csv(path, self._columns())

    def _columns(self) -> dict[str, list[Any]]:
        now = self._now
        return columns(now.book, self._kind, now.ids)

    @contextmanager
    def _alone(self) -> Iterator[Now]:
        """One call at a time, and none after one that was cut off between the record and the object."""
        with self._lock:
            if self._is_behind:
                raise RuntimeError(
                    "an earlier call ended while its event was being written, so that record and campaign may differ; "
                    "open the record and the campaign again"
                )
            yield self._now

    def _told(self, now: Now, event: dict) -> Book:
        return advance(now.book, [event], np.asarray(now.pool.cost))

    def _note(self, now: Now, event: dict) -> None:
        """Take an event about rows into the log, and put it in place."""
        event |= self._signed(now, event["rows"])
        self._put(event, now._replace(book=self._told(now, event)))

    def _put(self, event: dict, after: Now) -> None:
        if self._record is not None:
            event = event | {"at": round(time.time(), 3)}
            self._is_behind = True
            self._record.append([event])
        self._now = after
        self._late += 1
        self._is_behind = False

    def _signed(self, now: Now, rows: np.ndarray) -> dict:
        """Digests of rows and their own names, for a record."""
        if self._record is None:
            return {}
        names = {} if now.ids is None else {"ids": now.ids[rows].tolist()}
        return {"digests": row_digests(now.pool.x, rows), **names}


def rows_of(now: Now, where: Callable[[Labeled], Any]) -> np.ndarray:
    """Rows in those places of the log that a predicate of `bal.pool.labeled` is true of."""
    return np.asarray(now.book.log.indices)[where(now.book.log)]
