"""The driver of rules that may pick a row again: steps go on until B distinct rows are picked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.numerics import first_argmax, mask_scores, take_best
from bal.typing import Selection


class Distinct(NamedTuple):
    """A rule that may pick a row again, once it has met its candidates.

    state, score, update: as in `Greedy`; `score` is of every row, the picked ones included.
    done: ``state -> bool``: the last update changed nothing, nor would any further one.
    fill: the order in which places that are left are topped up, highest first.
    """

    state: Any
    score: Callable[[Any], Float[Array, "n"]]
    update: Callable[[Any, Array], Any]
    done: Callable[[Any], Bool[Array, ""]]
    fill: Float[Array, "n"]


class Picks(NamedTuple):
    """Distinct rows in the order of their first pick; places from `count` on are empty."""

    indices: Int[Array, "B"]
    scores: Float[Array, "B"]
    count: Int[Array, ""]
    num_steps: Int[Array, ""]


def pick_distinct(rule: Distinct, eligible: Bool[Array, "n"], batch_size: int, max_steps: int) -> tuple[Selection, Any]:
    """Step until B rows are distinct, the rule is done, or `max_steps` is reached; then top up. Returns the last state.

    Ties go to the lowest position and NaN never wins. ``info``: `topped_up [B]` marks picks that the rule did not make,
    `num_distinct` counts those it did, `num_steps` its steps, `num_nan` the eligible rows without a score.
    """
    start = rule.score(rule.state)
    nan = eligible & jnp.isnan(start)
    wanted = jnp.minimum(batch_size, (eligible & ~nan).sum())

    def more(carry: tuple) -> Array:
        state, picks = carry
        return (picks.count < wanted) & (picks.num_steps < max_steps) & ~rule.done(state)

    def step(carry: tuple) -> tuple:
        state, picks = carry
        scores = mask_scores(rule.score(state), eligible)
        position = first_argmax(scores)
        state = rule.update(state, position)
        place = jnp.where(
            rule.done(state) | jnp.isneginf(scores[position]) | (picks.indices == position).any(),
            batch_size,  # out of bounds: dropped
            picks.count,
        )
        indices = picks.indices.at[place].set(position, mode="drop")
        gains = picks.scores.at[place].set(scores[position], mode="drop")
        count = picks.count + (place < batch_size)
        return state, Picks(indices, gains, count.astype(jnp.int32), picks.num_steps + 1)

    nothing = jnp.full(batch_size, -1, jnp.int32)
    picks = Picks(nothing, jnp.full(batch_size, -jnp.inf, start.dtype), jnp.int32(0), jnp.int32(0))
    state, picks = jax.lax.while_loop(more, step, (rule.state, picks))
    info = {"num_eligible": eligible.sum(), "num_nan": nan.sum()}
    return _top_up(jnp.where(nan, jnp.nan, rule.fill), eligible, picks, info), state


def _top_up(fill: Float[Array, "n"], eligible: Bool[Array, "n"], picks: Picks, info: dict) -> Selection:
    batch_size = len(picks.indices)
    place = jnp.arange(batch_size, dtype=jnp.int32)
    made = place < picks.count
    free = eligible.at[jnp.where(made, picks.indices, len(fill))].set(False, mode="drop")
    rest, _, some = take_best(mask_scores(fill, free), batch_size)
    offset = jnp.maximum(place - picks.count, 0)
    indices = jnp.where(made, picks.indices, rest[offset]).astype(jnp.int32)
    topped_up = ~made & some[offset]
    scores = jnp.where(made, picks.scores, jnp.where(topped_up, 0.0, -jnp.inf))
    info = {**info, "topped_up": topped_up, "num_distinct": picks.count, "num_steps": picks.num_steps}
    return Selection(indices, scores, made | topped_up, None, info)
