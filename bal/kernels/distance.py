"""Squared distances in the feature space of a kernel, ``d²(x, c) = k(x,x) + k(c,c) - 2 k(x,c)``, to a set of centers.

The expansion costs one column a center, half of what differences of features cost. It cancels where features share a
large offset, so `near_origin` removes that from kernels whose distances it does not change. Of others
(`bal.kernels.nngp`, gradients) the inputs have to be moved before, as by the transform `centered`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import in_row_blocks, middle, rounding_error, spread_rows
from bal.typing import Kernel, PyTree


class Nearest(NamedTuple):
    """The nearest center of each row.

    squared: squared distance, infinite while there is no center; center: its number, labeled centers first.
    size: ``k(x, x)``, NaN where it is not finite, as then is the distance; slack: see `near_origin`.
    following: the number that the next center gets; some: whether there is a center.
    """

    squared: Float[Array, "n"]
    center: Int[Array, "n"]
    size: Float[Array, "n"]
    slack: Float[Array, ""]
    following: Int[Array, ""]
    some: Bool[Array, ""]


def kernel_distances(
    size: Float[Array, "n"], size_other: Array, column: Float[Array, "n"], slack: Float[Array, ""] | float = 0.0
) -> Float[Array, "n"]:
    """``k(x,x) + k(c,c) - 2 k(x,c)``; what is below rounding is 0, as it is between a row and its copy.

    `slack`: how far the features lie from where they are seen from (`near_origin`).
    """
    total = size + size_other
    squared = total - 2 * column
    rounding = rounding_error(total + 2 * slack * jnp.sqrt(size_other))
    return jnp.where(squared <= rounding, 0.0, squared)


def finite_size(kernel: Kernel) -> Float[Array, "n"]:
    """``k(x, x)``, NaN where it is not finite: no distance to such a row is defined."""
    size = kernel.diag()
    return jnp.where(jnp.isfinite(size), size, jnp.nan)


class View(NamedTuple):
    """A kernel for distances: its ``k(x, x)``, NaN where not finite, and how far from the origin rows are seen from."""

    kernel: Kernel
    size: Float[Array, "n"]
    slack: Float[Array, ""]


def near_origin(kernel: Kernel, size: Float[Array, "n"], eligible: Bool[Array, "n"]) -> View:
    """A kernel of the same distances, seen from where the rows lie: from 0 unless all of them lie far from there.

    `size` is that of `finite_size`. No row is copied: ``(x - m)·(y - m) = x·(y - m) - m·(y - m)``, so that a squared
    distance is in error by the rounding of ``|m| |y - m|`` in place of that of ``|m|²``.
    """
    if not kernel.moves:
        return View(kernel, size, jnp.zeros((), size.dtype))
    live = eligible & ~jnp.isnan(size)
    by = jax.tree.map(lambda leaf: offset(leaf, live), kernel.rows)
    pair = lambda a, b: kernel.pair(kernel.params, a, b)
    there = lambda row: jax.tree.map(jnp.subtract, row, by)
    moved_size = jax.vmap(lambda row: pair(there(row), there(row)))(kernel.rows)
    moved = replace(kernel, params=(by, kernel.params), pair=_seen_from(kernel.pair))
    return View(moved, jnp.where(jnp.isfinite(moved_size), moved_size, jnp.nan), jnp.sqrt(pair(by, by)))


def offset(x: Float[Array, "n F"], live: Bool[Array, "n"]) -> Float[Array, "F"]:
    """The median of each feature over live rows where it is more than four deviations from 0, else 0.

    Both, and the median distance from the median, are of up to 64 rows, evenly spread over the live ones: no far row
    moves them. It is rounded to whole multiples of a power of two below that deviation: round numbers stay round, so
    that equal distances between them stay equal.

    >>> jax.jit(offset)(jnp.array([[2018.0, 1.0], [2020.0, -1.0], [2021.0, 0.0]]), jnp.array([True] * 3)).tolist()
    [2020.0, 0.0]
    """
    x = spread_rows(x, live)
    center = middle(x)
    deviation = middle(jnp.abs(x - center[None])) / 0.6745  # of a normal: its standard deviation
    unit = jnp.exp2(jnp.floor(jnp.log2(jnp.where(deviation > 0, deviation, 1.0))))
    far = (jnp.abs(center) > 4 * deviation) & live.any()
    return jnp.where(far, jnp.round(center / unit) * unit, 0.0)


@method
def _seen_from(pair: Callable) -> Callable:
    def moved(params: tuple[PyTree, PyTree], a: PyTree, b: PyTree) -> Array:
        by, params = params
        there = jax.tree.map(jnp.subtract, b, by)
        return pair(params, a, there) - pair(params, by, there)

    return moved


def nearest_known(view: View) -> Nearest:
    """Distances to the finite labeled rows (those of positive `known_weight`), or to no center at all."""
    kernel, size, slack = view
    n = size.shape[0]
    if kernel.known is None or kernel.known_weight is None:
        zero = jnp.zeros((), jnp.int32)
        return Nearest(jnp.full_like(size, jnp.inf), jnp.zeros(n, jnp.int32), size, slack, zero, zero > 0)
    known_size = jax.vmap(kernel.pair, (None, 0, 0))(kernel.params, kernel.known, kernel.known)
    real = (kernel.known_weight > 0) & jnp.isfinite(known_size)
    number = jnp.arange(real.shape[0], dtype=jnp.int32)[:, None]

    def block(position: Int[Array, "b"]) -> tuple[Array, Array]:
        rows = jax.tree.map(lambda leaf: leaf[position], kernel.rows)
        pairs = jax.vmap(jax.vmap(kernel.pair, (None, 0, None)), (None, None, 0))(kernel.params, rows, kernel.known)
        distances = jax.vmap(kernel_distances, (None, 0, 0, None))(size[position], known_size, pairs, slack)
        distances = jnp.where(real[:, None], distances, jnp.inf)
        squared = distances.min(0)  # which may drop NaN
        center = jnp.where(distances == squared[None], number, number.size).min(0)
        return jnp.where(jnp.isnan(size[position]), jnp.nan, squared), center

    squared, center = in_row_blocks(block, jnp.arange(n, dtype=jnp.int32))
    return Nearest(squared, center, size, slack, jnp.asarray(number.size, jnp.int32), real.any())


def add_center(kernel: Kernel, nearest: Nearest, position: Array) -> Nearest:
    """The nearest centers after the row at a position has become one; an earlier center keeps its ties."""
    column = kernel.column(kernel.row(position))
    squared = kernel_distances(nearest.size, nearest.size[position], column, nearest.slack)
    center = jnp.where(squared < nearest.squared, nearest.following, nearest.center)
    squared = jnp.minimum(squared, nearest.squared)
    following, some = nearest.following + 1, jnp.ones_like(nearest.some)
    return nearest._replace(squared=squared, center=center, following=following, some=some)
