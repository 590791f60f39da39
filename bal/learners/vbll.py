"""Variational Bayesian last layers: a normal of the last layer's weights, trained with the features before it.

Harrison, Willes and Snoek 2024, "Variational Bayesian Last Layers".
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from bal.learners.heads.features import check_variance, with_ones
from bal.learners.heads.linear import LinearRows, LinearState, bayesian_linear, given_noise
from bal.learners.heads.normals import FASTER, Head, divergence, full_spreads, spread
from bal.learners.likelihood import categorical, gaussian
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_no_statistics, check_training, train
from bal.method import method
from bal.numerics import dot
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree


class Trained(NamedTuple):
    """Parameters of the network, whose own last layer stays out of it, and the head."""

    params: PyTree
    head: Head


class VbllState(NamedTuple):
    """What is trained, and the weights of K draws of the last layer.

    converged: False where full covariances were not found, or a training ended in NaN.
    """

    trained: Trained
    draws: Float[Array, "K P F"]
    converged: Bool[Array, "1"]


class VbllRegressionState(NamedTuple):
    """What is trained, and the posterior of the last layer given it."""

    trained: Trained
    head: LinearState


@method
def vbll(
    network: Network,
    num_draws: int,
    *,
    prior: float = 1.0,
    diagonal: bool = True,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
) -> Learner:
    """A classifier whose last layer is a posterior, one normal a class: ``log_probs [N, K, C]`` of K draws of it.

    The logits are ``W φ(x)``, of features φ with a one appended. Network and normals ``q = Π_c N(m_c, S_c)``, S_c
    diagonal, minimize

    ``Σ_n w_n (log Σ_c exp(m_c·φ_n + ½ φ_n·S_c φ_n) - m_y·φ_n) + Σ_c KL(q_c ‖ N(0, prior / F))``

    over ``Σ_n w_n``, above the negative log evidence by Jensen's inequality. Full covariances are then set where that
    is least given features and means, ``S_c⁻¹ = F / prior + Σ_n w_n π_nc φ_n φ_nᵀ`` with π_n the softmax of ``m_c·φ_n +
    ½ φ_n·S_c φ_n``: about as low as by training them, at a small part of the price. A draw of W serves all rows. Beside
    the features of one network, K draws cost K products with W. The output layer of the network itself is not used: it
    only tells the number of classes.

    Use it when a trained network must also say what it does not know, at the price of one.

    Args:
      network: the features; without batch norm.
      num_draws: K.
      prior: variance of the prior, before it is divided by the number of features and the one.
      diagonal: covariances stay diagonal; False = full in the end, C Cholesky factors of F x F a few times over.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics or without features.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mlp, vbll
    >>> learner = vbll(mlp((8,), num_outputs=2), num_draws=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)
    """
    check_count("num_draws", num_draws)
    scale, settings = _scale(prior), (optimizer, num_steps, minibatch_size, restart)

    def loss(head: Head, phi: Array, y: Array) -> Float[Array, "n"]:
        half = spread(head.log_scale, phi) / 2
        labels = y if y.ndim == 2 else jax.nn.one_hot(y, half.shape[1])
        # the cross entropy of the sum has subtracted the half of the label's class
        return categorical.loss(phi @ head.mean.T + half, y) + jnp.sum(labels * half, 1)

    start, trained = _last_layer(network, scale, None, settings, loss)

    def init(key: PRNGKey, data: Data) -> VbllState:
        first = start(key, data.x)
        return VbllState(first, first.head.mean[None] + independent(first.head, normals(key, first)), jnp.ones(1, bool))

    def fit(key: PRNGKey, state: VbllState, data: Data) -> VbllState:
        found = trained(key, state.trained, data)
        z = normals(jax.random.fold_in(key, 2), found)
        draws = found.head.mean[None] + (independent(found.head, z) if diagonal else together(found, data, z))
        return VbllState(found, draws, jnp.isfinite(draws).all()[None])

    def normals(key: PRNGKey, trained: Trained) -> Float[Array, "K P F"]:
        return jax.random.normal(key, (num_draws, *trained.head.mean.shape), trained.head.mean.dtype)

    def independent(head: Head, z: Array) -> Float[Array, "K P F"]:
        return jnp.exp(FASTER * head.log_scale)[None] * z

    def together(trained: Trained, data: Data, z: Array) -> Float[Array, "K P F"]:
        phi = jnp.where(data.weight[:, None] > 0, scale(features_of(network, trained.params, data.x)), 0.0)
        return full_spreads(trained.head, phi, data.weight, z.transpose(1, 2, 0)).transpose(2, 0, 1)

    def predict(state: VbllState, x: PyTree) -> Float[Array, "N K C"]:
        phi = scale(features_of(network, state.trained.params, x))
        logits = dot(phi, state.draws.reshape(-1, phi.shape[1]).T)
        return jax.nn.log_softmax(logits.reshape(len(phi), *state.draws.shape[:2]), -1)

    def embed(state: VbllState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.trained.params, x)[:, None]

    return Learner(init, fit, predict, embed)


@method
def vbll_regression(
    network: Network,
    *,
    noise: float | None = None,
    prior: float = 1.0,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
) -> Learner:
    """Regression by ``y = w·φ(x) + e`` with a posterior of w: a `Gaussian` of one draw, and its covariance.

    Network, normal ``q = N(m, S)``, S diagonal, and the variance σ² of labels maximize the bound on the log evidence

    ``Σ_n w_n (log N(y_n; m·φ_n, σ²) - φ_n·S φ_n / (2 σ²)) - KL(q ‖ N(0, prior / F)) - 3/2 log σ² - 0.005 / σ²``

    over ``Σ_n w_n``, of features φ with a one appended; the last two terms, a prior, drop out where σ² is given. Then q
    is set where the bound is highest of all full covariances, given φ and σ²: the exact posterior of Bayesian linear
    regression, at which the bound is the log evidence.

    Use it when scores and batch rules for Gaussian processes are wanted of a network: `embed` and `kernel` give its
    posterior covariance. The prior of the noise is made for labels of unit variance.

    Args:
      network: the features; its own output layer is not used.
      noise: σ², or None = trained.
      prior: variance of the prior, before it is divided by the number of features and the one.
      optimizer: Adam at 1e-3 unless given.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics or without features.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mlp, vbll_regression
    >>> learner = vbll_regression(mlp((8,), num_outputs=1), num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.arange(4.0), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).variance.shape
    (4, 1)
    """
    scale, settings = _scale(prior), (optimizer, num_steps, minibatch_size, restart)
    check_variance("noise", noise)

    def log_noise(head: Head) -> Float[Array, ""]:
        return FASTER * head.log_noise if noise is None else jnp.full_like(head.log_noise, math.log(noise))

    def loss(head: Head, phi: Array, y: Array) -> Float[Array, "n"]:
        log_variance = log_noise(head)
        deviation = jnp.exp(0.5 * log_variance)
        each = gaussian(1.0).loss(phi @ head.mean.T / deviation, y / deviation)
        return each + 0.5 * (log_variance + spread(head.log_scale, phi)[:, 0] / deviation**2)

    def penalty(head: Head) -> Float[Array, ""]:
        return 1.5 * log_noise(head) + 0.005 * jnp.exp(-log_noise(head)) if noise is None else jnp.zeros(())

    start, trained = _last_layer(network, scale, 1, settings, loss, penalty)
    head = bayesian_linear(noise=1.0, prior=1.0)  # how to use its state; `given_noise` makes it

    def init(key: PRNGKey, data: Data) -> VbllRegressionState:
        found = start(key, data.x)
        return VbllRegressionState(found, head.init(key, seen(found, data)))

    def fit(key: PRNGKey, state: VbllRegressionState, data: Data) -> VbllRegressionState:
        found = trained(key, state.trained, data)
        return VbllRegressionState(found, posterior(found, data))

    def posterior(found: Trained, data: Data) -> LinearState:
        rows = seen(found, data)
        return given_noise(rows, jnp.exp(log_noise(found.head)), prior / (rows.x.shape[1] + 1))

    def seen(found: Trained, data: Data) -> Data:
        return data._replace(x=features_of(network, found.params, data.x))

    def predict(state: VbllRegressionState, x: PyTree) -> Gaussian:
        return head.predict(state.head, features_of(network, state.trained.params, x))

    def embed(state: VbllRegressionState, x: PyTree) -> LinearRows:
        return head.embed(state.head, features_of(network, state.trained.params, x))  # pyright: ignore

    def kernel(state: VbllRegressionState, a: LinearRows, b: LinearRows) -> Float[Array, ""]:
        return head.kernel(state.head, a, b)  # pyright: ignore[reportOptionalCall]

    return Learner(init, fit, predict, embed, kernel)


def _last_layer(
    network: Network,
    scale: Callable[[Array], Array],
    num_outputs: int | None,
    settings: tuple,
    loss: Callable[[Head, Array, Array], Array],
    penalty: Callable[[Head], Array] = lambda head: jnp.zeros(()),
) -> tuple[Callable[[PRNGKey, PyTree], Trained], Callable[[PRNGKey, Trained, Data], Trained]]:
    """Start and training of a network and its head, by ``loss: head, phi [n, F], y -> [n]`` and a penalty on the head.

    The network tells the number of outputs where it is None.
    """
    optimizer, num_steps, minibatch_size, restart = settings
    check_training(network, num_steps, minibatch_size, optimizer, restart, categorical)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    def start(key: PRNGKey, x: PyTree) -> Trained:
        params = network.init(key, x)
        check_no_statistics(network, params, x)
        outputs, hidden = jax.eval_shape(lambda x: (network.apply(params, x)[0], features_of(network, params, x)), x)
        shape = outputs.shape[1] if num_outputs is None else num_outputs, hidden.shape[1] + 1
        mean = jax.random.normal(jax.random.fold_in(key, 1), shape, hidden.dtype)
        return Trained(params, Head(mean, jnp.full_like(mean, math.log(0.1) / FASTER), jnp.zeros((), hidden.dtype)))

    def trained(key: PRNGKey, before: Trained, data: Data) -> Trained:
        key_init, key_train = (jax.random.fold_in(key, purpose) for purpose in range(2))
        total = jnp.maximum(data.weight.sum(), 1e-12)

        def bound(trained: Trained, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, PyTree]:
            hidden: Any = network.apply(trained.params, x, key, shared=False)[1]
            head = trained.head
            return loss(head, scale(hidden), y) + (divergence(head) + penalty(head)) / total, None

        first = restart(before, start(key_init, data.x))
        return train(bound, optimizer, key_train, first, data, num_steps, minibatch_size)

    return start, trained


def _scale(prior: float) -> Callable[[Float[Array, "n F"]], Float[Array, "n G"]]:
    """Features with a one, times the prior's deviation of a weight: those of the head then have variance 1."""
    check_variance("prior", prior)
    return lambda hidden: with_ones(None, hidden) * math.sqrt(prior / (hidden.shape[1] + 1))
