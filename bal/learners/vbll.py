"""Variational Bayesian last layers: a normal of the last layer's weights, trained with the features before it.

Harrison, Willes and Snoek 2024, "Variational Bayesian Last Layers".
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.heads.features import check_variance, with_ones
from bal.learners.heads.linear import LinearRows
from bal.learners.heads.normals import FASTER, Head, by_root, divergence, spread, times_root
from bal.learners.likelihood import categorical, gaussian
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count
from bal.learners.training import check_no_statistics, check_training, train
from bal.method import method
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree


class Trained(NamedTuple):
    """Parameters of the network, whose own last layer stays out of it, and the head."""

    params: PyTree
    head: Head


class VbllState(NamedTuple):
    """What is trained, and the weights of K draws of the last layer, which regression does without."""

    trained: Trained
    draws: Float[Array, "K P F"]


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

    The logits are ``W φ(x)``, of features φ with a one appended. Network and normals ``q = Π_c N(m_c, S_c)`` minimize

    ``Σ_n w_n (log Σ_c exp(m_c·φ_n + ½ φ_n·S_c φ_n) - m_y·φ_n) + Σ_c KL(q_c ‖ N(0, prior / F))``

    over ``Σ_n w_n``, above the negative log evidence by Jensen's inequality. A draw of W serves all rows. Beside the
    features of one network, K draws cost K products with W. The output layer of the network itself is not used: it
    only tells the number of classes.

    Use it when a trained network must also say what it does not know, at the price of one.

    Args:
      network: the features; without batch norm.
      num_draws: K.
      prior: variance of the prior, before it is divided by the number of features and the one.
      diagonal: covariances are diagonal; False = full, with C products of F x F for each row of a step, which takes
        many times as long as a small network.
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
        half = spread(head.factor, phi) / 2
        labels = y if y.ndim == 2 else jax.nn.one_hot(y, half.shape[1])
        # the cross entropy of the sum has subtracted the half of the label's class
        return categorical.loss(phi @ head.mean.T + half, y) + jnp.sum(labels * half, 1)

    init, fit = _last_layer(network, scale, diagonal, num_draws, settings, loss)

    def predict(state: VbllState, x: PyTree) -> Float[Array, "N K C"]:
        phi = scale(features_of(network, state.trained.params, x))
        return jax.nn.log_softmax(jnp.einsum("nf,kcf->nkc", phi, state.draws), -1)

    def embed(state: VbllState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.trained.params, x)[:, None]

    return Learner(init, fit, predict, embed)


@method
def vbll_regression(
    network: Network,
    *,
    noise: float | None = None,
    prior: float = 1.0,
    diagonal: bool = True,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
) -> Learner:
    """Regression by ``y = w·φ(x) + e`` with a posterior of w: a `Gaussian` of one draw, and its covariance.

    Network, normal ``q = N(m, S)`` and the variance σ² of labels maximize the bound on the log evidence

    ``Σ_n w_n (log N(y_n; m·φ_n, σ²) - φ_n·S φ_n / (2 σ²)) - KL(q ‖ N(0, prior / F)) - 3/2 log σ² - 0.005 / σ²``

    over ``Σ_n w_n``, of features φ with a one appended; the last two terms, a prior, drop out where σ² is given. For
    features that are fixed the best full q is the exact posterior of Bayesian linear regression, and the best diagonal
    one has its mean and one over the diagonal of its precision.

    Use it when scores and batch rules for Gaussian processes are wanted of a network: `embed` and `kernel` give its
    posterior covariance. The prior of the noise is made for labels of unit variance.

    Args:
      network: the features; its own output layer is not used.
      noise: σ², or None = trained.
      prior: variance of the prior, before it is divided by the number of features and the one.
      diagonal: the covariance is diagonal, which training hardly notices; False = full, with a product of F x F for
        each row of a step, which takes a few times as long.
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
        return each + 0.5 * (log_variance + spread(head.factor, phi)[:, 0] / deviation**2)

    def penalty(head: Head) -> Float[Array, ""]:
        return 1.5 * log_noise(head) + 0.005 * jnp.exp(-log_noise(head)) if noise is None else jnp.zeros(())

    init, fit = _last_layer(network, scale, diagonal, 0, settings, loss, penalty)

    def predict(state: VbllState, x: PyTree) -> Gaussian:
        rows, head = embed(state, x), state.trained.head
        return Gaussian(rows.features @ head.mean.T, spread(head.factor, rows.features), rows.noise)

    def embed(state: VbllState, x: PyTree) -> LinearRows:
        phi = scale(features_of(network, state.trained.params, x))
        return LinearRows(phi, jnp.full_like(phi[:, :1], jnp.exp(log_noise(state.trained.head))))

    def kernel(state: VbllState, a: LinearRows, b: LinearRows) -> Float[Array, ""]:
        one, other = (by_root(state.trained.head.factor, row.features[None]) for row in (a, b))
        return jnp.vdot(one, other)

    return Learner(init, fit, predict, embed, kernel)


