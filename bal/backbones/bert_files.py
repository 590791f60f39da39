"""Checkpoints of BERT, DistilBERT and RoBERTa as variables of `Bert`: their sizes, and what their arrays are called."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from bal.backbones.bert import BertConfig
from bal.backbones.checkpoints import Tensors
from bal.typing import PyTree

FAMILIES = {"bert": 0, "distilbert": 0, "roberta": 2, "camembert": 2, "xlm-roberta": 2}
"""What config.json calls them, and the row of the table of positions that is the first token's."""
ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
OURS = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_in": "intermediate.dense",
    "feed_out": "output.dense",
    "feed_norm": "output.LayerNorm",
}
"""Parts of a layer: in `Bert`, and in files of BERT and RoBERTa."""
DISTILLED = {
    "attention.q_lin": "attention.self.query",
    "attention.k_lin": "attention.self.key",
    "attention.v_lin": "attention.self.value",
    "attention.out_lin": "attention.output.dense",
    "sa_layer_norm": "attention.output.LayerNorm",
    "ffn.lin1": "intermediate.dense",
    "ffn.lin2": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
"""Parts of a layer: in files of DistilBERT, and in those of BERT."""


def plain(name: str) -> str:
    """The name of an array in files of BERT, without the prefix of a model that has heads, or its oldest endings.

    >>> plain("distilbert.transformer.layer.0.ffn.lin1.weight")
    'encoder.layer.0.intermediate.dense.weight'
    >>> plain("bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    name = re.sub(r"^(bert|roberta|distilbert)\.", "", name)
    name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
    found = re.fullmatch(r"transformer\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
    if found and found[2] in DISTILLED:
        return f"encoder.layer.{found[1]}.{DISTILLED[found[2]]}.{found[3]}"
    return name


def read_config(path: Path) -> BertConfig:
    """The sizes that a config.json tells.

    Raises:
      ValueError: it is not there, no JSON, lacks a size or has an odd one, or is of another architecture.
    """
    if not path.is_file():
        raise ValueError(f"expected config.json beside the weights, as {path}; it tells the sizes: fetch it with them")
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        family = said.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a readable config.json ({error}); fetch it again") from None
    activation = said.get("activation" if family == "distilbert" else "hidden_act", "gelu")
    kind = said.get("position_embedding_type", "absolute")
    checks = {"model_type": (family, family in FAMILIES), "activation": (activation, activation in ACTIVATIONS)}
    checks |= {"position_embedding_type": (kind, kind == "absolute")}
    checks |= {"is_decoder": (said.get("is_decoder", False), not said.get("is_decoder"))}
    odd = next((f"{name} {value!r}" for name, (value, is_good) in checks.items() if not is_good), None)
    if odd:
        raise ValueError(
            f"expected an encoder of {', '.join(FAMILIES)} with absolute positions and gelu or relu, but {path} says "
            f"{odd}; take one of these architectures"
        )
    names = ("dim", "n_layers", "n_heads", "hidden_dim")
    if family != "distilbert":
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    lacking = [
        name for name in ("vocab_size", "max_position_embeddings", *names) if not isinstance(said.get(name), int)
    ]
    if lacking:
        raise ValueError(f"{path} does not say {lacking[0]!r}, a whole number; fetch it again")
    width, num_layers, num_heads, feed = (said[name] for name in names)
    types, epsilon = said.get("type_vocab_size", 2), said.get("layer_norm_eps", 1e-12)
    if num_heads < 1 or width % num_heads or not isinstance(types, int) or not isinstance(epsilon, int | float):
        raise ValueError(
            f"expected heads that share {width} units evenly, and numbers of types and in norms, but {path} says "
            f"{num_heads}, {types!r} and {epsilon!r}; fetch it again"
        )
    return BertConfig(
        said["vocab_size"],
        width,
        num_layers,
        num_heads,
        feed,
        said["max_position_embeddings"],
        FAMILIES[family],
        0 if family == "distilbert" else types,
        epsilon,
        ACTIVATIONS[activation],  # type: ignore[arg-type]
    )


def read_variables(path: Path, config: BertConfig) -> PyTree:
    """The variables of `Bert` that a file of safetensors holds; heads and poolers are left in it.

    Raises:
      CorruptDataError: a file that cannot be read.
      ValueError: another architecture or number of layers; an array that is not there, or has another shape.
    """
    tensors = Tensors(path, plain)
    if "embeddings.word_embeddings.weight" not in tensors:
        raise ValueError(
            f"expected a checkpoint of BERT, DistilBERT or RoBERTa, but {path} holds tensors such as "
            f"{min(tensors.places.values(), default='')!r}; take one of these architectures"
        )
    more = sorted(name for name in tensors.places if name.startswith(f"encoder.layer.{config.num_layers}."))
    if more:
        raise ValueError(
            f"expected {config.num_layers} layers in {path}, as config.json says, but it also has {more[0]!r}; take "
            "both files from the same model"
        )
    c, tables = config, "embeddings.{}_embeddings.weight"
    params: dict[str, Any] = {
        "words": tensors.get(tables.format("word"), (c.vocabulary, c.width)),
        "positions": tensors.get(tables.format("position"), (c.positions, c.width)),
        "norm": _norm(tensors, "embeddings.LayerNorm", c.width),
    }
    if c.token_types:
        params["types"] = tensors.get(tables.format("token_type"), (c.token_types, c.width))
    for number in range(c.num_layers):
        layer: dict[str, Any] = {"attention": {}}
        for ours, theirs in OURS.items():
            name = f"encoder.layer.{number}.{theirs}"
            sizes = {"feed_in": (c.width, c.feed), "feed_out": (c.feed, c.width)}.get(ours, (c.width, c.width))
            part = _norm(tensors, name, c.width) if "norm" in ours else _linear(tensors, name, *sizes)
            home = layer["attention"] if "/" in ours else layer
            home[ours.split("/")[-1]] = part
        params[f"layers_{number}"] = layer
    return {"params": params}


def _norm(tensors: Tensors, name: str, width: int) -> dict[str, np.ndarray]:
    return {"scale": tensors.get(f"{name}.weight", (width,)), "bias": tensors.get(f"{name}.bias", (width,))}


def _linear(tensors: Tensors, name: str, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    kernel = tensors.get(f"{name}.weight", (outputs, inputs)).T
    return {"kernel": np.ascontiguousarray(kernel), "bias": tensors.get(f"{name}.bias", (outputs,))}
