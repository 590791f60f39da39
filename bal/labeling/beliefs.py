"""What the model of a fit says of rows, as numbers that people can read."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy.special
import scipy.stats

from bal.labeling.forms import Form
from bal.pool.over import num_rows, take
from bal.typing import Gaussian, Latent, Learner, MultiLabel, Posterior, PyTree

Believe = Callable[[Posterior, PyTree], np.ndarray]
"""``posterior, x -> [n, C]``: chances of classes or labels; of numbers the mean and standard deviation, ``[n, 2]``."""

BLOCK = 64
"""Rows of one call: always as many, so that it is compiled once."""


def believe_with(learner: Learner) -> Believe:
    """The mean prediction of a learner, whatever its kind."""
    predict = learner.predict if learner.host else jax.jit(learner.predict)

    def believe(posterior: Posterior, x: PyTree) -> np.ndarray:
        n, parts = num_rows(x), []
        for start in range(0, n, BLOCK):
            rows = np.minimum(np.arange(start, start + BLOCK), n - 1)
            parts.append(mean_prediction(predict(posterior.state, take(x, rows)))[: n - start])
        return np.concatenate(parts) if parts else np.zeros((0, 1))

    return believe


def mean_prediction(predictions: Any) -> np.ndarray:
    """Averaged over draws.

    >>> mean_prediction(Gaussian(np.array([[1.0, 3.0]]), np.array([[2.0, 2.0]]), np.ones((1, 2)))).tolist()
    [[2.0, 2.0]]
    """
    numbers = lambda leaf: np.asarray(leaf, np.float64)
    if isinstance(predictions, MultiLabel):
        return scipy.special.expit(numbers(predictions.log_odds)).mean(1)
    if isinstance(predictions, Latent):
        chance = scipy.stats.norm.cdf(numbers(predictions.mean) / np.sqrt(1 + numbers(predictions.variance))).mean(1)
        return np.stack([1 - chance, chance], 1)
    if isinstance(predictions, Gaussian):
        mean = numbers(predictions.mean)
        variance = (numbers(predictions.variance) + numbers(predictions.noise)).mean(1) + mean.var(1)
        return np.stack([mean.mean(1), np.sqrt(variance)], 1)
    return np.exp(numbers(predictions)).mean(1)


def in_words(form: Form, belief: np.ndarray) -> dict[str, float]:
    """Of one row: chances by name, or mean and standard deviation."""
    names = form.names or ("mean", "sd")
    return {name: float(value) for name, value in zip(names, belief, strict=True)}
