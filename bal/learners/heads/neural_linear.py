"""A network trained each round, whose last hidden layer a Bayesian model is put on."""

from typing import NamedTuple

import jax
import optax
from jaxtyping import Array

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import named
from bal.learners.training import check_training, network_loss, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class NeuralState(NamedTuple):
    """Parameters of the network, and the state of its head."""

    params: PyTree
    head: PyTree


@method
def neural_linear(
    network: Network,
    head: Learner,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """A network trained each round, its output layer replaced by a Bayesian model of its features.

    ``predict``, ``embed`` and ``kernel`` are those of the head at the features ``[N, F]`` of the last hidden layer, so
    variances grow away from the labels in feature space, not everywhere in input space. The network is one point
    estimate; fitted and scored it costs little more than that.

    Use it for one cheap network with joint draws, or, for a regression, a covariance; `laplace` keeps the trained
    output layer.

    Args:
      network: trained by its own output layer, which is then left out.
      head: a learner of features, such as `bayesian_softmax`, `bayesian_linear`, `normal_inverse_gamma` or a Gaussian
        process.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian(...)` for real labels, best of about unit variance: what the network is
        trained by.

    Raises:
      ValueError: a setting out of range; from `init`, a network without features.
      TypeError: a setting of the wrong kind, such as a head that is no learner of JAX.

    >>> import numpy as np
    >>> from bal.learners import bayesian_softmax, mlp, neural_linear
    >>> learner = neural_linear(mlp((8,), num_outputs=2), bayesian_softmax(2, num_draws=3), num_steps=5)
    >>> data = Data(np.ones((4, 2)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).shape
    (4, 3, 2)

    Snoek et al. 2015, "Scalable Bayesian Optimization Using Deep Neural Networks"; Riquelme, Tucker and Snoek 2018,
    "Deep Bayesian Bandits Showdown", who call it neural linear.
    """
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    if not isinstance(head, Learner) or head.host:
        raise TypeError(f"expected a learner of JAX as head, got {named(head)}; use bayesian_softmax(...), say")
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    conditioned = head.fit if head.condition is None else head.condition

    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> NeuralState:
        params = network.init(key, data.x)
        return NeuralState(params, head.init(key, seen(params, data)))

    def fit(key: PRNGKey, state: NeuralState, data: Data) -> NeuralState:
        key_init, key_train, key_head = (jax.random.fold_in(key, purpose) for purpose in range(3))
        params = restart(state.params, network.init(key_init, data.x))
        params = train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)
        return NeuralState(params, head.fit(key_head, state.head, seen(params, data)))

    def condition(key: PRNGKey, state: NeuralState, data: Data) -> NeuralState:
        return NeuralState(state.params, conditioned(key, state.head, seen(state.params, data)))

    def seen(params: PyTree, data: Data) -> Data:
        return data._replace(x=features_of(network, params, data.x))

    def predict(state: NeuralState, x: PyTree) -> PyTree:
        return head.predict(state.head, features_of(network, state.params, x))

    def embed(state: NeuralState, x: PyTree) -> PyTree:
        return head.embed(state.head, features_of(network, state.params, x))  # pyright: ignore[reportOptionalCall]

    def kernel(state: NeuralState, a: PyTree, b: PyTree) -> Array:
        return head.kernel(state.head, a, b)  # pyright: ignore[reportOptionalCall]

    has_embed, has_kernel = head.embed is not None, head.kernel is not None
    return Learner(
        init, fit, predict, embed if has_embed else None, kernel if has_kernel else None, condition=condition
    )
