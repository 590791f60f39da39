"""Who is shown what next: rows that wait, rows in somebody's hands, rows wanted twice. Memory only: a desk that is
opened again lines up what its record says is pending."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bal.labeling.nouns import What


class Ticket(NamedTuple):
    """A row, and why it is shown."""

    row: int
    what: What


class Line:
    """Rows that wait for somebody, best first, and what each annotator holds.

    >>> line = Line(patience=60.0)
    >>> line.put([7, 4])
    >>> line.hold("ada", Ticket(line.waiting.popleft(), "first"))
    >>> line.put([9])  # of a later fit: shown before what is left of an earlier one
    >>> list(line.waiting), line.held("ada").row
    ([9, 4], 7)
    >>> line.release("ada")
    >>> list(line.waiting)
    [7, 9, 4]
    """

    def __init__(self, patience: float | int, clock: Callable[[], float] = time.monotonic):
        self.waiting: deque[int] = deque()
        self.wanted: dict[int, bool] = {}  # rows for a second opinion, in order; True = somebody asked for it
        self._holds: dict[str, Ticket] = {}
        self._back: dict[str, list[Ticket]] = {}  # what an annotator took back, to be shown to them first
        self._seen: dict[str, float] = {}
        self._patience, self._clock = patience, clock

    def put(self, rows: Iterable[int]) -> None:
        """Rows to be shown before those that wait already; those that wait or are held are not shown twice."""
        taken = {ticket.row for ticket in self._tickets()} | set(self.waiting)
        self.waiting.extendleft(reversed([row for row in rows if row not in taken]))

    def hold(self, annotator: str, ticket: Ticket) -> None:
        """The annotator is shown a row, until `drop` or `release`."""
        self._holds[annotator] = ticket

    def held(self, annotator: str) -> Ticket | None:
        """What the annotator is shown."""
        return self._holds.get(annotator)

    def here(self, annotator: str) -> None:
        """The annotator is at work; what others hold who have been silent for too long goes back."""
        now = self._clock()
        for other, seen in list(self._seen.items()):
            if other != annotator and now - seen > self._patience:
                self.release(other)
        self._seen[annotator] = now

    def back(self, annotator: str, ticket: Ticket) -> None:
        """A row that the annotator took back is next for them, before what they hold."""
        held = self._holds.pop(annotator, None)
        kept = [held] if held is not None and held.row != ticket.row else []
        self._back[annotator] = [ticket, *kept, *self._back.get(annotator, ())]

    def take_back(self, annotator: str) -> Ticket | None:
        """The first of what the annotator took back."""
        mine = self._back.get(annotator)
        return mine.pop(0) if mine else None

    def drop(self, row: int, annotator: str) -> None:
        """The row is answered: it waits for nobody, and the annotator does not hold it."""
        if row in self.waiting:
            self.waiting.remove(row)
        if (held := self._holds.get(annotator)) is not None and held.row == row:
            del self._holds[annotator]
        self._back[annotator] = [ticket for ticket in self._back.get(annotator, ()) if ticket.row != row]

    def release(self, annotator: str) -> None:
        """What the annotator holds and took back waits for anybody again."""
        held = self._holds.pop(annotator, None)
        tickets = [*([] if held is None else [held]), *self._back.pop(annotator, ())]
        self._seen.pop(annotator, None)
        self.put(ticket.row for ticket in tickets if ticket.what == "first")

    def in_hands(self, what: What) -> set[int]:
        """Rows that somebody holds or took back, for this reason."""
        return {ticket.row for ticket in self._tickets() if ticket.what == what}

    @property
    def others(self) -> int:
        """How many annotators are at work, at least one."""
        return max(len(self._seen), 1)

    def _tickets(self) -> list[Ticket]:
        return [*self._holds.values(), *(ticket for tickets in self._back.values() for ticket in tickets)]


def drawn(row: int, share: float | int, seed: int) -> bool:
    """Whether a row belongs to a share of all rows, drawn by a digest: the same answer at any time.

    >>> sum(drawn(row, 0.3, 0) for row in range(1000))
    316
    """
    digest = hashlib.sha256(f"{seed} {row}".encode()).digest()
    return int.from_bytes(digest[:6]) < share * 2**48
