"""The parts on the folder as a whole: cells of sweeps, damaged records; campaigns of people."""

import time
from typing import Any, NamedTuple

from bal.pages import rewrite, write
from bal.progress import duration
from bal.records.errors import CorruptRecordError
from bal.sweep import store
from bal.sweep.studies import Group
from bal.watching.cells import SeenCell
from bal.watching.folder import STATES, Folder
from bal.watching.page.charts import people_chart
from bal.watching.page.elements import Chart, Lines, Table
from bal.watching.people import People, people
from bal.watching.reliability import reliability, so_far

MOST_LISTED = 100


class Seen(NamedTuple):
    """What the part on cells shows."""

    states: dict[str, dict[str, int]]
    cells: list[SeenCell]
    commands: list[str]
    damaged: dict[str, str]


class CellsPart:
    """Cells running, done, failed and missing, and how to go on; records that are damaged."""

    def __init__(self, view: Any):
        del view
        with write("section", classes="bal-card", aria_labelledby="cells"):
            write("h2", "Cells", id="cells")
            self.none = write("p", "", "bal-note")
            self.table = Table("Cells by function and state")
            self.running = self._list("Running")
            self.failed = self._list("Failed")
            self.commands = self._list("To go on", "watch-code")
        with write("section", classes="bal-card", aria_labelledby="damaged"):
            write("h2", "Damaged records", id="damaged")
            self.damaged, self.intact = Lines("bal-bad"), write("p", "", "bal-note")

    def _list(self, title: str, classes: str = "") -> tuple[Any, Lines]:
        return write("h3", title), Lines(classes)

    def compute(self, folder: Folder, group: Group | None) -> Seen:
        """As `bal status` says it."""
        del group
        return Seen(folder.states(), folder.cells, folder.commands(), folder.damaged)

    def draw(self, found: Seen) -> None:
        """All of it."""
        rewrite(self.none, "" if found.cells else "No sweep has named a cell under this folder; records need none.")
        count = lambda counts: [(str(counts[state]), "bal-number") for state in STATES]
        self.table.draw(["function", *STATES], [[name or "?", *count(of)] for name, of in found.states.items()])
        now = time.time()
        of_state = lambda state: [cell for cell in found.cells if cell.outcome.state == state]
        since = lambda cell: f"{cell.words}: for {duration(now - cell.outcome.at)} on {cell.outcome.who}"
        why = lambda cell: f"{cell.words}: {cell.outcome.error} ({cell.path / store.FAILED} has the traceback)"
        told = (
            (self.running, [since(cell) for cell in of_state("running")]),
            (self.failed, [why(cell) for cell in of_state("failed")]),
            (self.commands, found.commands),
        )
        for (heading, lines), texts in told:
            heading.set_visibility(bool(texts))
            more = [f"and {len(texts) - MOST_LISTED} more"] if len(texts) > MOST_LISTED else []
            lines.draw(texts[:MOST_LISTED] + more)
        self.damaged.draw([f"{name}: {sentence}" for name, sentence in found.damaged.items()])
        rewrite(self.intact, "" if found.damaged else "None: every record that is here reads back as it was written.")


class PeoplePart:
    """Campaigns: how many labels, by whom, how fast."""

    def __init__(self, view: Any):
        self.chosen, self.view = view.chosen, view
        self.place = write("div")
        self.names: list[str] = []
        self.drawn: dict[str, tuple[Any, Chart, Table]] = {}

    def compute(self, folder: Folder, group: Group | None) -> dict[str, People | str]:
        """Counts of each campaign, or why there are none."""
        del group
        found: dict[str, People | str] = {}
        for name, events in folder.campaigns.items():
            try:
                found[name] = people(events, name)
            except CorruptRecordError as error:
                found[name] = str(error)
        return found

    def draw(self, found: dict[str, People | str]) -> None:
        """A card a campaign."""
        if list(found) != self.names or not found:
            self.names = list(found)
            self.place.clear()
            with self.place:
                self.drawn = {name: self._card(name, place) for place, name in enumerate(found)}
                if not found:
                    with write("section", classes="bal-card"):
                        write("h2", "People")
                        write("p", "No campaign is on record under this folder; bal label makes one.", "bal-note")
        for name, told in found.items():
            self._draw(*self.drawn[name], told)

    def _card(self, name: str, place: int) -> tuple[Any, Chart, Table]:
        with write("section", classes="bal-card", aria_labelledby=f"campaign-{place}"):
            write("h2", name, id=f"campaign-{place}")
            words = write("p", "")
            return words, Chart(f"people-{place}"), Table("Answers by annotator")

    def _draw(self, words: Any, chart: Chart, table: Table, told: People | str) -> None:
        if isinstance(told, str):
            rewrite(words, told)
            return
        parts = [f"{number} {state}" for state, number in told.states.items()]
        parts += [f"{number} {which}" for which, number in told.beside.items()]
        if told.an_hour == told.an_hour:
            parts.append(f"{told.an_hour:.0f} labels an hour of work")
        if told.labels:
            parts.append("by label " + ", ".join(f"{label} {number}" for label, number in told.labels.items()))
        if told.judged:
            number, sure, right = so_far(reliability(told.judged))
            parts.append(f"the model foresaw {right:.0%} of {number} answers, {sure:.0%} sure of them on average")
        rewrite(words, "; ".join(parts) + ".")
        many = len(told.at) > 1
        note = "Pauses of more than ten minutes count as no work." if many else "No times are on record yet."
        options = people_chart(told, self.chosen.scheme) if many else None
        chart.draw(options, f"Answers over time, {len(told.at)} so far", note)
        table.draw(
            ["annotator", "answers"], [[name, (str(number), "bal-number")] for name, number in told.annotators.items()]
        )
