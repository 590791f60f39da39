"""Closed-form inner products of expected log likelihoods, for Bayesian linear heads: the kernel form's ``pair``.

The posterior of the head is N(mean, S). Every product takes two `HeadRows` and gives a scalar; `frank_wolfe_kernel`
maps it over rows. Pinsler et al. 2019, equations 8-15; the Euclidean product of linear regression is derived here.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.numerics import dot, normal_excess


class LinearHead(NamedTuple):
    """Posterior of a linear head's weights, and the noise variance of its labels (1 and unused for classification)."""

    mean: Float[Array, "D"]
    covariance: Float[Array, "D D"]
    noise: Float[Array, ""]


class HeadRows(NamedTuple):
    """What the products need of a row, read off once: x, S x, mean·x, xᵀ S x and the noise variance."""

    x: Float[Array, "*n D"]
    projected: Float[Array, "*n D"]
    mean: Float[Array, "*n"]
    variance: Float[Array, "*n"]
    noise: Float[Array, "*n"]


def head_rows(x: Float[Array, "n D"], head: LinearHead) -> HeadRows:
    """Rows of inputs (or hidden activations) as seen by a linear head.

    >>> import jax
    >>> jax.jit(head_rows)(np.eye(2), LinearHead(np.ones(2), 2 * np.eye(2), np.ones(()))).variance.tolist()
    [2.0, 2.0]
    """
    projected = dot(x, head.covariance)
    return HeadRows(x, projected, dot(x, head.mean), jnp.sum(projected * x, 1), jnp.full(len(x), head.noise))


def known_noise(x: Float[Array, "L D"], y: Float[Array, "L"], weight: Float[Array, "L"], noise: float) -> LinearHead:
    """Linear regression under the prior N(0, I) and a known noise variance: ``S = noise (Xᵀ X + noise I)⁻¹``.

    >>> import jax
    >>> jax.jit(known_noise, static_argnums=3)(np.eye(2), np.ones(2), np.ones(2), 1.0).mean.tolist()
    [0.5, 0.5]
    """
    if not noise > 0:
        raise ValueError(f"the noise variance must be positive, got {noise}")
    precision, moment = _normal_equations(x, y, weight, noise)
    covariance = noise * jnp.linalg.inv(precision)
    return LinearHead(dot(covariance, moment) / noise, covariance, jnp.asarray(noise, x.dtype))


def unknown_noise(
    x: Float[Array, "L D"], y: Float[Array, "L"], weight: Float[Array, "L"], a0: float = 1.0, b0: float = 1.0
) -> LinearHead:
    """Linear regression under a normal-inverse-gamma prior: weights N(0, noise I), noise IG(a0, b0).

    With ``S = (Xᵀ X + I)⁻¹``, ``a = a0 + n/2``, ``b = b0 + ½ (yᵀ y - meanᵀ S⁻¹ mean)`` the head is returned at the
    noise b / a, ``covariance = (b / a) S``: in this form `linear_fisher` is the exact ``(a / b) (x_n·x_m) (x_nᵀ S
    x_m)``.

    >>> import jax
    >>> round(float(jax.jit(unknown_noise)(np.eye(2), np.ones(2), np.ones(2)).noise), 4)  # b = 1.5, a = 2
    0.75
    """
    if not (a0 > 0 and b0 > 0):
        raise ValueError(f"an inverse gamma prior needs a0 > 0 and b0 > 0, got {a0} and {b0}")
    precision, moment = _normal_equations(x, y, weight, 1.0)
    scale = jnp.linalg.inv(precision)
    mean = dot(scale, moment)
    b = b0 + 0.5 * (jnp.sum(weight * y**2) - dot(dot(mean, precision), mean))
    noise = b / (a0 + 0.5 * weight.sum())
    return LinearHead(mean, noise * scale, noise)


def _normal_equations(x: Array, y: Array, weight: Array, noise: float) -> tuple[Array, Array]:
    weighted = jnp.where(weight > 0, weight, 0.0)[:, None] * x
    return dot(weighted.T, x) + noise * jnp.eye(x.shape[1], dtype=x.dtype), dot(weighted.T, y)


def linear_fisher(a: HeadRows, b: HeadRows) -> Float[Array, ""]:
    """``(x_a·x_b) (x_aᵀ S x_b) / noise²`` (equation 11), and with `unknown_noise` its expectation over the noise."""
    return dot(a.x, b.x) * dot(a.x, b.projected) / (a.noise * b.noise)


def linear_euclidean(a: HeadRows, b: HeadRows) -> Float[Array, ""]:
    """``E[L_a L_b]`` for linear regression of known noise: not centered, so constants count.

    ``L = c - (f - mean)² / (2 noise)`` with ``c = ½ log(1 + s / noise) - s / (2 noise)``, s the variance of f, so that
    ``E[L_a L_b] = c_a c_b - (c_a s_b + c_b s_a) / (2 noise) + (s_a s_b + 2 s_ab²) / (4 noise²)``.
    """
    s_a, s_b, s_ab = a.variance / a.noise, b.variance / b.noise, dot(a.x, b.projected) / jnp.sqrt(a.noise * b.noise)
    c_a, c_b = 0.5 * (jnp.log1p(s_a) - s_a), 0.5 * (jnp.log1p(s_b) - s_b)
    return c_a * c_b - 0.5 * (c_a * s_b + c_b * s_a) + 0.25 * (s_a * s_b + 2 * s_ab**2)


def probit_fisher(a: HeadRows, b: HeadRows) -> Float[Array, ""]:
    """``x_a·x_b Cov(Φ(f_a), Φ(f_b))`` (equation 14), Φ the normal distribution function, f the latent value.

    This is the product of scores ``x (π - Φ(f))``, the logistic score with Φ for the sigmoid; the score of a true
    probit likelihood is three to five times larger. The bivariate normal is integrated by 14 nodes.
    """
    return _sigmoidal_fisher(a, b, 1.0)


def logistic_fisher(a: HeadRows, b: HeadRows) -> Float[Array, ""]:
    """``x_a·x_b Cov(σ(f_a), σ(f_b))`` for a logistic head, by ``σ(f) ≈ Φ(√(π/8) f)``: within 10 % or so."""
    return _sigmoidal_fisher(a, b, float(np.sqrt(np.pi / 8)))


def _sigmoidal_fisher(a: HeadRows, b: HeadRows, kappa: float) -> Float[Array, ""]:
    total_a, total_b = (jnp.sqrt(1 + kappa**2 * rows.variance) for rows in (a, b))
    rho = kappa**2 * dot(a.x, b.projected) / (total_a * total_b)
    return dot(a.x, b.x) * normal_excess(kappa * a.mean / total_a, kappa * b.mean / total_b, rho)
