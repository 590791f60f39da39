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
all of it more than half an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import strategies
from bal.datasets import Dataset, split, standardize, start_set, uci_classification
from bal.evaluation import area_under_curve
from bal.learners import ensemble, from_functions, mlp, warm
from bal.loop import run_eager, run_seeds, seed_keys
from bal.loop.stacked import stacked
from bal.pool import make_pool
from bal.selection import best
from bal.sweep import sweep
from bal.typing import Posterior, PyTree, Query, Setup, Stage, Task
from experiments.common import start
from experiments.options import at_least

Exam = Literal["sonar", "wdbc", "pima", "pairs", "dna"]
Machine = Literal["rbf", "forest", "lr"]
BLOCK = 10


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
TABLES = {"sonar": "Sonar", "pima": "PimaIndiansDiabetes"}
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


@dataclass(frozen=True)
class Cell:
    """Ten seeds of one machine that learns and one that asks."""

    data: Literal["sonar", "wdbc", "pima", "dna"]
    """Data set."""
    learns: Literal["rbf", "forest", "lr", "network"] = "rbf"
    """What is trained and tested."""
    asks: Literal["random", "rbf", "forest", "lr", "network"] = "random"
    """Whose margin is asked by."""
    first: int = 0
    """Number of the first seed."""
    seeds: int = BLOCK
    """How many."""
    labels: int | None = None
    """Labels at the end; None = all of the pool."""


class Machines(NamedTuple):
    """Fitted: what learns and what asks."""

    learns: Any
    asks: Any


def made(name: str, seed: int) -> Any:
    """A machine that is not fitted; scikit-learn's defaults but where the protocol says otherwise."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    if name == "forest":
        return RandomForestClassifier(random_state=seed)
    return SVC(kernel="rbf", gamma="auto", C=1.0) if name == "rbf" else LogisticRegression(C=0.1)


def decision(machine: Any, x: np.ndarray) -> np.ndarray:
    """Positive for class 1, the farther from 0 the surer: decision values, of a forest the difference of its shares."""
    if isinstance(machine, int | np.integer):  # only one class was labeled
        return np.full(len(x), 2.0 * machine - 1)
    if hasattr(machine, "decision_function"):
        return machine.decision_function(x)
    return machine.predict_proba(x) @ [-1.0, 1.0]


def fitter(learns: str, asks: str) -> Callable:
    """``x, y, seed -> Machines``."""

    def fit(x: np.ndarray, y: np.ndarray, seed: int) -> Machines:
        one = lambda name: made(name, seed % 2**31).fit(x, y) if len(np.unique(y)) > 1 else y[0]
        first = one(learns)
        return Machines(first, first if asks in ("random", learns) else one(asks))

    return fit


def probabilities(machines: Machines, x: np.ndarray) -> np.ndarray:
    """``[n, 2]``, by which only the class is told."""
    one = (decision(machines.learns, x) > 0).astype(float)
    return np.stack([1 - one, one], 1)


def uncertainty(posterior: Posterior, context: PyTree, x: PyTree) -> np.ndarray:
    """Row function: how near to its boundary the machine that asks sees a row."""
    del context
    return -np.abs(decision(posterior.state.asks, np.asarray(x)))


def accuracy(posterior: Posterior, test: PyTree) -> dict[str, Any]:
    """Of the machine that learns."""
    x, y = test
    return {"accuracy": np.mean(np.asarray(posterior.predict(np.asarray(x))).mean(1).argmax(-1) == np.asarray(y))}


def breast_cancer() -> Dataset:
    """Wdbc, as scikit-learn ships it."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return Dataset(x.astype(np.float32), y.astype(np.int32), None, None, "wdbc", 2, "scikit-learn")


def machine_curves(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of labels, and the accuracy at each of them in every seed."""
    dataset = breast_cancer() if cell.data == "wdbc" else uci_classification(TABLES[cell.data])
    learner = from_functions(fitter(cell.learns, cell.asks), probabilities)
    query = strategies.random() if cell.asks == "random" else Query((Stage(uncertainty, best),))
    curves, labels, keys = [], np.zeros(0), seed_keys(0, cell.first + cell.seeds)
    for seed in range(cell.first, cell.first + cell.seeds):
        parts = standardize(split(dataset, seed, round(0.4 * len(dataset.y))))[0]
        rounds = (len(parts.y) if cell.labels is None else cell.labels) - 20
        setup = Setup(learner, query, 1, rounds, 20, accuracy)
        log = run_eager(keys[seed], Task(make_pool(parts.x), parts.y, (parts.x_test, parts.y_test)), setup)
        labels = np.asarray(log.num_training)
        curves.append(np.asarray(log.metrics["accuracy"]))
    return labels, np.stack(curves)


def network_accuracy(posterior: Posterior, test: PyTree) -> dict[str, jax.Array]:
    """Of the network."""
    return {"accuracy": (posterior.predict(test[0]).mean(1).argmax(-1) == test[1]).mean()}


def network_curves(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The same for the network on DNA; all seeds are one compiled program."""
    dataset = uci_classification("DNA")
    optimizer = optax.chain(optax.add_decayed_weights(1.8e-6), optax.sgd(0.0338))
    network = mlp((24, 12), num_outputs=3)
    learner = ensemble(network, 1, num_steps=100, minibatch_size=64, optimizer=optimizer, restart=warm)
    query = strategies.random() if cell.asks == "random" else strategies.margin()
    setup = Setup(learner, query, 1, (cell.labels or 300) - 3, evaluate=network_accuracy)

    def task_of(seed: int) -> Task:
        parts = standardize(split(dataset, cell.first + seed, len(dataset.y) // 3))[0]
        assert parts.x_test is not None
        assert parts.y_test is not None
        first = start_set(parts.y, 3, cell.first + seed)
        test = jnp.asarray(parts.x_test), jnp.asarray(parts.y_test)
        return Task(make_pool(jnp.asarray(parts.x)), jnp.asarray(parts.y), test, jnp.asarray(first, jnp.int32))

    task, axes = stacked(task_of, cell.seeds)
    log = run_seeds(seed_keys(0, cell.first + cell.seeds)[cell.first :], task, setup, axes).log
    return np.asarray(log.num_training[0]), np.asarray(log.metrics["accuracy"])


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
