"""What the loaders of backbones return."""

from typing import Any, NamedTuple

from flax import linen

from bal.typing import PyTree


class Source(NamedTuple):
    """Where weights come from, in strings that a manifest keeps.

    name: of the model, as "all-MiniLM-L6-v2".
    revision: version of the package or file, "" where nothing tells it.
    sha256: of the file of weights, "" of random ones.
    preprocessing: what is done to a row before the network, in words.
    """

    name: str
    revision: str
    sha256: str
    preprocessing: str


class TextEncoder(NamedTuple):
    """Sentences -> hidden states.

    module: pure, called as ``module.apply(variables, tokens, mask) -> hidden [n, T, D]``.
    variables: ``{"params": ...}``; adapters add collections beside it.
    tokenizer: with ``encode_batch``, each result with ``ids``; made by `bal.backbones.open_tokenizer`.
    source: what a manifest says of it.
    """

    module: linen.Module
    variables: PyTree
    tokenizer: Any
    source: Source


class ImageEncoder(NamedTuple):
    """Images -> features.

    module: pure, called as ``module.apply(variables, images) -> features [n, F]``.
    variables: ``{"params": ...}``, and running statistics where there are some.
    size: height and width that images are brought to.
    source: what a manifest says of it.
    """

    module: linen.Module
    variables: PyTree
    size: int
    source: Source


class LanguageModel(NamedTuple):
    """Tokens -> scores of the next one.

    module: pure, called as ``module.apply(variables, tokens, mask) -> logits [n, T, V]``.
    variables: ``{"params": ...}``; adapters add collections beside it.
    tokenizer: as that of a `TextEncoder`, with ``decode``.
    source: what a manifest says of it.
    """

    module: linen.Module
    variables: PyTree
    tokenizer: Any
    source: Source
