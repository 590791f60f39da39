"""Draws from weights by inverting their cumulative sum, as exact in a pool of millions as in a small one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from bal.numerics.precision import in_float64
from bal.typing import PRNGKey

_BLOCK = 1024


def draw_position(key: PRNGKey, weight: Float[Array, "n"]) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """A position drawn with probability ``weight / Σ weight`` (weights finite, none negative), and that sum.

    A block of rows is found first, then the row, by sums in float64: in float32 the cumulative sum of 10⁷ weights
    stands still at every fifth row, which then is never drawn. A second number refines the first, of 23 bits. Position
    0 where all weights are 0.

    >>> position, total = jax.jit(draw_position)(jax.random.key(0), jnp.array([0.0, 3.0, 0.0]))
    >>> int(position), float(total)
    (1, 3.0)
    """
    coarse = jax.random.uniform(key, dtype=weight.dtype)
    fine = jax.random.uniform(jax.random.fold_in(key, 1), dtype=weight.dtype)
    return in_float64(_invert)(weight, coarse, fine)


def _invert(
    weight: Float[Array, "n"], coarse: Float[Array, ""], fine: Float[Array, ""]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    block = min(_BLOCK, len(weight))
    blocks = jnp.pad(weight, (0, -len(weight) % block)).reshape(-1, block)
    sums = blocks.sum(1, dtype=jnp.float64)
    total = jnp.cumsum(sums)
    share = coarse.astype(jnp.float64) + jnp.finfo(weight.dtype).eps * fine.astype(jnp.float64)
    threshold = share * total[-1]
    number = _first_above(total, sums, threshold)
    row = blocks[number].astype(jnp.float64)
    place = _first_above(jnp.cumsum(row), row, threshold - (total[number] - sums[number]))
    return (number * block + place).astype(jnp.int32), total[-1].astype(weight.dtype)


def _first_above(total: Float[Array, "m"], parts: Float[Array, "m"], threshold: Float[Array, ""]) -> Int[Array, ""]:
    """Where the cumulative sum passes the threshold; rounding may not step past the last part that is positive.

    By counting: of few sums that is one pass, a binary search a loop.
    """
    last = jnp.max(jnp.where(parts > 0, jnp.arange(len(parts)), 0))
    return jnp.minimum(jnp.sum(total <= threshold, dtype=jnp.int32), last)


def positions_at(weight: Float[Array, "n"], share: Float[Array, "S"]) -> Int[Array, "S"]:
    """Where the cumulative sum of weights passes each share, in [0, 1), of its total; summed in float64.

    Shares ``(s + u_s) / S`` draw one position from each of S equal slices (stratified), a common u systematically.

    >>> jax.jit(positions_at)(jnp.array([0.0, 1.0, 3.0]), jnp.array([0.0, 0.2, 0.3])).tolist()
    [1, 1, 2]
    """

    def invert(weight: Array, share: Array) -> Array:
        total = jnp.cumsum(weight, dtype=jnp.float64)
        last = jnp.max(jnp.where(weight > 0, jnp.arange(len(weight)), 0))
        place = jnp.searchsorted(total, share.astype(jnp.float64) * total[-1], side="right")
        return jnp.minimum(place, last).astype(jnp.int32)

    return in_float64(invert)(weight, share)


def row_keys(key: Key[Array, ""], index: Int[Array, "n"]) -> Key[Array, "n"]:
    """One key a row, hung on the row's id, so that chunks and shards cannot change what is drawn."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def row_gumbel(key: Key[Array, ""], index: Int[Array, "n"]) -> Float[Array, "n"]:
    """Standard Gumbel noise, one draw a row id."""
    return jax.vmap(jax.random.gumbel)(row_keys(key, index))
