"""Where the training of a round starts from."""

from collections.abc import Callable

import jax

from bal.typing import PyTree

Restart = Callable[[PyTree, PyTree], PyTree]


def cold(previous: PyTree, fresh: PyTree) -> PyTree:
    """A new initialisation every round, the default: warm starts generalise worse (Ash and Adams 2020)."""
    del previous
    return fresh


def warm(previous: PyTree, fresh: PyTree) -> PyTree:
    """The parameters of the round before."""
    del fresh
    return previous


def shrink_and_perturb(shrink: float = 0.4, perturb: float = 0.1) -> Restart:
    """``shrink · previous + perturb · fresh``, with a fresh initialisation as the noise.

    >>> shrink_and_perturb(0.5, 0.1)(2.0, 10.0)
    2.0

    Ash and Adams 2020, "On Warm-Starting Neural Network Training".
    """

    def restart(previous: PyTree, fresh: PyTree) -> PyTree:
        return jax.tree.map(lambda old, new: shrink * old + perturb * new, previous, fresh)

    return restart
