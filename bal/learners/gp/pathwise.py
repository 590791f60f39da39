"""Joint draws of a Gaussian process as functions, fixed in `fit`, so that whatever works on draws works row by row."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from bal.learners.gp.buckets import by_bucket, compact
from bal.learners.gp.classification import approximate, gp_classification
from bal.learners.gp.conditioned import GPState, observe
from bal.learners.gp.features import check_draws, draw_prior, features
from bal.learners.gp.hyperparameters import Hyperparameters, given
from bal.learners.gp.laplace import laplace
from bal.learners.gp.learner import leading, model, of_labels
from bal.learners.gp.links import Link, probit
from bal.learners.gp.priors import LogPrior
from bal.learners.gp.process import Process, as_dtype
from bal.learners.gp.regression import gp_regression
from bal.learners.gp.sites import Inference
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import as_floats, dot, in_row_blocks
from bal.typing import Data, Gaussian, Learner, Posterior, PRNGKey, PyTree


class Draws(NamedTuple):
    """S draws for each of H draws of hyper-parameters: ``f(x) = m(x) + weights·φ(x) + update·k(X, x)``.

    φ are the cosines and sines of ``frequencies x``.
    """

    frequencies: Float[Array, "H F D"]
    weights: Float[Array, "H S F+F"]
    update: Float[Array, "H S L"]


class DrawsState(NamedTuple):
    """The posterior itself, and draws of it."""

    posterior: GPState
    draws: Draws


@method
def gp_regression_draws(
    process: Process,
    num_draws: int,
    hyperparameters: Hyperparameters = given,
    *,
    num_features: int = 1024,
    log_prior: LogPrior | None = None,
) -> Learner:
    """Joint draws of the posterior of `gp_regression`: ``predict`` gives a `Gaussian` ``[N, K]`` without variance.

    The mean of draw k is the function ``f_k(x)``, the noise that of the process. A draw is one of the prior, by random
    Fourier features, moved to the labels by an exact update:
    ``f(x) + k(x, X) (K + Σ)⁻¹ (y - f(X) - ε)``. Only the features approximate, with an error of the prior covariance of
    about ``variance / √num_features``, which the update keeps away from the labels. ``embed`` and ``kernel`` are exact.

    Args:
      process: with a stationary kernel that has a spectral density (RBF, Matern12, Matern32 or Matern52 of gpjax).
      num_draws: K, shared evenly among the draws of hyper-parameters if there are several.
      hyperparameters, log_prior: see `gp_regression`.
      num_features: cosines and sines together.

    Raises:
      ValueError: another kernel; a num_draws that the hyper-parameters do not divide; an odd num_features; labels
        ``[L, P]`` of several outputs.

    >>> import gpjax
    >>> import numpy as np
    >>> from bal.learners.gp import process
    >>> learner = gp_regression_draws(process(gpjax.kernels.RBF(), noise=1e-6), num_draws=3)
    >>> data = Data(np.zeros((1, 1)), np.ones(1), np.ones(1))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> draws = jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x).mean
    >>> np.asarray(draws).round(2).tolist()
    [[1.0, 1.0, 1.0]]

    Wilson, Borovitskiy, Terenin, Mostowsky and Deisenroth 2020, "Efficiently Sampling Functions from Gaussian Process
    Posteriors"; Rahimi and Recht 2007, "Random Features for Large-Scale Kernel Machines".
    """
    base = gp_regression(process, hyperparameters, log_prior=log_prior)

    def precision(process: Process, data: Data, alpha: Array) -> Float[Array, "L"]:
        if alpha.ndim != 1:
            raise ValueError(
                f"draws are of one output, labels [L], got labels {data.y.shape}; use one learner an output"
            )
        return observe(process, data.x, jnp.zeros_like(data.weight), data.weight).precision

    def read(f: Float[Array, "n K"], noise: Float[Array, "n K"]) -> Gaussian:
        return Gaussian(f, jnp.zeros_like(f), noise)

    return _draws(base, process, num_draws, hyperparameters.num_draws, num_features, precision, read)


@method
def gp_classification_draws(
    process: Process,
    num_draws: int,
    inference: Inference | None = None,
    hyperparameters: Hyperparameters = given,
    *,
    link: Link = probit,
    num_features: int = 1024,
    log_prior: LogPrior | None = None,
) -> Learner:
    """Joint draws of the posterior of `gp_classification`: ``predict`` gives ``log_probs [N, K, 2]``.

    Probabilities of draw k are those of the link at ``f_k(x)``, see `gp_regression_draws` for how it is drawn and for
    arguments and errors in common; the labels' sites of the normal approximation stand for normal labels.

    >>> import gpjax
    >>> import numpy as np
    >>> from bal.learners.gp import process
    >>> learner = gp_classification_draws(process(gpjax.kernels.RBF()), num_draws=3)
    >>> data = Data(np.zeros((1, 1)), np.ones(1), np.ones(1))
    >>> draws = lambda key, data: learner.predict(learner.fit(key, learner.init(key, data), data), data.x)
    >>> jax.eval_shape(draws, jax.random.key(0), data).shape
    (1, 3, 2)

    Wilson et al. 2020, "Efficiently Sampling Functions from Gaussian Process Posteriors"; for classes, reconstructed.
    """
    chosen = laplace() if inference is None else inference
    base = gp_classification(process, chosen, hyperparameters, link=link, log_prior=log_prior)

    def precision(process: Process, data: Data, alpha: Array) -> Float[Array, "L"]:
        return approximate(process, chosen, link, data, alpha).precision

    def read(f: Float[Array, "n K"], noise: Float[Array, "n K"]) -> Float[Array, "n K 2"]:
        del noise
        return jnp.stack([link(-f), link(f)], -1)

    return _draws(base, process, num_draws, hyperparameters.num_draws, num_features, precision, read)


def _draws(
    base: Learner,
    process: Process,
    num_draws: int,
    num_hyper: int,
    num_features: int,
    precision: Callable[[Process, Data, Array], Array],
    read: Callable[[Array, Array], PyTree],
) -> Learner:
    """Draws beside the posterior of a base learner whose labels have these precisions."""
    check_draws(process.kernel, num_draws, num_hyper, num_features)
    each, half = num_draws // num_hyper, num_features // 2
    model_of = lambda state, dtype: model(process, state.units, dtype)

    def init(key: PRNGKey, data: Data) -> DrawsState:
        x = as_floats(data.x)
        length, dim = x[:, process.kernel.active_dims].shape
        shapes = (half, dim), (each, 2 * half), (each, length)
        return DrawsState(base.init(key, data), Draws(*(jnp.zeros((num_hyper, *shape), x.dtype) for shape in shapes)))

    def fit(key: PRNGKey, state: DrawsState, data: Data) -> DrawsState:
        return drawn(base.fit, key, state, data)

    def condition(key: PRNGKey, state: DrawsState, data: Data) -> DrawsState:
        return drawn(base.condition, key, state, data)  # pyright: ignore[reportArgumentType]

    def drawn(solve: Callable, key: PRNGKey, state: DrawsState, data: Data) -> DrawsState:
        key_fit, key_draw = jax.random.split(key)
        found = solve(key_fit, state.posterior, data)
        real_first = compact(data._replace(weight=data.weight.astype(found.x.dtype)))

        def draw(size: int) -> Draws:
            some = leading(found, size)
            labels = Data(some.x, real_first.y[:size], real_first.weight[:size])

            def one(number: Array, params: PyTree, whiten: Array, alpha: Array) -> Draws:
                prior = model_of(found, found.x.dtype)(params)
                sites = precision(prior, labels, alpha)
                return _draw(jax.random.fold_in(key_draw, number), prior, some.x, whiten, alpha, sites, each, half)

            draws = map_members(one, jnp.arange(num_hyper), some.params, some.whiten, some.alpha)
            return draws._replace(update=jnp.pad(draws.update, ((0, 0), (0, 0), (0, len(found.x) - size))))

        return DrawsState(found, by_bucket(found.num_labels, len(found.x), draw))

    def predict(state: DrawsState, x: Shaped[Array, "n D"]) -> PyTree:
        x = as_floats(x)
        made = model_of(state.posterior, x.dtype)

        def at(size: int) -> tuple[Array, Array]:
            seen = state.posterior.x[:size]
            draws = state.draws._replace(update=state.draws.update[:, :, :size])

            def block(x: Float[Array, "n D"]) -> tuple[Array, Array]:
                values = lambda params, draws: _values(made(params), draws, seen, x)
                found = map_members(values, state.posterior.params, draws)
                return tuple(leaf.swapaxes(0, 1).reshape(x.shape[0], num_draws) for leaf in found)

            return in_row_blocks(block, x)

        f, noise = by_bucket(state.posterior.num_labels, len(state.posterior.x), at)
        if state.posterior.units is not None:
            f, _, noise = of_labels(as_dtype(process, x.dtype), state.posterior.units, x, Gaussian(f, noise, noise))
        return read(f, noise)

    def embed(state: DrawsState, x: Shaped[Array, "n D"]) -> PyTree:
        return Posterior(state.posterior, base).embed(x)

    def kernel(state: DrawsState, a: PyTree, b: PyTree) -> Float[Array, ""]:
        return Posterior(state.posterior, base).kernel(a, b)

    return Learner(init, fit, predict, embed, kernel, condition=condition)


def _draw(
    key: PRNGKey, prior: Process, x: Array, whiten: Array, alpha: Array, precision: Array, num_draws: int, half: int
) -> Draws:
    key_frequencies, key_weights, key_noise = jax.random.split(key, 3)
    frequencies, weights = draw_prior(key_frequencies, key_weights, prior.kernel, x, num_draws, half)
    real = precision > 0
    noise = jax.random.normal(key_noise, (num_draws, len(x)), x.dtype) / jnp.sqrt(jnp.where(real, precision, 1.0))[None]
    seen = jnp.where(real[None], dot(weights, features(prior.kernel, frequencies, x).T) + noise, 0.0)
    return Draws(frequencies, weights, alpha[None] - dot(dot(seen, whiten.T), whiten))


def _values(
    prior: Process, draws: Draws, x_labeled: Float[Array, "L D"], x: Float[Array, "n D"]
) -> tuple[Float[Array, "n S"], Float[Array, "n S"]]:
    """Draws of f, and the noise of labels, at rows."""
    f = dot(features(prior.kernel, draws.frequencies, x), draws.weights.T) + prior.prior_mean(x)[:, None]
    f = f + dot(prior.covariance(x, x_labeled), draws.update.T)
    return f, jnp.broadcast_to(prior.noise_variance(x)[:, None], f.shape)
