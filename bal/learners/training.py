"""Stochastic-gradient training on the fixed-capacity weighted buffer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.learners.likelihood import Likelihood
from bal.learners.networks import Network
from bal.learners.settings import check_count, named
from bal.typing import Data, PRNGKey, PyTree


def minibatches(key: PRNGKey, weight: Float[Array, "L"], num_steps: int, minibatch_size: int) -> Int[Array, "T M"]:
    """Rows of every minibatch: uniform draws with replacement among the rows of positive weight.

    The number of such rows is a traced value, so one program serves every round. With no such row at all the rows are
    arbitrary and, having weight 0, teach nothing.

    >>> rows = minibatches(jax.random.key(0), jnp.array([0.0, 1.0, 0.0, 2.0]), 2, 8)
    >>> sorted(set(rows.ravel().tolist()))
    [1, 3]
    """
    real_first = jnp.argsort(weight <= 0, stable=True)
    num_real = jnp.maximum(jnp.sum(weight > 0), 1)
    return real_first[jax.random.randint(key, (num_steps, minibatch_size), 0, num_real)]


def train(
    loss: Callable[..., tuple[Array, PyTree]],
    optimizer: optax.GradientTransformation,
    key: PRNGKey,
    params: PyTree,
    data: Data,
    num_steps: int,
    minibatch_size: int,
) -> PyTree:
    """Minimise the weighted mean of ``loss(params, x, y, key) -> (one number a row, moved)`` by `optimizer`.

    `moved` is a prefix of the tree of parameters: None for what the optimizer moves, arrays for what the loss itself
    has moved, such as running statistics; these take the place of the old ones where a row of the minibatch counts.
    Separate keys serve data order and whatever noise the loss uses, so that changing one leaves the other alone.
    Returns the parameters after `num_steps` steps.

    Raises ValueError if the loss is not one number a row.
    """
    key_order, key_noise = jax.random.split(key)
    rows = minibatches(key_order, data.weight, num_steps, minibatch_size)

    def mean_loss(params: PyTree, x: PyTree, y: PyTree, weight: Array, key: PRNGKey) -> tuple[Array, PyTree]:
        each, moved = loss(params, x, y, key)
        if each.shape != weight.shape:
            raise ValueError(f"expected a loss of one number a row, {weight.shape}, got one of shape {each.shape}")
        return jnp.sum(weight * each) / jnp.maximum(weight.sum(), 1e-12), moved

    def descend(carry: tuple, inputs: tuple) -> tuple:
        params, moments = carry
        number, batch = inputs
        x, y, weight = jax.tree.map(lambda leaf: leaf[batch], (data.x, data.y, data.weight))
        key = jax.random.fold_in(key_noise, number)
        grads, moved = jax.grad(mean_loss, has_aux=True)(params, x, y, weight, key)
        updates, moments = optimizer.update(grads, moments, params)
        counts = weight.sum() > 0
        choose = lambda new, stepped, old: stepped if new is None else jnp.where(counts, new, old)
        stepped = optax.apply_updates(params, updates)
        return (jax.tree.map(choose, moved, stepped, params, is_leaf=lambda leaf: leaf is None), moments), None

    carry: Any = (params, optimizer.init(params))
    (params, _), _ = jax.lax.scan(descend, carry, (jnp.arange(num_steps), rows))
    return params


def map_members(fn: Callable, *members: PyTree) -> PyTree:
    """Map over members (or draws): one after the other on a CPU, where small trainings then stay in cache and
    convolutions stay fast; all at once elsewhere.

    >>> map_members(lambda a, b: a + b, jnp.arange(3), jnp.arange(3)).tolist()
    [0, 2, 4]
    """
    one_by_one = lambda *members: jax.lax.map(lambda member: fn(*member), members)
    return jax.lax.platform_dependent(*members, cpu=one_by_one, default=jax.vmap(fn))


def check_training(
    network: Any, num_steps: Any, minibatch_size: Any, optimizer: Any, restart: Any, likelihood: Any
) -> None:
    """Settings that learners of networks share: TypeError for the wrong kind, ValueError for numbers out of range."""
    if not isinstance(network, Network):
        raise TypeError(f"expected a Network, got {named(network)}; make one by bal.learners.network, or mlp(...)")
    if optimizer is not None and not hasattr(optimizer, "update"):
        raise TypeError(f"expected an optimizer of optax, got {named(optimizer)}; use optax.adam(1e-3), say")
    if not callable(restart):
        raise TypeError(f"expected a restart policy, got {named(restart)}; use cold, warm or shrink_and_perturb()")
    if not isinstance(likelihood, Likelihood):
        raise TypeError(f"expected a Likelihood, got {named(likelihood)}; use categorical, or call gaussian()")
    check_count("num_steps", num_steps, least=0)
    check_count("minibatch_size", minibatch_size)
