"""BAIT: the batch that leaves the least expected loss over the pool, by Fisher information.

    minimize  tr((M + Σ_{n in batch} V_nᵀ V_n)⁻¹ F),   M = λ I + Σ_known V_nᵀ V_n,   F = Σ_pool V_nᵀ V_n

A row's Fisher information has rank R: ``V_n = scale_n ⊗ h_n``, ``[R, C F]``. Adding a row lowers the objective by
``tr((I + V M⁻¹ Vᵀ)⁻¹ V M⁻¹ F M⁻¹ Vᵀ)`` (Woodbury), removing one raises it by the same with ``I - V M⁻¹ Vᵀ``.

Ash et al. 2021, "Gone Fishing: Neural Active Learning with Fisher Embeddings".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import method
from bal.numerics import first_argmax, in_float64, in_single, small_solves
from bal.selection.kinds import check_type
from bal.selection.rules.greedy import Greedy, pick_greedily
from bal.typing import Candidates, PRNGKey, Select, Selection


class FisherRows(NamedTuple):
    """A row's Fisher information in factors: ``V_n = scale_n ⊗ features_n``."""

    scale: Float[Array, "n R C"]
    features: Float[Array, "n F"]


def regression_fisher(features: Float[Array, "n F"], noise: float | Array) -> FisherRows:
    """Linear regression on features: ``V_n = h_nᵀ / √noise``, R = C = 1.

    >>> regression_fisher(jnp.ones((1, 2)), 4.0).scale.tolist()
    [[[0.5]]]
    """
    return FisherRows(jnp.full((len(features), 1, 1), noise**-0.5, features.dtype), features)


