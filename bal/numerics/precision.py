"""What keeps numbers right: float64 inside a float32 program, and NaN that stays NaN."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from bal.typing import Selection


def in_float64(function: Callable) -> Callable:
    """`function` of arrays, traced with float64 switched on: casts to float64 inside it hold, whatever surrounds it.

    A bare ``jax.enable_x64(True)`` does not survive a later `vmap` of a `jit`, `scan` or `while_loop` around it, which
    transforms what is inside with float64 off and so breaks matrix products; here the rule for `vmap` switches it on
    again. Every traced value must be an argument, and random numbers must be drawn outside.

    >>> third = in_float64(lambda x: 1e9 * (x.astype(jnp.float64) / 3 - 1 / 3))
    >>> abs(float(jax.vmap(jax.jit(third))(jnp.ones(2))[0])) < 1e-6
    True
    """

    @jax.custom_batching.custom_vmap
    def call(*args: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args)

    @call.def_vmap
    def batched(axis_size: int, in_batched: Any, *args: Any) -> tuple[Any, Any]:
        del axis_size
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(in_batched))
        out = in_float64(jax.vmap(function, in_axes=axes))(*args)
        return out, jax.tree.map(lambda leaf: True, out)

    return call


def as_floats(x: Any) -> Array:
    """Inputs in floating point of at least 32 bits: whole numbers, truth values and halves have no square roots.

    >>> as_floats(jnp.arange(3)).dtype.name, as_floats(jnp.ones(3, jnp.float16)).dtype.name
    ('float32', 'float32')
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(jnp.result_type(x, float), jnp.float32))


def at_least(x: Float[Array, "*shape"], low: ArrayLike) -> Float[Array, "*shape"]:
    """``max(x, low)``, and NaN stays NaN.

    >>> at_least(jnp.array([-1.0, 2.0, jnp.nan]), 0.0).tolist()
    [0.0, 2.0, nan]
    """
    return jnp.where(x <= low, low, x)


def at_most(x: Float[Array, "*shape"], high: ArrayLike) -> Float[Array, "*shape"]:
    """``min(x, high)``, and NaN stays NaN.

    >>> at_most(jnp.array([-1.0, 2.0, jnp.nan]), 0.0).tolist()
    [-1.0, 0.0, nan]
    """
    return jnp.where(x >= high, high, x)


def defined(scores: Float[Array, "*shape"], *seen: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`scores`, and NaN where a number of `seen` is NaN or infinite: sums of what each score was made from.

    >>> defined(jnp.ones(3), jnp.array([0.0, jnp.nan, jnp.inf])).tolist()
    [1.0, nan, nan]
    """
    return jnp.where(jnp.isfinite(sum(seen)), scores, jnp.nan)


def rounding_error(size: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """How much of a difference of numbers of this size is rounding: ``8 ε size``. Up to this it counts as 0.

    >>> float(rounding_error(jnp.ones(()))) < 1e-6
    True
    """
    return 8 * jnp.finfo(size.dtype).eps * size


def in_single(selection: Selection, info: dict, dtype: Any) -> Selection:
    """Counts and scores in the types of the world outside float64."""
    info = {**selection.info, **info}
    narrow = lambda x: x.astype(dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32)
    info = {name: x if x.dtype == bool else narrow(x) for name, x in info.items()}
    return selection._replace(scores=narrow(selection.scores), info=info)


def to_double(x: Array) -> Array:
    """Float64, inside `in_float64`."""
    return x.astype(jnp.float64)
