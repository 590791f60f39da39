"""Gaussian process classification into two classes, with a normal approximation of the posterior."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.gp.conditioned import GPState
from bal.learners.gp.hyperparameters import Choose, Hyperparameters, given
from bal.learners.gp.laplace import laplace
from bal.learners.gp.learner import Model, gp_learner
from bal.learners.gp.links import Link, probit
from bal.learners.gp.priors import LogPrior
from bal.learners.gp.process import Process, as_dtype, join, split
from bal.learners.gp.sites import Approximation, Inference, Labels
from bal.learners.training import map_members
from bal.method import method
from bal.typing import Data, Latent, Learner, PyTree


@method
def gp_classification(
    process: Process,
    inference: Inference | None = None,
    hyperparameters: Hyperparameters = given,
    *,
    link: Link = probit,
    log_prior: LogPrior | None = None,
) -> Learner:
    """A normal approximation of the posterior of f for labels 0 and 1: ``predict`` gives a `Latent` ``[N, K]``.

    K is the number of draws of hyper-parameters, 1 where they are given or fitted. With the probit link class 1 has
    probability ``Φ(mean / √(1 + variance))``. ``embed`` and ``kernel`` give the posterior covariance of f
    (`bal.kernels.learner_covariance`). The approximation starts at that of the round before: the objective is concave,
    so the result is the same to rounding. Costs O(L³) a step of a fit and O(n L²) a prediction.

    Everything is in the dtype of the inputs; float64 is recommended, ``jax.config.update("jax_enable_x64", True)``.

    Args:
      process: the prior of f, made without noise, see `process`.
      inference: `laplace()` unless given, or `variational()`.
      hyperparameters: `given`, `maximum_likelihood(...)`, or a sampler of several draws; the evidence is the
        approximation's.
      link: `probit` or `logit`.
      log_prior: of the process as a whole, added to the log evidence.

    Raises:
      ValueError: a process with noise: the link is the noise of a class.

    >>> import gpjax, jax
    >>> import numpy as np
    >>> from bal.learners.gp import process
    >>> learner = gp_classification(process(gpjax.kernels.RBF()))
    >>> data = Data(np.zeros((1, 1)), np.ones(1), np.ones(1))
    >>> fit = jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))
    >>> found = jax.jit(learner.predict)(fit(jax.random.key(0), data), data.x)
    >>> [round(part.item(), 4) for part in found]  # mean and variance of f
    [0.5061, 0.6613]

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", algorithms 3.1 and 3.2.
    """
    if process.noise is not None:
        raise ValueError("classes have no noise variance, the link is their noise; make the process without noise")
    chosen = laplace() if inference is None else inference
    rest = split(process)[1]

    def fit(choose: Choose, state: GPState, data: Data, model: Model) -> GPState:
        x, start = data.x, state.alpha.mean(0)
        classify = lambda params: approximate(model(params), chosen, link, data, start)

        def objective(params: PyTree) -> Float[Array, ""]:
            evidence = classify(params).log_evidence
            return evidence if log_prior is None else evidence + log_prior(join(params, rest, x.dtype))

        initial = as_dtype(split(process)[0], x.dtype)
        params, converged, chain = choose(initial, state.params, objective)
        found = map_members(lambda params, _: classify(params), params, jnp.arange(hyperparameters.num_draws))
        converged &= found.gap <= jnp.finfo(x.dtype).eps ** 0.25
        return GPState(params, x, found.whiten, found.alpha, found.gap, converged, state.num_labels, state.units, chain)

    read = lambda found: Latent(found.mean, found.variance)
    return gp_learner(process, hyperparameters, fit, read)


def approximate(
    process: Process, inference: Inference, link: Link, data: Data, alpha: Float[Array, "L"]
) -> Approximation:
    """The approximation of the posterior of one process, started at an alpha."""
    x = jnp.where(data.weight[:, None] > 0, data.x, 0.0)
    sign = jnp.where(data.y == 1, 1.0, jnp.where(data.y == 0, -1.0, jnp.nan))
    sign = jnp.where(data.weight > 0, sign, 1.0).astype(x.dtype)
    labels = Labels(sign, data.weight.astype(x.dtype), process.prior_mean(x))
    return inference.approximate(link, process.covariance(x, x), labels, alpha)
