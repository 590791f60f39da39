"""The acquisition log: a fixed-capacity list of answers, in the order in which rows were asked for or told.

A place is *pending* from `ask` until its answer comes: it has an index, so the row is not asked again, and weight 0, so
training does not see it, while selection counts it as covered. A skipped place keeps weight 0 for good; an answer that
was corrected or withdrawn stays on record with weight 0. The predicates serve arrays of JAX and of numpy alike.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from bal.pool.arrays import as_rows
from bal.pool.over import num_rows, take
from bal.typing import ABSTAINED, ANSWERED, PADDING, PENDING, SKIPPED, Data, Labeled, Pool, PyTree


@partial(jax.jit, static_argnums=0)
def empty_log(capacity: int, y_like: PyTree) -> Labeled:
    """A log with `capacity` empty places for labels shaped and typed like the rows of `y_like`.

    >>> empty_log(3, jnp.zeros(1, jnp.int32)).count.item()
    0
    """
    whole = lambda: jnp.zeros(capacity, jnp.int32)
    return Labeled(
        indices=jnp.full(capacity, PADDING, jnp.int32),
        annotator=whole(),
        y=jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype), y_like),
        weight=jnp.zeros(capacity),
        cost=jnp.zeros(capacity),
        time=whole(),
        status=whole(),
        count=jnp.zeros((), jnp.int32),
    )


def ask(log: Labeled, indices: Int[Array, "B"], valid: Bool[Array, "B"]) -> Labeled:
    """Append picks as pending. Invalid picks take a place too, as padding, so that shapes and rounds stay aligned.

    >>> log = jax.jit(ask)(empty_log(3, np.zeros(1)), np.array([7, 2]), np.array([True, False]))
    >>> log.count.item(), (log.indices == 7).tolist()
    (2, [True, False, False])
    """
    ids = jnp.where(valid, indices, PADDING).astype(jnp.int32)
    return log._replace(indices=_place(log.indices, ids, log.count), count=log.count + len(indices))


def answer(
    log: Labeled,
    indices: Int[Array, "B"],
    valid: Bool[Array, "B"],
    y: PyTree,
    cost: Float[Array, "B"],
    time: Int[Array, ""] | int,
) -> Labeled:
    """Append picks with their answers, of weight 1; invalid picks take a place too, as padding.

    A pick on which the oracle abstained is skipped, and paid for.

    >>> empty = empty_log(2, np.zeros(1))
    >>> log = jax.jit(answer)(empty, np.array([7]), np.array([True]), np.array([3.5]), np.ones(1), 0)
    >>> log.y.tolist(), is_answered(log).tolist()
    ([3.5, 0.0], [True, False])
    """
    write = lambda buffer, new: _place(buffer, new, log.count)
    told = has_answer(y)
    given = lambda leaf: jnp.where(told.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, jnp.zeros((), leaf.dtype))
    return ask(log, indices, valid)._replace(
        y=jax.tree.map(lambda buffer, new: write(buffer, given(jnp.asarray(new))), log.y, y),
        weight=write(log.weight, valid & told),
        cost=write(log.cost, jnp.where(valid, cost, 0.0)),
        time=write(log.time, jnp.broadcast_to(jnp.asarray(time, jnp.int32), indices.shape)),
        status=write(log.status, jnp.where(valid, jnp.where(told, ANSWERED, SKIPPED), PENDING)),
    )


def has_answer(y: PyTree) -> Any:
    """Which labels ``[B]`` are any: not `ABSTAINED` throughout. In numpy for numpy's arrays.

    >>> has_answer(np.array([3, ABSTAINED])).tolist()
    [True, False]
    """
    found = False
    for leaf in jax.tree.leaves(y):
        held = leaf.dtype.kind == "f" or (leaf.dtype.kind == "i" and leaf.dtype.itemsize >= 4)  # else it cannot be said
        found = found | ((leaf != ABSTAINED).any(tuple(range(1, leaf.ndim))) if held else np.ones(len(leaf), bool))
    return found


def is_answered(log: Labeled) -> Any:
    """Places ``[L]`` whose answer stands: what training sees."""
    return log.weight > 0


def is_pending(log: Labeled) -> Any:
    """Places ``[L]`` asked for, and neither answered nor skipped."""
    return (log.indices < PADDING) & (log.status == PENDING)


def is_covered(log: Labeled) -> Any:
    """Places ``[L]`` that count as covered in selection: answered or pending, not skipped, taken back or padding."""
    return (log.indices < PADDING) & (log.status <= ANSWERED)


def holds_row(log: Labeled) -> Any:
    """Places ``[L]`` that keep their row from being asked for: pending, answered or skipped.

    A row whose answers were all withdrawn may be asked for again.
    """
    return (log.indices < PADDING) & (log.status <= SKIPPED)


def is_asked(log: Labeled, num_rows: int) -> Bool[Array, "N"]:
    """Which pool rows are not to be asked for: those with a place that is pending, answered or skipped.

    >>> log = jax.jit(ask)(empty_log(2, np.zeros(1)), np.array([1]), np.array([True]))
    >>> jax.jit(is_asked, static_argnums=1)(log, 3).tolist()
    [False, True, False]
    """
    rows = jnp.where(holds_row(log), log.indices, PADDING)
    return jnp.zeros(num_rows, bool).at[rows].set(True, mode="drop")


def is_waiting(pool: Pool, log: Labeled) -> Bool[Array, "N"]:
    """Which pool rows may be asked for: present, and no place in the log keeps them from it."""
    return _waiting(pool.present, log)


@jax.jit  # one program where a Python loop asks
def _waiting(present: Array, log: Labeled) -> Array:
    return present & ~is_asked(log, len(present))


def training_set(log: Labeled, pool: Pool) -> Data:
    """What `fit` may see: every answer with its row, weight and annotator, padded to the log's capacity."""
    return Data(take(pool.x, log.indices), log.y, log.weight, log.annotator, log.indices)


