"""The acquisition log: a fixed-capacity record of what is labeled, in the order in which it was asked for.

A place is *pending* from `ask` until `answer`: it has an index, so the row is not asked again, and weight 0, so
training does not see it, while selection counts it as covered. A skipped place keeps weight 0 for good.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from bal.pool.arrays import as_rows
from bal.pool.over import num_rows, take
from bal.typing import PADDING, Data, Labeled, Pool, PyTree


def empty_log(capacity: int, y_like: PyTree) -> Labeled:
    """A log with `capacity` empty places for labels shaped and typed like the rows of `y_like`.

    >>> empty_log(3, jnp.zeros(1, jnp.int32)).count.item()
    0
    """
    y = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype), y_like)
    return Labeled(
        indices=jnp.full(capacity, PADDING, jnp.int32),
        y=y,
        weight=jnp.zeros(capacity),
        source=jnp.zeros(capacity, jnp.int32),
        count=jnp.zeros((), jnp.int32),
    )


def ask(log: Labeled, indices: Int[Array, "B"], valid: Bool[Array, "B"]) -> Labeled:
    """Append picks as pending. Invalid picks take a place too, as padding, so that shapes and rounds stay aligned.

    >>> log = ask(empty_log(3, jnp.zeros(1)), jnp.array([7, 2]), jnp.array([True, False]))
    >>> log.count.item(), (log.indices == 7).tolist()
    (2, [True, False, False])
    """
    place = jax.lax.dynamic_update_slice_in_dim
    ids = jnp.where(valid, indices, PADDING).astype(jnp.int32)
    return log._replace(indices=place(log.indices, ids, log.count, 0), count=log.count + len(indices))


def answer(log: Labeled, places: Int[Array, "B"], y: PyTree, weight: Float[Array, "B"]) -> Labeled:
    """Write labels into places asked for earlier. Weight 1 = answered, 0 = skipped or never valid.

    >>> log = ask(empty_log(2, jnp.zeros(1)), jnp.array([7]), jnp.array([True]))
    >>> answer(log, jnp.array([0]), jnp.array([3.5]), jnp.ones(1)).y.tolist()
    [3.5, 0.0]
    """
    write = lambda buffer, new: buffer.at[places].set(jnp.asarray(new, buffer.dtype), mode="drop")
    source = log.source.at[places].set(0, mode="drop")  # a skipped row may be answered after all
    return log._replace(y=jax.tree.map(write, log.y, y), weight=write(log.weight, weight), source=source)


def skip(log: Labeled, places: Int[Array, "B"]) -> Labeled:
    """Mark places as skipped: never asked again, never trained on, and not counted as covered (source -1).

    >>> log = ask(empty_log(2, jnp.zeros(1)), jnp.array([7, 9]), jnp.array([True, True]))
    >>> is_known(skip(log, jnp.array([0]))).tolist()
    [False, True]
    """
    return log._replace(source=log.source.at[places].set(-1, mode="drop"))


def is_known(log: Labeled) -> Bool[Array, "L"]:
    """Places that count as covered in selection: answered or still pending, but not skipped and not padding."""
    return (log.indices < PADDING) & (log.source >= 0)


def training_set(log: Labeled, pool: Pool) -> Data:
    """What `fit` may see: the answered rows of the pool, padded to the log's capacity."""
    x = take(pool.x, log.indices)
    return Data(x=x, y=log.y, weight=log.weight)


def is_labeled(log: Labeled, num_rows: int) -> Bool[Array, "N"]:
    """Which pool rows have a place in the log, answered or not.

    >>> log = ask(empty_log(2, jnp.zeros(1)), jnp.array([1]), jnp.array([True]))
    >>> is_labeled(log, 3).tolist()
    [False, True, False]
    """
    return jnp.zeros(num_rows, bool).at[log.indices].set(True, mode="drop")


def num_answered(log: Labeled) -> Int[Array, ""]:
    """How many rows training sees."""
    return jnp.sum(log.weight > 0).astype(jnp.int32)


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
    present = jnp.ones(n, bool) if present is None else jnp.asarray(as_rows(present, "flags of present rows"), bool)
    cost = jnp.ones(n) if cost is None else jnp.asarray(as_rows(cost, "costs"), jnp.float32)
    for name, leaf in (("present", present), ("cost", cost)):
        if leaf.shape[-1:] != (n,):
            raise ValueError(f"expected {name} of shape ({n},), one for each row, got {leaf.shape}")
    if not isinstance(cost, Tracer) and not bool((jnp.isfinite(cost) & (cost > 0)).all()):
        raise ValueError("expected positive, finite costs: a cost of 0 would be worth any score")
    return Pool(x, present, cost)
