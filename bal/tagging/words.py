"""Sentences of words through an encoder of word pieces: the state of a word is that of its first piece."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Int

from bal.backbones.nouns import TextEncoder
from bal.backbones.sentences import batches
from bal.learners.settings import check_count, check_rate
from bal.tagging.crf import PADDED
from bal.tagging.tagger import Sentences
from bal.typing import PRNGKey, PyTree


def encoded(
    encoder: TextEncoder,
    sentences: Sequence[Sequence[str]],
    num_words: int | None = None,
    *,
    stop: int | None = None,
    draws: PRNGKey | None = None,
    num_draws: int = 10,
    rate: float = 0.1,
    batch_tokens: int = 4096,
    dtype: Any = np.float16,
) -> Sentences:
    """States of the words of sentences, as rows that `bal.tagging.tagger` takes; computed once, the encoder is frozen.

    A word that is cut into pieces has the state of its first piece, which carries its tag; a word of which the
    tokenizer leaves nothing has that of the beginning of the sentence. With `draws` the states under K dropout masks of
    the encoder come beside, one mask for all words of all sentences in a draw: K more passes, for dropout in all
    layers.

    Use it once a data set. N sentences of T words take ``2 N T D`` bytes in float16, and K times as many more with
    draws: 75 MB for 3,000 sentences of up to 32 words and 384 units.

    Args:
      encoder: as `bal.backbones.minilm` gives it.
      sentences: lists of words.
      num_words: T; the longest sentence by default.
      stop: layers that count, the first ones; None = all. A cheaper encoder for `with_successor`.
      draws: key of the masks; None = no draws.
      num_draws, rate: K, and the share of units that a mask drops.
      batch_tokens: pieces of a batch, padding included.
      dtype: of the states.

    Raises:
      TypeError: sentences that are strings: split them into words first.
      ValueError: no sentence, a sentence without words or with more than `num_words`, or with more pieces than the
        encoder has positions for; a layer that is not there.

    >>> from bal.backbones import tiny_text_encoder
    >>> x = encoded(tiny_text_encoder(jax.random.key(0)), [["two", "words"], ["one"]])
    >>> x.states.shape, x.mask.tolist()
    ((2, 2, 16), [[True, True], [True, False]])

    Devlin et al. 2019, "BERT", of first pieces; Shelmanov et al. 2021, of dropout in all layers.
    """
    check_count("num_draws", num_draws)
    check_rate(rate)
    num_words = _check_sentences(sentences, num_words)
    module: Any = encoder.module
    num_layers = module.config.num_layers
    if stop is not None and not 0 <= stop <= num_layers:
        raise ValueError(f"expected stop from 0 to {num_layers}, the layers of this encoder, got {stop}")
    rows, first = first_pieces(encoder, sentences)
    shape = len(sentences), num_words, module.config.width
    mask = np.arange(num_words) < np.array([len(one) for one in sentences])[:, None]
    states = np.zeros(shape, dtype)
    keys = () if draws is None else tuple(jax.random.split(draws, num_draws))
    drawn = np.zeros((shape[0], num_draws, *shape[1:]), dtype) if keys else None
    dropping = module.clone(rate=rate, shared=True)
    for places, (tokens, real) in batches(rows, batch_tokens):
        found = _states(module, encoder.variables, tokens, real, stop)
        _put(states, places, found, first)
        for number, key in enumerate(keys):
            assert drawn is not None
            _put(drawn[:, number], places, _states(dropping, encoder.variables, tokens, real, stop, key), first)
    return Sentences(states, mask, drawn)


def first_pieces(encoder: TextEncoder, sentences: Sequence[Sequence[str]]) -> tuple[list[list[int]], list[list[int]]]:
    """Pieces of every sentence, by number, and where among them the first piece of each word is.

    Raises:
      ValueError: a sentence with more pieces than the encoder has positions for.

    >>> from bal.backbones import tiny_text_encoder
    >>> first_pieces(tiny_text_encoder(jax.random.key(0)), [["extraordinarily", "short"]])[1]  # of two pieces and one
    [[1, 3]]
    """
    found: Any = encoder.tokenizer.encode_batch([list(one) for one in sentences], is_pretokenized=True)
    longest = encoder.module.config.longest  # type: ignore[attr-defined]
    rows, first = [], []
    for number, (one, sentence) in enumerate(zip(found, sentences, strict=True)):
        if len(one.ids) > longest:
            raise ValueError(
                f"sentence {number} has {len(one.ids)} pieces, but {encoder.source.name} takes at most {longest}; "
                "split it"
            )
        where = {word: place for place, word in reversed(list(enumerate(one.word_ids))) if word is not None}
        rows.append(list(one.ids))
        first.append([where.get(word, 0) for word in range(len(sentence))])
    return rows, first


def padded_tags(tags: Sequence[Sequence[int] | np.ndarray], num_words: int | None = None) -> Int[np.ndarray, "N T"]:
    """Tag numbers of sentences as labels of a task, with -1 behind the last word.

    Raises:
      ValueError: a sentence with more than `num_words` tags.
      TypeError: tags that are no whole numbers.

    >>> padded_tags([[3, 1], [2]]).tolist()
    [[3, 1], [2, -1]]
    """
    num_words = _check_sentences(tags, num_words)
    found = np.full((len(tags), num_words), PADDED, np.int32)
    for row, own in zip(found, tags, strict=True):
        if np.asarray(own).dtype.kind not in "iu":
            raise TypeError(f"expected tags by number, got {own[0]!r}; use names.index(tag)")
        row[: len(own)] = own
    return found


def _check_sentences(sentences: Sequence[Any], num_words: int | None) -> int:
    """T, the words of the longest sentence unless given."""
    if isinstance(sentences, str) or any(isinstance(one, str) for one in sentences):
        raise TypeError("expected sentences that are lists of words, got strings; split them into words first")
    lengths = [len(one) for one in sentences]
    if not lengths or not min(lengths):
        raise ValueError("expected sentences of at least 1 word, got none" + (" in one of them" if lengths else ""))
    num_words = max(lengths) if num_words is None else num_words
    if max(lengths) > num_words:
        raise ValueError(f"expected at most num_words={num_words} words a sentence, got {max(lengths)}; leave it out")
    return num_words


@partial(jax.jit, static_argnums=(0, 4))
def _states(
    module: linen.Module, variables: PyTree, tokens: Any, mask: Any, stop: int | None, key: PRNGKey | None = None
) -> Float[Array, "n P D"]:
    """States of pieces after layer number `stop`, under the dropout mask of a key."""

    def passed(own: Any) -> Array:
        return own.blocks(own.embed(tokens), mask, 0, own.config.num_layers if stop is None else stop)

    rngs = None if key is None else {"dropout": key}
    return module.apply(variables, method=passed, rngs=rngs)  # type: ignore[return-value]


def _put(states: np.ndarray, places: np.ndarray, found: Array, first: list[list[int]]) -> None:
    """The states of first pieces, into the rows of their sentences."""
    pieces = np.asarray(found)
    for row, place in enumerate(places):
        states[place, : len(first[place])] = pieces[row, first[place]]
