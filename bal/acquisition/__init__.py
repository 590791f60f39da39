"""Acquisition functions: predictions in, one score a row out. Higher means: label first.

To add one: write a function here, list it below, and add a row to `tests/cases.py`.
"""

from bal.acquisition.epig import epig, epig_by_entropies, gaussian_epig, jepig
from bal.acquisition.gaussian import epistemic_variance, gaussian_bald, gaussian_entropy, total_variance
from bal.acquisition.heuristics import (
    consensus_kl,
    least_confidence,
    margin,
    mean_std,
    variation_ratio,
    vote_entropy,
    vote_variation_ratio,
)
from bal.acquisition.information import bald, corrected_bald, expected_entropy, predictive_entropy

__all__ = [
    "bald",
    "consensus_kl",
    "corrected_bald",
    "epig",
    "epig_by_entropies",
    "epistemic_variance",
    "expected_entropy",
    "gaussian_bald",
    "gaussian_entropy",
    "gaussian_epig",
    "jepig",
    "least_confidence",
    "margin",
    "mean_std",
    "predictive_entropy",
    "total_variance",
    "variation_ratio",
    "vote_entropy",
    "vote_variation_ratio",
]
