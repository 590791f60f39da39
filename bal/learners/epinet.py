"""Epinets: a small network beside a network, whose inputs are the features of the latter and a random index.

Osband, Wen, Asghari, Dwaracherla, Ibrahimi, Lu and Van Roy 2023, "Epistemic Neural Networks".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network, mlp
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_no_statistics, check_training, map_members, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class Parts(NamedTuple):
    """Parameters of the network, of the epinet, and of the prior, an epinet that is never trained."""

    base: PyTree
    epinet: PyTree
    prior: PyTree


class EpinetState(NamedTuple):
    """All parameters, and the index of each draw."""

    parts: Parts
    draws: Float[Array, "K Z"]


@method
def epinet(
    network: Network,
    num_draws: int,
    *,
    hidden: tuple[int, ...] = (16,),
    index_size: int = 8,
    num_indices: int = 4,
    prior_scale: float = 1.0,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """One network and a small one that turns K random indices into K draws: ``log_probs [N, K, C]``, or a `Gaussian`.

    ``f(x, z) = μ(x) + (σ(φ, z) + prior_scale σ_0(φ, z))ᵀ z``, z standard normal of `index_size` entries, for outputs μ
    and features φ(x) of the network, through which the small networks send back no gradient. σ_0 keeps its first
    weights: where labels are, σ learns to undo it, and elsewhere draws differ as it does. A step averages the loss over
    `num_indices` indices, the same for all rows of the minibatch; labels are not perturbed.

    Use it for many draws that differ jointly, at the price of one pass of the network and K of a small one.

    Args:
      network: the outputs and the features; without batch norm.
      num_draws: K.
      hidden: sizes of the hidden layers of the epinet.
      index_size, num_indices: entries of an index, and indices of a step.
      prior_scale: factor of the prior; 0 leaves draws little to differ by.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`, which moves the prior too.
      likelihood: `categorical`, or `gaussian()` for real labels.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics or without features.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import epinet, mlp
    >>> learner = epinet(mlp((8,), num_outputs=2), num_draws=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)
    """
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    for name, value in (("num_draws", num_draws), ("index_size", index_size), ("num_indices", num_indices)):
        check_count(name, value)
    check_factor("prior_scale", prior_scale)
    mlp(hidden, index_size)  # its checks
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    def start(key: PRNGKey, x: PyTree) -> Parts:
        keys = [jax.random.fold_in(key, part) for part in range(3)]
        base = network.init(keys[0], x)
        outputs, phi = jax.eval_shape(lambda x: (network.apply(base, x)[0], features_of(network, base, x)), x)
        rows = jnp.zeros((1, phi.shape[1] + index_size), phi.dtype)
        epinet, prior = (mlp(hidden, outputs.shape[1] * index_size).init(key, rows) for key in keys[1:])
        return Parts(base, epinet, prior)

    def off(parts: Parts, phi: Float[Array, "n F"], z: Float[Array, "Z"]) -> Float[Array, "n C"]:
        """What an index adds to the outputs."""
        rows = jnp.concatenate([phi, jnp.broadcast_to(z, (len(phi), index_size)).astype(phi.dtype)], 1)
        small = lambda params: mlp(hidden, params["out"]["bias"].shape[0]).apply(params, rows)[0]
        both = small(parts.epinet) + prior_scale * jax.lax.stop_gradient(small(parts.prior))
        return both.reshape(len(phi), -1, index_size) @ z.astype(phi.dtype)

    def init(key: PRNGKey, data: Data) -> EpinetState:
        parts = start(key, data.x)
        check_no_statistics(network, parts.base, data.x)
        return EpinetState(parts, jax.random.normal(key, (num_draws, index_size)))

    def fit(key: PRNGKey, state: EpinetState, data: Data) -> EpinetState:
        key_init, key_train, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(3))
        parts = restart(state.parts, start(key_init, data.x))

        def loss(trained: tuple, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, PyTree]:
            key_masks, key_indices = jax.random.split(key)
            made: Any = network.apply(trained[0], x, key_masks, shared=False)
            (outputs, phi), now = made, Parts(trained[0], trained[1], parts.prior)
            phi = jax.lax.stop_gradient(phi)
            one = lambda z: likelihood.loss(outputs + off(now, phi, z), y)
            return jax.vmap(one)(jax.random.normal(key_indices, (num_indices, index_size))).mean(0), None

        # the prior stays out of the optimizer's reach: weight decay would shrink it
        trained = train(loss, optimizer, key_train, tuple(parts[:2]), data, num_steps, minibatch_size)
        return EpinetState(
            Parts(trained[0], trained[1], parts.prior), jax.random.normal(key_draws, (num_draws, index_size))
        )

    def predict(state: EpinetState, x: PyTree) -> PyTree:
        made: Any = network.apply(state.parts.base, x)
        outputs, phi = made
        return likelihood.predictions(map_members(lambda z: outputs + off(state.parts, phi, z), state.draws))

    def embed(state: EpinetState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.parts.base, x)[:, None]

    return Learner(init, fit, predict, embed)
