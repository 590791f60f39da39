"""How a row-wise function meets a pool: in one piece, in chunks, streamed from outside memory, or on the host.

An `Over` maps ``fn(*fixed, x)`` over the rows of `x`. Since `fn` is row-wise, all of them give the same rows; they
differ in memory and in where the arrays live.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.numerics import in_row_blocks
from bal.typing import PyTree

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that one chunk of inputs and results may take when no chunk size is given."""


class Over(NamedTuple):
    """A way to map a row-wise function over a pool.

    map: ``fn, fixed, x -> rows``.
    place: "device" can be traced into a compiled program; "stream" runs compiled pieces from a Python loop;
        "host" calls plain Python on numpy arrays.
    """

    map: Callable[[Callable, tuple, PyTree], PyTree]
    place: Literal["device", "stream", "host"]


def _dense(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
    return fn(*fixed, x)


dense = Over(_dense, "device")
"""The whole pool at once."""


@lru_cache
def chunked(chunk_size: int | None = None, budget: int = DEFAULT_BUDGET) -> Over:
    """Chunks of rows inside the compiled program, so that temporaries do not grow with the pool.

    Without `chunk_size` it follows from `budget`, the bytes that inputs and results of one chunk may take. The last
    chunk overlaps the one before.

    >>> chunked(2).map(lambda a, x: a + x, (1,), jnp.arange(5)).tolist()
    [1, 2, 3, 4, 5]
    """
    _check(chunk_size, budget)

    def map_chunks(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
        size = chunk_size or rows_within(fn, fixed, x, budget)
        return in_row_blocks(lambda rows: fn(*fixed, rows), x, size)

    return Over(map_chunks, "device")


@lru_cache
def streamed(chunk_size: int | None = None, budget: int = DEFAULT_BUDGET) -> Over:
    """Chunks read one after the other from arrays outside the device: `numpy.memmap`, HDF5, anything that slices.

    Only the results are kept. One compilation serves all chunks; the next chunk is read while the device computes.

    >>> streamed(2).map(lambda a, x: a + x, (1,), np.arange(5)).tolist()
    [1, 2, 3, 4, 5]
    """
    _check(chunk_size, budget)

    def map_stream(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
        n = num_rows(x)
        size = min(chunk_size or rows_within(fn, fixed, x, budget), n)
        starts = [min(start, n - size) for start in range(0, n, size)]
        compiled = _compiled(fn)
        results = []
        for start in starts:
            piece = jax.tree.map(lambda leaf, start=start: np.asarray(leaf[start : start + size]), x)
            results.append(compiled(*fixed, piece))
            if len(results) > 2:
                jax.block_until_ready(results[-3])  # at most two chunks in flight
        keep = n - starts[-1] if len(starts) == 1 else n - size * (len(starts) - 1)
        results[-1] = jax.tree.map(lambda leaf: leaf[size - keep :], results[-1])
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *results)

    return Over(map_stream, "stream")


@lru_cache
def host(chunk_size: int = 10_000) -> Over:
    """Chunks handed to plain Python as numpy arrays: scikit-learn models and other code that JAX cannot trace.

    >>> host(2).map(lambda a, x: a + np.sort(x), (1,), np.arange(5)).tolist()
    [1, 2, 3, 4, 5]
    """
    _check(chunk_size, 1)

    def map_host(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
        n = num_rows(x)
        pieces = [
            fn(*fixed, jax.tree.map(lambda leaf, s=start: np.asarray(leaf[s : s + chunk_size]), x))
            for start in range(0, n, chunk_size)
        ]
        return jax.tree.map(lambda *leaves: jnp.concatenate([jnp.asarray(leaf) for leaf in leaves]), *pieces)

    return Over(map_host, "host")


def take(x: PyTree, indices: Any) -> PyTree:
    """Rows at `indices`; indices past the end read the last row. Arrays outside the device are sliced there."""

    def leaf_take(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array):
            return jnp.take(leaf, indices, axis=0, mode="clip")
        wanted = np.minimum(np.asarray(indices), leaf.shape[0] - 1)
        unique, back = np.unique(wanted, return_inverse=True)  # sorted and distinct, as HDF5 wants
        return jnp.asarray(np.asarray(leaf[unique])[back])

    return jax.tree.map(leaf_take, x)


def num_rows(x: PyTree) -> int:
    """Length of the leading axis that all leaves share."""
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(x)}
    if len(lengths) != 1:
        raise ValueError(f"expected arrays that share their leading axis (the rows), got lengths {sorted(lengths)}")
    return lengths.pop()


def rows_within(fn: Callable, fixed: tuple, x: PyTree, budget: int) -> int:
    """How many rows fit the budget, counting inputs and results; at least 1."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x)
    leaves = jax.tree.leaves((one, jax.eval_shape(lambda row: fn(*fixed, row), one)))
    bytes_per_row = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return max(budget // max(bytes_per_row, 1), 1)


@lru_cache(maxsize=64)
def _compiled(fn: Callable) -> Callable:
    return jax.jit(fn)


def _check(chunk_size: int | None, budget: int) -> None:
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1 row, got {chunk_size}")
    if budget < 1:
        raise ValueError(f"budget must be at least 1 byte, got {budget}")