def num_answered(log: Labeled) -> Int[Array, ""]:
    """How many answers training sees."""
    return jnp.sum(log.weight > 0).astype(jnp.int32)


def _place(buffer: Array, new: Any, start: Int[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(buffer, jnp.asarray(new, buffer.dtype), start, 0)


def make_pool(x: Any, present: Any = None, cost: Any = None) -> Pool:
    """A `Pool` over rows `x`, by default all present at unit cost. Arrays outside the device stay where they are.

    Data frames and lists of rows become arrays, see `bal.pool.arrays.as_rows`.

    Raises:
      ValueError: no rows, arrays of different lengths, `present` or `cost` that are not one for each row, a cost that
        is not positive.

    >>> make_pool(jnp.zeros((3, 2))).present.tolist()
    [True, True, True]
    """
    x = as_rows(x)
    if not jax.tree.leaves(x) or any(getattr(leaf, "ndim", 0) < 1 for leaf in jax.tree.leaves(x)):
        raise ValueError(f"expected arrays that lead with the rows, got {type(x).__name__}; use np.asarray")
    n = num_rows(x)
    present = jnp.asarray(np.ones(n, bool) if present is None else as_rows(present, "flags of present rows"), bool)
    cost = jax.device_put(np.ones(n)) if cost is None else jnp.asarray(as_rows(cost, "costs"), jnp.float32)
    for name, leaf in (("present", present), ("cost", cost)):
        if leaf.shape[-1:] != (n,):
            raise ValueError(f"expected {name} of shape ({n},), one for each row, got {leaf.shape}")
    if not isinstance(cost, Tracer) and not (np.isfinite(cost) & (np.asarray(cost) > 0)).all():
        raise ValueError("expected positive, finite costs: a cost of 0 would be worth any score")
    return Pool(x, present, cost)
