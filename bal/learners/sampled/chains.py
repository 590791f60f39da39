"""Chains of the no-U-turn sampler, and whether they may be trusted."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.learners.convergence import ChainReport, before_chains, check_steps, judge_chains
from bal.learners.settings import check_count
from bal.learners.training import map_members
from bal.typing import PRNGKey, PyTree


class SampledState(NamedTuple):
    """K draws and what their chains say of themselves.

    draws: a tree that leads with K, chain after chain. converged: False where the chains may not be trusted, see
    `bal.learners.convergence.judge_chains`. chain: of the log density and of the log likelihoods of all labels.
    """

    draws: PyTree
    converged: Bool[Array, "1"]
    chain: ChainReport


class Length(NamedTuple):
    """How long chains are: K draws in all, from `num_chains` chains of `num_warmup` steps and `thin` steps a draw."""

    num_draws: int
    num_chains: int
    num_warmup: int
    thin: int


def check_length(length: Length) -> None:
    """Whole numbers, as many draws from every chain, and steps enough to compare halves of a chain."""
    for name, value in length._asdict().items():
        check_count(name, value)
    if length.num_draws % length.num_chains:
        raise ValueError(
            f"num_draws={length.num_draws} draws cannot come evenly from num_chains={length.num_chains}; use a multiple"
        )
    check_steps(length.num_draws // length.num_chains * length.thin)


def begun(starts: PyTree, length: Length) -> SampledState:
    """A state before any label: the starting points of the chains, repeated."""
    repeats = length.num_draws // length.num_chains
    draws = jax.tree.map(lambda leaf: jnp.repeat(leaf, repeats, axis=0), starts)
    return SampledState(draws, jnp.ones(1, bool), before_chains(length.num_draws))


def sample(
    key: PRNGKey,
    potential: Callable[[PyTree], Array],
    watch: Callable[[PyTree], Float[Array, "J"]],
    starts: PyTree,
    length: Length,
    dense_mass: bool = False,
) -> SampledState:
    """Draws of ``exp(-potential)``, from a chain for each leading entry of `starts`; `watch` says what must agree.

    Runs inside `jit`, `scan` and `vmap`. Quantities that are watched, not weights, are compared: two chains in
    networks with their hidden units in another order hold the same function.
    """
    from numpyro.infer import NUTS  # heavy, and needed by nobody else

    def chain(key: PRNGKey, start: PyTree) -> tuple[PyTree, Array, Array]:
        sampler = NUTS(potential_fn=potential, dense_mass=dense_mass)
        step = lambda state: sampler.sample(state, (), {})
        state = sampler.init(key, length.num_warmup, init_params=start, model_args=(), model_kwargs={})
        state = jax.lax.fori_loop(0, length.num_warmup, lambda _, state: step(state), state)

        def watched(state: PyTree, _: None) -> tuple[PyTree, tuple[Array, Array]]:
            state = step(state)
            return state, (jnp.append(watch(state.z), state.potential_energy), state.diverging)

        def draw(state: PyTree, _: None) -> tuple[PyTree, tuple]:
            state, seen = jax.lax.scan(watched, state, length=length.thin)
            return state, (state.z, *seen)

        _, (draws, values, diverging) = jax.lax.scan(draw, state, length=length.num_draws // length.num_chains)
        return draws, values.reshape(-1, values.shape[-1]), diverging.sum()

    draws, values, divergent = map_members(chain, jax.random.split(key, length.num_chains), starts)
    draws = jax.tree.map(lambda leaf: leaf.reshape(length.num_draws, *leaf.shape[2:]), draws)
    report, trusted = judge_chains(values, divergent.sum(), length.num_draws)
    return SampledState(draws, trusted[None], report)
