"""Squared distances in the feature space of a kernel, ``d²(x, c) = k(x,x) + k(c,c) - 2 k(x,c)``, to a set of centres.

The expansion costs one column a centre, half of what differences of features cost. It cancels where features share a
large offset: remove that with the transform `centred`, which changes no distance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.kernels.kernel import Kernel
from bal.numerics import in_row_blocks


class Nearest(NamedTuple):
    """The nearest centre of each row.

    squared: squared distance, infinite while there is no centre; centre: its number, labeled centres first.
    size: ``k(x, x)``; following: the number that the next centre gets; some: whether there is a centre.
    """

    squared: Float[Array, "n"]
    centre: Int[Array, "n"]
    size: Float[Array, "n"]
    following: Int[Array, ""]
    some: Bool[Array, ""]


def squared_distances(size: Float[Array, "n"], size_other: Array, column: Float[Array, "n"]) -> Float[Array, "n"]:
    """``k(x,x) + k(c,c) - 2 k(x,c)``; what is below rounding is 0, as it is between a row and its copy."""
    total = size + size_other
    squared = total - 2 * column
    return jnp.where(squared <= 8 * jnp.finfo(squared.dtype).eps * total, 0.0, squared)


def nearest_known(kernel: Kernel) -> Nearest:
    """Distances to the labeled rows (those of positive `known_weight`), or to no centre at all."""
    size = kernel.diag()
    n = size.shape[0]
    if kernel.known is None:
        zero = jnp.zeros((), jnp.int32)
        return Nearest(jnp.full_like(size, jnp.inf), jnp.zeros(n, jnp.int32), size, zero, zero > 0)
    real = kernel.known_weight > 0
    known_size = jax.vmap(kernel.pair, (None, 0, 0))(kernel.params, kernel.known, kernel.known)
    number = jnp.arange(real.shape[0], dtype=jnp.int32)[:, None]

    def block(position: Int[Array, "b"]) -> tuple[Array, Array]:
        rows = jax.tree.map(lambda leaf: leaf[position], kernel.rows)
        pairs = jax.vmap(jax.vmap(kernel.pair, (None, 0, None)), (None, None, 0))(kernel.params, rows, kernel.known)
        distances = jax.vmap(squared_distances, (None, 0, 0))(size[position], known_size, pairs)
        distances = jnp.where(real[:, None], distances, jnp.inf)
        squared = distances.min(0)
        return squared, jnp.where(distances == squared[None], number, number.size).min(0)

    squared, centre = in_row_blocks(block, jnp.arange(n, dtype=jnp.int32))
    return Nearest(squared, centre, size, jnp.asarray(number.size, jnp.int32), real.any())


def add_centre(kernel: Kernel, nearest: Nearest, position: Array) -> Nearest:
    """The nearest centres after the row at a position has become one; an earlier centre keeps its ties."""
    column = kernel.column(kernel.row(position))
    squared = squared_distances(nearest.size, nearest.size[position], column)
    centre = jnp.where(squared < nearest.squared, nearest.following, nearest.centre)
    squared = jnp.minimum(squared, nearest.squared)
    return Nearest(squared, centre, nearest.size, nearest.following + 1, jnp.ones_like(nearest.some))
