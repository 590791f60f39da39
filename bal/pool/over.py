"""How a row-wise function meets a pool: in one piece, in chunks, streamed from outside memory, or on the host.

An `Over` maps ``fn(*fixed, x)`` over the rows of `x`. Since `fn` is row-wise, all of them give the same rows; they
differ in memory and in where the arrays live.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr

from bal.method import method
from bal.numerics import in_chunks
from bal.typing import Learner, Over, PyTree

DEFAULT_BUDGET = 256 * 2**20
"""Bytes that the chunks in work may take when no chunk size is given: inputs, temporaries and results."""

_PROBES = (8, 64)  # rows of the small chunks whose temporaries the compiler is asked for
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}  # buffers stay the same


def _dense(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
    return fn(*fixed, x)


dense = Over(_dense, "device")
"""The whole pool at once."""


@method
def chunked(chunk_size: int | None = None, budget: int = DEFAULT_BUDGET) -> Over:
    """Chunks of rows inside the compiled program, so that temporaries do not grow with the pool.

    Without `chunk_size` it follows from `budget`, the bytes that one chunk may take: inputs, results and whatever XLA
    holds in between, such as the activations of a network. What does not grow with the chunk (the pool, the results
    of all rows, parameters) comes on top, and under `vmap` every lane has a chunk of its own. The last chunk overlaps
    the one before.

    Raises ValueError, when traced, if the budget is too small for one row.

    >>> chunked(2).map(lambda a, x: a + x, (1,), jnp.arange(5)).tolist()
    [1, 2, 3, 4, 5]
    """
    _check(chunk_size, budget)

    def map_chunks(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
        size = chunk_size or rows_within(fn, fixed, x, budget)
        return in_chunks(lambda rows: fn(*fixed, rows), x, size)

    return Over(map_chunks, "device")


@method
def streamed(chunk_size: int | None = None, budget: int = DEFAULT_BUDGET) -> Over:
    """Chunks read one after the other from arrays outside the device: `numpy.memmap`, HDF5, anything that slices.

    Only the results are kept, written where they stay. One compilation serves all chunks; the next chunk is read while
    the device computes, so that two are in work at a time: `budget` counts both, each as in `chunked`.

    Raises ValueError if the budget is too small for two chunks of one row.

    >>> streamed(2).map(lambda a, x: a + x, (1,), np.arange(5)).tolist()
    [1, 2, 3, 4, 5]
    """
    _check(chunk_size, budget)

    def map_stream(fn: Callable, fixed: tuple, x: PyTree) -> PyTree:
        n = num_rows(x)
        size = min(chunk_size or rows_within(fn, fixed, x, budget, chunks=2), n)
        compiled = _compiled(fn)
        part = whole = None
        for start in (min(start, n - size) for start in range(0, n, size)):
            piece = jax.tree.map(lambda leaf, start=start: np.asarray(leaf[start : start + size]), x)
            before, part = part, compiled(*fixed, piece)
            if size == n:
                return part
            if whole is None:
                whole = jax.tree.map(lambda leaf: jnp.zeros((n, *leaf.shape[1:]), leaf.dtype), part)
            whole = _write(whole, part, start)
            jax.block_until_ready(before)  # at most two chunks in work
        return whole

    return Over(map_stream, "stream")


@method
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


def over_of(learner: Learner, over: Over | None) -> Over:
    """How a learner meets the pool: as told; if nothing is told on the host where it says so, else all rows at once.

    Raises ValueError for a host learner that is to be traced.

    >>> over_of(Learner(None, None, None), None) is dense
    True
    """
    if not learner.host:
        return over or dense
    if over is not None and over.place != "host":
        raise ValueError(
            f"this learner is plain Python, which JAX cannot trace, but `over` is of place {over.place}; leave it out, "
            "or use bal.pool.host()"
        )
    return over or host()


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


def rows_within(fn: Callable, fixed: tuple, x: PyTree, budget: int, chunks: int = 1) -> int:
    """Rows a chunk, all chunks alike, so that `chunks` of them fit the budget in bytes: inputs, temporaries, results.

    Temporaries are what XLA says of the function compiled for 8 rows and, if that is not proof enough that all rows
    fit, for 64: ``a + b n`` through both. Nothing runs. The answer is kept for each function and shape of a row.

    Raises ValueError if one row is too much.
    """
    n = num_rows(x)
    like = lambda tree: jax.eval_shape(lambda tree: tree, tree)
    row = like(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x))
    leaves, tree = jax.tree.flatten((like(fixed), row))
    few, some = _PROBES
    temporary, ends = _chunk_bytes(fn, tree, tuple(leaves), few)
    if chunks * n * (temporary / few + ends) <= budget:
        return n
    slope = max((_chunk_bytes(fn, tree, tuple(leaves), some)[0] - temporary) / (some - few), 0.0)
    constant = max(temporary - few * slope, 0.0)
    size = int((budget / chunks - constant) // max(slope + ends, 1))
    if size < 1:
        needed = -int(-chunks * (constant + slope + ends) // 1)
        in_work = "one row takes" if chunks == 1 else f"{chunks} chunks in work, of one row each, take"
        raise ValueError(
            f"budget={budget} bytes is too small: {in_work} {needed} bytes of inputs, temporaries and results; "
            "give at least that, or set chunk_size"
        )
    return math.ceil(n / math.ceil(n / size))  # even chunks: the last one overlaps by less than a row a chunk


@lru_cache(maxsize=64)
def _chunk_bytes(fn: Callable, tree: Any, leaves: tuple, size: int) -> tuple[int, int]:
    """Bytes of temporaries of `fn` on `size` rows, and of the inputs and results of one row."""
    fixed, row = tree.unflatten(leaves)
    rows = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), row)
    traced, results = jax.make_jaxpr(fn, return_shape=True)(*fixed, rows)
    inputs = [*traced.consts, *jax.tree.leaves((fixed, rows))]  # constants may belong to a surrounding trace
    shapes = [jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype) for leaf in inputs]
    call = lambda *leaves: eval_jaxpr(traced.jaxpr, leaves[: len(traced.consts)], *leaves[len(traced.consts) :])
    memory: Any = jax.jit(call).lower(*shapes).compile(_QUICK).memory_analysis()
    ends = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((rows, results)))
    return memory.temp_size_in_bytes, ends // size


@partial(jax.jit, donate_argnums=0)
def _write(whole: PyTree, part: PyTree, start: Any) -> PyTree:
    put = lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)
    return jax.tree.map(put, whole, part)


@lru_cache(maxsize=64)
def _compiled(fn: Callable) -> Callable:
    return fn if isinstance(fn, jax.stages.Wrapped) else jax.jit(fn)  # what is compiled already need not be again


def _check(chunk_size: int | None, budget: int) -> None:
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1 row, got {chunk_size}")
    if budget < 1:
        raise ValueError(f"budget must be at least 1 byte, got {budget}")
