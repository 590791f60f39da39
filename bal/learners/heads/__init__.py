"""Linear heads: Bayesian linear models of features that are given or trained beside them."""

from bal.learners.heads.linear import LinearRows, LinearState, bayesian_linear, normal_inverse_gamma
from bal.learners.heads.neural_linear import NeuralState, neural_linear
from bal.learners.heads.softmax import SoftmaxState, bayesian_softmax

__all__ = [
    "LinearRows",
    "LinearState",
    "NeuralState",
    "SoftmaxState",
    "bayesian_linear",
    "bayesian_softmax",
    "neural_linear",
    "normal_inverse_gamma",
]
