"""ACS-FW in kernel form: the same steps from inner products alone, for the closed forms of `sparse_products`.

Pinsler et al. 2019, "Bayesian Batch Active Learning as Sparse Subset Approximation", algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.method import method
from bal.numerics import in_float64, in_row_blocks, in_single, to_double
from bal.pool.over import num_rows
from bal.selection.rules.distinct import Distinct, pick_distinct
from bal.selection.sparse.frank_wolfe import ZERO, check_steps, clipped_step, pick_weights
from bal.typing import Candidates, PRNGKey, PyTree, Select, Selection

Pair = Callable[[PyTree, PyTree], Float[Array, ""]]

_BLOCK = 64  # rows against the whole pool at once


class PoolRows(NamedTuple):
    """The rows of the whole pool, weight 1 for those that the batch is to stand for and 0 for the others."""

    rows: PyTree
    weight: Float[Array, "N"]


@method
def frank_wolfe_kernel(pair: Pair, max_steps: int | None = None) -> Select:
    """ACS-FW from ``pair: row, row -> scalar``; rows are any tree with leaves ``[n, ...]``, the context is `PoolRows`.

    Equal to `frank_wolfe` on Φ with ``pair(a, b) = Φ_a·Φ_b``, also in `info`. All in float64: O(N) and one column of
    the kernel a step, after N evaluations a row for the pool sum; no N x N matrix is held.

    >>> from bal.selection import select
    >>> x, one = jnp.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]]), jnp.ones(3)
    >>> select(x, None, frank_wolfe_kernel(jnp.dot), 2, context=PoolRows(x, one)).indices.tolist()
    [0, 2]
    """
    check_steps(max_steps)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        if not isinstance(candidates.context, PoolRows):
            found = type(candidates.context).__name__
            raise ValueError(f"the kernel form needs PoolRows as the stage's context, got {found}: use pool_rows(rows)")

        def solve(candidates: Candidates) -> Selection:
            pool, weight = jax.tree.map(to_double, candidates.context)
            rows, total, norms, square, s = _against_pool(pair, jax.tree.map(to_double, candidates.rows), pool, weight)
            rule = _rule(pair, rows, total, norms, s)
            steps = max_steps or 10 * batch_size
            selection, state = pick_distinct(rule, candidates.eligible, batch_size, steps)
            left = square - 2 * jnp.sum(_known(total) * state.weights) + jnp.sum(state.weights * _known(state.column))
            residual = jnp.sqrt(jnp.maximum(left, 0.0) / square)
            info = {"weights": pick_weights(state.weights, selection), "residual": residual}
            return in_single(selection, info, candidates.cost.dtype)

        return in_float64(solve)(candidates)

    return select


class _State(NamedTuple):
    weights: Float[Array, "n"]
    column: Float[Array, "n"]  # K w
    done: Bool[Array, ""]


def _against_pool(pair: Pair, rows: PyTree, pool: PyTree, weight: Float[Array, "N"]) -> tuple:
    """Rows without NaN in what is summed: inner products with the pool sum, norms, ‖v‖² and Σ ‖L_m‖."""
    own = jax.vmap(pair)(pool, pool)
    weight = jnp.where(jnp.isfinite(own), weight, 0.0)
    pool = jax.tree.map(lambda leaf: jnp.where(_rows_like(jnp.isfinite(own), leaf), leaf, 0.0), pool)

    def total(of: PyTree) -> Float[Array, "n"]:
        one = lambda row: jnp.sum(weight * jax.vmap(lambda other: pair(row, other))(pool))
        take = lambda position: jax.tree.map(lambda leaf: leaf[position], of)
        return in_row_blocks(lambda block: jax.vmap(one)(take(block)), jnp.arange(num_rows(of)), _BLOCK)

    norm = lambda x: jnp.sqrt(jnp.maximum(x, 0.0))
    square = jnp.sum(weight * total(pool))
    s = jnp.sum(weight * norm(jnp.where(weight > 0, own, 0.0)))
    return rows, total(rows), norm(jax.vmap(pair)(rows, rows)), square, s


def _rows_like(keep: Bool[Array, "N"], leaf: Array) -> Array:
    return keep.reshape(-1, *[1] * (leaf.ndim - 1))


def _known(x: Float[Array, "n"]) -> Float[Array, "n"]:
    return jnp.where(jnp.isnan(x), 0.0, x)


def _rule(
    pair: Pair, rows: PyTree, total: Float[Array, "n"], norms: Float[Array, "n"], s: Float[Array, ""]
) -> Distinct:
    """`total`: inner products of the rows with the pool sum; s: ``Σ_pool ‖L_m‖``."""

    def score(state: _State) -> Float[Array, "n"]:
        return (total - state.column) / jnp.where(norms == 0, 1.0, norms)

    def update(state: _State, position: Array) -> _State:
        row = jax.tree.map(lambda leaf: leaf[position], rows)
        column = jax.vmap(lambda other: pair(row, other))(rows)
        scale = s / jnp.where(norms[position] > 0, norms[position], jnp.inf)
        w_k_w = jnp.sum(state.weights * _known(state.column))
        numerator = scale * (total - state.column)[position] - jnp.sum(state.weights * _known(total)) + w_k_w
        square = (scale * norms[position]) ** 2 - 2 * scale * state.column[position] + w_k_w
        first = _known(total / jnp.where(norms > 0, norms, 1.0))
        helps = jnp.max(_known(score(state))) > ZERO * jnp.max(first)
        step = jnp.where(helps, clipped_step(numerator, square), 0.0)
        weights = ((1 - step) * state.weights).at[position].add(step * scale)
        return _State(weights, (1 - step) * state.column + step * scale * column, ~(step > 0))

    zero = jnp.zeros_like(total)
    return Distinct(_State(zero, zero, ~(s > 0)), score, update, lambda state: state.done, norms)
