"""Lazy evaluation of greedy gains: where gains can only fall, rows whose last gain is too small need not be looked at.

Minoux 1978, "Accelerated Greedy Algorithms for Maximizing Submodular Set Functions".
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped


def lazy_gains(
    gain: Callable[[Array], Float[Array, "r"]], rows: Shaped[Array, "n *shape"], bound: Float[Array, "n"], block: int
) -> Float[Array, "n"]:
    """Gains of the rows that may still win; of the others the upper bound handed in, which is below the best gain.

    Rows are taken in blocks, the highest bounds first, until the next bound is below the best gain found, by more than
    rounding. A bound of `-inf` marks a row that may not win: it keeps that, and is looked at last.

    Args:
      gain: gains of some rows, row-wise.
      rows: leading with n.
      bound: upper bounds of the gains; `inf` where nothing is known; NaN is looked at last too.
      block: rows evaluated at a time.

    >>> lazy_gains(lambda some: some, jnp.array([1.0, 4.0, 2.0]), jnp.array([1.5, 5.0, 3.0]), block=1).tolist()
    [1.5, 4.0, 3.0]
    """
    n, block = len(bound), min(block, len(bound))
    num_blocks = -(-n // block)
    order = jnp.argsort(-jnp.where(jnp.isnan(bound), -jnp.inf, bound), stable=True)
    order = jnp.pad(order, (0, num_blocks * block - n), mode="edge")
    slack = 64 * jnp.finfo(bound.dtype).eps

    def may_win(carry: tuple) -> Array:
        number, _, best = carry
        next_bound = bound[order[jnp.minimum(number * block, n - 1)]]
        return (number < num_blocks) & ~(next_bound < best - slack * jnp.maximum(best, 1.0))

    def evaluate(carry: tuple) -> tuple:
        number, found, best = carry
        some = jax.lax.dynamic_slice_in_dim(order, number * block, block)
        gains = jnp.where(jnp.isneginf(bound[some]), -jnp.inf, gain(rows[some]))
        best = jnp.maximum(best, jnp.max(jnp.where(jnp.isnan(gains), -jnp.inf, gains)))
        return number + 1, found.at[some].set(gains), best

    start = (jnp.zeros((), jnp.int32), bound, jnp.full((), -jnp.inf, bound.dtype))
    return jax.lax.while_loop(may_win, evaluate, start)[1]
