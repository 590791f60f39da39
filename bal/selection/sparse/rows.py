"""What every sparse approximation of a pool works on: a vector a row, and the sum of those vectors over the pool."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.numerics import in_float64


class SparseRows(NamedTuple):
    """Each row as a vector Φ_n, and how uncertain that vector is because the label is unknown.

    features: Φ, one coordinate a posterior draw (projection) or a direction of a gradient.
    variance: s²_n = E_y ‖g_n(y) - Φ_n‖², in the units of ‖Φ‖².
    """

    features: Float[Array, "n J"]
    variance: Float[Array, "n"]


class PoolSums(NamedTuple):
    """Sums over the *whole* pool: the target that a batch is to stand for, and the scales of its terms.

    features: v = Σ_n Φ_n; norm: Σ_n ‖Φ_n‖; square: Σ_n ‖Φ_n‖²; variance: Σ_n s²_n; count: rows in the sums.
    """

    features: Float[Array, "J"]
    norm: Float[Array, ""]
    square: Float[Array, ""]
    variance: Float[Array, ""]
    count: Float[Array, ""]


def sum_rows(rows: SparseRows, weight: Float[Array, "n"]) -> PoolSums:
    """Weighted sums, accumulated in float64. Rows that are not finite are left out: no batch could stand for them.

    >>> import jax
    >>> import numpy as np
    >>> sums = jax.jit(sum_rows)(SparseRows(np.array([[3.0, 4.0], [1.0, 0.0]]), np.ones(2)), np.ones(2))
    >>> sums.features.tolist(), float(sums.norm)
    ([4.0, 4.0], 6.0)
    """
    return in_float64(_sum_rows)(rows, weight)


def _sum_rows(rows: SparseRows, weight: Float[Array, "n"]) -> PoolSums:
    squares = jnp.sum(rows.features**2, 1)
    fine = jnp.isfinite(squares) & jnp.isfinite(rows.variance) & (weight > 0)

    def total(x: Array) -> Array:
        counts = fine.reshape(-1, *[1] * (x.ndim - 1))
        w = weight.reshape(counts.shape).astype(jnp.float64)
        return jnp.sum(jnp.where(counts, x, 0.0).astype(jnp.float64) * w, 0).astype(x.dtype)

    return PoolSums(
        *(total(x) for x in (rows.features, jnp.sqrt(squares), squares, rows.variance, jnp.ones_like(squares)))
    )


def check_context(context: Any) -> PoolSums:
    """The pool sums, or an error that says where they come from."""
    if not isinstance(context, PoolSums):
        found = type(context).__name__
        raise ValueError(
            f"a sparse approximation needs PoolSums as the stage's context, got {found}: use pool_sums(rows)"
        )
    return context
