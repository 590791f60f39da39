"""What an annotator is shown next, and when labeling ends."""

import numpy as np

from bal.labeling.books import Books
from bal.labeling.line import Line, Ticket, drawn
from bal.labeling.nouns import Finished, Labeling, Waiting
from bal.labeling.refitting import Refitting


class Choosing:
    """In this order: what the annotator took back; rows wanted twice; test rows, until their share is reached; what the
    fits asked for, the last one's first."""

    def __init__(self, labeling: Labeling, test_rows: tuple[int, ...], books: Books, line: Line, fits: Refitting):
        self._labeling, self._books, self._line, self._fits = labeling, books, line, fits
        self._tests = np.random.default_rng(labeling.seed).permutation(np.array(test_rows, int)).tolist()
        for entry in books.ledger.entries:
            self.want_twice(entry.row)

    def choose(self, annotator: str) -> Ticket | Waiting | Finished:
        """The next row, which leaves the line, or why there is none."""
        line, found = self._line, self._line.take_back(annotator) or self._twice(annotator)
        if found is not None:
            return found
        end = self.end()
        if end is not None:
            return Finished(end)
        ledger = self._books.ledger
        tests = [row for row in self._tests if not ledger.standing(row) and row not in line.in_hands("test")]
        shown = sum(entry.what == "test" for entry in ledger.entries) + len(line.in_hands("test"))
        if tests and shown < self._labeling.test_share * len(ledger.entries):
            return Ticket(tests[0], "test")
        budget = self._labeling.budget
        if budget is not None and self._books.campaign.num_labeled + len(line.in_hands("first")) >= budget:
            return Waiting("the last labels are in the hands of others")
        if line.waiting:
            return Ticket(line.waiting.popleft(), "first")
        if tests:
            return Ticket(tests[0], "test")
        if self._fits.fault is not None:
            return Waiting(f"the fit failed: {self._fits.fault}")
        fits = self._fits.running or self._fits.due()
        return Waiting("the model refits; rows will come" if fits else "the last rows are in the hands of others")

    def end(self) -> str | None:
        """Why labeling ends; None while it goes on."""
        budget, campaign, line = self._labeling.budget, self._books.campaign, self._line
        if budget is not None and campaign.num_labeled >= budget:
            return f"the budget of {budget} labels is reached"
        if campaign.stopped is not None:
            return campaign.stopped
        if line.waiting or line.in_hands("first") or self._fits.running:
            return None
        if not self._fits.left():
            return "every row has been asked for"
        if not campaign.room:
            return f"all {self._labeling.capacity} places are taken; open it with a larger capacity to go on"
        return None

    def want_twice(self, row: int) -> None:
        """Whether a row is to be shown again, after what was said of it last."""
        entries = [entry for entry in self._books.ledger.standing(row) if entry.what != "test"]
        if len(entries) != 1 or entries[0].answer is None:
            self._line.wanted.pop(row, None)
        elif drawn(row, self._labeling.repeat, self._labeling.seed):
            self._line.wanted.setdefault(row, False)

    def _twice(self, annotator: str) -> Ticket | None:
        line, ledger = self._line, self._books.ledger
        shown = line.in_hands("second") | line.in_hands("again")
        for row, on_demand in line.wanted.items():
            if row in shown:
                continue
            mine = ledger.standing(row, annotator)
            if not mine and self._books.campaign.room:
                return Ticket(row, "second")
            alone = bool(mine) and line.others == 1 and not on_demand
            if alone and ledger.since(row) >= max(10, self._labeling.batch_size):
                return Ticket(row, "again")
        return None
