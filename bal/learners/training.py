"""Stochastic-gradient training on the fixed-capacity weighted buffer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.learners.likelihood import Likelihood
from bal.learners.networks import Network
from bal.learners.networks.network import training_pass
from bal.learners.settings import check_count, named
from bal.typing import Data, PRNGKey, PyTree


def minibatches(key: PRNGKey, weight: Float[Array, "L"], num_steps: int, minibatch_size: int) -> Int[Array, "T M"]:
    """Rows of every minibatch: uniform draws with replacement among the rows of positive weight.

    The number of such rows is a traced value, so one program serves every round. With no such row at all the rows are
    arbitrary and, having weight 0, teach nothing.

    >>> draw = jax.jit(minibatches, static_argnums=(2, 3))
    >>> rows = draw(jax.random.key(0), jnp.array([0.0, 1.0, 0.0, 2.0]), 2, 8)
    >>> sorted({row for step in rows.tolist() for row in step})
    [1, 3]
    """
    real_first = jnp.argsort(weight <= 0, stable=True)
    num_real = jnp.maximum(jnp.sum(weight > 0), 1)
    return real_first[jax.random.randint(key, (num_steps, minibatch_size), 0, num_real)]


def network_loss(network: Network, likelihood: Likelihood) -> Callable[..., tuple[Array, PyTree]]:
    """The loss that `train` takes of a network by itself: its pass of training, and what the likelihood says of it."""

    def loss(params: PyTree, x: PyTree, y: PyTree, key: PRNGKey) -> tuple[Array, PyTree]:
        outputs, moved = training_pass(network, params, x, key)
        return likelihood.loss(outputs, y), moved

    return loss


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

    A minibatch's sum is divided by what it weighs on average, so that its slope is that of the mean over all rows,
    whatever the weights: rows are drawn alike, and count by their weight.

    `moved` is a prefix of the tree of parameters: None for what the optimizer moves, arrays for what the loss itself
    has moved, such as running statistics; these take the place of the old ones where a row of the minibatch counts.
    Separate keys serve data order and whatever noise the loss uses, so that changing one leaves the other alone.
    Returns the parameters after `num_steps` steps.

    Raises ValueError if the loss is not one number a row.
    """
    descend, inputs = _descent(loss, optimizer, key, data, num_steps, minibatch_size)
    carry: Any = (params, optimizer.init(params))
    (params, _), _ = jax.lax.scan(descend, carry, inputs)
    return params


def train_in_parts(
    loss: Callable[..., tuple[Array, PyTree]],
    optimizer: optax.GradientTransformation,
    key: PRNGKey,
    params: PyTree,
    data: Data,
    num_parts: int,
    num_steps: int,
    minibatch_size: int,
    note: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    noted: PyTree = None,
) -> tuple[PyTree, PyTree, PyTree]:
    """As `train`, in parts of `num_steps` each; after a part ``note(noted, params) -> (noted, kept)`` looks at them.

    Returns the last parameters, what was noted last, and what was kept of every part, leading with their number.
    """
    descend, inputs = _descent(loss, optimizer, key, data, num_parts * num_steps, minibatch_size)
    inputs = jax.tree.map(lambda leaf: leaf.reshape(num_parts, num_steps, *leaf.shape[1:]), inputs)

    def one_part(carry: tuple, inputs: tuple) -> tuple:
        training, noted = carry
        training, _ = jax.lax.scan(descend, training, inputs)
        noted, kept = note(noted, training[0])
        return (training, noted), kept

    carry: Any = ((params, optimizer.init(params)), noted)
    ((params, _), noted), kept = jax.lax.scan(one_part, carry, inputs)
    return params, noted, kept


def _descent(
    loss: Callable, optimizer: optax.GradientTransformation, key: PRNGKey, data: Data, num_steps: int, size: int
) -> tuple[Callable, tuple]:
    """A step ``(params, moments), input -> ((params, moments), None)``, and the inputs of all steps."""
    key_order, key_noise = jax.random.split(key)
    rows = minibatches(key_order, data.weight, num_steps, size)
    usual = size * data.weight.sum() / jnp.maximum(jnp.sum(data.weight > 0), 1)

    def mean_loss(params: PyTree, x: PyTree, y: PyTree, weight: Array, key: PRNGKey) -> tuple[Array, PyTree]:
        each, moved = loss(params, x, y, key)
        if each.shape != weight.shape:
            raise ValueError(f"expected a loss of one number a row, {weight.shape}, got one of shape {each.shape}")
        return jnp.sum(weight * each) / jnp.maximum(usual, 1e-12), moved

    def descend(carry: tuple, inputs: tuple) -> tuple:
        params, moments = carry
        number, batch = inputs
        x, y, weight = jax.tree.map(lambda leaf: leaf[batch], (data.x, data.y, data.weight))
        key = jax.random.fold_in(key_noise, number)
        grads, moved = jax.grad(mean_loss, has_aux=True)(params, x, y, weight, key)
        updates, moments = optimizer.update(grads, moments, params)
        counts = weight.sum() > 0
        choose = lambda new, stepped, old: stepped if new is None else jnp.where(counts, new.astype(old.dtype), old)
        stepped = optax.apply_updates(params, updates)
        return (jax.tree.map(choose, moved, stepped, params, is_leaf=lambda leaf: leaf is None), moments), None

    return descend, (jnp.arange(num_steps), rows)


def map_members(fn: Callable, *members: PyTree) -> PyTree:
    """Map over members (or draws): one after the other on a CPU, where small trainings then stay in cache and
    convolutions stay fast; all at once elsewhere. A program that is exported where a CPU is all there is maps one
    after the other everywhere.

    >>> map_members(lambda a, b: a + b, jnp.arange(3), jnp.arange(3)).tolist()
    [0, 2, 4]
    """
    fn = jax.jit(fn)  # traced once for both
    one_by_one = lambda *members: jax.lax.map(lambda member: fn(*member), members)
    if jax.default_backend() == "cpu":  # no other platform to compile for; tracing both forms would take twice as long
        return one_by_one(*members)
    return jax.lax.platform_dependent(*members, cpu=one_by_one, default=jax.vmap(fn))


def check_no_statistics(network: Network, params: PyTree, x: PyTree) -> None:
    """ValueError for running statistics (batch norm), which belong to one set of weights and no other."""
    if network.train is None:
        return
    first = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), x)
    _, moved = jax.eval_shape(network.train, params, first, jax.random.key(0))
    if jax.tree.leaves(moved):
        raise ValueError(
            "this learner draws weights, which running statistics of batch norm would not fit; use a network with "
            "layer norm or none, or an ensemble"
        )


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
