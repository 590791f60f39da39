"""Harder versions of a data set: repeated rows, wrong labels, noisy inputs. Test sets are left alone."""

import math

import numpy as np
from jaxtyping import Int

from bal.datasets.dataset import Dataset


def repeated(
    dataset: Dataset, copies: int, noise: float = 0.0, seed: int = 0
) -> tuple[Dataset, Int[np.ndarray, "rows"]]:
    """A pool of near duplicates, and the original's row number of each of its ``copies * N`` rows.

    Row ``c N + n`` is ``x[n] + noise * e`` with e standard normal and independent for every copy, the first
    included. `noise` is in units of x. Repeated MNIST is ``repeated(mnist(), copies=3, noise=0.1)``.
    Raises ValueError if copies < 1, or if noise is negative or not finite.
    Source: A. Kirsch, J. van Amersfoort and Y. Gal, BatchBALD, NeurIPS 2019.

    >>> from bal.datasets import digits
    >>> pool, original = repeated(digits(), copies=3, noise=0.1)
    >>> pool.x.shape, int(original[1797])
    ((5391, 64), 0)
    """
    if copies < 1:
        raise ValueError(f"copies must be at least 1 (1 repeats nothing), got {copies}")
    x = np.tile(dataset.x, (copies, *[1] * (dataset.x.ndim - 1)))
    larger = dataset._replace(
        x=_with_noise(x, noise, seed),
        y=np.tile(dataset.y, copies),
        source=f"{dataset.source}; {copies} copies",
    )
    return _describe(larger, noise), np.tile(np.arange(len(dataset.x)), copies)


def noisy_inputs(dataset: Dataset, noise: float, seed: int = 0) -> Dataset:
    """The set with inputs ``x + noise * e``, e standard normal; `noise` is in units of x, nothing is clipped.

    Raises ValueError if noise is negative or not finite.

    >>> from bal.datasets import digits
    >>> round(float((noisy_inputs(digits(), 0.1).x - digits().x).std()), 3)
    0.1
    """
    return _describe(dataset._replace(x=_with_noise(dataset.x, noise, seed)), noise)


def noisy_labels(dataset: Dataset, fraction: float, seed: int = 0) -> Dataset:
    """The set with ``round(fraction N)`` labels, at random rows, flipped uniformly to one of the other
    classes.

    Raises ValueError for a regression set, or a fraction outside [0, 1].

    >>> from bal.datasets import digits
    >>> int((noisy_labels(digits(), 0.1).y != digits().y).sum())
    180
    """
    if dataset.num_classes is None:
        raise ValueError(f"noisy_labels flips classes, but {dataset.name} is a regression set; add noise to y instead")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in [0, 1], got {fraction}")
    random = np.random.default_rng(seed)
    rows = random.choice(len(dataset.y), round(fraction * len(dataset.y)), replace=False)
    shift = random.integers(1, dataset.num_classes, len(rows))
    y = dataset.y.copy()
    y[rows] = (y[rows] + shift) % dataset.num_classes
    return dataset._replace(y=y, source=f"{dataset.source}; fraction {fraction} of labels flipped")


def _with_noise(x: np.ndarray, noise: float, seed: int) -> np.ndarray:
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise is a standard deviation, finite and not negative, got {noise}")
    if noise == 0:
        return x
    return x + np.float32(noise) * np.random.default_rng(seed).standard_normal(x.shape, dtype=np.float32)


def _describe(dataset: Dataset, noise: float) -> Dataset:
    return dataset._replace(source=f"{dataset.source}; input noise {noise}") if noise else dataset
