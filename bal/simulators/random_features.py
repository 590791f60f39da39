"""An ensemble of random-feature networks of several outputs: a surrogate whose training is a linear system."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.settings import check_count
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import in_float64, to_double
from bal.typing import Data, Gaussian, Learner, PRNGKey


class RandomFeatureState(NamedTuple):
    """Of all K members: hidden weights and offsets, as drawn, and the last layer, as solved."""

    weights: Float[Array, "K Z F"]
    offsets: Float[Array, "K F"]
    last: Float[Array, "K F P"]


@method
def random_features(
    inputs: Callable[[Array], Float[Array, "n Z"]],
    num_members: int = 4,
    num_features: int = 300,
    *,
    scale: float = 0.5,
    ridge: float = 3e-4,
    noise: float = 1e-4,
    bootstrap: bool = True,
) -> Learner:
    """An ensemble of K networks of one random hidden layer each: ``f_k(x) = B_k' tanh(W_k' z(x) + b_k)``, P outputs.

    W and b are normal with deviation `scale` and stay as drawn; training solves for B, the minimum of
    ``Σ_l w_l |y_l - f(x_l)|² + ridge |B|²``, in float64. With `bootstrap` each member has row weights of its own, drawn
    from an exponential (Rubin 1981). A fit draws everything anew. Predictions are a `Gaussian` ``[n, K, P]`` of
    variance zero given the draw: what members disagree on is what hangs on their features and on single labels.

    Use it when labels are curves of a simulator that are smooth in a few numbers: a training takes milliseconds and has
    no step size, no number of steps and no local minimum. Scores of its predictions are `over_outputs`.

    Args:
      inputs: ``z(x)``, a few numbers of order 1 that say what a row is.
      num_members, num_features: K and F.
      scale: of hidden weights; larger ones bend more.
      ridge: what keeps B small.
      noise: the variance of a label of one output, as predictions tell it; it has no part in training.
      bootstrap: whether members weigh rows each in their own way.

    Raises:
      ValueError: settings that are not positive; labels that are not ``[L, P]``.

    >>> learner = random_features(lambda x: x, num_members=2, num_features=20)
    >>> data = Data(jnp.eye(3), jnp.eye(3), jnp.ones(3))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> state = fit(jax.random.key(0), data)
    >>> jax.jit(learner.predict)(state, data.x).mean.shape
    (3, 2, 3)

    Nelsen and Stuart 2021, "The Random Feature Model for Input-Output Maps between Banach Spaces", for Burgers'
    equation among others; as an ensemble our own.
    """
    check_count("num_members", num_members)
    check_count("num_features", num_features)
    for name, value in (("scale", scale), ("ridge", ridge), ("noise", noise)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value}")

    def hidden(weights: Array, offsets: Array, x: Array) -> Float[Array, "n F"]:
        return jnp.tanh(jnp.dot(inputs(x), weights, precision="highest") + offsets[None])

    def init(key: PRNGKey, data: Data) -> RandomFeatureState:
        del key
        if getattr(data.y, "ndim", 0) != 2:
            raise ValueError(f"random_features learns several outputs, labels [L, P], got shape {jnp.shape(data.y)}")
        size, dtype = jax.eval_shape(inputs, data.x).shape[1], jnp.result_type(float)
        shape = (num_members, size, num_features), (num_members, num_features)
        last = jnp.zeros((num_members, num_features, data.y.shape[1]), dtype)
        return RandomFeatureState(jnp.zeros(shape[0], dtype), jnp.zeros(shape[1], dtype), last)

    def fit(key: PRNGKey, state: RandomFeatureState, data: Data) -> RandomFeatureState:
        key_weights, key_offsets, key_rows = jax.random.split(key, 3)
        weights = scale * jax.random.normal(key_weights, state.weights.shape)
        offsets = scale * jax.random.normal(key_offsets, state.offsets.shape)
        share = jnp.ones((num_members, len(data.weight)))
        share = jax.random.exponential(key_rows, share.shape) if bootstrap else share

        def member(weights: Array, offsets: Array, share: Array) -> Float[Array, "F P"]:
            return in_float64(_solved)(hidden(weights, offsets, data.x), data.y, share * data.weight, ridge)

        return RandomFeatureState(
            weights, offsets, map_members(member, weights, offsets, share).astype(state.last.dtype)
        )

    def predict(state: RandomFeatureState, x: Array) -> Gaussian:
        member = lambda weights, offsets, last: jnp.dot(hidden(weights, offsets, x), last, precision="highest")
        mean = map_members(member, *state).transpose(1, 0, 2)
        return Gaussian(mean, jnp.zeros_like(mean), jnp.full_like(mean, noise))

    def embed(state: RandomFeatureState, x: Array) -> Float[Array, "n K F"]:
        return map_members(lambda weights, offsets: hidden(weights, offsets, x), *state[:2]).transpose(1, 0, 2)

    return Learner(init, fit, predict, embed)


def _solved(phi: Array, y: Array, weight: Array, ridge: Array) -> Float[Array, "F P"]:
    """B of a weighted ridge regression; rows of weight 0 change nothing."""
    phi, y, weight = map(to_double, (phi, y, weight))
    heavy = phi * weight[:, None]
    square = heavy.T @ phi + ridge * jnp.eye(phi.shape[1], dtype=phi.dtype)
    factor = jax.scipy.linalg.cho_factor(square, lower=True)
    return jax.scipy.linalg.cho_solve(factor, heavy.T @ y).astype(jnp.float32)
