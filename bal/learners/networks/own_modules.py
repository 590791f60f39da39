"""Modules that people bring to `network`, checked against what it calls: each misfit in one sentence."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
from flax import linen, nnx

from bal.learners.networks.conv import why_slow
from bal.learners.settings import named


def builder(build: Any, args: tuple, settings: dict[str, Any]) -> Callable[[nnx.Rngs, Any], Any]:
    """``rngs, shape -> module`` of a class or function that takes `args`, and `rngs` and `shape` where it names them.

    Raises TypeError for what is no such class or function, or needs more arguments.
    """
    if isinstance(build, partial):
        return builder(build.func, (*build.args, *args), {**build.keywords, **settings})
    if isinstance(build, nnx.Module):
        raise TypeError(
            f"network builds the module itself, anew for every key, but got {named(build)}, which is built already; "
            "give the class and its arguments, as in network(Net, 784, 10), or a function rngs -> module"
        )
    if not callable(build):
        raise TypeError(f"expected an nnx class, a function rngs -> nnx.Module or a linen module, got {named(build)}")
    is_class = isinstance(build, type)
    parameters = inspect.signature(build.__init__ if is_class else build)  # the signature of an nnx class says nothing
    names = list(parameters.parameters)[is_class:]
    start = (None,) * is_class
    if not args and not settings and "rngs" not in names:  # a function that calls them otherwise
        for count in (2, 1):
            if _binds(parameters, (*start, *range(count)), {}):
                return lambda rngs, shape: build(*(rngs, shape)[:count])
    for given in (("rngs", "shape"), ("rngs",)):
        if set(given) <= set(names) and _binds(parameters, (*start, *args), {**settings, **dict.fromkeys(given)}):
            return lambda rngs, shape: build(
                *args, **settings, **{name: {"rngs": rngs, "shape": shape}[name] for name in given}
            )
    raise TypeError(
        f"network calls {named(build)}(..., rngs=rngs), which takes ({', '.join(names)}); give the other arguments, as "
        "in network(Net, 784, 10), or a function, as in network(lambda rngs: Net(784, 10, rngs=rngs))"
    )


def made(build: Callable, rngs: nnx.Rngs, shape: Any) -> nnx.Module:
    """``build(rngs, shape)``; TypeError if that is no NNX module."""
    module = build(rngs, shape)
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"expected a builder of an nnx.Module, but it returned {named(module)}; return the module, or give "
            "network the linen module itself"
        )
    return module


def check_layer(name: str | None, layers: Mapping[str, Any], module: Any) -> None:
    """A layer to take the features from is there; ValueError if not."""
    if name is not None and name not in layers:
        there = ", ".join(sorted(filter(None, layers)))
        raise ValueError(f"features={name!r} names no layer of {type(module).__name__}; it has {there}")


def check_variable(name: str, variable: Any) -> None:
    """State of a module is trained, a running statistic or a random stream; ValueError for anything else."""
    if not isinstance(variable, nnx.Param | nnx.BatchStat | nnx.RngState):
        raise ValueError(
            f"the parameters of a network are nnx.Param, but `{name}` is {type(variable).__name__}; "
            "make it an nnx.Param if it is trained, or a constant inside __call__ if it is not"
        )


def check_collections(variables: Mapping[str, Any]) -> None:
    """Variables of a linen module are parameters and running statistics; ValueError for anything else."""
    others = sorted(set(variables) - {"params", "batch_stats"})
    if others:
        raise ValueError(
            f"the variables of a network are the collections params and batch_stats, but got {others[0]}; make it a "
            "parameter if it is trained, or a constant inside __call__ if it is not"
        )


def warn_of_slow(layers: Iterable[Any], module: Any) -> None:
    """A warning on a CPU if a layer convolves in a way that has no fast form."""
    if jax.default_backend() != "cpu":
        return
    for layer in layers:
        reason = _why_slow(layer)
        if reason:
            warnings.warn(
                f"{type(module).__name__} holds a {type(layer).__name__} with {reason}, which XLA runs some thirty "
                "times slower inside the compiled loops of a learner on a CPU than without; use plain two-dimensional "
                "convolutions there, or an accelerator",
                stacklevel=2,
            )
            return


def _why_slow(layer: Any) -> str:
    if isinstance(layer, nnx.ConvTranspose | linen.ConvTranspose):
        return "a transposed convolution"
    if not isinstance(layer, nnx.Conv | linen.Conv):
        return ""
    size = (layer.kernel_size,) if isinstance(layer.kernel_size, int) else tuple(layer.kernel_size)
    own = layer.conv_general_dilated not in (None, jax.lax.conv_general_dilated)
    return why_slow(len(size), layer.input_dilation, layer.kernel_dilation, layer.feature_group_count, own)


def _binds(signature: inspect.Signature, args: tuple, settings: dict[str, Any]) -> bool:
    """Whether it can be called so, as far as Python can tell."""
    try:
        signature.bind(*args, **settings)
    except TypeError:
        return False
    return True
