"""A tagger: a head of one layer, with or without a chain, on the states that a frozen encoder has for words."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_rate, named
from bal.learners.training import train
from bal.method import method
from bal.numerics import dot
from bal.tagging.crf import PADDED, Chain, log_marginals, log_partition, sequence_score, viterbi
from bal.typing import Data, Learner, PRNGKey, PyTree, Tags


class Sentences(NamedTuple):
    """Rows of a pool of sentences, padded to T words: what an encoder says of them, computed once.

    states: of each word, in any floating type (float16 halves the memory). mask: which places hold a word; words first.
    drawn: states under K dropout masks of the encoder itself, for draws with dropout in all layers; else None.
    """

    states: Float[Any, "N T D"]
    mask: Bool[Any, "N T"]
    drawn: Float[Any, "N K T D"] | None = None


class Head(NamedTuple):
    """What is learned: one layer, and how tags follow one another (None: they do not)."""

    kernel: Float[Array, "D C"]
    bias: Float[Array, "C"]
    chain: Chain | None


class TaggerState(NamedTuple):
    """The head, and for each posterior draw what multiplies the states: its dropout mask ``[K, D]``."""

    head: Head
    masks: Float[Array, "K D"]


@method
def tagger(
    num_tags: int,
    num_draws: int = 10,
    *,
    rate: float = 0.1,
    chained: bool = False,
    masks: Float[np.ndarray, "K D"] | None = None,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 32,
    restart: Restart = cold,
) -> Learner:
    """A tagger on cached states of words: dropout, one layer, and a softmax or a chain: `Tags`.

    ``logits_t = (m ∘ states_t) W + b`` with m a dropout mask; the loss of a sentence is the sum over its words of the
    cross entropy, or with a chain the negative log likelihood of all its tags. In training a sentence has one mask for
    all its words (locked dropout). The K masks of the posterior are drawn in `fit`, the same for all sentences: so
    draws cost one product of the states with K layers, and the encoder none. Where sentences have states `drawn` under
    dropout of the encoder, draw k is the k-th of them under the k-th mask: dropout in all layers.

    Use it for named entities and parts of speech with few labels; with `mnlp`, `mean_over_words(bald)` and the like.
    Rows are `Sentences`, labels ``[n, T]`` tag numbers with -1 in places without a word, predictions `Tags`: marginals
    of each word under each draw, and the likeliest tags without dropout. `embed` gives the mean state of the words.

    Args:
      num_tags: C.
      num_draws: K; 1 at a rate of 0 for a tagger without draws.
      rate: share of the states that a mask drops.
      chained: True = a linear-chain conditional random field, whose tags depend on their neighbors.
      masks: of the posterior draws, in place of random ones: those of `bal.tagging.dpp_masks`, say.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and sentences of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.

    Raises:
      ValueError: a setting out of range; masks that are not one a draw, of the width of the states; as many `drawn`
        states as there are no draws; labels of another shape than the words.
      TypeError: a setting of the wrong kind; rows that are no `Sentences`.

    >>> learner = tagger(3, num_draws=2, num_steps=5)
    >>> x = Sentences(jnp.ones((4, 6, 8)), jnp.ones((4, 6), bool))
    >>> data, key = Data(x, jnp.zeros((4, 6), jnp.int32), jnp.ones(4)), jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), x)).log_probs.shape
    (4, 2, 6, 3)

    Shelmanov et al. 2021, "Active Learning for Sequence Tagging with Deep Pre-trained Models and Bayesian Uncertainty
    Estimates", which also trains the encoder; Gal and Ghahramani 2016, of one mask for all words.
    """
    check_count("num_tags", num_tags)
    check_count("num_draws", num_draws)
    check_count("num_steps", num_steps, least=0)
    check_count("minibatch_size", minibatch_size)
    check_rate(rate)
    if masks is not None and (np.ndim(masks) != 2 or len(masks) != num_draws):
        raise ValueError(f"expected one mask a draw, [{num_draws}, D], got masks of shape {np.shape(masks)}")
    if masks is not None and not np.isfinite(masks).all():
        raise ValueError("expected masks of finite numbers, got NaN or infinity; draw them anew")
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    def init(key: PRNGKey, data: Data) -> TaggerState:
        check_sentences(data.x, num_draws)
        width, dtype = data.x.states.shape[-1], jnp.result_type(float)
        if masks is not None and masks.shape[1] != width:
            raise ValueError(f"expected masks as wide as the states, {width}, got {masks.shape[1]}; draw them anew")
        key_kernel, key_masks = jax.random.split(key)
        kernel = 0.02 * jax.random.normal(key_kernel, (width, num_tags), dtype)  # as in BERT
        zeros = jnp.zeros(num_tags, dtype)
        chain = Chain(zeros, jnp.zeros((num_tags, num_tags), dtype), zeros) if chained else None
        drawn = _dropped(key_masks, (num_draws, width), rate, dtype) if masks is None else jnp.asarray(masks, dtype)
        return TaggerState(Head(kernel, zeros, chain), drawn)

    def loss(head: Head, x: Sentences, y: Array, key: PRNGKey) -> tuple[Float[Array, "n"], None]:
        dropped = _dropped(key, (len(x.states), 1, x.states.shape[-1]), rate, head.kernel.dtype)
        return negative_log_likelihood(head, emissions(head, x.states * dropped), y, x.mask), None

    def fit(key: PRNGKey, state: TaggerState, data: Data) -> TaggerState:
        if jnp.shape(data.y)[1:] != data.x.mask.shape[1:]:
            raise ValueError(
                f"expected tags of {data.x.mask.shape[1]} words a sentence, got labels of shape {jnp.shape(data.y)}; "
                "pad them with -1"
            )
        key_init, key_train = jax.random.split(key)
        fresh = init(key_init, data)
        head = train(
            loss, optimizer, key_train, restart(state.head, fresh.head), data._replace(x=data.x._replace(drawn=None)),
            num_steps, minibatch_size,
        )  # fmt: skip
        return TaggerState(head, fresh.masks)

    def predict(state: TaggerState, x: Sentences) -> Tags:
        check_sentences(x, num_draws)
        head, mask = state.head, jnp.asarray(x.mask)
        layers = state.masks[:, :, None] * head.kernel[None]
        states = x.states if x.drawn is None else x.drawn
        form = "ntd,kdc->nktc" if x.drawn is None else "nktd,kdc->nktc"
        states = jnp.asarray(states, layers.dtype)
        drawn = jnp.einsum(form, states, layers, precision="highest") + head.bias[None, None, None]
        plain = emissions(head, x.states)
        if head.chain is None:
            best = jnp.where(mask, plain.argmax(-1), PADDED).astype(jnp.int32)
            return Tags(jax.nn.log_softmax(drawn, -1), mask, best)
        score, best = viterbi(plain, head.chain, mask)
        marginals = jax.vmap(log_marginals, (1, None, None), 1)(drawn, head.chain, mask)
        return Tags(marginals, mask, best, score - log_partition(plain, head.chain, mask))

    def embed(state: TaggerState, x: Sentences) -> Float[Array, "N 1 D"]:
        weight = jnp.asarray(x.mask, state.head.kernel.dtype)
        total = jnp.einsum("nt,ntd->nd", weight, jnp.asarray(x.states, weight.dtype))
        return (total / jnp.maximum(weight.sum(1, keepdims=True), 1.0))[:, None]

    return Learner(init, fit, predict, embed)


def emissions(head: Head, states: Float[Any, "n T D"]) -> Float[Array, "n T C"]:
    """Logits of the tags of each word."""
    return dot(jnp.asarray(states, head.kernel.dtype), head.kernel) + head.bias[None, None]


def negative_log_likelihood(
    head: Head, logits: Float[Array, "n T C"], tags: Int[Array, "n T"] | Float[Array, "n T"], mask: Bool[Array, "n T"]
) -> Float[Array, "n"]:
    """The loss of each sentence: the sum over its words where they are independent, else of the whole sequence.

    Words whose tag is `PADDED` teach nothing; a chain learns of the words before the first such.
    """
    tags = tags.astype(jnp.int32)
    told = mask & (tags >= 0)
    if head.chain is None:
        each = optax.losses.softmax_cross_entropy_with_integer_labels(logits, jnp.clip(tags, 0))
        return jnp.where(told, each, 0.0).sum(1)
    told = jnp.cumprod(told, 1).astype(bool)
    return log_partition(logits, head.chain, told) - sequence_score(logits, head.chain, tags, told)


def check_sentences(x: PyTree, num_draws: int) -> None:
    """Refuse rows of another kind or shape."""
    if not isinstance(x, Sentences):
        raise TypeError(
            f"a tagger needs rows that are Sentences(states, mask), got {named(x)}; see bal.tagging.encoded"
        )
    if len(x.states.shape) != 3 or tuple(x.mask.shape) != tuple(x.states.shape[:2]):
        raise ValueError(
            f"expected states [n, T, D] and a mask [n, T] of their words, got shapes {x.states.shape}, {x.mask.shape}"
        )
    if x.drawn is not None and x.drawn.shape[1] != num_draws:
        raise ValueError(
            f"expected one set of drawn states a draw, {num_draws}, got {x.drawn.shape[1]}; give num_draws as many"
        )


def _dropped(key: PRNGKey, shape: tuple[int, ...], rate: float, dtype: Any) -> Array:
    """Dropout as a factor: 0 for what is dropped, else so large that the mean is 1."""
    return jax.random.bernoulli(key, 1 - rate, shape).astype(dtype) / (1 - rate)
