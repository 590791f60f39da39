"""Tiny networks of the same architectures with random weights: they know nothing, and cost nothing."""

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.backbones.bert import Bert, BertConfig
from bal.backbones.efficientnet import TINY, EfficientNet
from bal.backbones.images import preprocessing
from bal.backbones.nouns import ImageEncoder, Source, TextEncoder
from bal.typing import PRNGKey, PyTree

TINY_BERT = BertConfig(vocabulary=50, width=16, num_layers=2, num_heads=2, feed=32, positions=512)


class Encoded(NamedTuple):
    """What a tokenizer makes of a sentence: numbers, and the word that each belongs to, None at both ends."""

    ids: list[int]
    word_ids: list[int | None]


class HashTokenizer(NamedTuple):
    """A stand-in for a tokenizer: words cut into pieces of 8 letters, each numbered by its checksum.

    0 is padding, 1 the beginning and 2 the end of a sentence. It has those methods of the library tokenizers that this
    package calls.
    """

    vocabulary: int = 50

    def encode(self, sentence: str | Sequence[str], is_pretokenized: bool = False) -> Encoded:
        """A sentence, or its words."""
        words = sentence if is_pretokenized else re.findall(r"\w+|[^\w\s]", str(sentence))
        pieces = [(number, piece) for number, word in enumerate(words) for piece in re.findall(r".{1,8}", word.lower())]
        ids = [3 + zlib.crc32(piece.encode()) % (self.vocabulary - 3) for _, piece in pieces]
        return Encoded([1, *ids, 2], [None, *(number for number, _ in pieces), None])

    def encode_batch(self, sentences: Sequence[Any], is_pretokenized: bool = False) -> list[Encoded]:
        """Many sentences."""
        return [self.encode(one, is_pretokenized) for one in sentences]

    def decode(self, ids: Sequence[int]) -> str:
        """Numbers, since words cannot be had from them."""
        return " ".join(f"<{number}>" for number in ids)

    def get_vocab_size(self) -> int:
        """How many tokens there are."""
        return self.vocabulary


def tiny_text_encoder(key: PRNGKey) -> TextEncoder:
    """A BERT of 2 layers and 16 units with random weights, and a tokenizer that numbers words by their checksum.

    Use it when a program for `minilm` is to be tried in no time; its features mean nothing.

    >>> tiny_text_encoder(jax.random.key(0)).source.name
    'tiny BERT with random weights'
    """
    module = Bert(TINY_BERT)
    tokens = jnp.zeros((1, 1), jnp.int32)
    variables = random_variables(key, jax.eval_shape(module.init, key, tokens, tokens == 0))
    source = Source("tiny BERT with random weights", "", "", "words by their checksum; states averaged over tokens")
    return TextEncoder(module, variables, HashTokenizer(TINY_BERT.vocabulary), source)


def tiny_image_encoder(key: PRNGKey) -> ImageEncoder:
    """An EfficientNet-Lite of three blocks with random weights: 16 features of images of 32 x 32 pixels.

    Use it when a program for `efficientnet_lite0` is to be tried in no time; its features are those of random filters.

    >>> tiny_image_encoder(jax.random.key(0)).source.name
    'tiny EfficientNet with random weights'
    """
    module, size = EfficientNet(TINY), 32
    shapes = jax.eval_shape(lambda key: module.init(key, jnp.zeros((1, size, size, 3)), method="logits"), key)
    statistic = lambda path, leaf: jnp.full(leaf.shape, float(path[-1].key == "var"))
    statistics = jax.tree_util.tree_map_with_path(statistic, shapes["batch_stats"])
    variables = {"params": random_variables(key, shapes["params"]), "batch_stats": statistics}
    source = Source("tiny EfficientNet with random weights", "", "", preprocessing(size))
    return ImageEncoder(module, variables, size, source)


def random_variables(key: PRNGKey, shapes: PyTree) -> PyTree:
    """Random numbers in these shapes: matrices that keep a variance, scales of 1, biases of 0.

    >>> shapes = {"norm": {"scale": jax.ShapeDtypeStruct((2,), float)}}
    >>> random_variables(jax.random.key(0), shapes)["norm"]["scale"].tolist()
    [1.0, 1.0]
    """
    draw = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def leaf(path: Any, shape: Any) -> jax.Array:
        name = path[-1].key
        if name in ("scale", "bias"):
            return jnp.full(shape.shape, float(name == "scale"), jnp.float32)
        fan = math.prod(shape.shape[:-1]) if name == "kernel" else 1
        return jnp.asarray(draw.normal(0, fan**-0.5, shape.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
