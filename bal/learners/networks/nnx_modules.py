"""Flax NNX modules as pure functions.

Parameters and running statistics are one tree of arrays. Random streams are no part of it: in every call stream i gets
the key folded with i. Layers stay what they are and are told what to do: convolutions take the form that is fast in
compiled loops, dense layers note their inputs, and `nnx.BatchNorm` keeps to its running statistics outside of training.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array

from bal.learners.networks.calling import Mode, Passed, Signature, dropout, passed, product, row_shapes, signature
from bal.learners.networks.conv import conv_general_dilated
from bal.learners.networks.own_modules import check_layer, check_variable, made, warn_of_slow
from bal.typing import PRNGKey, PyTree

_STREAMS, _CALL = 2**31 - 2, 2**31 - 1  # behind the numbers of calls of `drop`, which are small


class Structure(NamedTuple):
    """All of a module but its arrays; streams: path, kind and shape of the variables of its random streams."""

    graph: Any
    signature: Signature
    streams: tuple[tuple[tuple, type, tuple], ...]


def nnx_functions(build: Callable[[nnx.Rngs, Any], nnx.Module], features: str | None) -> tuple[Callable, ...]:
    """``init: key, x -> params``, ``call: params, x, key, mode, tap, shared -> Passed`` and ``is_alone: x -> bool``,
    whether rows must be called one by one for masks that they share."""

    @lru_cache(maxsize=64)
    def structure(tree: Any, shapes: tuple) -> Structure:
        found = []

        def split() -> Any:
            found.append(made(build, nnx.Rngs(0), tree.unflatten(shapes)))
            return nnx.split(found[0])

        graph, state = jax.eval_shape(split)  # abstract: no weights are made, nothing of a trace is kept
        layers = {".".join(map(str, path)): layer for path, layer in nnx.iter_modules(found[0]) if path}
        check_layer(features, layers, found[0])
        warn_of_slow(layers.values(), found[0])
        flat = nnx.to_flat_state(state)
        random = [(path, type(leaf), leaf.get_value().shape) for path, leaf in flat if isinstance(leaf, nnx.RngState)]
        return Structure(graph, signature(found[0], may_drop=True), tuple(random))

    def init(key: PRNGKey, x: PyTree) -> PyTree:
        tree, shapes = row_shapes(x)
        structure(tree, shapes)  # its checks come first
        state = nnx.state(made(build, nnx.Rngs(key), tree.unflatten(shapes)))
        for path, variable in nnx.to_flat_state(state):
            check_variable(".".join(map(str, path)), variable)
        return nnx.to_pure_dict(nnx.filter_state(state, nnx.Any(nnx.Param, nnx.BatchStat)))

    def call(
        params: PyTree, x: PyTree, key: Any, mode: Mode, tap: Callable | None = None, shared: bool = True
    ) -> Passed:
        graph, takes, streams = structure(*row_shapes(x))
        key = jax.random.key(0) if mode == "evaluate" else key  # nobody draws from it then
        module: Any = nnx.merge(graph, _with_streams(params, streams, key), copy=True)
        seen, named = _prepare(module, mode, tap, features)
        statistics = {path: leaf for path, leaf in nnx.iter_graph(module) if isinstance(leaf, nnx.BatchStat)}
        rngs = nnx.Rngs(jax.random.fold_in(key, _CALL)) if "rngs" in takes.names else None
        drop = (dropout(None if mode == "evaluate" else key, shared),) if takes.takes_drop else ()
        result = module(x, *drop, **takes.arguments(mode, rngs))
        moved = None
        if mode == "train" and statistics:
            flat = {path: statistics[path][...] if path in statistics else None for path in flatten_dict(params)}
            moved = unflatten_dict(flat)
        return passed(result, named if features else seen, moved, jax.tree.leaves(x)[0].shape[0], module)

    def is_alone(x: PyTree) -> bool:
        _, takes, streams = structure(*row_shapes(x))
        return not takes.takes_drop or bool(streams)

    return init, call, is_alone


def _with_streams(params: PyTree, streams: tuple, key: PRNGKey) -> PyTree:
    """The parameters, and for each random stream a key of its own (or several) and the count 0."""
    if not streams:
        return params
    found = {}
    for number, (path, kind, shape) in enumerate(streams):
        own = jax.random.fold_in(jax.random.fold_in(key, _STREAMS), number)
        own = jax.random.split(own, shape) if shape else own
        found[path] = own if issubclass(kind, nnx.RngKey) else jnp.zeros(shape, jnp.uint32)
    return unflatten_dict(flatten_dict(params) | found)


def _prepare(module: nnx.Module, mode: Mode, tap: Callable | None, features: str | None) -> tuple[list, list]:
    """Tell every layer what to do; returns the lists that will hold the inputs of dense layers, and the features."""
    seen: list[Array] = []
    noted: list[Array] = []
    module.eval() if mode == "evaluate" else module.train()
    for path, layer in list(nnx.iter_modules(module)):
        if isinstance(layer, nnx.Linear):
            bias = (lambda bias=layer.bias: bias[...]) if layer.bias is not None else None
            layer.dot_general = product(tap, bias, seen, layer.dot_general)
        elif isinstance(layer, nnx.Conv) and layer.conv_general_dilated is jax.lax.conv_general_dilated:
            layer.conv_general_dilated = conv_general_dilated
        elif isinstance(layer, nnx.BatchNorm) and mode != "train":
            object.__setattr__(layer, "__class__", _frozen(type(layer)))
        if features is not None and ".".join(map(str, path)) == features:
            object.__setattr__(layer, "noted", noted)
            object.__setattr__(layer, "__class__", _noting(type(layer)))
    return seen, noted


@lru_cache
def _frozen(kind: Any) -> Any:
    """The class of a batch norm that keeps to its running statistics, whatever its caller says."""

    def call(self: Any, x: Array, *args: Any, **settings: Any) -> Array:
        return kind.__call__(self, x, use_running_average=True)

    return type(kind.__name__, (kind,), {"__call__": call})


@lru_cache
def _noting(kind: Any) -> Any:
    """The class of a layer that notes what it returns."""

    def call(self: Any, *args: Any, **settings: Any) -> Any:
        result = kind.__call__(self, *args, **settings)
        self.noted.append(result)
        return result

    return type(kind.__name__, (kind,), {"__call__": call})
