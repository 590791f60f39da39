"""What an encoder says of sentences: batches of like length, so that little is computed for padding."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from bal.backbones.bert import Bert, embedded, layered
from bal.backbones.nouns import TextEncoder
from bal.backbones.tokens import Tokens, padded, token_rows
from bal.learners.settings import check_count


def sentence_features(
    encoder: TextEncoder, sentences: Sequence | np.ndarray, batch_tokens: int = 2048, truncate: int | None = None
) -> Float[np.ndarray, "N D"]:
    """The mean of the states of every sentence's tokens.

    ``f = (1 / T) Σ_t h_t`` over the T tokens of the sentence, those at its beginning and end included. Sentences of
    like length go together, the longest first, so that a row depends on the others by rounding alone; a program is
    compiled for each of the lengths that occur, rounded up: about fifteen for messages and their like.

    Use it when a learner is to work on texts: a head on these features needs few labels. Divide a row by its norm for
    cosines.

    Args:
      encoder: as `minilm` gives it.
      sentences: texts, also an array of strings.
      batch_tokens: tokens of a batch, padding included.
      truncate: tokens that are kept of a longer sentence; None = a sentence longer than the model is an error.

    Raises:
      TypeError: one string, or what is no string.
      ValueError: a sentence with more tokens than the model has positions for.

    >>> from bal.backbones import tiny_text_encoder
    >>> sentence_features(tiny_text_encoder(jax.random.key(0)), ["a word", "and another one"]).shape
    (2, 16)

    Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks".
    """
    check_count("batch_tokens", batch_tokens)
    rows = token_rows(encoder, sentences, truncate)
    features = np.zeros((len(rows), encoder.module.config.width), np.float32)  # type: ignore[attr-defined]
    waiting: list[tuple[np.ndarray, Array]] = []
    for places, batch in batches(rows, batch_tokens):
        states = token_states(encoder, *batch)
        waiting.append((places, _mean(states, batch.mask)))
        if len(waiting) > 1:  # the next batch is on its way while this one is read
            _put(features, *waiting.pop(0))
    for places, means in waiting:
        _put(features, places, means)
    return features


def token_states(
    encoder: TextEncoder,
    tokens: Shaped[Array | np.ndarray, "n T *D"],
    mask: Bool[Array | np.ndarray, "n T"],
    start: int = 0,
    stop: int | None = None,
) -> Float[Array, "n T D"]:
    """The state of every token after layer number `stop`.

    Use it when the lower layers are frozen: their states are computed once, ``stop=m``, and what is trained above goes
    on from them, ``start=m``.

    Args:
      encoder: as `minilm` gives it.
      tokens: numbers ``[n, T]``, or states ``[n, T, D]`` that layers up to `start` have been through.
      mask: which tokens count, on the left.
      start: layers that lie behind the states.
      stop: layers that will; None = all.

    Raises:
      ValueError: numbers of tokens with a `start`, or a layer that is not there.

    >>> from bal.backbones import tiny_text_encoder, tokenize
    >>> encoder = tiny_text_encoder(jax.random.key(0))
    >>> tokens, mask = tokenize(encoder, ["a word", "and another one"])
    >>> below = token_states(encoder, tokens, mask, 0, 1)
    >>> bool((token_states(encoder, below, mask, 1) == token_states(encoder, tokens, mask)).all())
    True
    """
    num_layers = encoder.module.config.num_layers  # type: ignore[attr-defined]
    last = num_layers if stop is None else stop
    if not 0 <= start <= last <= num_layers:
        raise ValueError(f"expected 0 <= start <= stop <= {num_layers}, the layers of this model, got {start}, {last}")
    if tokens.ndim == 2 and start:
        raise ValueError(f"expected states [n, T, D] to start after layer {start}, got token numbers; start at 0")
    module: Bert = encoder.module  # type: ignore[assignment]
    states = embedded(module, encoder.variables, tokens) if tokens.ndim == 2 else tokens
    return layered(module, encoder.variables, states, mask, start, last)


def batches(rows: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[tuple[np.ndarray, Tokens]]:
    """Rows of like length together, the longest first: their places, and the rows with as many empty ones below as make
    the batch full.

    Lengths are `bucket`s; a batch of length T has ``batch_tokens // T`` rows, the last one a power of two if it is
    smaller.
    """
    order = np.argsort([-len(row) for row in rows], kind="stable")
    begin = 0
    while begin < len(order):
        length = bucket(len(rows[order[begin]]))
        full = max(batch_tokens // length, 1)
        places = order[begin : begin + full]
        num_rows = min(full, 1 << (len(places) - 1).bit_length())
        yield places, padded([rows[place] for place in places], length, num_rows)
        begin += full


def bucket(length: int) -> int:
    """The length that a sentence is padded to: multiples of 4, of 8 above 32, of 16 above 64, and so on.

    >>> [bucket(length) for length in (1, 14, 33, 65, 300)]
    [4, 16, 40, 80, 320]
    """
    step = max(4, 1 << max((length - 1).bit_length() - 3, 0))
    return -(-length // step) * step


@jax.jit
def _mean(states: Float[Array, "n T D"], mask: Bool[Array | np.ndarray, "n T"]) -> Float[Array, "n D"]:
    weight = mask / jnp.maximum(mask.sum(1, keepdims=True), 1)
    return jnp.einsum("ntd,nt->nd", states, weight, precision="highest")


def _put(features: np.ndarray, places: np.ndarray, means: Array) -> None:
    features[places] = np.asarray(means)[: len(places)]
