"""Sentences as rows of token numbers: the door of tokenizers, and nothing cut off in silence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from bal.backbones.libraries import library
from bal.backbones.nouns import TextEncoder


class Tokens(NamedTuple):
    """Sentences of one length: `tokens` of a row count where its `mask` holds, which is on the left."""

    tokens: Int[np.ndarray, "n T"]
    mask: Bool[np.ndarray, "n T"]


def open_tokenizer(path: str | Path, vocabulary: int) -> Any:
    """A tokenizer of the library tokenizers, which neither pads nor cuts.

    Args:
      path: of its tokenizer.json.
      vocabulary: rows of the table of words that its numbers point into.

    Raises:
      ImportError: tokenizers is not installed.
      ValueError: there is no such file, it cannot be read, or has more tokens than the table.
    """
    path, open_file = Path(path), library("tokenizers").Tokenizer.from_file
    if not path.is_file():
        raise ValueError(f"expected a tokenizer at {path}, where no file is; fetch tokenizer.json with the weights")
    try:
        tokenizer = open_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"{path} is not a readable tokenizer.json ({error}); fetch it again") from None
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= vocabulary:
        raise ValueError(
            f"expected a tokenizer of at most {vocabulary} tokens, as many as the model has words, but {path} numbers "
            f"them up to {largest}; take the one that belongs to the model"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def token_rows(encoder: TextEncoder, sentences: Sequence | np.ndarray, truncate: int | None = None) -> list[list[int]]:
    """The token numbers of every sentence, those at its beginning and end included.

    Args:
      encoder: with its tokenizer.
      sentences: texts.
      truncate: tokens that are kept of a longer sentence: the first ones and the last, which marks the end. None =
        such a sentence is an error.

    Raises:
      TypeError: one string, what is no string, or an encoder of something else.
      ValueError: a sentence with more tokens than the model has positions for.
    """
    if not isinstance(encoder, TextEncoder):
        raise TypeError(f"expected an encoder of text, as minilm() returns, got {type(encoder).__name__}; take one")
    sentences = sentences if isinstance(sentences, str) else list(sentences)
    if isinstance(sentences, str) or not all(isinstance(one, str) for one in sentences):
        odd = sentences if isinstance(sentences, str) else next(one for one in sentences if not isinstance(one, str))
        raise TypeError(f"expected a list of sentences, each a string, got {odd!r}; put strings into a list")
    longest = encoder.module.config.longest  # type: ignore[attr-defined]
    if truncate is not None and not (isinstance(truncate, int | np.integer) and 2 <= truncate <= longest):
        raise ValueError(f"expected truncate from 2 to {longest}, the most tokens of this model, got {truncate}")
    rows = [list(one.ids) for one in encoder.tokenizer.encode_batch([str(one) for one in sentences])]
    for number, row in enumerate(rows):
        if truncate is not None and len(row) > truncate:
            rows[number] = [*row[: truncate - 1], row[-1]]
        elif len(row) > longest:
            raise ValueError(
                f"sentence {number} has {len(row)} tokens, but {encoder.source.name} takes at most {longest}; shorten "
                f"it, or pass truncate={longest} to cut what is longer"
            )
    return rows


def padded(rows: Sequence[Sequence[int]], length: int | None = None, num_rows: int | None = None) -> Tokens:
    """Rows of token numbers brought to one length, by default that of the longest, with empty rows below if asked.

    >>> padded([[5, 6], [7]]).mask.tolist()
    [[True, True], [True, False]]
    """
    length = max(map(len, rows), default=0) if length is None else length
    tokens = np.zeros((len(rows) if num_rows is None else num_rows, length), np.int32)
    mask = np.zeros(tokens.shape, bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
        mask[number, : len(row)] = True
    return Tokens(tokens, mask)


def tokenize(
    encoder: TextEncoder, sentences: Sequence | np.ndarray, length: int | None = None, truncate: int | None = None
) -> Tokens:
    """Sentences as `Tokens`.

    Use it when sentences are the rows of a pool, whose shapes never change; `sentence_features` needs it not.

    Args:
      encoder: with its tokenizer.
      sentences: texts.
      length: of all rows; by default the number of tokens of the longest.
      truncate: as in `token_rows`.

    Raises:
      TypeError: one string, or what is no string.
      ValueError: a sentence longer than the model or than `length`.

    >>> import jax
    >>> from bal.backbones import tiny_text_encoder
    >>> tokenize(tiny_text_encoder(jax.random.key(0)), ["one two", "three"]).tokens.shape
    (2, 4)
    """
    rows = token_rows(encoder, sentences, truncate)
    most = max(map(len, rows), default=0)
    if length is not None and most > length:
        raise ValueError(f"expected sentences of at most {length} tokens, got one of {most}; pass truncate={length}")
    return padded(rows, length)
