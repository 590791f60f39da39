"""Information of an order other than Shannon's: what a label tells about the draw where the draws may all be wrong."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.information import bald
from bal.acquisition.kinds import check_log_probs
from bal.method import method
from bal.numerics import at_least, defined, in_row_blocks, logmeanexp


@method
def robust_bald(alpha: float) -> Callable[[Float[Array, "N K C"]], Float[Array, "N"]]:
    """Sibson's information of order α between label and draw, ``α/(α-1) log Σ_c (mean_k p_kc^α)^(1/α)``, in nats.

    ``min_q D_α(p_k(y)/K ‖ q(y)/K)``: the Rényi divergence of the joint of draw and label from independence, with the
    best output distribution q. `bald` at α = 1, non-decreasing in α, exactly 0 for draws that agree, at most
    ``log min(C, K)``. Computed from non-negative terms, as `bald` is; where ``ρ^α`` overflows, for orders above some
    50, to about 1e-7 nats. Where draws nearly agree it is α times `bald` and ranks alike.

    Use it when draws may be wrong: an order below 1 is the cautious one, which counts what most draws say; one above 1
    counts the draw that stands out.

    Args:
      alpha: order, positive.

    Raises:
      ValueError: an order that is not a positive number.

    >>> import numpy as np
    >>> log_probs = np.log([[[0.9, 0.1], [0.5, 0.5]], [[0.3, 0.7], [0.3, 0.7]]])
    >>> [[round(s, 4) for s in jax.jit(robust_bald(alpha))(log_probs).tolist()] for alpha in (0.5, 1.0, 2.0)]
    [[0.0542, 0.0], [0.1017, 0.0], [0.1697, 0.0]]

    Sibson 1969, "Information Radius"; Verdú 2015, "α-Mutual Information".
    """
    if not (alpha > 0 and math.isfinite(alpha)):
        raise ValueError(f"robust_bald needs an order alpha that is a positive number, got {alpha}; 1 is bald")

    def information(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
        check_log_probs("robust_bald", log_probs)
        if alpha == 1:
            return bald(log_probs)
        return in_row_blocks(lambda block: _information(block, alpha), log_probs)

    return information


def _information(log_probs: Float[Array, "n K C"], alpha: float) -> Float[Array, "n"]:
    log_p = log_probs.transpose(1, 2, 0)
    log_marginal = logmeanexp(log_p, 0)
    impossible = jnp.isneginf(log_marginal)[None]  # such a class contributes nothing
    log_ratio = jnp.where(impossible, 0.0, log_p - jnp.where(impossible, 0.0, log_marginal[None]))
    moment = alpha * (alpha - 1) * _generator(log_ratio, alpha).mean(0)  # mean_k ρ^α - 1
    excess = jnp.sum(jnp.exp(log_marginal) * jnp.expm1(jnp.log1p(moment) / alpha), 0)
    log_mean = logmeanexp(alpha * log_p, 0) / alpha
    # Draws that nearly agree need the form that cannot cancel; far ones would lose it to overflow or to log of 0.
    total = jnp.where(jnp.abs(excess) < 0.5, jnp.log1p(excess), jax.nn.logsumexp(log_mean, 0))
    return defined(at_least(alpha / (alpha - 1) * total, 0.0), log_marginal.max(0), total)


def _generator(r: Float[Array, "K C n"], alpha: float) -> Float[Array, "K C n"]:
    """``(ρ^α - 1 - α (ρ - 1)) / (α (α - 1)) >= 0`` for ``ρ = eʳ``, to full relative accuracy: its series near ρ = 1.

    For α → 1 it is ``ρ log ρ - ρ + 1``.
    """
    series = jnp.zeros_like(r)
    for n in range(7, 1, -1):
        series = series * r + sum(alpha**j for j in range(n - 1)) / math.factorial(n)
    if alpha < 0.5:
        far = (jnp.expm1(r) - jnp.expm1(alpha * r) / alpha) / (1 - alpha)
    else:
        low = at_least(r, -80.0)  # the exponential of which is 0, and that of its multiple not infinite
        far = (jnp.exp(low) * jnp.expm1((alpha - 1) * low) / (alpha - 1) - jnp.expm1(low)) / alpha
    return jnp.where(jnp.abs(r) * max(alpha, 1.0) < 0.1, r * r * series, far)
