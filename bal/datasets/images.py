"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images of 28 x 28 pixels in 10 classes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bal.datasets.dataset import Dataset
from bal.datasets.sources import Arrays, check, file_arrays, label_counts, missing, openml_arrays


class ImageSet(NamedTuple):
    """What was published: file, its SHA-256, name at OpenML, number of images of each class."""

    file: str
    sha256: str
    openml: str
    train_counts: list[int]
    test_counts: list[int]


MNIST = ImageSet(
    "mnist.npz",
    "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64",
    "mnist_784",
    [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
)
FASHION_MNIST = ImageSet(
    "fashion_mnist.npz",
    "5b6d2c4c694a91887af8ab7d039c04f80af3c29378d731c93a538d2e831aa469",
    "Fashion-MNIST",
    [6000] * 10,
    [1000] * 10,
)


def mnist(path: str | Path | None = None, download: bool = False) -> Dataset:
    """MNIST: x ``[60000, 28, 28, 1]`` float32 in [0, 1], y int32 in 0 .. 9, and the published test set.

    `path` is an npz file with x_train, y_train, x_test, y_test (uint8). With ``download=True`` a set that is
    found nowhere else is fetched from OpenML.
    Raises MissingDataError and CorruptDataError. Source: Y. LeCun et al., Proceedings of the IEEE, 1998.

    >>> mnist("no/such/file.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no file at path 'no/such/file.npz'; ...
    """
    return _load("mnist", MNIST, path, download)


def fashion_mnist(path: str | Path | None = None, download: bool = False) -> Dataset:
    """Fashion-MNIST: shapes, ranges, options and errors as `mnist`; 10 kinds of clothing.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017.

    >>> fashion_mnist("no/such/file.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no file at path 'no/such/file.npz'; ...
    """
    return _load("fashion_mnist", FASHION_MNIST, path, download)


def _load(name: str, published: ImageSet, path: str | Path | None, download: bool) -> Dataset:
    keys = ("x_train", "y_train", "x_test", "y_test")
    found = file_arrays(published.file, published.sha256, keys, path)
    if found is None and not download:
        raise missing(published.file, f"{name}()", published.openml)
    arrays, source = found or _download(published, f"{name}(download=True)")
    x, y = _part(name, "training", arrays["x_train"], arrays["y_train"], published.train_counts)
    x_test, y_test = _part(name, "test", arrays["x_test"], arrays["y_test"], published.test_counts)
    return Dataset(x, y, x_test, y_test, name, len(published.train_counts), source)


def _download(published: ImageSet, call: str) -> tuple[Arrays, str]:
    arrays, source = openml_arrays(published.openml, call)
    # OpenML keeps both parts in one table, training rows first.
    num_train = sum(published.train_counts)
    x, y = arrays["x"].reshape(-1, 28, 28), arrays["y"].astype(np.int32)
    parts = {
        "x_train": x[:num_train],
        "y_train": y[:num_train],
        "x_test": x[num_train:],
        "y_test": y[num_train:],
    }
    return parts, source


def _part(name: str, part: str, x: np.ndarray, y: np.ndarray, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    check(name, f"{part} images of shape", (sum(counts), 28, 28), x.shape)
    check(name, f"{part} labels of shape", (sum(counts),), y.shape)
    check(name, f"{part} label counts", dict(enumerate(counts)), label_counts(y))
    check(name, f"{part} pixels from and to", (0, 255), (int(x.min()), int(x.max())))
    return (x.astype(np.float32) / np.float32(255))[..., None], y.astype(np.int32)
