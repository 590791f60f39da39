"""Where the training of a round starts from."""

from collections.abc import Callable

import jax

from bal.learners.settings import check_factor
from bal.method import method
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


@method
def shrink_and_perturb(shrink: float = 0.4, perturb: float = 0.1) -> Restart:
    """``shrink · previous + perturb · fresh``, with a fresh initialisation as the noise.

    Raises ValueError for a factor that is negative or not finite, TypeError for one that is no number.

    >>> shrink_and_perturb(0.5, 0.1)(2.0, 10.0)
    2.0

    Ash and Adams 2020, "On Warm-Starting Neural Network Training".
    """

    check_factor("shrink", shrink)
    check_factor("perturb", perturb)

    def restart(previous: PyTree, fresh: PyTree) -> PyTree:
        return jax.tree.map(lambda old, new: shrink * old + perturb * new, previous, fresh)

    return restart
