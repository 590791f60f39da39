"""Learners: posteriors over functions, each a `bal.typing.Learner` of pure functions."""

from bal.learners.annotators import Answers, Consensus, dawid_skene, majority_vote
from bal.learners.augmentation import hide, in_turn, jitter, shift
from bal.learners.ensemble import ensemble, tapped_members
from bal.learners.epinet import epinet
from bal.learners.fixmatch import fixmatch
from bal.learners.foreign import from_functions, from_sklearn
from bal.learners.heads import bayesian_linear, bayesian_softmax, neural_linear, normal_inverse_gamma
from bal.learners.laplace import laplace
from bal.learners.likelihood import Likelihood, categorical, gaussian, mixture_density, multi_label
from bal.learners.mc_dropout import mc_dropout
from bal.learners.mean_field import mean_field
from bal.learners.networks import Network, gal_cnn, lenet, linear, mlp, network
from bal.learners.neuronal import neuronal
from bal.learners.partial import candidate_sets
from bal.learners.restart import cold, shrink_and_perturb, warm
from bal.learners.sampled import from_numpyro, mcmc, mile
from bal.learners.shared_weights import batch_ensemble, masksembles
from bal.learners.snapshot import snapshot
from bal.learners.swag import swag
from bal.learners.taught import Asked, by_consensus, by_evidence, evidence
from bal.learners.vbll import vbll, vbll_regression

__all__ = [
    "Answers",
    "Asked",
    "Consensus",
    "Likelihood",
    "Network",
    "batch_ensemble",
    "bayesian_linear",
    "bayesian_softmax",
    "by_consensus",
    "by_evidence",
    "candidate_sets",
    "categorical",
    "cold",
    "dawid_skene",
    "ensemble",
    "epinet",
    "evidence",
    "fixmatch",
    "from_functions",
    "from_numpyro",
    "from_sklearn",
    "gal_cnn",
    "gaussian",
    "hide",
    "in_turn",
    "jitter",
    "laplace",
    "lenet",
    "linear",
    "majority_vote",
    "masksembles",
    "mc_dropout",
    "mcmc",
    "mean_field",
    "mile",
    "mixture_density",
    "mlp",
    "multi_label",
    "network",
    "neural_linear",
    "neuronal",
    "normal_inverse_gamma",
    "shift",
    "shrink_and_perturb",
    "snapshot",
    "swag",
    "tapped_members",
    "vbll",
    "vbll_regression",
    "warm",
]
