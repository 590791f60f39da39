"""Rows of weight 0 hold what they hold; here they hold a row that is real."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.typing import PyTree


def real_rows(rows: PyTree, weight: Float[Array, "L"]) -> PyTree:
    """The same, with the first row of positive weight in every place of weight 0.

    What a model makes of padding is then a number wherever it is one of labels: logarithms of inputs, say, have none
    at 0. Where no row counts, all are the first.

    >>> jax.jit(real_rows)(jnp.array([7.0, 8.0, 9.0]), jnp.array([0.0, 1.0, 2.0])).tolist()
    [8.0, 8.0, 9.0]
    """
    counts = weight > 0
    at = jnp.where(counts, jnp.arange(len(weight)), jnp.argmax(counts))
    return jax.tree.map(lambda leaf: leaf[at], rows)
