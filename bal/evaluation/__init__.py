"""Arrays in, arrays out: metrics, learning curves, statistics over paired seeds, tables, plots. Imports no JAX.

Estimates from labels that were chosen are in `bal.evaluation.active`.

The `evaluate` of a set-up is `classification`, `regression` or `label_sets`, one of the longer reports, or
`remaining_entropy`.

The metrics work on numpy and JAX arrays alike, also inside `jax.jit`.
"""

from bal.evaluation.aggregates import Aggregate, aggregate, normalized_scores, probability_of_improvement
from bal.evaluation.bands import Band, sup_t_band
from bal.evaluation.bootstrap import Estimate
from bal.evaluation.budgets import common_budgets, values_at
from bal.evaluation.calibration import adaptive_ece, classwise_ece, joint_gaussian_nll, joint_nll
from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target, quantile_interval
from bal.evaluation.densities import crps, interval_coverage, mixture_cdf
from bal.evaluation.efficiency import Efficiency, label_efficiency
from bal.evaluation.equivalence import Equivalence, equivalence_test
from bal.evaluation.gains import Gains, gains
from bal.evaluation.history import History, Stopped, stopped_at
from bal.evaluation.label_sets import label_sets
from bal.evaluation.measures import (
    classification,
    classification_report,
    regression,
    regression_report,
    remaining_entropy,
    with_predictions,
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
from bal.evaluation.overlap import Overlap, query_overlap
from bal.evaluation.penalty import PenaltyMatrix, penalty_matrix
from bal.evaluation.planning import detectable_area, detectable_difference, seeds_to_detect
from bal.evaluation.plots import learning_curves, strategy_styles
from bal.evaluation.profiles import Profile, performance_profiles
from bal.evaluation.ranks import CriticalDifference, critical_difference
from bal.evaluation.references import Headroom, best_of_strategies, headroom, peeks
from bal.evaluation.reports import Report, report, write_report
from bal.evaluation.screening import Recall, estimated_recall
from bal.evaluation.statistics import (
    PairedDifference,
    holm,
    interquartile_mean,
    judgment,
    mean_interval,
    paired_difference,
    verdict,
)
from bal.evaluation.stopping import (
    cost_budget,
    first_of,
    kappa,
    label_budget,
    plateau,
    recall_reached,
    stable_predictions,
    uncertainty_below,
)
from bal.evaluation.tables import Comparison, compare, comparison_table

__all__ = [
    "Aggregate",
    "Band",
    "Comparison",
    "CriticalDifference",
    "Efficiency",
    "Equivalence",
    "Estimate",
    "Gains",
    "Headroom",
    "History",
    "Overlap",
    "PairedDifference",
    "PenaltyMatrix",
    "Profile",
    "Recall",
    "Report",
    "Stopped",
    "accuracy",
    "adaptive_ece",
    "aggregate",
    "area_under_curve",
    "auroc",
    "best_of_strategies",
    "brier",
    "censored_quantile",
    "classification",
    "classification_report",
    "classwise_ece",
    "common_budgets",
    "compare",
    "comparison_table",
    "cost_budget",
    "critical_difference",
    "crps",
    "detectable_area",
    "detectable_difference",
    "ece",
    "equivalence_test",
    "estimated_recall",
    "false_positive_rate",
    "first_of",
    "gains",
    "gaussian_nll",
    "headroom",
    "holm",
    "interquartile_mean",
    "interval_coverage",
    "joint_gaussian_nll",
    "joint_nll",
    "judgment",
    "kappa",
    "label_budget",
    "label_efficiency",
    "label_sets",
    "labels_to_target",
    "learning_curves",
    "mean_interval",
    "mixture_cdf",
    "mixture_nll",
    "mixture_probabilities",
    "nll",
    "normalized_scores",
    "paired_difference",
    "peeks",
    "penalty_matrix",
    "performance_profiles",
    "plateau",
    "probability_of_improvement",
    "quantile_interval",
    "query_overlap",
    "recall_reached",
    "regression",
    "regression_report",
    "remaining_entropy",
    "report",
    "rmse",
    "seeds_to_detect",
    "stable_predictions",
    "stopped_at",
    "strategy_styles",
    "sup_t_band",
    "uncertainty_below",
    "values_at",
    "verdict",
    "with_predictions",
    "write_report",
]
