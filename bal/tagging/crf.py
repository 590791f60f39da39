"""The linear-chain conditional random field: tags of a sentence that depend on one another, by scans over its words.

A sequence of tags y has the score ``start[y_1] + Σ_t emissions[t, y_t] + Σ_t moves[y_{t-1}, y_t] + end[y_n]`` and
``p(y | x) = exp(score - log Z)``. Words of a sentence come first and padding after them; padding changes nothing. A row
of padding alone has one sequence, the empty one, of score 0.

Lafferty, McCallum and Pereira 2001, "Conditional Random Fields"; Rabiner 1989, "A Tutorial on Hidden Markov Models", of
the recursions.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

PADDED = -1
"""The tag of a place that holds no word."""


class Chain(NamedTuple):
    """Scores of tags beside what a word says: of the first, of tag j after tag i, of the last."""

    start: Float[Array, "C"]
    moves: Float[Array, "C C"]
    end: Float[Array, "C"]


def sequence_score(
    emissions: Float[Array, "n T C"], chain: Chain, tags: Int[Array, "n T"], mask: Bool[Array, "n T"]
) -> Float[Array, "n"]:
    """Score of one sequence of tags a sentence, not normalized; tags of padding are not read.

    Use it less `log_partition` as the log likelihood of a labeled sentence.

    >>> chain = Chain(jnp.zeros(2), jnp.array([[0.0, 5.0], [0.0, 0.0]]), jnp.zeros(2))
    >>> sequence_score(jnp.ones((1, 3, 2)), chain, jnp.array([[0, 1, PADDED]]), jnp.array([[True, True, False]])).item()
    7.0
    """
    tags = jnp.clip(tags, 0)
    words = jnp.take_along_axis(emissions, tags[..., None], -1)[..., 0]
    moves = chain.moves[tags[:, :-1], tags[:, 1:]]
    last = jnp.take_along_axis(tags, jnp.maximum(mask.sum(1, keepdims=True) - 1, 0), 1)[:, 0]
    inside = jnp.where(mask, words, 0.0).sum(1) + jnp.where(mask[:, 1:], moves, 0.0).sum(1)
    return jnp.where(mask.any(1), inside + chain.start[tags[:, 0]] + chain.end[last], 0.0)


def log_partition(emissions: Float[Array, "n T C"], chain: Chain, mask: Bool[Array, "n T"]) -> Float[Array, "n"]:
    """``log Z``, the log of the sum over all sequences of the exponential of their scores, in ``O(n T C²)``.

    Its gradient in the emissions are the marginals, in the moves the expected counts of moves.

    >>> chain = Chain(jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros(2))
    >>> round(log_partition(jnp.zeros((1, 3, 2)), chain, jnp.ones((1, 3), bool)).item(), 4)  # eight sequences
    2.0794
    """
    last = _forward(emissions, chain, mask)[-1]
    return jnp.where(mask.any(1), jax.nn.logsumexp(last + chain.end[None], -1), 0.0)


def log_marginals(emissions: Float[Array, "n T C"], chain: Chain, mask: Bool[Array, "n T"]) -> Float[Array, "n T C"]:
    """Log probability of each tag of each word, ``log p(y_t = c | x)``, by forward and backward recursions.

    Padding has uniform ones. With moves, start and end of zero they are the log softmax of the emissions.

    >>> chain = Chain(jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros(2))
    >>> jnp.exp(log_marginals(jnp.zeros((1, 2, 2)), chain, jnp.ones((1, 2), bool))).tolist()
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    forward, backward = _forward(emissions, chain, mask), _backward(emissions, chain, mask)
    both = jax.nn.log_softmax((forward + backward).swapaxes(0, 1), -1)
    return jnp.where(mask[..., None], both, -jnp.log(emissions.shape[-1]))


def viterbi(
    emissions: Float[Array, "n T C"], chain: Chain, mask: Bool[Array, "n T"]
) -> tuple[Float[Array, "n"], Int[Array, "n T"]]:
    """The likeliest sequence of tags of each sentence and its score; ties go to the lowest tag from the end on.

    Returns:
      Scores ``[n]``, and tags ``[n, T]`` with `PADDED` in places without a word.

    >>> chain = Chain(jnp.zeros(2), jnp.array([[0.0, -9.0], [-9.0, 0.0]]), jnp.zeros(2))  # moves are dear
    >>> emissions = jnp.array([[[2.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    >>> score, tags = viterbi(emissions, chain, jnp.array([[True, True, False]]))
    >>> score.item(), tags.tolist()
    (2.0, [[0, 0, -1]])
    """

    def step(best: Array, inputs: tuple) -> tuple[Array, Array]:
        word, real = inputs
        through = best[:, :, None] + chain.moves[None]
        here = through.max(1) + word
        stay = jnp.arange(best.shape[1])[None]
        return jnp.where(real[:, None], here, best), jnp.where(real[:, None], through.argmax(1), stay)

    words, real = emissions.swapaxes(0, 1), mask.T
    best, before = jax.lax.scan(step, chain.start[None] + words[0], (words[1:], real[1:]))
    final = best + chain.end[None]

    def back(tag: Array, before: Array) -> tuple[Array, Array]:
        earlier = jnp.take_along_axis(before, tag[:, None], 1)[:, 0]
        return earlier, earlier

    last = final.argmax(1)
    _, earlier = jax.lax.scan(back, last, before, reverse=True)
    tags = jnp.concatenate([earlier, last[None]]).T
    # behind its end a sentence keeps its last tag, so that the walk back begins at the right one
    return jnp.where(mask.any(1), final.max(1), 0.0), jnp.where(mask, tags, PADDED).astype(jnp.int32)


def _forward(emissions: Float[Array, "n T C"], chain: Chain, mask: Bool[Array, "n T"]) -> Float[Array, "T n C"]:
    """Log of the summed exponential scores of all beginnings that end in each tag at each word."""

    def step(before: Array, inputs: tuple) -> tuple[Array, Array]:
        word, real = inputs
        here = jax.nn.logsumexp(before[:, :, None] + chain.moves[None], 1) + word
        here = jnp.where(real[:, None], here, before)
        return here, here

    words = emissions.swapaxes(0, 1)
    first = chain.start[None] + words[0]
    _, rest = jax.lax.scan(step, first, (words[1:], mask.T[1:]))
    return jnp.concatenate([first[None], rest])


def _backward(emissions: Float[Array, "n T C"], chain: Chain, mask: Bool[Array, "n T"]) -> Float[Array, "T n C"]:
    """Log of the summed exponential scores of all that may follow each tag at each word, and of the end."""

    def step(after: Array, inputs: tuple) -> tuple[Array, Array]:
        word, real = inputs
        here = jax.nn.logsumexp((after + word)[:, None, :] + chain.moves[None], 2)
        here = jnp.where(real[:, None], here, after)
        return here, here

    words = emissions.swapaxes(0, 1)
    last = jnp.broadcast_to(chain.end, words[0].shape)
    _, rest = jax.lax.scan(step, last, (words[1:], mask.T[1:]), reverse=True)
    return jnp.concatenate([rest, last[None]])
