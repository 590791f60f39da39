"""The part on picks: which rows a round asked for, why, and where they lie in the pool."""

from typing import Any, NamedTuple

from bal.pages import rewrite, write
from bal.records.errors import CorruptRecordError
from bal.sweep.studies import Group
from bal.watching.folder import Folder
from bal.watching.page.elements import Chart, Table
from bal.watching.page.map_chart import drawn, map_chart
from bal.watching.page.studies import NOTHING
from bal.watching.page.view import Inputs, Select
from bal.watching.picks import Picks, picks, predicted_in_words
from bal.watching.pool import numbers, picture


class Rounds(NamedTuple):
    """What the part on picks shows."""

    strategies: list[str]
    strategy: str
    seeds: list[str]
    seed: str
    rounds: list[Picks]
    number: int
    inputs: Inputs


class PicksPart:
    """The rows of a round, with scores, in the pool."""

    def __init__(self, view: Any):
        self.view, self.chosen = view, view.chosen
        self._of: tuple[Any, list[Picks]] = (None, [])
        with write("section", classes="bal-card", aria_labelledby="picks"):
            write("h2", "Picks", id="picks")
            with write("div", classes="watch-choices"):
                self.strategy = Select("Strategy", "strategy", view.chosen, view.ask)
                self.seed = Select("Seed", "seed", view.chosen, view.ask)
                with write("div", classes="watch-choice"):
                    write("label", "Round", for_="round")
                    self.slider = write("input", id="round", type="range", min=0, max=0, value=0)
                    self.slider.on("input", self._slide, throttle=0.1, js_handler="(event) => emit(event.target.value)")
            self.about = write("p", "", "bal-note", role="status")
            self.chart = Chart("map", "watch-tall")
            self.table = Table("Rows picked in this round")
            self.whole = write("p", "", "bal-note")

    async def _slide(self, event: Any) -> None:
        if str(event.args).isdigit():
            self.chosen.round = str(event.args)
            await self.view.ask()

    def compute(self, folder: Folder, group: Group | None) -> Rounds | None:
        """Rounds of the chosen strategy and seed; a record is read again only when it has grown."""
        if group is None:
            return None
        names = list(group.runs)
        queried = [name for name in names if name != "random"] or names
        strategy = self.chosen.strategy if self.chosen.strategy in names else queried[0]
        run = group.runs[strategy]
        seeds = [str(seed) for seed in sorted(run.rounds)]
        seed = self.chosen.seed if self.chosen.seed in seeds else seeds[0]
        path = folder.root / run.name / run.sha
        place = path, seed, len(run.rounds[int(seed)])
        if self._of[0] != place:
            try:
                self._of = place, picks(path, int(seed))
            except (CorruptRecordError, OSError) as error:
                self._of = place, []
                return Rounds(names, strategy, seeds, seed, [], 0, Inputs(why=str(error)))
        rounds = self._of[1]
        last = rounds[-1].number if rounds else 0
        number = min(int(self.chosen.round), last) if self.chosen.round else last
        return Rounds(names, strategy, seeds, seed, rounds, number, self.view.watched.inputs(path, int(seed)))

    def draw(self, found: Rounds | None) -> None:
        """The round that is chosen, or the last."""
        if found is None:
            self.chart.draw(None, "", NOTHING)
            return
        self.strategy.offer(found.strategies, found.strategy)
        self.seed.offer(found.seeds, found.seed)
        told = {one.number: one for one in found.rounds}
        here = told.get(found.number)
        if here is None:
            self.chart.draw(None, "", found.inputs.why)
            return
        if (self.slider.props["max"], self.slider.props["value"]) != (max(told), found.number):
            self.slider.props.update({"max": max(told), "value": found.number})
            self.slider.update()
        kind = "start set" if found.number == 0 else "asked for"
        rewrite(self.about, f"Round {found.number} of {max(told)}: {len(here.rows)} rows, {kind}.")
        where = found.inputs.projected
        if where is None:
            self.chart.draw(None, "", found.inputs.why)
        else:
            number = len(where.points)
            shown = len(drawn(number))
            note = (
                f"All {number:,} rows of the pool" if shown == number else f"{shown:,} of {number:,} rows of the pool"
            )
            note += " by their first two principal components; wheel and drag to look closer."
            options = map_chart(where, found.rounds, found.number, self.chosen.scheme)
            self.chart.draw(options, f"Map of the pool; round {found.number} picked rows {here.rows}", note)
        self.table.draw(*self._lines(found, here))
        rewrite(self.whole, ", ".join(f"{name} {_short(value)}" for name, value in here.whole.items()))

    def _lines(self, found: Rounds, here: Picks) -> tuple[list[str], list[list[Any]]]:
        _, shape = self.view.watched.pool
        names = [name for name in here.columns if name not in ("row", "predicted_variance")]
        pictures = [picture(found.inputs.x, row, shape) for row in here.rows]
        header = ["pick", "row", *names] + ([] if found.inputs.x is None else ["input"])
        lines = []
        for place, row in enumerate(here.rows):
            at = {name: values[place] for name, values in here.columns.items()}
            foreseen = predicted_in_words(*map(at.get, ("predicted", "predicted_variance", "label")))
            values = [(foreseen if name == "predicted" else _short(at[name]), "bal-number") for name in names]
            inputs = [] if found.inputs.x is None else [(numbers(found.inputs.x, row), "", pictures[place])]
            lines.append([str(place + 1), (str(row), "bal-number"), *values, *inputs])
        return header, lines


def _short(value: Any) -> str:
    """A value for a table; what is not known as a dash."""
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
