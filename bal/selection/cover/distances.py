"""Euclidean distances between feature rows, in blocks: no rule here ever holds a matrix of pool rows by pool rows.

Squared distances come from ``|a|² + |b|² - 2 a·b``, one matrix product. That cancels for close rows, so rows are seen
from their median, and a distance whose value matters is computed again from the difference of the two rows. In float32
sums over all rows (`k_medoids`) and balls (`probcover`) are right to a thousandth of the distance from the median:
groups whose gaps are thousands of times their width ask for scaled features.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import ROW_BLOCK, dot, in_row_blocks, middle, row_argmin, smallest, spread_rows
from bal.typing import Candidates

_BLOCK_ENTRIES = 2**21  # 8 MB in float32


class Points(NamedTuple):
    """Feature rows of candidates and of labeled rows about their common origin; rows that are not finite are zero.

    finite: which candidates are; usable: those of them that may be picked; labeled: the real rows of `known`.
    """

    x: Float[Array, "n F"]
    finite: Bool[Array, "n"]
    usable: Bool[Array, "n"]
    known: Float[Array, "L F"]
    labeled: Bool[Array, "L"]


def points(candidates: Candidates, features: Float[Array, "n F"], known: Float[Array, "L F"] | None) -> Points:
    """`features` of candidates and those of `known` rows, made safe: centered, NaN and infinite rows set aside."""
    finite = jnp.isfinite(features).all(1)
    usable = candidates.eligible & finite
    if known is None or candidates.known_weight is None:
        known, labeled = jnp.zeros_like(features[:1]), jnp.zeros(1, bool)
    else:
        labeled = (candidates.known_weight > 0) & jnp.isfinite(known).all(1)
    center = jnp.where(usable.any(), middle(spread_rows(features, usable)), 0.0)[None]
    x = jnp.where(finite[:, None], features - center, 0.0)
    return Points(x, finite, usable, jnp.where(labeled[:, None], known - center, 0.0), labeled)


def squared_distances(a: Float[Array, "n F"], b: Float[Array, "m F"]) -> Float[Array, "n m"]:
    """``‖a_i - b_j‖²`` by one matrix product; never negative.

    >>> import jax
    >>> jax.jit(squared_distances)(jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.zeros((1, 2))).tolist()
    [[0.0], [25.0]]
    """
    product = dot(a, b.T)
    return jnp.maximum((a * a).sum(1, keepdims=True) + (b * b).sum(1, keepdims=True).T - 2 * product, 0.0)


def distances_to(x: Float[Array, "n F"], row: Float[Array, "F"]) -> Float[Array, "n"]:
    """``‖x_i - row‖`` from differences, exact for close rows."""
    return jnp.sqrt(jnp.square(x - row[None, :]).sum(1))


def rows_a_block(num_columns: int) -> int:
    """How many rows of `num_columns` distances fit a block."""
    return max(1, min(ROW_BLOCK, _BLOCK_ENTRIES // max(num_columns, 1)))


def nearest_distance(
    x: Float[Array, "n F"], centers: Float[Array, "m F"], is_center: Bool[Array, "m"]
) -> Float[Array, "n"]:
    """Distance of every row to the nearest center; infinite where there is none."""

    def block(rows: Float[Array, "r F"]) -> Float[Array, "r"]:
        squared = jnp.where(is_center[None, :], squared_distances(rows, centers), jnp.inf)
        return jnp.sqrt(jnp.square(rows - centers[row_argmin(squared)]).sum(1))

    return jnp.where(is_center.any(), in_row_blocks(block, x, rows_a_block(len(centers))), jnp.inf)


def mean_neighbor_distance(
    x: Float[Array, "n F"], others: Float[Array, "m F"], is_other: Bool[Array, "m"], num_neighbors: int
) -> Float[Array, "n"]:
    """Mean distance to the `num_neighbors` nearest of `others`, or to all of them if there are fewer.

    The first n of the m `others` are the rows themselves: a row is not its own neighbor. Infinite without neighbors.
    """
    m = others.shape[0]
    num_neighbors = min(num_neighbors, m)

    def block(ids: Int[Array, "r"]) -> Float[Array, "r"]:
        squared = squared_distances(x[ids], others)
        allowed = is_other[None, :] & (ids[:, None] != jnp.arange(m)[None, :])
        squared, nearest = smallest(jnp.where(allowed, squared, jnp.inf), num_neighbors)
        exact = jnp.sqrt(jnp.square(x[ids][:, None, :] - others[nearest]).sum(-1))
        real = jnp.isfinite(squared)
        count = real.sum(1)
        return jnp.where(count > 0, jnp.where(real, exact, 0.0).sum(1) / jnp.maximum(count, 1), jnp.inf)

    return in_row_blocks(block, jnp.arange(x.shape[0]), rows_a_block(m))
