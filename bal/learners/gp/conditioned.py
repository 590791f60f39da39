"""A Gaussian process given noisy observations: the algebra that regression and classification share.

Observation i has precision ``w_i``, which is 0 for padding. With ``B = I + W^½ K W^½ = C Cᵀ`` and the whitener
``A = C⁻¹ W^½``, the posterior covariance is ``k(x, x') - (A k(X, x))·(A k(X, x'))`` and the posterior mean
``m(x) + k(x, X) Aᵀ A (y - m)``. A padded row adds a row of the identity to B: it changes no number.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.training import map_members
from bal.numerics import in_row_blocks
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree


class GPState(NamedTuple):
    """K draws of hyper-parameters, and for each what prediction needs of the labels: 0 where padded.

    whiten is A and alpha is ``Aᵀ A (y - m)``, so that predicting is two products. gap says how far the approximation of
    a classifier is from its own equations, 0 for regression: far above rounding means that it ended early. An
    evaluation may log it, ``posterior.state.gap``.
    """

    params: PyTree
    x: Float[Array, "L D"]
    whiten: Float[Array, "K L L"]
    alpha: Float[Array, "K L *P"]
    gap: Float[Array, "K"]


class GPRows(NamedTuple):
    """Embedded rows: inputs, covariances with the labels whitened, posterior means, noise of a label."""

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
    """Labels as the algebra wants them: 0 where padded. log_noise: ``Σ_i weight_i log 2πσ_i²``, of one output."""

    x: Float[Array, "L D"]
    residual: Float[Array, "L *P"]
    precision: Float[Array, "L"]
    log_noise: Float[Array, ""]


def observe(process: Process, x: Float[Array, "L D"], y: Float[Array, "L *P"], weight: Float[Array, "L"]) -> Observed:
    """Labels less the prior mean, and their precisions; whatever a padded row holds is gone."""
    real = weight > 0
    x = jnp.where(real[:, None], x, 0.0)
    noise = process.noise_variance(x)
    residual = jnp.where(_stretch(real, y), y - process.prior_mean(x, y.shape[1:]), 0.0)
    log_noise = jnp.sum(jnp.where(real, weight * jnp.log(2 * jnp.pi * noise), 0.0))
    return Observed(x, residual, jnp.where(real, weight / noise, 0.0), log_noise)


def gp_learner(
    process: Process,
    num_draws: int,
    fit: Callable[[PRNGKey, GPState, Data], GPState],
    read: Callable[[Gaussian], PyTree] = lambda found: found,
    capacity: int | None = None,
) -> Learner:
    """The learner of a fit: whatever finds a `GPState` predicts, embeds and covaries alike.

    Args:
      process: split into hyper-parameters, which the state holds, and the rest.
      num_draws: K.
      fit: of the learner.
      read: predictions from posterior moments.
      capacity: rows that the state holds, if fewer than the labels.
    """
    fitted, rest = split(process)
    of_dtype = lambda dtype: lambda params: join(params, rest, dtype)

    def init(key: PRNGKey, data: Data) -> GPState:
        del key
        length, dtype = len(data.weight), data.x.dtype
        size = length if capacity is None else min(capacity, length)
        draws = lambda leaf: jnp.broadcast_to(leaf, (num_draws, *leaf.shape))
        params = jax.tree.map(draws, as_dtype(fitted, dtype))
        x, alpha = ((size, *leaf.shape[1:]) for leaf in (data.x, data.y))
        empty = (jnp.zeros(shape, dtype) for shape in (x, (num_draws, size, size), (num_draws, *alpha), (num_draws,)))
        return GPState(params, *empty)

    def predict(state: GPState, x: Float[Array, "n D"]) -> PyTree:
        return read(predict_rows(of_dtype(x.dtype), state, x))

    def embed(state: GPState, x: Float[Array, "n D"]) -> GPRows:
        return embed_rows(of_dtype(x.dtype), state, x)

    def kernel(state: GPState, a: GPRows, b: GPRows) -> Float[Array, ""]:
        return covariance(of_dtype(a.x.dtype), state, a, b)

    return Learner(init, fit, predict, embed, kernel)


def predict_rows(joined: Callable[[PyTree], Process], state: GPState, x: Float[Array, "n D"]) -> Gaussian:
    """Posterior mean and variance of f and noise of y at rows, for every draw of hyper-parameters."""

    def block(x: Float[Array, "n D"]) -> Gaussian:
        rows = embed_rows(joined, state, x)
        prior = _over_draws(lambda params, whiten, alpha: joined(params).variance(x), state)
        variance = jnp.maximum(prior.T - jnp.sum(rows.whitened**2, -1), 0.0)
        return Gaussian(rows.mean, _stretch(variance, rows.mean), _stretch(rows.noise, rows.mean))

    return in_row_blocks(block, x)


def embed_rows(joined: Callable[[PyTree], Process], state: GPState, x: Float[Array, "n D"]) -> GPRows:
    """What `covariance` compares."""

    def block(x: Float[Array, "n D"]) -> GPRows:
        whitened, mean, noise = _over_draws(partial(_embed, joined, state.x, x), state)
        return GPRows(x, whitened.swapaxes(0, 1), mean.swapaxes(0, 1), noise.T)

    return in_row_blocks(block, x)


def covariance(joined: Callable[[PyTree], Process], state: GPState, a: PyTree, b: PyTree) -> Float[Array, ""]:
    """Posterior covariance of f at two embedded rows; over several draws the mean of theirs plus that of their means.

    Several outputs share it, up to the covariance of the draws' means, of which it has the average over outputs.
    """
    prior = jax.vmap(lambda params, alpha: joined(params).kernel(a.x, b.x))(state.params, state.alpha)
    within = prior - jnp.einsum("kl,kl->k", a.whitened, b.whitened, precision="highest")
    centred = lambda mean: mean - mean.mean(0, keepdims=True)
    return jnp.mean(within) + jnp.mean(centred(a.mean) * centred(b.mean))


def _embed(
    joined: Callable[[PyTree], Process], x_labeled: Array, x: Array, params: PyTree, whiten: Array, alpha: Array
) -> tuple[Array, Array, Array]:
    process = joined(params)
    cross = process.covariance(x, x_labeled)
    mean = process.prior_mean(x, alpha.shape[1:]) + dot(cross, alpha)
    return dot(cross, whiten.T), mean, process.noise_variance(x)


def _over_draws(fn: Callable, state: GPState) -> PyTree:
    return map_members(fn, state.params, state.whiten, state.alpha)


def _stretch(leaf: Array, like: Array) -> Array:
    """The same for every output."""
    return jnp.broadcast_to(leaf.reshape(leaf.shape + (1,) * (like.ndim - leaf.ndim)), like.shape)


def dot(a: Array, b: Array) -> Array:
    """Matrix product in full precision."""
    return jnp.matmul(a, b, precision="highest")
