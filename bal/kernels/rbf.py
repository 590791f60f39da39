"""The kernel of near rows, which says what a length is."""

import jax.numpy as jnp
from jaxtyping import Array

from bal.kernels.kernel import make_kernel
from bal.kernels.linear import flat
from bal.method import method
from bal.typing import Candidates, Kernel, KernelOf


@method
def rbf(length: float = 1.0) -> KernelOf:
    """``k(x, x') = exp(-|x - x'|² / (2 l²))`` of features ``[n, F]``: 1 for a row and itself, at least 0.

    From differences of features, so that rows far from the origin lose no digits. It does not see how far rows lie
    out, only which are near each other.

    Use it where rows count as alike within a length that you know: with `bal.bilevel.bilevel` or `nystrom` as the model
    that sees neighborhoods, with `max_det` as a design. `bal.learners.gp` finds lengths from labels.

    Args:
      length: l, in units of the features; `bal.kernels.scaled` brings them to one unit.

    Raises:
      ValueError: a length that is not positive and finite; rows that are not one array of features.

    >>> candidates = Candidates(jnp.array([[0.0], [2.0]]), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> [round(k, 4) for k in rbf(2.0)(candidates).column(jnp.array([0.0])).tolist()]
    [1.0, 0.6065]

    Aizerman, Braverman and Rozonoer 1964, "Theoretical Foundations of the Potential Function Method".
    """
    if not 0 < length < float("inf"):
        raise ValueError(
            f"length must be positive and finite, got {length}; the distance at which rows are still alike"
        )

    def near(candidates: Candidates) -> Kernel:
        return make_kernel(candidates, flat, jnp.asarray(length, float), _near)

    return near


def _near(length: Array, a: Array, b: Array) -> Array:
    return jnp.exp(-jnp.sum(((a - b) / length) ** 2) / 2)
