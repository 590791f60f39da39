"""BatchBALD: the batch whose labels jointly tell the most about the posterior draws, picked greedily.

Kirsch, van Amersfoort and Gal 2019, "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active
Learning".
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.method import method
from bal.numerics import block_by_platform
from bal.numerics.divergence import JOINT_BYTES, rows_in_block
from bal.selection.information.labelings import (
    Configurations,
    add_row,
    batch_information,
    conditional_information,
    no_labels,
)
from bal.selection.kinds import check_draws
from bal.selection.rules.greedy import Greedy, greedy
from bal.selection.rules.lazy import lazy_gains
from bal.typing import Candidates, PRNGKey, Select, Selection

SATURATED = 0.95


class BatchBaldState(NamedTuple):
    """The labelings of the picks so far, the key that extends them, and the gains on them (or too low bounds)."""

    key: PRNGKey
    configurations: Configurations
    gain: Float[Array, "n"]
    num_picks: Int[Array, ""]


@method
def batchbald(num_configurations: int = 10_000, budget: int = JOINT_BYTES) -> Select:
    """Greedy maximization of ``I(y_1 ... y_B; θ)`` for rows ``log_probs [n, K, C]``, in nats.

    The gain of a row is ``I(y_n; θ | y_batch)``: exact by enumeration while ``C^b <= num_configurations`` for the b
    rows picked before, then a mean over that many labelings drawn from the joint prediction, the same for every row.
    While it is exact, rows whose earlier gain is below the best are not looked at again (`bal.selection.lazy`).
    The first gain is BALD. On the exact path gains never increase, none is negative, they add up to at most
    ``min(log K, Σ BALD)``, and the batch is within 1 - 1/e of the best one. Copies of a row are picked again where that
    is worth more: labels of a noisy row average out.

    Since the information is about the index of a draw, it cannot exceed log K: with few draws the later picks are
    nearly free choices. `info` says when. On labelings drawn anew, so that picking the largest estimate does not bias
    them: ``gain`` and ``gain_error`` (Monte-Carlo standard error, 0 where exact), ``information`` of the batch after
    each pick, ``saturation = information / log K``, and ``saturated_at``, the first pick (from 1) after which 95 % of
    the ceiling ``min(log K, B log C)`` is passed, or 0 for never.

    Args:
      num_configurations: labelings S; memory is S x K numbers, time per pick n x C x S x K.
      budget: bytes of one block of the joint of rows and labelings; changes speed only.

    Raises:
      ValueError: fewer than one configuration, or a budget below one byte.

    >>> import numpy as np
    >>> from bal.selection import select
    >>> a, copy, b = ([[p, 1 - p] for p in row] for row in ((0.30, 0.45), (0.30, 0.45), (0.60, 0.72)))
    >>> picks = select(None, None, batchbald(100), 2, log_probs=np.log([a, copy, b]))
    >>> picks.indices.tolist(), round(float(np.sum(picks.scores)), 5)
    ([0, 1], 0.02384)
    """
    if num_configurations < 1:
        raise ValueError(f"batchbald needs at least 1 configuration, got {num_configurations}; 10,000 is usual")
    if budget < 1:
        raise ValueError(f"budget must be at least 1 byte, got {budget}")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        pool = candidates.rows

        def gains(configurations: Configurations, bound: Float[Array, "n"]) -> Float[Array, "n"]:
            block = rows_in_block(num_configurations, pool, budget)
            every = lambda some: conditional_information(some, configurations, budget)
            # Once labelings are a sample, a gain may rise by chance: every row is looked at.
            lazy = lambda rows, block: lazy_gains(every, rows, bound, block)
            return jax.lax.cond(configurations.sampled, every, lambda rows: block_by_platform(lazy, rows, block), pool)

        def update(state: BatchBaldState, position: Array) -> BatchBaldState:
            key_row, key = jax.random.split(state.key)
            more = add_row(key_row, state.configurations, pool[position])
            taken = state.gain.at[position].set(-jnp.inf)
            last = state.num_picks + 1 == batch_size
            gain = jax.lax.cond(last, lambda: taken, lambda: gains(more, taken))
            return BatchBaldState(key, more, gain, state.num_picks + 1)

        empty = no_labels(num_configurations, pool.shape[1], pool.dtype)
        bound = jnp.where(candidates.eligible, jnp.inf, -jnp.inf).astype(pool.dtype)
        start = BatchBaldState(key, empty, gains(empty, bound), jnp.zeros((), jnp.int32))
        return Greedy(start, lambda state: state.gain, update)

    picking = greedy(rule)

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_draws("batchbald", candidates.rows)
        key_select, key_info = jax.random.split(key)
        picks = picking(key_select, candidates, batch_size)
        rows = candidates.rows[picks.indices]
        rows = jnp.where(picks.valid[:, None, None], rows, -math.log(rows.shape[-1]))  # tells nothing
        return picks._replace(info={**picks.info, **_diagnostics(key_info, rows, num_configurations)})

    return select


def _diagnostics(key: PRNGKey, rows: Float[Array, "B K C"], num_configurations: int) -> dict[str, Array]:
    batch_size, num_draws, num_classes = rows.shape
    found = batch_information(key, rows, num_configurations)
    log_k = math.log(num_draws)
    ceiling = min(log_k, batch_size * math.log(num_classes))
    passed = found.total >= SATURATED * ceiling
    first = jnp.min(jnp.where(passed, jnp.arange(1, batch_size + 1), batch_size + 1))
    return {
        "gain": found.gain,
        "gain_error": found.gain_error,
        "information": found.total,
        "saturation": found.total / max(log_k, 1e-30),  # a single draw holds no information: 0
        "saturated_at": jnp.where(first > batch_size, 0, first),
    }
