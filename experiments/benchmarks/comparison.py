"""The same loop in `bal`, modAL and scikit-activeml: time, memory, and faults that were reported.

    pip install modAL-python scikit-activeml    # what is not installed is left out, and said
    python experiments/benchmarks/comparison.py

Loop: digits, logistic regression of scikit-learn, the two most probable classes closest (margin), ten labels a round,
the same start set, in double precision. `shared` counts the picks that are also those of bal. `seeds` runs several of
them one after the other; in bal also as one program with a softmax regression of its own, which no other library has.
Pool: a million rows of 64 numbers in a file, one round; `memory` is the peak of what the process holds itself beside
the file's pages. Faults are small programs, which say whether a reported fault is there in the version installed. Some
minutes. Linux only.

For a glance: ``--rounds 2 --seeds 2 --rows 2000``.
"""

# pyright: reportMissingImports=false

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.benchmarks.timing import at_least, start, table

START, BATCH, NUM_TEST = 20, 10, 397
MODULES = {"bal": "bal", "modAL": "modAL", "scikit-activeml": "skactiveml"}


@dataclass(frozen=True)
class Config:
    """How much is run."""

    rounds: int = 20
    """Rounds of ten labels each."""
    seeds: int = 20
    """Seeds of the second table."""
    rows: int = 1_000_000
    """Rows of the large pool."""


def digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pool, labels, test rows, their labels, and the start set of a seed."""
    from bal.datasets import digits

    data = digits()
    x, y = data.x.reshape(-1, 64).astype(np.float64), np.asarray(data.y)
    begin = np.random.default_rng(seed).choice(len(x) - NUM_TEST, START, replace=False)
    return x[NUM_TEST:], y[NUM_TEST:], x[:NUM_TEST], y[:NUM_TEST], begin


def model() -> Any:
    """The learner of all three."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def by_bal(seed: int, rounds: int) -> tuple[list[int], list[float], float]:
    """Picks in order, seconds of each round, accuracy in the end."""
    import jax

    from bal.evaluation import classification
    from bal.learners import from_sklearn
    from bal.loop import run_eager
    from bal.pool import make_pool
    from bal.strategies import margin
    from bal.typing import Setup, Task

    jax.config.update("jax_enable_x64", True)  # as the others; in single precision scikit-learn's fit is another
    x, y, x_test, y_test, begin = digits(seed)
    times = [time.perf_counter()]
    setup = Setup(from_sklearn(model(), num_classes=10), margin(), BATCH, rounds, evaluate=classification())
    task = Task(make_pool(x), y, (x_test, y_test), begin)
    log = run_eager(jax.random.key(seed), task, setup, on_round=lambda event: times.append(time.perf_counter()))
    picks = np.asarray(log.indices).ravel().tolist()
    return picks, np.diff(times).tolist(), float(log.metrics["accuracy"][-1])


def by_modal(seed: int, rounds: int) -> tuple[list[int], list[float], float]:
    """Likewise."""
    from modAL.models import ActiveLearner
    from modAL.uncertainty import margin_sampling

    x, y, x_test, y_test, begin = digits(seed)
    left, known, picks, seconds, accuracy = np.setdiff1d(np.arange(len(x)), begin), begin, [], [], 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        learner = ActiveLearner(model(), margin_sampling, x[known], y[known])  # its `teach` may fail, see below
        accuracy = learner.score(x_test, y_test)
        rows, _ = learner.query(x[left], n_instances=BATCH)
        picks += left[rows].tolist()
        known, left = np.append(known, left[rows]), np.delete(left, rows)
        seconds.append(time.perf_counter() - started)
    accuracy = ActiveLearner(model(), margin_sampling, x[known], y[known]).score(x_test, y_test)
    return picks, seconds, float(accuracy)


def by_activeml(seed: int, rounds: int) -> tuple[list[int], list[float], float]:
    """Likewise."""
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import UncertaintySampling

    x, y, x_test, y_test, begin = digits(seed)
    labels = np.full(len(x), np.nan)
    labels[begin] = y[begin]
    clf, query = SklearnClassifier(model(), classes=range(10)), UncertaintySampling("margin_sampling", random_state=0)
    clf.fit(x, labels)
    picks, seconds, accuracy = [], [], 0.0
    for _ in range(rounds):
        begun = time.perf_counter()
        rows = query.query(x, labels, clf, fit_clf=False, batch_size=BATCH)
        picks += rows.tolist()
        labels[rows] = y[rows]
        accuracy = clf.fit(x, labels).score(x_test, y_test)
        seconds.append(time.perf_counter() - begun)
    return picks, seconds, float(accuracy)


