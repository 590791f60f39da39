"""Deep ensembles: members trained alike from their own initialisation and data order.

Lakshminarayanan, Pritzel and Blundell 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles"; bootstrap weights as in Rubin 1981, "The Bayesian Bootstrap".
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_training, map_members, network_loss, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class EnsembleState(NamedTuple):
    """Parameters of all members, leading with K."""

    params: PyTree


@method
def ensemble(
    network: Network,
    num_members: int,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
    bootstrap: bool = False,
    mesh: Mesh | None = None,
) -> Learner:
    """A deep ensemble of K classifiers: ``predict`` gives ``log_probs [N, K, C]``.

    Members have their own keys for initialisation, data order, dropout and bootstrap.

    Args:
      network: what a member is.
      num_members: K.
      optimizer: Adam at 1e-3 unless given; its state starts anew every round.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels; then ``predict`` gives a `Gaussian`.
      bootstrap: give each member its own exponential row weights (the Bayesian bootstrap).
      mesh: spread the members over the devices of this one-axis mesh. For a single run; `run_seeds` spreads seeds.

    Raises:
      ValueError: a setting out of range, or members that cannot be spread evenly over the mesh.
      TypeError: a setting of the wrong kind, such as a module class in place of a `Network`.

    >>> import numpy as np
    >>> from bal.learners import ensemble, mlp
    >>> learner = ensemble(mlp((8,), num_outputs=2), num_members=3, num_steps=5)
    >>> data = Data(np.ones((4, 2)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).shape
    (4, 3, 2)
    """
    check_count("num_members", num_members)
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    if mesh is not None and num_members % mesh.size:
        raise ValueError(f"{num_members} members cannot be spread evenly over {mesh.size} devices; use a multiple")
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> EnsembleState:
        return EnsembleState(jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x))

    def fit_member(data: Data, key: PRNGKey, previous: PyTree) -> PyTree:
        key_init, key_train, key_bootstrap = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(previous, network.init(key_init, data.x))
        if bootstrap:
            weight = data.weight * jax.random.exponential(key_bootstrap, data.weight.shape)
            data = data._replace(weight=weight)
        return train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)

    def fit_members(keys: Array, params: PyTree, data: Data) -> PyTree:
        return map_members(partial(fit_member, data), keys, params)

    def fit(key: PRNGKey, state: EnsembleState, data: Data) -> EnsembleState:
        keys = jax.random.split(key, num_members)
        members = fit_members
        if mesh is not None:
            axis = P(mesh.axis_names[0])
            members = jax.shard_map(fit_members, mesh=mesh, in_specs=(axis, axis, P()), out_specs=axis, check_vma=False)
        return EnsembleState(members(keys, state.params, data))

    def predict(state: EnsembleState, x: PyTree) -> PyTree:
        outputs = map_members(lambda params: network.apply(params, x)[0], state.params)
        return likelihood.predictions(outputs)

    def embed(state: EnsembleState, x: PyTree) -> Float[Array, "N K F"]:
        return map_members(lambda params: features_of(network, params, x), state.params).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed)


@method
def tapped_members(network: Network) -> Callable[[EnsembleState, PyTree, Callable], Float[Array, "n K C"]]:
    """What `bal.query.layer_gradients` takes of an ensemble: outputs of all members, every dense layer tapped.

    The gradients of all members lie side by side, so that inner products add up over members and layers. Convolutions
    are left out.

    >>> import numpy as np
    >>> from bal.query import layer_gradients
    >>> from bal.learners import ensemble, mlp
    >>> from bal.typing import Posterior
    >>> network = mlp((8,), num_outputs=2)
    >>> learner = ensemble(network, num_members=3)
    >>> data = Data(np.ones((4, 5)), np.zeros(4, int), np.ones(4))
    >>> state = jax.jit(learner.init)(jax.random.key(0), data)
    >>> gradients = jax.jit(layer_gradients(tapped_members(network)))
    >>> rows = gradients(Posterior(state, learner), None, data.x)
    >>> [(factors.outer.shape, factors.inner.shape) for factors in rows[:2]]
    [((4, 8), (4, 6)), ((4, 2), (4, 9))]
    """

    def forward(state: EnsembleState, x: PyTree, tap: Callable) -> Float[Array, "n K C"]:
        if network.tapped is None:
            raise ValueError("the gradients of layers need a network with `tapped`; make it by bal.learners.network")
        num_members = jax.tree.leaves(state.params)[0].shape[0]
        members = [jax.tree.map(lambda leaf, k=k: leaf[k], state.params) for k in range(num_members)]
        return jnp.stack([network.tapped(params, x, lambda h, z, _: tap(h, z)) for params in members], 1)

    return forward
