"""A Bayesian linear reward: Laplace's approximation of Bradley-Terry's or Thurstone's model on features of items."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from bal.learners.heads.features import Features, check_features
from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import as_floats, dot, in_float64, to_double
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.networks import first, second
from bal.typing import Data, Learner, PRNGKey, PyTree

STEPS = 100


class RewardState(NamedTuple):
    """mode: the most probable weights. ``root rootᵀ``: their posterior covariance. draws: K of the posterior."""

    mode: Float[Array, "F"]
    root: Float[Array, "F F"]
    draws: Float[Array, "K F"]
    converged: Bool[Array, "1"]


@method
def linear_reward(
    num_draws: int,
    features: Features | None = None,
    *,
    comparison: Comparison = bradley_terry,
    prior: float = 1.0,
) -> Learner:
    """A linear reward ``r(a) = w·φ(a)``, ``w ~ N(0, prior)``: ``predict`` gives ``log_probs [N, K, 2]`` of joint draws.

    Inputs are pairs ``[N, 2, ...]``. Weights are drawn from ``N(ŵ, H⁻¹)`` at the mode ŵ of the posterior, where ``H =
    Σ_i c_i z_i z_iᵀ + 1 / prior``, z_i is ``φ(a) - φ(b)`` and c_i the curvature of the answer. There is no bias: which
    item stands first tells nothing. ``embed`` gives z ``[N, 1, F]`` and ``kernel`` the posterior covariance of d,
    ``z·H⁻¹ z'``. Newton's method in float64, O(L F² + F³) a step.

    Use it on features of a frozen encoder, where answers are few.

    Args:
      num_draws: K.
      features: ``x -> [n, F]``, row-wise, of items; None = the inputs themselves, flattened.
      comparison: `bradley_terry` or `thurstone`.
      prior: variance of a weight.

    Raises:
      ValueError: a setting out of range; inputs that are no pairs.
      TypeError: a setting of the wrong kind.

    >>> learner, x = linear_reward(3), jnp.ones((4, 2, 5))
    >>> data = Data(x, jnp.array([0, 1, 0, 1]), jnp.ones(4))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> jax.jit(learner.predict)(fit(jax.random.key(0), data), x).shape
    (4, 3, 2)

    Bradley and Terry 1952, "Rank Analysis of Incomplete Block Designs"; MacKay 1992, "The Evidence Framework Applied to
    Classification Networks".
    """
    check_count("num_draws", num_draws)
    check_comparison(comparison)
    check_features(features)
    if not 0 < prior < float("inf"):
        raise ValueError(f"prior is the variance of a weight and must be positive and finite, got {prior}")

    def difference(x: PyTree) -> Float[Array, "N F"]:
        return _flat(features, first(x)) - _flat(features, second(x))

    def init(key: PRNGKey, data: Data) -> RewardState:
        del key
        z = jax.eval_shape(difference, data.x)
        size, dtype = z.shape[1], z.dtype
        draws = jnp.zeros((num_draws, size), dtype)
        return RewardState(jnp.zeros(size, dtype), jnp.eye(size, dtype=dtype), draws, jnp.ones(1, bool))

    def fit(key: PRNGKey, state: RewardState, data: Data) -> RewardState:
        real = data.weight > 0
        z = jnp.where(real[:, None], difference(data.x), 0.0)
        sign = jnp.where(real, 2.0 * data.y - 1.0, 1.0).astype(z.dtype)
        mode, root, converged = in_float64(solve)(sign[:, None] * z, data.weight.astype(z.dtype))
        mode, root = mode.astype(z.dtype), root.astype(z.dtype)
        noise = jax.random.normal(key, state.draws.shape, z.dtype)
        return RewardState(mode, root, mode[None] + dot(noise, root.T), converged[None])

    def solve(z: Float[Array, "L F"], weight: Float[Array, "L"]) -> tuple[Array, Array, Array]:
        """Newton's method on rows that are turned so that the first item is preferred; steps are halved at need."""
        z, weight = to_double(z), to_double(weight)
        loss = lambda w: 0.5 * jnp.sum(w**2) / prior - jnp.sum(weight * comparison(dot(z, w)))

        def factor(w: Array) -> tuple[Array, Array]:
            slope, curvature = _derivatives(comparison, dot(z, w))
            hessian = dot(z.T, (weight * curvature)[:, None] * z) + jnp.eye(z.shape[1], dtype=z.dtype) / prior
            return w / prior - dot(z.T, weight * slope), jnp.linalg.cholesky(hessian)

        def step(carry: tuple) -> tuple:
            w, _, number = carry
            gradient, lower = factor(w)
            move = solve_triangular(lower, solve_triangular(lower, gradient, lower=True), lower=True, trans=1)
            before, decrement = loss(w), dot(move, gradient)
            worse = lambda share: ~(loss(w - share * move) <= before) & (share > 1e-9)
            share = jax.lax.while_loop(worse, lambda share: share / 2, jnp.ones_like(before))
            return w - share * move, decrement, number + 1

        goes_on = lambda carry: (carry[1] > 1e-20) & (carry[2] < STEPS)
        start = jnp.zeros(z.shape[1], z.dtype), jnp.asarray(jnp.inf, z.dtype), jnp.int32(0)
        w, decrement, _ = jax.lax.while_loop(goes_on, step, start)
        lower = factor(w)[1]
        root = solve_triangular(lower, jnp.eye(z.shape[1], dtype=z.dtype), lower=True, trans=1)
        return w, root, (decrement <= 1e-10) & jnp.isfinite(root).all()

    def predict(state: RewardState, x: PyTree) -> Float[Array, "N K 2"]:
        return comparison.log_probs(dot(difference(x), state.draws.T))

    def embed(state: RewardState, x: PyTree) -> Float[Array, "N 1 F"]:
        del state
        return difference(x)[:, None]

    def kernel(state: RewardState, a: Float[Array, "1 F"], b: Float[Array, "1 F"]) -> Float[Array, ""]:
        return dot(dot(a[0], state.root), dot(b[0], state.root))

    return Learner(init, fit, predict, embed, kernel)


def _flat(features: Features | None, x: PyTree) -> Float[Array, "n F"]:
    rows = as_floats(x if features is None else features(x))
    return rows.reshape(rows.shape[0], -1)


def _derivatives(comparison: Comparison, d: Float[Array, "L"]) -> tuple[Float[Array, "L"], Float[Array, "L"]]:
    """Slope and negative curvature of ``log g``, which rounding never makes negative."""
    slope = lambda d: jax.jvp(comparison, (d,), (jnp.ones_like(d),))[1]
    first, second = jax.jvp(slope, (d,), (jnp.ones_like(d),))
    return first, jnp.maximum(-second, 0.0)
