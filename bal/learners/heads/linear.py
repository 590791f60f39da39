"""Bayesian linear regression in closed form, on features that are given.

In the eigenbasis of ``Φᵀ W Φ = Q Λ Qᵀ``, with r the ratio of noise to prior variance and ``c = Qᵀ Φᵀ W y``, the weights
have mean ``Q (Λ + r)⁻¹ c`` and covariance ``σ² Q (Λ + r)⁻¹ Qᵀ``: one factor serves every r. It is found in float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.learners.heads.evidence import settled
from bal.learners.heads.features import Features, check_features, check_variance, with_ones
from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot, in_float64, to_double
from bal.typing import Data, Gaussian, Learner, PRNGKey, PyTree

LEAST_NOISE = 0.1
"""Where the hyper-prior of a noise that is not given has its mode, in variances of the labels."""


class LinearState(NamedTuple):
    """Posterior of the weights, the last one that of the bias.

    mean: of the weights. root: R, where noise times ``R Rᵀ`` is their covariance. noise: of the labels, K draws or one.
    prior: variance of a weight, of unknown noise in units of it. shift: what labels are measured from.
    shape, scale: of the inverse-gamma posterior of the noise; 0 where it is one number.
    """

    mean: Float[Array, "F"]
    root: Float[Array, "F F"]
    noise: Float[Array, "K"]
    prior: Float[Array, ""]
    shift: Float[Array, ""]
    shape: Float[Array, ""]
    scale: Float[Array, ""]
    converged: Bool[Array, "1"]


class LinearRows(NamedTuple):
    """Embedded rows: features with a one for the bias, and the noise of a label."""

    features: Float[Array, "n F"]
    noise: Float[Array, "n K"]


class Moments(NamedTuple):
    """What the labels say, in units of theirs: eigenvalues of ``Φᵀ W Φ``, ``c``, ``Σ w y²``, ``Σ w``, and the prior
    precision at which the function has variance 1 at the average labeled row."""

    values: Float[Array, "F"]
    projected: Float[Array, "F"]
    square: Float[Array, ""]
    count: Float[Array, ""]
    usual: Float[Array, ""]


@method
def bayesian_linear(
    features: Features | None = None, *, noise: float | None = None, prior: float | None = None
) -> Learner:
    """Linear regression in closed form: ``y = w·φ(x) + b + e``, weights and b ~ N(0, prior), errors ~ N(0, noise).

    ``predict`` gives a `Gaussian` ``[N, 1]``, exact; ``embed`` the features and the noise of a label, ``kernel`` the
    posterior covariance of f, so every score and rule for processes works. A row of weight 2 counts twice.

    What is not given is chosen each round at the maximum of ``log p(y | noise, prior)`` plus a hyper-prior worth two
    labels and two weights: gamma densities of the logarithms of both precisions, with modes at a noise of 0.1 and at a
    function of variance 1, in units of labels that are then standardized inside. Without labels these are used.

    Use it when a function is linear, or on features of a frozen encoder; `neural_linear` trains the features.

    Args:
      features: ``x -> [n, F]``, row-wise; None = the inputs themselves, flattened.
      noise, prior: variances, in units of the labels and of labels per feature; None = by the evidence.

    Raises:
      ValueError: a variance that is not positive; features that are not one vector a row; labels ``[L, P]``.
      TypeError: features that are no function.

    >>> import numpy as np
    >>> learner = bayesian_linear(noise=0.1, prior=1.0)
    >>> data = Data(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]), np.array([1.0, 0.0]))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> found = jax.jit(learner.predict)(fit(jax.random.key(0), data), np.array([[0.0]]))
    >>> [round(part.item(), 3) for part in found]  # mean and variance of f, noise
    [0.909, 0.091, 0.1]

    Bishop 2006, "Pattern Recognition and Machine Learning", chapter 3; MacKay 1992, "Bayesian Interpolation".
    """
    check_variance("noise", noise)
    check_variance("prior", prior)
    standardize = noise is None or prior is None

    def solve(phi: Array, y: Array, weight: Array) -> LinearState:
        def choose(moments: Moments, scale: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
            known = lambda variance: None if variance is None else scale**2 / variance
            alpha, beta, converged = _by_evidence(moments, known(prior), known(noise))
            zero = jnp.zeros((), jnp.float64)
            return alpha / beta, scale**2 / beta, scale**2 / alpha, zero, zero, converged

        return _solve(phi, y, weight, standardize, choose)

    def draw(key: PRNGKey, state: LinearState) -> LinearState:
        del key
        return state

    return _learner(features, 1, solve, draw)


@method
def normal_inverse_gamma(
    num_draws: int,
    features: Features | None = None,
    *,
    prior: float | None = None,
    shape: float = 1.0,
    scale: float = LEAST_NOISE,
    standardize: bool = True,
) -> Learner:
    """Linear regression of unknown noise in closed form: noise ~ IG(shape, scale), weights ~ N(0, prior · noise).

    ``predict`` gives a `Gaussian` ``[N, K]`` of K draws of the noise, given which all is normal; their mixture is, for
    many draws, the Student t of ``2a`` degrees of freedom, location ``m·φ`` and squared scale ``b/a (1 + φᵀ V φ)`` with
    a, b the `shape` and `scale` in the state. ``embed`` and ``kernel`` are as for `bayesian_linear`, averaged over
    draws.

    Use it with few labels, where one estimate of the noise would be trusted too much.

    Args:
      num_draws: K.
      features: ``x -> [n, F]``, row-wise; None = the inputs themselves, flattened.
      prior: variance of a weight in units of the noise; None = by the evidence, as in `bayesian_linear`.
      shape, scale: of the inverse gamma prior of the noise; its mean is ``scale / (shape - 1)``.
      standardize: labels have mean 0 and variance 1 inside, where prior and scale then hold; False = as they are.

    Raises:
      ValueError: fewer draws than 1, a number that is not positive, features not one vector a row, labels ``[L, P]``.
      TypeError: features that are no function.

    >>> import numpy as np
    >>> learner = normal_inverse_gamma(3, prior=1.0, standardize=False)
    >>> data = Data(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> state = fit(jax.random.key(0), data)
    >>> float(state.shape), jax.jit(learner.predict)(state, data.x).noise.shape
    (2.0, (2, 3))

    Gelman et al. 2013, "Bayesian Data Analysis", chapter 14.
    """
    check_count("num_draws", num_draws)
    for name, value in (("prior", prior), ("shape", shape), ("scale", scale)):
        check_variance(name, value)

    def solve(phi: Array, y: Array, weight: Array) -> LinearState:
        def choose(moments: Moments, unit: Array) -> tuple[Array, Array, Array, Array, Array, Array]:
            a = shape + moments.count / 2
            ratio, converged = jnp.float64(1 / (prior or 1.0)), jnp.ones((), bool)
            if prior is None:
                ratio, converged = _ratio_by_evidence(moments, a, scale)
            b = _scale(moments, ratio, scale)
            return ratio, unit**2 * b / a, 1 / ratio, a, unit**2 * b, converged

        return _solve(phi, y, weight, standardize, choose)

    def draw(key: PRNGKey, state: LinearState) -> LinearState:
        precision = jax.random.gamma(key, state.shape, (num_draws,), state.mean.dtype)
        return state._replace(noise=state.scale / jnp.maximum(precision, jnp.finfo(precision.dtype).tiny))

    return _learner(features, num_draws, solve, draw)


def given_noise(data: Data, noise: Float[Array, ""], prior: float) -> LinearState:
    """State of `bayesian_linear` on features ``data.x [L, F]`` for a noise that was found elsewhere."""

    def solve(phi: Array, y: Array, weight: Array, noise: Array) -> LinearState:
        zero = jnp.zeros((), jnp.float64)
        known = noise / prior, noise, zero + prior, zero, zero, jnp.ones((), bool)
        return _solve(phi, y, weight, False, lambda moments, scale: known)

    return _fitted(solve, with_ones(None, data.x), data, noise)


def _learner(
    features: Features | None,
    num_draws: int,
    solve: Callable[[Array, Array, Array], LinearState],
    draw: Callable[[PRNGKey, LinearState], LinearState],
) -> Learner:
    """The learner of a posterior of weights; `solve` is called in float64."""
    check_features(features)

    def init(key: PRNGKey, data: Data) -> LinearState:
        del key
        phi = with_ones(features, data.x)
        size, zero = phi.shape[1], jnp.zeros((), phi.dtype)
        root, noise = jnp.eye(size, dtype=phi.dtype), jnp.ones(num_draws, phi.dtype)
        return LinearState(root[0], root, noise, zero, zero, zero, zero, jnp.ones(1, bool))

    def fit(key: PRNGKey, state: LinearState, data: Data) -> LinearState:
        del state
        return draw(key, _fitted(solve, with_ones(features, data.x), data))

    def predict(state: LinearState, x: PyTree) -> Gaussian:
        rows = embed(state, x)
        mean = dot(rows.features, state.mean) + state.shift
        spread = jnp.sum(dot(rows.features, state.root) ** 2, -1, keepdims=True)
        return Gaussian(jnp.broadcast_to(mean[:, None], rows.noise.shape), spread * rows.noise, rows.noise)

    def embed(state: LinearState, x: PyTree) -> LinearRows:
        phi = with_ones(features, x)
        return LinearRows(phi, jnp.broadcast_to(state.noise[None], (phi.shape[0], num_draws)))

    def kernel(state: LinearState, a: LinearRows, b: LinearRows) -> Float[Array, ""]:
        return state.noise.mean() * dot(dot(a.features, state.root), dot(b.features, state.root))

    return Learner(init, fit, predict, embed, kernel)


def _fitted(solve: Callable, phi: Float[Array, "L F"], data: Data, *more: Array) -> LinearState:
    """What `solve` finds in float64, rows of weight 0 cleared of whatever they hold."""
    if data.y.ndim != 1:
        raise ValueError(f"a linear head has one output, labels [L], got {data.y.shape}; use one learner an output")
    real = data.weight > 0
    phi, y = jnp.where(real[:, None], phi, 0.0), jnp.where(real, data.y, 0).astype(phi.dtype)
    found = in_float64(lambda *arrays: solve(*map(to_double, arrays)))(phi, y, data.weight, *more)
    narrow = lambda leaf: leaf if leaf.dtype == bool else leaf.astype(phi.dtype)
    return jax.tree.map(narrow, found)


def _solve(phi: Array, y: Array, weight: Array, standardize: bool, choose: Callable) -> LinearState:
    """The posterior, with the ratio of variances, the noise and whatever else `choose` finds from the moments."""
    total = weight.sum()
    shift, scale = jnp.zeros((), y.dtype), jnp.ones((), y.dtype)
    if standardize:
        share = weight / jnp.maximum(total, 1e-300)
        shift = dot(share, y)
        deviation = jnp.sqrt(dot(share, (y - shift) ** 2))
        scale = jnp.where(deviation > 1e-12 * jnp.abs(y).max(), deviation, 1.0)
    z = jnp.where(weight > 0, (y - shift) / scale, 0.0)
    values, vectors = jnp.linalg.eigh(dot(phi.T, phi * weight[:, None]))
    values = jnp.maximum(values, 0.0)
    projected = dot(vectors.T, dot(phi.T, weight * z))
    usual = jnp.where(total > 0, values.sum() / jnp.maximum(total, 1e-300), 1.0 * len(values))
    ratio, noise, prior, a, b, converged = choose(Moments(values, projected, dot(weight, z**2), total, usual), scale)
    mean = scale * dot(vectors, projected / (values + ratio))
    root = vectors / jnp.sqrt(values + ratio)[None]
    converged = converged & jnp.isfinite(mean).all()
    return LinearState(mean, root, noise[None], prior, shift, a, b, converged[None])


def _by_evidence(
    moments: Moments, alpha: Array | None, beta: Array | None
) -> tuple[Float[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """Precisions of prior and noise, those that are None at the maximum of the evidence and its hyper-prior."""
    values, projected, square, count, usual = moments

    def better(at: tuple[Array, Array]) -> tuple[Array, Array]:
        ratio = at[0] / at[1]
        known = jnp.sum(values / (values + ratio))
        norm = jnp.sum((projected / (values + ratio)) ** 2)
        error = square - jnp.sum(projected**2 * (values + 2 * ratio) / (values + ratio) ** 2)
        new_alpha = (known + 2) / (norm + 2 / usual)
        new_beta = (count - known + 2) / (jnp.maximum(error, 0.0) + 2 * LEAST_NOISE)
        return new_alpha if alpha is None else alpha, new_beta if beta is None else beta

    start = (usual if alpha is None else alpha, jnp.float64(1 / LEAST_NOISE) if beta is None else beta)
    (alpha_found, beta_found), converged = settled(better, start)
    return alpha_found, beta_found, converged


def _ratio_by_evidence(moments: Moments, a: Array, scale: float) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The ratio of variances that maximises the evidence of a noise integrated out, and its hyper-prior."""
    values, projected, _, _, usual = moments

    def better(at: tuple[Array]) -> tuple[Array]:
        (ratio,) = at
        known = jnp.sum(values / (values + ratio))
        norm = jnp.sum((projected / (values + ratio)) ** 2)
        return ((known + 2) / (a / _scale(moments, ratio, scale) * norm + 2 / (LEAST_NOISE * usual)),)

    (ratio,), converged = settled(better, (LEAST_NOISE * usual,))
    return ratio, converged


def _scale(moments: Moments, ratio: Array, scale: float) -> Float[Array, ""]:
    """Scale of the inverse gamma posterior."""
    explained = jnp.sum(moments.projected**2 / (moments.values + ratio))
    return scale + jnp.maximum(moments.square - explained, 0.0) / 2
