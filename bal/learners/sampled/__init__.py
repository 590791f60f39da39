"""Posteriors by Markov chains: the no-U-turn sampler on a network's weights, or on any model of numpyro."""

from bal.learners.sampled.program import from_numpyro
from bal.learners.sampled.weights import mcmc

__all__ = ["from_numpyro", "mcmc"]
