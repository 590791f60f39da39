"""Few labels in a large capacity: the algebra runs on a leading block of a few sizes, not on the whole capacity.

The real rows are moved to the front, and one branch of a `jax.lax.switch` is compiled for each size: 16, 64, 256 and so
on, as long as twice the size fits the capacity, and the capacity itself. Below a capacity of 128 there is one branch
and no switch; up to 511 there are three, up to 2,047 four. Seeds that are mapped together take the branch of the
largest.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from bal.typing import Data, PyTree

SMALLEST, FACTOR = 16, 4
UNDIVIDED = 128
"""Capacities below this one are worked on whole."""


def sizes(capacity: int) -> tuple[int, ...]:
    """Sizes that are compiled.

    >>> sizes(100), sizes(1000)
    ((100,), (16, 64, 256, 1000))
    """
    size, found = SMALLEST, []
    while capacity >= UNDIVIDED and 2 * size <= capacity:
        found.append(size)
        size *= FACTOR
    return (*found, capacity)


def compact(data: Data) -> Data:
    """The same rows, those of positive weight first, in their order."""
    order = jnp.argsort(data.weight <= 0, stable=True)
    return Data(data.x[order], data.y[order], data.weight[order])


def by_bucket(num_real: Int[Array, ""], capacity: int, function: Callable[[int], PyTree]) -> PyTree:
    """``function(size)`` for the least size that holds the real rows; its results have one shape for all sizes."""
    every = sizes(capacity)
    if len(every) == 1:
        return function(capacity)
    number = jnp.sum(num_real > jnp.array(every[:-1]))
    return jax.lax.switch(_shared(number), [partial(function, size) for size in every])


@jax.custom_batching.custom_vmap
def _shared(number: Array) -> Array:
    """The same number; mapped over seeds the largest of theirs, for else `vmap` would compute every branch."""
    return number


@_shared.def_vmap
def _largest(axis_size: int, in_batched: list, number: Array) -> tuple[Array, bool]:
    del axis_size
    return (_shared(number.max()) if in_batched[0] else _shared(number)), False
