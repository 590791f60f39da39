"""One strategy on one data set with one learner: a cell of a sweep, of which tables over data sets are made.

    bal run experiments.study:run --data digits --strategy bald --seeds 5
    bal sweep experiments.study:run --seeds 10 \\
        --grid data=digits,vowel,satellite strategy=random,margin,bald,badge learner=ensemble,mc-dropout
    bal report runs

Pools of at most 1,000 rows, tests of at most 500; 20 labels at the start, balanced over classes, and 10 a round. A seed
fixes pool, test and start set for all strategies and learners, so that differences are paired; the seeds of a cell are
one compiled program. Features of tables are standardized on the pool. Vowel, satellite and the other tables of
`bal.datasets.uci_classification` need their file in the folder BAL_DATA.

Kept: runs/<data>/, one record a cell. A sweep that is stopped goes on when the same command is typed again, here or on
another machine that shares the folder, and a cell of 5 seeds grows to 10.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from bal import strategies
from bal.datasets import Dataset, digits, split, standardize, uci_classification
from bal.evaluation import classification
from bal.loop import study
from bal.pool import make_pool
from bal.strategies.installed import plug_in
from bal.sweep.cells import as_values, of_values
from bal.typing import Query, Setup, Task
from experiments.options import at_least, check_pool, positive, start_rows
from experiments.posterior_learners import Sizes, learners

Sets = Literal["digits", "vowel", "satellite", "vehicle", "dna", "sonar"]
TABLES = {"vowel": "Vowel", "satellite": "Satellite", "vehicle": "Vehicle", "dna": "DNA", "sonar": "Sonar"}


@dataclass(frozen=True)
class Study(Sizes):
    """Settings of a cell."""

    data: Sets = "digits"
    """Data set; all but digits are tables in the folder BAL_DATA."""
    strategy: str = "random"
    """Acquisition strategy: random, entropy, margin, bald, power-bald, badge, lcmd, or package:strategy of an installed
    package; a report compares with random, so let it be among those of a sweep."""
    learner: Literal["ensemble", "mc-dropout", "laplace-kfac", "mean-field"] = "ensemble"
    """Posterior, around one network with one hidden layer."""
    seeds: int = 5
    """Paired repetitions."""
    rounds: int = 8
    """Acquisition rounds."""
    batch_size: int = 10
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the start, balanced over classes."""
    pool_size: int = 1_000
    """Rows of the pool at most; drawn anew in each seed."""
    test_size: int = 500
    """Rows held out in each seed, at most and at most a third of a table."""


def queries() -> dict[str, Query]:
    """What can be asked by, by name."""
    return {
        "random": strategies.random(),
        "entropy": strategies.entropy(),
        "margin": strategies.margin(),
        "bald": strategies.bald(),
        "power-bald": strategies.power_bald(),
        "badge": strategies.badge(),
        "lcmd": strategies.lcmd(),
    }


def query_of(name: str) -> Query:
    """The query of this name, here or among what installed packages bring."""
    known = queries()
    if name not in known and ":" not in name:
        raise ValueError(
            f"expected a strategy of {', '.join(known)}, or package:strategy of an installed package, got {name!r}"
        )
    return known[name] if name in known else plug_in(name)


def load(name: str) -> Dataset:
    """All rows of a set, without a test set."""
    return digits() if name == "digits" else uci_classification(TABLES[name])


def task_of_seed(config: Study, dataset: Dataset, seed: int) -> Task:
    """Pool, test and start set of a seed; the same for all strategies and learners."""
    parts = split(dataset, seed, min(config.test_size, len(dataset.y) // 3))
    rows = np.random.default_rng(seed).permutation(len(parts.y))[: config.pool_size]
    parts = parts._replace(x=parts.x[rows], y=parts.y[rows])
    first = start_rows(parts.y, config.start_size, seed)
    scaled = parts if config.data == "digits" else standardize(parts)[0]
    assert scaled.x_test is not None
    assert scaled.y_test is not None
    test = jnp.asarray(scaled.x_test), jnp.asarray(scaled.y_test)
    return Task(make_pool(jnp.asarray(scaled.x)), jnp.asarray(scaled.y), test, jnp.asarray(first, jnp.int32))


def setup_of(config: Study, dataset: Dataset) -> Setup:
    """How a cell learns and asks."""
    learner = learners(dataset.x.shape[1], dataset.num_classes, config)[config.learner]()
    return Setup(learner, query_of(config.strategy), config.batch_size, config.rounds, evaluate=classification())


def check(config: Study, dataset: Dataset) -> None:
    """Refuse settings that cannot be meant, before any work."""
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "pool_size", "test_size")
    at_least(config, 1, "hidden", "members", "draws", "steps", "minibatch_size")
    positive(config, "learning_rate")
    try:
        query_of(config.strategy)
    except (ValueError, TypeError) as error:
        raise SystemExit(str(error)) from error
    num_test = min(config.test_size, len(dataset.y) // 3)
    check_pool(min(config.pool_size, len(dataset.y) - num_test), config.start_size, config.rounds, config.batch_size)


def run(config: Study, root: Path) -> dict[str, Any]:
    """The cell: a study of one strategy, under ``root/<data>``; its summary says how it ended."""
    dataset = load(config.data)
    check(config, dataset)
    curves = study(
        root,
        {config.data: lambda seed: task_of_seed(config, dataset, seed)},
        {config.strategy: setup_of(config, dataset)},
        config.seeds,
        options={"cell": {name: value for name, value in as_values(config).items() if name != "seeds"}},
        baseline=None,
    )[config.data]
    found = {name: values[config.strategy] for name, values in curves.metrics.items()}
    return {"labels": int(curves.labels[-1]), **{name: float(values[:, -1].mean()) for name, values in found.items()}}


def problem(config: dict[str, Any], seed: int) -> tuple[Task, Setup]:
    """Task and set-up of a record, from what it says of its configuration: for ``bal replay``."""
    cell = of_values(Study, config["cell"])
    dataset = load(cell.data)
    return task_of_seed(cell, dataset, seed), setup_of(cell, dataset)
