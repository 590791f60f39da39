"""ACS-FW: the batch whose expected log likelihood stands best for that of the whole pool, by Frank-Wolfe steps.

    minimize ‖v - Σ_n w_n Φ_n‖²  over  w >= 0, Σ_n w_n ‖Φ_n‖ = s,   v = Σ_pool Φ_n,  s = Σ_pool ‖Φ_n‖

A step goes from w toward the vertex ``(s / ‖Φ_f‖) e_f`` of the row f best aligned with the residual, by exact line
search with γ in [0, 1]. It starts at w = 0, which is off the constraint; the steps stay in the hull of 0 and the
vertices.

Pinsler et al. 2019, "Bayesian Batch Active Learning as Sparse Subset Approximation".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.method import method
from bal.numerics import dot, in_float64, in_single, to_double
from bal.selection.kinds import check_type
from bal.selection.rules.distinct import Distinct, pick_distinct
from bal.selection.sparse.rows import PoolSums, SparseRows, check_context
from bal.typing import Candidates, PRNGKey, Select, Selection

ZERO = 1e-6
"""A residual below this share of the pool sum is zero: what is left is the rounding of a float32 pool sum."""


@method
def frank_wolfe(max_steps: int | None = None) -> Select:
    """ACS-FW in projection form: rows are `SparseRows`, the context `PoolSums`.

    Frank-Wolfe may pick a row again; steps go on until B rows are distinct, no step helps, the residual is zero (it is
    after about 2 J steps on vectors without structure), or `max_steps` (10 B by default) are made. Places left are
    then filled by largest ‖Φ_n‖ and marked in ``info["topped_up"]``. ``info["weights"]`` holds w of the picks,
    ``info["residual"]`` the norm ``‖v - Φᵀ w‖ / ‖v‖``. Scores are alignments ``Φ_n·r / ‖Φ_n‖``.

    State and line search are float64. The pass over the pool stays in the dtype of Φ: it multiplies the residual
    itself, formed in float64, so its rounding is relative to what is left and not to the pool sum.

    >>> from bal.selection import SparseRows, select, sum_rows
    >>> import numpy as np
    >>> rows = SparseRows(np.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]]), np.zeros(3))
    >>> sums = jax.jit(sum_rows)(rows, np.ones(3))
    >>> select(rows, None, frank_wolfe(), 2, context=sums).indices.tolist()
    [0, 2]
    """
    check_steps(max_steps)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_context(candidates.context)
        check_type("frank_wolfe", candidates.rows, SparseRows)

        def solve(candidates: Candidates) -> Selection:
            rule = _projection(candidates.rows.features, jax.tree.map(to_double, candidates.context))
            steps = max_steps or 10 * batch_size
            selection, state = pick_distinct(rule, candidates.eligible, batch_size, steps)
            target = to_double(candidates.context.features)
            residual = jnp.sqrt(jnp.sum((target - state.fitted) ** 2)) / jnp.sqrt(jnp.sum(target**2))
            info = {"weights": pick_weights(state.weights, selection), "residual": residual}
            return in_single(selection, info, candidates.rows.features.dtype)

        return in_float64(solve)(candidates)

    return select


class _Projected(NamedTuple):
    weights: Float[Array, "n"]
    fitted: Float[Array, "J"]  # Φᵀ w
    done: Bool[Array, ""]


def _projection(features: Float[Array, "n J"], sums: PoolSums) -> Distinct:
    target, s = sums.features, sums.norm
    norms = jnp.sqrt(jnp.sum(features**2, 1))
    unit = (features / jnp.where(norms > 0, norms, 1.0)[:, None]).T  # transposed: one pass is twice as fast

    def score(state: _Projected) -> Float[Array, "n"]:
        return dot((target - state.fitted).astype(unit.dtype), unit)

    def update(state: _Projected, position: Array) -> _Projected:
        vector = features[position].astype(target.dtype)
        norm = jnp.sqrt(jnp.sum(vector**2))
        scale = s / jnp.where(norm > 0, norm, jnp.inf)
        residual, direction = target - state.fitted, scale * vector - state.fitted
        left = jnp.sqrt(jnp.sum(residual**2))
        helps = left > ZERO * jnp.sqrt(jnp.sum(target**2))
        step = jnp.where(helps, clipped_step(direction @ residual, direction @ direction), 0.0)
        weights = ((1 - step) * state.weights).at[position].add(step * scale)
        return _Projected(weights, state.fitted + step * direction, ~(step > 0))

    start = _Projected(jnp.zeros(len(features), target.dtype), jnp.zeros_like(target), ~(s > 0))
    return Distinct(start, score, update, lambda state: state.done, norms)


def clipped_step(numerator: Array, denominator: Array) -> Float[Array, ""]:
    """Exact line search on [0, 1]; 0 where there is no direction."""
    return jnp.clip(numerator / jnp.where(denominator > 0, denominator, jnp.inf), 0.0, 1.0)


def pick_weights(weights: Float[Array, "n"], selection: Selection) -> Float[Array, "B"]:
    """Weights of the picks, 0 where one was topped up or is not valid."""
    made = selection.valid & ~selection.info["topped_up"]
    return jnp.where(made, weights[selection.indices], 0.0)


def check_steps(max_steps: int | None) -> None:
    """Reject a step cap that allows none."""
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"Frank-Wolfe makes at least 1 step, got max_steps={max_steps}")
