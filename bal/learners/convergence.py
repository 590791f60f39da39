"""Fits that ended too early, by one convention: a state may have a field `converged`, ``[K]`` truth values.

Wherever in a learner's state it is, `unconverged` finds it, so that whoever drives the learner can say so once.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import effective_size, split_r_hat
from bal.typing import PyTree

MOST_R_HAT, MOST_DIVERGENT, FEWEST_STEPS = 1.1, 0.01, 4


class ChainReport(NamedTuple):
    """What chains say of themselves, over all steps behind the warm-up and all quantities that were watched.

    r_hat: the largest; effective_size: the smallest; num_divergent: steps that left the level set.
    """

    r_hat: Float[Array, ""]
    effective_size: Float[Array, ""]
    num_divergent: Int[Array, ""]


def before_chains(num_draws: int) -> ChainReport:
    """The report of a state that no chain has made."""
    one = jnp.ones((), jnp.result_type(float))
    return ChainReport(one, one * num_draws, jnp.zeros((), jnp.int32))


def check_steps(num_steps: int) -> None:
    """ValueError for a chain too short to be cut in halves that can be compared."""
    if num_steps < FEWEST_STEPS:
        raise ValueError(
            f"a chain of {num_steps} steps behind the warm-up cannot be judged; give more draws or thin, for at least "
            f"{FEWEST_STEPS}"
        )


def judge_chains(
    values: Float[Array, "M n J"], num_divergent: Int[Array, ""], num_draws: int
) -> tuple[ChainReport, Bool[Array, ""]]:
    """The report of M chains of n steps, at least 4, and whether they may be trusted for K draws: R-hat at most 1.1, at
    least K / 2 independent draws, and at most one divergent step in a hundred."""
    floats = jnp.result_type(float)
    report = ChainReport(
        split_r_hat(values).max().astype(floats),
        effective_size(values).min().astype(floats),
        num_divergent.astype(jnp.int32),
    )
    few = report.num_divergent <= MOST_DIVERGENT * values.shape[0] * values.shape[1]
    return report, (report.r_hat <= MOST_R_HAT) & (report.effective_size >= num_draws / 2) & few


def unconverged(state: PyTree) -> str | None:
    """One sentence if a fit of this state (or of states of many seeds and rounds, stacked) has not converged, or None.

    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     converged: np.ndarray
    >>> unconverged(State(np.array([True]))), unconverged({"any": State(np.array([True, False]))})[:32]
    (None, '1 of 2 fits have not converged: ')
    """
    found = np.concatenate([np.ones(0, bool), *map(np.ravel, _flags(state))])
    if found.all():
        return None
    return f"{(~found).sum()} of {len(found)} fits have not converged: {ADVICE}"


def all_converged(state: PyTree) -> Bool[Array, ""] | None:
    """Whether all fits of a state have converged; None where the state does not say. May be traced."""
    flags = _flags(state)
    return jnp.concatenate([jnp.ravel(flag) for flag in flags]).all() if flags else None


def sampler_report(state: PyTree) -> dict[str, Array]:
    """What the chains of a state say of themselves: the largest `r_hat`, the smallest `effective_size`, all steps that
    diverged, `num_divergent`, and the largest `energy_variance`; only what the state tells. May be traced."""
    together = {"r_hat": jnp.max, "effective_size": jnp.min, "num_divergent": jnp.sum, "energy_variance": jnp.max}
    found = {name: _leaves_named(state, name) for name in together}
    joined = lambda leaves: jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
    return {name: together[name](joined(leaves)) for name, leaves in found.items() if leaves}


ADVICE = (
    "predictions are those of a worse model than was asked for; allow more steps (num_steps, or num_warmup and thin) "
    "or restarts, and leave labels and inputs standardized"
)


def _flags(state: PyTree) -> list[Any]:
    return _leaves_named(state, "converged")


def _leaves_named(state: PyTree, name: str) -> list[Any]:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [leaf for path, leaf in leaves if path and getattr(path[-1], "name", None) == name]
