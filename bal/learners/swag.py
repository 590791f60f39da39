"""SWAG and MultiSWAG: a normal distribution of the weights, read off the path of stochastic descent.

Maddox, Garipov, Izmailov, Vetrov and Wilson 2019, "A Simple Baseline for Bayesian Uncertainty in Deep Learning";
several at once in Wilson and Izmailov 2020, "Bayesian Deep Learning and a Probabilistic Perspective of Generalization".
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.padding import real_rows
from bal.learners.restart import Restart, cold
from bal.learners.settings import check_count, check_factor
from bal.learners.training import check_no_statistics, check_training, map_members, network_loss, train, train_in_parts
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


class SwagState(NamedTuple):
    """Mean weights of all members, and the weights of all draws.

    converged: False for a member whose mean weights fit the labels worse than weights that were never trained.
    """

    mean: PyTree
    draws: PyTree
    converged: Bool[Array, "M"]


class Moments(NamedTuple):
    """Of the weights collected so far: how many, their mean, and the sum of their squared deviations from it."""

    count: Float[Array, ""]
    mean: PyTree
    squares: PyTree


@method
def swag(
    network: Network,
    num_draws: int,
    *,
    num_members: int = 1,
    num_collected: int = 20,
    collect_every: int = 5,
    rank: int = 20,
    scale: float = 0.5,
    optimizer: optax.GradientTransformation | None = None,
    tail_optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 300,
    minibatch_size: int = 64,
    restart: Restart = cold,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K weights drawn from the normal that fits the tail of a training: ``log_probs [N, K, C]`` or a `Gaussian`.

    After `num_steps` steps a tail at a constant rate begins; of every `collect_every`-th step the weights θ_t are
    collected, T in all, with m_t the mean of the first t. A draw is

    ``θ = m_T + √scale (diag(v)^½ z + Σ_t (θ_t - m_t) u_t / √(R - 1))``,  ``v = mean_t (θ_t - m_T)²``,

    for standard normal z and u, the sum over the last R. So the covariance is `scale` times the sum of a diagonal and
    of a low-rank one, of which each alone would stand for the spread of the tail: ½ is that of the paper.
    With ``num_members`` above 1 (MultiSWAG) as many trainings are fitted so, and the draws shared out evenly.

    Use it when one training can be afforded and an ensemble cannot. The draws are as wide as the tail moves, so where
    all labels are fitted perfectly they agree: a higher rate of the tail, or weight decay, keeps them apart. A tail
    that runs away, as one at the usual rate may where the noise is learned too (``gaussian()``), has not `converged`,
    which whoever drives the learner warns of: give a `tail_optimizer` that is slower, or clips.

    Args:
      network: what a draw is; without batch norm, whose statistics would fit none of the draws.
      num_draws: K, a multiple of `num_members`.
      num_members: trainings, each with a normal of its own.
      num_collected, collect_every: T, and the steps from one collected to the next.
      rank: R, of the low-rank part, from 2 to T.
      scale: factor of the covariance; 0 predicts by averaged weights (SWA).
      optimizer: of the first part; Adam at 1e-3 unless given.
      tail_optimizer: of the tail; stochastic descent at 0.05 with momentum 0.9 unless given.
      num_steps, minibatch_size: length of the first part and rows of a step.
      restart: `cold`, `warm` (from the mean weights) or `shrink_and_perturb(...)`.
      likelihood: `categorical`, or `gaussian()` for real labels.

    Raises:
      ValueError: a setting out of range; from `init`, a network with running statistics.
      TypeError: a setting of the wrong kind.

    >>> import jax.numpy as jnp
    >>> from bal.learners import mlp, swag
    >>> learner = swag(mlp((8,), num_outputs=2), num_draws=4, num_members=2, num_steps=5)
    >>> data = Data(jnp.ones((4, 2)), jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> key = jax.random.key(0)
    >>> jax.eval_shape(lambda: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)).shape
    (4, 4, 2)
    """
    check_training(network, num_steps, minibatch_size, optimizer, restart, likelihood)
    check_training(network, num_steps, minibatch_size, tail_optimizer, restart, likelihood)
    check_count("num_members", num_members)
    check_count("num_draws", num_draws)
    check_count("collect_every", collect_every)
    check_count("rank", rank, least=2)
    check_count("num_collected", num_collected, least=rank)
    check_factor("scale", scale)
    if num_draws % num_members:
        raise ValueError(f"{num_draws} draws cannot be shared out evenly by {num_members} members; use a multiple")
    optimizer = optax.adam(1e-3) if optimizer is None else optimizer
    tail_optimizer = optax.sgd(0.05, momentum=0.9) if tail_optimizer is None else tail_optimizer

    loss = network_loss(network, likelihood)

    def init(key: PRNGKey, data: Data) -> SwagState:
        params = jax.vmap(network.init, (0, None))(jax.random.split(key, num_members), data.x)
        check_no_statistics(network, jax.tree.map(lambda leaf: leaf[0], params), data.x)
        draws = jax.tree.map(lambda leaf: jnp.repeat(leaf, num_draws // num_members, 0), params)
        return SwagState(params, draws, jnp.ones(num_members, bool))

    def fit_member(data: Data, key: PRNGKey, previous: PyTree) -> SwagState:
        key_init, key_train, key_tail, key_draws = (jax.random.fold_in(key, purpose) for purpose in range(4))
        fresh = network.init(key_init, data.x)
        params = restart(previous, fresh)
        params = train(loss, optimizer, key_train, params, data, num_steps, minibatch_size)
        start = Moments(jnp.zeros(()), *(jax.tree.map(jnp.zeros_like, params),) * 2)
        shared = (data, num_collected, collect_every, minibatch_size, _collect, start)
        _, moments, deviations = train_in_parts(loss, tail_optimizer, key_tail, params, *shared)
        deviations = jax.tree.map(lambda leaf: leaf[-rank:], deviations)
        draw = lambda key: _draw(key, moments, deviations, scale)
        draws = jax.vmap(draw)(jax.random.split(key_draws, num_draws // num_members))
        return SwagState(moments.mean, draws, misfit(data, moments.mean) <= misfit(data, fresh))

    def misfit(data: Data, params: PyTree) -> Float[Array, ""]:
        x, y = real_rows((data.x, data.y), data.weight)
        return jnp.sum(data.weight * likelihood.loss(network.apply(params, x)[0], y))

    def fit(key: PRNGKey, state: SwagState, data: Data) -> SwagState:
        found = map_members(partial(fit_member, data), jax.random.split(key, num_members), state.mean)
        return found._replace(draws=jax.tree.map(lambda leaf: leaf.reshape(num_draws, *leaf.shape[2:]), found.draws))

    def predict(state: SwagState, x: PyTree) -> PyTree:
        return likelihood.predictions(map_members(lambda params: network.apply(params, x)[0], state.draws))

    def embed(state: SwagState, x: PyTree) -> Float[Array, "N M F"]:
        return map_members(lambda params: features_of(network, params, x), state.mean).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed)


def _collect(moments: Moments, params: PyTree) -> tuple[Moments, PyTree]:
    """The moments with one more, and its deviation from the mean so far; sums of products of gaps do not cancel."""
    count = moments.count + 1
    gap = jax.tree.map(jnp.subtract, params, moments.mean)
    mean = jax.tree.map(lambda mean, gap: mean + (gap / count).astype(mean.dtype), moments.mean, gap)
    deviation = jax.tree.map(jnp.subtract, params, mean)
    squares = jax.tree.map(lambda sum, before, after: sum + before * after, moments.squares, gap, deviation)
    return Moments(count, mean, squares), deviation


def _draw(key: PRNGKey, moments: Moments, deviations: PyTree, scale: float) -> PyTree:
    """Weights from the normal with `scale` times the diagonal and the low-rank covariance."""
    key_diagonal, key_rank = jax.random.split(key)
    rank = jax.tree.leaves(deviations)[0].shape[0]
    u = jax.random.normal(key_rank, (rank,)) / math.sqrt(rank - 1)
    z = optax.tree.random_like(key_diagonal, moments.mean)

    def one(mean: Array, squares: Array, z: Array, deviations: Array) -> Array:
        off = jnp.sqrt(squares / moments.count) * z + jnp.tensordot(u, deviations, 1)
        return mean + (math.sqrt(scale) * off).astype(mean.dtype)

    return jax.tree.map(one, moments.mean, moments.squares, z, deviations)
