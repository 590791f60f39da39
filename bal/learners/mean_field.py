"""Mean-field variational inference: an independent normal for every weight of a network.

Blundell, Cornebise, Kavukcuoglu and Wierstra 2015, "Weight Uncertainty in Neural Networks"; noise of the units in
place of that of the weights, in training, as in Kingma, Salimans and Welling 2015, "Variational Dropout and the Local
Reparameterization Trick".
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.dense import dense_kernels
from bal.learners.networks.network import features_of
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_no_statistics, check_training, map_members, train
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class Normals(NamedTuple):
    """A normal for every weight: its mean, and the logarithm of its standard deviation over that of the prior."""

    mean: PyTree
    log_scale: PyTree


class MeanFieldState(NamedTuple):
    """The normals, and the weights of all draws."""

    normals: Normals
    draws: PyTree


@method
def mean_field(
    network: Network,
    num_draws: int,
    *,
    prior: float = 1.0,
    start: float = 0.1,
    kl_weight: float = 1.0,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 1000,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K networks drawn from independent normals of the weights: ``log_probs [N, K, C]``, or a `Gaussian`.

    Descends the negative bound on the log evidence, for weights of data w_n a sum over labels,

    ``Σ_n w_n E_q[-log p(y_n | x_n, θ)] + kl_weight KL(q ‖ p)``,  ``q = Π_i N(m_i, s_i²)``,

    divided by ``Σ_n w_n``. The prior of an entry is N(0, prior / fan-in) in kernels, which have at least two axes, and
    N(0, prior) elsewhere. In training every row has noise of its own at the units of dense layers (local
    reparametrization), and kernels of other layers and biases have one draw a step; dropout is off. In `predict` a draw
    is one set of weights for all rows. Without labels the normals stay as they start.

    Use it to compare with: few labels and many weights make it fall back to the prior, in which the outputs of wide
    networks say little. A `kl_weight` well below 1 trains these too.

    Args:
      network: what a draw is; without batch norm, whose statistics would fit none of the draws.
      num_draws: K.
      prior: variance of the prior, before it is divided by the fan-in.
      start: standard deviation that a training starts with, as a share of the prior's.
      kl_weight: 1 is Bayes' rule; below 1 the posterior is colder than that.
      optimizer: Adam at 1e-2 unless given: standard deviations have a long way to go.
      num_steps, minibatch_size: length of a training and rows of a step.
      restart: `cold`, `warm` or `shrink_and_perturb(...)`, which shrinks towards the prior.
      likelihood: `categorical`, or `gaussian()` for real labels.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mean_field, mlp
    >>> learner = mean_field(mlp((8,), num_outputs=2), num_draws=3, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 3, 2)
    """
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    check_count("num_draws", num_draws)
    check_factor("kl_weight", kl_weight)
    for name, value in (("prior", prior), ("start", start)):
        check_factor(name, value)
        if value == 0:
            raise ValueError(f"{name} must be positive, got 0; without spread all draws would agree")
    optimizer = optax.adam(1e-2) if optimizer is None else optimizer

    def initial(key: PRNGKey, x: PyTree) -> Normals:
        mean = network.init(key, x)
        return Normals(mean, jax.tree.map(lambda leaf: jnp.full_like(leaf, math.log(start)), mean))

    def init(key: PRNGKey, data: Data) -> MeanFieldState:
        normals = initial(key, data.x)
        check_no_statistics(network, normals.mean, data.x)
        return MeanFieldState(normals, draw_all(key, normals))

    def draw_all(key: PRNGKey, normals: Normals) -> PyTree:
        return jax.vmap(lambda key: _draw(key, normals, prior))(jax.random.split(key, num_draws))

    def fit(key: PRNGKey, state: MeanFieldState, data: Data) -> MeanFieldState:
        key_init, key_train, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(3))
        normals = restart(state.normals, initial(key_init, data.x))
        share = kl_weight / jnp.maximum(data.weight.sum(), 1e-12)

        def loss(normals: Normals, x: PyTree, y: Array, key: PRNGKey) -> tuple[Array, PyTree]:
            each = likelihood.loss(_noisy_pass(network, normals, prior, x, key), y)
            return each + share * divergence(normals, prior), None

        normals = train(loss, optimizer, key_train, normals, data, num_steps, minibatch_size)
        return MeanFieldState(normals, draw_all(key_draws, normals))

    def predict(state: MeanFieldState, x: PyTree) -> PyTree:
        return likelihood.predictions(map_members(lambda params: network.apply(params, x)[0], state.draws))

    def embed(state: MeanFieldState, x: PyTree) -> Float[Array, "N 1 F"]:
        return features_of(network, state.normals.mean, x)[:, None]

    return Learner(init, fit, predict, embed)


def divergence(normals: Normals, prior: float) -> Float[Array, ""]:
    """``KL(q ‖ p) = ½ Σ_i (m_i² / p_i + r_i² - 1 - log r_i²)``, r_i a standard deviation over the prior's, √p_i."""

    def one(mean: Array, log_scale: Array) -> Array:
        return 0.5 * jnp.sum((mean / _prior_scale(mean, prior)) ** 2 + jnp.expm1(2 * log_scale) - 2 * log_scale)

    return sum(jax.tree.leaves(jax.tree.map(one, *normals)), jnp.zeros(()))


def _prior_scale(leaf: Array, prior: float) -> float:
    return math.sqrt(prior / (math.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 1))


def _draw(key: PRNGKey, normals: Normals, prior: float) -> PyTree:
    def one(mean: Array, log_scale: Array, z: Array) -> Array:
        return mean + _prior_scale(mean, prior) * jnp.exp(log_scale) * z

    return jax.tree.map(one, *normals, optax.tree.random_like(key, normals.mean))


def _noisy_pass(network: Network, normals: Normals, prior: float, x: PyTree, key: PRNGKey) -> Array:
    """Outputs with noise: of the units of dense layers, a row each; of all other weights, one draw for all rows."""
    key_weights, key_units = jax.random.split(key)
    if network.tapped is None:
        return network.apply(_draw(key_weights, normals, prior), x)[0]
    places, calls = dense_kernels(network, normals.mean, x), iter(range(2**31))
    means, tree = jax.tree.flatten(normals.mean)
    drawn, log_scales = (jax.tree.leaves(part) for part in (_draw(key_weights, normals, prior), normals.log_scale))
    params = tree.unflatten(means[place] if place in places else drawn[place] for place in range(len(means)))

    def tap(h: Array, z: Array, w: Array) -> Array:
        del w
        number = next(calls)
        place = places[number]
        if place is None:
            return z
        variance = _prior_scale(means[place], prior) ** 2 * jnp.exp(2 * log_scales[place])
        spread = jnp.sqrt(jnp.maximum(h[:, : len(variance)] ** 2 @ variance, 1e-12))  # the root has no slope at 0
        return z + spread * jax.random.normal(jax.random.fold_in(key_units, number), z.shape, z.dtype)

    return network.tapped(params, x, tap)
