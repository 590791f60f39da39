"""Fits that ended too early, by one convention: a state may have a field `converged`, ``[K]`` truth values.

Wherever in a learner's state it is, `unconverged` finds it, so that whoever drives the learner can say so once.
"""

import jax
import numpy as np

from bal.typing import PyTree


def unconverged(state: PyTree) -> str | None:
    """One sentence if a fit of this state (or of states of many seeds and rounds, stacked) has not converged, or None.

    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     converged: np.ndarray
    >>> unconverged(State(np.array([True]))), unconverged({"any": State(np.array([True, False]))})[:32]
    (None, '1 of 2 fits have not converged: ')
    """
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    flags = [np.ravel(leaf) for path, leaf in leaves if path and getattr(path[-1], "name", None) == "converged"]
    found = np.concatenate([np.ones(0, bool), *flags])
    if found.all():
        return None
    return (
        f"{(~found).sum()} of {len(found)} fits have not converged: predictions are those of a worse model than was "
        "asked for; allow more steps (num_steps) or restarts, and leave labels and inputs standardized"
    )
