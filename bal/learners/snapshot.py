"""Snapshot ensembles: one training whose rate falls and starts again, and the weights at the end of each fall.

Huang, Li, Pleiss, Liu, Hopcroft and Weinberger 2017, "Snapshot Ensembles: Train 1, Get M for Free".
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.ensemble import EnsembleState
from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_training, map_members, network_loss, train_in_parts
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


@method
def snapshot(
    network: Network,
    num_members: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 100,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """The weights at the end of each of K cycles of one training: ``log_probs [N, K, C]``, or a `Gaussian`.

    In step t of a cycle of T steps the optimizer's step is multiplied by ``½ (1 + cos(π (t - 1) / T))``, from 1 to
    almost 0; then the next cycle throws the weights out of what they had settled in.

    Use it as the cheap baseline: K members for one training, but more alike than those of an ensemble.

    Args:
      network: what a member is.
      num_members: K, the number of cycles.
      optimizer: its rate is that of a cycle's first step; Adam at 1e-2 unless given. Its moments outlive the cycles.
      num_steps, minibatch_size: length of a cycle and rows of a step.
      restart: `cold`, `warm` (from the last member) or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels.

    Raises:
      ValueError: a setting out of range.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mlp, snapshot
    >>> learner = snapshot(mlp((8,), num_outputs=2), num_members=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)
    """
    check_count("num_members", num_members)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    check_count("num_steps", num_steps)
    cosine = lambda step: 0.5 * (1 + jnp.cos(jnp.pi * (step % num_steps) / num_steps))
    base = optax.adam(1e-2) if optimizer is None else optimizer
    cyclic = optax.chain(base, optax.scale_by_schedule(cosine))

    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> EnsembleState:
        return EnsembleState(jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x))

    def fit(key: PRNGKey, state: EnsembleState, data: Data) -> EnsembleState:
        key_init, key_train = (jax.random.fold_in(key, purpose) for purpose in range(2))
        last = jax.tree.map(lambda leaf: leaf[-1], state.params)
        params = restart(last, network.init(key_init, data.x))
        keep = lambda noted, params: (noted, params)
        *_, kept = train_in_parts(loss, cyclic, key_train, params, data, num_members, num_steps, minibatch_size, keep)
        return EnsembleState(kept)

    def predict(state: EnsembleState, x: PyTree) -> PyTree:
        return likelihood.predictions(map_members(lambda params: network.apply(params, x)[0], state.params))

    def embed(state: EnsembleState, x: PyTree) -> Float[Array, "N K F"]:
        return map_members(lambda params: features_of(network, params, x), state.params).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed)
