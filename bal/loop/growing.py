"""A pool with room for rows that join later: places beyond the first are empty until they are filled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.loop.checks import check_rows
from bal.pool.arrays import as_rows
from bal.pool.labeled import make_pool
from bal.pool.over import num_rows
from bal.typing import Over, Pool, PyTree, Values


def open_pool(x: PyTree, cost: Values | None, room: int, over: Over) -> Pool:
    """A pool of rows `x`, all present, with places for `room` more; on the device where `over` wants it or it grows."""
    n = num_rows(x)
    prices = _costs(cost, n)
    if room or over.place == "device":
        x = jax.tree.map(lambda leaf: _pad(leaf, room), x)
    return make_pool(x, np.arange(n + room) < n, _pad(prices, room, 1.0))


def grown(pool: Pool, num_present: int, x: PyTree, cost: Values | None) -> tuple[Pool, Pool]:
    """The pool with new rows behind the `num_present` that it has, and these rows alone, as it stores them.

    Raises:
      ValueError: rows that are not like those of the pool, or more than there is room for.
    """
    x = _like_pool(as_rows(x), pool.x)
    n, room = num_rows(x), len(pool.present) - num_present
    if n > room:
        raise ValueError(
            f"the pool has room for {room} more rows, got {n}; open the campaign with a larger pool_capacity"
        )
    own: Any = (np.ones(n, bool), _costs(cost, n))
    new = Pool(x, *own)
    ids = np.arange(num_present, num_present + n)
    return jax.tree.map(lambda leaf, rows: leaf.at[ids].set(rows), pool, new), new


def _costs(cost: Values | None, n: int) -> np.ndarray:
    prices = np.ones(n, np.float32) if cost is None else np.asarray(as_rows(cost, "costs")).astype(np.float32)
    bad = prices[~(np.isfinite(prices) & (prices > 0))]
    if prices.shape != (n,) or bad.size:
        got = f"got {bad[0]}" if bad.size else f"got an array of shape {prices.shape}"
        raise ValueError(f"expected one positive cost for each of {n} rows, {got}")
    return prices


def _like_pool(x: PyTree, like: PyTree) -> PyTree:
    """Rows in the types of the pool, in which they must be the same numbers, or near them, and finite."""
    check_rows(x, like=like)

    def cast(new: Any, leaf: Any) -> np.ndarray:
        rows = np.asarray(new)
        with np.errstate(over="ignore", invalid="ignore"):
            found = rows.astype(leaf.dtype)
        if not jnp.issubdtype(leaf.dtype, jnp.floating) and (found != rows).any():
            raise ValueError(f"expected rows of {leaf.dtype} as in the pool, got {rows.dtype} that it cannot hold")
        return found

    x = jax.tree.map(cast, x, like)
    check_rows(x)
    return x


def _pad(leaf: Any, grow: int, value: float = 0.0) -> jax.Array:
    widths = [(0, grow)] + [(0, 0)] * (np.ndim(leaf) - 1)
    return jax.device_put(np.pad(np.asarray(leaf), widths, constant_values=value))
