"""Linear heads: Bayesian linear models of features that are given or trained beside them."""

from bal.learners.heads.linear import LinearRows, LinearState, bayesian_linear, normal_inverse_gamma

__all__ = ["LinearRows", "LinearState", "bayesian_linear", "normal_inverse_gamma"]
