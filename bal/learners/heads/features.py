"""The rows of features that a linear head sits on."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.settings import named
from bal.numerics import as_floats
from bal.typing import PyTree

Features = Callable[[PyTree], Array]
"""``x [n, ...] -> [n, F]``, row-wise: principal components, random convolutions, a frozen encoder."""


def with_ones(features: Features | None, x: Any) -> Float[Array, "n F"]:
    """Features of rows, or the inputs as flat vectors, in floating point, and a one for the bias.

    >>> with_ones(None, [[[0], [1]], [[2], [3]]]).tolist()
    [[0.0, 1.0, 1.0], [2.0, 3.0, 1.0]]
    """
    if features is None:
        rows = as_floats(x)
        rows = rows.reshape(rows.shape[0], -1)
    else:
        rows = as_floats(features(x))
        if rows.ndim != 2:
            raise ValueError(
                f"expected features [n, F], one vector a row, got shape {rows.shape}; flatten what {named(features)} "
                "returns"
            )
    return jnp.concatenate([rows, jnp.ones((rows.shape[0], 1), rows.dtype)], 1)


def check_features(features: Any) -> None:
    """A function or None.

    >>> check_features(None)
    """
    if features is not None and not callable(features):
        raise TypeError(
            f"expected a function of the inputs as features, or None for the inputs themselves, got {named(features)}"
        )


def check_variance(name: str, value: Any) -> None:
    """A positive, finite number, or None.

    >>> check_variance("prior", 0.0)
    Traceback (most recent call last):
    ValueError: prior is a variance and must be positive and finite, got 0.0; leave it out to have it chosen each round
    """
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(
            f"{name} is a variance and must be positive and finite, got {value}; leave it out to have it chosen each "
            "round"
        )
