"""Small classification tables as tasks: pool, test, start set and scale of features are those of a seed."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from bal.datasets import Dataset, digits, split, standardize, uci_classification
from bal.pool import make_pool
from bal.typing import Task
from experiments.options import check_pool, start_rows

TABLES = {
    "digits": "digits",
    "vowel": "Vowel",
    "satellite": "Satellite",
    "vehicle": "Vehicle",
    "letter": "LetterRecognition",
    "sonar": "Sonar",
    "pima": "PimaIndiansDiabetes",
}
TableName = Literal["digits", "vowel", "satellite", "vehicle", "letter", "sonar", "pima"]


class Sizes(NamedTuple):
    """Rows of a task: at most so many in the pool and the test (at most a third of the table), labels asked for."""

    pool: int
    test: int
    start: int
    rounds: int
    batch: int


def load(name: TableName) -> Dataset:
    """All rows of a table; all but digits need a file in the folder BAL_DATA."""
    return digits() if name == "digits" else uci_classification(TABLES[name])


def table_tasks(name: TableName, sizes: Sizes) -> tuple[int, Callable[[int], Task]]:
    """Number of classes, and the task of a seed, standardized on its pool."""
    dataset = load(name)
    assert dataset.num_classes is not None
    num_test = min(sizes.test, len(dataset.y) // 3)
    num_pool = min(sizes.pool, len(dataset.y) - num_test)
    check_pool(num_pool, sizes.start, sizes.rounds, sizes.batch)

    def of_seed(seed: int) -> Task:
        parts = split(dataset, seed, num_test)
        rows = np.random.default_rng(seed).permutation(len(parts.y))[:num_pool]
        scaled = standardize(parts._replace(x=parts.x[rows], y=parts.y[rows]))[0]
        assert scaled.x_test is not None
        first = start_rows(scaled.y, sizes.start, seed)
        test = jnp.asarray(scaled.x_test), jnp.asarray(scaled.y_test)
        return Task(make_pool(jnp.asarray(scaled.x)), jnp.asarray(scaled.y), test, jnp.asarray(first, jnp.int32))

    return dataset.num_classes, of_seed
