"""What sits the exams of `external`: machines of scikit-learn and a network, and the curves of a cell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bal import strategies
from bal.datasets import Dataset, split, standardize, start_set, uci_classification
from bal.learners import ensemble, from_functions, mlp, warm
from bal.loop import run_eager, run_seeds, seed_keys
from bal.loop.stacked import stacked
from bal.pool import make_pool
from bal.selection import best
from bal.typing import Posterior, PyTree, Query, Setup, Stage, Task

TABLES = {"sonar": "Sonar", "pima": "PimaIndiansDiabetes"}
BLOCK = 10


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
