"""A memory of fixed capacity: the latest rows that were asked, and beside them the latest that were not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.typing import Data, PyTree


class Replay(NamedTuple):
    """Rings for rows with labels and, behind them, for rows with the model's own predictions in their place.

    x, y, weight: what training sees, weight 0 where a place is empty or forgotten. time: when the row came.
    counts: rows that were put into either ring.
    """

    x: PyTree
    y: Int[Array, "L"]
    weight: Float[Array, "L"]
    time: Int[Array, "L"]
    counts: Int[Array, "2"]

    @property
    def data(self) -> Data:
        """What a learner is fitted to."""
        return Data(self.x, self.y, self.weight)


def empty(x: PyTree, capacity: int) -> Replay:
    """No rows yet; `x` is one row, read for its shape."""
    room = jax.tree.map(lambda leaf: jnp.zeros((capacity, *jnp.shape(leaf)), jnp.asarray(leaf).dtype), x)
    zeros = jnp.zeros(capacity, jnp.int32)
    return Replay(room, zeros, jnp.zeros(capacity), zeros, jnp.zeros(2, jnp.int32))


def remember(
    replay: Replay,
    x: PyTree,
    y: Int[Array, ""],
    asked: Bool[Array, ""],
    time: Int[Array, ""] | int,
    num_pseudo: int,
    pseudo_weight: float,
) -> Replay:
    """Put a row in place of the oldest of its kind; where it was not asked and no place is kept for such rows, or no
    class was predicted (`y` below 0), nothing.

    >>> replay = empty(jnp.zeros(1), 2)
    >>> put = jax.jit(remember, static_argnums=(5, 6))
    >>> for time in range(3):
    ...     replay = put(replay, jnp.full(1, time), jnp.array(time), jnp.array(True), time, 0, 0.0)
    >>> replay.time.tolist(), replay.weight.tolist()
    ([2, 1], [1.0, 1.0])
    """
    num_asked = len(replay.y) - num_pseudo
    ring = jnp.where(asked, 0, 1)
    place = replay.counts[0] % num_asked
    if num_pseudo:
        place = jnp.where(asked, place, num_asked + replay.counts[1] % num_pseudo)
    keep = asked | ((num_pseudo > 0) & (y >= 0))
    put = lambda leaf, new: leaf.at[place].set(jnp.where(keep, jnp.asarray(new, leaf.dtype), leaf[place]))
    weight = jnp.where(asked, 1.0, pseudo_weight)
    counts = replay.counts.at[ring].add(keep.astype(jnp.int32))
    held = (replay.x, replay.y, replay.weight, replay.time)
    rows, labels, weights, times = jax.tree.map(put, held, (x, y, weight, time))
    return Replay(rows, labels, weights, times, counts)


def forget(replay: Replay, since: Int[Array, ""]) -> Replay:
    """Rows from before a time count no longer."""
    return replay._replace(weight=jnp.where(replay.time < since, 0.0, replay.weight))
