"""Flax Linen modules as pure functions.

Variables are the tree of collections that `linen.Module.init` makes: parameters, and running statistics where there are
some. Layers are told what to do as they are called: convolutions take the form that is fast in compiled loops, dense
layers note their inputs, dropout is off without a key, and batch norms keep to their running statistics outside of
training, whatever the module passes to them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from bal.learners.networks.calling import Mode, Passed, passed, product, row_shapes, signature
from bal.learners.networks.conv import conv_general_dilated
from bal.learners.networks.own_modules import check_collections, check_layer, warn_of_slow
from bal.typing import PRNGKey, PyTree


def linen_functions(module: linen.Module, features: str | None) -> tuple[Callable, ...]:
    """``init: key, x -> params``, ``call: params, x, key, mode, tap, shared -> Passed`` and ``is_alone: x -> bool``."""
    takes = signature(module, may_drop=False)

    def variables(key: PRNGKey, x: PyTree, seen: dict[str, Any]) -> PyTree:
        blank = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), x)
        with linen.intercept_methods(_around("evaluate", None, [], [], features, seen)):
            return module.init({"params": key, "dropout": key}, blank, **takes.arguments("evaluate", None))

    @lru_cache(maxsize=64)
    def look(tree: Any, shapes: tuple, dtypes: tuple) -> None:
        layers: dict[str, Any] = {}
        rows = [jax.ShapeDtypeStruct((1, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        check_collections(jax.eval_shape(lambda x: variables(jax.random.key(0), x, layers), tree.unflatten(rows)))
        check_layer(features, layers, module)
        warn_of_slow(layers.values(), module)

    def init(key: PRNGKey, x: PyTree) -> PyTree:
        look(*row_shapes(x), tuple(leaf.dtype for leaf in jax.tree.leaves(x)))
        return variables(key, x, {})

    def call(
        params: PyTree, x: PyTree, key: Any, mode: Mode, tap: Callable | None = None, shared: bool = True
    ) -> Passed:
        del shared  # rows are called one by one where they share a mask
        seen, noted = [], []
        streams = {} if mode == "evaluate" else {"params": jax.random.fold_in(key, 0), "dropout": key}
        moving = [] if mode == "evaluate" else [name for name in params if name != "params"]
        with linen.intercept_methods(_around(mode, tap, seen, noted, features, {})):
            result = module.apply(params, x, rngs=streams, mutable=moving or False, **takes.arguments(mode, None))
        result, moved = result if moving else (result, None)
        moved = {name: moved.get(name) for name in params} if moved and mode == "train" else None
        return passed(result, noted if features else seen, moved, jax.tree.leaves(x)[0].shape[0], module)

    return init, call, lambda x: True


def _around(
    mode: Mode, tap: Callable | None, seen: list, noted: list, features: str | None, layers: dict[str, Any]
) -> Callable:
    """What happens around the call of each layer, for `linen.intercept_methods`; `layers` are collected by path."""

    def around(call: Callable, args: tuple, settings: dict, context: Any) -> Any:
        layer, inputs = context.module, (*args, *settings.values())[:1]
        if context.method_name != "__call__":
            return call(*args, **settings)
        path = ".".join(layer.path)
        layers[path] = layer
        if isinstance(layer, linen.Dropout) and mode == "evaluate":
            return inputs[0]
        told: dict[str, Any] = {}
        if isinstance(layer, linen.BatchNorm) and mode != "train":
            told, args, settings = {"use_running_average": None}, inputs, {"use_running_average": True}
        if isinstance(layer, linen.Dense):
            bias = (lambda: layer.get_variable("params", "bias")) if layer.use_bias else None
            told = {"dot_general": product(tap, bias, seen, layer.dot_general or jax.lax.dot_general)}
        if isinstance(layer, linen.Conv) and layer.conv_general_dilated is None:
            told = {"conv_general_dilated": conv_general_dilated}
        with _told(layer, told):
            result = call(*args, **settings)
        if path == features:
            noted.append(result)
        return result

    return around


@contextmanager
def _told(layer: linen.Module, settings: dict[str, Any]) -> Iterator[None]:
    """Other settings of a layer for the length of one call; layers are bound anew by every `apply`."""
    before = {name: getattr(layer, name) for name in settings}
    for name, value in settings.items():
        object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(layer, name, value)
