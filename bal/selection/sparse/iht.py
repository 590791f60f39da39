"""Sparse approximation by proximal iterative hard thresholding: all B weights at once, improved step by step.

From a momentum point z, ``g = Φ(v - Φᵀz) + β(1 - z)`` (half the negative gradient) and ``s = z + μ g``; the proximal
step keeps the B rows of largest ``max(s, 0)² + μ α s²_n 1(s > 0)``. μ is exact for the gradient on the rows in play.

Shen et al. 2022, "A Sparse Approximation Approach to Batch Active Learning"; the acceleration (step size, one gradient
step on the support, momentum) follows the hard thresholding of Zhang et al. 2021, "Bayesian Coresets: Revisiting the
Nonconvex Optimization Perspective". The proximal step is derived; a step that does not lower F is refused and halved.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import in_float64, in_single, mask_scores, take_best
from bal.selection.kinds import check_type
from bal.selection.sparse.greedy import relative_residual
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

_TOLERANCE = 1e-5


@method
def sparse_iht(
    alpha: float | Array = 1.0,
    beta: float | Array = 1e-3,
    *,
    normalize: Normalize = "batch",
    refit: bool = False,
    num_steps: int = 100,
) -> Select:
    """Pick B rows by accelerated proximal hard thresholding of F; arguments, rows and context as in `sparse_greedy`.

    F never increases. It stops when the weights change by less than 1e-5 of their norm, or after `num_steps`. `refit`
    solves for the weights on the final support, where that lowers F. Scores are what F would rise by without the row,
    in descending order; a row of weight 0 (fewer than B help) has score 0. ``info`` holds `weights`, `residual` and
    `num_steps`. Rows with a feature or variance that is not a number, or an infinite feature, are never picked. Where F
    has no finite value (an infinite pool sum, say) the batch is that of largest ‖Φ_n‖, at weight 0.

    >>> from bal.selection import SparseRows, select, sum_rows
    >>> import numpy as np
    >>> rows = SparseRows(np.array([[2.0, 0.0], [0.0, 1.0]]), np.zeros(2))
    >>> picks = select(rows, None, sparse_iht(), 2, context=jax.jit(sum_rows)(rows, np.ones(2)))
    >>> [round(w, 3) for w in picks.info["weights"].tolist()]
    [1.0, 1.0]
    """
    check_weights(alpha, beta, normalize)
    if num_steps < 1:
        raise ValueError(f"hard thresholding makes at least 1 step, got num_steps={num_steps}")

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        del key
        check_context(candidates.context)
        check_type("sparse_iht", candidates.rows, SparseRows)

        def solve(candidates: Candidates, alpha: Array, beta: Array) -> Selection:
            problem = sparse_problem(candidates, batch_size, alpha, beta, normalize)
            nan = jnp.isnan(problem.bonus) | ~jnp.isfinite(problem.rows).all(1)
            usable = candidates.eligible & ~nan
            state = _solve(problem, usable, batch_size, num_steps)
            valid = jnp.arange(batch_size) < usable.sum()
            indices, weights = _or_largest(problem, usable, valid, state)
            if refit:
                weights = support_weights(problem, indices, valid, weights)
            worth = _worth(problem, indices, weights)
            scores = jnp.where(valid, jnp.where(jnp.isnan(worth), 0.0, worth), -jnp.inf)
            order = jnp.argsort(-scores, stable=True)
            indices, weights, scores = indices[order], weights[order], scores[order]
            info = {"num_eligible": candidates.eligible.sum(), "num_nan": (candidates.eligible & nan).sum()}
            residual = relative_residual(problem, indices, weights)
            more = {"weights": weights, "residual": residual, "num_steps": state.num_steps}
            selection = Selection(indices, scores, valid, None, info)
            return in_single(selection, more, candidates.rows.features.dtype)

        return in_float64(solve)(candidates, jnp.asarray(alpha), jnp.asarray(beta))

    return select


class _Point(NamedTuple):
    indices: Int[Array, "B"]
    weights: Float[Array, "B"]
    fitted: Float[Array, "J"]  # Φᵀ w


class _State(NamedTuple):
    now: _Point
    before: _Point
    momentum: Float[Array, ""]
    shrink: Float[Array, ""]
    objective: Float[Array, ""]
    converged: Bool[Array, ""]
    num_steps: Int[Array, ""]


def _solve(problem: Problem, usable: Bool[Array, "n"], batch_size: int, num_steps: int | Array) -> _State:
    one, zero = jnp.ones(()), jnp.zeros(())
    empty = jnp.zeros(batch_size, jnp.int32)
    start = _Point(empty, jnp.zeros(batch_size), jnp.zeros_like(problem.target))
    state = _State(start, start, zero, one, jnp.inf * one, jnp.array(False), jnp.int32(0))
    more = lambda state: ~state.converged & (state.num_steps < num_steps)
    return jax.lax.while_loop(more, lambda state: _step(problem, usable, state), state)


def _or_largest(
    problem: Problem, usable: Bool[Array, "n"], valid: Bool[Array, "B"], state: _State
) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    """Rows and weights found, or the longest usable rows, unused, where nothing was found."""
    indices, weights = state.now.indices, state.now.weights
    found = (state.objective < jnp.inf) & jnp.isfinite(weights).all() & (usable[indices] | ~valid).all()
    length = jnp.where(problem.squares > 0, problem.squares, 0.0)  # also where the unit is not a number
    longest, _, _ = _best(length, usable, len(indices))
    return jnp.where(found, indices, longest), jnp.where(found, weights, 0.0)


def _step(problem: Problem, usable: Bool[Array, "n"], state: _State) -> _State:
    now, before, beta = state.now, state.before, problem.beta
    push = state.momentum
    z = _scatter(usable, now, (1 + push)) + _scatter(usable, before, -push)
    z_fitted = now.fitted + push * (now.fitted - before.fitted)
    g = slopes(problem, problem.target - z_fitted) + beta * (1 - z)
    s_step = state.shrink * _step_size(problem, usable, now, before, g)
    s = z + s_step * g
    indices, weights, valid = proximal(s, s_step * problem.bonus, usable, len(now.indices))
    new = _debias(problem, _Point(indices, weights, weights @ _rows(problem, indices, valid)))
    objective = _objective(problem, new)
    accepted = objective < state.objective
    d_fitted = new.fitted - now.fitted
    change = _scatter(usable, new, 1.0) - _scatter(usable, now, 1.0)
    length = jnp.sum(change**2)
    along = d_fitted @ (problem.target - new.fitted) + beta * jnp.sum(change[new.indices] * (1 - new.weights))
    curve = d_fitted @ d_fitted + beta * length
    momentum = jnp.maximum(along / jnp.where(curve > 0, curve, jnp.inf), 0.0)
    small = length <= _TOLERANCE**2 * jnp.sum(new.weights**2)
    keep = lambda a, b: jax.tree.map(lambda x, y: jnp.where(accepted, x, y), a, b)
    return _State(
        keep(new, now),
        now,
        jnp.where(accepted, momentum, 0.0),
        jnp.where(accepted, 1.0, state.shrink / 2),
        keep(objective, state.objective),
        small,
        state.num_steps + jnp.int32(1),
    )


def proximal(
    s: Float[Array, "n"], bonus: Float[Array, "n"], usable: Bool[Array, "n"], size: int
) -> tuple[Int[Array, "B"], Float[Array, "B"], Bool[Array, "B"]]:
    """Minimize ``‖w - s‖² - Σ_n bonus_n 1(w_n > 0)`` over w >= 0 with at most `size` positive entries, all usable."""
    indices, _, valid = _best(jnp.where(s > 0, s**2 + bonus, s), usable, size)
    return indices, jnp.where(valid, jnp.maximum(s[indices], 0.0), 0.0), valid


def _step_size(
    problem: Problem, usable: Bool[Array, "n"], now: _Point, before: _Point, g: Float[Array, "n"]
) -> Float[Array, ""]:
    """Exact line search along g on the rows in play: those of positive weight and the B of largest g beside them."""
    size = len(now.indices)
    known = jnp.concatenate([now.indices, before.indices])
    positive = jnp.concatenate([now.weights, before.weights]) > 0
    counts = jnp.zeros_like(g).at[known].add(positive.astype(g.dtype))
    fresh, _, valid = _best(g, usable & (counts == 0), size)
    indices = jnp.concatenate([known, fresh])
    share = jnp.concatenate([positive / jnp.maximum(counts[known], 1.0), valid.astype(g.dtype)])
    direction = jnp.where(share > 0, g[indices], 0.0)
    moved = (share * direction) @ _rows(problem, indices, share > 0)
    square = jnp.sum(share * direction**2)
    curve = moved @ moved + problem.beta * square
    return square / jnp.where(curve > 0, curve, jnp.inf)


def _debias(problem: Problem, point: _Point) -> _Point:
    """One gradient step with exact step size on the support, cut at 0."""
    used = point.weights > 0
    phi = _rows(problem, point.indices, used)
    g = jnp.where(used, phi @ (problem.target - point.fitted) + problem.beta * (1 - point.weights), 0.0)
    moved = g @ phi
    curve = moved @ moved + problem.beta * jnp.sum(g**2)
    weights = jnp.maximum(point.weights + jnp.sum(g**2) / jnp.where(curve > 0, curve, jnp.inf) * g, 0.0)
    return _Point(point.indices, weights, weights @ phi)


def _objective(problem: Problem, point: _Point) -> Float[Array, ""]:
    """F without its constant β N."""
    used = point.weights > 0
    left = problem.target - point.fitted
    stability = problem.beta * jnp.sum(jnp.where(used, point.weights**2 - 2 * point.weights, 0.0))
    return left @ left - jnp.sum(jnp.where(used, problem.bonus[point.indices], 0.0)) + stability


def _worth(problem: Problem, indices: Int[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, "B"]:
    """By how much F rises when one row is dropped and the other weights stay."""
    phi = _rows(problem, indices, weights > 0)
    slope = phi @ (problem.target - weights @ phi) + problem.beta
    rise = 2 * weights * slope + weights**2 * (jnp.sum(phi**2, 1) - problem.beta)
    return jnp.where(weights > 0, rise + problem.bonus[indices], 0.0)


def _rows(problem: Problem, indices: Int[Array, "B"], used: Bool[Array, "B"]) -> Float[Array, "B J"]:
    return jnp.where(used[:, None], gather(problem, indices), 0.0)


def _scatter(usable: Bool[Array, "n"], point: _Point, factor: Array | float) -> Float[Array, "n"]:
    return jnp.zeros(len(usable), point.weights.dtype).at[point.indices].add(factor * point.weights)


def _best(scores: Float[Array, "n"], usable: Bool[Array, "n"], size: int) -> tuple:
    """The largest, ranked in float32: several times faster, and ties beyond it are of no consequence."""
    indices, top, valid = take_best(mask_scores(scores.astype(jnp.float32), usable), size)
    return indices.astype(jnp.int32), top, valid
