"""A committee that is trained a little at every row: an ensemble whose optimizer goes on where it was."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bal.learners import Network, categorical, warm
from bal.learners.settings import check_count
from bal.learners.training import check_training, network_loss
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class CommitteeState(NamedTuple):
    """Parameters and moments of the optimizer of all members, leading with K."""

    params: PyTree
    moments: PyTree


@method
def committee(
    network: Network,
    num_members: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 1,
    minibatch_size: int = 16,
) -> Learner:
    """K classifiers, each taken `num_steps` further by a `fit`: ``predict`` gives ``log_probs [N, K, C]``.

    Members differ by their initialization and by the rows that they draw, in proportion to the weights. Nothing is
    learned while no row has a weight. Unlike `bal.learners.ensemble` a fit never starts anew: one for streams.

    Args:
      network: what a member is.
      num_members: K.
      optimizer: Adam at 3e-3 unless given.
      num_steps, minibatch_size: steps of a fit, and rows of a step.

    Raises:
      ValueError: a setting out of range. TypeError: one of the wrong kind.

    >>> from bal.learners import mlp
    >>> learner = committee(mlp((8,), num_outputs=2), num_members=3)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> one_fit = lambda key: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)
    >>> jax.eval_shape(one_fit, jax.random.key(0)).shape
    (4, 3, 2)
    """
    check_count("num_members", num_members)
    check_training(network, num_steps, minibatch_size, optimizer, warm, categorical)
    optimizer = optax.adam(3e-3) if optimizer is None else optimizer
    loss = network_loss(network, categorical)

    def init(key: PRNGKey, data: Data) -> CommitteeState:
        params = jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x)
        return CommitteeState(params, jax.vmap(optimizer.init)(params))

    def mean_loss(params: PyTree, x: PyTree, y: Int[Array, "M"], counts: Float[Array, ""], key: PRNGKey) -> tuple:
        each, moved = loss(params, x, y, key)
        return counts * each.mean(), moved

    def step(params: PyTree, moments: PyTree, x: PyTree, y: Int[Array, "M"], counts: Array, key: PRNGKey) -> tuple:
        grads, moved = jax.grad(mean_loss, has_aux=True)(params, x, y, counts, key)
        updates, moments = optimizer.update(grads, moments, params)
        choose = lambda new, stepped, old: stepped if new is None else jnp.where(counts > 0, new, old)
        stepped = optax.apply_updates(params, updates)
        return jax.tree.map(choose, moved, stepped, params, is_leaf=lambda leaf: leaf is None), moments

    def fit(key: PRNGKey, state: CommitteeState, data: Data) -> CommitteeState:
        key_rows, key_noise = jax.random.split(key)
        rows = drawn_rows(key_rows, data.weight, (num_steps, num_members, minibatch_size))
        counts = (data.weight.sum() > 0).astype(jnp.float32)

        def one_step(state: CommitteeState, inputs: tuple) -> tuple[CommitteeState, None]:
            number, rows = inputs
            x, y = jax.tree.map(lambda leaf: leaf[rows], (data.x, data.y))
            keys = jax.random.split(jax.random.fold_in(key_noise, number), num_members)
            moved = jax.vmap(step, (0, 0, 0, 0, None, 0))(*state, x, y, counts, keys)
            return CommitteeState(*moved), None

        if num_steps == 1:  # a loop of its own takes longer than what is in it
            return one_step(state, (0, rows[0]))[0]
        return jax.lax.scan(one_step, state, (jnp.arange(num_steps), rows))[0]

    def predict(state: CommitteeState, x: PyTree) -> Float[Array, "N K C"]:
        return categorical.predictions(jax.vmap(lambda params: network.apply(params, x)[0])(state.params))

    return Learner(init, fit, predict)


def drawn_rows(key: PRNGKey, weight: Float[Array, "L"], shape: tuple[int, ...]) -> Int[Array, "..."]:
    """Rows in proportion to their weights, with replacement; the last one where none has a weight.

    >>> sorted(set(drawn_rows(jax.random.key(0), jnp.array([0.0, 1.0, 0.0, 2.0]), (64,)).tolist()))
    [1, 3]
    """
    passed = jnp.cumsum(weight)
    at = jax.random.uniform(key, shape) * passed[-1]
    found = jnp.searchsorted(passed, at.ravel(), side="right", method="compare_all").reshape(shape)
    return jnp.minimum(found, len(weight) - 1)
