"""Arrays in, arrays out: metrics, learning curves, statistics over paired seeds, tables, plots. Imports no JAX.

The `evaluate` of a set-up is `classification` or `regression`, their longer reports, or `remaining_entropy`.

The metrics work on numpy and JAX arrays alike, also inside `jax.jit`.
"""

from bal.evaluation.calibration import adaptive_ece, classwise_ece, joint_gaussian_nll, joint_nll
from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target
from bal.evaluation.densities import crps, interval_coverage, mixture_cdf
from bal.evaluation.gains import Gains, gains
from bal.evaluation.measures import (
    classification,
    classification_report,
    regression,
    regression_report,
    remaining_entropy,
)
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
from bal.evaluation.novelty import auroc, false_positive_rate
from bal.evaluation.plots import learning_curves, strategy_styles
from bal.evaluation.references import Headroom, best_of_strategies, headroom, peeks
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
    "Headroom",
    "PairedDifference",
    "accuracy",
    "adaptive_ece",
    "area_under_curve",
    "auroc",
    "best_of_strategies",
    "brier",
    "censored_quantile",
    "classification",
    "classification_report",
    "classwise_ece",
    "compare",
    "comparison_table",
    "crps",
    "detectable_difference",
    "ece",
    "false_positive_rate",
    "gains",
    "gaussian_nll",
    "headroom",
    "holm",
    "interquartile_mean",
    "interval_coverage",
    "joint_gaussian_nll",
    "joint_nll",
    "judgment",
    "labels_to_target",
    "learning_curves",
    "mean_interval",
    "mixture_cdf",
    "mixture_nll",
    "mixture_probabilities",
    "nll",
    "paired_difference",
    "peeks",
    "regression",
    "regression_report",
    "remaining_entropy",
    "rmse",
    "strategy_styles",
    "verdict",
]