def _last_layer(
    network: Network,
    scale: Callable[[Array], Array],
    diagonal: bool,
    num_draws: int,
    settings: tuple,
    loss: Callable[[Head, Array, Array], Array],
    penalty: Callable[[Head], Array] = lambda head: jnp.zeros(()),
) -> tuple[Callable, Callable]:
    """`init` and `fit` of a network and its head, by ``loss: head, phi [n, F], y -> [n]`` and a penalty on the head.

    The network has one output for regression (no draws), and tells the number of classes otherwise.
    """
    optimizer, num_steps, minibatch_size, restart = settings
    check_training(network, num_steps, minibatch_size, optimizer, restart, categorical)
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer

    def start(key: PRNGKey, x: PyTree) -> Trained:
        params = network.init(key, x)
        outputs, hidden = jax.eval_shape(lambda x: (network.apply(params, x)[0], features_of(network, params, x)), x)
        num_outputs, size = outputs.shape[1] if num_draws else 1, hidden.shape[1] + 1
        factor = jnp.full((num_outputs, size), math.log(0.1) / FASTER, hidden.dtype)
        if not diagonal:
            factor = factor[..., None] * jnp.eye(size, dtype=hidden.dtype)[None]
        mean = jax.random.normal(jax.random.fold_in(key, 1), (num_outputs, size), hidden.dtype)
        return Trained(params, Head(mean, factor, jnp.zeros((), hidden.dtype)))

    def init(key: PRNGKey, data: Data) -> VbllState:
        trained = start(key, data.x)
        check_no_statistics(network, trained.params, data.x)
        return VbllState(trained, draw(key, trained.head))

    def draw(key: PRNGKey, head: Head) -> Float[Array, "K P F"]:
        z = jax.random.normal(key, (num_draws, *head.mean.shape), head.mean.dtype)
        return head.mean[None] + times_root(head.factor, z)

    def fit(key: PRNGKey, state: VbllState, data: Data) -> VbllState:
        key_init, key_train, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(3))
        total = jnp.maximum(data.weight.sum(), 1e-12)

        def bound(trained: Trained, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, PyTree]:
            hidden: Any = network.apply(trained.params, x, key, shared=False)[1]
            head = trained.head
            return loss(head, scale(hidden), y) + (divergence(head) + penalty(head)) / total, None

        trained = restart(state.trained, start(key_init, data.x))
        trained = train(bound, optimizer, key_train, trained, data, num_steps, minibatch_size)
        return VbllState(trained, draw(key_draws, trained.head))

    return init, fit


def _scale(prior: float) -> Callable[[Float[Array, "n F"]], Float[Array, "n G"]]:
    """Features with a one, times the prior's deviation of a weight: those of the head then have variance 1."""
    check_variance("prior", prior)
    return lambda hidden: with_ones(None, hidden) * math.sqrt(prior / (hidden.shape[1] + 1))
