"""Evolution strategies: ascend a function of parameters that only can be evaluated, such as a policy's return."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from bal.learners.settings import check_count
from bal.typing import PRNGKey, PyTree


class Evolved(NamedTuple):
    """params: those in the middle of the population; optimizer: the state of its moves."""

    params: PyTree
    optimizer: PyTree


def generation(
    key: PRNGKey,
    now: Evolved,
    fitness: Callable[[PyTree], Float[Array, "P"]],
    optimizer: optax.GradientTransformation,
    population: int = 16,
    sigma: float = 0.1,
) -> tuple[Evolved, Float[Array, "P"]]:
    """One generation: P parameters around the middle, in pairs that mirror each other, and a step towards the better.

    ``gradient = Σ_i r_i ε_i / (P σ)``, r_i the ranks of the fitness, from -½ to ½ (ties share their mean rank), so that
    any increasing function of the fitness gives the same step. For P → ∞ and σ → 0 that is along the gradient.

    Use it where a gradient is not to be had or is noisier than this, as through a whole experiment; a policy of a
    hundred parameters takes a hundred generations.

    Args:
      key: of this generation. now: the state; begin with ``Evolved(params, optimizer.init(params))``.
      fitness: parameters that lead with P -> P numbers; give all the same tasks and keys, which pairs them.
      optimizer: of optax; it is handed the negative gradient.
      population: P, even. sigma: standard deviation of the population around its middle.

    Returns:
      The next state, and the fitness of the population.

    Raises:
      ValueError: a population that is odd or empty, a sigma that is not positive, fitness of another shape.

    >>> optimizer, start = optax.sgd(0.1), jnp.array([2.0])
    >>> now = Evolved(start, optimizer.init(start))
    >>> step = jax.jit(lambda key, now: generation(key, now, lambda x: -jnp.square(x[:, 0]), optimizer)[0])
    >>> for number in range(60):
    ...     now = step(jax.random.key(number), now)
    >>> bool(jnp.abs(now.params[0]) < 0.3)
    True

    Salimans, Ho, Chen, Sidor and Sutskever 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
    Learning".
    """
    check_count("population", population, 2)
    if population % 2 or not sigma > 0:
        raise ValueError(f"population must be even and sigma positive, got {population} and {sigma}")
    middle, rebuild = ravel_pytree(now.params)
    half = jax.random.normal(key, (population // 2, len(middle)), middle.dtype)
    noise = jnp.concatenate([half, -half])
    found = fitness(jax.vmap(rebuild)(middle[None] + sigma * noise))
    if found.shape != (population,):
        raise ValueError(
            f"fitness gives a number for each of {population} parameters, got shape {found.shape}; vmap it"
        )
    gradient = _ranks(found) @ noise / (population * sigma)
    updates, state = optimizer.update(rebuild(-gradient), now.optimizer, now.params)
    return Evolved(optax.apply_updates(now.params, updates), state), found


def _ranks(values: Float[Array, "P"]) -> Float[Array, "P"]:
    """Mean ranks from -½ to ½; what is not a number ranks with the least."""
    values = jnp.where(jnp.isnan(values), -jnp.inf, values)
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return (below + (equal - 1) / 2) / (len(values) - 1) - 0.5
