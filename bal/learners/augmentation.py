"""Changes of inputs that leave their labels as they are: what semi-supervised and self-supervised training lives on.

An augmentation is a function ``key, x [n, ...] -> x``, with noise of its own in every row.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bal.learners.settings import check_count, check_factor, check_rate
from bal.method import method
from bal.typing import PRNGKey, PyTree

Augment = Callable[[PRNGKey, PyTree], PyTree]
"""``key, x [n, ...] -> x``: the same labels, other inputs."""


@method
def jitter(scale: float) -> Augment:
    """Normal noise of standard deviation `scale` on every input, in units of the inputs.

    Raises ValueError for a scale that is negative or not finite.

    >>> jitter(0.0)(jax.random.key(0), jnp.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    check_factor("scale", scale)
    return lambda key, x: x + scale * jax.random.normal(key, x.shape, x.dtype)


@method
def hide(rate: float) -> Augment:
    """A share `rate` of all inputs set to 0, the mean of standardized inputs; what is left is not scaled up.

    Raises ValueError for a rate outside [0, 1).

    >>> hide(0.0)(jax.random.key(0), jnp.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    check_rate(rate)
    return lambda key, x: jnp.where(jax.random.bernoulli(key, rate, x.shape), jnp.zeros((), x.dtype), x)


@method
def shift(pixels: int) -> Augment:
    """Images ``[n, H, W, ...]`` moved by up to `pixels` in each direction, 0 coming in.

    Raises ValueError for less than 1 pixel, and when called on what is no images.

    >>> shift(1)(jax.random.key(0), jnp.ones((4, 8, 8, 1))).shape
    (4, 8, 8, 1)
    """
    check_count("pixels", pixels)

    def move(key: PRNGKey, x: Array) -> Array:
        if x.ndim < 3:
            raise ValueError(f"shift moves images [n, H, W, ...], got shape {x.shape}; reshape the inputs of the pool")
        pad = ((pixels, pixels), (pixels, pixels), *((0, 0),) * (x.ndim - 3))

        def one(by: Array, image: Array) -> Array:
            start = (by[0], by[1], *(jnp.zeros((), by.dtype),) * (image.ndim - 2))
            return jax.lax.dynamic_slice(jnp.pad(image, pad), start, image.shape)

        return jax.vmap(one)(jax.random.randint(key, (len(x), 2), 0, 2 * pixels + 1), x)

    return move


@method
def in_turn(*augmentations: Augment) -> Augment:
    """Several augmentations, first to last, each with a key of its own; none leaves the inputs as they are.

    >>> in_turn()(jax.random.key(0), jnp.ones(1)).tolist(), in_turn(jitter(0.1), hide(0.5))
    ([1.0], in_turn(jitter(scale=0.1), hide(rate=0.5)))
    """

    def all_of_them(key: PRNGKey, x: PyTree) -> PyTree:
        for number, augment in enumerate(augmentations):
            x = augment(jax.random.fold_in(key, number), x)
        return x

    return all_of_them
