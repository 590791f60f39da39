"""The driver of every batch rule that picks one row after another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.numerics import first_argmax, mask_scores
from bal.selection.top_k import Select
from bal.typing import Candidates, PRNGKey, Selection


class GreedyRule(NamedTuple):
    """A batch rule as three pure functions.

    init: ``key, candidates -> state``; only what changes from pick to pick belongs in the state.
    score: ``state, candidates -> [n]``, the gain of each row now (log weights when the rule draws).
    update: ``state, candidates, position -> state`` after a pick.
    """

    init: Callable[[PRNGKey, Candidates], Any]
    score: Callable[[Any, Candidates], Float[Array, "n"]]
    update: Callable[[Any, Candidates, Array], Any]


def greedy(rule: GreedyRule, draw: bool = False) -> Select:
    """Pick B rows one by one: the row of highest gain, or with `draw` one sampled by ``exp(score)``.

    Ties go to the lowest position, a picked row is never picked again, NaN never wins and is counted (over all picks)
    in ``info["num_nan"]``. When nothing is left the remaining places have ``valid=False``.

    >>> rule = GreedyRule(lambda key, c: (), lambda state, c: c.rows, lambda state, c, i: state)
    >>> candidates = Candidates(jnp.array([1.0, 3.0, 2.0]), jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> greedy(rule)(jax.random.key(0), candidates, 2).indices.tolist()
    [1, 2]
    """
    choose = _draw if draw else _take_first

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        key_init, key_draw = jax.random.split(key)
        state = rule.init(key_init, candidates)

        def pick(carry: tuple, step: Array) -> tuple:
            state, available = carry
            scores = rule.score(state, candidates)
            masked = mask_scores(scores, available)
            position, log_q = choose(jax.random.fold_in(key_draw, step), masked)
            valid = ~jnp.isneginf(masked[position])
            gain = jnp.where(valid, scores[position], -jnp.inf)
            num_nan = (available & jnp.isnan(scores)).sum()
            state = rule.update(state, candidates, position)
            out = (position, gain, valid, jnp.where(valid, log_q, -jnp.inf), num_nan)
            return (state, available.at[position].set(False)), out

        carry = (state, candidates.eligible)
        _, (indices, scores, valid, log_q, num_nan) = jax.lax.scan(pick, carry, jnp.arange(batch_size))
        info = {"num_eligible": candidates.eligible.sum(), "num_nan": num_nan.sum()}
        return Selection(indices, scores, valid, log_q if draw else None, info)

    return select


def _take_first(key: PRNGKey, scores: Float[Array, "n"]) -> tuple[Array, Array]:
    del key
    return first_argmax(scores), jnp.zeros((), scores.dtype)


def _draw(key: PRNGKey, log_weight: Float[Array, "n"]) -> tuple[Array, Array]:
    """Sample a position by inverting the cumulative sum: one uniform number in place of a Gumbel a row."""
    top = jnp.maximum(log_weight.max(), jnp.finfo(log_weight.dtype).min)
    total = jnp.cumsum(jnp.exp(log_weight - top))
    threshold = jax.random.uniform(key, dtype=total.dtype) * total[-1]
    position = jnp.searchsorted(total, threshold, side="right").astype(jnp.int32)
    position = jnp.minimum(position, _last_positive(log_weight))  # rounding may step past the last weight
    return position, log_weight[position] - top - jnp.log(total[-1])


def _last_positive(log_weight: Float[Array, "n"]) -> Array:
    some: Bool[Array, "n"] = ~jnp.isneginf(log_weight)
    return jnp.maximum(jnp.max(jnp.where(some, jnp.arange(len(log_weight), dtype=jnp.int32), -1)), 0)
