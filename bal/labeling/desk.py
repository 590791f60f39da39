"""The desk: hands out rows, takes answers, and keeps each on disk before it hands out the next. No user interface."""

from pathlib import Path
from typing import Any

from bal.labeling.beliefs import in_words
from bal.labeling.books import Books
from bal.labeling.choosing import Choosing
from bal.labeling.exporting import write_entries
from bal.labeling.forms import Form, check_annotator, form_of, keys_of, label
from bal.labeling.importing import read_answers
from bal.labeling.line import Line, Ticket
from bal.labeling.measures import agreement
from bal.labeling.nouns import Agreement, Answer, Entry, Finished, Item, Labeling, Progress, Reveal, Waiting, What
from bal.labeling.refitting import Refitting
from bal.labeling.standing import progress_of
from bal.labeling.views import View
from bal.loop.checks import check_record
from bal.loop.giving import row_ids
from bal.pool.arrays import as_rows
from bal.records import Record


class Desk:
    """People label one pool, several at once, each with rows of their own, while the model refits behind them.

    Built on `bal.Campaign` and its record: an answer is on disk, with who and when and how long it took, when the call
    that gave it returns. A process that is killed loses nothing: the same labeling and record go on. No call waits for
    a fit: rows are lined up ahead, and what is shown meanwhile is what the fit before asked for (`Item.from_round`).

    Of rows shown twice, what another person says is a second opinion, told to the campaign; what the same person says
    again is kept for `agreement` and not trained on. Test rows are never trained on.

    >>> import tempfile
    >>> import numpy as np
    >>> from bal import open_record, strategies
    >>> from bal.labeling import text
    >>> from bal.learners import from_sklearn
    >>> from sklearn.naive_bayes import GaussianNB
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> learner = from_sklearn(GaussianNB(), num_classes=2)
    >>> show = lambda row: text(f"how is {x[row, 0]:.2f}?")
    >>> labeling = Labeling(x, learner, strategies.margin(), show, classes=["low", "high"], batch_size=4)
    >>> with open_record(tempfile.mkdtemp(), "label", {}) as record, Desk(labeling, record) as desk:
    ...     _ = desk.settle()
    ...     for _ in range(3):
    ...         item = desk.next("ada")
    ...         desk.answer("ada", item, "high" if x[item.row, 0] > 0 else "low", seconds=1.5)
    ...     back = desk.undo("ada")
    ...     desk.skip("ada", back)
    ...     back.row == item.row, desk.progress().labels, [entry.state for entry in desk.history("ada")]
    (True, 2, ['stands', 'withdrawn', 'stands', 'stands'])
    """

    def __init__(self, labeling: Labeling, record: Record):
        """Open a desk, or go on with the one on record.

        Args:
          labeling: rows, learner, query, how to show a row, what an answer is.
          record: an open `bal.records.Record`, to which nothing else writes.

        Raises:
          ValueError, TypeError: a labeling that makes no sense, or another than on record.
        """
        if record is None:
            raise TypeError("expected an open record, got None; use bal.open_record(root, name, config)")
        check_record(record)
        self.form: Form = form_of(labeling)
        self.keys: dict[str, str] = keys_of(self.form, labeling.keys)
        self.labeling = labeling._replace(batch_size=min(labeling.batch_size, len(self.form.pool_rows)))
        ids = row_ids(labeling.x, labeling.ids, self.form.num_rows)
        self._names: dict[int, Any] = {} if ids is None else dict(enumerate(ids.tolist()))
        x = as_rows(labeling.x)
        self._books = Books(self.labeling, self.form, x, ids, record)
        self._line = Line(labeling.patience)
        self._fits = Refitting(self.labeling, self.form, x, self._books, self._line)
        self._lock = self._fits.lock
        self._choosing = Choosing(self.labeling, self.form.test_rows, self._books, self._line, self._fits)
        self._agreed: dict[bool, tuple[int, Agreement]] = {}
        self._fits.start()

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Of classes or labels, in order; none for numbers."""
        return self.form.names

    def next(self, annotator: str) -> Item | Waiting | Finished:
        """What to show an annotator now: the same item until it is answered, skipped or released."""
        annotator = self._named(annotator)
        with self._lock:
            self._line.here(annotator)
            ticket = self._line.held(annotator) or self._choosing.choose(annotator)
            if isinstance(ticket, Waiting | Finished):
                return ticket
            self._line.hold(annotator, ticket)
            self._lock.notify_all()
        return self._item(ticket)

    def answer(self, annotator: str, item: Item | int, answer: Answer, seconds: float | int | None = None) -> None:
        """Keep an answer: on return it is on disk.

        Args:
          annotator: who answers.
          item: what was shown, or its row.
          answer: a class, a distribution, a collection of names or a number, as the labeling has it.
          seconds: how long it took.

        Raises:
          ValueError: an answer that is none, a row that this annotator has answered already, no room.
        """
        self._say(annotator, item, label(self.form, answer), seconds)

    def skip(self, annotator: str, item: Item | int, seconds: float | int | None = None) -> None:
        """The annotator cannot tell: kept on record; the row is not asked for again.

        Raises:
          ValueError: a row that this annotator has answered already.
        """
        self._say(annotator, item, None, seconds)

    def undo(self, annotator: str) -> Item:
        """Take the annotator's last answer back; its row is shown next. Both stay on record.

        Raises:
          ValueError: there is nothing to take back.
        """
        annotator = self._named(annotator)
        with self._lock:
            self._line.here(annotator)
            ticket = Ticket(*self._books.undo(annotator))
            self._line.back(annotator, ticket)
            self._line.hold(annotator, self._line.take_back(annotator) or ticket)
            self._choosing.want_twice(ticket.row)
        return self._item(ticket)

    def correct(self, annotator: str, row: int, answer: Answer) -> None:
        """Replace an earlier answer of the annotator; both stay on record.

        Args:
          annotator: who answered.
          row: the row's number.
          answer: as in `answer`; None = cannot tell, which is replaced like any other.

        Raises:
          ValueError: the annotator has not answered the row, or an answer that is none.
        """
        annotator, told = self._named(annotator), None if answer is None else label(self.form, answer)
        with self._lock:
            self._line.here(annotator)
            self._books.correct(row, annotator, told)
            self._choosing.want_twice(row)
            self._fits.told()

    def second_opinion(self, annotator: str, row: int) -> None:
        """Somebody else is to look at a row: it is shown to the next other annotator who asks.

        Raises:
          ValueError: nobody has answered the row.
        """
        annotator = self._named(annotator)
        with self._lock:
            if not any(entry.answer is not None and entry.what != "test" for entry in self._books.ledger.standing(row)):
                raise ValueError(f"row {row} has no first answer yet; a second opinion comes after it")
            self._line.wanted[row] = True

    def release(self, annotator: str) -> None:
        """The annotator leaves: what they hold is for others. It happens by itself after `Labeling.patience`."""
        annotator = self._named(annotator)
        with self._lock:
            self._line.release(annotator)
            self._lock.notify_all()

    def history(self, annotator: str) -> list[Entry]:
        """What the annotator said, the last first, with what was corrected and taken back."""
        annotator = self._named(annotator)
        with self._lock:
            return [entry for entry in reversed(self._books.ledger.entries) if entry.annotator == annotator]

    def view(self, row: int) -> View:
        """How a row is shown.

        Raises:
          ValueError: no such row. Whatever the labeling's own `render` raises.
          TypeError: `render` returns no `View`.
        """
        if not 0 <= row < self.form.num_rows:
            raise ValueError(f"expected a row from 0 to {self.form.num_rows - 1}, got {row}")
        found = self.labeling.render(row)
        if not isinstance(found, View):
            raise TypeError(f"render must return a View, got {type(found).__name__}; use bal.labeling.text or image")
        return found

    def reveal(self, annotator: str, item: Item | int) -> Reveal:
        """Score and prediction of a row that the annotator has answered.

        Raises:
          ValueError: not answered yet.
        """
        annotator, row = self._named(annotator), _row(item)
        with self._lock:
            if not self._books.ledger.standing(row, annotator):
                raise ValueError(f"what the model thinks of row {row} is shown once {annotator} has answered it")
            asked, (number, belief) = self._fits.asked.get(row), self._fits.beliefs.get(row, (0, None))
            prediction = None if belief is None else in_words(self.form, belief)
            return Reveal(None if asked is None else asked.score, prediction, number)

    def progress(self) -> Progress:
        """Where labeling stands."""
        with self._lock:
            return progress_of(self.labeling, self.form, self._books, self._fits, self._choosing.end())

    def agreement(self, with_self: bool = False) -> Agreement:
        """How far people agree on rows that were shown twice, or each with themself; see `bal.labeling.measures`."""
        with self._lock:
            version, entries = self._books.ledger.version, list(self._books.ledger.entries)
        if self._agreed.get(with_self, (-1,))[0] != version:  # after a day of answers not a matter of the lock
            self._agreed[with_self] = version, agreement(self.form, entries, with_self)
        return self._agreed[with_self][1]

    def export(self, path: str | Path) -> int:
        """Write all answers that stand to a .csv file, or to a .json file that Label Studio imports; how many rows.

        Raises:
          ValueError: a file of another kind.
        """
        with self._lock:
            return write_entries(Path(path), self.form, self._books.ledger.entries, self._names, self._fits.beliefs)

    def load(self, path: str | Path, annotator: str = "imported") -> int:
        """Take the answers of a file in, see `bal.labeling.importing.read_answers`: all of them, or none; how many.

        Answers that are there already, of the same annotator to the same row, are passed over, so that a file whose
        taking in was killed can be taken in again.

        Args:
          path: a .csv file, or a .json file of Label Studio.
          annotator: who answered where the file does not say it.

        Raises:
          ValueError: named with its entry; answers that need more room than the capacity leaves.
        """
        given = read_answers(path, self.form, self._names, annotator)
        with self._lock:
            count = 0
            for one in self._books.load(given):
                self._line.drop(one.row, one.annotator)
                self._fits.told()
                count += 1
        return count

    def settle(self, timeout: float | int | None = None) -> bool:
        """Wait until no fit runs or is due, for scripts and tests; False where that took longer than `timeout`."""
        return self._fits.settle(timeout)

    def close(self) -> None:
        """No more fits; one that runs is waited for. The record stays open."""
        self._fits.close()

    def _say(self, annotator: str, item: Item | int, told: Any, seconds: float | int | None) -> None:
        annotator, row = self._named(annotator), _row(item)
        with self._lock:
            self._line.here(annotator)
            held = self._line.held(annotator)
            what: What = held.what if held is not None and held.row == row else self._books.reason(annotator, row)
            if told is None:
                self._books.skip(row, what, annotator, seconds)
            else:
                self._books.tell(row, what, annotator, told, seconds)
            self._line.drop(row, annotator)
            self._choosing.want_twice(row)
            self._fits.told()

    def _named(self, annotator: str) -> str:
        return check_annotator(annotator, self.labeling.annotators)

    def _item(self, ticket: Ticket) -> Item:
        row = ticket.row
        asked, name = self._fits.asked.get(row), self._names.get(row, row)
        try:
            view, error = self.view(row), None
        except Exception as fault:  # whatever a function of one's own raises; the row can be skipped
            view, error = None, " ".join(f"{type(fault).__name__}: {fault}".split())
        return Item(row, name, view, ticket.what, 0 if asked is None else asked.round, error)


def _row(item: Item | int) -> int:
    return item.row if isinstance(item, Item) else int(item)
