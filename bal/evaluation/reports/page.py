"""`report`: from curves to a page."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Real

from bal.evaluation import figures
from bal.evaluation.overlap import query_overlap
from bal.evaluation.references import peeks
from bal.evaluation.reports.document import Block, Heading, Picture, Points, Report, Words
from bal.evaluation.reports.findings import (
    GAINS,
    LOSSES,
    Answer,
    Question,
    answers,
    caution,
    in_words,
    other_metrics,
    pictures,
    result_table,
    target_table,
)
from bal.evaluation.reports.missing import not_measured
from bal.evaluation.reports.render import write_report
from bal.evaluation.reports.several import counted, together


@runtime_checkable
class Studied(Protocol):
    """The curves of one task, as `bal.loop.Curves` has them."""

    @property
    def labels(self) -> Real[np.ndarray, "E"]:
        """In the training set at each evaluation."""
        ...

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Float[np.ndarray, "S E"]]]:
        """By metric and strategy; row s of all of them is one seed."""
        ...

    @property
    def acquired(self) -> Mapping[str, Int[np.ndarray, "S R B"]]:
        """Rows of the pool, by strategy; empty where they are not known."""
        ...


def report(
    found: Mapping[str, Studied],
    metric: str = "accuracy",
    *,
    baseline: str = "random",
    higher_is_better: bool | None = None,
    target: float | None = None,
    references: Mapping[str, Studied] | None = None,
    full: Mapping[str, float] | None = None,
    title: str = "Report",
    path: str | Path | None = None,
) -> Report:
    """One page that says in words which strategies can be told from the baseline, and what was not measured.

    One metric decides, as area under its curve: differences are paired by seed, have bootstrap intervals, and are
    tested by sign flips with one correction (Holm) over *all* strategies and data sets of the page. A verdict "not
    distinguishable" comes with the difference that this number of seeds would have found. References that peek at
    labels are shown, and never judged.

    Use it at the end of a study, with a metric that was chosen before it.

    Args:
      found: curves by task, as `bal.loop.study` returns them.
      metric: the one that decides; others are shown untested.
      baseline: what strategies are compared to.
      higher_is_better: known for the metrics of `bal.evaluation`; say it for one of your own.
      target: a value of the metric; labels to reach it are told with seeds that never do.
      references: curves by task of `bal.loop.greedy_oracle` and the like, for the same seeds.
      full: by task, the metric with all labels of the pool, which puts several tasks on one scale.
      title: of the page.
      path: where to write it, ending in ``.html``, ``.md`` or ``.txt``; None = it is only returned.

    Returns:
      The page; ``rich.print(page)`` shows it, `write_report` writes it.

    Raises:
      ValueError: no tasks, a metric that some of them lack, or whose direction is not known; a baseline that is
        missing; fewer than two seeds; values that are NaN.

    >>> from types import SimpleNamespace
    >>> values = np.linspace(0.4, 0.9, 12)[:, None] + np.linspace(0, 0.3, 3)
    >>> found = {"random": values, "bald": values + 0.1 * np.sin(np.arange(36).reshape(12, 3)) ** 2}
    >>> curves = SimpleNamespace(labels=np.array([10, 20, 30]), metrics={"score": found}, acquired={})
    >>> page = report({"digits": curves}, "score", higher_is_better=True)
    >>> next(block for block in page.blocks if isinstance(block, Points)).items[0][1].split(" (")[0]
    'better than random'
    """
    if not found:
        raise ValueError("expected the curves of at least one task, got none; hand what study returns")
    lacking = [task for task, curves in found.items() if metric not in curves.metrics]
    if lacking:
        others = ", ".join(found[lacking[0]].metrics) or "nothing"
        raise ValueError(
            f"{metric} was not measured on {', '.join(lacking)}, but {others}; name a metric that all tasks have"
        )
    unknown = [] if full is None else [task for task in found if task not in full]
    if unknown:
        raise ValueError(f"full has no value for {', '.join(unknown)}; name one for each task, or leave it out")
    question = Question(metric, _direction(metric, higher_is_better), baseline, target)
    tasks = {task: (curves.labels, _curves(task, curves, metric, references)) for task, curves in found.items()}
    told, several = answers(question, tasks), len(found) > 1
    blocks: list[Block] = [Words(_question_words(question, told))]
    if several:
        blocks += [Heading("Verdicts"), counted(told), *together(question, told, full)]
    for number, (task, answer) in enumerate(told.items()):
        first = f"{number}-" if several else ""
        blocks += [Heading(task), *caution(answer, baseline), in_words(question, answer)]
        blocks += [
            *result_table(question, answer),
            *target_table(question, answer),
            *pictures(question, task, answer, first),
        ]
        blocks += _overlap(task, found[task], first)
        blocks += other_metrics(question, _all_metrics(task, found, references), answer.rows)
    missing = not_measured(question, found, told)
    blocks += [Heading("What was not measured"), Points(tuple(("", line) for line in missing))]
    page = Report(title, tuple(blocks))
    if path is not None:
        write_report(page, path)
    return page


def _direction(metric: str, higher_is_better: bool | None) -> bool:
    if higher_is_better is not None:
        return higher_is_better
    if metric not in GAINS | LOSSES:
        raise ValueError(f"whether more {metric} is better is not known; say higher_is_better=True or False")
    return metric in GAINS


def _curves(
    task: str, curves: Studied, metric: str, references: Mapping[str, Studied] | None
) -> dict[str, Float[np.ndarray, "S E"]]:
    """Of strategies, then of references, which must say by their names that they peek."""
    added = {} if references is None or task not in references else references[task].metrics.get(metric, {})
    unmarked = [name for name in added if not peeks(name)]
    if unmarked:
        raise ValueError(f"{', '.join(unmarked)} is no reference; strategies go into the first argument")
    return {**curves.metrics[metric], **added}


def _all_metrics(
    task: str, found: Mapping[str, Studied], references: Mapping[str, Studied] | None
) -> dict[str, dict[str, Float[np.ndarray, "S E"]]]:
    added = references[task].metrics if references is not None and task in references else {}
    return {metric: {**of, **added.get(metric, {})} for metric, of in found[task].metrics.items()}


def _question_words(question: Question, told: Mapping[str, Answer]) -> str:
    answer = next(iter(told.values()))
    seeds = sorted({len(each.curves[question.baseline]) for each in told.values()})
    counts = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    budget = "" if len(told) > 1 else f" from {answer.labels[0]:g} to {answer.labels[-1]:g} labels"
    direction = "higher" if question.higher_is_better else "lower"
    plural = "s" * (answer.num_tests != 1)
    return (
        f"Question: which strategies differ from {question.baseline} in {question.metric} ({direction} is better), by "
        f"the area under the curve{budget}? {counts} paired seeds; {answer.num_tests} comparison{plural}, at most "
        f"{100 * question.level:g}% chance that any 'better' or 'worse' of this page is wrong (sign-flip tests, Holm)."
    )


def _overlap(task: str, curves: Studied, first: str) -> list[Block]:
    shapes = {rows.shape for rows in curves.acquired.values()}
    if len(curves.acquired) < 2 or len(shapes) > 1 or not next(iter(shapes))[1:] > (0, 0):
        return []
    words = f"{task}: share of the rows that one strategy asked for which another asked for as well, mean over seeds."
    return [Picture(f"{first}overlap", partial(figures.overlaps, query_overlap(curves.acquired)), words)]
