"""Gaussian processes as learners, on the kernels, means and parameters of gpjax."""

from bal.learners.gp.classification import gp_classification
from bal.learners.gp.conditioned import GPRows, GPState
from bal.learners.gp.hyperparameters import Chosen, Hyperparameters, given, maximum_likelihood
from bal.learners.gp.laplace import laplace
from bal.learners.gp.laplace_draws import WeightedDraws, effective_size, laplace_draws, weighted_draws
from bal.learners.gp.links import Link, logit, probit
from bal.learners.gp.mcmc import nuts
from bal.learners.gp.noisy_input import (
    NoisyInputProcess,
    NoisyInputRBF,
    noise_free,
    noisy_input_process,
    noisy_rows,
)
from bal.learners.gp.pathwise import gp_classification_draws, gp_regression_draws
from bal.learners.gp.priors import lognormal_prior, prior
from bal.learners.gp.process import Process, process, split
from bal.learners.gp.regression import gp_regression, log_posterior
from bal.learners.gp.sites import Inference
from bal.learners.gp.softmax import gp_softmax
from bal.learners.gp.sparse import sparse_gp
from bal.learners.gp.variational import variational

__all__ = [
    "Chosen",
    "GPRows",
    "GPState",
    "Hyperparameters",
    "Inference",
    "Link",
    "NoisyInputProcess",
    "NoisyInputRBF",
    "Process",
    "WeightedDraws",
    "effective_size",
    "given",
    "gp_classification",
    "gp_classification_draws",
    "gp_regression",
    "gp_regression_draws",
    "gp_softmax",
    "laplace",
    "laplace_draws",
    "log_posterior",
    "logit",
    "lognormal_prior",
    "maximum_likelihood",
    "noise_free",
    "noisy_input_process",
    "noisy_rows",
    "nuts",
    "prior",
    "probit",
    "process",
    "sparse_gp",
    "split",
    "variational",
    "weighted_draws",
]
