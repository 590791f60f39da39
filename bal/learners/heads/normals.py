"""Normals of the weights of a last layer, as they are trained: means, and Cholesky factors of the covariances."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

FASTER = 10.0
"""Logarithms of spreads are this times a parameter: at the rate of a network's weights they would hardly move."""


class Head(NamedTuple):
    """Normals of the weights of P outputs, in units of the prior's standard deviation.

    factor: Cholesky factors with logarithms on the diagonal ``[P, F, F]``, or these logarithms alone ``[P, F]``.
    log_noise: logarithm of the variance of a label; classes have none.
    """

    mean: Float[Array, "P F"]
    factor: Array
    log_noise: Float[Array, ""]


def _root(factor: Float[Array, "P F F"]) -> Float[Array, "P F F"]:
    """Lower triangular, with what is held as a logarithm on the diagonal."""
    diagonal = jnp.exp(FASTER * jnp.diagonal(factor, axis1=1, axis2=2))
    return jnp.tril(factor, -1) + diagonal[..., None] * jnp.eye(factor.shape[1], dtype=factor.dtype)[None]


def by_root(factor: Array, phi: Float[Array, "n F"]) -> Float[Array, "n P F"]:
    """``φ L`` of each output, whose squared length is the variance of the output."""
    if factor.ndim == 2:
        return phi[:, None] * jnp.exp(FASTER * factor)[None]
    return jnp.einsum("nf,pfg->npg", phi, _root(factor))


def spread(factor: Array, phi: Float[Array, "n F"]) -> Float[Array, "n P"]:
    """Variance of each output, ``|φ L|²``.

    >>> spread(jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    if factor.ndim == 2:
        return phi**2 @ jnp.exp(2 * FASTER * factor).T
    return jnp.sum(by_root(factor, phi) ** 2, -1)


def times_root(factor: Array, z: Float[Array, "K P F"]) -> Float[Array, "K P F"]:
    """``L z`` of each output: what a draw is off the mean."""
    if factor.ndim == 2:
        return jnp.exp(FASTER * factor)[None] * z
    return jnp.einsum("pfg,kpg->kpf", _root(factor), z)


def divergence(head: Head) -> Float[Array, ""]:
    """``Σ_p KL(N(m_p, S_p) ‖ N(0, 1)) = ½ Σ_p (|m_p|² + tr S_p - F - log det S_p)``."""
    logs = head.factor if head.factor.ndim == 2 else jnp.diagonal(head.factor, axis1=1, axis2=2)
    below = 0.0 if head.factor.ndim == 2 else jnp.sum(jnp.tril(head.factor, -1) ** 2)
    return 0.5 * (jnp.sum(head.mean**2 + jnp.expm1(2 * FASTER * logs) - 2 * FASTER * logs) + below)
