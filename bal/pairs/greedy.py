"""The best pairs of all, one after another, without a matrix of them: rows of it in blocks, and of those the hopeful.

Minoux 1978, "Accelerated Greedy Algorithms for Maximizing Submodular Set Functions".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.method import method
from bal.numerics import first_argmax, in_chunks, rows_per_block
from bal.pairs.nouns import PairQuery, PairRound, PairSelection, num_items
from bal.selection.rules.lazy import lazy_gains
from bal.typing import PADDING, PRNGKey

MOST_ROWS, BLOCK_BYTES = 64, 2**24
"""Rows of the matrix of pairs that are looked at together, and what they may take."""


class PairRule(NamedTuple):
    """A rule that has met its items.

    state: before the first pick; a tree. size: ``[N]``, how far an item lies out, in any unit: changes speed only,
    unless it is NaN, which keeps the item out.
    score: ``state, rows [r] -> [r, N]``, of the pairs of some items with all, symmetric, never more after a pick.
    gain: ``state, a, b -> scalar``, what is reported of a pick: increasing in its score.
    update: ``state, a, b -> state`` after a pick.
    numbers: how many are at once in memory for one pair while it is scored.
    bound: as `score`, at least that, and much cheaper: the first pick looks only at items that may hold it.
    """

    state: Any
    size: Float[Array, "N"]
    score: Callable[[Any, Int[Array, "r"]], Float[Array, "r N"]]
    gain: Callable[[Any, Array, Array], Float[Array, ""]]
    update: Callable[[Any, Array, Array], Any]
    numbers: int = 1
    bound: Callable[[Any, Int[Array, "r"]], Float[Array, "r N"]] | None = None


@method
def greedy_pairs(rule: Callable[[PRNGKey, PairRound], PairRule]) -> PairQuery:
    """Ask about the pair of highest score, update, and so on: the greedy batch over all N (N - 1) / 2 pairs, exactly.

    Each pair belongs to the item that lies further out, by the size that the rule gives. Of every item the best score
    of its pairs is kept: since scores never grow it bounds what they are after further picks, and items are looked at
    again, best first, until no bound is above the best pair found. Memory for some rows of the matrix of pairs; the
    first pick costs all of it, N² scores or N² of the rule's bounds, later ones what the bounds leave.

    A pair that was asked before, answered or not, is never asked again. Of equal scores the pair of the lowest item
    that owns one wins. An item whose size is not finite is in no pair and is counted in ``info["num_nan"]``; a score
    that is NaN never wins.

    >>> from bal.pairs import Items, empty_log
    >>> far = lambda x, rows: jnp.abs(x[rows][:, None] - x[None])
    >>> rule = lambda key, round: PairRule(
    ...     round.items.x, jnp.abs(round.items.x), far, lambda x, a, b: jnp.abs(x[a] - x[b]), lambda x, a, b: x
    ... )
    >>> round = PairRound(None, Items(jnp.array([0.0, 9.0, -2.0, 4.0])), empty_log(1))
    >>> jax.jit(greedy_pairs(rule), static_argnums=2)(jax.random.key(0), round, 2).pairs.tolist()
    [[1, 2], [0, 1]]
    """

    def query(key: PRNGKey, round: PairRound, batch_size: int) -> PairSelection:
        made, n = rule(key, round), num_items(round.items)
        usable, group = jnp.isfinite(made.size), round.items.group
        order = jnp.argsort(-jnp.where(usable, made.size, -jnp.inf), stable=True)
        place = jnp.zeros(n, jnp.int32).at[order].set(jnp.arange(n, dtype=jnp.int32))
        block = min(rows_per_block(n * made.size.dtype.itemsize * made.numbers, BLOCK_BYTES), MOST_ROWS)

        def owned_scores(state: Any, asked: Array, rows: Int[Array, "r"], of: Any = made.score) -> Float[Array, "r N"]:
            scores = of(state, rows)
            mine = (place[None] > place[rows][:, None]) & usable[None] & usable[rows][:, None]
            if group is not None:
                mine &= group[None] == group[rows][:, None]
            scores = jnp.where(mine & ~jnp.isnan(scores), scores, -jnp.inf)
            is_first = place[asked[:, 0]] < place[asked[:, 1]]
            owner, other = (jnp.where(is_first, asked[:, i], asked[:, 1 - i]) for i in (0, 1))
            at = jnp.full(n, len(rows), jnp.int32).at[rows].set(jnp.arange(len(rows), dtype=jnp.int32))
            known = asked[:, 0] != PADDING
            return scores.at[jnp.where(known, at[owner], len(rows)), other].set(-jnp.inf, mode="drop")

        def pick(number: Array, carry: tuple) -> tuple:
            state, bound, asked, scores = carry
            best = lambda rows: jnp.max(owned_scores(state, asked, rows), 1)
            bound = lazy_gains(best, jnp.arange(n, dtype=jnp.int32), bound, block)
            owner = first_argmax(bound)
            other = first_argmax(owned_scores(state, asked, owner[None])[0])
            valid = bound[owner] > -jnp.inf
            a, b = jnp.minimum(owner, other), jnp.maximum(owner, other)
            scores = scores.at[number].set(jnp.where(valid, made.gain(state, a, b), -jnp.inf))
            pair = jnp.where(valid, jnp.stack([a, b]), PADDING)
            new = made.update(state, a, b)
            state = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, state)
            return state, bound, asked.at[len(round.log.y) + number].set(pair), scores

        bound = jnp.where(usable, jnp.inf, -jnp.inf).astype(made.size.dtype)
        asked = jnp.concatenate([round.log.pairs, jnp.full((batch_size, 2), PADDING, jnp.int32)])
        if made.bound is not None:
            most = lambda rows: jnp.max(owned_scores(made.state, asked, rows, made.bound), 1)
            bound = in_chunks(most, jnp.arange(n, dtype=jnp.int32), block)
        start = made.state, bound, asked, jnp.zeros(batch_size, made.size.dtype)
        _, _, asked, scores = jax.lax.fori_loop(0, batch_size, pick, start)
        pairs = asked[len(round.log.y) :]
        info = {"num_nan": jnp.sum(~usable, dtype=jnp.int32)}
        return PairSelection(pairs, scores, pairs[:, 0] != PADDING, info)

    return query
