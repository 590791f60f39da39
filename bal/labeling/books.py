"""The books of a desk: its campaign, what the campaign is not to know, and who said what; every act is on disk when it
returns. Rows are those of all, test rows included."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from bal.labeling.forms import Form, label, stored
from bal.labeling.importing import Given
from bal.labeling.ledger import Ledger, opening, recorded_form
from bal.labeling.nouns import Labeling, What
from bal.loop.campaign import Campaign
from bal.pool.over import take
from bal.records import Record
from bal.typing import PyTree


class Books:
    """One writer to one record; the desk's lock is held around each act.

    campaign: of the rows that are not held out. ledger: all entries. events: what was on record when it was opened.
    """

    def __init__(self, labeling: Labeling, form: Form, x: PyTree, ids: np.ndarray | None, record: Record):
        before = recorded_form(record.events)
        if before is not None and before != form:
            parts = [name for name in Form._fields if getattr(before, name) != getattr(form, name)]
            raise ValueError(
                f"the record is of another labeling: its {' and '.join(parts)} differ; continue it with its own, or "
                "open another record"
            )
        self._form, self._ids, self._record = form, ids, record
        self._pool_rows, self._held_out = form.pool_rows, frozenset(form.test_rows)
        self.campaign = _opened(labeling, form, x, ids, record)
        if before is None:
            record.append([opening(form)])
        self.events = record.events
        self.ledger = Ledger(form, self.events)

    def tell(self, row: int, what: What, annotator: str, told: Any, seconds: float | int | None) -> None:
        """An answer; to the campaign, unless it is not to be trained on."""
        if what in ("test", "again"):
            return self._note("tell", row, what, annotator, told, seconds)
        self.campaign.tell([self._position(row)], [told], annotator=annotator, seconds=seconds)
        return self._told("tell", row)

    def skip(self, row: int, what: What, annotator: str, seconds: float | int | None) -> None:
        """The annotator cannot tell: a row that waits for its first answer is given up."""
        if what in ("test", "again") or self._position(row) not in self.campaign.pending:
            return self._note("skip", row, what, annotator, None, seconds)
        self.campaign.skip([self._position(row)], annotator=annotator, seconds=seconds)
        return self._told("skip", row)

    def reason(self, annotator: str, row: int) -> What:
        """Why a row was shown that the annotator does not hold any more, as after a restart."""
        if not 0 <= row < self._form.num_rows:
            raise ValueError(f"expected a row from 0 to {self._form.num_rows - 1}, got {row}")
        if self.knows(row, annotator):
            raise ValueError(f"{annotator} has answered row {row} already; correct that answer instead")
        if row in self._held_out:
            return "test"
        return "second" if self.ledger.standing(row) else "first"

    def knows(self, row: int, annotator: str, again: bool | None = None) -> bool:
        """Whether the annotator has said something of a row; of the first or of the repeated time, if that is asked."""
        return any(again in (None, entry.what == "again") for entry in self.ledger.standing(row, annotator))

    def load(self, given: Iterable[Given]) -> Iterator[Given]:
        """Keep answers of a file that are not here yet, each as it is taken from the iterator.

        Raises:
          ValueError: they need more places than the campaign has; none is kept then.
        """
        new = [one for one in given if not self.knows(one.row, one.annotator, one.again)]
        told = {one.row for one in new if one.answer is not None and not one.again} - self._held_out
        places = sum(one.answer is not None and not one.again and one.row not in self._held_out for one in new)
        waits = {*self.campaign.pending.tolist(), *self.campaign.skipped.tolist()} & {*map(self._position, told)}
        if places - len(waits) > self.campaign.room:
            raise ValueError(
                f"{len(new)} new answers need {places - len(waits)} places, but the capacity leaves room for "
                f"{self.campaign.room}; open with a larger capacity"
            )
        for one in new:
            repeats = one.again and self.knows(one.row, one.annotator)
            what: What = "again" if repeats else self.reason(one.annotator, one.row)
            if one.answer is None:
                self.skip(one.row, what, one.annotator, one.seconds)
            else:
                self.tell(one.row, what, one.annotator, label(self._form, one.answer), one.seconds)
            yield one

    def correct(self, row: int, annotator: str, told: Any) -> None:
        """Another answer in place of the annotator's, or of their "cannot tell"; None = "cannot tell".

        Raises:
          ValueError: they have said nothing of the row.
        """
        mine = self.ledger.standing(row, annotator)
        if not mine:
            raise ValueError(f"{annotator} has no answer to row {row} that could be corrected; answer it first")
        entry = next((one for one in mine if one.what != "again"), mine[-1])
        if entry.what in ("test", "again"):
            return self._note("correct", row, entry.what, annotator, told)
        if entry.answer is None:
            return None if told is None else self.tell(row, entry.what, annotator, told, None)
        if told is None:  # killed between the two it is taken back, and shown again
            self.campaign.withdraw([self._position(row)], annotator=annotator)
            self._told("withdraw", row)
            return self._note("skip", row, entry.what, annotator)
        self.campaign.correct([self._position(row)], [told], annotator=annotator)
        return self._told("correct", row)

    def undo(self, annotator: str) -> tuple[int, What]:
        """The annotator's last act is taken back: its row, and why it had been shown.

        Raises:
          ValueError: there is none.
        """
        last = self.ledger.last(annotator)
        if last is None:
            raise ValueError(f"{annotator} has given no answer that could be taken back")
        if last.what in ("test", "again") or last.answer is None:
            self._note("withdraw", last.row, last.what, annotator)
        else:
            self.campaign.withdraw([self._position(last.row)], annotator=annotator)
            self._told("withdraw", last.row)
        return last.row, last.what

    def _note(
        self, act: str, row: int, what: What, annotator: str, told: Any = None, seconds: float | int | None = None
    ) -> None:
        """Keep what is no business of the campaign."""
        event: dict[str, Any] = {"kind": "desk", "act": act, "row": row, "what": what, "annotator": annotator}
        event |= {} if told is None else {"label": stored(self._form, told)}
        event |= {} if seconds is None else {"seconds": float(seconds)}
        event |= {} if self._ids is None else {"id": self._ids[row].item()}
        event["at"] = round(time.time(), 3)
        self._record.append([event])
        self.ledger.take(event)

    def _told(self, kind: str, row: int) -> None:
        """What the campaign has just written down, for the ledger: a fit may have written meanwhile too."""
        rows = [self._position(row)]
        events = reversed(self._record.events)
        self.ledger.take(next(event for event in events if event["kind"] == kind and event["rows"] == rows))

    def _position(self, row: int) -> int:
        """The number of a row in the campaign's pool."""
        if row in self._held_out:
            raise ValueError(f"row {row} is held out for the test and not asked for")
        return int(np.searchsorted(self._pool_rows, row))


def _opened(labeling: Labeling, form: Form, x: PyTree, ids: np.ndarray | None, record: Record) -> Campaign:
    if form.test_rows:
        x, ids = take(x, form.pool_rows), (form.pool_rows if ids is None else ids[form.pool_rows])
    return Campaign(
        jax.random.key(labeling.seed),
        labeling.learner,
        labeling.query,
        x,
        capacity=labeling.capacity,
        classes=form.names if labeling.classes is not None else None,
        num_outputs=len(form.names) if form.several else None,
        soft=form.soft,
        cost=None if labeling.cost is None else np.asarray(labeling.cost)[form.pool_rows],
        ids=ids,
        over=labeling.over,
        record=record,
        evaluate=labeling.evaluate,
        test=labeling.test,
        stop=labeling.stop,
    )
