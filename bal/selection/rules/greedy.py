"""The driver of every batch rule that picks one row after another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.method import method
from bal.numerics import draw_position, first_argmax, mask_scores
from bal.typing import Candidates, PRNGKey, Select, Selection


class Greedy(NamedTuple):
    """A rule that has met its candidates: what never changes from pick to pick is closed over.

    state: before the first pick; only what changes belongs in it.
    score: ``state -> [n]``, the gain of each row now (log weights when the rule draws).
    update: ``state, position -> state`` after a pick.
    allows: ``state -> [n]``, which of the eligible rows may be picked now; None = all.
    """

    state: Any
    score: Callable[[Any], Float[Array, "n"]]
    update: Callable[[Any, Array], Any]
    allows: Callable[[Any], Bool[Array, "n"]] | None = None


Rule = Callable[[PRNGKey, Candidates, int], Greedy]
"""``key, candidates, batch_size -> Greedy``: a batch rule is one function."""


@method
def greedy(rule: Rule, draw: bool = False) -> Select:
    """Pick B rows one by one: the row of highest gain, or with `draw` one sampled by ``exp(score)``.

    Ties go to the lowest position, a picked row is never picked again, NaN never wins and is counted (over all picks)
    in ``info["num_nan"]``. When nothing is left to pick, that place and all after it have ``valid=False``.

    >>> rule = lambda key, candidates, batch_size: Greedy((), lambda state: candidates.rows, lambda state, i: state)
    >>> from bal.selection import select
    >>> select([1.0, 3.0, 2.0], None, greedy(rule), 2).indices.tolist()
    [1, 2]
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        key_rule, key_draw = jax.random.split(key)
        made = rule(key_rule, candidates, batch_size)
        return pick_greedily(made, candidates.eligible, batch_size, key_draw if draw else None)[0]

    return select


def pick_greedily(
    rule: Greedy, eligible: Bool[Array, "n"], batch_size: int, key_draw: PRNGKey | None = None
) -> tuple[Selection, Any]:
    """What `greedy` selects, drawn where there is a key to draw by, and the rule's state after the last pick."""

    def pick(carry: tuple, step: Array) -> tuple:
        state, available, more = carry
        scores = rule.score(state)
        masked = mask_scores(scores, available if rule.allows is None else available & rule.allows(state))
        if key_draw is None:
            position, log_q = first_argmax(masked), jnp.zeros((), masked.dtype)
        else:
            position, log_q = _draw(jax.random.fold_in(key_draw, step), masked)
        valid = more & ~jnp.isneginf(masked[position])
        gain = jnp.where(valid, scores[position], -jnp.inf)
        num_nan = (available & jnp.isnan(scores)).sum()
        out = (position, gain, valid, jnp.where(valid, log_q, -jnp.inf), num_nan)
        return (rule.update(state, position), available.at[position].set(False), valid), out

    carry = (rule.state, eligible, jnp.array(True))
    (state, *_), (indices, scores, valid, log_q, num_nan) = jax.lax.scan(pick, carry, jnp.arange(batch_size))
    info = {"num_eligible": eligible.sum(), "num_nan": num_nan.sum()}
    return Selection(indices, scores, valid, None if key_draw is None else log_q, info), state


def _draw(key: PRNGKey, log_weight: Float[Array, "n"]) -> tuple[Array, Array]:
    """Sample a position by inverting the cumulative sum: two uniform numbers in place of a Gumbel a row."""
    top = jnp.maximum(log_weight.max(), jnp.finfo(log_weight.dtype).min)
    relative = jnp.where(log_weight == top, 0.0, log_weight - top)  # also where the largest is infinite
    position, total = draw_position(key, jnp.exp(relative))
    return position, relative[position] - jnp.log(total)
