"""The model refits while people answer: one thread that asks the campaign for rows, so that nobody waits for a fit."""

import threading
from typing import Any, NamedTuple

import numpy as np

from bal.labeling.beliefs import believe_with
from bal.labeling.books import Books
from bal.labeling.forms import Form
from bal.labeling.line import Line
from bal.labeling.nouns import Labeling
from bal.pool.over import take
from bal.typing import PyTree


class Asked(NamedTuple):
    """Of a row: the number of the fit that asked for it, 0 for none, and its score, None where it was drawn."""

    round: int
    score: float | None


class Refitting:
    """Asks for a batch as soon as a batch of answers is new, or too few rows wait; all under the lock of the desk but
    the fit itself. After a fit that gave nothing it waits for another answer.

    round: fits so far. running: one is under way. fault: why the last one failed. asked, beliefs: of rows, the latter
    with the round that holds them. of_test: what the last fit says of the test rows.
    """

    def __init__(self, labeling: Labeling, form: Form, x: PyTree, books: Books, line: Line):
        self._labeling, self._form, self._x, self._books, self._line = labeling, form, x, books, line
        self._campaign, self._ledger, self.lock = books.campaign, books.ledger, threading.Condition()
        self._believe, self._rows = believe_with(labeling.learner), form.pool_rows
        self._new, self._stuck, self._closed = 0, False, False
        self.running, self.fault, self.round = False, None, 0
        self.asked: dict[int, Asked] = {}
        self.beliefs: dict[int, tuple[int, np.ndarray]] = {}
        self.of_test: np.ndarray | None = None
        self._thread = threading.Thread(target=self._run, name="refitting", daemon=True)

    def start(self) -> None:
        """Line up what is pending, the rows of the last ask first, and go on from there."""
        pending = set(self._campaign.pending.tolist())
        for event in self._books.events:
            if event["kind"] == "ask":
                self._note(event["rows"], event["scores"], event["queries"], "told" in event)
                self._line.put(self._rows[[row for row in event["rows"] if row in pending]].tolist())
        self._line.put(self._ledger.taken_back())  # shown again, as they would have been
        self._new = len(self._campaign.indices) if not pending else 0
        self._thread.start()

    def told(self) -> None:
        """An answer more."""
        self._new, self._stuck = self._new + 1, False
        self.lock.notify_all()

    def left(self) -> int:
        """Rows that nobody was asked for."""
        campaign = self._campaign
        return len(self._rows) - len(np.unique(np.concatenate([campaign.indices, campaign.pending, campaign.skipped])))

    def due(self) -> int:
        """How many rows to ask for now: a multiple of the batch size wherever there are so many; 0 = not yet."""
        size, waiting, people = self._labeling.batch_size, len(self._line.waiting), self._line.others
        if self._closed or self._stuck or not (self._new >= size or waiting < people):
            return 0
        wanted = size * (1 + people) - waiting
        most = min(self.left(), self._campaign.room)
        if self._labeling.budget is not None:
            most = min(most, self._labeling.budget - self._campaign.num_labeled - len(self._line.in_hands("first")))
        return max(min(max(-(-wanted // size), 1) * size, most), 0)

    def settle(self, timeout: float | int | None) -> bool:
        """Wait until no fit runs or is due."""
        with self.lock:
            return self.lock.wait_for(lambda: self._closed or not (self.running or self.due()), timeout)

    def close(self) -> None:
        """No fit begins any more; one that runs is waited for, because it writes to the record."""
        with self.lock:
            self._closed = True
            self.lock.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        if self._campaign.last_posterior is not None and not self._labeling.learner.host:
            self._look()
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self._closed or self.due() > 0)
                if self._closed:
                    return
                size, self.running, self._new = self.due(), True, 0
            fault, rows = None, np.zeros(0, int)
            try:
                rows = self._campaign.ask(size)
            except Exception as error:  # said on the page: answers are taken while it is mended
                fault = " ".join(f"{type(error).__name__}: {error}".split())
            with self.lock:
                self.fault, self._stuck = fault, not len(rows)
                if len(rows):
                    chosen: Any = self._campaign.last_selection
                    known = self._campaign.last_posterior is not None
                    number = self.round + 1 if known else 0
                    self._note(rows.tolist(), np.asarray(chosen.scores).tolist(), number, known)
                    free = [row for row in self._rows[rows].tolist() if not self._ledger.standing(row)]
                    self._line.put(free)
                    self.lock.notify_all()
            if len(rows) and self._campaign.last_posterior is not None:
                self._look()
            with self.lock:
                self.running = False
                self.lock.notify_all()

    def _note(self, rows: list[int], scores: list[float], number: int, known: bool) -> None:
        self.round = max(self.round, number)
        for row, score in zip(self._rows[rows].tolist(), scores, strict=True):
            self.asked[row] = Asked(number, float(score) if known else None)

    def _look(self) -> None:
        """What the last fit says of rows that wait or are held, and of test rows."""
        posterior: Any = self._campaign.last_posterior
        with self.lock:
            rows = sorted({*self._line.waiting, *self._line.in_hands("first")})
        try:
            beliefs = self._believe(posterior, take(self._x, np.array(rows, int))) if rows else ()
            test = None if self._labeling.test is None else self._labeling.test[0]
            if self._form.test_rows:
                test = take(self._x, np.array(self._form.test_rows))
            of_test = None if test is None else self._believe(posterior, test)
        except Exception as error:  # as above
            self.fault = " ".join(f"{type(error).__name__}: {error}".split())
            return
        with self.lock:
            unanswered = {row: belief for row, belief in zip(rows, beliefs) if not self._ledger.standing(row)}
            if of_test is not None:  # of no row of the labeling's own where `test` brought its rows
                tests = zip(self._form.test_rows, of_test)
                unanswered |= {row: belief for row, belief in tests if not self._ledger.standing(row)}
            self.beliefs |= {row: (self.round, belief) for row, belief in unanswered.items()}
            self.of_test = of_test
