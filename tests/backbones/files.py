"""Folders of tiny checkpoints, in the names of BERT, DistilBERT and RoBERTa, as the library transformers saves them."""

import json

import numpy as np
import pytest

from bal.backbones.tiny import TINY_BERT

SIZES = TINY_BERT._replace(positions=20)
BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_in": "intermediate.dense",
    "feed_out": "output.dense",
    "feed_norm": "output.LayerNorm",
}
DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "out": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "feed_in": "ffn.lin1",
    "feed_out": "ffn.lin2",
    "feed_norm": "output_layer_norm",
}
SAID = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "model_type": "bert",
}
DISTILLED = {
    "vocab_size": 50,
    "dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 32,
    "max_position_embeddings": 20,
    "activation": "gelu",
    "model_type": "distilbert",
}


def draw(seed=0):
    """Weights of a tiny encoder as the network holds them, in numpy."""
    rng = np.random.default_rng(seed)
    some = lambda *shape: np.float32(rng.normal(size=shape))
    linear = lambda a, b: {"kernel": some(a, b), "bias": some(b)}
    norm = lambda: {"scale": some(16), "bias": some(16)}
    params = {"words": some(50, 16), "positions": some(20, 16), "types": some(2, 16), "norm": norm()}
    for number in range(2):
        params[f"layers_{number}"] = {
            "attention": {name: linear(16, 16) for name in ("query", "key", "value", "out")},
            "attention_norm": norm(),
            "feed_in": linear(16, 32),
            "feed_out": linear(32, 16),
            "feed_norm": norm(),
        }
    return params


def arrays(params, parts, layers, prefix="", norm=("weight", "bias")):
    """The same arrays by the names of a file."""
    found = {
        "embeddings.word_embeddings.weight": params["words"],
        "embeddings.position_embeddings.weight": params["positions"],
        f"embeddings.LayerNorm.{norm[0]}": params["norm"]["scale"],
        f"embeddings.LayerNorm.{norm[1]}": params["norm"]["bias"],
    }
    if parts is BERT:
        found["embeddings.token_type_embeddings.weight"] = params["types"]
    for number in range(2):
        layer = params[f"layers_{number}"]
        for ours, theirs in parts.items():
            part, name = layer["attention"].get(ours) or layer[ours], f"{layers}.{number}.{theirs}"
            if "norm" in ours:
                ends = norm if "LayerNorm" in theirs else ("weight", "bias")
                found |= {f"{name}.{ends[0]}": part["scale"], f"{name}.{ends[1]}": part["bias"]}
            else:
                found |= {f"{name}.weight": np.ascontiguousarray(part["kernel"].T), f"{name}.bias": part["bias"]}
    return {prefix + name: array for name, array in found.items()}


def save(folder, found, said, num_words=50):
    """A folder with all three files."""
    numpy = pytest.importorskip("safetensors.numpy", reason="writes files of safetensors (extra text)")
    tokenizers = pytest.importorskip("tokenizers", reason="opens a tokenizer (extra text)")
    folder.mkdir(exist_ok=True)
    numpy.save_file(found, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(said))
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3} | {f"w{n}": n for n in range(4, num_words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    made.enable_truncation(4)
    made.enable_padding(length=128)
    made.save(str(folder / "tokenizer.json"))
    return folder