LOOPS = {"bal": by_bal, "modAL": by_modal, "scikit-activeml": by_activeml}


def one_program(seeds: int, rounds: int) -> float:
    """Seconds of all seeds in one program of JAX, compiling included: softmax regression in place of scikit-learn's."""
    from bal import use_all_cores

    use_all_cores()
    import jax
    import jax.numpy as jnp

    from bal.evaluation import classification
    from bal.learners import ensemble, linear
    from bal.loop import run_seeds, seed_keys
    from bal.pool import make_pool
    from bal.strategies import margin
    from bal.typing import Setup, Task

    x, y, x_test, y_test, _ = digits(0)
    starts = jnp.asarray([digits(seed)[-1] for seed in range(seeds)])
    pool, test = make_pool(x.astype(np.float32)), (jnp.asarray(x_test, jnp.float32), jnp.asarray(y_test))
    setup = Setup(ensemble(linear(10), 1, num_steps=300), margin(), BATCH, rounds, evaluate=classification())
    axes = Task(jax.tree.map(lambda leaf: None, pool), None, None, 0)
    begun = time.perf_counter()
    runs = run_seeds(seed_keys(0, seeds), Task(pool, y, test, starts), setup, axes=axes)
    jax.block_until_ready(runs.log.metrics)
    return time.perf_counter() - begun


