"""Networks as pure functions: flax modules as flax teaches them, and the few networks of the classic studies.

A module takes inputs and returns outputs, with `nnx.Dropout`, `nnx.BatchNorm` and convolutions of its own:

>>> class Net(nnx.Module):
...     def __init__(self, size, outputs, *, rngs):
...         self.hidden = nnx.Linear(size, 32, rngs=rngs)
...         self.dropout = nnx.Dropout(0.5, rngs=rngs)
...         self.out = nnx.Linear(32, outputs, rngs=rngs)
...
...     def __call__(self, x):
...         return self.out(self.dropout(nnx.relu(self.hidden(x))))
>>> net = network(Net, 7, 3)
>>> x = jnp.ones((4, 7))
>>> params = jax.jit(net.init)(jax.random.key(0), x)
>>> outputs, features = jax.jit(net.apply)(params, x, key=jax.random.key(1))
>>> outputs.shape, features.shape
((4, 3), (4, 32))
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jaxtyping import Array

from bal.learners.networks.calling import row_by_row
from bal.learners.networks.conv import Block, ConvNet
from bal.learners.networks.linen_modules import linen_functions
from bal.learners.networks.nnx_modules import nnx_functions
from bal.learners.networks.own_modules import builder
from bal.learners.settings import check_count, check_rate, named
from bal.method import brief_repr, method
from bal.typing import PRNGKey, PyTree


class Network(NamedTuple):
    """A network as pure functions.

    init: ``key, x -> params``, a tree of plain arrays; `x` is one batch of inputs, read for its shape only.
    apply: ``params, x, key=None, shared=True -> (outputs [n, num_outputs], features [n, F] or None)``.
        Without a key there is no dropout. ``shared=True``: one mask per layer for all rows, a function of the
        key and the layer alone, so that a row's output does not depend on the other rows (one key = one draw
        of the network). ``shared=False``: every row has its own mask, for training.
    tapped: ``params, x, tap -> outputs``, without dropout, every dense layer passed through ``tap(h, z, w) -> z`` with
        h its input, a one appended where it has a bias, z its product and w its weights, the bias their last row.
    train: ``params, x, key -> (outputs, moved)``, a pass of training; `moved` is a prefix of the tree of params that
        holds new running statistics (of `nnx.BatchNorm`, say) and None for all that the optimizer moves.
    """

    init: Callable[..., PyTree]
    apply: Callable[..., tuple[Array, Array | None]]
    tapped: Callable[..., Array] | None = None
    train: Callable[..., tuple[Array, PyTree]] | None = None

    __repr__ = brief_repr


@method
def network(build: Callable, *args: Any, features: str | None = None, **settings: Any) -> Network:
    """Pure functions of a flax module, NNX or Linen, as it is.

    ``network(Net, 784, 10)`` for an NNX class that is made by ``Net(784, 10, rngs=rngs)``; a function of `rngs`, or of
    `rngs` and the `shape` of one input row, that returns the module; ``network(Net(features=10))`` for Linen. The
    module takes the inputs and returns outputs ``[n, num_outputs]``; where its call has arguments `train`, `training`,
    `is_training`, `deterministic` or (NNX) `rngs`, they are given.

    Dropout: layers of flax, or any draw from the module's random streams. In training each row has masks of its own; in
    a posterior draw each layer has one, a function of the key of the draw, because each row is called alone.

    Batch norm: in training the statistics are those of the minibatch, all of whose rows are labeled, and the running
    ones follow; they lie in the parameters' tree, where a cold start begins them anew, a warm one goes on with them and
    `shrink_and_perturb` shrinks them like a weight. Outside of training they are used as they are.

    Convolutions: on a CPU `nnx.Conv` and `linen.Conv` take the form of `bal.learners.networks.conv`, because XLA's is
    some thirty times slower in a compiled loop; those that have no such form (dilation, feature groups, transposed,
    one or three axes) are warned of.

    A module may also take a function `drop` beside the inputs in place of random streams: ``drop(h, rate,
    channels=False)`` keeps an entry with probability ``1 - rate`` and divides by it; ``channels=True`` drops whole
    channels, the last axis of `h`. Layers are then told apart by the order in which they call it.

    Args:
      build, args, settings: the class and its arguments, a function, or a Linen module.
      features: the layer whose output is embedded, by name ("encoder.dense", "layers.0"; of Linen "Dense_0"). By
        default the input of the dense layer that was called last; a module that returns ``(outputs, features)`` says it
        itself.

    Raises:
      ValueError: the module holds state that is neither trained, nor a running statistic, nor a random stream; no layer
        of that name; a rate outside [0, 1) given to `drop`.
      TypeError: `build` is no builder of modules, or the module is called otherwise or returns something else.

    >>> from flax import linen
    >>> net = network(linen.Sequential([linen.Dense(8), jnp.tanh, linen.Dense(3)]))
    >>> x = jnp.ones((4, 5))
    >>> params = jax.jit(net.init)(jax.random.key(0), x)
    >>> [leaf.shape for leaf in jax.jit(net.apply)(params, x)]
    [(4, 3), (4, 8)]
    """
    if isinstance(build, type) and issubclass(build, linen.Module):
        build, args, settings = build(*args, **settings), (), {}
    if isinstance(build, linen.Module):
        if args or settings:
            raise TypeError(
                f"network takes a linen module as it is, but got arguments beside {named(build)}; drop them"
            )
        init, call, is_alone = linen_functions(build, features)
    else:
        init, call, is_alone = nnx_functions(builder(build, args, settings), features)

    def apply(params: PyTree, x: PyTree, key: jax.Array | None = None, shared: bool = True) -> tuple:
        mode = "evaluate" if key is None else "draw"
        if key is not None and not shared:
            return call(params, x, key, "train", None, False)[:2]
        if is_alone(x):
            return row_by_row(lambda row: call(params, row, key, mode), x)
        return call(params, x, key, mode)[:2]

    def tapped(params: PyTree, x: PyTree, tap: Callable) -> Array:
        return call(params, x, None, "evaluate", tap).outputs

    def train(params: PyTree, x: PyTree, key: PRNGKey) -> tuple[Array, PyTree]:
        outputs, _, moved = call(params, x, key, "train", None, False)
        return outputs, moved

    return Network(init, apply, tapped, train)


def training_pass(network: Network, params: PyTree, x: PyTree, key: PRNGKey) -> tuple[Array, PyTree]:
    """Outputs in training, where every row has its own masks, and what has moved of the parameters' tree."""
    if network.train is None:
        return network.apply(params, x, key, shared=False)[0], None
    return network.train(params, x, key)


