"""Acquisition functions: predictions in, one score a row out. Higher means: label first.

To add one: write a function here, list it below, and add a row to `tests/cases.py`.
"""

from bal.acquisition.annotated import annotated_bald, annotated_epig
from bal.acquisition.covariance import alc, covariance_epig
from bal.acquisition.decisions import expected_error_reduction, value_of_information
from bal.acquisition.disagreement import max_consensus_kl
from bal.acquisition.epig import epig, epig_by_entropies, gaussian_epig, jepig
from bal.acquisition.errors import standard_error
from bal.acquisition.functional import functional_epig, gaussian_functional_epig
from bal.acquisition.gaussian import epistemic_variance, gaussian_bald, gaussian_entropy, total_variance
from bal.acquisition.heuristics import (
    consensus_kl,
    least_confidence,
    log_margin,
    margin,
    mean_std,
    variation_ratio,
    vote_entropy,
    vote_variation_ratio,
)
from bal.acquisition.information import bald, corrected_bald, expected_entropy, predictive_entropy
from bal.acquisition.level_set import straddle
from bal.acquisition.mixture import b_alm, b_qbc, hyperparameter_bald, mixture_bald, qb_mgp
from bal.acquisition.mixture_bounds import mixture_bald_lower, mixture_bald_upper
from bal.acquisition.multilabel import joint_labels_bald, labels_bald, over_labels, sampled_labels_bald
from bal.acquisition.outputs import over_outputs
from bal.acquisition.probit import houlsby_bald, probit_bald, probit_entropy, probit_epig, probit_probability
from bal.acquisition.robust import robust_bald
from bal.acquisition.weighted import weighted_information, weighted_variance

__all__ = [
    "alc",
    "annotated_bald",
    "annotated_epig",
    "b_alm",
    "b_qbc",
    "bald",
    "consensus_kl",
    "corrected_bald",
    "covariance_epig",
    "epig",
    "epig_by_entropies",
    "epistemic_variance",
    "expected_entropy",
    "expected_error_reduction",
    "functional_epig",
    "gaussian_bald",
    "gaussian_entropy",
    "gaussian_epig",
    "gaussian_functional_epig",
    "houlsby_bald",
    "hyperparameter_bald",
    "jepig",
    "joint_labels_bald",
    "labels_bald",
    "least_confidence",
    "log_margin",
    "margin",
    "max_consensus_kl",
    "mean_std",
    "mixture_bald",
    "mixture_bald_lower",
    "mixture_bald_upper",
    "over_labels",
    "over_outputs",
    "predictive_entropy",
    "probit_bald",
    "probit_entropy",
    "probit_epig",
    "probit_probability",
    "qb_mgp",
    "robust_bald",
    "sampled_labels_bald",
    "standard_error",
    "straddle",
    "total_variance",
    "value_of_information",
    "variation_ratio",
    "vote_entropy",
    "vote_variation_ratio",
    "weighted_information",
    "weighted_variance",
]
