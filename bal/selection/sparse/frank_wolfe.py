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
from bal.numerics import in_float64, in_single, to_double
from bal.selection.kinds import check_type
from bal.selection.rules.distinct import DistinctRule, greedy_distinct
from bal.selection.sparse.rows import SparseRows, check_context
from bal.typing import Candidates, PRNGKey, Select, Selection

_ZERO = 1e-6
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

    >>> from bal.selection.sparse.rows import SparseRows, sum_rows
    >>> rows, one = SparseRows(jnp.array([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]]), jnp.zeros(3)), jnp.ones(3)
    >>> candidates = Candidates(rows, jnp.arange(3), one > 0, one, context=sum_rows(rows, one))
    >>> frank_wolfe()(jax.random.key(0), candidates, 2).indices.tolist()
    [0, 2]
    """
    check_steps(max_steps)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_context(candidates.context)
        check_type("frank_wolfe", candidates.rows, SparseRows)

        def solve(key: PRNGKey, candidates: Candidates) -> Selection:
            norms = jnp.sqrt(jnp.sum(candidates.rows.features**2, 1))
            unit = candidates.rows.features / jnp.where(norms > 0, norms, 1.0)[:, None]
            rows = _Unit(candidates.rows.features, norms, unit.T)  # transposed: one pass is twice as fast
            prepared = candidates._replace(rows=rows, context=jax.tree.map(to_double, candidates.context))
            steps = max_steps or 10 * batch_size
            selection, state = greedy_distinct(_PROJECTION, key, prepared, batch_size, steps)
            total = jnp.sqrt(jnp.sum(prepared.context.features**2))
            residual = jnp.sqrt(jnp.sum((prepared.context.features - state.fitted) ** 2)) / total
            info = {"weights": pick_weights(state.weights, selection), "residual": residual}
            return in_single(selection, info, norms.dtype)

        return in_float64(solve)(key, candidates)

    return select


class _Unit(NamedTuple):
    features: Float[Array, "n J"]
    norms: Float[Array, "n"]
    unit: Float[Array, "J n"]


class _Projected(NamedTuple):
    weights: Float[Array, "n"]
    fitted: Float[Array, "J"]  # Φᵀ w
    done: Bool[Array, ""]


def _init(key: PRNGKey, candidates: Candidates) -> _Projected:
    del key
    sums = candidates.context
    weights = jnp.zeros(len(candidates.eligible), sums.features.dtype)
    return _Projected(weights, jnp.zeros_like(sums.features), ~(sums.norm > 0))


def _score(state: _Projected, candidates: Candidates) -> Float[Array, "n"]:
    residual = candidates.context.features - state.fitted
    return residual.astype(candidates.rows.unit.dtype) @ candidates.rows.unit


def _update(state: _Projected, candidates: Candidates, position: Array) -> _Projected:
    target, s = candidates.context.features, candidates.context.norm
    vector = candidates.rows.features[position].astype(target.dtype)
    norm = jnp.sqrt(jnp.sum(vector**2))
    scale = s / jnp.where(norm > 0, norm, jnp.inf)
    residual, direction = target - state.fitted, scale * vector - state.fitted
    left = jnp.sqrt(jnp.sum(residual**2))
    helps = left > _ZERO * jnp.sqrt(jnp.sum(target**2))
    step = jnp.where(helps, clipped_step(direction @ residual, direction @ direction), 0.0)
    fitted = state.fitted + step * direction
    weights = ((1 - step) * state.weights).at[position].add(step * scale)
    return _Projected(weights, fitted, ~(step > 0))


_PROJECTION = DistinctRule(_init, _score, _update, lambda state: state.done, lambda candidates: candidates.rows.norms)


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
