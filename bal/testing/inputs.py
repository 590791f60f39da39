"""Inputs on which checks run, hard ones among them: probability zero, certain draws, places that hold nothing."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy import special

from bal.typing import Candidates, Data, Gaussian, Latent, PyTree

CLASSES, DRAWS, ROWS = 4, 5, 24
REAL = np.array([1, 1, 0, 0], np.float32)
"""The places of a labeled buffer that hold a row."""

Predictions = Callable[[int, int], PyTree]
"""``rows, seed -> predictions``."""


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def log_probs(rows: int = ROWS, seed: int = 0) -> jax.Array:
    """Log probabilities ``[rows, DRAWS, CLASSES]``, some of them of probability zero, some certain."""
    logits = 2 * normal(seed, rows, DRAWS, CLASSES)
    logits[::5, :, 0] = -np.inf
    logits[3:4, 1] = [0.0] + [-np.inf] * (CLASSES - 1)
    return jax.device_put(special.log_softmax(logits, -1))


def gaussian(rows: int = ROWS, seed: int = 0) -> Gaussian:
    """Normal predictions of DRAWS draws."""
    mean, variance, noise = normal(seed, 3, rows, DRAWS)
    return Gaussian(*map(jax.device_put, (mean, variance**2, 0.1 + noise**2)))


def latent(rows: int = ROWS, seed: int = 0) -> Latent:
    """Latents of a binary classifier, some of them certain."""
    mean, variance, _ = normal(seed, 3, rows, DRAWS)
    mean *= np.where(np.arange(rows) % 5 == 0, 60, 3)[:, None]
    return Latent(jax.device_put(mean), jax.device_put(variance**2))


PREDICTIONS: dict[str, Predictions] = {"log_probs": log_probs, "gaussian": gaussian, "latent": latent}


def score_candidates(n: int = ROWS, eligible: Any = None, seed: int = 0) -> Candidates:
    """Rows that are positive scores, at unit cost, nothing labeled."""
    scores = np.random.default_rng(seed).uniform(0.1, 1.0, n).astype(np.float32)
    allowed = np.ones(n, bool) if eligible is None else np.asarray(eligible)
    parts = scores, np.arange(n, dtype=np.int32), allowed, np.ones(n, np.float32)
    return Candidates(*map(jax.device_put, parts))


def feature_candidates(n: int = ROWS, eligible: Any = None, seed: int = 0) -> Candidates:
    """Rows that are features ``[n, 3]``, beside a labeled buffer of four places of which two are real."""
    some = score_candidates(n, eligible, seed)
    rows, known, weight = map(jax.device_put, (normal(seed, n, 3), normal(seed + 1, 4, 3), REAL))
    return some._replace(rows=rows, known=known, known_weight=weight)


def draw_candidates(n: int = ROWS, eligible: Any = None, seed: int = 0) -> Candidates:
    """Rows that are log probabilities ``[n, DRAWS, CLASSES]``, all positive."""
    draws = special.log_softmax(normal(seed, n, DRAWS, CLASSES), -1)
    return score_candidates(n, eligible, seed)._replace(rows=jax.device_put(draws))


CANDIDATES: dict[str, Callable[..., Candidates]] = {
    "scores": score_candidates,
    "features": feature_candidates,
    "log_probs": draw_candidates,
}


def labeled_data(labels: str = "classes", capacity: int = 10, real: int = 6, num_features: int = 3) -> Data:
    """A labeled buffer of which the first places are real: "classes" (CLASSES of them), "binary" or "real"."""
    place = np.arange(capacity, dtype=np.int32)
    y = {"real": np.sin(place).astype(np.float32), "binary": place % 2, "classes": place % CLASSES}[labels]
    return Data(*map(jax.device_put, (normal(0, capacity, num_features), y, (place < real).astype(np.float32))))


def chosen(of: str, table: dict[str, Any], given: Any) -> Any:
    """A row of a table by its name, or what was given in its place."""
    if not isinstance(given, str):
        if not callable(given):
            raise TypeError(
                f"expected {of} to be one of {', '.join(table)}, or a function that makes them, got "
                f"{type(given).__name__}; checks make them in several sizes, so hand in what makes yours"
            )
        return given
    if given not in table:
        raise ValueError(f"expected {of} to be one of {', '.join(table)}, or a function that makes them, got {given!r}")
    return table[given]
