"""Ensembles whose members share most of their weights: BatchEnsemble and Masksembles.

A member is a function of the shared weights: so any layer may follow, and a draw is a network as every other is.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.dense import dense_kernels
from bal.learners.networks.network import features_of, training_pass
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_no_statistics, check_training, map_members, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class SharedState(NamedTuple):
    """Parameters of all members together, and what each has of its own, leading with K."""

    shared: PyTree
    own: PyTree


@method
def batch_ensemble(
    network: Network,
    num_members: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 16,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K members that share their kernels up to a matrix of rank one: ``log_probs [N, K, C]``, or a `Gaussian`.

    Member k has the kernels ``W ∘ r_k s_kᵀ``, of a convolution by input and output channel, and biases (all parameters
    of one axis) of its own. The factors start as random signs. Each member learns from rows of its own.

    Use it where K networks would not fit into memory; members are more alike than those of an ensemble.

    Args:
      network: what a member is; without batch norm.
      num_members: K.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step, of each member.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import batch_ensemble, mlp
    >>> learner = batch_ensemble(mlp((8,), num_outputs=2), num_members=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)

    Wen, Tran and Ba 2020, "BatchEnsemble: An Alternative Approach to Efficient Ensemble and Lifelong Learning".
    """

    def start(key: PRNGKey, params: PyTree) -> PyTree:
        def one(key: PRNGKey, leaf: Array) -> PyTree:
            if leaf.ndim < 2:
                return leaf
            rows, columns = jax.random.split(key)
            signs = lambda key, size: jax.random.rademacher(key, (size,), leaf.dtype)
            return signs(rows, leaf.shape[-2]), signs(columns, leaf.shape[-1])

        leaves, tree = jax.tree.flatten(params)
        return tree.unflatten(map(one, jax.random.split(key, len(leaves)), leaves))

    def member(shared: PyTree, own: PyTree, number: Array, x: PyTree) -> PyTree:
        def one(leaf: Array, own: PyTree) -> Array:
            return own if leaf.ndim < 2 else leaf * jnp.broadcast_to(jnp.outer(*own), leaf.shape)

        return jax.tree.map(one, shared, own)

    settings = (optimizer, num_steps, minibatch_size, restart, likelihood)
    return _sharing(network, num_members, settings, start, member)


