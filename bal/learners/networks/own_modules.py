"""Modules that people bring to `network`, checked against what it calls: each misfit in one sentence."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
from flax import linen, nnx

from bal.learners.settings import named


def check_builder(build: Any) -> None:
    """A class or function ``rngs, shape -> nnx.Module``; TypeError for anything else."""
    if isinstance(build, linen.Module) or (isinstance(build, type) and issubclass(build, linen.Module)):
        raise TypeError(
            f"network takes flax NNX modules, but {named(build)} is one of flax.linen; write it as an nnx.Module, or "
            "give two pure functions: Network(init, apply)"
        )
    if isinstance(build, nnx.Module):
        raise TypeError(
            f"network builds the module itself, anew for every key, but got {named(build)}, which is built already; "
            "give the class, or a function rngs, shape -> module"
        )
    if not callable(build):
        raise TypeError(f"expected a class or function rngs, shape -> nnx.Module, got {named(build)}")
    called = build.__init__ if isinstance(build, type) else build  # the signature of an nnx class says nothing
    if not _takes(called, 3 if isinstance(build, type) else 2):
        raise TypeError(
            f"network calls {named(build)}(rngs, shape), which takes ({_parameters(called)}); "
            "wrap it, as in network(lambda rngs, shape: Net(shape[0], 10, rngs=rngs))"
        )


def build_module(build: Callable, rngs: nnx.Rngs, shape: Any) -> nnx.Module:
    """``build(rngs, shape)``, if that is a module which is called as ``module(x, drop)``; TypeError if not."""
    module = build(rngs, shape)
    name = type(module).__name__
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"expected a builder of an nnx.Module, but {named(build)} returned {named(module)}; return the module"
        )
    if not callable(module) or not _takes(module, 2):
        takes = f"takes ({_parameters(module)})" if callable(module) else "cannot be called"
        raise TypeError(
            f"network calls module(x, drop) and expects the pair (outputs, features), but {name} {takes}; write "
            "def __call__(self, x, drop) and return the last layer's output and its input"
        )
    return module


def warn_of_slow(module: nnx.Module) -> nnx.Module:
    """The module, with a warning on a CPU if it convolves by `nnx.Conv`."""
    if jax.default_backend() == "cpu" and any(type(part) is nnx.Conv for _, part in nnx.iter_modules(module)):
        warnings.warn(
            f"{type(module).__name__} holds nnx.Conv, which XLA runs some thirty times slower inside the compiled "
            "loops of a learner on a CPU; use bal.learners.networks.Conv (stride one, no padding: jnp.pad before it)",
            stacklevel=2,
        )
    return module


def check_variable(name: str, variable: Any) -> None:
    """State of a module is `nnx.Param`; ValueError for anything else."""
    if isinstance(variable, nnx.Param):
        return
    if isinstance(variable, nnx.BatchStat):
        raise ValueError(
            f"a row's output may not depend on the other rows, but `{name}` holds batch statistics; "
            "use nnx.LayerNorm or nnx.GroupNorm in place of nnx.BatchNorm"
        )
    if isinstance(variable, nnx.RngState):
        raise ValueError(
            f"randomness comes from the key of `apply` alone, but `{name}` is a random stream of the "
            "module's own; call drop(h, rate) in place of nnx.Dropout"
        )
    raise ValueError(
        f"the parameters of a network are nnx.Param, but `{name}` is {type(variable).__name__}; "
        "make it an nnx.Param if it is trained, or a constant inside __call__ if it is not"
    )


def _parameters(function: Callable) -> str:
    return ", ".join(inspect.signature(function).parameters)


def _takes(function: Callable, count: int) -> bool:
    """Whether it can be called with so many positional arguments, as far as Python can tell."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True
