"""Language models in GGUF files: sizes, weights (unpacked from few bits to float32) and tokenizer, all in one file.

Rows of queries and keys lie in these files so that neighbors are turned together; here they are put back to halves, as
`Llama` and checkpoints of other formats have them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.backbones.libraries import library
from bal.backbones.llama import LlamaConfig
from bal.typing import PyTree

LINEAR = {
    "attn_q": ("attention", "query"),
    "attn_k": ("attention", "key"),
    "attn_v": ("attention", "value"),
    "attn_output": ("attention", "out"),
    "ffn_gate": ("gate",),
    "ffn_up": ("up",),
    "ffn_down": ("down",),
}
NORMS = {"attn_norm": "attention_norm", "ffn_norm": "feed_norm"}


def open_gguf(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a GGUF file says of itself, by name, and its tensors, still packed.

    Raises:
      ValueError: it cannot be read as GGUF.
    """
    reader = library("gguf")
    try:
        read = reader.GGUFReader(path)
        said = {name: _contents(field) for name, field in read.fields.items()}
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable GGUF file ({error}); fetch it again") from error
    return said, {tensor.name: tensor for tensor in read.tensors}


def _contents(field: Any) -> Any:
    """A value, or a list of them; `contents` of the library is slow for 50,000 texts."""
    kinds = [kind.name for kind in field.types]
    if kinds == ["ARRAY", "STRING"]:
        return [bytes(field.parts[place]).decode() for place in field.data]
    return field.contents()


def llama_config(said: Mapping[str, Any], path: str | Path) -> LlamaConfig:
    """Sizes, from what the file says.

    Raises:
      ValueError: another architecture, a size that is missing, a variant that `Llama` is not.
    """
    kind = said.get("general.architecture")
    if kind != "llama":
        raise ValueError(f"{path} holds a model of architecture {kind!r}, expected 'llama'; use a file of that kind")

    def of(name: str, default: Any = None) -> Any:
        value = said.get(f"llama.{name}", default)
        if value is None:
            raise ValueError(f"{path} does not say llama.{name}, which the model needs; fetch or convert it again")
        return value

    width, heads = of("embedding_length"), of("attention.head_count")
    config = LlamaConfig(
        vocabulary=of("vocab_size", len(said.get("tokenizer.ggml.tokens", ()))),
        width=width,
        feed=of("feed_forward_length"),
        num_layers=of("block_count"),
        num_heads=heads,
        num_shared=of("attention.head_count_kv", heads),
        longest=of("context_length"),
        base=float(of("rope.freq_base", 10_000.0)),
        epsilon=float(of("attention.layer_norm_rms_epsilon")),
    )
    sizes = {of(f"{name}", width // heads) for name in ("rope.dimension_count", "attention.key_length")}
    if sizes != {width // heads} or of("rope.scaling.type", "none") != "none":
        raise ValueError(
            f"{path} has heads or positions of a kind that is not built (all of a head is turned, by unscaled angles); "
            "use a model without them, as SmolLM2"
        )
    return config


def llama_params(tensors: Mapping[str, Any], config: LlamaConfig, path: str | Path) -> tuple[LlamaConfig, PyTree]:
    """Parameters of `Llama` in float32, and the config, which learns here whether logits have a table of their own.

    Raises:
      ValueError: a tensor that is missing, of another shape, of an unknown packing, or that the model has no use for.
    """
    left = dict(tensors)

    def take(name: str, *shape: int) -> Float[np.ndarray, "..."]:
        if name not in left:
            raise ValueError(f"{path} lacks the tensor {name}; fetch or convert it again")
        return _unpacked(left.pop(name), shape, path)

    width, size = config.width, config.width // config.num_heads
    shapes = {
        "attn_q": (config.num_heads * size, width),
        "attn_k": (config.num_shared * size, width),
        "attn_v": (config.num_shared * size, width),
        "attn_output": (width, config.num_heads * size),
        "ffn_gate": (config.feed, width),
        "ffn_up": (config.feed, width),
        "ffn_down": (width, config.feed),
    }
    params: dict[str, Any] = {"embedding": take("token_embd.weight", config.vocabulary, width)}
    params["norm"] = {"scale": take("output_norm.weight", width)}
    for layer in range(config.num_layers):
        place = params.setdefault(f"layers_{layer}", {"attention": {}})
        for name, ours in NORMS.items():
            place[ours] = {"scale": take(f"blk.{layer}.{name}.weight", width)}
        for name, (*inner, ours) in LINEAR.items():
            kernel = take(f"blk.{layer}.{name}.weight", *shapes[name])
            if name in ("attn_q", "attn_k"):
                kernel = halves(kernel, size)
            (place[inner[0]] if inner else place)[ours] = {"kernel": np.ascontiguousarray(kernel.T)}
    if "output.weight" in left:
        config = config._replace(tied=False)
        params["head"] = {"kernel": np.ascontiguousarray(take("output.weight", config.vocabulary, width).T)}
    if left:
        raise ValueError(f"{path} has tensors that a llama lacks, as {min(left)}; it is a variant that is not built")
    return config, params


def halves(kernel: Float[np.ndarray, "H D"], size: int) -> Float[np.ndarray, "H D"]:
    """Rows of each head from pairs of neighbors (0, 1), (2, 3) to pairs of halves (0, d/2), (1, d/2 + 1).

    >>> halves(np.arange(4.0)[:, None], 4).ravel().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    return kernel.reshape(-1, size // 2, 2, kernel.shape[1]).swapaxes(1, 2).reshape(kernel.shape)


def _unpacked(tensor: Any, shape: tuple[int, ...], path: str | Path) -> Float[np.ndarray, "..."]:
    """A tensor in float32, of the shape that the sizes ask for."""
    try:
        values = library("gguf").dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise ValueError(
            f"{path} packs {tensor.name} as {tensor.tensor_type.name}, which cannot be unpacked; use a file of "
            "Q8_0 or F16"
        ) from error
    if values.shape != shape:
        raise ValueError(f"{path} has {tensor.name} of shape {values.shape}, expected {shape}; it is another model")
    return np.asarray(values, np.float32)
