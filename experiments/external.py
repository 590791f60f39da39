"""Other people's exams: published runs repeated by their own protocols, and where the numbers differ.

    python experiments/external.py                        # needs uci_classification.npz in BAL_DATA
    python experiments/external.py --exams sonar --seeds 15

Exams "sonar", "wdbc", "pima" and "pairs" are of Lu et al. 2023 (re-benchmarking pool-based active learning): 40 % of
the rows are the test, 20 rows drawn at random are labeled at the start, then one a step until the pool is empty;
features are standardized; an SVM (RBF kernel, gamma 1/D, C 1) learns. Asked at random, or where the decision value of a
machine is least certain: in "sonar", "wdbc" and "pima" of the SVM itself, in "pairs" (Sonar) of an SVM, a random forest
or a logistic regression (C 0.1), while another of the three learns. Areas are trapezoids over the number of labels,
divided by last - first + 1, of test accuracy.

Exam "dna" is of Werner et al. 2024 (CDALBench): one label a class at the start and one a step to 300, a network of 24
and 12 hidden units trained on from step to step by SGD (rate 0.0338, minibatches of 64, weight decay 1.8e-6), 50 runs;
the area of margin less that of random. Reconstructed: 100 steps of training for each label, a third of the rows as the
test, no early stop on validation rows.

Printed: what was published beside what came out, with standard errors, and whether they agree within three of them.
Published errors of curve points are given as a range; those between its ends are interpolated. Nothing is tuned here.
Kept: runs/, every ten seeds, so that the same command goes on where it stopped. Sonar takes five minutes on two cores,
Pima a quarter of an hour, the pairs half an hour.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal.evaluation import area_under_curve
from bal.sweep import sweep
from experiments.common import start
from experiments.external_machines import BLOCK, Cell, machine_curves, network_curves
from experiments.options import at_least

Exam = Literal["sonar", "wdbc", "pima", "pairs", "dna"]


class Published(NamedTuple):
    """Mean area and its standard error at random and by margin; accuracies at some numbers of labels, and the range of
    their standard errors."""

    uniform: tuple[float, float]
    margin: tuple[float, float]
    points: dict[int, float]
    errors: tuple[float, float]


PUBLISHED = {
    "sonar": Published(
        (0.7463, 0.0031), (0.7768, 0.0026), {20: 0.622, 40: 0.754, 60: 0.793, 100: 0.809}, (0.007, 0.003)
    ),
    "wdbc": Published(
        (0.9539, 0.0011), (0.9654, 0.0008), {20: 0.900, 40: 0.960, 60: 0.968, 100: 0.970}, (0.004, 0.001)
    ),
    "pima": Published(
        (0.7424, 0.0012), (0.7480, 0.0013), {20: 0.683, 40: 0.716, 60: 0.727, 100: 0.741}, (0.003, 0.002)
    ),
}
"""Of 150 splits; errors at random from the published deviations over seeds."""
PAIRS = {
    ("rbf", "rbf"): 0.777,
    ("forest", "forest"): 0.770,
    ("forest", "rbf"): 0.769,
    ("rbf", "forest"): 0.768,
    ("lr", "forest"): 0.762,
    ("lr", "rbf"): 0.758,
    ("lr", "lr"): 0.745,
    ("rbf", "lr"): 0.737,
    ("forest", "lr"): 0.737,
}
"""Areas on Sonar by who asks and who learns; each with a standard error of 0.003."""
PAIR_ERROR, DNA = 0.003, (0.039, (0.04**2 + 0.02**2) ** 0.5 / 50**0.5)


@dataclass(frozen=True)
class Config:
    """Which exams, and how many seeds."""

    exams: tuple[Exam, ...] = ("sonar", "wdbc", "pima", "pairs", "dna")
    """Exams to sit."""
    seeds: int = 150
    """Splits of sonar, wdbc and pima, as published."""
    pair_seeds: int = 40
    """Splits of the nine pairs, of which five fit a hundred trees at every step; published were 150."""
    dna_seeds: int = 50
    """Runs on DNA, as published."""
    labels: int | None = None
    """Labels at the end, for a glance; by default all of the pool (of DNA 300), as published."""
    workers: int | None = None
    """Processes; as many as there are cores by default."""
    runs: Path = Path("runs")
    """Folder of records."""


def run(cell: Cell, root: Path) -> dict[str, Any]:
    """A cell of the sweep; its curves are kept with it."""
    del root
    labels, curves = (network_curves if cell.learns == "network" else machine_curves)(cell)
    return {"labels": labels.tolist(), "accuracy": curves.astype(float).tolist()}


def blocks(seeds: int) -> list[dict[str, int]]:
    """Ten seeds a cell."""
    return [{"first": first, "seeds": min(BLOCK, seeds - first)} for first in range(0, seeds, BLOCK)]


def cells_of(exam: Exam, config: Config) -> list[Cell]:
    """All cells of an exam."""
    if exam == "dna":
        return [Cell("dna", "network", asks, 0, config.dna_seeds, config.labels) for asks in ("random", "network")]
    some: list[tuple[Any, Any, Any]] = [("sonar", learns, asks) for asks, learns in PAIRS]
    if exam != "pairs":
        some = [(exam, "rbf", asks) for asks in ("random", "rbf")]
    number = config.pair_seeds if exam == "pairs" else config.seeds
    return [Cell(*one, **block, labels=config.labels) for one in some for block in blocks(number)]


class Curves(NamedTuple):
    """Numbers of labels ``[E]`` and accuracies ``[S, E]``."""

    labels: np.ndarray
    accuracy: np.ndarray

    def areas(self) -> np.ndarray:
        """As published: divided by the number of evaluations."""
        spread = self.labels[-1] - self.labels[0]
        return area_under_curve(self.labels, self.accuracy) * spread / (spread + 1)


def mean_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard error over seeds."""
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def compared(published: tuple[float, float], ours: tuple[float, float]) -> str:
    """Whether two means agree."""
    apart = (ours[0] - published[0]) / (ours[1] ** 2 + published[1] ** 2) ** 0.5
    return f"agrees ({apart:+.1f} s.e.)" if abs(apart) <= 3 else f"DIFFERS ({apart:+.1f} s.e.)"


