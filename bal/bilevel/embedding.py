"""Features of rows learned without labels: where to look before there is anything to be uncertain about."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bal.bilevel.nystrom import Features
from bal.learners.augmentation import Augment
from bal.learners.likelihood import categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of, training_pass
from bal.learners.settings import check_count, named
from bal.learners.training import check_training, train
from bal.method import method
from bal.numerics import dot
from bal.pool import as_rows, num_rows
from bal.typing import Data, PRNGKey, PyTree, RowFunction


def finite_rows(x: PyTree) -> PyTree:
    """The rows without NaN and infinities, on the host.

    Raises:
      ValueError: there are none.

    >>> finite_rows([[1.0], [float("nan")]]).tolist()
    [[1.0]]
    """
    x = as_rows(x)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(x)]
    size = num_rows(x)
    finite = np.all([np.isfinite(leaf).all(tuple(range(1, leaf.ndim))) for leaf in leaves], 0)
    if not size or not finite.any():
        raise ValueError(f"expected rows to learn from, got {size}, none of them finite; give inputs of the pool")
    return jax.tree.map(lambda leaf: np.asarray(leaf)[finite], x)


@method
def principal_components(x: Any, num_components: int) -> Features:
    """The first principal components of rows ``x [N, ...]``, each divided by its standard deviation (whitened).

    Use it for the cold start, where it is cheap and often enough: ``select(f(x), None, typiclust(), 10)`` are rows to
    label first.

    Args:
      x: rows to take the directions from, but for those that are not finite.
      num_components: how many, at most N and the number of inputs.

    Raises:
      ValueError: more components than finite rows or inputs.

    >>> import numpy as np
    >>> x = np.array([[3.0, 0.1], [-3.0, 0.1], [0.0, -0.2]])
    >>> np.abs(principal_components(x, 1)(x)).ravel().astype(float).round(3).tolist()
    [1.225, 1.225, 0.0]

    Pearson 1901, "On Lines and Planes of Closest Fit to Systems of Points in Space".
    """
    rows = jnp.asarray(finite_rows(x), float)
    rows = rows.reshape(len(rows), -1)
    if not 1 <= check_count("num_components", num_components) <= min(rows.shape):
        raise ValueError(f"{rows.shape[0]} rows of {rows.shape[1]} inputs have no {num_components} components")
    mean = rows.mean(0)
    _, size, axes = jnp.linalg.svd(rows - mean[None], full_matrices=False)
    scale = size[:num_components] / len(rows) ** 0.5
    weights = axes[:num_components].T / jnp.where(scale > 0, scale, jnp.inf)[None]
    return lambda x: _project(jnp.asarray(x), mean, weights)


@jax.jit
def _project(x: Array, mean: Array, weights: Array) -> Array:
    return dot(x.astype(mean.dtype).reshape(len(x), -1) - mean[None], weights)


@method
def embedded_by(features: Features) -> RowFunction:
    """The row function of features that are the same in every round, whatever the posterior.

    ``Query((Stage(embedded_by(principal_components(x, 10)), typiclust()),))`` is a cold start: it needs no label.

    Raises:
      TypeError: no function.

    >>> embedded_by(jnp.abs)(None, None, jnp.array([[-1.0]])).tolist()
    [[1.0]]
    """
    if not callable(features):
        raise TypeError(
            f"expected features, a function x -> [n, F], got {named(features)}; principal_components(x, 10), say"
        )

    def features_of_rows(posterior: Any, context: PyTree, x: PyTree) -> Float[Array, "n F"]:
        del posterior, context
        return features(x)

    return features_of_rows


@method
def contrastive(
    x: PyTree,
    network: Network,
    augment: Augment,
    *,
    temperature: float = 0.5,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 1000,
    minibatch_size: int = 128,
    key: PRNGKey | int = 0,
) -> Features:
    """Features of a network that was trained to tell rows apart, whatever `augment` does to them: SimCLR, small.

    Each of M rows of a step is changed twice; the cosines of the network's outputs, over the `temperature`, are the
    logits by which one view finds the other among the ``2M - 1`` others. The features are what comes before the last
    layer, which is thrown away, of inputs as they are.

    "Small": one dense layer as projection, no warm-up and no schedule; the rows of a step are drawn with replacement,
    so that a row may meet itself as another.

    Use it when an input can be changed without changing its label, and principal components do not see classes.

    Args:
      x: rows, no labels; those that are not finite teach nothing.
      network: its outputs are compared, its features returned.
      augment: ``key, x -> x``, as `bal.learners.jitter`, `hide` or `shift`, or several `in_turn`.
      temperature: of the softmax over the other views.
      optimizer: Adam at 1e-3 unless given; num_steps, minibatch_size: length of the training, rows M of a step.
      key: of the weights and of all that is drawn, or a seed.

    Returns:
      A function ``x -> [n, F]``.

    Raises:
      ValueError: a setting out of range.
      TypeError: a setting of the wrong kind.

    >>> from bal.learners import jitter, mlp
    >>> x = jax.random.normal(jax.random.key(1), (20, 3))
    >>> features = contrastive(x, mlp((8,), 4), jitter(0.1), num_steps=3, minibatch_size=8)
    >>> features(x).shape
    (20, 8)

    Chen, Kornblith, Norouzi and Hinton 2020, "A Simple Framework for Contrastive Learning of Visual Representations".
    """
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    check_training(network, num_steps, minibatch_size, optimizer, lambda *_: None, categorical)
    if not callable(augment):
        raise TypeError(f"augment changes inputs, key, x -> x, got {augment!r}; use jitter(0.1), hide(0.3), shift(2)")
    check_count("minibatch_size", minibatch_size, least=2)
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}; 0.5 is usual")

    key = jax.random.key(key) if isinstance(key, int) else key
    x = jax.tree.map(jnp.asarray, finite_rows(x))
    params = _learned(key, x, network, augment, temperature, optimizer, num_steps, minibatch_size)
    return lambda x: _features(network, params, x)


@partial(jax.jit, static_argnums=(2, 3, 4, 5, 6, 7))
def _learned(
    key: PRNGKey,
    x: PyTree,
    network: Network,
    augment: Augment,
    temperature: float,
    optimizer: Any,
    num_steps: int,
    minibatch_size: int,
) -> PyTree:
    def loss(params: PyTree, x: PyTree, y: Any, key: PRNGKey) -> tuple[Array, PyTree]:
        del y
        keys = jax.random.split(key, 4)
        first, moved = training_pass(network, params, augment(keys[0], x), keys[2])
        second, _ = training_pass(network, params, augment(keys[1], x), keys[3])
        return contrast(first, second, temperature), moved

    params = network.init(jax.random.fold_in(key, 0), x)
    data = Data(x, jnp.zeros(num_rows(x)), jnp.ones(num_rows(x)))
    return train(loss, optimizer, jax.random.fold_in(key, 1), params, data, num_steps, minibatch_size)


@partial(jax.jit, static_argnums=0)
def _features(network: Network, params: PyTree, x: PyTree) -> Array:
    return features_of(network, params, jax.tree.map(jnp.asarray, x))


def contrast(first: Float[Array, "M P"], second: Float[Array, "M P"], temperature: float) -> Float[Array, "M"]:
    """How hard it is to find one view of each row by the other, in nats, a mean over both ways.

    >>> jax.jit(contrast, static_argnums=2)(jnp.eye(2), jnp.eye(2), 0.01).tolist()
    [0.0, 0.0]
    """
    both = jnp.concatenate([first, second])
    unit = both * jax.lax.rsqrt(jnp.maximum(jnp.sum(both**2, 1, keepdims=True), 1e-12))
    itself = jnp.eye(len(both), dtype=bool)
    logits = jnp.where(itself, -jnp.inf, dot(unit, unit.T) / temperature)
    number = jnp.arange(len(first))
    missed = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.concatenate([number + len(first), number]))
    return (missed[: len(first)] + missed[len(first) :]) / 2
