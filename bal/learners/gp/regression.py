"""Gaussian process regression with the exact posterior."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import GPState, condition, gp_learner
from bal.learners.gp.hyperparameters import Hyperparameters, Objective, given
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.training import map_members
from bal.typing import Data, Learner, PRNGKey, PyTree


def gp_regression(
    process: Process,
    hyperparameters: Hyperparameters = given,
    *,
    log_prior: Callable[[Process], Float[Array, ""]] | None = None,
) -> Learner:
    """The exact posterior of a Gaussian process with normal noise: ``predict`` gives a `Gaussian` ``[N, K]``.

    K is the number of draws of hyper-parameters, 1 where they are given or fitted. ``embed`` and ``kernel`` give the
    posterior covariance of the function (`bal.kernels.learner_covariance`), with the noise of a label in the embedded
    rows (`bal.kernels.noisy`). Costs O(L³) a fit and O(n L²) a prediction, for a labeled set of capacity L.

    Everything is in the dtype of the inputs. In float32 the Cholesky factor is lost (NaN predictions, which `Campaign`
    refuses) where the largest eigenvalue of the prior over the noise variance exceeds about 1e6: switch float64 on
    before any array is made, ``jax.config.update("jax_enable_x64", True)``, as the scripts do.

    Args:
      process: prior and noise, see `process`.
      hyperparameters: `given`, `maximum_likelihood(...)`, or a sampler of several draws.
      log_prior: of the process as a whole, added to the log evidence.

    >>> import jax, gpjax
    >>> from bal.learners.gp import process
    >>> learner = gp_regression(process(gpjax.kernels.RBF(), noise=1.0))
    >>> data = Data(jnp.zeros((1, 1)), jnp.ones(1), jnp.ones(1))
    >>> state = learner.fit(jax.random.key(0), learner.init(jax.random.key(0), data), data)
    >>> [round(float(leaf[0, 0]), 4) for leaf in learner.predict(state, data.x)]
    [0.5, 0.5, 1.0]

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithm 2.1.
    """
    fitted, rest = split(process)
    num_draws = hyperparameters.num_draws

    def fit(key: PRNGKey, state: GPState, data: Data) -> GPState:
        x, dtype = data.x, data.x.dtype
        y, weight = data.y.astype(dtype), data.weight.astype(dtype)
        params = hyperparameters.choose(
            key, as_dtype(fitted, dtype), state.params, log_posterior(process, data, log_prior)
        )
        one_draw = lambda params, _: condition(join(params, rest, dtype), x, y, weight)[:2]
        whiten, alpha = map_members(one_draw, params, jnp.arange(num_draws))
        return GPState(params, jnp.where(weight[:, None] > 0, x, 0.0), whiten, alpha, jnp.zeros(num_draws, dtype))

    return gp_learner(process, num_draws, fit)


def log_posterior(
    process: Process, data: Data, log_prior: Callable[[Process], Float[Array, ""]] | None = None
) -> Objective:
    """Log evidence of the labels plus the log prior, as a function of the hyper-parameters ``split(process)[0]``.

    It is what `Hyperparameters` are chosen by; without a prior it is the log evidence, in nats.

    >>> import gpjax
    >>> from bal.learners.gp import process
    >>> model = process(gpjax.kernels.RBF(), noise=1.0)
    >>> found = log_posterior(model, Data(jnp.zeros((1, 1)), jnp.ones(1), jnp.ones(1)))
    >>> round(float(found(split(model)[0])), 4)
    -1.5155

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", equation 2.30.
    """
    rest, dtype = split(process)[1], data.x.dtype
    y, weight = data.y.astype(dtype), data.weight.astype(dtype)

    def objective(params: PyTree) -> Float[Array, ""]:
        model = join(params, rest, dtype)
        evidence = condition(model, data.x, y, weight)[2]
        return evidence if log_prior is None else evidence + log_prior(model)

    return objective