def large(name: str, path: str, rows: int) -> tuple[float, float]:
    """Seconds of one query over a pool in a file, and the most memory that it took, in units of 2^20 bytes."""
    x = np.memmap(path, np.float32, "r", shape=(rows, 64))
    few, y = np.array(x[:200]), np.arange(200) % 10
    query = {"bal": _large_bal, "modAL": _large_modal, "scikit-activeml": _large_activeml}[name](x, few, y)
    before, most, done = _held(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            most[0] = max(most[0], _held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    query()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return seconds, (most[0] - before) / 2**10


def _held() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def _large_bal(x: np.ndarray, few: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    import jax

    from bal.learners import from_sklearn
    from bal.loop import run_eager
    from bal.pool import host, make_pool
    from bal.strategies import margin
    from bal.typing import Setup, Task

    labels = np.zeros(len(x), np.int32)
    labels[: len(y)] = y
    setup = Setup(from_sklearn(model(), num_classes=10), margin(), BATCH, 1, over=host())
    task = Task(make_pool(x), labels, start=np.arange(len(y)))
    return lambda: run_eager(jax.random.key(0), task, setup)


def _large_modal(x: np.ndarray, few: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    from modAL.models import ActiveLearner
    from modAL.uncertainty import margin_sampling

    learner = ActiveLearner(model(), margin_sampling, few, y)
    return lambda: learner.query(x, n_instances=BATCH)


def _large_activeml(x: np.ndarray, few: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import UncertaintySampling

    labels = np.full(len(x), np.nan)
    labels[: len(y)] = y
    clf, query = SklearnClassifier(model(), classes=range(10)), UncertaintySampling("margin_sampling", random_state=0)
    return lambda: query.query(x, labels, clf, batch_size=BATCH)


def two_rows_cut() -> bool:
    """Whether a strategy that returns two rows is handed on as one."""
    from modAL.models import ActiveLearner

    x, y, *_ = digits(0)
    learner = ActiveLearner(model(), lambda learner, pool, n_instances: np.array([3, 5]), x[:50], y[:50])
    return np.size(learner.query(x, n_instances=2)[0]) == 1


def asked_twice() -> bool:
    """Whether a custom strategy runs twice for one query."""
    from modAL.models import ActiveLearner

    x, y, *_ = digits(0)
    calls: list[int] = []

    def strategy(learner: Any, pool: np.ndarray, n_instances: int) -> np.ndarray:
        calls.append(1)
        return np.arange(n_instances)

    ActiveLearner(model(), strategy, x[:50], y[:50]).query(x, n_instances=3)
    return len(calls) == 2


def teaching_fails() -> bool:
    """Whether `teach` calls scikit-learn by a name that it no longer has."""
    from modAL.models import ActiveLearner

    x, y, *_ = digits(0)
    try:
        ActiveLearner(model(), X_training=x[:50], y_training=y[:50]).teach(x[50:60], y[50:60])
    except TypeError:
        return True
    return False


def error_reduction_fails() -> bool:
    """Whether expected error reduction can be imported."""
    try:
        import modAL.expected_error  # noqa: F401
    except AttributeError:
        return True
    return False


def copies_in_a_batch() -> bool:
    """Whether BatchBALD asks for a row twice where the members of a committee agree, in some of 30 batches."""
    from skactiveml.classifier import ParzenWindowClassifier
    from skactiveml.pool import BatchBALD

    def sizes() -> Iterator[int]:
        for seed in range(30):
            x, y = np.random.default_rng(seed).normal(size=(30, 2)), np.array([0, 1, 2, *[np.nan] * 27])
            committee = [ParzenWindowClassifier(classes=[0, 1, 2], random_state=0) for _ in range(3)]
            yield len(set(BatchBALD(random_state=seed).query(x, y, ensemble=committee, batch_size=4).tolist()))

    return min(sizes()) < 4


def callers_array_changed() -> bool:
    """Whether probabilities of 0 in the caller's array are other numbers afterwards."""
    from skactiveml.pool import batch_bald

    probs = np.random.default_rng(0).dirichlet(np.ones(3), (4, 6))
    probs[:, 0] = [1.0, 0.0, 0.0]
    before = probs.copy()
    batch_bald(probs, 2, random_state=0)
    return not np.array_equal(probs, before)


FAULTS = {
    "a custom strategy that returns two rows is cut to one": ("modAL", two_rows_cut),
    "a custom strategy runs twice a query": ("modAL", asked_twice),
    "`teach` fails with the scikit-learn installed": ("modAL", teaching_fails),
    "`modAL.expected_error` cannot be imported": ("modAL", error_reduction_fails),
    "`batch_bald` asks for a row twice where members agree": ("scikit-activeml", copies_in_a_batch),
    "`batch_bald` changes its caller's array": ("scikit-activeml", callers_array_changed),
}


def apart(function: Callable, *args: Any) -> Any:
    """In a process of its own: nothing warmed up, nothing held by what ran before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args).result()


def installed() -> list[str]:
    """The libraries that are there."""
    return [name for name, module in MODULES.items() if find_spec(module) is not None]


def loops(config: Config, console: Console) -> None:
    """The first table."""
    found = table("library", "round [s]", "first [s]", "seeds [s]", "accuracy", "shared", title="Digits, margin")
    ours: list[int] = []
    for name in installed():
        picks, seconds, accuracy, whole = apart(many, name, config.seeds, config.rounds)
        ours = ours or picks
        shared = f"{len(set(picks) & set(ours))} of {len(ours)}"
        first = f"{seconds[0]:.2f}"
        found.add_row(name, f"{np.median(seconds):.3f}", first, f"{whole:.1f}", f"{accuracy:.3f}", shared)
    found.add_row("bal, one program", "", "", f"{apart(one_program, config.seeds, config.rounds):.1f}", "", "")
    console.print(found)


def many(name: str, seeds: int, rounds: int) -> tuple[list[int], list[float], float, float]:
    """Of several seeds, one after the other: what the first did, and the seconds of all."""
    begun = time.perf_counter()
    told = [LOOPS[name](seed, rounds) for seed in range(seeds)]
    return *told[0], time.perf_counter() - begun


def pools(config: Config, console: Console) -> None:
    """The second table."""
    found = table("library", "seconds", "memory [2^20 bytes]", title=f"One query over {config.rows:,} rows in a file")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "pool.f32")
        pool = np.memmap(path, np.float32, "w+", shape=(config.rows, 64))
        for place in range(0, config.rows, 100_000):
            part = pool[place : place + 100_000]
            part[:] = np.random.default_rng(place).normal(size=part.shape)
        pool.flush()
        for name in installed():
            seconds, memory = apart(large, name, path, config.rows)
            found.add_row(name, f"{seconds:.1f}", f"{memory:,.0f}")
    console.print(found)


def faults(console: Console) -> None:
    """The third table."""
    found = table("library", "fault that was reported", "there")
    for what, (name, shown) in FAULTS.items():
        if name in installed():
            found.add_row(name, what, "yes" if apart(shown) else "no")
    console.print(found)


def main(config: Config) -> None:
    """All three tables."""
    at_least(config, 1, "rounds", "seeds")
    at_least(config, 1000, "rows")
    console = Console(width=80)
    there = installed()
    for name in MODULES.keys() - set(there):
        console.print(f"{name} is not installed and is left out: pip install modAL-python scikit-activeml")
    names = {"bal": "bal-jax", "modAL": "modAL-python", "scikit-activeml": "scikit-activeml"}
    loops(config, console)
    pools(config, console)
    faults(console)
    console.print(", ".join(f"{name} {_version(names[name])}" for name in there))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "here"


if __name__ == "__main__":
    start(main, Config, __doc__)
