"""Gaussian processes as learners, on the kernels, means and parameters of gpjax."""

from bal.learners.gp.conditioned import GPRows, GPState
from bal.learners.gp.hyperparameters import Hyperparameters, given, maximum_likelihood
from bal.learners.gp.process import Process, process
from bal.learners.gp.regression import gp_regression

__all__ = [
    "GPRows",
    "GPState",
    "Hyperparameters",
    "Process",
    "given",
    "gp_regression",
    "maximum_likelihood",
    "process",
]
