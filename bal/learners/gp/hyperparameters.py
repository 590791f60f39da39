"""Where a Gaussian process has its hyper-parameters from: given, or fitted each round to the evidence of the labels."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from bal.learners.gp.units import Kind
from bal.learners.restart import Restart, cold
from bal.learners.training import map_members
from bal.method import brief_repr, method
from bal.numerics import Summit, ascend
from bal.typing import PRNGKey, PyTree

Objective = Callable[[PyTree], Float[Array, ""]]
"""Log evidence of the labels, plus the log prior if there is one, of one set of unconstrained hyper-parameters."""


class Chosen(NamedTuple):
    """params: K draws, every leaf leads with K. converged: False where a method ended before it was done.

    chain: of draws from a Markov chain, its `bal.learners.convergence.ChainReport`.
    """

    params: PyTree
    converged: Bool[Array, "K"]
    chain: PyTree = None


Choose = Callable[[PyTree, PyTree, Objective], Chosen]
"""``initial, previous, objective -> Chosen``: a choice whose key is given."""


class Hyperparameters(NamedTuple):
    """How K draws of hyper-parameters follow from the labels.

    choose: ``key, initial, previous, objective -> Chosen``. `initial` are the values that the process was made with,
    `previous` the K draws of the round before.
    units: what the values are measured in (`bal.learners.gp.units`). "given": labels and inputs as they are, and the
    noise is whatever is chosen. "natural": the same, but the noise is kept above rounding. "standardized": standard
    deviations of the labels and of the inputs of the labeled rows.
    is_sampled: draws come from a Markov chain, which reports in `Chosen.chain`.
    """

    num_draws: int
    choose: Callable[[PRNGKey, PyTree, PyTree, Objective], Chosen]
    units: Kind = "given"
    is_sampled: bool = False

    __repr__ = brief_repr


def units_of(standardize: bool) -> Kind:
    """The units of values that the labels choose."""
    return "standardized" if standardize else "natural"


def _as_given(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> Chosen:
    del key, previous, objective
    return Chosen(jax.tree.map(lambda leaf: leaf[None], initial), jnp.ones(1, bool))


def check_free(params: PyTree) -> None:
    """Raises ValueError if every hyper-parameter is fixed."""
    if not jax.tree.leaves(params):
        raise ValueError("every hyper-parameter is fixed, so that there is nothing to choose; use `given`")


given = Hyperparameters(1, _as_given)
"""The values that the process was made with, whatever the labels."""


@method
def maximum_likelihood(
    num_steps: int = 30,
    num_restarts: int = 1,
    *,
    spread: float = 1.0,
    restart: Restart = cold,
    optimizer: optax.GradientTransformation | None = None,
    standardize: bool = True,
) -> Hyperparameters:
    """One draw: the best of several ascents of the log evidence (with a prior, of the log posterior).

    The first ascent starts at the values the process was made with, the others around it. The best point seen is
    returned, so that a step into a region where the Cholesky factor fails loses nothing. It has converged where the
    slope in every unconstrained parameter is at most 0.1 nats and a thousandth of the value: `converged` of the state.

    Args:
      num_steps, num_restarts: length, at most, and number of ascents.
      spread: standard deviation of the starts in the unconstrained parameters.
      restart: `cold`, or `warm` to start from the values of the round before.
      optimizer: L-BFGS unless given.
      standardize: fit standardized labels and inputs, so that their units do not matter: the values that the process
        was made with, its priors and the values found are then in standard deviations of the labels and inputs of
        the labeled rows (`bal.learners.gp.units` says what is not).

    Raises:
      ValueError: a number of steps or restarts below 1; at the first fit, a process of which everything is fixed.

    >>> parabola = lambda x: -((x - 1) ** 2)
    >>> found = maximum_likelihood(20).choose(jax.random.key(0), jnp.array(3.0), jnp.zeros(1), parabola)
    >>> round(float(found.params[0]), 3), found.converged.tolist()
    (1.0, [True])

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 5.4.1.
    """
    if num_steps < 1 or num_restarts < 1:
        raise ValueError(f"expected at least 1 step and 1 restart, got {num_steps} and {num_restarts}")
    method = optax.with_extra_args_support(optax.lbfgs() if optimizer is None else optimizer)

    def choose(key: PRNGKey, initial: PyTree, previous: PyTree, objective: Objective) -> Chosen:
        check_free(initial)
        first = restart(jax.tree.map(lambda leaf: leaf[0], previous), initial)

        def ascent(number: Array) -> Summit:
            around = _perturbed(jax.random.fold_in(key, number), first, jnp.where(number == 0, 0.0, spread))
            return ascend(method, objective, around, num_steps)

        found = map_members(ascent, jnp.arange(num_restarts))
        best = jax.tree.map(lambda leaf: leaf[jnp.argmax(found.value)][None], found)
        return Chosen(best.params, is_level(best))

    return Hyperparameters(1, choose, units_of(standardize))


def is_level(at: Summit) -> Bool[Array, "..."]:
    """Whether an ascent of a log density has converged, as far as anyone cares."""
    return at.slope <= 0.1 + 1e-3 * jnp.abs(at.value)


def _perturbed(key: PRNGKey, tree: PyTree, scale: Array) -> PyTree:
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, max(len(leaves), 1))
    noise = [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves)]
    return structure.unflatten([leaf + scale.astype(leaf.dtype) * some for leaf, some in zip(leaves, noise)])
