"""The driver of every batch rule that picks one row after another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.numerics import draw_position, first_argmax, mask_scores
from bal.typing import Candidates, PRNGKey, Select, Selection


class GreedyRule(NamedTuple):
    """A batch rule as three pure functions.

    init: ``key, candidates -> state``; only what changes from pick to pick belongs in the state.
    score: ``state, candidates -> [n]``, the gain of each row now (log weights when the rule draws).
    update: ``state, candidates, position -> state`` after a pick.
    """

    init: Callable[[PRNGKey, Candidates], Any]
    score: Callable[[Any, Candidates], Float[Array, "n"]]
    update: Callable[[Any, Candidates, Array], Any]


@method
def greedy(rule: GreedyRule, draw: bool = False) -> Select:
    """Pick B rows one by one: the row of highest gain, or with `draw` one sampled by ``exp(score)``.

    Ties go to the lowest position, a picked row is never picked again, NaN never wins and is counted (over all picks)
    in ``info["num_nan"]``. When nothing is left to pick, that place and all after it have ``valid=False``.

    >>> rule = GreedyRule(lambda key, c: (), lambda state, c: c.rows, lambda state, c, i: state)
    >>> candidates = Candidates(jnp.array([1.0, 3.0, 2.0]), jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> greedy(rule)(jax.random.key(0), candidates, 2).indices.tolist()
    [1, 2]
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        return greedy_with_state(rule, key, candidates, batch_size, draw)[0]

    return select


def greedy_with_state(
    rule: GreedyRule, key: PRNGKey, candidates: Candidates, batch_size: int, draw: bool = False
) -> tuple[Selection, Any]:
    """What `greedy` selects, and the rule's state after the last pick."""
    choose = _draw if draw else _take_first
    key_init, key_draw = jax.random.split(key)

    def pick(carry: tuple, step: Array) -> tuple:
        state, available, more = carry
        scores = rule.score(state, candidates)
        masked = mask_scores(scores, available)
        position, log_q = choose(jax.random.fold_in(key_draw, step), masked)
        valid = more & ~jnp.isneginf(masked[position])
        gain = jnp.where(valid, scores[position], -jnp.inf)
        num_nan = (available & jnp.isnan(scores)).sum()
        state = rule.update(state, candidates, position)
        out = (position, gain, valid, jnp.where(valid, log_q, -jnp.inf), num_nan)
        return (state, available.at[position].set(False), valid), out

    carry = (rule.init(key_init, candidates), candidates.eligible, jnp.array(True))
    (state, *_), (indices, scores, valid, log_q, num_nan) = jax.lax.scan(pick, carry, jnp.arange(batch_size))
    info = {"num_eligible": candidates.eligible.sum(), "num_nan": num_nan.sum()}
    return Selection(indices, scores, valid, log_q if draw else None, info), state


def _take_first(key: PRNGKey, scores: Float[Array, "n"]) -> tuple[Array, Array]:
    del key
    return first_argmax(scores), jnp.zeros((), scores.dtype)


def _draw(key: PRNGKey, log_weight: Float[Array, "n"]) -> tuple[Array, Array]:
    """Sample a position by inverting the cumulative sum: two uniform numbers in place of a Gumbel a row."""
    top = jnp.maximum(log_weight.max(), jnp.finfo(log_weight.dtype).min)
    relative = jnp.where(log_weight == top, 0.0, log_weight - top)  # also where the largest is infinite
    position, total = draw_position(key, jnp.exp(relative))
    return position, relative[position] - jnp.log(total)
