"""What every sparse approximation of a pool works on: a vector a row, and the sum of those vectors over the pool."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.labeled import is_labeled
from bal.numerics import in_float64
from bal.rows import Over, num_rows
from bal.typing import Posterior, PRNGKey, PyTree, Round


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


@lru_cache
def sparse_rows(features: Callable[[Any], SparseRows]) -> Callable[[Posterior, PyTree, PyTree], SparseRows]:
    """The row function that predicts and takes features: ``features(posterior.predict(x))``.

    >>> from bal.selection import expected_log_likelihoods
    >>> sparse_rows(expected_log_likelihoods) is sparse_rows(expected_log_likelihoods)
    True
    """

    def feature_rows(posterior: Posterior, context: PyTree, x: PyTree) -> SparseRows:
        del context
        return features(posterior.predict(x))

    return feature_rows


@lru_cache
def pool_sums(rows: Callable[[Posterior, PyTree, PyTree], SparseRows]) -> Callable[[PRNGKey, Round, Over], PoolSums]:
    """The context of a stage: sums of `rows` over every pool row that is present and not yet asked for.

    It belongs in the context because a sum over a shortlist would make the batch stand for the shortlist:
    ``Stage(rows, frank_wolfe(), pool_sums(rows))`` is right behind any earlier stage.
    """

    def context(key: PRNGKey, round: Round, over: Over) -> PoolSums:
        del key
        pool = round.pool
        waiting = pool.present & ~is_labeled(round.labeled, num_rows(pool.x))
        return sum_rows(over.map(rows, (round.posterior, None), pool.x), waiting.astype(pool.cost.dtype))

    return context


def sum_rows(rows: SparseRows, weight: Float[Array, "n"]) -> PoolSums:
    """Weighted sums, accumulated in float64. Rows that are not finite are left out: no batch could stand for them.

    >>> sums = sum_rows(SparseRows(jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.ones(2)), jnp.ones(2))
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
