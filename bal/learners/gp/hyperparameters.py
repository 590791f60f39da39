"""Where a Gaussian process has its hyper-parameters from: given, or fitted each round to the evidence of the labels."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.ascent import ascend
from bal.learners.restart import Restart, cold
from bal.learners.training import map_members
from bal.typing import PRNGKey, PyTree

Objective = Callable[[PyTree], Float[Array, ""]]
"""Log evidence of the labels, plus the log prior if there is one, of one set of unconstrained hyper-parameters."""


class Hyperparameters(NamedTuple):
    """How K draws of hyper-parameters follow from the labels.

    choose: ``key, initial, previous, objective -> params`` whose leaves lead with K. `initial` are the values that the
    process was made with, `previous` the K draws of the round before.
    """

    num_draws: int
    choose: Callable[[PRNGKey, PyTree, PyTree, Objective], PyTree]


def _as_given(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> PyTree:
    del key, previous, objective
    return jax.tree.map(lambda leaf: leaf[None], initial)


def check_free(params: PyTree) -> None:
    """Raises ValueError if every hyper-parameter is fixed."""
    if not jax.tree.leaves(params):
        raise ValueError("every hyper-parameter is fixed, so that there is nothing to choose; use `given`")


given = Hyperparameters(1, _as_given)
"""The values that the process was made with, whatever the labels."""


def maximum_likelihood(
    num_steps: int = 30,
    num_restarts: int = 1,
    *,
    spread: float = 1.0,
    restart: Restart = cold,
    optimizer: optax.GradientTransformation | None = None,
) -> Hyperparameters:
    """One draw: the best of several ascents of the log evidence (with a prior, of the log posterior).

    The first ascent starts at the values the process was made with, the others around it. The best point seen is
    returned, so that a step into a region where the Cholesky factor fails loses nothing.

    Args:
      num_steps, num_restarts: length, at most, and number of ascents.
      spread: standard deviation of the starts in the unconstrained parameters.
      restart: `cold`, or `warm` to start from the values of the round before.
      optimizer: L-BFGS unless given.

    Raises:
      ValueError: a number of steps or restarts below 1; at the first fit, a process of which everything is fixed.

    >>> parabola = lambda x: -((x - 1) ** 2)
    >>> found = maximum_likelihood(20).choose(jax.random.key(0), jnp.array(3.0), jnp.zeros(1), parabola)
    >>> found.shape, round(float(found[0]), 3)
    ((1,), 1.0)

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 5.4.1.
    """
    if num_steps < 1 or num_restarts < 1:
        raise ValueError(f"expected at least 1 step and 1 restart, got {num_steps} and {num_restarts}")
    method = optax.with_extra_args_support(optax.lbfgs() if optimizer is None else optimizer)

    def choose(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> PyTree:
        check_free(initial)
        first = restart(jax.tree.map(lambda leaf: leaf[0], previous), initial)

        def ascent(number: Array) -> tuple[PyTree, Array]:
            around = _perturbed(jax.random.fold_in(key, number), first, jnp.where(number == 0, 0.0, spread))
            return ascend(method, objective, around, num_steps)

        found, value = map_members(ascent, jnp.arange(num_restarts))
        best = jnp.argmax(value)
        return jax.tree.map(lambda leaf: leaf[best][None], found)

    return Hyperparameters(1, choose)


def _perturbed(key: PRNGKey, tree: PyTree, scale: Array) -> PyTree:
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, max(len(leaves), 1))
    noise = [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves)]
    return structure.unflatten([leaf + scale.astype(leaf.dtype) * some for leaf, some in zip(leaves, noise)])
