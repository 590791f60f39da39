"""Stochastic batches: sampling without replacement with probabilities that grow with the score.

All three perturb a log weight with Gumbel noise hung on the row's id and take the top B, which is exactly sequential
sampling without replacement. `log_q` holds log P(pick | earlier picks, remaining rows), as unbiased estimators need.
Rows of infinite score have all the weight: they come first, in random order.

Kirsch et al. 2023, "Stochastic Batch Acquisition: A Simple Baseline for Deep Active Learning" (TMLR).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.numerics import mask_scores, row_gumbel, take_best
from bal.selection.kinds import check_scores
from bal.selection.ranking import count_oddities
from bal.typing import Candidates, PRNGKey, Select, Selection

_LOWEST = -1e30  # keeps differences of log weights finite
_TIER = 100.0  # more than any two float32 Gumbel draws differ by
_APART = 1e-3  # share of a large sort key that rounding does not swallow

Beta = float | int | Array


@method
def power(beta: Beta = 1.0) -> Select:
    """Sample with weights ``score^β``; the sort key is ``log score + Gumbel/β``.

    Rows of score zero have weight zero: they come last, in random order, and are picked only when nothing else is
    left. Negative scores are treated as zero and counted in ``info["num_negative"]``. β → ∞ is `best`.

    >>> from bal.selection import select
    >>> select(None, None, power(), 3, scores=[0.0, 1.0, 3.0]).indices.tolist()[-1]
    0
    """
    _check(beta)

    def log_weight(scores: Float[Array, "n"], candidates: Candidates) -> Float[Array, "n"]:
        del candidates
        logs = jnp.log(jnp.where(scores > 0, scores, 1.0))
        return jnp.where(jnp.isnan(scores), jnp.nan, jnp.where(scores > 0, logs, -jnp.inf))

    return _gumbel_top_k(log_weight, beta)


@method
def softmax(beta: Beta = 1.0) -> Select:
    """Sample with weights ``exp(β score)``; the sort key is ``score + Gumbel/β``. β → ∞ is `best`.

    >>> from bal.selection import select
    >>> select(None, None, softmax(), 1, scores=[0.0, 9.0]).indices.tolist()
    [1]
    """
    _check(beta)
    return _gumbel_top_k(lambda scores, candidates: scores, beta)


@method
def softrank(beta: Beta = 1.0) -> Select:
    """Sample with weights ``rank^-β``, the best eligible row having rank 1; ties rank by position. β → ∞ is `best`.

    >>> from bal.selection import select
    >>> import numpy as np
    >>> picks = select(None, None, softrank(), 1, scores=[0.0, 9.0])
    >>> round(float(np.exp(picks.log_q[0])), 3) in (0.333, 0.667)
    True
    """
    _check(beta)

    def log_weight(scores: Float[Array, "n"], candidates: Candidates) -> Float[Array, "n"]:
        order = jnp.argsort(-mask_scores(scores, candidates.eligible))
        rank = jnp.zeros_like(order).at[order].set(jnp.arange(1, len(order) + 1))
        return jnp.where(jnp.isnan(scores), jnp.nan, -jnp.log(rank.astype(scores.dtype)))

    return _gumbel_top_k(log_weight, beta)


def _gumbel_top_k(log_weight: Callable[[Array, Candidates], Array], beta: Beta) -> Select:
    """Three tiers: rows of infinite weight, of positive weight by perturbed weight, and of weight zero.

    The first and the last are in random order.
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        check_scores("a stochastic rule", candidates.rows)
        weight = log_weight(candidates.rows, candidates)
        noise = row_gumbel(key, candidates.index).astype(weight.dtype)
        some = candidates.eligible & ~jnp.isnan(weight)
        live, infinite = some & jnp.isfinite(weight), some & jnp.isposinf(weight)
        perturbed = jnp.where(live, weight + noise / beta, 0.0)
        lowest, highest = jnp.minimum(jnp.min(perturbed), 0.0), jnp.maximum(jnp.max(perturbed), 0.0)
        bottom = lowest - jnp.maximum(_TIER, _APART * -lowest)
        top = highest + jnp.maximum(_TIER, _APART * highest)
        sort_key = jnp.where(live, perturbed, jnp.where(infinite, top, bottom) + noise)
        indices, _, valid = take_best(mask_scores(sort_key, some), batch_size)
        scores = jnp.where(valid, candidates.rows[indices], -jnp.inf)
        log_q = _sequential_log_q(beta, weight, live, indices, valid)
        for tier in (infinite, some & ~live & ~infinite):
            log_q = jnp.where(valid & tier[indices], _uniform_log_q(tier, indices, valid, weight.dtype), log_q)
        negative = (candidates.eligible & (candidates.rows < 0)).sum()
        info = {**count_oddities(candidates), "num_negative": negative}
        return Selection(indices, scores, valid, log_q, info)

    return select


def _sequential_log_q(beta: Beta, weight: Array, live: Array, indices: Array, valid: Array) -> Float[Array, "B"]:
    """``w_b - log Σ exp w`` over the live rows left at pick b: the never picked, and the picks from b on."""
    top = jnp.max(jnp.where(live, weight, -jnp.inf))
    log_weight = jnp.where(live, jnp.maximum(beta * (weight - top), _LOWEST), -jnp.inf)
    is_live = valid & live[indices]
    picked = jnp.where(is_live, log_weight[indices], -jnp.inf)
    never = jax.nn.logsumexp(log_weight.at[indices].set(-jnp.inf))
    later = jax.lax.cumlogsumexp(picked, reverse=True)
    return jnp.where(is_live, picked - jnp.logaddexp(later, never), -jnp.inf)


def _uniform_log_q(tier: Array, indices: Array, valid: Array, dtype: Any) -> Float[Array, "B"]:
    """Minus the log of how many rows of a tier are left at each pick from it."""
    before = jnp.cumsum(valid & tier[indices]) - 1
    return -jnp.log(jnp.maximum(tier.sum() - before, 1).astype(dtype))


def _check(beta: Beta) -> None:
    if isinstance(beta, float | int) and not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}; for uniform sampling use random_uniform")
