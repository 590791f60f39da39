"""Chains of a sampler, that without U-turns first, and whether they may be trusted."""

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


def check_length(length: Length, chains: str = "num_chains") -> None:
    """Whole numbers, as many draws from every chain, and steps enough to compare halves of a chain.

    chains: what the learner calls their number.
    """
    for name, value in length._asdict().items():
        check_count(chains if name == "num_chains" else name, value)
    if length.num_draws % length.num_chains:
        raise ValueError(
            f"num_draws={length.num_draws} draws cannot come evenly from {chains}={length.num_chains}; use a multiple"
        )
    check_steps(length.num_draws // length.num_chains * length.thin)


def begun(starts: PyTree, length: Length) -> SampledState:
    """A state before any label: the starting points of the chains, repeated."""
    repeats = length.num_draws // length.num_chains
    draws = jax.tree.map(lambda leaf: jnp.repeat(leaf, repeats, axis=0), starts)
    return SampledState(draws, jnp.ones(1, bool), before_chains(length.num_draws))


class Seen(NamedTuple):
    """What one step of a chain leads to; flaws: numbers that are summed over the steps of a chain."""

    position: PyTree
    potential: Float[Array, ""]
    flaws: PyTree


Begin = Callable[[PRNGKey, PyTree], tuple[PyTree, Callable[[PyTree], tuple[PyTree, Seen]]]]
"""``key, start -> (state, step)``: a chain behind its warm-up, and ``step: state -> (state, Seen)``."""


def no_u_turn(potential: Callable[[PyTree], Array], num_warmup: int, dense_mass: bool = False) -> Begin:
    """Chains of ``exp(-potential)`` by the no-U-turn sampler of numpyro; the flaw of a step is that it diverged."""
    from numpyro.infer import NUTS  # heavy, and needed by nobody else

    def begin(key: PRNGKey, start: PyTree) -> tuple[PyTree, Callable]:
        sampler = NUTS(potential_fn=potential, dense_mass=dense_mass)
        move = lambda state: sampler.sample(state, (), {})
        state = sampler.init(key, num_warmup, init_params=start, model_args=(), model_kwargs={})
        state = jax.lax.fori_loop(0, num_warmup, lambda _, state: move(state), state)

        def step(state: PyTree) -> tuple[PyTree, Seen]:
            state = move(state)
            return state, Seen(state.z, state.potential_energy, state.diverging)

        return state, step

    return begin


def run_chains(
    key: PRNGKey, begin: Begin, watch: Callable[[PyTree], Float[Array, "J"]], starts: PyTree, length: Length
) -> tuple[PyTree, Float[Array, "M n J"], PyTree]:
    """K draws, from a chain for each leading entry of `starts`; what was watched at every step; flaws, by chain.

    Runs inside `jit`, `scan` and `vmap`. Quantities that are watched, and the potential, not weights, are compared: two
    chains in networks with their hidden units in another order hold the same function.
    """

    def chain(key: PRNGKey, start: PyTree) -> tuple[PyTree, Array, PyTree]:
        state, step = begin(key, start)

        def watched(carry: tuple, _: None) -> tuple[tuple, tuple[Array, PyTree]]:
            state, seen = step(carry[0])
            return (state, seen.position), (jnp.append(watch(seen.position), seen.potential), seen.flaws)

        def draw(state: PyTree, _: None) -> tuple[PyTree, tuple]:
            (state, position), seen = jax.lax.scan(watched, (state, start), length=length.thin)
            return state, (position, *seen)

        _, (draws, values, flaws) = jax.lax.scan(draw, state, length=length.num_draws // length.num_chains)
        return draws, values.reshape(-1, values.shape[-1]), jax.tree.map(jnp.sum, flaws)

    draws, values, flaws = map_members(chain, jax.random.split(key, length.num_chains), starts)
    return jax.tree.map(lambda leaf: leaf.reshape(length.num_draws, *leaf.shape[2:]), draws), values, flaws


def sample(
    key: PRNGKey,
    potential: Callable[[PyTree], Array],
    watch: Callable[[PyTree], Float[Array, "J"]],
    starts: PyTree,
    length: Length,
    dense_mass: bool = False,
) -> SampledState:
    """Draws of ``exp(-potential)`` by the no-U-turn sampler; `watch` says what must agree."""
    begin = no_u_turn(potential, length.num_warmup, dense_mass)
    draws, values, divergent = run_chains(key, begin, watch, starts, length)
    report, trusted = judge_chains(values, divergent.sum(), length.num_draws)
    return SampledState(draws, trusted[None], report)
