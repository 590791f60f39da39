"""NeurONAL-P's draw: rows of small gap are likely, and how likely is set by the smallest gap of all.

Ban, Agarwal, Wu, Cheng, Weldemariam, Tong and He 2024, "Neural Active Learning Beyond Bandits" (ICLR).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.method import method
from bal.numerics import first_argmax
from bal.selection.kinds import check_scores
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select, Selection


def inverse_gap_law(
    gap: Float[Array, "n"], left: Bool[Array, "n"], gamma: float, mu: float | None = None
) -> Float[Array, "n"]:
    """Probabilities of the rows that are left, from their gaps ``w_i >= 0``; they add up to 1.

    ``p_i = ŵ / (μ ŵ + γ (w_i - ŵ))`` with ŵ the smallest gap, and what remains to 1 for the first row that has it.
    With a gap of 0 in the pool the limit: rows of gap 0 have 1/μ, all others nothing.

    Never negative where ``μ >= B``, the number of rows left, which is what μ is when it is not given. ``γ = 0`` with
    ``μ = B`` is uniform, ``γ → ∞`` the smallest gap for certain. Decreasing in the gap.

    >>> import jax
    >>> law = jax.jit(inverse_gap_law, static_argnames=("gamma", "mu"))
    >>> law(jnp.array([1.0, 2.0, 9.0]), jnp.array([True, True, False]), gamma=2.0).tolist()
    [0.75, 0.25, 0.0]
    """
    smallest = jnp.min(gap, where=left, initial=jnp.inf)
    best = first_argmax(jnp.where(left, -gap, -jnp.inf))
    num_left = jnp.maximum(left.sum(), 1).astype(gap.dtype)
    scale = num_left if mu is None else jnp.asarray(mu, gap.dtype)
    above = left & (gap > smallest)
    far = jnp.where(above, gamma * ((gap - smallest) / smallest), 0.0) if gamma > 0 else jnp.zeros_like(gap)
    others = jnp.where(left, 1.0 / (scale + far), 0.0).at[best].set(0.0)
    short = jnp.where(jnp.isposinf(far), 1.0, far / (scale + far))  # of 1/μ, as a share of it
    return others.at[best].set(
        (1.0 + (scale - num_left) + short.sum()) / scale
    )  # no difference of nearly equal numbers


@method
def inverse_gap(gamma: float = 1000.0, mu: float | None = None) -> Select:
    """Rows drawn one by one, without replacement, by `inverse_gap_law` of the rows that are left.

    Scores are minus the gap between the two best classes, at most 0 (`bal.acquisition.log_margin`, `margin`); what is
    above counts as 0. `log_q` holds log P(pick | earlier picks), as unbiased estimators need.

    Use it when picks are to have probabilities, as for active testing, and rows near the boundary most of it.

    Args:
      gamma: how much a larger gap counts: √(Q / (K S²)) in the paper for Q labels of K classes, 1000 or 300 in its
        code.
      mu: at least the number of candidates; None = as many as are left. The paper has Q.

    Raises:
      ValueError: gamma below 0; when traced, mu below the number of candidates, where the law of the paper gives
        negative probabilities.

    >>> from bal.selection import select
    >>> picks = select(None, None, inverse_gap(gamma=1e9), 2, scores=[-0.5, -0.1, -0.9])
    >>> picks.indices.tolist()
    [1, 0]

    Ban et al. 2024, "Neural Active Learning Beyond Bandits"; Foster and Rakhlin 2020, "Beyond UCB".
    """
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma must be finite and at least 0, got {gamma}; 0 draws uniformly")
    if mu is not None and not 0 < mu < math.inf:
        raise ValueError(f"mu must be finite and positive, got {mu}; leave it out for as many as rows are left")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        del key, batch_size
        scores = candidates.rows
        gap = jnp.maximum(-scores, 0.0)

        def log_law(left: Bool[Array, "n"]) -> Float[Array, "n"]:
            return jnp.where(jnp.isnan(scores), jnp.nan, jnp.log(inverse_gap_law(gap, left, gamma, mu)))

        here = candidates.eligible & ~jnp.isnan(scores)
        return Greedy(here, log_law, lambda left, position: left.at[position].set(False))

    drawn = greedy(rule, draw=True)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_scores("inverse_gap", candidates.rows)
        n = len(candidates.rows)
        if mu is not None and mu < n:
            raise ValueError(
                f"inverse_gap needs mu to be at least the number of candidates, {n}, got {mu}, by which a probability "
                "could be negative; raise it, leave it out, or let fewer through by a stage before"
            )
        picks = drawn(key, candidates, batch_size)
        scores = jnp.where(picks.valid, candidates.rows[picks.indices], -jnp.inf)
        return picks._replace(scores=scores)

    return select