@method
def masksembles(
    network: Network,
    num_members: int,
    *,
    scale: float = 2.0,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 16,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K members that use hidden units of one network by masks that never change: ``log_probs [N, K, C]``.

    Member k keeps ``F / scale`` of the F inputs of every dense layer but the first, and two members have
    ``1 / (2 scale - 1)`` of all the units that either keeps in common, on average: at scale 1 all members are the same,
    at large scales they are an ensemble of narrow networks. Each member learns from rows of its own.

    Use it in place of dropout where draws should be few and differ. Units that no mask keeps are idle, a share
    ``(1 - 1 / scale)^K``: widen the network, or lower the scale, where K is small.

    Args:
      network: of dense layers, as `mlp`; without batch norm.
      num_members: K.
      scale: above 1.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step, of each member.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels; then ``predict`` gives a `Gaussian`.

    Raises:
      ValueError: a setting out of range; from `init`, a network without hidden units, or with layers other than dense.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import masksembles, mlp
    >>> learner = masksembles(mlp((8,), num_outputs=2), num_members=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)

    Durasov, Bagautdinov, Baque and Fua 2021, "Masksembles for Uncertainty Estimation".
    """
    check_factor("scale", scale)
    if scale <= 1:
        raise ValueError(f"scale must be above 1, got {scale}; at 1 all members would be the same network")

    def member(shared: PyTree, own: PyTree, number: Array, x: PyTree) -> PyTree:
        leaves, tree = jax.tree.flatten(shared)
        for layer, place in enumerate(_hidden_kernels(network, shared, x), 1):
            keep = jnp.asarray(masks(num_members, leaves[place].shape[0], scale, layer), leaves[place].dtype)
            leaves[place] = leaves[place] * keep[number][:, None]
        return tree.unflatten(leaves)

    settings = (optimizer, num_steps, minibatch_size, restart, likelihood)
    return _sharing(network, num_members, settings, lambda key, params: None, member)


@lru_cache(maxsize=64)
def masks(num_members: int, num_units: int, scale: float, layer: int = 0) -> np.ndarray:
    """Units that each member keeps, ``[K, F]``: as many for each, at random, by a generator that starts at `layer`.

    Units are exchangeable before training, so masks of other seeds would be no others in distribution.

    >>> masks(3, 8, 2.0).sum(1).tolist()
    [4, 4, 4]
    """
    order = np.random.default_rng(layer).random((num_members, num_units)).argsort(1).argsort(1)
    return order < max(1, round(num_units / scale))


def _hidden_kernels(network: Network, params: PyTree, x: PyTree) -> list[int]:
    """Places of the kernels of all dense layers but the first; ValueError where that is not all there is."""
    places = dense_kernels(network, params, x)
    kernels = {place for place, leaf in enumerate(jax.tree.leaves(params)) if leaf.ndim > 1}
    if kernels != set(places) or len(places) < 2:
        raise ValueError(
            "masksembles masks the hidden units between dense layers, but this network has none or has other layers "
            "too; use mlp((128,), ...), or batch_ensemble"
        )
    return [place for place in places[1:] if place is not None]


def _sharing(
    network: Network,
    num_members: int,
    settings: tuple,
    start: Callable[[PRNGKey, PyTree], PyTree],
    member: Callable[[PyTree, PyTree, Int[Array, ""], PyTree], PyTree],
) -> Learner:
    """The learner of ``start: key, params -> own`` and ``member: shared, own, number, x -> params``."""
    optimizer, num_steps, minibatch_size, restart, likelihood = settings
    check_count("num_members", num_members)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    numbers = np.arange(num_members)

    def init(key: PRNGKey, data: Data) -> SharedState:
        key_shared, key_own = jax.random.split(key)
        shared = network.init(key_shared, data.x)
        check_no_statistics(network, shared, data.x)
        own = jax.vmap(lambda key: start(key, shared))(jax.random.split(key_own, num_members))
        jax.eval_shape(lambda: member(shared, jax.tree.map(lambda leaf: leaf[0], own), jnp.int32(0), data.x))
        return SharedState(shared, own)

    def loss(state: SharedState, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, PyTree]:
        """One number a row, of which each member has as many, in order."""
        x, y = jax.tree.map(lambda leaf: leaf.reshape(num_members, minibatch_size, *leaf.shape[1:]), (x, y))

        def one(own: PyTree, number: Array, x: PyTree, y: Array) -> Array:
            params = member(state.shared, own, number, x)
            return likelihood.loss(training_pass(network, params, x, jax.random.fold_in(key, number))[0], y)

        return map_members(one, state.own, jnp.asarray(numbers), x, y).reshape(-1), None

    def fit(key: PRNGKey, state: SharedState, data: Data) -> SharedState:
        key_init, key_train = (jax.random.fold_in(key, purpose) for purpose in range(2))
        state = restart(state, init(key_init, data))
        return train(loss, optimizer, key_train, state, data, num_steps, num_members * minibatch_size)

    def over_members(fn: Callable[[PyTree], Array], state: SharedState, x: PyTree) -> Array:
        return map_members(
            lambda own, number: fn(member(state.shared, own, number, x)), state.own, jnp.asarray(numbers)
        )

    def predict(state: SharedState, x: PyTree) -> PyTree:
        return likelihood.predictions(over_members(lambda params: network.apply(params, x)[0], state, x))

    def embed(state: SharedState, x: PyTree) -> Float[Array, "N K F"]:
        return over_members(lambda params: features_of(network, params, x), state, x).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed)
