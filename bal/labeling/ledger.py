"""Who said what: the answers at a desk, from the events on record, whether they happen now or are read back.

A campaign's own events tell of rows of its pool. What is not to be trained on is an event of kind "desk" with an `act`:
"tell", "skip", "correct", "withdraw", about a row of all rows; "open" says what answers are (`bal.labeling.forms`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bal.labeling.forms import Form, given
from bal.labeling.nouns import Entry, Number


def opening(form: Form) -> dict[str, Any]:
    """The event that says what answers are."""
    number = None if form.number is None else list(form.number)
    said = form._asdict() | {"number": number, "names": list(form.names), "test_rows": list(form.test_rows)}
    return {"kind": "desk", "act": "open"} | said


def recorded_form(events: Iterable[Mapping[str, Any]]) -> Form | None:
    """The form that a record says its answers have; None of a record that no desk wrote.

    >>> form = Form(("cat", "dog"), False, False, None, 9, (3,))
    >>> recorded_form([opening(form)]) == form
    True
    """
    for event in events:
        if event["kind"] == "desk" and event.get("act") == "open":
            number = None if event["number"] is None else Number(*event["number"])
            names, held_out = tuple(event["names"]), tuple(event["test_rows"])
            return Form(names, event["several"], event["soft"], number, event["num_rows"], held_out)
    return None


class Ledger:
    """All entries, in the order in which they came.

    >>> ledger = Ledger(Form(("cat", "dog"), False, False, None, 9, (0,)))
    >>> ledger.take({"kind": "tell", "rows": [1], "labels": [0], "annotator": "ada", "at": 5.0})
    >>> ledger.take({"kind": "correct", "rows": [1], "labels": [1], "annotator": "ada", "at": 9.0})
    >>> [(entry.row, entry.answer, entry.state) for entry in ledger.entries]
    [(2, 'cat', 'corrected'), (2, 'dog', 'stands')]
    """

    def __init__(self, form: Form, events: Iterable[Mapping[str, Any]] = ()):
        self.form, self.entries, self.version = form, list[Entry](), 0
        self._rows, self._of_row = form.pool_rows.tolist(), dict[int, list[int]]()
        self.ids: dict[int, Any] = {}
        for event in events:
            self.take(event)

    def take(self, event: Mapping[str, Any]) -> None:
        """One more event; kinds that are about no answer change nothing."""
        kind, at = event["kind"], float(event.get("at") or 0.0)
        self.version += 1
        if kind == "desk" and event["act"] != "open":
            row = event["row"]
            if "id" in event:
                self.ids[row] = event["id"]
            self._act(event["act"], row, event["what"], event.get("label"), event["annotator"], event, at)
            return
        if kind not in ("ask", "tell", "correct", "withdraw", "skip"):
            return
        rows = [self._rows[position] for position in event["rows"]]
        self.ids |= dict(zip(rows, event.get("ids", ())))
        for place, row in enumerate(rows if kind != "ask" else ()):
            who, labels = event.get("annotator"), event.get("labels")
            who = who[place] if isinstance(who, list) else who
            other = any(entry.annotator != who and entry.answer is not None for entry in self.standing(row))
            what = "second" if kind == "tell" and other else "first"
            self._act(kind, row, what, None if labels is None else labels[place], who, event, at)

    def standing(self, row: int, annotator: str | None = None) -> list[Entry]:
        """What stands about a row, of everybody or of one annotator; rows that were given up included."""
        found = (self.entries[place] for place in self._of_row.get(row, ()))
        return [entry for entry in found if entry.state == "stands" and annotator in (None, entry.annotator)]

    def last(self, annotator: str) -> Entry | None:
        """What an annotator said last and has not taken back."""
        mine = (entry for entry in reversed(self.entries) if entry.annotator == annotator and entry.state == "stands")
        return next(mine, None)

    def taken_back(self) -> list[int]:
        """Rows of which nothing stands because the first answer was taken back, the last one first."""
        rows = dict.fromkeys(entry.row for entry in reversed(self.entries) if entry.what == "first")
        return [row for row in rows if not self.standing(row)]

    def since(self, row: int) -> int:
        """How many entries came after the last one about a row."""
        places = self._of_row.get(row)
        return len(self.entries) - 1 - places[-1] if places else len(self.entries)

    def _act(self, act: str, row: int, what: Any, held: Any, who: str | None, event: Mapping, at: float) -> None:
        outside = event["kind"] == "desk"
        if act in ("tell", "skip"):
            if act == "tell" and not outside:  # a row that was given up has an answer after all
                self._close(row, lambda entry: entry.answer is None and entry.annotator == who, "withdrawn")
            return self._add(Entry(row, who, given(self.form, held), event.get("seconds"), at, what))
        meant = lambda entry: (
            who in (None, entry.annotator)
            and (entry.what == what if outside else entry.what in ("first", "second") and entry.answer is not None)
        )
        old = self._close(row, meant, "corrected" if act == "correct" else "withdrawn")
        if act == "correct" and old:
            self._add(old[0]._replace(answer=given(self.form, held), seconds=None, at=at))
        return None

    def _add(self, entry: Entry) -> None:
        self._of_row.setdefault(entry.row, []).append(len(self.entries))
        self.entries.append(entry)

    def _close(self, row: int, meant: Any, state: Any) -> list[Entry]:
        found = []
        for place in self._of_row.get(row, ()):
            entry = self.entries[place]
            if entry.state == "stands" and meant(entry):
                found.append(entry)
                self.entries[place] = entry._replace(state=state)
        return found
