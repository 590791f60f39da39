"""Data sets as features of frozen encoders: computed once and kept, one folder each, for every script that wants them.

Fashion-MNIST through EfficientNet-Lite0, SMS spam through MiniLM, digits through random convolutions, which need no
package. With ``tiny=True`` encoders are tiny ones with random weights.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bal.backbones import (
    ImageEncoder,
    TextEncoder,
    efficientnet_lite0,
    image_features,
    minilm,
    sentence_features,
    tiny_image_encoder,
    tiny_text_encoder,
)
from bal.datasets import digits, fashion_mnist, sms_spam
from bal.features import cache_features


class Encoded(NamedTuple):
    """N rows as they are, and as features of an encoder.

    raw: images ``[N, H, W]`` in [0, 1], or texts ``[N]``. features: ``[N, D]``. y: classes ``[N]``.
    encoder: what made the features, in words.
    """

    raw: np.ndarray
    features: np.ndarray
    y: np.ndarray
    num_classes: int
    encoder: str


def encoded_fashion(
    cache: Path, num_train: int = 10_000, num_test: int = 2_000, size: int = 112, tiny: bool = False, console=None
) -> Encoded:
    """Fashion-MNIST: the first rows of the training set, then the first of the test set."""
    published = fashion_mnist()
    assert published.x_test is not None
    assert published.y_test is not None
    x = np.concatenate([published.x[:num_train], published.x_test[:num_test]])[..., 0]
    y = np.concatenate([published.y[:num_train], published.y_test[:num_test]])
    encoder = tiny_image_encoder(jax.random.key(0)) if tiny else efficientnet_lite0(size=size)
    folder = cache / f"fashion-mnist-{named(encoder)}-{encoder.size}-{num_train}-{num_test}"
    encode = partial(image_features, encoder)
    found = cache_features(folder, x, encode, encoder.source, batch_size=64, console=console)
    return Encoded(x, np.asarray(found.x), y, 10, f"{encoder.source.name} at {encoder.size} pixels")


def encoded_messages(cache: Path, most: int | None = None, tiny: bool = False, console=None) -> Encoded:
    """SMS spam, all messages or the first ones."""
    published = sms_spam()
    x, y = published.x[:most], published.y[:most]
    encoder = tiny_text_encoder(jax.random.key(0)) if tiny else minilm()
    folder = cache / f"sms-spam-{named(encoder)}-{len(x)}"
    encode = partial(sentence_features, encoder)
    found = cache_features(folder, x, encode, encoder.source, batch_size=1024, console=console)
    return Encoded(x, np.asarray(found.x), y, 2, encoder.source.name)


def convolved_digits(num_filters: int = 128, seed: int = 0) -> Encoded:
    """Digits, and what random 3 x 3 filters, a rectifier and the mean over each quarter of the image make of them."""
    published = digits()
    images = published.x.reshape(-1, 8, 8)
    draw = np.random.default_rng(seed)
    filters = draw.normal(size=(9, num_filters)).astype(np.float32) / 3
    bias = draw.normal(size=num_filters).astype(np.float32) / 3
    patches = sliding_window_view(images, (3, 3), (1, 2)).reshape(len(images), 6, 6, 9)
    maps = np.maximum(patches @ filters + bias, 0)
    features = maps.reshape(len(images), 2, 3, 2, 3, num_filters).mean((2, 4)).reshape(len(images), -1)
    return Encoded(images, features, published.y, 10, f"{num_filters} random convolutions")


def named(encoder: TextEncoder | ImageEncoder) -> str:
    """A name of a folder."""
    return encoder.source.name.replace(" ", "-")
