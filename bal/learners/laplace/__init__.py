"""Laplace's approximation of a trained network, at its dense layers."""

from bal.learners.laplace.learner import LaplaceState, laplace

__all__ = ["LaplaceState", "laplace"]
