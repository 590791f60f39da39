"""Networks as pure functions: an adapter for flax NNX modules, and the few networks of the classic studies.

A user's network is an NNX module whose call takes the inputs and a function `drop`, the only source of
randomness, and returns the outputs together with the features that the last layer saw:

>>> class Net(nnx.Module):
...     def __init__(self, rngs, shape):
...         self.hidden = nnx.Linear(shape[0], 32, rngs=rngs)
...         self.out = nnx.Linear(32, 3, rngs=rngs)
...
...     def __call__(self, x, drop):
...         features = drop(nnx.relu(self.hidden(x)), 0.5)
...         return self.out(features), features
>>> net = network(Net)
>>> x = jnp.ones((4, 7))
>>> params = net.init(jax.random.key(0), x)
>>> outputs, features = net.apply(params, x, key=jax.random.key(1))
>>> outputs.shape, features.shape
((4, 3), (4, 32))
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from bal.learners.networks.conv import Block, ConvNet
from bal.learners.networks.own_modules import build_module, check_builder, check_variable, warn_of_slow
from bal.learners.settings import check_count, check_rate
from bal.method import brief, method
from bal.typing import PyTree


class Network(NamedTuple):
    """A network as two pure functions.

    init: ``key, x -> params``, a tree of plain arrays; `x` is one batch of inputs, read for its shape only.
    apply: ``params, x, key=None, shared=True -> (outputs [n, num_outputs], features [n, F])``.
        Without a key there is no dropout. ``shared=True``: one mask per layer for all rows, a function of the
        key and the layer alone, so that a row's output does not depend on the other rows (one key = one draw
        of the network). ``shared=False``: every row has its own mask, for training.
    tapped: ``params, x, tap -> outputs``, without dropout, every `nnx.Linear` passed through ``tap(h, z) -> z`` with h
        its input, a one appended where it has a bias, and z its product: what `bal.query.layer_gradients` needs.
    """

    init: Callable[..., PyTree]
    apply: Callable[..., tuple[Array, Array]]
    tapped: Callable[..., Array] | None = None

    __repr__ = brief


@method
def network(build: Callable[[nnx.Rngs, Any], nnx.Module]) -> Network:
    """Pure functions of a flax NNX module.

    `build` is ``rngs, shape -> module``, where `shape` is that of one input row (a tree of shapes where the
    inputs are a tree); a module class with that constructor will do. The module is called as
    ``module(x, drop) -> (outputs, features)``. In place of `nnx.Dropout` it calls
    ``drop(h, rate, channels=False)``, which keeps an entry with probability ``1 - rate`` and divides by it;
    ``channels=True`` drops whole channels, the last axis of `h`. Layers are told apart by the order in which
    they call `drop`.

    Raises:
        ValueError: the module holds state other than `nnx.Param`: batch statistics (a row would depend on the
            others), random streams of its own (frozen under `jit`), or bare arrays; or a rate outside [0, 1).
        TypeError: `build` is no builder of nnx modules, or the module does not take a pair or return one.

    Warns on a CPU of `nnx.Conv`, which XLA runs some thirty times slower inside a compiled loop than
    `bal.learners.networks.conv.Conv`.
    """

    check_builder(build)

    @lru_cache(maxsize=64)
    def structure(tree, shapes):
        # Abstract: no weights are made, and nothing of the surrounding trace is kept.
        module = lambda: warn_of_slow(build_module(build, nnx.Rngs(0), tree.unflatten(shapes)))
        return jax.eval_shape(lambda: nnx.split(module()))[0]

    def init(key, x):
        tree, shapes = _row_shapes(x)
        state = nnx.state(build_module(build, nnx.Rngs(key), tree.unflatten(shapes)))
        for path, variable in nnx.to_flat_state(state):
            check_variable(".".join(map(str, path)), variable)
        return nnx.to_pure_dict(state)

    def apply(params, x, key=None, shared=True):
        module: Any = nnx.merge(structure(*_row_shapes(x)), params, copy=True)
        result = module(x, _dropout(key, shared))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(
                f"a module of `network` returns the pair (outputs, features), but {type(module).__name__} "
                f"returned {type(result).__name__}; return the input of the last layer beside its output"
            )
        return result

    def tapped(params, x, tap):
        module: Any = nnx.merge(structure(*_row_shapes(x)), params, copy=True)
        for _, layer in nnx.iter_modules(module):
            if isinstance(layer, nnx.Linear):
                layer.dot_general = partial(_tapped_product, tap, layer.use_bias)
        return module(x, _dropout(None, True))[0]

    return Network(init, apply, tapped)


@method
def linear(num_outputs: int = 10) -> Network:
    """Linear model of the flattened inputs, ``x W + b``; its features are the inputs.

    >>> linear(3).init(jax.random.key(0), jnp.ones((1, 8, 8)))["out"]["kernel"].shape
    (64, 3)
    """
    return mlp((), num_outputs)


@method
def mlp(
    hidden: tuple[int, ...] = (128,),
    num_outputs: int = 10,
    dropout: float = 0.0,
    activation: Callable[[Array], Array] = nnx.relu,
) -> Network:
    """Multi-layer perceptron of the flattened inputs, with dropout after every hidden layer.

    Raises ValueError if a size is below 1, or the rate outside [0, 1); TypeError for sizes that are no whole numbers.

    >>> net = mlp(hidden=(16, 8), num_outputs=3)
    >>> x = jnp.ones((5, 4, 4))
    >>> outputs, features = net.apply(net.init(jax.random.key(0), x), x)
    >>> outputs.shape, features.shape
    ((5, 3), (5, 8))
    """
    _check_sizes(hidden, num_outputs, (dropout,))
    return network(lambda rngs, shape: _MLP(rngs, shape, hidden, num_outputs, dropout, activation))


@method
def lenet(
    num_outputs: int = 10,
    channels: tuple[int, ...] = (32, 64),
    kernel: int = 5,
    hidden: int = 128,
    dropout: float = 0.5,
) -> Network:
    """BatchBALD's network on images ``[n, H, W, A]``: (conv, channel dropout, pool, relu) x 2, dense, output.

    Dropout drops whole channels after a convolution and units after the dense layer. It is applied behind
    pool and relu, which gives the same numbers (both commute with a factor >= 0 shared by a channel) at a
    quarter of the cost.

    Raises ValueError if the inputs are not images, or too small for the kernels, a size is below 1, or a rate outside
    [0, 1).

    Kirsch, van Amersfoort, Gal 2019, "BatchBALD: efficient and diverse batch acquisition for deep Bayesian
    active learning".

    >>> params = jax.eval_shape(lenet().init, jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    >>> params["dense"]["kernel"].shape
    (1024, 128)
    """
    _check_sizes((*channels, kernel, hidden), num_outputs, (dropout,))
    blocks = tuple(Block(size, kernel, True, dropout, True) for size in channels)
    return network(lambda rngs, shape: ConvNet(rngs, shape, blocks, hidden, num_outputs, dropout))


@method
def gal_cnn(
    num_outputs: int = 10,
    channels: tuple[int, int] = (32, 32),
    kernel: int = 4,
    hidden: int = 128,
    dropout: tuple[float, float] = (0.25, 0.5),
) -> Network:
    """Gal's network on images ``[n, H, W, A]``: two convolutions, pool, dropout, dense, dropout, output.

    A relu follows either convolution and the dense layer. `dropout` holds the rates behind the convolutions
    and behind the dense layer; both drop single units.

    Raises ValueError if the inputs are not images, or too small for the kernels, a size is below 1, or a rate outside
    [0, 1).

    Gal, Islam, Ghahramani 2017, "Deep Bayesian active learning with image data".

    >>> params = jax.eval_shape(gal_cnn().init, jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    >>> params["dense"]["kernel"].shape
    (3872, 128)
    """
    _check_sizes((*channels, kernel, hidden), num_outputs, dropout)
    first, second = channels
    blocks = (Block(first, kernel, False, 0.0, False), Block(second, kernel, True, dropout[0], False))
    return network(lambda rngs, shape: ConvNet(rngs, shape, blocks, hidden, num_outputs, dropout[1]))


def _check_sizes(sizes, num_outputs, rates):
    if not isinstance(sizes, tuple | list):
        raise TypeError(f"expected a tuple of layer sizes, got {sizes!r}; use ({sizes!r},)")
    for size in sizes:
        check_count("the size of a layer", size)
    check_count("num_outputs", num_outputs)
    for rate in rates:
        check_rate(rate)


class _MLP(nnx.Module):
    def __init__(self, rngs, shape, hidden, num_outputs, dropout, activation):
        widths = (math.prod(shape), *hidden)
        self.hidden = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(widths)])
        self.out = nnx.Linear(widths[-1], num_outputs, rngs=rngs)
        self.dropout, self.activation = dropout, activation

    def __call__(self, x, drop):
        h = jnp.reshape(x, (x.shape[0], -1))
        h = h.astype(jnp.result_type(h, self.out.kernel[...]))
        for layer in self.hidden:
            h = drop(self.activation(layer(h)), self.dropout)
        return self.out(h), h


def _tapped_product(tap, has_bias, h, kernel, dimensions, **settings):
    ones = jnp.ones((*h.shape[:-1], 1), h.dtype)
    seen = jnp.concatenate([h, ones], -1) if has_bias else h
    return tap(seen, jax.lax.dot_general(h, kernel, dimensions, **settings))


def _dropout(key, shared):
    """The function `drop` of one pass: its masks depend on the key and on the number of earlier calls."""
    layers = itertools.count()

    def drop(h, rate, channels=False):
        layer = next(layers)
        check_rate(rate)
        if key is None or rate == 0.0:
            return h
        rows = 1 if shared else h.shape[0]
        inner = (1,) * (h.ndim - 2) + h.shape[-1:] if channels else h.shape[1:]
        keep = jax.random.bernoulli(jax.random.fold_in(key, layer), 1.0 - rate, (rows, *inner))
        return jnp.where(keep, h / (1.0 - rate), jnp.zeros((), h.dtype))

    return drop


def _row_shapes(x):
    leaves, tree = jax.tree.flatten(x)
    return tree, tuple(leaf.shape[1:] for leaf in leaves)
