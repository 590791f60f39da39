"""What several tasks say together: verdicts counted, aggregates, ranks, penalties."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from bal.evaluation import figures
from bal.evaluation.aggregates import aggregate, normalized_scores
from bal.evaluation.bootstrap import Estimate
from bal.evaluation.curves import area_under_curve
from bal.evaluation.penalty import penalty_matrix
from bal.evaluation.ranks import CriticalDifference, critical_difference
from bal.evaluation.references import peeks
from bal.evaluation.reports.document import Block, Grid, Heading, Picture, Points, Words
from bal.evaluation.reports.findings import Answer, Question, judged
from bal.evaluation.reports.missing import ENOUGH_TASKS


def counted(told: Mapping[str, Answer]) -> Points:
    """For every strategy, on which tasks it got which verdict."""
    names = dict.fromkeys(name for answer in told.values() for name in judged(answer))
    items = []
    for name in names:
        tasks: dict[str, list[str]] = {}
        for task, answer in told.items():
            if name in judged(answer):
                tasks.setdefault(judged(answer)[name], []).append(task)
        parts = [f"{verdict} on {len(on)} ({', '.join(on)})" for verdict, on in tasks.items()]
        items.append((f"{name}:", "; ".join(parts) + "."))
    return Points(tuple(items))


def together(question: Question, told: Mapping[str, Answer], full: Mapping[str, float] | None) -> list[Block]:
    """Aggregates, ranks and penalties of the strategies that were run on every task, references left out."""
    common = [
        name
        for name in next(iter(told.values())).curves
        if not peeks(name) and all(name in answer.curves for answer in told.values())
    ]
    blocks: list[Block] = [Heading("All data sets together")]
    seeds = {len(answer.curves[name]) for answer in told.values() for name in common}
    if len(seeds) > 1 or len(common) < 2:
        words = f"the data sets have {sorted(seeds)} seeds" if len(seeds) > 1 else "no strategy was run on all of them"
        return [*blocks, Words(f"No aggregate: {words}.")]
    areas = {
        task: {name: np.asarray(area_under_curve(answer.labels, answer.curves[name])) for name in common}
        for task, answer in told.items()
    }
    blocks += _aggregates(question, told, areas, full)
    if len(common) > 2:
        ranks = critical_difference(areas, question.level, question.higher_is_better)
        words = "Mean ranks over the data sets. A bar joins strategies that Nemenyi's test cannot tell apart."
        blocks += [Words(_rank_words(ranks)), Picture("ranks", partial(figures.rank_diagram, ranks), words)]
        curves = {task: {name: answer.curves[name][:, 1:] for name in common} for task, answer in told.items()}
        matrix = penalty_matrix(curves, question.level, higher_is_better=question.higher_is_better)
        words = (
            "Row beats column, in a paired t-test at each label count (Holm over pairs): share of the counts, summed "
            "over the data sets. In the last row low is good."
        )
        blocks.append(Picture("penalties", partial(figures.penalties, matrix), words))
    return blocks


def _aggregates(
    question: Question,
    told: Mapping[str, Answer],
    areas: dict[str, dict[str, np.ndarray]],
    full: Mapping[str, float] | None,
) -> list[Block]:
    sign = 1 if question.higher_is_better or full is not None else -1
    if full is not None:
        starts = {task: float(answer.curves[question.baseline][:, 0].mean()) for task, answer in told.items()}
        scores = {
            task: {name: normalized_scores(values, starts[task], full[task]) for name, values in of.items()}
            for task, of in areas.items()
        }
        scale = "normalized: 0 is the random start set, 1 all labels of the pool"
    else:
        scores = {task: {name: sign * values for name, values in of.items()} for task, of in areas.items()}
        scale = f"in {question.metric}, not normalized (full= was not given): data sets of a wider range weigh more"
    found = aggregate(scores, question.baseline)

    def cell(estimate: Estimate | None, sign: int, plus: str) -> str:
        if estimate is None:
            return ""
        low, high = sorted((sign * estimate.low, sign * estimate.high))
        return f"{sign * estimate.value:{plus}.3f}\n[{low:{plus}.3f}, {high:{plus}.3f}]"

    rows = tuple(
        (name, cell(row.interquartile_mean, sign, ""), cell(row.difference, sign, "+"), cell(row.improvement, 1, ""))
        for name, row in found.items()
    )
    words = (
        f"Area under the curve over {len(told)} data sets, {scale}. Intervals are of new seeds on these data sets, not "
        "of new data sets (stratified bootstrap, 95%)."
    )
    header = (
        "strategy",
        "interquartile\nmean",
        f"minus\n{question.baseline}",
        f"chance to beat\na seed of {question.baseline}",
    )
    return [Words(words), Grid(header, rows)]


def _rank_words(ranks: CriticalDifference) -> str:
    order = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(ranks.strategies, ranks.mean_ranks, strict=True))
    if ranks.num_tasks < ENOUGH_TASKS:
        verdict = f"{ranks.num_tasks} data sets are too few for a test of pairs, which takes {ENOUGH_TASKS}"
    elif ranks.p_value > 0.05:
        verdict = f"no difference between any of them can be told (Friedman, p = {ranks.p_value:.3f})"
    else:
        verdict = (
            f"some of them differ (Friedman, p = {ranks.p_value:.3f}); a bar joins those that cannot be told apart"
        )
    return f"Mean ranks over {ranks.num_tasks} data sets, 1 is best: {order}: {verdict}."