def features_of(network: Network, params: PyTree, x: PyTree) -> Array:
    """The features ``[n, F]``; ValueError where the network has none."""
    features = network.apply(params, x)[1]
    if features is None:
        raise ValueError(
            "this network has no dense layer whose input could be its features; name a layer, as in "
            'network(Net, features="pooled")'
        )
    return features


@method
def linear(num_outputs: int = 10) -> Network:
    """Linear model of the flattened inputs, ``x W + b``; its features are the inputs.

    >>> params = jax.eval_shape(linear(3).init, jax.random.key(0), jnp.ones((1, 8, 8)))
    >>> params["out"]["kernel"].shape
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
    >>> params = jax.jit(net.init)(jax.random.key(0), x)
    >>> outputs, features = jax.jit(net.apply)(params, x)
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

    >>> params = jax.eval_shape(lenet().init, jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    >>> params["dense"]["kernel"].shape
    (1024, 128)

    Kirsch, van Amersfoort, Gal 2019, "BatchBALD: efficient and diverse batch acquisition for deep Bayesian
    active learning".
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

    >>> params = jax.eval_shape(gal_cnn().init, jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    >>> params["dense"]["kernel"].shape
    (3872, 128)

    Gal, Islam, Ghahramani 2017, "Deep Bayesian active learning with image data".
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
