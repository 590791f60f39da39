"""Arrays in, arrays out: metrics, learning curves, statistics over paired seeds, tables, plots. Imports no JAX.

The `evaluate` of a set-up is `classification`, `regression` or `remaining_entropy`.

The metrics work on numpy and JAX arrays alike, also inside `jax.jit`.
"""

from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target
from bal.evaluation.gains import Gains, gains
from bal.evaluation.measures import classification, regression, remaining_entropy
from bal.evaluation.metrics import (
    accuracy,
    brier,
    ece,
    gaussian_nll,
    mixture_nll,
    mixture_probabilities,
    nll,
    rmse,
)
from bal.evaluation.plots import learning_curves, strategy_styles
from bal.evaluation.statistics import (
    PairedDifference,
    detectable_difference,
    holm,
    interquartile_mean,
    judgment,
    mean_interval,
    paired_difference,
    verdict,
)
from bal.evaluation.tables import Comparison, compare, comparison_table

__all__ = [
    "Comparison",
    "Gains",
    "PairedDifference",
    "accuracy",
    "area_under_curve",
    "brier",
    "censored_quantile",
    "classification",
    "compare",
    "comparison_table",
    "detectable_difference",
    "ece",
    "gains",
    "gaussian_nll",
    "holm",
    "interquartile_mean",
    "judgment",
    "labels_to_target",
    "learning_curves",
    "mean_interval",
    "mixture_nll",
    "mixture_probabilities",
    "nll",
    "paired_difference",
    "regression",
    "remaining_entropy",
    "rmse",
    "strategy_styles",
    "verdict",
]
