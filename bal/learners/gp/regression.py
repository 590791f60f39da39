"""Gaussian process regression with the exact posterior."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import GPState, condition
from bal.learners.gp.hyperparameters import Choose, Hyperparameters, Objective, given
from bal.learners.gp.learner import Model, gp_learner, model
from bal.learners.gp.priors import LogPrior
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.training import map_members
from bal.method import method
from bal.numerics import as_floats
from bal.typing import Data, Learner, PyTree


@method
def gp_regression(
    process: Process,
    hyperparameters: Hyperparameters = given,
    *,
    log_prior: LogPrior | None = None,
) -> Learner:
    """The exact posterior of a Gaussian process with normal noise: ``predict`` gives a `Gaussian` ``[N, K]``.

    K is the number of draws of hyper-parameters, 1 where they are given or fitted. ``embed`` and ``kernel`` give the
    posterior covariance of the function (`bal.kernels.learner_covariance`), with the noise of a label in the embedded
    rows (`bal.kernels.noisy`). Costs O(L³) a fit and O(n L²) a prediction, for L labels rounded up to 16, 64, 256 and
    so on, or to the capacity of the labeled set.

    Labels and inputs may have any scale: where hyper-parameters are fitted or sampled they are standardized inside, and
    predictions are in natural units again. Numbers that are given, or held fixed, are in natural units, see
    `bal.learners.gp.units`.

    Everything is in the dtype of the inputs, whole numbers being cast to floats. In float32 the Cholesky factor is lost
    (NaN predictions, which `Campaign` refuses) where the largest eigenvalue of the prior over a given noise variance
    exceeds about 1e6: switch float64 on before any array is made, ``jax.config.update("jax_enable_x64", True)``, as the
    scripts do. A fitted noise is kept above rounding.

    Args:
      process: prior and noise, see `process`.
      hyperparameters: `given`, `maximum_likelihood(...)`, or a sampler of several draws.
      log_prior: of the process as a whole, added to the log evidence.

    >>> import jax, gpjax
    >>> import numpy as np
    >>> from bal.learners.gp import process
    >>> learner = gp_regression(process(gpjax.kernels.RBF(), noise=1.0))
    >>> data = Data(np.zeros((1, 1)), np.ones(1), np.ones(1))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> found = jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x)
    >>> [round(part.item(), 4) for part in found]  # mean and variance of f, noise
    [0.5, 0.5, 1.0]

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1.
    """

    def fit(choose: Choose, state: GPState, data: Data, model: Model) -> GPState:
        x, y, weight, *_ = data
        initial = as_dtype(split(process)[0], x.dtype)
        chosen = choose(initial, state.params, _objective(process, data, log_prior, model))
        one_draw = lambda params, _: condition(model(params), x, y, weight)[:2]
        whiten, alpha = map_members(one_draw, chosen.params, jnp.arange(hyperparameters.num_draws))
        gap = jnp.zeros(hyperparameters.num_draws, x.dtype)
        return GPState(
            chosen.params, x, whiten, alpha, gap, chosen.converged, state.num_labels, state.units, chosen.chain
        )

    return gp_learner(process, hyperparameters, fit)


def log_posterior(process: Process, data: Data, log_prior: LogPrior | None = None) -> Objective:
    """Log evidence of the labels plus the log prior, as a function of the hyper-parameters ``split(process)[0]``.

    It is what `Hyperparameters` are chosen by, with labels and inputs as they are (where they are standardized: of the
    standardized labels); without a prior it is the log evidence, in nats.

    >>> import jax, gpjax
    >>> from bal.learners.gp import process
    >>> model = process(gpjax.kernels.RBF(), noise=1.0)
    >>> evidence = log_posterior(model, Data(jnp.zeros((1, 1)), jnp.ones(1), jnp.ones(1)))
    >>> round(float(jax.jit(evidence)(split(model)[0])), 4)
    -1.5155

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", equation 2.30.
    """
    x = as_floats(data.x)
    some = Data(x, data.y.astype(x.dtype), data.weight.astype(x.dtype))
    return _objective(process, some, log_prior, model(process, None, x.dtype))


def _objective(process: Process, data: Data, log_prior: LogPrior | None, model: Model) -> Objective:
    rest, (x, y, weight, *_) = split(process)[1], data

    def objective(params: PyTree) -> Float[Array, ""]:
        evidence = condition(model(params), x, y, weight)[2]
        return evidence if log_prior is None else evidence + log_prior(join(params, rest, x.dtype))

    return objective
