"""Every numerical trick of the package, written once.

Conventions: natural logarithms; `-inf` is the log of probability zero and must give finite results; NaN in, NaN out.
Nothing here knows what an acquisition function, a pool or a learner is.

XLA drops NaN from `max`, `min`, `clip` and their elementwise forms in large loops on a CPU, and keeps it in small ones.
So what a score is made of passes through `at_least` and `at_most` instead, and where a largest or smallest entry is
needed, `defined` puts NaN back.
"""

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.numerics.blocks import ROW_BLOCK, in_chunks, in_row_blocks
from bal.numerics.precision import at_least, defined

LOG_FLOOR = -1e3
"""A log of 0: its exponential is exactly 0 in float64 too, while 0 * -1000 stays finite, unlike 0 * -inf."""
UNROLLED = 32
"""Draws up to which a kernel of a GPU holds all of a row and class at once."""


def xlogx(log_x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``x log x`` from ``log x``, with its limit 0 at x = 0."""
    return jnp.exp(log_x) * at_least(log_x, LOG_FLOOR)


def centered_draws(x: Float[Array, "*shape"], axis: int = 1) -> Float[Array, "*shape"]:
    """Less the mean over draws: exactly 0 where all agree, which a difference to their mean need not be.

    >>> centered_draws(jnp.array([[0.1, 0.1, 0.1], [1.0, 2.0, 3.0]])).tolist()
    [[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]]
    """
    shifted = x - jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    return shifted - shifted.mean(axis, keepdims=True)


def normalized(weight: Float[Array, "n"]) -> Float[Array, "n"]:
    """Weights that sum to 1.

    >>> normalized(jnp.array([1.0, 3.0])).tolist()
    [0.25, 0.75]
    """
    return weight / weight.sum()


def entropy(log_probs: Float[Array, "*shape C"]) -> Float[Array, "*shape"]:
    """Entropy ``-Σ_c p_c log p_c`` of normalized log probabilities, in nats; NaN where one is NaN or `+inf`.

    >>> round(float(jax.jit(entropy)(jnp.log(jnp.array([0.5, 0.5, 0.0])))), 6)
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


def mean_divergence_of_draws(log_probs: Float[Array, "n K C"]) -> Float[Array, "n"]:
    """``mean_k KL(p_k ‖ p̄)`` as a sum of non-negative terms, in nats.

    With ``r = log p_k - log p̄`` the divergence is ``mean_k Σ_c p̄_c φ(r)``, ``φ(r) = r eʳ - eʳ + 1 >= 0``, because
    ``Σ_k (p_k - p̄) = 0``. For small r, where φ cancels, its series ``r²/2 + r³/3 + r⁴/8 + ...`` is used. So
    identical draws give exactly 0, nothing is ever negative, and float32 keeps its relative accuracy.
    """
    by_rows = partial(in_row_blocks, _mean_divergence_block)
    if jax.default_backend() == "cpu" or log_probs.shape[1] > UNROLLED:
        return by_rows(log_probs)
    by_draws = partial(in_chunks, _mean_divergence_by_draws, size=48 * ROW_BLOCK)
    return jax.lax.platform_dependent(log_probs, cuda=by_draws, default=by_rows)


def _mean_divergence_block(log_probs: Float[Array, "n K C"]) -> Float[Array, "n"]:
    log_p = log_probs.transpose(1, 2, 0)  # rows last: contiguous in every reduction below
    top = _finite(log_p.max(0, keepdims=True))
    d = log_p - top
    e = jnp.exp(d)
    z = jnp.mean(e - 1.0, 0, keepdims=True)
    term = _excess(d, e, z).mean(0)
    return jnp.sum(_of_class(top[0], z[0], term, len(log_p)), 0)


def _mean_divergence_by_draws(log_probs: Float[Array, "n K C"]) -> Float[Array, "n"]:
    """The same in one kernel of a GPU, which reads each number once: a thread holds all draws of a row and class.

    XLA makes a kernel of each reduction over an axis; sums of slices, one a draw, it joins.
    """
    draws = [log_probs[:, draw] for draw in range(log_probs.shape[1])]
    top = _finite(reduce(jnp.maximum, draws))
    ds = [log_p - top for log_p in draws]
    es = [jnp.exp(d) for d in ds]
    z = reduce(jnp.add, [e - 1.0 for e in es]) / len(draws)
    term = reduce(jnp.add, [_excess(d, e, z) for d, e in zip(ds, es)]) / len(draws)
    return jax.lax.optimization_barrier(_of_class(top, z, term, len(draws))).sum(-1)


def _finite(highest: Array) -> Array:
    return jnp.where(jnp.isneginf(highest), 0.0, highest)


def _excess(d: Array, e: Array, z: Array) -> Array:
    """``φ(r) p̄`` in units of the highest probability, of which ``e = exp(d)`` is a draw's and ``1 + z`` the mean."""
    s = 1.0 + z
    r = at_least(d, LOG_FLOOR) - jnp.log1p(z)
    series = s * (r * r) * (1 / 2 + r * (1 / 3 + r * (1 / 8 + r * (1 / 30 + r * (1 / 144)))))
    return jnp.where(jnp.abs(r) < 0.1, series, e * r - (e - s))


def _of_class(top: Array, z: Array, term: Array, num_draws: int) -> Array:
    """A class that no draw believes in contributes nothing: its mean is 0, elsewhere at least 1/K, or NaN."""
    return jnp.where(1.0 + z < 0.5 / num_draws, 0.0, jnp.exp(top) * term)
