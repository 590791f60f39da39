"""Normals of the weights of a last layer: independent ones in training, and the best full covariances behind it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.numerics import dot, in_float64, to_double

FASTER = 10.0
"""Logarithms of spreads are this times a parameter: at the rate of a network's weights they would hardly move."""


class Head(NamedTuple):
    """Independent normals of the weights of P outputs, in units of the prior's standard deviation.

    log_scale: logarithms of standard deviations. log_noise: that of the variance of a label; classes have none. Both
    over `FASTER`.
    """

    mean: Float[Array, "P F"]
    log_scale: Float[Array, "P F"]
    log_noise: Float[Array, ""]


def spread(log_scale: Float[Array, "P F"], phi: Float[Array, "n F"]) -> Float[Array, "n P"]:
    """Variance of each output.

    >>> spread(jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    return phi**2 @ jnp.exp(2 * FASTER * log_scale).T


def divergence(head: Head) -> Float[Array, ""]:
    """``Σ_p KL(N(m_p, S_p) ‖ N(0, 1)) = ½ Σ_p (|m_p|² + tr S_p - F - log det S_p)``."""
    logs = FASTER * head.log_scale
    return 0.5 * jnp.sum(head.mean**2 + jnp.expm1(2 * logs) - 2 * logs)


def full_spreads(
    head: Head, phi: Float[Array, "n F"], weight: Float[Array, "n"], z: Float[Array, "P F K"]
) -> Float[Array, "P F K"]:
    """Draws, off the means, of the covariances that are best by Jensen's bound given means and features.

    ``S_p⁻¹ = 1 + Σ_n w_n π_np φ_n φ_nᵀ`` with ``π_n = softmax_p(m_p·φ_n + ½ φ_n·S_p φ_n)``: a fixed point, found in
    float64 from the independent normals; the draws are one step behind the first that moves no logit by more than a
    hundredth, NaN if none of fifty does.
    """

    def solve(phi: Array, weight: Array, mean: Array, half: Array, z: Array) -> Array:
        phi, weight, mean, half, z = map(to_double, (phi, weight, mean, half, z))
        logits = dot(phi, mean.T)

        def factor(share: Array) -> Float[Array, "F F"]:
            return jnp.linalg.cholesky(jnp.eye(phi.shape[1]) + dot(phi.T, phi * (weight * share)[:, None]))

        def half_variance(share: Array) -> Float[Array, "n"]:
            return 0.5 * jnp.sum(solve_triangular(factor(share), phi.T, lower=True) ** 2, 0)

        shares = lambda half: jax.nn.softmax(logits + half, 1).T

        def step(carry: tuple) -> tuple:
            half, _, number = carry
            new = jax.lax.map(half_variance, shares(half)).T
            return new, jnp.max(jnp.where(weight[:, None] > 0, jnp.abs(new - half), 0.0)), number + 1

        goes_on = lambda carry: (carry[1] > 1e-2) & (carry[2] < 50)
        half, moved, _ = jax.lax.while_loop(goes_on, step, (half, jnp.asarray(jnp.inf, jnp.float64), jnp.int32(0)))
        drawn = lambda both: solve_triangular(factor(both[0]), both[1], lower=True, trans=1)
        return jnp.where(moved <= 1e-2, jax.lax.map(drawn, (shares(half), z)), jnp.nan)

    half = 0.5 * spread(head.log_scale, phi)
    return in_float64(solve)(phi, weight, head.mean, half, z).astype(z.dtype)
