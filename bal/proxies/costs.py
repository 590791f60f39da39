"""What selection and training cost together: operations, seconds, labels, and money for all of it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from bal.learners.settings import check_factor
from bal.loop.compiled import Log
from bal.loop.round import INIT, acquire, begin, fit, fold, label_shapes
from bal.proxies.flops import Flops, flops
from bal.typing import Data, Learner, PyTree, Setup, Task


class Cost(NamedTuple):
    """What one part of a run cost.

    part: "encode" (features of the pool), "round" (labels, fit and query), "align" (fine-tuning for new features) or
    "target" (the last training).
    at: labels in the training set then. labels: how many were paid for in this part; price: what they cost.
    flops: operations, NaN where a model cannot be traced; unknown_loops: loops in it that were counted as one pass.
    seconds: as passed, compiling included where it was the first of its kind.
    """

    part: str
    at: int
    labels: int
    price: float
    flops: float
    unknown_loops: int
    seconds: float


class Spent(NamedTuple):
    """The sum of costs; money is that of labels, of machine hours, and of operations."""

    labels: int
    flops: float
    seconds: float
    money: float


def spent(
    costs: Sequence[Cost],
    *,
    until: int | None = None,
    label_price: float = 0.0,
    hour_price: float = 0.0,
    exaflop_price: float = 0.0,
) -> Spent:
    """All that was spent, in labels, operations, seconds and money.

    A cheap proxy saves operations in every round and may pay for them in labels: the sum says whether it was worth it.

    Args:
      costs: of one run, as in `bal.proxies.Selected`.
      until: only what was spent up to this number of labels.
      label_price: of a label whose cost in the pool is 1. hour_price: of an hour of the machine. exaflop_price: of 1e18
        operations, where the machine is not the one that will be paid for.

    Raises:
      ValueError: a price that is negative or not finite.

    >>> run = [Cost("encode", 0, 0, 0.0, 1e15, 0, 60.0), Cost("round", 10, 10, 10.0, 1e12, 0, 1.0)]
    >>> spent(run, label_price=0.5, exaflop_price=2000.0)  # doctest: +ELLIPSIS
    Spent(labels=10, flops=1001000000000000.0, seconds=61.0, money=7.00...)
    """
    for name, price in (("label_price", label_price), ("hour_price", hour_price), ("exaflop_price", exaflop_price)):
        check_factor(name, price)
    some = [cost for cost in costs if until is None or cost.at <= until]
    count, seconds = (float(sum(getattr(cost, name) for cost in some)) for name in ("flops", "seconds"))
    operations = count / 1e18 * exaflop_price if exaflop_price else 0.0  # NaN only where it is asked for
    money = sum(cost.price for cost in some) * label_price + seconds / 3600 * hour_price + operations
    return Spent(sum(cost.labels for cost in some), count, seconds, float(money))


def round_flops(task: Task, setup: Setup) -> tuple[Flops, Flops]:
    """Operations of the fit and of the query of a round: the same in all rounds, since shapes do not change.

    What is measured on a test set is not counted. Nothing runs.

    Use it to plan: so many rounds of a proxy, beside one fine-tuning.

    Raises:
      ValueError: a learner on the host, which cannot be traced.

    >>> from bal import make_pool, strategies
    >>> from bal.learners import ensemble, linear
    >>> setup = Setup(ensemble(linear(2), 1, num_steps=10, minibatch_size=4), strategies.margin(), 5, 2, num_initial=3)
    >>> fit, query = round_flops(Task(make_pool(np.ones((100, 7))), np.zeros(100, int)), setup)
    >>> fit.count == 10 * 4 * (2 * 7 * 2) * 2, query.count == 100 * 2 * 7 * 2  # values and gradients; the pool
    (True, True)
    """
    num_first = setup.num_initial if task.start is None else len(task.start)
    capacity = int(num_first or 0) + max(setup.num_rounds, 1) * setup.batch_size
    y = label_shapes(task) if callable(task.oracle) else jax.tree.map(lambda leaf: leaf[:1], task.oracle)
    return _of_round(task, setup, capacity, y)


def _of_round(task: Task, setup: Setup, capacity: int, y: PyTree) -> tuple[Flops, Flops]:
    if setup.learner.host:
        raise ValueError("this learner is plain Python, whose operations nobody counts; go by seconds")
    leaves, tree = jax.tree.flatten(shapes((task.pool, y)))
    static = setup._replace(evaluate=None, num_rounds=1, num_initial=None, over=None)
    return _counted(static, capacity, tree, tuple(leaves))


@lru_cache(maxsize=32)
def _counted(setup: Setup, capacity: int, tree: Any, leaves: tuple) -> tuple[Flops, Flops]:
    pool, y = tree.unflatten(leaves)
    key, learner = jax.random.key(0), setup.learner
    carry = jax.eval_shape(lambda pool, y: begin(key, learner, setup.query, pool, y, capacity), pool, y)
    fitted = lambda pool, carry: fit(key, learner, pool, carry.labeled, carry.state)
    asked = lambda pool, carry: acquire(key, setup, pool, carry)[0].indices
    return flops(fitted, pool, carry), flops(asked, pool, carry)


@lru_cache(maxsize=32)
def _of_fit(learner: Learner, tree: Any, leaves: tuple) -> Flops:
    key, data = jax.random.key(0), tree.unflatten(leaves)
    state = jax.eval_shape(learner.init, fold(key, INIT), data)
    return flops(learner.fit, key, state, data)


def fit_flops(learner: Learner, data: Data) -> Flops:
    """Operations of one fit; NaN for a learner on the host."""
    if learner.host:
        return Flops(np.nan)
    leaves, tree = jax.tree.flatten(shapes(data))
    return _of_fit(learner, tree, tuple(leaves))


def row_flops(fn: Any, state: PyTree, x: PyTree) -> Flops:
    """Operations of a row-wise ``fn(state, x)`` on one row."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), shapes(x))
    return flops(fn, shapes(state), one)


def costs_of(task: Task, setup: Setup, log: Log, seconds: Sequence[float]) -> list[Cost]:
    """What each round of a run cost: new labels, a fit, and a query, which the last evaluation does not have.

    Use it for a run of any learner, as of the network that is fine-tuned in every round, beside `bal.proxies.asvp`.

    Args:
      task, setup, log: of the run, for any learner.
      seconds: of each round, as many as evaluations.

    Raises:
      ValueError: other numbers of seconds than of evaluations.
    """
    training, valid = np.asarray(log.num_training), np.asarray(log.valid)
    if len(seconds) != len(training):
        raise ValueError(f"expected seconds of the {len(training)} evaluations, got {len(seconds)}")
    fitted = asked = Flops(np.nan)
    if not setup.learner.host:
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), log.y_start)
        fitted, asked = _of_round(task, setup, len(log.start) + max(setup.num_rounds, 1) * setup.batch_size, like)
    prices = np.asarray(task.pool.cost)
    paid = [np.asarray(log.start)] + [rows[real] for rows, real in zip(np.asarray(log.indices), valid, strict=True)]
    costs = []
    for number, (at, rows, took) in enumerate(zip(training.tolist(), paid, seconds, strict=True)):
        whole = fitted + asked if number < len(valid) else fitted
        costs.append(Cost("round", at, len(rows), float(prices[rows].sum()), *whole, float(took)))
    return costs


def shapes(tree: PyTree) -> PyTree:
    """Shapes and types as JAX will have them."""
    dtype = lambda leaf: leaf.dtype if isinstance(leaf, jax.Array) else jax.dtypes.canonicalize_dtype(leaf.dtype)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), dtype(leaf)), tree)
