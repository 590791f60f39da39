"""The parts on a study: curves, difference to the baseline, verdicts; calibration; time."""

from typing import Any, NamedTuple

from bal.evaluation.tables import decimals, p_words
from bal.pages import rewrite, write
from bal.sweep.studies import Group
from bal.watching.curves import CALIBRATION, Curve, Row, baseline_of, curve, metrics_of, rows
from bal.watching.folder import Folder
from bal.watching.page.charts import curves_chart, difference_chart, reliability_chart, times_chart
from bal.watching.page.elements import Chart, Lines, Table
from bal.watching.page.view import Select
from bal.watching.reliability import Reliability, reliability, so_far
from bal.watching.times import times

NOTHING = (
    "No rounds on record under this folder yet; they show here as soon as there are some. What people answered is "
    "under People."
)
FEW = 10
FORESEEN = (
    "Of every pick: how sure the model that asked was of its likeliest class, and whether that was answered; all "
    "rounds and seeds together. On the diagonal it is as often right as it is sure. Picks are no random sample: a "
    "query that asks where the model is unsure finds it worse than it is on new rows. Only those of random stand for "
    "the pool."
)
NONE = (
    "No class probabilities of picks are on record: answers are numbers or sets, there are more than 100 classes, or "
    "the records are of an earlier version."
)


class Curves(NamedTuple):
    """What the part on curves shows."""

    metrics: list[str]
    metric: str
    baselines: list[str]
    baseline: str
    curves: dict[str, Curve]
    rows: dict[str, Row]


class CurvesPart:
    """Live curves, the difference to random, and who can be told from it."""

    def __init__(self, view: Any):
        self.chosen = view.chosen
        with write("section", classes="bal-card", aria_labelledby="curves"):
            write("h2", "Curves", id="curves")
            with write("div", classes="watch-choices"):
                self.metric = Select("Metric", "metric", view.chosen, view.ask)
                self.baseline = Select("Compared with", "baseline", view.chosen, view.ask)
            self.chart = Chart("curves")
        with write("section", classes="bal-card", aria_labelledby="verdicts"):
            write("h2", "Verdicts", id="verdicts")
            self.table = Table("Strategies and what can be told of them")
            self.words = write("p", "", "bal-note")
        with write("section", classes="bal-card", aria_labelledby="differences"):
            self.heading = write("h2", "Difference", id="differences")
            self.difference = Chart("difference")

    def compute(self, folder: Folder, group: Group | None) -> Curves | None:
        """All numbers, beside the event loop."""
        del folder
        if group is None:
            return None
        metrics, names = metrics_of(group), list(group.runs)
        metric = self.chosen.metric if self.chosen.metric in metrics else metrics[0]
        baseline = self.chosen.baseline if self.chosen.baseline in names else baseline_of(group)
        curves = {name: curve(run, metric) for name, run in group.runs.items()}
        known = {name: found for name, found in curves.items() if found is not None}
        return Curves(metrics, metric, names, baseline, known, rows(group, metric, baseline))

    def draw(self, found: Curves | None) -> None:
        """All of it."""
        if found is None:
            self.chart.draw(None, "", NOTHING)
            return
        metric, baseline, scheme = found.metric, found.baseline, self.chosen.scheme
        self.metric.offer(found.metrics, metric)
        self.baseline.offer(found.baselines, baseline)
        ends = ", ".join(f"{name} {told.mean[-1]:.3g} at {told.labels[-1]}" for name, told in found.curves.items())
        words = f"Curves of {metric} over labels, last values: {ends}"
        note = f"{metric}: mean over seeds, band: 95% t interval (from 3 seeds on); thin: seeds that lie behind."
        self.chart.draw(curves_chart(found.curves, scheme), words, note)
        compared = {name: row for name, row in found.rows.items() if row.comparison is not None}
        self.table.draw(*verdicts(found))
        rewrite(self.words, caution(found))
        rewrite(self.heading, f"Difference to {baseline}")
        if not compared:
            self.difference.draw(None, "", "Drawn as soon as two seeds of both have finished.")
            return
        told = ", ".join(f"{name}: {row.words}" for name, row in compared.items())
        note = f"{metric} minus that of {baseline}, seed by seed; band: 95% for the whole curve (from 3 seeds on)."
        chart = difference_chart(found.rows, baseline, scheme)
        self.difference.draw(chart, f"Differences to {baseline} over labels; {told}", note)


