"""Text encoders as backbones to fine-tune: all of one, or its upper layers on states that are computed once."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.backbones import TextEncoder, token_states, tokenize
from bal.backbones.bert import Layer
from bal.proxies.fine_tuning import Backbone
from bal.typing import PRNGKey, PyTree


def text_rows(
    encoder: TextEncoder,
    sentences: Sequence[str],
    start: int = 0,
    length: int | None = None,
    truncate: int | None = None,
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """Sentences as rows of a pool for `text_backbone`: tokens, or their states after the first layers, and the mask.

    States of a token take D numbers where a token takes one: what is frozen is computed once, and not in every step.

    Use it with the same `start` as in `text_backbone`.

    Args:
      encoder: as `bal.backbones.minilm` gives it.
      sentences: texts.
      start: how many layers stay frozen; 0 = none, not even the table of words.
      length: tokens of a row, by default those of the longest sentence. truncate: cut longer ones there.
      batch_size: sentences at a time.

    Raises:
      ValueError, TypeError: as `bal.backbones.tokenize`; a layer that is not there.

    >>> from bal.backbones import tiny_text_encoder
    >>> rows = text_rows(tiny_text_encoder(jax.random.key(0)), ["a word", "and another one"], start=1)
    >>> rows["states"].shape, rows["mask"].shape
    ((2, 5, 16), (2, 5))
    """
    check_start(start, encoder.module.config.num_layers)  # type: ignore[attr-defined]
    tokens, mask = tokenize(encoder, sentences, length, truncate)
    if not start:
        return {"tokens": tokens, "mask": mask}
    states = [
        np.asarray(
            token_states(encoder, tokens[first : first + batch_size], mask[first : first + batch_size], 0, start)
        )
        for first in range(0, len(tokens), batch_size)
    ]
    return {"states": np.concatenate(states), "mask": mask}


def text_backbone(encoder: TextEncoder, start: int = 0) -> Backbone:
    """The layers of a text encoder from number `start` on, to be fine-tuned: the mean of the states of a row's tokens.

    Rows are those of `text_rows` with the same `start`. Dropout is that of the encoder's module, none by default.

    Use it in `fine_tuned`: the upper layers alone where steps are dear, all of them (``start=0``) as it is published.

    Args:
      encoder: as `bal.backbones.minilm` gives it. start: how many layers stay as they are.

    Raises:
      ValueError: a layer that is not there; when called, rows that begin after another layer.

    >>> from bal.backbones import tiny_text_encoder
    >>> encoder = tiny_text_encoder(jax.random.key(0))
    >>> backbone, rows = text_backbone(encoder, 1), text_rows(encoder, ["a word", "and another one"], 1)
    >>> backbone.apply(backbone.params, rows, None).shape, backbone
    ((2, 16), layers 2 to 2 of tiny BERT with random weights (2,224 parameters))
    """
    module: Any = encoder.module
    num_layers = module.config.num_layers
    check_start(start, num_layers)
    names = [f"layers_{number}" for number in range(start, num_layers)]
    whole = encoder.variables["params"]
    layer = Layer(module.config, module.dtype, module.rate, module.shared)

    def apply(params: PyTree, x: PyTree, key: PRNGKey | None) -> Float[Array, "n D"]:
        expected = "states" if start else "tokens"
        if expected not in x:
            raise ValueError(
                f"this backbone begins after layer {start} with {expected}, but rows hold {', '.join(x)}; make them by "
                f"text_rows(encoder, sentences, start={start})"
            )
        rngs = lambda number: None if key is None else {"dropout": jax.random.fold_in(key, number)}
        if start:
            states = jnp.asarray(x["states"])
        else:
            below = {"params": {name: part for name, part in params.items() if name not in names}}
            states = module.apply(below, x["tokens"], method="embed", rngs=rngs(num_layers))
        for number, name in enumerate(names):
            states = layer.apply({"params": params[name]}, states, x["mask"], rngs=rngs(number))
        weight = x["mask"] / jnp.maximum(x["mask"].sum(1, keepdims=True), 1)
        return jnp.einsum("ntd,nt->nd", states, weight, precision="highest")

    params = {name: whole[name] for name in names} if start else dict(whole)
    return Backbone(params, apply, f"layers {start + 1} to {num_layers} of {encoder.source.name}")


def check_start(start: int, num_layers: int) -> None:
    """A layer to begin after, with at least one behind it."""
    if not 0 <= start < num_layers:
        raise ValueError(f"expected start from 0 to {num_layers - 1}, since something is to be trained, got {start}")
