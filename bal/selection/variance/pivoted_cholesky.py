"""Pivoted Cholesky: what is left of every variance once picks have noisy labels, pick by pick or from the start."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import cholesky_row, dot, inverse_root
from bal.typing import Kernel, PyTree

BLOCK = 16
"""FactoredPicks whose covariances with all rows are one product."""


class Cholesky(NamedTuple):
    """variance: of f given the noisy picks; factor: rows of the Cholesky factor so far, 0 beyond `num_picks`."""

    variance: Float[Array, "n"]
    factor: Float[Array, "B n"]
    num_picks: Int[Array, ""]


def no_picks(prior: Float[Array, "n"], capacity: int) -> Cholesky:
    """Variances before any pick."""
    return Cholesky(prior, jnp.zeros((capacity, prior.shape[0]), prior.dtype), jnp.zeros((), jnp.int32))


def log_det_gain(variance: Float[Array, "n"], noise: Float[Array, "n"]) -> Float[Array, "n"]:
    """What a pick adds to the log-determinant: ``½ log(1 + v/σ²)``, and ``½ log v`` without noise."""
    quiet = noise > 0
    ratio = variance / jnp.where(quiet, noise, 1.0)
    return 0.5 * jnp.where(quiet, jnp.log1p(ratio), jnp.log(ratio))


def add_pick(kernel: Kernel, rounding: Float[Array, "n"], state: Cholesky, position: Int[Array, ""]) -> Cholesky:
    """All rows learn of one pick."""
    return add_row(state, next_row(kernel, state, position)[0], rounding)


def next_row(kernel: Kernel, state: Cholesky, position: Int[Array, ""]) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """The row of the factor that a pick adds, and one over the standard deviation of its label: 0 where that is 0."""
    pivot = state.variance[position] + kernel.noise[position]
    return cholesky_row(kernel.column(kernel.row(position)), state.factor, position, pivot)


def add_row(state: Cholesky, row: Float[Array, "n"], rounding: Float[Array, "n"]) -> Cholesky:
    """Variances once the factor has another row."""
    variance = _left(state.variance, row * row, rounding)
    return Cholesky(variance, state.factor.at[state.num_picks].set(row), state.num_picks + 1)


class FactoredPicks(NamedTuple):
    """Several picks at once: what the kernel compares, and T with ``T k(picks, x)`` the column of the factor at x.

    T is 0 where a pick is not real; the first `num_picks` are.
    """

    rows: PyTree
    transform: Float[Array, "B P"]
    num_picks: Int[Array, ""]


def factor_picks(
    kernel: Kernel, rounding: Float[Array, "n"], picked: Int[Array, "B"], num_picks: Int[Array, ""]
) -> FactoredPicks:
    """The factor of the first picks among all, in whole blocks."""
    size, padding = picked.shape[0], -picked.shape[0] % BLOCK
    real = jnp.arange(size + padding) < num_picks
    picked = jnp.where(real, jnp.pad(picked, (0, padding)), picked[0])  # 0 times a missing covariance is not 0
    some = kernel.take(picked)
    gram = jnp.where(real[:, None] & real[None], some.block(some.rows), 0.0)
    transform = _inverse_factor(gram, some.noise, rounding[picked], real)
    return FactoredPicks(some.rows, transform[:size], num_picks)


def given_picks(
    kernel: Kernel, rounding: Float[Array, "n"], prior: Float[Array, "n"], picks: FactoredPicks
) -> Cholesky:
    """What `add_pick` makes of no picks, one pick after the other; it takes time in proportion to the real picks."""

    def add(number: Array, factor: Float[Array, "B n"]) -> Float[Array, "B n"]:
        part = lambda leaf, axis: jax.lax.dynamic_slice_in_dim(leaf, number * BLOCK, BLOCK, axis)
        covariance = kernel.block(jax.tree.map(lambda leaf: part(leaf, 0), picks.rows))
        return factor + dot(part(picks.transform, 1), covariance)

    factor = jnp.zeros((picks.transform.shape[0], prior.shape[0]), prior.dtype)
    factor = jax.lax.fori_loop(0, -(-picks.num_picks // BLOCK), add, factor)
    return Cholesky(_left(prior, jnp.sum(factor * factor, 0), rounding), factor, picks.num_picks)


def _left(variance: Float[Array, "n"], explained: Float[Array, "n"], rounding: Float[Array, "n"]) -> Float[Array, "n"]:
    variance = variance - explained
    return jnp.where(variance <= rounding, 0.0, variance)


def _inverse_factor(
    gram: Float[Array, "b b"], noise: Float[Array, "b"], rounding: Float[Array, "b"], real: Bool[Array, "b"]
) -> Float[Array, "b b"]:
    """T such that ``T gram`` are rows of the Cholesky factor of ``gram + noise``; rows that are not real are 0.

    By elimination, because a batched Cholesky of LAPACK may hang on a CPU.
    """
    size = gram.shape[0]

    def eliminate(j: Array, both: Array) -> Array:
        pivot = jnp.where(both[j, j] <= rounding[j], 0.0, both[j, j]) + noise[j]
        scale = jnp.where(real[j], inverse_root(pivot), 0.0)
        row = both[j] * scale
        below = jnp.where(jnp.arange(size) > j, row[:size], 0.0)
        return both.at[j].set(row) - below[:, None] * row[None]

    both = jnp.concatenate([gram, jnp.eye(size, dtype=gram.dtype)], 1)
    return jax.lax.fori_loop(0, size, eliminate, both)[:, size:]
