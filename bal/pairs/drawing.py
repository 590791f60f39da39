"""Pairs at random: uniform over those that were not asked, without a list of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from bal.method import method
from bal.pairs.nouns import Items, PairQuery, PairRound, PairSelection, num_items
from bal.typing import PADDING, PRNGKey


@method
def random_pairs() -> PairQuery:
    """Uniformly random pairs that were not asked before, within groups where there are any; scores are NaN.

    Use it as what every other query is judged by.

    >>> from bal.pairs import empty_log
    >>> round = PairRound(None, Items(jnp.zeros((3, 1))), empty_log(1))
    >>> drawn = jax.jit(random_pairs(), static_argnums=2)(jax.random.key(0), round, 4)
    >>> sorted(drawn.pairs[:3].tolist()), drawn.valid.tolist()
    ([[0, 1], [0, 2], [1, 2]], [True, True, True, False])
    """

    def query(key: PRNGKey, round: PairRound, batch_size: int) -> PairSelection:
        pairs = draw_pairs(key, round.items, round.log.pairs, batch_size)
        return PairSelection(pairs, jnp.full(batch_size, jnp.nan), pairs[:, 0] != PADDING)

    return query


def draw_pairs(key: PRNGKey, items: Items, asked: Int[Array, "E 2"], count: int) -> Int[Array, "m 2"]:
    """Pairs drawn one after another among those not yet asked, by drawing again where one was; `PADDING` where none is
    left. Takes N numbers, and where E pairs of T are left out T / (T - E) trials."""
    if not count:
        return jnp.zeros((0, 2), jnp.int32)
    n = num_items(items)
    group = jnp.zeros(n, jnp.int32) if items.group is None else items.group
    order = jnp.argsort(group, stable=True)
    begin, end = (jnp.searchsorted(group[order], group[order], side=side) for side in ("left", "right"))
    others = end - begin - 1
    share = jnp.cumsum(others.astype(float))
    left = share[-1] / 2 - num_distinct(asked)

    def draw(key: PRNGKey) -> Int[Array, "2"]:
        key_one, key_other = jax.random.split(key)
        if items.group is None:
            one = jax.random.randint(key_one, (), 0, n)
        else:
            mark = jax.random.uniform(key_one, dtype=share.dtype) * share[-1]
            one = jnp.minimum(jnp.searchsorted(share, mark, side="right"), n - 1)
        other = begin[one] + jax.random.randint(key_other, (), 0, jnp.maximum(others[one], 1))
        other = other + (other >= one)
        return jnp.sort(order[jnp.stack([one, jnp.minimum(other, n - 1)])]).astype(jnp.int32)

    def step(number: Array, asked: Array) -> Array:
        again = lambda carry: (number < left) & is_among(carry[0], asked)
        key_pick = jax.random.fold_in(key, number)
        trial = lambda carry: (draw(jax.random.fold_in(key_pick, carry[1])), carry[1] + 1)
        pair = jax.lax.while_loop(again, trial, trial((None, jnp.int32(0))))[0]
        return asked.at[len(asked) - count + number].set(jnp.where(number < left, pair, PADDING))

    asked = jnp.concatenate([asked, jnp.full((count, 2), PADDING, asked.dtype)])
    return jax.lax.fori_loop(0, count, step, asked)[len(asked) - count :]


def is_among(pair: Int[Array, "2"], asked: Int[Array, "E 2"]) -> Bool[Array, ""]:
    """Whether a pair is one of some."""
    return jnp.any((asked[:, 0] == pair[0]) & (asked[:, 1] == pair[1]))


def num_distinct(asked: Int[Array, "E 2"]) -> Int[Array, ""]:
    """How many different pairs there are among them, padding aside."""
    number = jnp.arange(len(asked))
    same = jnp.all(asked[:, None] == asked[None], 2) & (number[:, None] > number[None])
    return jnp.sum(~same.any(1) & (asked[:, 0] != PADDING), dtype=jnp.int32)
