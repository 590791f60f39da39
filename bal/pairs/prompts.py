"""BAL-PM: information of a comparison, and how much its prompt adds to the entropy of the prompts asked so far."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import digamma
from jaxtyping import Array, Float, Int

from bal.learners.settings import check_count, check_factor
from bal.method import method
from bal.numerics import dot, in_chunks, rounding_error, smallest
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.greedy import PairRule, greedy_pairs
from bal.pairs.information import information_rule
from bal.pairs.nouns import PairQuery, PairRound
from bal.pairs.rewards import RANK
from bal.typing import PADDING, PRNGKey, PyTree

CHUNK = 64
"""Prompts whose distances to all others are found together."""


class Covered(NamedTuple):
    """inner: state of the rule of information. near: acquired pairs whose prompt is within the radius of each prompt;
    term: what a prompt adds to the score."""

    inner: PyTree
    near: Float[Array, "G"]
    term: Float[Array, "G"]


@method
def bal_pm(
    beta: float = 0.1, neighbors: int = 13, comparison: Comparison = bradley_terry, rank: int = RANK
) -> PairQuery:
    """Greedily the pair of most ``I(y; θ) + β h(prompt)``: BALD, and a term for the entropy of acquired prompts.

    (L) Reconstructed from the paper's abstract and from memory of its text; the form of h, the defaults and that the
    best pair is taken rather than drawn are ours. ``h(x) = P log(2 ε_x) - ψ(n_x + 1)`` is the term of prompt x in the
    entropy estimate of Kraskov, Stögbauer and Grassberger: ε_x is the distance to its k-th nearest prompt of the pool,
    P the number of features of a prompt, n_x the number of pairs asked before, in this batch too, whose prompt is
    nearer than ε_x. So prompts of rare kinds come first, and each pick takes from those around it. h is not bounded; β
    weighs it against at most log 2 nats of information.

    Needs `Items` with group and prompt; equal prompts have ``ε = 0`` and come last.

    Args:
      beta: weight of the entropy; 0 = `pair_bald`.
      neighbors: k.
      comparison, rank: as of `pair_bald`.

    Raises:
      ValueError: a negative beta or no neighbors; when traced, items without prompts, or no more prompts than
        neighbors.

    >>> bal_pm(beta=0.5).made.settings["neighbors"]
    13

    Melo, Tigas, Abate and Gal 2024, "Deep Bayesian Active Learning for Preference Modeling in Large Language Models".
    """
    check_factor("beta", beta)
    check_count("neighbors", neighbors)
    check_count("rank", rank)
    check_comparison(comparison)

    def rule(key: PRNGKey, round: PairRound) -> PairRule:
        group, prompt = round.items.group, round.items.prompt
        if group is None or prompt is None:
            raise ValueError("bal_pm needs to know what items answer; give Items(x, group=..., prompt=...)")
        if len(prompt) <= neighbors:
            raise ValueError(f"bal_pm looks at {neighbors} neighbors of a prompt, but there are {len(prompt)} prompts")
        inner = information_rule(key, round, comparison, rank)
        radius = nearest_distance(prompt, neighbors)
        log_width = prompt.shape[1] * jnp.log(2 * radius)
        lowest = jnp.finfo(prompt.dtype).min / (8 * max(beta, 1.0))
        log_width = jnp.where(radius > 0, log_width, lowest)

        def adds(number: Int[Array, "m"]) -> Float[Array, "G"]:
            """How many of some prompts lie within the radius of each, padding with none."""
            real = number < len(prompt)
            within = _distances(prompt, prompt[jnp.minimum(number, len(prompt) - 1)]) < radius[:, None]
            return jnp.sum(within & real[None], 1).astype(prompt.dtype)

        def covered(inner: PyTree, near: Float[Array, "G"]) -> Covered:
            return Covered(inner, near, beta * (log_width - digamma(near + 1)))

        first = round.log.pairs[:, 0]
        past = adds(jnp.where(first == PADDING, PADDING, group[jnp.minimum(first, len(group) - 1)]))
        score = lambda state, rows: inner.score(state.inner, rows) + state.term[group[rows]][:, None]
        gain = lambda state, a, b: inner.gain(state.inner, a, b) + state.term[group[a]]
        update = lambda state, a, b: covered(inner.update(state.inner, a, b), state.near + adds(group[a][None]))
        return PairRule(covered(inner.state, past), inner.size, score, gain, update, inner.numbers)

    return greedy_pairs(rule)


def nearest_distance(prompt: Float[Array, "G P"], neighbors: int) -> Float[Array, "G"]:
    """Distance to the k-th nearest other row.

    >>> nearest_distance(jnp.array([[0.0], [1.0], [5.0]]), 1).tolist()
    [1.0, 1.0, 4.0]
    """

    def chunk(some: tuple[Array, Array]) -> Float[Array, "c"]:
        rows, number = some
        apart = _distances(rows, prompt)
        apart = jnp.where(number[:, None] == jnp.arange(len(prompt))[None], jnp.inf, apart)
        return smallest(apart, neighbors)[0][:, -1]

    return in_chunks(chunk, (prompt, jnp.arange(len(prompt))), CHUNK)


def _distances(one: Float[Array, "n P"], other: Float[Array, "m P"]) -> Float[Array, "n m"]:
    """Distances; what is rounding of large coordinates counts as 0."""
    left, right = jnp.sum(one**2, 1)[:, None], jnp.sum(other**2, 1)[None]
    squared = left + right - 2 * dot(one, other.T)
    return jnp.sqrt(jnp.where(squared <= rounding_error(left + right), 0.0, squared))
