"""Row-wise functions in blocks of rows: that stay in a cache of a CPU, or keep an accelerator busy."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

ROW_BLOCK = 500
"""Rows handled at once inside a row-wise function: large enough to use the vector units, small enough for a cache."""

WIDER = 32
"""Times as many rows where there is no CPU: each block is a few launches, which small ones would only wait for."""


def rows_per_block(row_bytes: int, budget: int) -> int:
    """Rows of `row_bytes` that take `budget` bytes; at least 1.

    >>> rows_per_block(400, 1000)
    2
    """
    return max(budget // row_bytes, 1)


def in_row_blocks(function: Callable[[Any], Any], x: Any, block: int = ROW_BLOCK) -> Any:
    """Apply a row-wise `function` to blocks of rows of `x` (a tree), so that its intermediates stay in cache.

    Blocks are `WIDER` times as large where the program does not run on a CPU; `in_chunks` keeps to a size.

    >>> in_row_blocks(lambda x: 2 * x, jnp.arange(5.0), block=2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    return block_by_platform(lambda x, block: in_chunks(function, x, block), x, block)


def block_by_platform(function: Callable[[Any, int], Any], x: Any, block: int) -> Any:
    """``function(x, block)`` on a CPU and ``function(x, WIDER * block)`` elsewhere, for rows `x` (a tree).

    >>> block_by_platform(lambda x, block: x * block, jnp.ones(5), 2).tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0]
    """
    if jax.tree.leaves(x)[0].shape[0] <= block:
        return function(x, block)
    wider = lambda x: function(x, WIDER * block)
    return jax.lax.platform_dependent(x, cpu=lambda x: function(x, block), default=wider)


def in_chunks(function: Callable[[Any], Any], x: Any, size: int) -> Any:
    """Apply a row-wise `function` to `size` rows of `x` (a tree) at a time.

    The last chunk overlaps the one before it, which being row-wise makes harmless. Results are written in place:
    joining chunks afterwards would copy them.

    >>> in_chunks(lambda x: 2 * x, jnp.arange(5.0), 2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    n = jax.tree.leaves(x)[0].shape[0]
    if n <= size:
        return function(x)
    rows = lambda start: jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size), x)

    def write(number: Array, out: Any) -> Any:
        start = jnp.minimum(number * size, n - size)
        put = lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)
        return jax.tree.map(put, out, function(rows(start)))

    piece = jax.eval_shape(lambda: function(rows(0)))
    empty = jax.tree.map(lambda part: jnp.zeros((n, *part.shape[1:]), part.dtype), piece)
    return jax.lax.fori_loop(0, -(-n // size), write, empty)


def sum_in_row_blocks(function: Callable[[Any, Array], Any], x: Any, block: int) -> Any:
    """Sum of ``function(rows, number)`` over blocks of rows of `x` (a tree); the last is filled up with zeros.

    >>> float(sum_in_row_blocks(lambda x, number: jnp.sum(x), jnp.ones(5), block=2))
    5.0
    """
    size = jax.tree.leaves(x)[0].shape[0]
    if size <= block:
        return function(x, jnp.int32(0))
    count = -(-size // block)
    fill = lambda leaf: jnp.pad(leaf, ((0, count * block - size), *[(0, 0)] * (leaf.ndim - 1)))
    blocks = jax.tree.map(lambda leaf: fill(leaf).reshape(count, block, *leaf.shape[1:]), x)
    add = lambda total, some: (jax.tree.map(jnp.add, total, function(*some)), None)
    like = jax.eval_shape(function, jax.tree.map(lambda leaf: leaf[0], blocks), jnp.int32(0))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    return jax.lax.scan(add, zeros, (blocks, jnp.arange(count, dtype=jnp.int32)))[0]