def rows_of(exam: Exam, found: dict[tuple[str, str, str], Curves]) -> list[tuple[str, str, str, str]]:
    """Lines of the table: what, published, ours, verdict."""
    words = lambda pair: f"{pair[0]:.4f} ± {pair[1]:.4f}"
    line = lambda what, told, ours: (what, words(told), words(ours), compared(told, ours))
    if exam == "dna":
        random, margin = (found["dna", "network", asks].areas() for asks in ("random", "network"))
        return [line("dna: margin - random", DNA, mean_error(margin - random))]
    if exam == "pairs":
        return pair_rows(found)
    told = PUBLISHED[exam]
    random, margin = (found[exam, "rbf", asks] for asks in ("random", "rbf"))
    rows = [line(f"{exam}: random, area", told.uniform, mean_error(random.areas()))]
    rows.append(line(f"{exam}: margin, area", told.margin, mean_error(margin.areas())))
    errors = np.geomspace(*told.errors, len(told.points))
    for (number, value), error in zip(told.points.items(), errors):
        at = np.flatnonzero(margin.labels == number)
        if len(at):
            ours = mean_error(margin.accuracy[:, at[0]])
            rows.append(line(f"{exam}: margin, {number} labels", (value, float(error)), ours))
    return rows


def pair_rows(found: dict[tuple[str, str, str], Curves]) -> list[tuple[str, str, str, str]]:
    """The nine pairs in the published order; one that ours puts the other way, beyond two standard errors, is said."""
    areas = {pair: found["sonar", pair[1], pair[0]].areas() for pair in PAIRS}
    rows = []
    for number, (pair, told) in enumerate(PAIRS.items()):
        wrong = []
        for later, value in list(PAIRS.items())[number + 1 :]:
            mean, error = mean_error(areas[pair] - areas[later])
            if told - value > 2 * 2**0.5 * PAIR_ERROR and mean < -2 * error:
                wrong.append("-".join(later))
        verdict = f"BELOW {', '.join(wrong)}" if wrong else "in order"
        mean, error = mean_error(areas[pair])
        rows.append(
            (
                f"pairs: {pair[0]} asks, {pair[1]} learns",
                f"{told:.4f} ± {PAIR_ERROR:.4f}",
                f"{mean:.4f} ± {error:.4f}",
                verdict,
            )
        )
    return rows


def gathered(cells: list[Cell], summaries: list[dict[str, Any]]) -> dict[tuple[str, str, str], Curves]:
    """Curves of all seeds by data set, machine that learns and machine that asks."""
    parts: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for cell, summary in zip(cells, summaries):
        parts.setdefault((cell.data, cell.learns, cell.asks), []).append(summary)
    return {
        name: Curves(np.array(some[0]["labels"]), np.concatenate([np.array(one["accuracy"]) for one in some]))
        for name, some in parts.items()
    }


def main(config: Config) -> None:
    at_least(config, 2, "seeds", "pair_seeds", "dna_seeds")
    at_least(config, 22, "labels")
    at_least(config, 1, "workers")
    console = Console()
    cells: dict[Exam, list[Cell]] = {exam: cells_of(exam, config) for exam in config.exams}
    every = [cell for some in cells.values() for cell in some]
    outcomes = dict(zip(every, sweep(config.runs / "external", run, every, workers=config.workers, console=console)))
    table = Table("quantity", "published", "ours", "verdict", title="other people's exams", box=SIMPLE_HEAD)
    for exam, some in cells.items():
        failed = [outcomes[cell].error for cell in some if outcomes[cell].state != "done"]
        if failed:
            table.add_row(exam, "", "", f"not done: {failed[0]}")
            continue
        for row in rows_of(exam, gathered(some, [outcomes[cell].summary for cell in some])):
            table.add_row(*row)
    console.print(table)
    if config.labels is not None:
        console.print(f"curves end at {config.labels} labels: areas are not those of the protocol")


if __name__ == "__main__":
    start(main, Config, __doc__)
