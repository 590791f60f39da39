"""Posteriors by Markov chains: the no-U-turn sampler on a network's weights or any model of numpyro; ensembles that go
on as Langevin chains."""

from bal.learners.sampled.mile import mile
from bal.learners.sampled.program import from_numpyro
from bal.learners.sampled.weights import mcmc

__all__ = ["from_numpyro", "mcmc", "mile"]
