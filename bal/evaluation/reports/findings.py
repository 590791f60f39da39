"""What the curves of one task say, in words, tables and pictures."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from bal.evaluation import figures
from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target
from bal.evaluation.planning import detectable_difference
from bal.evaluation.references import headroom, peeks
from bal.evaluation.reports.document import Block, Grid, Picture, Points, Words
from bal.evaluation.statistics import FEW_SEEDS, holm, judgment, mean_interval, smallest_p_value
from bal.evaluation.tables import PEEKING, Comparison, compare, decimals, p_words

POWER = 0.8
LOSSES = frozenset({"nll", "joint_nll", "brier", "ece", "adaptive_ece", "classwise_ece", "rmse", "crps"})
GAINS = frozenset({"accuracy", "auroc", "f1", "exact"})
UNIT = frozenset({"accuracy", "auroc", "f1", "exact", "ece", "adaptive_ece", "classwise_ece"})


class Question(NamedTuple):
    """What is asked of all tasks alike; `level` is that of all tests of a page together."""

    metric: str
    higher_is_better: bool
    baseline: str
    target: float | None
    level: float = 0.05


class Answer(NamedTuple):
    """The curves of one task, and what came of them; p-values are adjusted for all `num_tests` of the page."""

    labels: Real[np.ndarray, "E"]
    curves: Mapping[str, Float[np.ndarray, "S E"]]
    rows: dict[str, Comparison]
    num_tests: int


def answers(
    question: Question, tasks: Mapping[str, tuple[Real[np.ndarray, "E"], Mapping[str, Float[np.ndarray, "S E"]]]]
) -> dict[str, Answer]:
    """`compare` on every task, with one correction for all strategies and tasks together (Holm)."""
    _, higher, baseline, target, _ = question
    rows = {task: compare(labels, curves, baseline, target, higher) for task, (labels, curves) in tasks.items()}
    tested = [(task, name) for task in rows for name, row in rows[task].items() if row.adjusted_p is not None]
    raw = [difference.p_value for task, name in tested if (difference := rows[task][name].difference)]
    adjusted = dict(zip(tested, holm(np.array(raw)).tolist(), strict=True))

    def again(task: str, name: str, row: Comparison) -> Comparison:
        if row.difference is None or (task, name) not in adjusted:
            return row
        p = adjusted[task, name]
        words = judgment(row.difference, p, len(tested), baseline, higher)
        return row._replace(adjusted_p=p, judgment=words)

    return {
        task: Answer(*tasks[task], {name: again(task, name, row) for name, row in rows[task].items()}, len(tested))
        for task in tasks
    }


def detectable(question: Question, answer: Answer, name: str) -> float | None:
    """The difference in area that a t-test at the corrected level would have found with 80 % chance.

    None where nothing varies, or where so few seeds can show no difference, however large.
    """
    areas = [np.asarray(area_under_curve(answer.labels, answer.curves[each])) for each in (name, question.baseline)]
    differences, num_seeds = areas[0] - areas[1], len(areas[0])
    level = question.level / answer.num_tests
    if smallest_p_value(num_seeds) > level or np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return None
    return detectable_difference(differences, num_seeds, POWER, level)


def in_words(question: Question, answer: Answer) -> Points:
    """A sentence or two on every strategy."""
    return Points(
        tuple(
            (f"{name}:", _sentence(question, answer, name, row))
            for name, row in answer.rows.items()
            if row.adjusted_p is not None
        )
    )


def _sentence(question: Question, answer: Answer, name: str, row: Comparison) -> str:
    assert row.difference is not None and row.adjusted_p is not None  # noqa: PT018
    mean, low, high, *_ = row.difference
    digits = decimals(*(other.area for other in answer.rows.values()))
    interval = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    numbers = f"{mean:+.{digits}f} in area, 95% interval {interval}, {p_words(row.adjusted_p)}"
    sentence = f"{row.judgment} ({numbers})."
    smallest = detectable(question, answer, name)
    if row.judgment.startswith("not"):
        sentence += " That is no proof that they are equal"
        sentence += (
            "."
            if smallest is None
            else f": with these {row.difference.num_seeds} seeds a t-test would have found a true difference of "
            f"{smallest:.{digits}f} in {100 * POWER:.0f} of 100 studies, and a smaller one more rarely."
        )
    elif row.judgment.startswith("too few"):
        sentence += " The interval is no evidence: of so few seeds it is too short."
    for reference in filter(peeks, answer.curves):
        three = (answer.curves[each] for each in (name, question.baseline, reference))
        part = headroom(answer.labels, *three, higher_is_better=question.higher_is_better)
        if part is not None and part.high < 0:
            continue
        if part is None:
            sentence += f" {reference} is not clearly better than {question.baseline} here: no headroom to speak of."
        else:
            share, low, high = (round(100 * end) for end in part)
            sentence += f" It goes {share}% [{low}, {high}] of the way from {question.baseline} to {reference}."
    return sentence


def result_table(question: Question, answer: Answer) -> list[Block]:
    """A row a strategy: last value, area, difference, p, verdict; and which differences could have been found."""
    rows, smallest = [], {}
    digits = decimals(*(row.area for row in answer.rows.values()))
    for name, row in answer.rows.items():
        difference = p = ""
        if row.difference is not None:
            mean, low, high, *_ = row.difference
            difference = f"{mean:+.{digits}f}\n[{low:+.{digits}f}, {high:+.{digits}f}]"
            p = "untested" if row.adjusted_p is None else p_words(row.adjusted_p).removeprefix("p ")
        if row.adjusted_p is not None:
            found = detectable(question, answer, name)
            smallest |= {} if found is None else {name: found}
        verdict = row.judgment.replace(" from ", "\nfrom ").replace("seeds to", "seeds\nto")
        rows.append((name, f"{row.final:.{digits}f}", f"{row.area:.{digits}f}", difference, p, verdict))
    header = ("strategy", f"last\n{question.metric}", "area", f"area minus\n{question.baseline}", "p", "verdict")
    words = f"Area: mean of {question.metric} over the budget. p: adjusted for all {answer.num_tests} comparisons."
    if smallest:
        low, high = min(smallest, key=smallest.__getitem__), max(smallest, key=smallest.__getitem__)
        until = "" if low == high else f" ({low}) to {smallest[high]:.{digits}f} ({high})"
        words += (
            f" With these {len(answer.curves[question.baseline])} seeds and this correction, a t-test would have found "
            f"a true difference in area of {smallest[low]:.{digits}f}{until} in {100 * POWER:.0f} of 100 studies; "
            "smaller ones more rarely."
        )
    return [Grid(header, tuple(rows)), Words(words)]


def target_table(question: Question, answer: Answer) -> list[Block]:
    """Labels to the target with their quartiles over seeds, and how many seeds never arrive."""
    if question.target is None:
        return []
    budget, num_seeds = answer.labels[-1], len(answer.curves[question.baseline])
    shown = lambda count: f"{count:g}" if np.isfinite(count) else f"> {budget:g}"
    rows = []
    for name, values in answer.curves.items():
        first, stays = (
            labels_to_target(answer.labels, values, question.target, question.higher_is_better, sustained)
            for sustained in (False, True)
        )
        low, middle, high = (shown(censored_quantile(first, q)) for q in (0.25, 0.5, 0.75))
        never = int(np.isinf(first).sum())
        rows.append(
            (
                name,
                middle,
                low if low == high else f"{low} .. {high}",
                shown(censored_quantile(stays, 0.5)),
                f"{never} of {num_seeds}",
            )
        )
    words = (
        f"Labels to {question.metric} {question.target:g}: median and quartiles over seeds. A seed that does not "
        f"arrive within {budget:g} labels counts as more, and is not left out. The first crossing of a noisy curve is "
        "early by chance; 'stays' is from where on the curve does not fall back."
    )
    header = ("strategy", "median", "quartiles", "stays,\nmedian", "never\narrive")
    return [Words(words), Grid(header, tuple(rows))]


def other_metrics(
    question: Question, metrics: Mapping[str, Mapping[str, Float[np.ndarray, "S E"]]], rows: Mapping[str, Comparison]
) -> list[Block]:
    """Last values of what else was measured, untested."""
    others = [metric for metric in metrics if metric != question.metric]
    if not others:
        return []

    def cell(metric: str, name: str) -> str:
        if name not in metrics[metric]:
            return ""
        last = metrics[metric][name][:, -1]
        if not np.isfinite(last).all():
            return f"{int((~np.isfinite(last)).sum())} of {len(last)}\nnot finite"
        mean, low, high = (float(end) for end in mean_interval(last))
        digits = decimals(mean)
        return f"{mean:.{digits}f}" + ("" if np.isnan(low) else f"\n[{low:.{digits}f}, {high:.{digits}f}]")

    table = tuple((name, *(cell(metric, name) for metric in others)) for name in rows)
    words = (
        "What else was measured, after the last round: mean over seeds with its 95% interval. It was not tested: to "
        "choose the metric after the fact, or to look at all of them, finds differences that are not there."
    )
    return [Words(words), Grid(("strategy", *others), table)]


def pictures(question: Question, task: str, answer: Answer, first: str) -> list[Block]:
    """Curves with bands and differences to the baseline."""
    metric, base = question.metric, question.baseline
    bounds = (0, 1) if metric in UNIT else (-np.inf, np.inf)
    curves = partial(figures.curve_bands, answer.labels, answer.curves, metric, bounds, task)
    words = f"{task}: mean {metric} over seeds. Bands of two strategies say nothing about their difference."
    found: list[Block] = [Picture(f"{first}curves", curves, words)]
    if len(answer.curves) > 1:
        apart = partial(figures.differences, answer.labels, answer.curves, metric, base, task)
        words = (
            f"{task}: {metric} minus that of {base}, paired by seed. Where the light band leaves out zero, the curve "
            "differs there."
        )
        found.append(Picture(f"{first}differences", apart, words))
    return found


def caution(answer: Answer, baseline: str) -> list[Block]:
    """A word on few seeds."""
    num_seeds = len(answer.curves[baseline])
    if num_seeds >= FEW_SEEDS:
        return []
    return [Words(f"Caution: {num_seeds} seeds. Intervals of fewer than {FEW_SEEDS} seeds are too short.")]


def judged(answer: Answer) -> dict[str, str]:
    """The verdicts by strategy, without baseline and references."""
    return {
        name: row.judgment
        for name, row in answer.rows.items()
        if row.adjusted_p is not None and row.judgment != PEEKING
    }
