"""What a study did not measure, as far as its curves tell: what a reader would otherwise take for granted."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bal.evaluation.references import peeks
from bal.evaluation.reports.findings import Answer, Question

CLAIM, RANKING = 20, 50
ENOUGH_TASKS = 6

# Baselines that a comparison should have beside random: names of `bal.strategies`, and their close relatives.
FAMILIES = {
    "of uncertainty (margin, entropy)": {"margin", "entropy", "variation-ratio", "least-confidence", "variance"},
    "that draws its batch (power-bald)": {"power-bald", "softmax-bald", "softrank-bald"},
    "of diversity (k-center, badge, lcmd)": {
        "k-center", "kmeans-pp", "k-medoids", "badge", "lcmd", "typiclust", "probcover", "cluster-margin", "max-det",
        "confident-coreset", "coreset", "core-set", "bait", "acs-fw",
    },
}  # fmt: skip

METRICS = {
    "accuracy": ("a proper score of the probabilities (nll, brier)", {"nll", "brier"}),
    "nll": ("calibration (ece)", {"ece", "adaptive_ece", "classwise_ece"}),
    "rmse": ("whether the variances are right (nll)", {"nll", "crps"}),
}


def not_measured(question: Question, found: Mapping[str, Any], told: Mapping[str, Answer]) -> tuple[str, ...]:
    """Sentences, the gravest first."""
    lines: list[str] = []
    names = {name for answer in told.values() for name in answer.curves}
    seeds = min(len(answer.curves[question.baseline]) for answer in told.values())
    if len(told) == 1:
        lines.append("Other data: this is one data set, and says nothing about others.")
    elif len(told) < ENOUGH_TASKS:
        lines.append(
            f"Data at large: {len(told)} data sets are too few to say that a strategy is better in general; a test "
            f"over data sets takes {ENOUGH_TASKS}."
        )
    if seeds < CLAIM:
        lines.append(f"Chance: {seeds} seeds, where a claim takes {CLAIM} and a ranking {RANKING}.")
    elif seeds < RANKING:
        lines.append(f"An order of the strategies: {seeds} seeds, where a ranking takes {RANKING}.")
    plain = {name.lower().replace("_", "-").replace(" ", "-") for name in names}
    for family, members in FAMILIES.items():
        if not any(name == member or name.startswith(f"{member}-") for name in plain for member in members):
            lines.append(f"A baseline {family}: none has such a name.")
    if not any(map(peeks, names)):
        lines.append(
            "How much there is to gain: no reference that peeks at labels was run, so no gain is large or small."
        )
    measured = set.intersection(*(set(curves.metrics) for curves in found.values()))
    lines += [
        f"{what[0].upper()}{what[1:]}."
        for metric, (what, any_of) in METRICS.items()
        if metric in measured and not measured & any_of
    ]
    lines.append(_sizes(found))
    if question.target is None:
        lines.append(f"Labels to a target: no value of {question.metric} was named.")
    lines.append("Seconds and costs: curves are over labels, whatever a pick took.")
    lines.append(
        "Labels outside the training set: those of a validation set, or used to choose hyper-parameters or the metric, "
        "are not in these counts."
    )
    return tuple(lines)


def _sizes(found: Mapping[str, Any]) -> str:
    starts = {int(curves.labels[0]) for curves in found.values()}
    steps = {int(step) for curves in found.values() for step in np.diff(curves.labels)}
    said = lambda values: " or ".join(f"{value}" for value in sorted(values))
    return (
        f"Other settings: {said(starts)} labels at the start and {said(steps)} a round, one learner and pool for each "
        "data set; an order of strategies can turn with each of them."
    )
