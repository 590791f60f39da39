"""Draws of a network's weights by Hamiltonian Monte Carlo: the reference that cheaper posteriors are held against."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.likelihood import Likelihood, categorical
from bal.learners.networks import Network
from bal.learners.networks.network import features_of
from bal.learners.padding import real_rows
from bal.learners.restart import cold
from bal.learners.sampled.chains import Length, SampledState, begun, check_length, sample
from bal.learners.training import check_no_statistics, check_training, map_members
from bal.method import method
from bal.typing import Data, Learner, PRNGKey, PyTree


@method
def mcmc(
    network: Network,
    num_draws: int = 20,
    *,
    num_chains: int = 4,
    num_warmup: int = 300,
    thin: int = 5,
    prior_scale: float = 1.0,
    likelihood: Likelihood = categorical,
) -> Learner:
    """K draws from ``p(θ | labels) ∝ Π_n p(y_n | x_n, θ)^w_n N(θ | 0, prior_scale²)`` by the no-U-turn sampler.

    All parameters of the network have the same normal prior. The chains start at its own initialisation, each at
    another; draws are every `thin`-th step behind the warm-up, which adapts step size and a diagonal mass. Dropout of
    the network is not used. Where the chains disagree, hold fewer than K / 2 independent draws or diverge, the state
    says that they have not `converged`, and whoever drives the learner warns; ``r_hat``, ``effective_size`` and
    ``num_divergent`` are in the state and in ``info`` of every query.

    Use it for logistic regression (``linear()``) and small networks, and to judge what a cheaper posterior misses. A
    step costs up to a thousand gradients over all labels, tens as a rule; in `run_seeds` it compiles as all learners do
    and takes as long as its longest trajectories.

    Args:
      network: layer norm or no norm; running statistics belong to one set of weights only.
      num_draws: K, a multiple of num_chains.
      num_chains: chains, all in one program; one after the other on a CPU.
      num_warmup, thin: steps before the first draw, and from one draw to the next.
      prior_scale: standard deviation of every parameter.
      likelihood: `categorical`, or `gaussian(noise)` for real labels.

    Raises:
      ValueError: a setting out of range, draws that do not come evenly from the chains, chains too short to be judged;
        a network with running statistics, when fitted. TypeError: a setting of the wrong kind.

    >>> import numpy as np
    >>> from bal.learners import linear
    >>> learner = mcmc(linear(2), 4, num_chains=2, num_warmup=20, thin=2)
    >>> data = Data(np.ones((4, 3)), np.array([0, 1, 0, 1]), np.ones(4))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).shape
    (4, 4, 2)

    Neal 1996, "Bayesian Learning for Neural Networks"; Hoffman and Gelman 2014, "The No-U-Turn Sampler".
    """
    length = Length(num_draws, num_chains, num_warmup, thin)
    check_length(length)
    check_training(network, 0, 1, None, cold, likelihood)
    check_prior(prior_scale)

    def starts(key: PRNGKey, x: PyTree) -> PyTree:
        return as_wide(jax.vmap(network.init, (0, None))(jax.random.split(key, num_chains), x))

    def init(key: PRNGKey, data: Data) -> SampledState:
        return begun(starts(key, data.x), length)

    def fit(key: PRNGKey, state: SampledState, data: Data) -> SampledState:
        del state
        x, y = real_rows((data.x, data.y), data.weight)
        data = data._replace(x=x, y=y)
        key_start, key_chains = jax.random.split(key)
        first = starts(key_start, data.x)
        check_no_statistics(network, jax.tree.map(lambda leaf: leaf[0], first), data.x)
        losses, potential = energies(network, likelihood, prior_scale, data)
        return sample(key_chains, potential, losses, first, length)

    return Learner(init, fit, *functions(network, likelihood))


def as_wide(params: PyTree) -> PyTree:
    """Parameters in the widest floating point that is switched on, as samplers return them."""
    wide = jnp.result_type(float)
    return jax.tree.map(lambda leaf: leaf.astype(wide) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, params)


def energies(
    network: Network, likelihood: Likelihood, prior_scale: float, data: Data
) -> tuple[Callable[[PyTree], Float[Array, "L"]], Callable[[PyTree], Float[Array, ""]]]:
    """What the labels cost a set of weights, one number a label; and that and what the prior costs, together."""

    def losses(params: PyTree) -> Float[Array, "L"]:
        return data.weight * likelihood.loss(network.apply(params, data.x)[0], data.y)

    def potential(params: PyTree) -> Float[Array, ""]:
        squares = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return losses(params).sum() + squares / (2 * prior_scale**2)

    return losses, potential


def functions(network: Network, likelihood: Likelihood) -> tuple[Callable, Callable]:
    """`predict` and `embed` of a state whose draws are weights."""

    def predict(state: Any, x: PyTree) -> PyTree:
        return likelihood.predictions(map_members(lambda params: network.apply(params, x)[0], state.draws))

    def embed(state: Any, x: PyTree) -> Float[Array, "N K F"]:
        return map_members(lambda params: features_of(network, params, x), state.draws).transpose(1, 0, 2)

    return predict, embed


def check_prior(prior_scale: float) -> None:
    """ValueError for what is no standard deviation."""
    if not 0 < prior_scale < float("inf"):
        raise ValueError(f"prior_scale is a standard deviation, positive and finite, got {prior_scale}")
