"""The tokenizer that lies in a GGUF file: merges of pairs of bytes, within words and single digits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bal.backbones.libraries import library

SPLITS_DIGITS = {"gpt-2": False, "smollm": True}
CONTROL = 3
"""The type of tokens that no text is cut into, such as the end of a turn."""


def byte_pairs(
    tokens: Sequence[str], merges: Sequence[tuple[str, str]], special: Sequence[str] = (), split_digits: bool = True
) -> Any:
    """A `tokenizers.Tokenizer` of byte pairs: text -> words by GPT-2's pattern -> bytes -> tokens by the merges.

    Use it when a vocabulary and merges are at hand as lists; `llama_model` does it by itself.

    Args:
      tokens: by their number, bytes in GPT-2's letters.
      merges: pairs in their order.
      special: tokens that are found as a whole, wherever they stand.
      split_digits: True = each digit is a word, as SmolLM has it.

    Raises:
      ImportError: tokenizers is not installed.
      ValueError: a merge that makes no token.

    Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; Radford et al. 2019.
    """
    made_of = library("tokenizers")
    numbers = {token: number for number, token in enumerate(tokens)}
    try:
        made, cut = made_of.Tokenizer(made_of.models.BPE(vocab=numbers, merges=list(merges))), made_of.pre_tokenizers
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"expected merges that make tokens of the list ({error}); fetch the model again") from None
    words, digits = cut.ByteLevel(add_prefix_space=False, use_regex=True), cut.Digits(individual_digits=True)
    made.pre_tokenizer = cut.Sequence([digits, words] if split_digits else [words])
    made.decoder = made_of.decoders.ByteLevel()
    made.add_special_tokens([made_of.AddedToken(token, special=True, normalized=False) for token in special])
    return made


def tokenizer_of(said: Mapping[str, Any], vocabulary: int, path: str | Path) -> Any:
    """The tokenizer of what a GGUF file says of itself.

    Raises:
      ValueError: of another kind, or of another size than the embedding of the model.
    """
    kind, words = (said.get(f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    if kind != "gpt2" or words not in SPLITS_DIGITS:
        known = ", ".join(SPLITS_DIGITS)
        raise ValueError(
            f"{path} has a tokenizer of kind {kind!r} that cuts words as {words!r}, expected 'gpt2' and "
            f"one of {known}; use a model of those"
        )
    tokens, types = said["tokenizer.ggml.tokens"], said.get("tokenizer.ggml.token_type", ())
    if len(tokens) != vocabulary:
        raise ValueError(
            f"{path} has a tokenizer of {len(tokens)} tokens and an embedding of {vocabulary}, which belong to two "
            "models; fetch or convert it again"
        )
    pairs = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    special = [token for token, type_ in zip(tokens, types, strict=False) if type_ == CONTROL]
    return byte_pairs(tokens, pairs, special, SPLITS_DIGITS[words])
