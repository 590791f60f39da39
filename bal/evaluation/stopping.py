"""When to stop labeling: rules ``History -> reason``, pure functions of the log so far (`bal.evaluation.history`).

`bal.loop.run_eager`, `bal.loop.study` and `bal.loop.Campaign` take one as `stop` and stop where it says so, before the
rows of the last query are labeled; `stopped_at` reads off a finished log where it would have stopped. A rule of one's
own is any function: ``lambda log: log.metrics["accuracy"][-1] > 0.95``.

Which rule: `label_budget` and `cost_budget` keep a promise; `plateau` reads a labeled test set, whose labels count too;
`stable_predictions` needs none; `uncertainty_below` asks whether anything is left to learn, by the model's own word;
`recall_reached` asks whether anything is left to find.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

from bal.evaluation.history import History, StoppingRule, reason_to_stop
from bal.evaluation.screening import estimated_recall


def label_budget(num_labels: int) -> StoppingRule:
    """Stops where the next batch would make more than `num_labels` labels, those of the start set included.

    >>> label_budget(10)(History(labels=np.array([4, 8]), query=np.array([0, 0, 1, 1, 1])))
    '8 labels are there, and the next 3 would exceed the budget of 10'
    """
    _check_positive("num_labels", num_labels)

    def rule(history: History) -> str | None:
        labels, more = int(history.labels[-1]), int(history.proposed.sum())
        if labels + more <= num_labels:
            return None
        return f"{labels} labels are there, and the next {more} would exceed the budget of {num_labels}"

    return rule


def cost_budget(budget: float | int) -> StoppingRule:
    """Stops where answers so far and the next batch would cost more than `budget`, at the prices of the pool.

    >>> cost_budget(9.0)(History(np.array([4, 8]), spent=np.array([4.0, 7.5]), price=2.0))
    '7.5 is spent, and the next labels, for 2, would exceed the budget of 9'
    """
    _check_positive("budget", budget)

    def rule(history: History) -> str | None:
        spent, price = float(history.spent[-1]), history.price
        if spent + price <= budget + 1e-9 * abs(budget):  # prices are sums of floats
            return None
        return f"{spent:g} is spent, and the next labels, for {price:g}, would exceed the budget of {budget:g}"

    return rule


def plateau(metric: str, patience: int = 5, min_gain: float | int = 0.0, higher_is_better: bool = True) -> StoppingRule:
    """Stops where the best of the last `patience` evaluations is no more than `min_gain` better than the best before.

    Learning curves rest and rise again, and a short patience takes noise for the end: look at curves of finished runs
    by `stopped_at` first. The labels of the test set that the metric is measured on are part of what was spent.

    >>> flat = History(np.array([4, 8, 12, 16]), metrics={"accuracy": np.array([0.5, 0.8, 0.79, 0.80])})
    >>> plateau("accuracy", patience=2, min_gain=0.01)(flat)
    'accuracy was 0.8 at 8 labels, and in 2 evaluations since has not become better by more than 0.01'
    >>> plateau("accuracy", patience=3)(flat) is None
    True
    """
    _check_positive("patience", patience)
    if min_gain < 0:
        raise ValueError(f"expected min_gain of 0 or more, got {min_gain}; give it in units of the metric")

    def rule(history: History) -> str | None:
        values = np.asarray(_measured(history, metric), np.float64)
        if values.ndim != 1:
            raise ValueError(f"a plateau is one of numbers, but {metric} has shape {values.shape[1:]}; name another")
        if len(values) <= patience:
            return None
        signed = np.where(np.isnan(values), -np.inf, values if higher_is_better else -values)
        before, since = signed[:-patience], signed[-patience:]
        if np.isinf(before).all() or since.max() > before.max() + min_gain:
            return None
        best = int(before.argmax())
        return (
            f"{metric} was {values[best]:.4g} at {history.labels[best]} labels, and in {patience} evaluations since "
            f"has not become better by more than {min_gain:g}"
        )

    return rule


def stable_predictions(threshold: float | int = 0.99, window: int = 3, name: str = "predicted") -> StoppingRule:
    """Stops where successive models hardly differ: mean `kappa` of the last `window` pairs at `threshold` or above.

    The classes predicted for a fixed set of rows, whose labels are not needed, are measured at each evaluation, by
    `bal.evaluation.with_predictions`. Take a few hundred rows like those to come; the paper took 2,000. Models that
    predict one and the same class everywhere have no kappa, and do not count as agreeing.

    A model that does not change need not be right: where the query keeps to one region, nothing will change its mind.

    >>> same = History(np.array([4, 8, 12, 16]), metrics={"predicted": np.tile([0, 1, 1, 0], (4, 1))})
    >>> stable_predictions()(same)
    'predictions agree from model to model: mean kappa of the last 3 pairs is 1.0000, at least 0.99'

    Bloodgood and Vijay-Shanker 2009, "A Method for Stopping Active Learning Based on Stabilizing Predictions and the
    Need for User-Adjustable Stopping".
    """
    _check_positive("window", window)
    if not 0 < threshold <= 1:
        raise ValueError(f"expected threshold in (0, 1], got {threshold}; 0.99 of the paper is a conservative one")

    def rule(history: History) -> str | None:
        classes = np.asarray(_measured(history, name))
        if classes.ndim != 2 or classes.dtype.kind not in "iu":
            raise ValueError(
                f"expected class numbers of a fixed set of rows in {name}, got {classes.dtype} of shape "
                f"{classes.shape[1:]}; measure them with bal.evaluation.with_predictions"
            )
        if len(classes) <= window:
            return None
        recent = classes[-window - 1 :]
        mean = float(np.mean([kappa(one, two) for one, two in pairwise(recent)]))
        if not mean >= threshold:  # not where one is NaN
            return None
        told = f"mean kappa of the last {window} pairs is {mean:.4f}, at least {threshold:g}"
        return f"predictions agree from model to model: {told}"

    return rule


def uncertainty_below(threshold: float | int, patience: int = 1) -> StoppingRule:
    """Stops where the highest score of each of the last `patience` queries is below `threshold`.

    In units of the acquisition's scores: with `strategies.entropy` in nats, nothing in the pool that the model is
    uncertain about. A query that narrows the pool at random, or that draws its rows, does not show the highest score
    of the pool; use a patience then. A model that is sure and wrong stops too early.

    >>> asked = {"query": np.array([-1, 0, 0, 1, 1]), "scores": np.array([np.nan, 0.5, 0.1, 0.04, 0.02])}
    >>> uncertainty_below(0.05)(History(np.array([4, 6]), **asked))
    'the highest score is 0.04, below 0.05'
    """
    _check_positive("patience", patience)

    def rule(history: History) -> str | None:
        num_queries = len(history.labels)
        if num_queries < patience:
            return None
        for number in range(num_queries - patience, num_queries):
            scores = history.scores[history.query == number]
            if not len(scores) or not (scores < threshold).all():  # not where one is NaN
                return None
        highest = history.scores[history.query == num_queries - 1].max()
        return f"the highest score is {highest:.4g}, below {threshold:g}"

    return rule


def recall_reached(target: float = 0.95, confidence: float = 0.95, relevant: int = 1) -> StoppingRule:
    """Stops where the relevant rows that were found are at least `target` of all, by the lower end of an interval.

    The interval is that of `bal.evaluation.estimated_recall`, one-sided. It is looked at after every query, and the
    more often one looks the sooner chance says yes: look k = 1, 2, ... has the level ``(1 - confidence) / k (k + 1)``,
    so that all of them together have ``1 - confidence``.

    Use it when a pool is screened: literature, legal documents, moderation.

    >>> y = np.arange(60) < 20  # drawn with chances of 1 in 20 and 1 in 100
    >>> drawn = History(np.array([20, 40, 60]), y=y, answered=y >= 0, log_q=np.log(np.where(y, 0.05, 0.01)))
    >>> recall_reached(0.75)(drawn)
    'an estimated 86.3% of all relevant rows are found, at least 78.3% with confidence 0.95: 20 of 23.2'
    """
    for name, value in (("target", target), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"expected {name} in (0, 1), for instance 0.95, got {value}")

    def rule(history: History) -> str | None:
        look = len(history.labels)
        level = (1 - confidence) / (look * (look + 1))
        known, drawn = history.answered, np.isfinite(history.log_q)
        if drawn.any() and (known & drawn).sum() < 2:
            return None  # nothing was drawn and labeled yet
        found = estimated_recall(history.y[known] == relevant, history.log_q[known], confidence=1 - 2 * level)
        if not found.low >= target:
            return None
        return (
            f"an estimated {found.recall:.1%} of all relevant rows are found, at least {found.low:.1%} with confidence "
            f"{confidence:g}: {found.num_found} of {found.total:.1f}"
        )

    return rule


def first_of(*rules: StoppingRule) -> StoppingRule:
    """Stops where any of the rules does, with the reason of the first of them.

    >>> either = first_of(cost_budget(99.0), label_budget(5))
    >>> either(History(np.array([4]), spent=np.array([4.0]), query=np.array([0, 0]), price=2.0))
    '4 labels are there, and the next 2 would exceed the budget of 5'
    """
    if not rules:
        raise ValueError("first_of needs at least one rule, got none; give label_budget(100) for a budget")

    def rule(history: History) -> str | None:
        return next((reason for each in rules if (reason := reason_to_stop(each, history))), None)

    return rule


def kappa(one: Int[Any, "M"], two: Int[Any, "M"]) -> float:
    """Cohen's kappa of two labelings of M rows: ``(a - e) / (1 - e)``, a: agreement, e: that of chance, by the shares
    of the classes. At most 1; 0 for independent labelings; NaN where both give all rows one class.

    >>> round(kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])), 3)
    0.5

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    one, two = np.asarray(one), np.asarray(two)
    if one.shape != two.shape or one.ndim != 1 or not len(one):
        raise ValueError(f"expected two labelings [M] of the same rows, got shapes {one.shape} and {two.shape}")
    classes = np.union1d(one, two)
    by_chance = float(((one[:, None] == classes).mean(0) * (two[:, None] == classes).mean(0)).sum())
    agreement = float((one == two).mean())
    return (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def _measured(history: History, name: str) -> Any:
    if name not in history.metrics:
        have = ", ".join(sorted(history.metrics)) or "nothing"
        raise ValueError(f"the rule needs the metric {name}, but what is measured is {have}; give an evaluate with it")
    return history.metrics[name]


def _check_positive(name: str, value: float | int) -> None:
    if not value > 0:
        raise ValueError(f"expected a positive {name}, got {value}")
