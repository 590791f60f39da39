"""Every numerical trick of the package, written once.

Conventions: natural logarithms; `-inf` is the log of probability zero and must give finite results; NaN in, NaN out.
Nothing here knows what an acquisition function, a pool or a learner is.

XLA drops NaN from `max`, `min`, `clip` and their elementwise forms in large loops on a CPU, and keeps it in small ones.
So what a score is made of passes through `at_least` and `at_most` instead, and where a largest or smallest entry is
needed, `defined` puts NaN back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

ROW_BLOCK = 500
"""Rows handled at once inside a row-wise function: large enough to use the vector units, small enough for a cache."""

_LOG_FLOOR = -1e3  # exp(-1000) is exactly 0 in float64 too, while 0 * -1000 stays finite, unlike 0 * -inf


def in_row_blocks(function: Callable[[Any], Any], x: Any, block: int = ROW_BLOCK) -> Any:
    """Apply a row-wise `function` to blocks of rows of `x` (a tree), so that its intermediates stay in cache.

    The last block overlaps the one before it, which being row-wise makes harmless. Results are written in place:
    joining blocks afterwards would copy them.

    >>> in_row_blocks(lambda x: 2 * x, jnp.arange(5.0), block=2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    n = jax.tree.leaves(x)[0].shape[0]
    if n <= block:
        return function(x)
    rows = lambda start: jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, block), x)

    def write(number: Array, out: Any) -> Any:
        start = jnp.minimum(number * block, n - block)
        put = lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)
        return jax.tree.map(put, out, function(rows(start)))

    piece = jax.eval_shape(lambda: function(rows(0)))
    empty = jax.tree.map(lambda part: jnp.zeros((n, *part.shape[1:]), part.dtype), piece)
    return jax.lax.fori_loop(0, -(-n // block), write, empty)


def in_float64(function: Callable) -> Callable:
    """`function` of arrays, traced with float64 switched on: casts to float64 inside it hold, whatever surrounds it.

    A bare ``jax.enable_x64(True)`` does not survive a later `vmap` of a `jit`, `scan` or `while_loop` around it, which
    transforms what is inside with float64 off and so breaks matrix products; here the rule for `vmap` switches it on
    again. Every traced value must be an argument, and random numbers must be drawn outside.

    >>> third = in_float64(lambda x: 1e9 * (x.astype(jnp.float64) / 3 - 1 / 3))
    >>> abs(float(jax.vmap(jax.jit(third))(jnp.ones(2))[0])) < 1e-6
    True
    """

    @jax.custom_batching.custom_vmap
    def call(*args: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args)

    @call.def_vmap
    def batched(axis_size: int, in_batched: Any, *args: Any) -> tuple[Any, Any]:
        del axis_size
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(in_batched))
        out = in_float64(jax.vmap(function, in_axes=axes))(*args)
        return out, jax.tree.map(lambda leaf: True, out)

    return call


def at_least(x: Float[Array, "*shape"], low: ArrayLike) -> Float[Array, "*shape"]:
    """``max(x, low)``, and NaN stays NaN.

    >>> at_least(jnp.array([-1.0, 2.0, jnp.nan]), 0.0).tolist()
    [0.0, 2.0, nan]
    """
    return jnp.where(x <= low, low, x)


def at_most(x: Float[Array, "*shape"], high: ArrayLike) -> Float[Array, "*shape"]:
    """``min(x, high)``, and NaN stays NaN.

    >>> at_most(jnp.array([-1.0, 2.0, jnp.nan]), 0.0).tolist()
    [-1.0, 0.0, nan]
    """
    return jnp.where(x >= high, high, x)


def defined(scores: Float[Array, "*shape"], *seen: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`scores`, and NaN where a number of `seen` is NaN or infinite: sums of what each score was made from.

    >>> defined(jnp.ones(3), jnp.array([0.0, jnp.nan, jnp.inf])).tolist()
    [1.0, nan, nan]
    """
    return jnp.where(jnp.isfinite(sum(seen)), scores, jnp.nan)


def xlogx(log_x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``x log x`` from ``log x``, with its limit 0 at x = 0."""
    return jnp.exp(log_x) * at_least(log_x, _LOG_FLOOR)


def entropy(log_probs: Float[Array, "*shape C"]) -> Float[Array, "*shape"]:
    """Entropy ``-Σ_c p_c log p_c`` of normalised log probabilities, in nats; NaN where one is NaN or `+inf`.

    >>> round(float(entropy(jnp.log(jnp.array([0.5, 0.5, 0.0])))), 6)
    0.693147
    """
    total = -xlogx(log_probs).sum(-1)
    return defined(at_least(total, 0.0), total)


def logmeanexp(x: Float[Array, "*shape"], axis: int) -> Float[Array, "*reduced"]:
    """``log mean exp x`` along an axis; exact for identical entries, `-inf` where all are, NaN beside `+inf`."""
    top = x.max(axis, keepdims=True)
    top = jnp.where(jnp.isneginf(top), 0.0, top)
    excess = jnp.mean(jnp.exp(x - top) - 1.0, axis)
    return jnp.squeeze(top, axis) + jnp.log1p(excess)


def mean_log_probs(log_probs: Float[Array, "n K C"]) -> Float[Array, "n C"]:
    """``log p̄ = log mean_k p_k``, the log of the marginal predictive distribution."""
    return in_row_blocks(lambda block: logmeanexp(block.transpose(1, 2, 0), 0).T, log_probs)


def mutual_information(log_probs: Float[Array, "n K C"]) -> Float[Array, "n"]:
    """``mean_k KL(p_k ‖ p̄)`` as a sum of non-negative terms, in nats.

    With ``r = log p_k - log p̄`` the divergence is ``mean_k Σ_c p̄_c φ(r)``, ``φ(r) = r eʳ - eʳ + 1 >= 0``, because
    ``Σ_k (p_k - p̄) = 0``. For small r, where φ cancels, its series ``r²/2 + r³/3 + r⁴/8 + ...`` is used. So
    identical draws give exactly 0, nothing is ever negative, and float32 keeps its relative accuracy.
    """
    return in_row_blocks(_mutual_information_block, log_probs)


def _mutual_information_block(log_probs: Float[Array, "n K C"]) -> Float[Array, "n"]:
    log_p = log_probs.transpose(1, 2, 0)  # rows last: contiguous in every reduction below
    highest = log_p.max(0, keepdims=True)
    top = jnp.where(jnp.isneginf(highest), 0.0, highest)
    d = log_p - top
    e = jnp.exp(d)
    z = jnp.mean(e - 1.0, 0, keepdims=True)
    s = 1.0 + z
    r = at_least(d, _LOG_FLOOR) - jnp.log1p(z)
    series = s * (r * r) * (1 / 2 + r * (1 / 3 + r * (1 / 8 + r * (1 / 30 + r * (1 / 144)))))
    term = jnp.where(jnp.abs(r) < 0.1, series, e * r - (e - s)).mean(0)
    # A class that no draw believes in contributes nothing: its s is 0, elsewhere at least 1/K, or NaN.
    return jnp.sum(jnp.where(s[0] < 0.5 / len(log_p), 0.0, jnp.exp(top[0]) * term), 0)


def small_log_determinants(matrices: Float[Array, "n F F"]) -> Float[Array, "n"]:
    """``log det`` of many small positive definite matrices by elimination; NaN where a pivot is not positive.

    Plain array operations on purpose: a batched LAPACK call on a CPU waits for a thread pool that the programs of
    several host devices share, and can then wait for ever.

    >>> round(float(small_log_determinants(jnp.array([[[2.0, 1.0], [1.0, 2.0]]]))[0]), 4)
    1.0986
    """

    def eliminate(place: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, total = carry
        row = jax.lax.dynamic_slice_in_dim(a, place, 1, 1)
        pivot = jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        return a - row.transpose(0, 2, 1) * (row / pivot), total + jnp.log(pivot[:, 0, 0])

    start = (matrices, jnp.zeros(len(matrices), matrices.dtype))
    return jax.lax.fori_loop(0, matrices.shape[1], eliminate, start)[1]


def small_solves(matrices: Float[Array, "n F F"], right: Float[Array, "n F G"]) -> Float[Array, "n F G"]:
    """``A⁻¹ B`` for many small positive definite A, by Gauss-Jordan elimination; see `small_log_determinants` for why.

    >>> small_solves(jnp.array([[[2.0, 0.0], [0.0, 4.0]]]), jnp.ones((1, 2, 1)))[0, :, 0].tolist()
    [0.5, 0.25]
    """

    def eliminate(place: Array, both: Array) -> Array:
        row = jax.lax.dynamic_slice_in_dim(both, place, 1, 1)
        row = row / jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        cleared = both - jax.lax.dynamic_slice_in_dim(both, place, 1, 2) * row
        return jax.lax.dynamic_update_slice_in_dim(cleared, row, place, 1)

    size = matrices.shape[1]
    return jax.lax.fori_loop(0, size, eliminate, jnp.concatenate([matrices, right], 2))[:, :, size:]


def mask_scores(scores: Float[Array, "n"], eligible: Bool[Array, "n"]) -> Float[Array, "n"]:
    """Scores with `-inf` where a row may not be picked or has no score (NaN): the one door to every ranking.

    An eligible row whose score is `-inf` keeps a finite one, so that it still comes before what may not be picked.
    """
    lowest = jnp.finfo(scores.dtype).min
    return jnp.where(eligible & ~jnp.isnan(scores), jnp.maximum(scores, lowest), -jnp.inf)


def first_argmax(scores: Float[Array, "n"]) -> Int[Array, ""]:
    """Position of the largest score; ties go to the lowest position. NaN must be masked first, see `mask_scores`."""
    n = scores.shape[0]
    position = jax.lax.iota(jnp.int32, n)
    return jnp.minimum(jnp.min(jnp.where(scores == scores.max(), position, n)), n - 1)


def row_keys(key: Key[Array, ""], index: Int[Array, "n"]) -> Key[Array, "n"]:
    """One key a row, hung on the row's id, so that chunks and shards cannot change what is drawn."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def row_gumbel(key: Key[Array, ""], index: Int[Array, "n"]) -> Float[Array, "n"]:
    """Standard Gumbel noise, one draw a row id."""
    return jax.vmap(jax.random.gumbel)(row_keys(key, index))
