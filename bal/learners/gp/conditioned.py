"""A Gaussian process given noisy observations: the algebra that regression and classification share.

Observation i has precision ``w_i``, which is 0 for padding. With ``B = I + W^½ K W^½ = C Cᵀ`` and the whitener
``A = C⁻¹ W^½``, the posterior covariance is ``k(x, x') - (A k(X, x))·(A k(X, x'))`` and the posterior mean
``m(x) + k(x, X) Aᵀ A (y - m)``. A padded row adds a row of the identity to B: it changes no number.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.learners.gp.process import Process
from bal.learners.training import map_members
from bal.numerics import in_row_blocks
from bal.typing import Gaussian, PyTree


class GPState(NamedTuple):
    """K draws of hyper-parameters, and for each what prediction needs of the labels: 0 where padded.

    whiten is A and alpha is ``Aᵀ A (y - m)``, so that predicting is two products.
    """

    params: PyTree
    x: Float[Array, "L D"]
    whiten: Float[Array, "K L L"]
    alpha: Float[Array, "K L"]


class GPRows(NamedTuple):
    """Embedded rows: inputs, covariances with the labels whitened, posterior means, noise of a label."""

    x: Float[Array, "n D"]
    whitened: Float[Array, "n K L"]
    mean: Float[Array, "n K"]
    noise: Float[Array, "n K"]


class Factor(NamedTuple):
    """whiten: A; log_det: ``log det B``."""

    whiten: Float[Array, "L L"]
    log_det: Float[Array, ""]


def factor(gram: Float[Array, "L L"], precision: Float[Array, "L"]) -> Factor:
    """The whitener of observations of these precisions; NaN where B is not positive definite in this arithmetic."""
    root = jnp.sqrt(precision)
    identity = jnp.eye(len(root), dtype=gram.dtype)
    cholesky = jnp.linalg.cholesky(identity + root[:, None] * jnp.where(precision > 0, gram, 0.0) * root)
    whiten = solve_triangular(cholesky, identity, lower=True) * root
    return Factor(whiten, 2 * jnp.sum(jnp.log(jnp.diagonal(cholesky))))


def condition(
    process: Process, x: Float[Array, "L D"], y: Float[Array, "L"], weight: Float[Array, "L"]
) -> tuple[Float[Array, "L L"], Float[Array, "L"], Float[Array, ""]]:
    """Whitener, alpha and log evidence ``log p(y)`` of normal observations; weight 2 counts a label twice."""
    x = jnp.where(weight[:, None] > 0, x, 0.0)
    precision = jnp.where(weight > 0, weight / process.noise_variance(x), 0.0)
    residual = jnp.where(weight > 0, y - process.prior_mean(x), 0.0)
    found = factor(process.covariance(x, x), precision)
    white = _dot(found.whiten, residual)
    num_terms = jnp.sum(jnp.where(precision > 0, jnp.log(2 * jnp.pi / jnp.where(precision > 0, precision, 1.0)), 0.0))
    return found.whiten, _dot(found.whiten.T, white), -0.5 * (_dot(white, white) + found.log_det + num_terms)


def predict_rows(join: Callable[[PyTree], Process], state: GPState, x: Float[Array, "n D"]) -> Gaussian:
    """Posterior mean and variance of f and noise of y at rows, for every draw of hyper-parameters."""

    def block(x: Float[Array, "n D"]) -> Gaussian:
        rows = embed_rows(join, state, x)
        prior = _over_draws(lambda params, whiten, alpha: join(params).variance(x), state)
        variance = prior.T - jnp.sum(rows.whitened**2, -1)
        return Gaussian(rows.mean, jnp.maximum(variance, 0.0), rows.noise)

    return in_row_blocks(block, x)


def embed_rows(join: Callable[[PyTree], Process], state: GPState, x: Float[Array, "n D"]) -> GPRows:
    """What `covariance` compares."""

    def block(x: Float[Array, "n D"]) -> GPRows:
        whitened, mean, noise = _over_draws(partial(_embed, join, state.x, x), state)
        return GPRows(x, whitened.transpose(1, 0, 2), mean.T, noise.T)

    return in_row_blocks(block, x)


def covariance(join: Callable[[PyTree], Process], state: GPState, a: PyTree, b: PyTree) -> Float[Array, ""]:
    """Posterior covariance of f at two embedded rows; over several draws the mean of theirs plus that of their means."""
    prior = jax.vmap(lambda params, alpha: join(params).kernel(a.x, b.x))(state.params, state.alpha)
    within = prior - jnp.einsum("kl,kl->k", a.whitened, b.whitened, precision="highest")
    return jnp.mean(within) + jnp.mean((a.mean - a.mean.mean()) * (b.mean - b.mean.mean()))


def _embed(
    join: Callable[[PyTree], Process], x_labeled: Array, x: Array, params: PyTree, whiten: Array, alpha: Array
) -> tuple[Array, Array, Array]:
    process = join(params)
    cross = process.covariance(x, x_labeled)
    return _dot(cross, whiten.T), process.prior_mean(x) + _dot(cross, alpha), process.noise_variance(x)


def _over_draws(fn: Callable, state: GPState) -> PyTree:
    return map_members(fn, state.params, state.whiten, state.alpha)


def _dot(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
