"""Draws of hyper-parameters by importance sampling around the mode: fast enough to be redone every round.

With coordinates θ of dimension P (`coordinates`), the mode θ* of the log posterior and H its negative Hessian there,
S quasi-random points come half from a Student t of 4 degrees of freedom, ``θ = θ* + H^-½ z √(4/χ²₄)``, half from a
wider one, because a few labels leave far tails (a long lengthscale and all noise); their weights are posterior over
proposal. Systematic resampling makes K draws of them.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import ndtri
from jaxtyping import Array, Float
from scipy.stats import qmc

from bal.learners.gp.coordinates import coordinates
from bal.learners.gp.hyperparameters import Chosen, Hyperparameters, Objective, check_free, units_of
from bal.learners.restart import Restart, cold
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import ascend, dot, positions_at
from bal.typing import PRNGKey, PyTree

WIDE, WIDEST = 2.0, 3.0
"""Standard deviations in the coordinates: the least of the wide component of the proposal, which finds tails that the
mode knows nothing of, and the largest of any, where the Hessian says little or is not definite."""


class WeightedDraws(NamedTuple):
    """S draws of hyper-parameters and the logarithms of their weights, which sum to 1."""

    params: PyTree
    log_weight: Float[Array, "S"]


@method
def laplace_draws(
    num_draws: int, num_points: int = 256, num_steps: int = 30, *, restart: Restart = cold, standardize: bool = True
) -> Hyperparameters:
    """K draws of equal weight from the posterior of the hyper-parameters, by importance sampling around its mode.

    Costs ``num_points`` Cholesky factors of the labels beside finding the mode. Where the effective number of points
    (`effective_size` of `weighted_draws`) is below K, draws repeat, and the state says that they have not `converged`,
    as it does below a twentieth of the points. For a posterior of several far modes use `nuts`.
    Without a `log_prior` the prior is flat in the constrained values, and the posterior may not exist.

    Args:
      num_draws: K.
      num_points: S.
      num_steps: L-BFGS steps towards the mode, at most.
      restart: `cold`, or `warm` to start from the first draw of the round before.
      standardize: as for `maximum_likelihood`; the prior is then one of standardized values.

    Raises:
      ValueError: fewer draws than 1, or fewer points than draws.

    Rue, Martino and Chopin 2009, "Approximate Bayesian inference for latent Gaussian models", explore hyper-parameters
    on a grid with Laplace's method and importance weights; the proposal and resampling here are our choice.
    """
    if num_draws < 1 or num_points < num_draws:
        raise ValueError(f"expected at least 1 draw and as many points, got {num_draws} draws, {num_points} points")

    def choose(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> Chosen:
        first = restart(jax.tree.map(lambda leaf: leaf[0], previous), initial)
        key_points, key_draws = jax.random.split(key)
        found = weighted_draws(key_points, first, objective, num_points, num_steps)
        picked = systematic(key_draws, found.log_weight, num_draws)
        enough = effective_size(found.log_weight) >= max(num_draws, num_points / 20)
        return Chosen(jax.tree.map(lambda leaf: leaf[picked], found.params), jnp.broadcast_to(enough, num_draws))

    return Hyperparameters(num_draws, choose, units_of(standardize))


def weighted_draws(
    key: PRNGKey, initial: PyTree, objective: Objective, num_points: int = 256, num_steps: int = 30
) -> WeightedDraws:
    """The weighted points themselves; a point at which the Cholesky factor fails has weight 0."""
    check_free(initial)
    at = coordinates(initial, objective)
    mode = ascend(optax.lbfgs(), at.log_density, at.start, num_steps).params
    slope = jax.grad(at.log_density)
    column = lambda direction: jax.jvp(slope, (mode,), (direction,))[1]
    negative_hessian = -map_members(column, jnp.eye(len(mode), dtype=mode.dtype))
    curvature, axes = jnp.linalg.eigh((negative_hessian + negative_hessian.T) / 2)
    deviation = 1 / jnp.sqrt(jnp.maximum(curvature, WIDEST**-2))

    points, log_proposal = _proposal(key, mode, axes, deviation, num_points)
    log_weight = map_members(at.log_density, points) - log_proposal
    log_weight = jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
    return WeightedDraws(map_members(at.params, points), log_weight - jax.scipy.special.logsumexp(log_weight))


def effective_size(log_weight: Float[Array, "S"]) -> Float[Array, ""]:
    """Effective number of weighted draws, ``1 / Σ_s w_s²``, from 1 (one draw has all the weight) to S.

    >>> float(jax.jit(effective_size)(jnp.log(jnp.array([0.5, 0.5, 0.0]))))
    2.0

    Kong 1992, "A note on importance sampling using standardized weights".
    """
    return jnp.exp(-jax.scipy.special.logsumexp(2 * log_weight))


def systematic(key: PRNGKey, log_weight: Float[Array, "S"], num_draws: int) -> Array:
    """K positions, each s as often as ``K w_s`` rounded up or down, by one random offset."""
    places = (jnp.arange(num_draws) + jax.random.uniform(key, (), log_weight.dtype)) / num_draws
    return positions_at(jnp.exp(log_weight), places)


def _proposal(key: PRNGKey, mode: Array, axes: Array, deviation: Array, num_points: int) -> tuple[Array, Array]:
    """Points, half of them of the wide component, and the log density of the mixture up to a constant."""
    size, num_wide = len(mode), num_points // 2
    is_wide = jnp.arange(num_points) < num_wide  # a run of a Halton set is spread evenly, every other point is not
    wide = jnp.maximum(deviation, WIDE)
    steps = _student_points(key, num_points, size, mode.dtype)
    steps = steps * jnp.where(is_wide[:, None], wide[None, :], deviation[None, :])

    def log_student(deviation: Array, count: int) -> Array:
        distance = jnp.sum((steps / deviation[None, :]) ** 2, 1)
        return jnp.log(count / num_points) - jnp.sum(jnp.log(deviation)) - 0.5 * (4 + size) * jnp.log1p(distance / 4)

    log_proposal = jnp.logaddexp(log_student(wide, num_wide), log_student(deviation, num_points - num_wide))
    return mode[None, :] + dot(steps, axes.T), log_proposal


def _student_points(key: PRNGKey, num_points: int, size: int, dtype: jnp.dtype) -> Float[Array, "S P"]:
    """Standard Student t points of 4 degrees of freedom: a Halton set, shifted at random around the cube."""
    eps = jnp.finfo(dtype).eps
    uniform = jnp.asarray(_halton(num_points, size + 2), dtype) + jax.random.uniform(key, (1, size + 2), dtype)
    uniform = jnp.clip(uniform % 1.0, eps, 1 - eps)
    half_chi_square = -jnp.log(uniform[:, size] * uniform[:, size + 1])  # χ²₄ is twice the sum of two exponentials
    return ndtri(uniform[:, :size]) * jnp.sqrt(2 / half_chi_square)[:, None]


@lru_cache
def _halton(num_points: int, size: int) -> np.ndarray:
    return qmc.Halton(size, rng=0).random(num_points)
