"""A Gaussian process given noisy observations: the algebra that regression and classification share.

Observation i has precision ``w_i``, which is 0 for padding. With ``B = I + W^½ K W^½ = C Cᵀ`` and the whitener
``A = C⁻¹ W^½``, the posterior covariance is ``k(x, x') - (A k(X, x))·(A k(X, x'))`` and the posterior mean
``m(x) + k(x, X) Aᵀ A (y - m)``. A padded row adds a row of the identity to B: it changes no number.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

from bal.learners.gp.process import Process
from bal.learners.gp.units import Units
from bal.learners.padding import real_rows
from bal.numerics import dot
from bal.typing import PyTree


class GPState(NamedTuple):
    """K draws of hyper-parameters, and for each what prediction needs of the labels: real rows first, then 0.

    whiten is A and alpha is ``Aᵀ A (z - m)``, so that predicting is two products. gap says how far the approximation of
    a classifier is from its own equations, 0 for regression: far above rounding means that it ended early. converged is
    False where it did, or where the choice of hyper-parameters did; an evaluation may log them,
    ``posterior.state.converged``. num_labels counts the real rows. z and params are in `units`; None where the
    hyper-parameters are given, in natural ones. chain is the report of a sampler of hyper-parameters.
    """

    params: PyTree
    x: Float[Array, "L D"]
    whiten: Float[Array, "K L L"]
    alpha: Float[Array, "K L *P"]
    gap: Float[Array, "K"]
    converged: Bool[Array, "K"]
    num_labels: Int[Array, ""]
    units: Units | None
    chain: PyTree = None


class GPRows(NamedTuple):
    """Embedded rows: inputs, covariances with the labels whitened (in units), posterior means, noise of a label.

    Of several outputs the noise is the average.
    """

    x: Float[Array, "n D"]
    whitened: Float[Array, "n K L"]
    mean: Float[Array, "n K *P"]
    noise: Float[Array, "n K"]


class Factor(NamedTuple):
    """whiten: A; log_det: ``log det B``."""

    whiten: Float[Array, "L L"]
    log_det: Float[Array, ""]


def factor(gram: Float[Array, "L L"], precision: Float[Array, "L"]) -> Factor:
    """The whitener of observations of these precisions; NaN where B is not positive definite in this arithmetic."""
    real, identity = precision > 0, jnp.eye(len(precision), dtype=gram.dtype)
    root = jnp.where(real, jnp.sqrt(jnp.where(real, precision, 1.0)), 0.0)  # no slope at 0, which would be infinite
    scaled = jnp.where(real[None, :], gram, 0.0) * (root[:, None] * root[None, :])
    cholesky = jnp.linalg.cholesky(identity + scaled)
    whiten = solve_triangular(cholesky, identity, lower=True) * root[None, :]
    return Factor(whiten, 2 * jnp.sum(jnp.log(jnp.diagonal(cholesky))))


def condition(
    process: Process, x: Float[Array, "L D"], y: Float[Array, "L *P"], weight: Float[Array, "L"]
) -> tuple[Float[Array, "L L"], Float[Array, "L *P"], Float[Array, ""]]:
    """Whitener, alpha and log evidence ``log p(y)`` of normal observations; weight 2 counts a label twice."""
    seen = observe(process, x, y, weight)
    found = factor(process.covariance(seen.x, seen.x), seen.precision)
    white = dot(found.whiten, seen.residual)
    evidence = -0.5 * jnp.sum(white**2) - 0.5 * math.prod(y.shape[1:]) * (found.log_det + seen.log_noise)
    return found.whiten, dot(found.whiten.T, white), evidence


class Observed(NamedTuple):
    """Labels as the algebra wants them, residual and precision 0 where padded.

    log_noise: ``Σ_i weight_i log 2πσ_i²``, of one output.
    """

    x: Float[Array, "L D"]
    residual: Float[Array, "L *P"]
    precision: Float[Array, "L"]
    log_noise: Float[Array, ""]


def observe(process: Process, x: Float[Array, "L D"], y: Float[Array, "L *P"], weight: Float[Array, "L"]) -> Observed:
    """Labels less the prior mean, and their precisions; whatever a padded row holds is gone."""
    real = weight > 0
    x = real_rows(x, weight)
    noise = process.noise_variance(x)
    residual = jnp.where(stretch(real, y), y - process.prior_mean(x, y.shape[1:]), 0.0)
    log_noise = jnp.sum(jnp.where(real, weight * jnp.log(2 * jnp.pi * noise), 0.0))
    return Observed(x, residual, jnp.where(real, weight / noise, 0.0), log_noise)


def stretch(leaf: Array, like: Array) -> Array:
    """The same for every output."""
    return jnp.broadcast_to(leaf.reshape(leaf.shape + (1,) * (like.ndim - leaf.ndim)), like.shape)
