"""Inference from labels that were chosen: honest estimates, intervals and sets, where the law of the picks is known.

Pure functions of ``(log_q, values, predictions)``, numpy in and numpy out, repetitions on leading axes. The `log_q` of
any record or log of picks by `random_uniform`, `power`, `softmax`, `softrank` and drawn rules fits as it is.

    estimates        `lure`, `residual_lure`, `surrogate_estimate`, `stratified`, `active_inference`
    when to stop     `labels_until`
    what to label    `draw`, `inclusion_probabilities`, `equal_strata`, `neyman_allocation`
    which model      `leaders`; `consensus_beliefs`, `information_about_best`, `told`, `probability_best`
    few questions    `fit_items`, `next_item`, `ability`, `expected_accuracy`
    sets             `conformal_threshold`
"""

from bal.evaluation.active.conformal import conformal_threshold
from bal.evaluation.active.consensus import (
    Beliefs,
    class_beliefs,
    consensus_beliefs,
    information_about_best,
    probability_best,
    told,
)
from bal.evaluation.active.drawing import Draw, draw, inclusion_probabilities
from bal.evaluation.active.inference import active_inference
from bal.evaluation.active.items import Items, ability, expected_accuracy, fit_items, item_information, next_item
from bal.evaluation.active.models import Leaders, leaders
from bal.evaluation.active.strata import equal_strata, neyman_allocation, stratified
from bal.evaluation.active.surrogate import surrogate_estimate
from bal.evaluation.active.unbiased import MeanEstimate, labels_until, lure, lure_weights, residual_lure

__all__ = [
    "Beliefs",
    "Draw",
    "Items",
    "Leaders",
    "MeanEstimate",
    "ability",
    "active_inference",
    "class_beliefs",
    "conformal_threshold",
    "consensus_beliefs",
    "draw",
    "equal_strata",
    "expected_accuracy",
    "fit_items",
    "inclusion_probabilities",
    "information_about_best",
    "item_information",
    "labels_until",
    "leaders",
    "lure",
    "lure_weights",
    "next_item",
    "neyman_allocation",
    "probability_best",
    "residual_lure",
    "stratified",
    "surrogate_estimate",
    "told",
]
