"""Row-wise functions in blocks of rows that stay in a cache."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

ROW_BLOCK = 500
"""Rows handled at once inside a row-wise function: large enough to use the vector units, small enough for a cache."""


def rows_per_block(row_bytes: int, budget: int) -> int:
    """Rows of `row_bytes` that take `budget` bytes; at least 1.

    >>> rows_per_block(400, 1000)
    2
    """
    return max(budget // row_bytes, 1)


def in_row_blocks(function: Callable[[Any], Any], x: Any, block: int = ROW_BLOCK) -> Any:
    """Apply a row-wise `function` to blocks of rows of `x` (a tree), so that its intermediates stay in cache.

    The last block overlaps the one before it, which being row-wise makes harmless. Results are written in place:
    joining blocks afterwards would copy them.

    >>> in_row_blocks(lambda x: 2 * x, jnp.arange(5.0), block=2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    n = jax.tree.leaves(x)[0].shape[0]
    if n <= block:
        return function(x)
    rows = lambda start: jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, block), x)

    def write(number: Array, out: Any) -> Any:
        start = jnp.minimum(number * block, n - block)
        put = lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)
        return jax.tree.map(put, out, function(rows(start)))

    piece = jax.eval_shape(lambda: function(rows(0)))
    empty = jax.tree.map(lambda part: jnp.zeros((n, *part.shape[1:]), part.dtype), piece)
    return jax.lax.fori_loop(0, -(-n // block), write, empty)
