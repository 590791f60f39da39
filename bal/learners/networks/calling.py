"""How a module that people bring is called, and what it returns: the same for NNX and for Linen.

A module is called to "evaluate" (no dropout, running statistics), to "draw" (dropout by a key, running statistics) or
to "train" (dropout by a key, statistics of the minibatch). What it calls that itself is told by the names of its
arguments: `train`, `training`, `is_training`, `deterministic`, `rngs`.
"""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bal.learners.settings import check_rate, named
from bal.typing import PyTree

Mode = Literal["evaluate", "draw", "train"]

_FLAGS = ("train", "training", "is_training")
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Passed(NamedTuple):
    """What one call of a module gives.

    features: ``[n, F]``, or None where no layer was found to take them from.
    moved: a prefix of the parameters' tree with new running statistics, None in place of all that is trained.
    """

    outputs: Array
    features: Array | None
    moved: PyTree


class Signature(NamedTuple):
    """takes_drop: called as ``module(x, drop)``; names: those arguments that say what the call is for."""

    takes_drop: bool
    names: tuple[str, ...]

    def arguments(self, mode: Mode, rngs: Any) -> dict[str, Any]:
        """The keyword arguments of a call."""
        known: dict[str, Any] = dict.fromkeys(_FLAGS, mode != "evaluate") | {"deterministic": mode == "evaluate"}
        known["rngs"] = None if mode == "evaluate" else rngs
        return {name: known[name] for name in self.names}


def signature(module: Any, may_drop: bool) -> Signature:
    """What a call of the module takes beside the inputs; TypeError where `network` cannot know what that is."""
    parameters = list(inspect.signature(module).parameters.values()) if callable(module) else []
    known = (*_FLAGS, "deterministic", "rngs")
    needed = [part.name for part in parameters[1:] if part.default is part.empty and part.kind not in _VARIADIC]
    needed = [name for name in needed if name not in known]
    if not parameters or len(needed) > may_drop:
        takes = f"takes ({', '.join(part.name for part in parameters)})" if callable(module) else "cannot be called"
        also = ", rngs, or drop" if may_drop else ""
        raise TypeError(
            f"network calls module(x), with train or deterministic{also} beside it, but {type(module).__name__} "
            f"{takes}; write def __call__(self, x) and return the last layer's output"
        )
    return Signature(bool(needed), tuple(part.name for part in parameters[1:] if part.name in known))


def passed(result: Any, seen: list[Array], moved: PyTree, num_rows: int, module: Any) -> Passed:
    """Outputs and features of what a module returned, an array or a pair; `seen` are features found on the way."""
    pair = isinstance(result, tuple) and len(result) == 2
    outputs: Any = result[0] if pair else result
    features: Any = result[1] if pair else seen[-1].reshape(num_rows, -1) if seen else None
    if jnp.ndim(outputs) < 2 or outputs.shape[0] != num_rows:
        got = f"an array of shape {outputs.shape}" if hasattr(outputs, "shape") else named(outputs)
        raise TypeError(
            f"a module of `network` returns outputs [n, num_outputs], or the pair (outputs, features), but "
            f"{type(module).__name__} returned {got} for {num_rows} rows"
        )
    return Passed(outputs, features, moved)


def row_by_row(call: Callable[[PyTree], Passed], x: PyTree) -> tuple[Array, Array | None]:
    """Outputs and features where each row is called alone: it sees no other, and the masks of a draw are the same."""

    def one(row: PyTree) -> tuple[Array, Array | None]:
        outputs, features, _ = call(jax.tree.map(lambda leaf: leaf[None], row))
        return outputs[0], None if features is None else features[0]

    return jax.vmap(one)(x)


def row_shapes(x: PyTree) -> tuple[Any, tuple]:
    """Structure of the inputs and the shape of one row of each leaf."""
    leaves, tree = jax.tree.flatten(x)
    return tree, tuple(leaf.shape[1:] for leaf in leaves)


def dropout(key: Any, shared: bool) -> Callable[..., Array]:
    """The function `drop` of one pass: its masks depend on the key and on the number of earlier calls."""
    layers = itertools.count()

    def drop(h: Array, rate: float, channels: bool = False) -> Array:
        layer = next(layers)
        check_rate(rate)
        if key is None or rate == 0.0:
            return h
        rows = 1 if shared else h.shape[0]
        inner = (1,) * (h.ndim - 2) + h.shape[-1:] if channels else h.shape[1:]
        keep = jax.random.bernoulli(jax.random.fold_in(key, layer), 1.0 - rate, (rows, *inner))
        return jnp.where(keep, h / (1.0 - rate), jnp.zeros((), h.dtype))

    return drop


def product(
    tap: Callable | None, bias: Callable[[], Array] | None, seen: list[Array], multiply: Callable
) -> Callable[..., Array]:
    """A dense layer's ``dot_general`` that notes its input, and hands input (a one appended where there is a bias),
    product and weights (the bias their last row) to `tap`."""

    def dot_general(h: Array, kernel: Array, dimensions: Any, **settings: Any) -> Array:
        seen.append(h)
        z = multiply(h, kernel, dimensions, **settings)
        if tap is None:
            return z
        if bias is None:
            return tap(h, z, kernel)
        ones = jnp.ones((*h.shape[:-1], 1), h.dtype)
        return tap(jnp.concatenate([h, ones], -1), z, jnp.concatenate([kernel, bias()[None].astype(kernel.dtype)]))

    return dot_general
