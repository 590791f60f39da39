"""Bilevel coresets of ridge regression: what one more row does to the pool's loss, in closed form.

The small model is ``θ = A⁻¹ Φᵀ W T`` with ``A = Φᵀ W Φ + ridge I``. One more row n of residual ``r_n = t_n - θᵀ φ_n``
moves it by ``A⁻¹ φ_n r_n / (1 + s_n)``, ``s_n = φ_nᵀ A⁻¹ φ_n`` (Sherman and Morrison), and the pool's squared error by

    -2 / (1 + s_n) · r_nᵀ (R_Vᵀ Φ_V A⁻¹ φ_n) + |r_n|² / (1 + s_n)² · φ_nᵀ A⁻¹ Φ_Vᵀ Φ_V A⁻¹ φ_n.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.bilevel.rows import Parts, Targeted, parts_of
from bal.bilevel.softmax import check_ridge
from bal.method import method
from bal.numerics import dot, in_float64, in_single
from bal.selection.rules.greedy import Greedy, pick_greedily
from bal.typing import Candidates, PRNGKey, Select, Selection


class _Trained(NamedTuple):
    inverse: Float[Array, "F F"]
    theta: Float[Array, "F C"]


@method
def ridge_coreset(ridge: float = 1e-2) -> Select:
    """Pick the row that lowers the pool's squared error most once ridge regression has its pseudo-label, and again.

    Rows are `Targeted`: features of a linear model, and what a better model expects of each row, real numbers or class
    probabilities; `known` rows have their labels. The score is the exact decrease of ``mean_i |t_i - θᵀ φ_i|²`` over
    the rows that may be picked, of either sign. All is float64, since one inverse is updated from pick to pick. A pick
    costs N F² + N F C. Deterministic.

    Use it for regression, and for classes as the quick form of `softmax_coreset`.

    Args:
      ridge: penalty ``ridge |θ|²`` beside a sum of squares over rows.

    Raises:
      ValueError: a penalty that is not positive.

    >>> from bal.bilevel import Targeted
    >>> from bal.selection import select
    >>> x = jnp.array([[1.0], [3.0], [0.0]])
    >>> select(Targeted(x, 2 * x), None, ridge_coreset(1e-3), 1).indices.tolist()
    [1]

    Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning and Streaming", section on
    least squares.
    """
    check_ridge(ridge)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        del key

        def solve(candidates: Candidates) -> Selection:
            parts = parts_of("ridge_coreset", _double(candidates), batch_size)
            selection, _ = pick_greedily(_rule(parts, ridge), candidates.eligible, batch_size)
            return in_single(selection, {}, dtype)

        dtype = candidates.rows.features.dtype if isinstance(candidates.rows, Targeted) else None
        return in_float64(solve)(candidates._replace(context=None))

    return select


def _rule(parts: Parts, ridge: float) -> Greedy:
    phi, targets = parts.pool
    known, weight = parts.known, parts.weight[:, None]
    inverse = jnp.linalg.inv(dot(known.features.T, weight * known.features) + ridge * jnp.eye(phi.shape[1]))
    start = _Trained(inverse, dot(inverse, dot(known.features.T, weight * known.targets)))
    gram = dot(phi.T, parts.outer[:, None] * phi)

    def score(now: _Trained) -> Float[Array, "n"]:
        missed = targets - dot(phi, now.theta)
        ahead = dot(phi, now.inverse)
        step = 1 / (1 + jnp.sum(ahead * phi, 1))
        pull = dot(ahead, dot(phi.T, parts.outer[:, None] * missed))
        size = jnp.sum(missed**2, 1) * jnp.sum(dot(ahead, gram) * ahead, 1)
        return jnp.where(parts.finite, 2 * step * jnp.sum(missed * pull, 1) - step**2 * size, jnp.nan)

    def update(now: _Trained, position: Array) -> _Trained:
        row = phi[position]
        along = dot(now.inverse, row)
        scale = 1 / (1 + dot(row, along))
        missed = targets[position] - dot(row, now.theta)
        return _Trained(
            now.inverse - scale * along[:, None] * along[None], now.theta + scale * along[:, None] * missed[None]
        )

    return Greedy(start, score, update)


def _double(candidates: Candidates) -> Candidates:
    wide = lambda rows: Targeted(*(leaf.astype(jnp.float64) for leaf in rows)) if isinstance(rows, Targeted) else rows
    return candidates._replace(rows=wide(candidates.rows), known=wide(candidates.known))
