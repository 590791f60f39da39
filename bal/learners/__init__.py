"""Learners: posteriors over functions, each a `bal.typing.Learner` of pure functions."""

from bal.learners.ensemble import ensemble
from bal.learners.mc_dropout import mc_dropout
from bal.learners.networks import Network, gal_cnn, lenet, linear, mlp, network
from bal.learners.restart import cold, shrink_and_perturb, warm

__all__ = [
    "Network",
    "cold",
    "ensemble",
    "gal_cnn",
    "lenet",
    "linear",
    "mc_dropout",
    "mlp",
    "network",
    "shrink_and_perturb",
    "warm",
]
