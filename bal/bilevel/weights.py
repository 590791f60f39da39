"""A few rows and weights that stand for many labeled ones: bilevel coresets, weighted."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.bilevel.rows import Parts, Targeted, parts_of
from bal.bilevel.softmax import Grown, check_ridge, fitted, gains, grow, influence, outer_loss
from bal.learners.heads.mode import Rows
from bal.learners.settings import check_count, check_factor
from bal.selection.rules.greedy import pick_greedily
from bal.typing import Candidates


class WeightedCoreset(NamedTuple):
    """indices: rows in the order of picking. weight: of each, at least 0. loss: of all rows under the small model that
    was trained on the weighted rows, in nats."""

    indices: Int[Array, "B"]
    weight: Float[Array, "B"]
    loss: Float[Array, ""]


def weighted_coreset(
    features: Float[Any, "n F"],
    targets: Float[Any, "n C"],
    size: int,
    *,
    ridge: float = 1e-2,
    num_steps: int = 40,
    rate: float = 0.05,
) -> WeightedCoreset:
    """Rows and weights on which softmax regression is trained to the least loss over all rows, grown row by row.

    After every pick the weights of all picks descend ``∂g/∂w_i = -∇ℓ_iᵀ H⁻¹ ∇g`` (see `bal.bilevel.softmax`) by Adam,
    each gradient clipped to ±1 and weights kept at 0 or above; a new pick has weight 1. Deterministic.

    Use it when rows have labels already and a few are to be kept: a replay buffer, or a data set to be sent on.

    Args:
      features, targets: of all rows, as in `Targeted`; targets are distributions over classes.
      size: B, rows to keep.
      ridge: as in `softmax_coreset`.
      num_steps, rate: steps of Adam after each pick, and their size in units of weight.

    Raises:
      ValueError: a setting out of range, fewer rows than are to be kept, numbers that are not finite, targets that are
        no distributions ``[n, C]``.

    >>> x = jnp.array([[2.0], [2.1], [2.2], [-2.0], [-2.1], [-2.2]])
    >>> found = weighted_coreset(x, jnp.repeat(jnp.eye(2), 3, 0), 2, ridge=0.1)
    >>> sorted(i // 3 for i in found.indices.tolist()), bool((found.weight > 1).all())
    ([0, 1], True)

    Borsos, Mutný and Krause 2020, "Coresets via Bilevel Optimization for Continual Learning and Streaming".
    """
    check_ridge(ridge)
    check_count("num_steps", num_steps, least=0)
    check_factor("rate", rate)
    if not 1 <= check_count("size", size) <= len(features) or len(features) != len(targets):
        raise ValueError(
            f"expected targets of the {len(features)} rows, of which 1 or more are kept, got {len(targets)} targets "
            f"and size={size}"
        )
    features, targets = jnp.asarray(features), jnp.asarray(targets)
    if not (jnp.isfinite(features).all() and jnp.isfinite(targets).all()):
        raise ValueError("expected finite features and targets, got some that are not: leave their rows out")
    return _weighted(features, targets, size, float(ridge), num_steps, float(rate))


@partial(jax.jit, static_argnums=(2, 3, 4, 5))
def _weighted(features: Array, targets: Array, size: int, ridge: float, num_steps: int, rate: float) -> WeightedCoreset:
    n = len(features)
    every = jnp.ones(n, bool)
    candidates = Candidates(Targeted(features, targets), jnp.arange(n, dtype=jnp.int32), every, jnp.ones(n))
    parts: Parts = parts_of("weighted_coreset", candidates, size)
    reweigh = partial(_reweighed, ridge=ridge, num_steps=num_steps, rate=rate)
    picks, grown = pick_greedily(grow(parts, size, ridge, reweigh), every, size)
    weight = jnp.where(picks.valid, grown.rows.weight, 0)
    return WeightedCoreset(picks.indices, weight, outer_loss(grown.mode, Rows(*parts.pool, parts.outer)))


def _reweighed(grown: Grown, outer: Rows, ridge: float, num_steps: int, rate: float) -> Grown:
    adam = optax.adam(rate)
    used = jnp.arange(len(grown.rows.weight)) < grown.count

    def descend(carry: tuple, _: None) -> tuple:
        grown, moments = carry
        pull = influence(grown.rows, grown.mode, outer)
        slope = -gains(Targeted(grown.rows.phi, grown.rows.y), grown.mode, pull)
        move, moments = adam.update(jnp.where(used, jnp.clip(slope, -1, 1), 0), moments)
        weight = jnp.where(used, jnp.maximum(grown.rows.weight + move, 0), 0)
        rows = grown.rows._replace(weight=weight)
        return (Grown(rows, fitted(rows, ridge, grown.mode.weights), grown.count), moments), None

    return jax.lax.scan(descend, (grown, adam.init(grown.rows.weight)), length=num_steps)[0][0]
