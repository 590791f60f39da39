"""How much the label of a row tells about events that depend on the same posterior draws.

An event (a labeling of a batch, one class of a target row) tilts the weights of the K draws. Relative to the marginal,
``ρ = p(y = c | event) / p̄_c``, and the information is the mean over events of ``Σ_c p̄_c φ(ρ)`` with
``φ(ρ) = ρ log ρ - ρ + 1 >= 0``. The joint of all rows and events is never held: it is made in blocks that fit a cache.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.numerics.blocks import rows_per_block
from bal.numerics.information import logmeanexp
from bal.numerics.linear_algebra import dot
from bal.numerics.precision import at_least, at_most

JOINT_BYTES = 4 * 2**20
"""Bytes of one block of the joint of rows and events; speed is flat from 2 to 8 MiB on a CPU with 1 MiB of L2.

Where there is no CPU blocks are `bal.numerics.blocks.WIDER` times as large."""

EVENT_BLOCK = 512

MAX_COLUMNS = 16_384
"""Of one block: a matrix product of more may be split unevenly, and then copies of a row differ by a rounding."""

_LOG_RATIO_CEILING = 27.0  # a class this much likelier under one draw has a marginal below 1e-11


class Relative(NamedTuple):
    """A block of rows seen from its marginal; column j is one class of one row.

    marginal: ``p̄``; excess: ``p_k / p̄ - 1``, whose mean over draws is zero.
    """

    marginal: Float[Array, "J"]
    excess: Float[Array, "K J"]


def relative(log_probs: Float[Array, "n K C"], log_weight: Float[Array, "K"] | None = None) -> Relative:
    """Rows ``[n, K, C]`` relative to their marginal under draw weights (uniform unless given)."""
    n, num_draws, num_classes = log_probs.shape
    log_p = log_probs.transpose(1, 0, 2).reshape(num_draws, n * num_classes)
    if log_weight is None:
        log_marginal = logmeanexp(log_p, 0)[None]  # exact for identical draws
    else:
        log_marginal = jax.nn.logsumexp(log_p + log_weight[:, None], 0, keepdims=True)
    impossible = jnp.isneginf(log_marginal)  # such a class contributes nothing
    log_ratio = at_most(log_p - jnp.where(impossible, 0.0, log_marginal), _LOG_RATIO_CEILING)
    excess = jnp.where(impossible, 0.0, jnp.expm1(log_ratio))
    return Relative(jnp.exp(log_marginal[0]), excess)


@jax.custom_jvp
def divergence(delta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``φ(1 + δ) = (1 + δ) log(1 + δ) - δ``, to full relative accuracy also where the difference would cancel.

    Its slope is ``log(1 + δ)``, that of the smallest positive ratio where there is none.
    """
    if delta.dtype == jnp.float32:
        return _divergence32(delta)
    series = jnp.full_like(delta, _SERIES[-1])
    for coefficient in _SERIES[-2::-1]:
        series = series * delta + coefficient
    ratio = at_least(1.0 + delta, jnp.finfo(delta.dtype).tiny)
    log_ratio = jnp.where(delta < -0.5, jnp.log(ratio), jnp.log1p(at_least(delta, -0.5)))
    return jnp.where(jnp.abs(delta) < 0.1, delta * delta * series, ratio * log_ratio - delta)


@divergence.defjvp
def _slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (delta,), (by,) = primals, tangents
    lowest = float(jnp.finfo(delta.dtype).eps) - 1
    return divergence(delta), by * jnp.log1p(at_least(delta, lowest))


_SERIES = tuple((-1.0) ** n / (n * (n - 1)) for n in range(2, 18))  # of φ(1 + δ) / δ²; enough for |δ| < 0.1


# Fitted to φ(1 + f) / f² at Chebyshev nodes of [√½ - 1, √2 - 1]; relative error 4e-8.
_COEFFICIENTS = (
    *(0.499999996, -0.166667043, 0.0833346701, -0.0499687281),
    *(0.0332460615, -0.0244293723, 0.0196846078, -0.011120219),
)


def _divergence32(delta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Cheaper than a logarithm and a series: for ``1 + δ = q = 2^e m`` it is ``2^e φ(m) + q e log 2 + 1 - 2^e``."""
    ratio = at_least(1.0 + delta, 1e-30)
    bits = jax.lax.bitcast_convert_type(ratio, jnp.int32)
    exponent = (bits - 0x3F3504F3) >> 23  # of √½, so that m lies in [√½, √2)
    scale = jax.lax.bitcast_convert_type((exponent + 127) << 23, jnp.float32)
    mantissa = jax.lax.bitcast_convert_type(bits - (exponent << 23), jnp.float32)
    f = jnp.where(exponent == 0, delta, mantissa - 1.0)
    series = jnp.full_like(f, _COEFFICIENTS[-1])
    for coefficient in _COEFFICIENTS[-2::-1]:
        series = series * f + coefficient
    return scale * (f * f) * series + (exponent.astype(jnp.float32) * math.log(2)) * ratio + (1.0 - scale)


def mean_divergence(
    excess: Float[Array, "K J"],
    tilt: Float[Array, "M K"],
    weight: Float[Array, "M"],
    count: Int[Array, ""] | None = None,
) -> Float[Array, "J"]:
    """``Σ_m weight_m φ(1 + tilt_m · excess)`` for every column, over blocks of events.

    `tilt` holds the draw weights given the event less those of the marginal. Only the first `count` events are read,
    which saves their time where `count` is smaller than M.
    """
    num_events = weight.shape[0]
    block = event_block(num_events)
    padding = -num_events % block
    tilt = jnp.pad(tilt, ((0, padding), (0, 0)))
    weight = jnp.pad(weight, (0, padding))
    num_blocks = len(weight) // block if count is None else (count + block - 1) // block

    def add(number: Array, total: Array) -> Array:
        some, its_weight = (jax.lax.dynamic_slice_in_dim(x, number * block, block) for x in (tilt, weight))
        term = divergence(dot(some, excess))
        return total + dot(its_weight, term)

    nothing = jnp.zeros_like(excess[0], jnp.result_type(excess, tilt, weight))
    return jax.lax.fori_loop(0, num_blocks, add, nothing)


def sum_classes(values: Float[Array, "J"], num_classes: int) -> Float[Array, "n"]:
    """Columns summed over the classes of each row."""
    return values.reshape(-1, num_classes).sum(1)


def event_block(num_events: int) -> int:
    """Events of one block: blocks of equal size, of at most `EVENT_BLOCK`."""
    num_blocks = -(-num_events // EVENT_BLOCK)
    return -(-num_events // num_blocks)


def rows_in_block(num_events: int, log_probs: Float[Array, "n K C"], budget: int) -> int:
    """Rows whose joint with one block of events takes `budget` bytes; at least 1, and at most `MAX_COLUMNS` columns."""
    if budget < 1:
        raise ValueError(f"budget must be at least 1 byte, got {budget}")
    num_classes = log_probs.shape[-1]
    rows = rows_per_block(event_block(num_events) * num_classes * log_probs.dtype.itemsize, budget)
    return min(rows, max(MAX_COLUMNS // num_classes, 1))
