"""Image encoders as backbones to fine-tune: their upper blocks, on states that are computed once."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Shaped

from bal.backbones import ImageEncoder
from bal.backbones.images import image_inputs
from bal.proxies.fine_tuning import Backbone
from bal.proxies.texts import check_start
from bal.typing import PRNGKey, PyTree


def image_rows(
    encoder: ImageEncoder, images: Shaped[np.ndarray, "n *pixels"], start: int, batch_size: int = 8
) -> Float[np.ndarray, "n H W A"]:
    """Images as rows of a pool for `image_backbone`: what comes out of the stem and the first `start` blocks.

    Use it with the same `start` as in `image_backbone`; they take ``H W A`` numbers each, 3,072 before the last block
    of EfficientNet-Lite0 at 112 pixels.

    Args:
      encoder: as `bal.backbones.efficientnet_lite0` gives it.
      images: as `bal.backbones.image_features` takes them. start: how many blocks stay as they are.
      batch_size: images at a time.

    Raises:
      ValueError, TypeError: as `bal.backbones.image_features`; a block that is not there.

    >>> from bal.backbones import tiny_image_encoder
    >>> image_rows(tiny_image_encoder(jax.random.key(0)), np.zeros((3, 28, 28), np.uint8), 2).shape
    (3, 8, 8, 6)
    """
    module: Any = encoder.module
    check_start(start, len(module.config.blocks))
    rows = []
    for first in range(0, len(images), batch_size):
        some = np.asarray(images[first : first + batch_size])
        filled = np.concatenate([some, np.repeat(some[-1:], batch_size - len(some), 0)])
        hidden = _lower(module, start, encoder.variables, image_inputs(filled, encoder.size))
        rows.append(np.asarray(hidden)[: len(some)])
    return np.concatenate(rows)


def image_backbone(encoder: ImageEncoder, start: int) -> Backbone:
    """The blocks of an image encoder from number `start` on and its last convolution, to be fine-tuned.

    Rows are those of `image_rows` with the same `start`. Running statistics of batch norm stay what they are.

    Use it in `fine_tuned`: most of the work of a convolutional network lies in its lower blocks, on many pixels, and
    what tells one's own classes apart in the upper ones.

    Args:
      encoder: as `bal.backbones.efficientnet_lite0` gives it. start: how many blocks stay as they are.

    Raises:
      ValueError: a block that is not there.

    >>> from bal.backbones import tiny_image_encoder
    >>> encoder = tiny_image_encoder(jax.random.key(0))
    >>> backbone, rows = image_backbone(encoder, 2), image_rows(encoder, np.zeros((3, 28, 28), np.uint8), 2)
    >>> backbone.apply(backbone.params, rows, None).shape
    (3, 16)
    """
    module: Any = encoder.module
    num_blocks = len(module.config.blocks)
    check_start(start, num_blocks)
    names = [f"block_{number}" for number in range(start, num_blocks)] + ["head_conv", "head_norm"]
    upper = {of: {name: tree[name] for name in names if name in tree} for of, tree in encoder.variables.items()}
    frozen = {of: tree for of, tree in upper.items() if of != "params"}

    def apply(params: PyTree, x: PyTree, key: PRNGKey | None) -> Float[Array, "n F"]:
        del key
        return module.apply({"params": params, **frozen}, jnp.asarray(x), start, method=_upper)

    return Backbone(upper["params"], apply, f"blocks {start + 1} to {num_blocks} of {encoder.source.name}")


def _upper(module: Any, hidden: Array, start: int) -> Array:
    return module.head(module.blocks(hidden, start, len(module.config.blocks)))


@partial(jax.jit, static_argnums=(0, 1))
def _lower(module: linen.Module, start: int, variables: PyTree, images: Array) -> Array:
    lower = lambda module, images: module.blocks(module.stem(images), 0, start)
    return module.apply(variables, images, method=lower)  # type: ignore[return-value]
