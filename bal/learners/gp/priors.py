"""Priors on the hyper-parameters of a Gaussian process, as distributions of numpyro on their constrained values."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from gpjax.parameters import NonNegativeReal, PositiveReal, val
from jaxtyping import Array, Float
from numpyro.distributions import Distribution, LogNormal

from bal.learners.gp.process import Process
from bal.method import method

LogPrior = Callable[[Process], Float[Array, ""]]
"""Log density of a process's hyper-parameters: the argument `log_prior` of a learner."""


@method
def prior(*terms: tuple[Callable[[Process], Any], Distribution]) -> LogPrior:
    """Independent priors, ``Σ_j log p_j(θ_j)``, each a part of the process and the distribution of its entries.

    >>> import gpjax
    >>> from bal.learners.gp import process
    >>> log_prior = prior((lambda p: p.kernel.lengthscale, LogNormal()), (lambda p: p.noise, LogNormal()))
    >>> round(float(jax.jit(log_prior)(process(gpjax.kernels.RBF(lengthscale=1.0), 1.0))), 4)
    -1.8379
    """

    def log_prior(process: Process) -> Float[Array, ""]:
        return sum((jnp.sum(distribution.log_prob(val(part(process)))) for part, distribution in terms), jnp.zeros(()))

    return log_prior


@method
def lognormal_prior(scale: float = 3**0.5) -> LogPrior:
    """``log θ ~ N(0, scale²)`` for every positive parameter: lengthscales, variances and noise, of scaled data.

    Positive parameters are those of gpjax (`PositiveReal`, `NonNegativeReal`); others, such as the arrays of a
    module that gives the noise, have no prior from here. Fixed ones add a constant.

    Args:
      scale: standard deviation of the logarithms.

    >>> import gpjax
    >>> from bal.learners.gp import process
    >>> round(float(jax.jit(lognormal_prior(1.0))(process(gpjax.kernels.RBF(), 1.0))), 4)
    -2.7568

    Riis et al. 2022, "Bayesian Active Learning with Fully Bayesian Gaussian Processes", whose scale is √3.
    """
    if not scale > 0:
        raise ValueError(f"scale is the standard deviation of the logarithms and must be positive, got {scale}")

    def log_prior(process: Process) -> Float[Array, ""]:
        is_positive = lambda node: isinstance(node, PositiveReal | NonNegativeReal)
        found = [node for node in jax.tree.leaves(process, is_leaf=is_positive) if is_positive(node)]
        distribution = LogNormal(0.0, scale)
        return sum((jnp.sum(distribution.log_prob(val(node))) for node in found), jnp.zeros(()))

    return log_prior