def softmax_fisher(log_probs: Float[Array, "n K C"], features: Float[Array, "n F"]) -> FisherRows:
    """A softmax layer on features: ``diag(p) - p pᵀ = AᵀA`` with rows ``A_c = √p_c (e_c - p)``, p the mean over draws.

    >>> import numpy as np
    >>> rows = jax.jit(softmax_fisher)(np.log([[[0.5, 0.5]]]), np.ones((1, 1)))
    >>> scale = np.asarray(rows.scale[0])
    >>> (scale.T @ scale).round(4).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    probs = jnp.exp(log_probs).mean(1)
    scale = jnp.sqrt(probs)[:, :, None] * (jnp.eye(probs.shape[1], dtype=probs.dtype)[None] - probs[:, None, :])
    return FisherRows(scale, features)


def sum_fisher(rows: FisherRows, weight: Float[Array, "n"]) -> Float[Array, "P P"]:
    """``Σ weight_n V_nᵀ V_n``, accumulated in float64; P = C F. Rows that are not finite are left out.

    >>> import numpy as np
    >>> rows = jax.jit(regression_fisher)(np.eye(2), 1.0)
    >>> jax.jit(sum_fisher)(rows, np.array([2.0, 1.0])).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    """
    return in_float64(lambda rows, weight: _sum_fisher(rows, weight).astype(rows.features.dtype))(rows, weight)


@method
def bait(prior_precision: float = 1.0, backward: bool = True) -> Select:
    """BAIT over `FisherRows`; the context is F (see `pool_fisher`), rows of `known` count as labeled.

    Forward: B greedy picks. With `backward` (the paper's rule) forward 2 B, then the one whose removal costs least is
    removed until B are left. Scores are decreases of the objective at the pick. ``info["objective"]`` is what is left.
    Everything is float64: updates subtract nearly equal numbers. A pick costs ``O(N R (C F + R C))``, the
    start ``O(N (C F)²)``.

    >>> import numpy as np
    >>> from bal.selection import select
    >>> rows = jax.jit(regression_fisher)(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), 1.0)
    >>> total = jax.jit(sum_fisher)(rows, np.ones(3))
    >>> sorted(select(rows, None, bait(), 2, context=total).indices.tolist())
    [0, 2]
    """
    if not prior_precision > 0:
        raise ValueError(
            f"prior_precision must be positive, got {prior_precision}: the Fisher information has low rank"
        )

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_type("bait", candidates.rows, FisherRows)
        if candidates.context is None:
            raise ValueError("bait needs the pool's Fisher information as the stage's context: use pool_fisher(rows)")

        def solve(candidates: Candidates) -> Selection:
            fisher = candidates.context.astype(jnp.float64)
            rows = _double(candidates.rows)
            start = _precision(candidates, prior_precision)
            number = 2 * batch_size if backward else batch_size
            selection, _ = pick_greedily(_rule(rows, fisher, start), candidates.eligible, number)
            if backward:
                keep = _prune(rows, fisher, start, selection.indices, selection.valid, batch_size)
                order = jnp.argsort(~keep, stable=True)[:batch_size]  # in the order of picking
                picked = (selection.indices, selection.scores, selection.valid & keep)
                selection = selection._replace(**dict(zip(("indices", "scores", "valid"), (x[order] for x in picked))))
            last = start + _sum_fisher(_take(rows, selection.indices), selection.valid.astype(jnp.float64))
            info = {"objective": jnp.trace(jnp.linalg.solve(last, fisher))}
            return in_single(selection, info, candidates.rows.features.dtype)

        return in_float64(solve)(candidates)

    return select


_LOST = 1e-4  # updates subtract: when the largest gain has fallen this far, start again from M


class _State(NamedTuple):
    precision: Float[Array, "P P"]  # M
    inverse: Float[Array, "P P"]
    own: Float[Array, "n R R"]  # V M⁻¹ Vᵀ
    gain: Float[Array, "n R R"]  # V M⁻¹ F M⁻¹ Vᵀ
    scale: Float[Array, ""]  # of the gain when M was last inverted


def _fresh(rows: FisherRows, fisher: Float[Array, "P P"], precision: Float[Array, "P P"]) -> _State:
    inverse = jnp.linalg.inv(precision)
    gain = _quadratic(rows, inverse @ fisher @ inverse)
    return _State(precision, inverse, _quadratic(rows, inverse), gain, _largest(gain))


def _rule(rows: FisherRows, fisher: Float[Array, "P P"], start: Float[Array, "P P"]) -> Greedy:
    def score(state: _State) -> Float[Array, "n"]:
        return _trace_solve(_identity(state.own) + state.own, state.gain)

    def update(state: _State, position: Array) -> _State:
        v = _dense(_take(rows, position[None]))[0]
        q = state.inverse @ v.T
        t = state.inverse @ (fisher @ q)
        small = jnp.linalg.inv(jnp.eye(len(v), dtype=v.dtype) + v @ q)
        a, b = _project(rows, q), _project(rows, t)
        a_small = a @ small[None]
        across = a_small @ b.mT
        gain = state.gain - across - across.mT + a_small @ (q.T @ fisher @ q)[None] @ a_small.mT
        precision, inverse = state.precision + v.T @ v, state.inverse - q @ small @ q.T
        updated = _State(precision, inverse, state.own - a_small @ a.mT, gain, state.scale)
        lost = _largest(gain) < _LOST * state.scale
        return jax.lax.cond(lost, lambda: _fresh(rows, fisher, precision), lambda: updated)

    return Greedy(_fresh(rows, fisher, start), score, update)


def _prune(
    rows: FisherRows,
    fisher: Float[Array, "P P"],
    start: Float[Array, "P P"],
    indices: Int[Array, "twice"],
    valid: Bool[Array, "twice"],
    batch_size: int,
) -> Bool[Array, "twice"]:
    """Which picks to keep: drop the least missed, the latest among equals, until B are left.

    The inverse is taken once: what is dropped is the row whose removal changes it least, so updates stay accurate.
    """
    chosen = _take(rows, indices)
    dense = _dense(chosen)

    def drop(carry: tuple, _: None) -> tuple:
        keep, inverse = carry
        own, gain = _quadratic(chosen, inverse), _quadratic(chosen, inverse @ fisher @ inverse)
        missed = _trace_solve(_identity(own) - own, gain)
        rank = jnp.where(keep, -missed, -jnp.inf)[::-1]
        last = len(keep) - 1 - first_argmax(rank)
        too_many = keep.sum() > batch_size
        v = jnp.where(too_many, dense[last], 0.0)
        q = inverse @ v.T
        inverse = inverse + q @ jnp.linalg.inv(jnp.eye(len(v), dtype=v.dtype) - v @ q) @ q.T
        return (keep.at[last].set(keep[last] & ~too_many), inverse), None

    full = jnp.linalg.inv(start + _sum_fisher(chosen, valid.astype(jnp.float64)))
    return jax.lax.scan(drop, (valid, full), None, length=len(valid) - batch_size)[0][0]


def _precision(candidates: Candidates, prior_precision: float) -> Float[Array, "P P"]:
    size = candidates.context.shape[0]
    prior = prior_precision * jnp.eye(size)
    if candidates.known is None or candidates.known_weight is None:
        return prior
    return prior + _sum_fisher(candidates.known, candidates.known_weight)


def _sum_fisher(rows: FisherRows, weight: Float[Array, "n"]) -> Float[Array, "P P"]:
    scale, features = _double(rows)
    fine = (weight > 0) & jnp.isfinite(scale).all((1, 2)) & jnp.isfinite(features).all(1)
    weight = jnp.where(fine, weight, 0.0).astype(jnp.float64)
    scale, features = jnp.where(fine[:, None, None], scale, 0.0), jnp.where(fine[:, None], features, 0.0)
    information = jnp.einsum("n,nrc,nre->nce", weight, scale, scale)
    size = scale.shape[2] * features.shape[1]
    return jnp.einsum("nce,nf,ng->cfeg", information, features, features).reshape(size, size)


def _quadratic(rows: FisherRows, matrix: Float[Array, "P P"]) -> Float[Array, "n R R"]:
    """``V_n matrix V_nᵀ``, the same symmetric matrix for all."""
    scale, features = rows
    blocks = matrix.reshape(scale.shape[2], features.shape[1], scale.shape[2], features.shape[1])
    middle = jnp.einsum("nf,cfeg,ng->nce", features, blocks, features)
    return scale @ middle @ scale.mT


def _project(rows: FisherRows, q: Float[Array, "P R"]) -> Float[Array, "n R R"]:
    """``V_n q``."""
    scale, features = rows
    blocks = q.reshape(scale.shape[2], features.shape[1], q.shape[1])
    return scale @ jnp.einsum("nf,cfr->ncr", features, blocks)


def _dense(rows: FisherRows) -> Float[Array, "n R P"]:
    return jnp.einsum("nrc,nf->nrcf", *rows).reshape(*rows.scale.shape[:2], -1)


def _trace_solve(matrix: Float[Array, "n R R"], gain: Float[Array, "n R R"]) -> Float[Array, "n"]:
    if matrix.shape[1] == 1:
        return (gain / matrix)[:, 0, 0]
    return jnp.trace(small_solves(matrix, gain), axis1=1, axis2=2)


def _identity(like: Float[Array, "n R R"]) -> Float[Array, "1 R R"]:
    return jnp.eye(like.shape[1], dtype=like.dtype)[None]


def _largest(gain: Float[Array, "n R R"]) -> Float[Array, ""]:
    return jnp.max(jnp.where(jnp.isnan(gain), 0.0, gain))


def _take(rows: FisherRows, indices: Array) -> FisherRows:
    return FisherRows(rows.scale[indices], rows.features[indices])


def _double(rows: FisherRows) -> FisherRows:
    return FisherRows(rows.scale.astype(jnp.float64), rows.features.astype(jnp.float64))
