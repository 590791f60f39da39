"""The nouns of pairs: items, what was asked about them, and how it is learned.

A pair is two item ids, never one number: N items make N (N - 1) / 2 pairs, more than 32 bits hold from 65,537 items on.
The lower id stands first. An answer is 1 where the first item is preferred and 0 where the second is. N are items, L
places of the log, B pairs of a batch, R rounds, K draws, F features.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from bal.method import brief_repr
from bal.pool import take
from bal.typing import PADDING, Data, Learner, Posterior, PRNGKey, PyTree


class Items(NamedTuple):
    """What is compared.

    x: inputs, every leaf ``[N, ...]``. group: only items of one group may be compared, as answers to one prompt; None =
    all with all. prompt: features of what a group answers, by number of the group.
    """

    x: PyTree
    group: Int[Array, "N"] | None = None
    prompt: Float[Array, "G P"] | None = None


class PairLog(NamedTuple):
    """What was asked, in order: `count` places are used, others hold `PADDING`. weight: 0 = no answer yet."""

    pairs: Int[Array, "L 2"]
    y: Int[Array, "L"]
    weight: Float[Array, "L"]
    count: Int[Array, ""]


class PairRound(NamedTuple):
    """What a query may look at."""

    posterior: Posterior
    items: Items
    log: PairLog


class PairSelection(NamedTuple):
    """B pairs in the order of picking. scores: gain at the moment of picking. valid: False = no pair was left."""

    pairs: Int[Array, "B 2"]
    scores: Float[Array, "B"]
    valid: Bool[Array, "B"]
    info: dict[str, Array] = {}  # noqa: RUF012 - never written to


PairQuery = Callable[[PRNGKey, PairRound, int], PairSelection]
"""``key, round, batch_size -> PairSelection``: which pairs to ask about next."""


class PairSetup(NamedTuple):
    """How a preference is learned, as a `bal.typing.Setup` says it of labels; num_initial: pairs drawn at random."""

    learner: Learner
    query: PairQuery
    batch_size: int
    num_rounds: int
    num_initial: int = 0
    evaluate: Callable[[Posterior, PyTree], dict[str, Any]] | None = None

    __repr__ = brief_repr


def num_items(items: Items) -> int:
    """N."""
    return jax.tree.leaves(items.x)[0].shape[0]


def pair_inputs(x: PyTree, pairs: Int[Array, "m 2"]) -> PyTree:
    """Inputs of pairs, every leaf ``[m, 2, ...]``: what all learners of pairs read.

    >>> pair_inputs(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[0, 2]])).tolist()
    [[[1.0], [3.0]]]
    """
    return take(x, pairs)


def empty_log(capacity: int) -> PairLog:
    """A log before anything was asked.

    >>> empty_log(3).pairs.shape
    (3, 2)
    """
    pairs = jnp.full((capacity, 2), PADDING, jnp.int32)
    return PairLog(pairs, jnp.zeros(capacity, jnp.int32), jnp.zeros(capacity), jnp.zeros((), jnp.int32))


def add_answers(log: PairLog, pairs: Int[Array, "B 2"], y: Int[Array, "B"], valid: Bool[Array, "B"]) -> PairLog:
    """The log with further pairs and their answers; those that are not valid leave no trace."""
    place = jnp.where(valid, log.count + jnp.cumsum(valid) - 1, len(log.y))
    put = lambda leaf, new: leaf.at[place].set(new, mode="drop")
    weight = put(log.weight, jnp.ones(len(place), log.weight.dtype))
    count = log.count + jnp.sum(valid, dtype=jnp.int32)
    return PairLog(put(log.pairs, pairs), put(log.y, y.astype(jnp.int32)), weight, count)


def training_pairs(log: PairLog, items: Items) -> Data:
    """What `fit` sees: inputs ``[L, 2, ...]``, answers, and weights."""
    return Data(pair_inputs(items.x, log.pairs), log.y, log.weight)
