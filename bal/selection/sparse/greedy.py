"""Greedy sparse approximation: one row after another, each with the weight that serves the objective most.

    num_n = Φ_n·r + β,  den_n = ‖Φ_n‖² + β,  w_n = max(num_n / den_n, 0),
    gain_n = 2 w_n num_n - den_n w_n² + α s²_n 1(w_n > 0)

Shen et al. 2022, "A Sparse Approximation Approach to Batch Active Learning"; the steps are derived from its problem.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import in_float64, in_single
from bal.selection.kinds import check_type
from bal.selection.rules.greedy import Greedy, pick_greedily
from bal.selection.sparse.problem import (
    Normalize,
    Problem,
    check_weights,
    gather,
    slopes,
    sparse_problem,
    support_weights,
)
from bal.selection.sparse.rows import SparseRows, check_context
from bal.typing import Candidates, PRNGKey, Select, Selection


@method
def sparse_greedy(
    alpha: float | Array = 1.0, beta: float | Array = 1e-3, *, normalize: Normalize = "batch", refit: bool = False
) -> Select:
    """Pick B rows, each of the largest decrease of F (see `sparse_problem`); rows `SparseRows`, context `PoolSums`.

    alpha weighs label uncertainty against representation, beta pulls weights toward 1; both are pure numbers, because
    Φ is scaled to mean square 1 and s² to mean 1 over the pool. ``normalize="batch"`` targets the sum of B average
    rows, so that weights lie near 1; "sum" targets the pool sum, weights near N / B. `refit` solves for all weights
    after every pick, and keeps the better of the two (see `support_weights`). Scores are the decreases of F by a pick
    before that. ``info["weights"]`` holds w of the picks (0: the row was
    picked for want of a better), ``info["residual"]`` the norm ``‖v - Φᵀ w‖ / ‖v‖``. α → ∞ is the top B by s², β → ∞
    gives w = 1.

    >>> from bal.selection import SparseRows, select, sum_rows
    >>> import numpy as np
    >>> rows = SparseRows(np.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]]), np.zeros(3))
    >>> sums = jax.jit(sum_rows)(rows, np.ones(3))
    >>> select(rows, None, sparse_greedy(), 2, context=sums).indices.tolist()
    [0, 2]
    """
    check_weights(alpha, beta, normalize)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_context(candidates.context)
        check_type("sparse_greedy", candidates.rows, SparseRows)

        def solve(candidates: Candidates, alpha: Array, beta: Array) -> Selection:
            problem = sparse_problem(candidates, batch_size, alpha, beta, normalize)
            rule = _refitted(problem, candidates.eligible, batch_size) if refit else _plain(problem)
            selection, state = pick_greedily(rule, candidates.eligible, batch_size)
            weights = state.weights if refit else _replay(problem, selection)
            info = {"weights": weights, "residual": relative_residual(problem, selection.indices, weights)}
            return in_single(selection, info, candidates.rows.features.dtype)

        return in_float64(solve)(candidates, jnp.asarray(alpha), jnp.asarray(beta))

    return select


def relative_residual(problem: Problem, indices: Int[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """``‖v - Φᵀ w‖ / ‖v‖`` of a weighted batch."""
    left = problem.target - weights @ gather(problem, indices)
    total = jnp.sqrt(jnp.sum(problem.target**2))
    return jnp.sqrt(jnp.sum(left**2)) / jnp.where(total > 0, total, 1.0)


def _gains(problem: Problem, residual: Float[Array, "J"]) -> Float[Array, "n"]:
    numerator, denominator = slopes(problem, residual) + problem.beta, problem.squares + problem.beta
    positive = jnp.maximum(numerator, 0.0)
    decrease = positive**2 / jnp.where(denominator > 0, denominator, 1.0)
    return decrease + jnp.where(numerator > 0, problem.bonus, jnp.where(jnp.isnan(problem.bonus), jnp.nan, 0.0))


def _weight(problem: Problem, residual: Float[Array, "J"], row: Float[Array, "J"]) -> Float[Array, ""]:
    denominator = row @ row + problem.beta
    return jnp.maximum(row @ residual + problem.beta, 0.0) / jnp.where(denominator > 0, denominator, 1.0)


def _plain(problem: Problem) -> Greedy:
    def update(residual: Float[Array, "J"], position: Array) -> Float[Array, "J"]:
        row = gather(problem, position[None])[0]
        return residual - _weight(problem, residual, row) * row

    return Greedy(problem.target, partial(_gains, problem), update)


class _Support(NamedTuple):
    residual: Float[Array, "J"]
    indices: Int[Array, "B"]
    used: Bool[Array, "B"]
    weights: Float[Array, "B"]
    count: Int[Array, ""]


def _refitted(problem: Problem, eligible: Bool[Array, "n"], batch_size: int) -> Greedy:
    def update(state: _Support, position: Array) -> _Support:
        position, row = position.astype(jnp.int32), gather(problem, position[None])[0]
        again = (state.used & (state.indices == position)).any()
        real = eligible[position] & ~jnp.isnan(problem.squares + problem.bonus)[position] & ~again
        indices, used = state.indices.at[state.count].set(position), state.used.at[state.count].set(real)
        start = state.weights.at[state.count].set(_weight(problem, state.residual, row))
        weights = support_weights(problem, indices, used, start)
        residual = problem.target - weights @ jnp.where(used[:, None], gather(problem, indices), 0.0)
        return _Support(residual, indices, used, weights, state.count + jnp.int32(1))

    empty = jnp.zeros(batch_size, jnp.int32)
    start = _Support(problem.target, empty, empty > 0, jnp.zeros(batch_size), jnp.int32(0))
    return Greedy(start, lambda state: _gains(problem, state.residual), update)


def _replay(problem: Problem, selection: Selection) -> Float[Array, "B"]:
    """The weights of picks without refit, which follow from their order."""
    rows = jnp.where(selection.valid[:, None], gather(problem, selection.indices), 0.0)

    def pick(residual: Array, row_valid: tuple) -> tuple:
        row, valid = row_valid
        weight = jnp.where(valid, _weight(problem, residual, row), 0.0)
        return residual - weight * row, weight

    return jax.lax.scan(pick, problem.target, (rows, selection.valid))[1]
