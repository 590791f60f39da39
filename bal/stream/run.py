"""`run_stream`: a whole stream as one program, and the same over seeds."""

import time
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bal.loop.checks import check_keys, check_labels, check_rows
from bal.loop.doors import seed_axes
from bal.loop.seeds import over_seeds, seed_rows
from bal.method import method as made
from bal.stream.budget import Budget, unlimited
from bal.stream.method import Outcome, StreamMethod
from bal.typing import PRNGKey, PyTree, Values


class StreamLog(NamedTuple):
    """What happened at each of T rows.

    wanted: the method asked for the label; asked: and the budget paid.
    prediction: made before the label was seen; correct: it is the label, known to the judge alone where not asked.
    score, threshold: what was compared; spent: by the budget's own measure, after the row. info: of the decisions.
    """

    wanted: Bool[Array, "T"]
    asked: Bool[Array, "T"]
    prediction: Int[Array, "T"]
    correct: Bool[Array, "T"]
    score: Float[Array, "T"]
    threshold: Float[Array, "T"]
    spent: Float[Array, "T"]
    info: Any


class StreamRun(NamedTuple):
    """A log, and the state of the method after the last row."""

    log: StreamLog
    state: PyTree


class StreamRuns(NamedTuple):
    """Logs and states of all seeds, every array leading with the seed, and what they took."""

    log: StreamLog
    state: PyTree
    compile_seconds: float
    run_seconds: float


def run_stream(
    key: PRNGKey, x: PyTree, y: Int[Array, "T"], method: StreamMethod, budget: Budget | None = None
) -> StreamRun:
    """One pass over a stream, as a pure function of its arrays: each row is decided about, then the method updated.

    Use it to jit or vmap over something of your own; `run_stream_seeds` is this over many seeds, with checks. The label
    of a row is read in one line, where it was asked: what the others are changes nothing but `correct`.

    Args:
      key: all randomness hangs on it and on the time.
      x: rows in the order in which they come, a tree of arrays that lead with T.
      y: class numbers.
      method, budget: static; without a budget every label that is wanted is paid for.

    Returns:
      A `StreamRun`: the `StreamLog` and the last state.

    Raises:
      ValueError: no rows, or not as many labels.

    >>> from bal.stream import Decision
    >>> one = jnp.ones(())
    >>> never = lambda key, state, x, time: Decision(one < 0, jnp.int32(0), one, one)
    >>> lazy = StreamMethod(lambda key, x: (), never, lambda key, state, x, outcome, time: state, num_classes=2)
    >>> run_stream(jax.random.key(0), jnp.zeros((3, 2)), jnp.array([0, 1, 0]), lazy).log.correct.tolist()
    [True, False, True]
    """
    budget = unlimited() if budget is None else budget
    x, y = jax.tree.map(jnp.asarray, (x, y))
    _check_lengths(leaf.shape[:1] for leaf in jax.tree.leaves((x, y)))
    key_init, key_rows = jax.random.split(key)
    first = jax.tree.map(lambda leaf: leaf[0], x)

    def one_row(carry: tuple, inputs: tuple) -> tuple[tuple, tuple]:
        state, money = carry
        time, row, label = inputs
        key_decide, key_update = jax.random.split(jax.random.fold_in(key_rows, time))
        decision = method.decide(key_decide, state, row, time)
        allowed = budget.allows(money)
        asked = decision.query & allowed
        seen = jnp.where(asked, label, decision.prediction.astype(label.dtype))
        state = method.update(key_update, state, row, Outcome(decision, seen, asked, allowed), time)
        money = budget.update(money, asked)
        return (state, money), (decision, asked, budget.spent(money))

    carry: Any = (method.init(key_init, first), budget.init())
    (state, _), (decision, asked, spent) = jax.lax.scan(one_row, carry, (jnp.arange(len(y)), x, y))
    query, prediction, score, threshold, info = decision
    return StreamRun(StreamLog(query, asked, prediction, prediction == y, score, threshold, spent, info), state)


@made
def _one_seed(method: StreamMethod, budget: Budget) -> Any:
    return lambda key, x, y: run_stream(key, x, y, method, budget)


def run_stream_seeds(
    keys: Array,
    x: PyTree,
    y: Values,
    method: StreamMethod,
    budget: Budget | None = None,
    axes: tuple[Any, Any] = (None, None),
) -> StreamRuns:
    """`run_stream` for every key, compiled once and spread over the devices; compile and run time are told apart.

    Args:
      keys: one key a seed, see `bal.loop.seed_keys`.
      x, y, method, budget: as in `run_stream`.
      axes: of x and y, 0 where they lead with the seeds (an order of rows for each, say), None where all share them.

    Returns:
      `StreamRuns`: everything leads with the seed.

    Raises:
      ValueError: keys that are none, rows that are not finite, labels that are not class numbers of the method, other
        numbers of rows and labels, or of seeds.
    """
    check_keys(keys)
    check_method(method, budget)
    x, y = jax.tree.map(np.asarray, x), np.asarray(y)
    own = [*jax.tree.leaves(seed_axes(axes, (x, y)))]
    leaves = jax.tree.leaves((x, y))
    wrong = [leaf.shape for leaf, each in zip(leaves, own, strict=True) if each and leaf.shape[:1] != (len(keys),)]
    wrong += [leaf.shape for leaf, each in zip(leaves, own, strict=True) if each and leaf.ndim < 2]
    if wrong:
        raise ValueError(
            f"expected arrays that lead with {len(keys)} seeds and then the rows, as axes say, got shape {wrong[0]}; "
            "axes=(None, None) shares one stream"
        )
    flat = [leaf.reshape(-1, *leaf.shape[2:]) if each else leaf for leaf, each in zip(leaves, own, strict=True)]
    check_rows(flat[:-1])
    labels = check_labels(flat[-1], len(flat[-1]), method.num_classes).reshape(y.shape)
    _check_lengths(leaf.shape[int(each) : int(each) + 1] for leaf, each in zip(leaves, own, strict=True))
    one = _one_seed(method, unlimited() if budget is None else budget)
    mapped = over_seeds(one, (keys, x, labels), (0, *axes))
    per_seed = seed_rows(mapped.per_seed, 0, -(-len(keys) // mapped.num_devices) * mapped.num_devices)
    begun = time.perf_counter()
    compiled = mapped.fn.lower(mapped.shared, per_seed).compile()
    ready = time.perf_counter()
    done = jax.block_until_ready(compiled(mapped.shared, per_seed))
    log, state = jax.tree.map(lambda leaf: leaf[: len(keys)], done)
    seconds = time.perf_counter() - ready
    if without := int((log.prediction < 0).sum()):
        warnings.warn(
            f"in {without} of {log.prediction.size} rows the model predicted NaN: no class, which counts as wrong; "
            "lower the learning rate, or look at the inputs",
            stacklevel=2,
        )
    return StreamRuns(log, state, ready - begun, seconds)


def _check_lengths(shapes: Iterable[tuple[int, ...]]) -> None:
    lengths = sorted({shape[0] if shape else 0 for shape in shapes})
    if len(lengths) > 1 or not lengths[0]:
        raise ValueError(f"expected as many labels as rows, at least one, got {lengths}; hand in both of one stream")


def check_method(method: Any, budget: Any) -> None:
    """TypeError for what is no method, or no budget."""
    if not isinstance(method, StreamMethod):
        raise TypeError(f"expected a StreamMethod, got {type(method).__name__}; make one by bal.stream.from_learner")
    if budget is not None and not isinstance(budget, Budget):
        raise TypeError(f"expected a Budget, got {type(budget).__name__}; use share_of_rows(0.1), say")
