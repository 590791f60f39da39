"""The objective shared by the greedy and the hard-thresholding sparse approximations, and its weights on a support.

    F(w) = ‖v - Φᵀ w‖² - α Σ_n 1(w_n > 0) s²_n + β ‖w - 1‖²,   w >= 0,  at most B of them positive

Shen et al. 2022, "A Sparse Approximation Approach to Batch Active Learning"; solvers derived from this problem.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import dot, first_argmax
from bal.typing import Candidates

Normalize = Literal["batch", "sum"]


class Problem(NamedTuple):
    """The objective in units of the pool's mean ‖Φ‖², which makes α and β pure numbers.

    rows: the features as they came, Φ = rows / unit; transposed: the same ``[J, n]``, for passes over the pool.
    squares: ‖Φ_n‖²; bonus: α s²_n; target: v.
    """

    rows: Float[Array, "n J"]
    transposed: Float[Array, "J n"]
    unit: Float[Array, ""]
    squares: Float[Array, "n"]
    bonus: Float[Array, "n"]
    target: Float[Array, "J"]
    beta: Float[Array, ""]


def sparse_problem(
    candidates: Candidates, batch_size: int, alpha: float | Array, beta: float | Array, normalize: Normalize
) -> Problem:
    """Rescale Φ to mean ‖Φ‖² = 1, s² to mean 1 and, with "batch", v to the sum of B average rows. Call it `in_float64`.

    State and small products are float64; a pass over the pool stays in the dtype of Φ, multiplying the residual itself,
    so that its rounding is relative to what is left.
    """
    sums = jax.tree.map(lambda x: x.astype(jnp.float64), candidates.context)
    features, variance = candidates.rows
    count = jnp.maximum(sums.count, 1.0)
    unit = jnp.sqrt(jnp.where(sums.square > 0, sums.square / count, 1.0))
    squares = jnp.sum(features**2, 1).astype(jnp.float64) / unit**2
    bonus = alpha * variance.astype(jnp.float64) / jnp.where(sums.variance > 0, sums.variance / count, 1.0)
    share = batch_size / count if normalize == "batch" else 1.0
    beta = jnp.asarray(beta, jnp.float64)
    return Problem(features, features.T, unit, squares, bonus, share * sums.features / unit, beta)


def slopes(problem: Problem, residual: Float[Array, "J"]) -> Float[Array, "n"]:
    """``Φ_n·r`` for every row: the one pass over the pool of a step."""
    small = (residual / problem.unit).astype(problem.transposed.dtype)
    return dot(small, problem.transposed).astype(jnp.float64)


def gather(problem: Problem, indices: Int[Array, "B"]) -> Float[Array, "B J"]:
    """Φ of some rows in float64."""
    return problem.rows[indices].astype(jnp.float64) / problem.unit


def support_weights(
    problem: Problem, indices: Int[Array, "B"], used: Bool[Array, "B"], start: Float[Array, "B"]
) -> Float[Array, "B"]:
    """Weights on a given support, of an F that is at most that of `start`.

    Those of non-negative least squares, which are best but for the bonus α s² of a positive weight: a weight that
    becomes 0 loses it, and where that costs more than the fit gains the weights stay at `start`.
    """
    start = jnp.where(used, start, 0.0)
    phi = jnp.where(used[:, None], gather(problem, indices), 0.0)
    gram, slope = phi @ phi.T + problem.beta * jnp.eye(len(indices)), phi @ problem.target + problem.beta
    solved = nnls(gram, slope, used, start)
    bonus = jnp.where(used, problem.bonus[indices], 0.0)
    value = lambda w: w @ gram @ w - 2 * w @ slope - jnp.sum(jnp.where(w > 0, bonus, 0.0))
    return jnp.where(value(solved) <= value(start), solved, start)


def nnls(
    gram: Float[Array, "B B"], slope: Float[Array, "B"], used: Bool[Array, "B"], start: Float[Array, "B"]
) -> Float[Array, "B"]:
    """Minimize ``wᵀ G w - 2 wᵀ c`` over w >= 0, zero where not `used`; from a feasible start, never worse than it.

    Active sets: solve on the positive coordinates; step back to the boundary and drop what crosses it; free the
    coordinate of steepest descent; stop where there is none. Duplicated rows are parted by a jitter of 1e-12.

    Lawson and Hanson 1974, "Solving Least Squares Problems".
    """
    size = len(slope)
    scale = jnp.maximum(jnp.max(jnp.diagonal(gram)), jnp.finfo(gram.dtype).tiny)
    gram = gram + 1e-12 * scale * jnp.eye(size, dtype=gram.dtype)

    def more(carry: tuple) -> Array:
        _, _, finished, count = carry
        return ~finished & (count < 4 * size + 4)

    def step(carry: tuple) -> tuple:
        weights, free, _, count = carry
        both = free[:, None] & free[None, :]
        solved = jnp.linalg.solve(jnp.where(both, gram, jnp.eye(size, dtype=gram.dtype)), jnp.where(free, slope, 0.0))
        inside = jnp.all(jnp.where(free, solved > 0, True))
        crossing = free & (solved <= 0)
        length = jnp.where(crossing, weights / jnp.where(crossing, weights - solved, 1.0), jnp.inf)
        back = jnp.clip(jnp.min(length), 0.0, 1.0)
        stepped = jnp.where(free, weights + back * (solved - weights), 0.0)
        dropped = crossing & (length <= back)
        weights = jnp.where(inside, jnp.where(free, solved, 0.0), jnp.where(dropped, 0.0, stepped))
        descent = jnp.where(used & ~free, slope - gram @ weights, -jnp.inf)
        best = first_argmax(descent)
        finished = inside & ~(descent[best] > 1e-10 * scale)
        freed = free.at[best].set(free[best] | ~finished)
        return weights, jnp.where(inside, freed, free & ~dropped), finished, count + 1

    start = jnp.where(used, start, 0.0)
    return jax.lax.while_loop(more, step, (start, used & (start > 0), jnp.array(False), 0))[0]


def check_weights(alpha: float | Array, beta: float | Array, normalize: str) -> None:
    """Reject settings that have no meaning. A traced α or β is not checked."""
    for name, value in (("alpha", alpha), ("beta", beta)):
        if isinstance(value, float | int) and not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    if normalize not in ("batch", "sum"):
        raise ValueError(f'normalize is "batch" (weights near 1) or "sum" (weights near N / B), got {normalize!r}')