def verdicts(found: Curves) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the table."""
    told = [row.comparison for row in found.rows.values() if row.comparison is not None]
    digits = decimals(*(one.area for one in told))
    header = ["strategy", "verdict", f"area minus {found.baseline}", "p", "seeds", "last", "rounds"]
    lines = []
    for name, row in found.rows.items():
        last, difference, p, tone = "", "", "", ""
        if name in found.curves:
            one = found.curves[name]
            last = f"{one.mean[-1]:.3f} at {one.labels[-1]}"
        if row.comparison is not None and row.comparison.difference is not None:
            mean, low, high, *_ = row.comparison.difference
            difference = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
            adjusted = row.comparison.adjusted_p
            p = "untested" if adjusted is None else p_words(adjusted).removeprefix("p ")
        for word, color in (("better", "bal-good"), ("worse", "bal-bad")):
            tone = color if row.words.startswith(f"{word} than") else tone
        shared = "" if name == found.baseline else str(row.seeds)
        number = [(cell, "bal-number") for cell in (difference, p, shared, last, str(row.rounds))]
        lines.append([name, (row.words, tone), *number])
    return header, lines


def caution(found: Curves) -> str:
    """How to read the table."""
    told = [row for row in found.rows.values() if row.comparison is not None]
    parts = [f"Paired by seed, over the seeds that both have finished; p adjusted for {len(told)} comparisons (Holm)."]
    if told and min(row.seeds for row in told) < FEW:
        parts.append(f"Intervals are unreliable: fewer than {FEW} seeds.")
    parts.append("Verdicts change while a study runs: the one that counts is that of the number of seeds you planned.")
    return " ".join(parts) if told else "Nothing to compare yet."


class Calibration(NamedTuple):
    """What the part on calibration shows: curves by metric and strategy, and reliability by strategy."""

    curves: dict[str, dict[str, Curve]]
    picks: dict[str, Reliability]


class CalibrationPart:
    """Whether probabilities can be believed: the metrics that tell of it, and whether answers were foreseen."""

    def __init__(self, view: Any):
        self.chosen = view.chosen
        with write("section", classes="bal-card", aria_labelledby="calibration"):
            write("h2", "Calibration", id="calibration")
            self.words = write("p", "", "bal-note")
            self.place = write("div", classes="watch-pair")
        self.charts: dict[str, Chart] = {}
        with write("section", classes="bal-card", aria_labelledby="reliability"):
            write("h2", "Reliability of picks", id="reliability")
            self.reliability = Chart("reliability")
            self.table = Table("Picks by confidence, and how many of them were foreseen")

    def compute(self, folder: Folder, group: Group | None) -> Calibration:
        """Curves by metric and strategy, and the picks of all rounds and seeds in bins."""
        if group is None:
            return Calibration({}, {})
        names = [name for name in CALIBRATION if name in metrics_of(group)]
        found = {name: {key: curve(run, name) for key, run in group.runs.items()} for name in names}
        curves = {name: {key: one for key, one in of.items() if one is not None} for name, of in found.items()}
        return Calibration(curves, {name: reliability(told) for name, told in folder.judged(group).items()})

    def draw(self, told: Calibration) -> None:
        """A chart a metric, and one of all picks."""
        self._draw_curves(told.curves)
        sums = {name: so_far(one) for name, one in told.picks.items()}
        ends = ", ".join(
            f"{name} {right:.0%} of {number}, {sure:.0%} sure" for name, (number, sure, right) in sums.items()
        )
        options = reliability_chart(told.picks, self.chosen.scheme) if told.picks else None
        self.reliability.draw(options, f"Share of foreseen answers over confidence; {ends}", FORESEEN if ends else NONE)
        self.table.draw(*bins(told.picks))

    def _draw_curves(self, found: dict[str, dict[str, Curve]]) -> None:
        text = "Lower is better in all of them; the expected calibration error (ece) alone says nothing of accuracy."
        none = f"None of {', '.join(CALIBRATION)} was measured; bal.evaluation.classification measures three of them."
        rewrite(self.words, text if found else none)
        if list(found) != list(self.charts):
            self.place.clear()
            with self.place:
                self.charts = {name: Chart(f"calibration-{name}") for name in found}
        for name, curves in found.items():
            ends = ", ".join(f"{key} {told.mean[-1]:.3g}" for key, told in curves.items())
            options = curves_chart(curves, self.chosen.scheme)
            self.charts[name].draw(options, f"Curves of {name} over labels, last values: {ends}", name)


def bins(found: dict[str, Reliability]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of the table: bins that hold a pick of any strategy."""
    size = max((len(one.number) for one in found.values()), default=0)
    cell = lambda one, b: f"{one.right[b]:.0%} of {one.number[b]}" if one.number[b] else ""
    held = [b for b in range(size) if any(one.number[b] for one in found.values())]
    rows = [
        [f"{b / size:.0%} to {(b + 1) / size:.0%}"] + [(cell(one, b), "bal-number") for one in found.values()]
        for b in held
    ]
    return ["confidence", *found], rows


class TimePart:
    """Where the time goes."""

    def __init__(self, view: Any):
        self.chosen = view.chosen
        with write("section", classes="bal-card", aria_labelledby="time"):
            write("h2", "Time", id="time")
            self.chart = Chart("time")
            self.table = Table("Seconds by strategy and part")
            self.notes = Lines("bal-note")

    def compute(self, folder: Folder, group: Group | None) -> dict[str, dict[str, float]]:
        """Seconds by strategy and part."""
        if group is None:
            return {}
        return times({key: [folder.root / run.name / run.sha] for key, run in group.runs.items()})

    def draw(self, found: dict[str, dict[str, float]]) -> None:
        """A bar a strategy, and the numbers."""
        parts = list(dict.fromkeys(part for told in found.values() for part in told))
        told = ", ".join(f"{name} {sum(of.values()):.3g} s" for name, of in found.items())
        options = times_chart(found, self.chosen.scheme) if found else None
        note = "All seeds and rounds on record together." if found else "No times are on record yet."
        self.chart.draw(options, f"Seconds by part, stacked; in all: {told}", note)
        cell = lambda of, part: (f"{of[part]:.3g}" if part in of else "", "bal-number")
        lines = [[name, *(cell(of, part) for part in parts), f"{sum(of.values()):.3g}"] for name, of in found.items()]
        self.table.draw(["strategy", *parts, "sum"], lines)
        run = any("run" in of for of in found.values())
        self.notes.draw(["Seeds in one compiled program tell only compile and run: its parts overlap."] if run else [])
