"""Learners: posteriors over functions, each a `bal.typing.Learner` of pure functions."""

from bal.learners.ensemble import ensemble
from bal.learners.mc_dropout import mc_dropout
from bal.learners.networks import Network, lenet, linear, mlp
from bal.learners.restart import cold, shrink_and_perturb, warm

__all__ = [
    "Network",
    "cold",
    "ensemble",
    "lenet",
    "linear",
    "mc_dropout",
    "mlp",
    "shrink_and_perturb",
    "warm",
]
