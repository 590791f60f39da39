"""Dropout masks that a determinantal point process draws: neurons that say the same are rarely kept together.

A process with likelihood kernel L draws the set S with probability ``det L_S / det(I + L)``; a neuron is in it with
probability ``K_ii``, ``K = L (L + I)^{-1}``. All of it is numpy on the host: masks are constants of a tagger.

Shelmanov et al. 2021, "How Certain is Your Transformer?", of dropout; Kulesza and Taskar 2012, "Determinantal Point
Processes for Machine Learning"; Poulson 2020, "High-Performance Sampling of Generic Determinantal Point Processes".
"""

import numpy as np
from jaxtyping import Bool, Float

from bal.learners.settings import check_count

COVERAGE = 0.4
MOST_SAMPLES = 100
LENGTH_SCALE = 16.0


def correlations(activations: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "D D"]:
    """Correlations of neurons over rows, the likelihood kernel of `dpp_masks`; a neuron that never moves has 1 with
    itself and 0 with others.

    >>> correlations(np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [3.0, 6.0, 5.0]])).round(3).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    moved = activations.astype(np.float64) - activations.mean(0, dtype=np.float64)
    size = np.sqrt((moved**2).sum(0))
    still = size <= 1e-12 * max(size.max(initial=0.0), 1.0)
    scaled = np.where(still, 0.0, moved) / np.where(still, 1.0, size)
    found = scaled.T @ scaled
    np.fill_diagonal(found, 1.0)
    return found


def inclusion(kernel: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D D"]:
    """The marginal kernel ``K = L (L + I)^{-1}`` of a likelihood kernel: ``K_ii`` is how often i is drawn.

    >>> inclusion(np.eye(2)).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    values, vectors = np.linalg.eigh((kernel + kernel.T) / 2)
    values = np.maximum(values, 0.0)
    return (vectors * (values / (1 + values))) @ vectors.T


def sample_dpp(generator: np.random.Generator, marginal: Float[np.ndarray, "D D"]) -> Bool[np.ndarray, "D"]:
    """One set of a determinantal point process with this marginal kernel, of `inclusion`, in ``O(D³)``.

    Each neuron in turn is kept with the probability that it has given all decisions before it, which an elimination
    step of the kernel updates: exact, without eigenvectors.

    >>> draw = np.random.default_rng(0)
    >>> round(float(np.mean([sample_dpp(draw, 0.2 * np.eye(3)) for _ in range(500)])), 1)
    0.2
    """
    left, kept = np.array(marginal, np.float64), np.zeros(len(marginal), bool)
    uniform = generator.random(len(marginal))
    for i in range(len(marginal)):
        kept[i] = uniform[i] < left[i, i]
        pivot = left[i, i] - (not kept[i])
        column = left[i + 1 :, i] / pivot
        left[i + 1 :, i + 1 :] -= np.outer(column, left[i, i + 1 :])
    return kept


def weighted_mask(generator: np.random.Generator, marginal: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D"]:
    """One set as a dropout mask by Horvitz and Thompson: ``1 / K_ii`` where i was drawn, else 0; its mean is 1."""
    return sample_dpp(generator, marginal) / np.diag(marginal)


def covering_mask(generator: np.random.Generator, marginal: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D"]:
    """The average of as many masks as it takes until 40 % of neurons are in one of them, 100 at most.

    When to stop depends on what was drawn, so its mean is near 1, not 1, where one set is rarely enough.
    """
    total = np.zeros(len(marginal))
    for number in range(1, MOST_SAMPLES + 1):
        total += weighted_mask(generator, marginal)
        if (total > 0).mean() >= COVERAGE:
            return total / number
    return total / MOST_SAMPLES


def sample_of_size(
    generator: np.random.Generator, kernel: Float[np.ndarray, "M M"], size: int
) -> Bool[np.ndarray, "M"]:
    """A set of exactly `size`, with probability in proportion to ``det L_S``.

    Sets of a process are drawn until one has that size; the kernel is scaled so that sizes have that mean, which
    changes no probability given the size.

    Raises:
      ValueError: a size that the rank of the kernel does not allow.
    """
    values = np.maximum(np.linalg.eigvalsh((kernel + kernel.T) / 2), 0.0)
    rank = int((values > 1e-10 * values.max(initial=0.0)).sum())
    if not 0 < size <= rank:
        raise ValueError(f"expected a size from 1 to the rank of the kernel, {rank}, got {size}; draw from more rows")
    low, high = -60.0, 60.0  # of the log of the scale
    for _ in range(80):
        middle = (low + high) / 2
        scaled = np.exp(middle) * values
        low, high = (middle, high) if (scaled / (1 + scaled)).sum() < size - 0.5 * (size == rank) else (low, middle)
    marginal = inclusion(np.exp(low) * kernel)
    while True:
        drawn = sample_dpp(generator, marginal)
        if drawn.sum() == size:
            return drawn


def dpp_masks(
    activations: Float[np.ndarray, "n D"], num_masks: int = 20, *, pool_size: int = 100, seed: int = 0
) -> Float[np.ndarray, "K D"]:
    """Dropout masks of neurons that complement one another, and of these a diverse choice.

    Neurons are drawn by the process whose likelihood kernel is their correlation over rows, weighted by ``1 / K_ii``
    and averaged until 40 % of them are in a mask; from a pool of such masks another process, of the kernel
    ``exp(-|a - b|² / (2 · 16²))``, draws `num_masks`. Masks multiply activations; their mean over neurons is near 1.

    Use them as `masks` of `bal.tagging.tagger`, for draws that differ where independent dropout has draws that agree.

    Args:
      activations: of the layer that is dropped, for rows of the pool without labels: states of words, say.
      num_masks: K.
      pool_size: masks that these are chosen from.
      seed: of the generator.

    Raises:
      ValueError: fewer than two rows, numbers that are not finite; more masks than the pool holds that differ.

    >>> masks = dpp_masks(np.random.default_rng(0).normal(size=(50, 6)), 3, pool_size=12)
    >>> masks.shape, bool(((masks > 0).mean(1) >= 0.4).all())
    ((3, 6), True)

    Shelmanov et al. 2021, "How Certain is Your Transformer?"; of a later version of its code, not of its text.
    """
    check_count("num_masks", num_masks)
    check_count("pool_size", pool_size, num_masks)
    if activations.ndim != 2 or len(activations) < 2:
        raise ValueError(f"expected activations [rows, neurons] of at least 2 rows, got shape {activations.shape}")
    if not np.isfinite(activations).all():
        raise ValueError("expected activations that are finite, got others; leave out places that hold no word")
    generator = np.random.default_rng(seed)
    marginal = inclusion(correlations(activations))
    pool = np.unique([covering_mask(generator, marginal) for _ in range(pool_size)], axis=0)
    squared = ((pool[:, None] - pool[None]) ** 2).sum(-1)
    chosen = sample_of_size(generator, np.exp(-squared / (2 * LENGTH_SCALE**2)), num_masks)
    return pool[chosen].astype(np.float32)
