"""Predictions [N, K, C] that are hard in different ways, normalized as well as float32 allows."""

import numpy as np
from scipy import special


def normalized(logits: np.ndarray) -> np.ndarray:
    return special.log_softmax(logits, axis=-1).astype(np.float32)


def spread_out(seed: int = 0, shape=(48, 9, 5)) -> np.ndarray:
    """Draws that disagree by much, from near-uniform to near-certain rows."""
    rng = np.random.default_rng(seed)
    return normalized(rng.normal(size=shape) * np.geomspace(0.1, 10, shape[0])[:, None, None])


def near_agreeing(seed: int = 1, shape=(48, 9, 5)) -> np.ndarray:
    """Draws whose logits differ by 1e-4 to 1e-3: the end of a run, where differences of entropies cancel."""
    rng = np.random.default_rng(seed)
    common = 2 * rng.normal(size=(shape[0], 1, shape[2]))
    scale = 10 ** rng.uniform(-4, -3, size=(shape[0], 1, 1))
    return normalized(common + scale * rng.normal(size=shape))


def one_hot(seed: int = 2, shape=(48, 9, 5)) -> np.ndarray:
    """Draws that are certain, and not always of the same class."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(shape[2], size=shape[:2]) * (rng.random((shape[0], 1)) < 0.8)
    return np.where(np.eye(shape[2], dtype=bool)[classes], 0.0, -np.inf).astype(np.float32)


def impossible_classes(seed: int = 3, shape=(48, 9, 5)) -> np.ndarray:
    """Classes of probability zero: some in one draw only, one class in all draws of every third row."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape)
    closed = rng.random(shape) < 0.4
    closed[::3, :, 0] = True
    closed[..., -1] = False
    return normalized(np.where(closed, -np.inf, logits))


def near_certain(seed: int = 4, shape=(48, 9, 5)) -> np.ndarray:
    """One class has probability 1 - ε, with ε from 1e-7 to 1e-2 over rows and differing between draws."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape) + np.log(np.geomspace(1e-7, 1e-2, shape[0]))[:, None, None]
    logits[..., 1] = 0.0
    return normalized(logits)


INPUTS = {
    "spread_out": spread_out(),
    "near_agreeing": near_agreeing(),
    "one_hot": one_hot(),
    "impossible_classes": impossible_classes(),
    "near_certain": near_certain(),
}
