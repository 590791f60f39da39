"""What the study of frozen encoders prints and draws: a table a set, verdicts, and one picture of all."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bal.evaluation import area_under_curve, holm, paired_difference
from bal.evaluation.statistics import PairedDifference
from bal.loop import Curves

Found = dict[str, Curves]
"""Curves by learner."""
END_TO_END = "end-to-end"
COLORS = {"random": "black", "margin": "#009988", "bald": "#0077BB", "epig": "#EE7733", "typiclust": "#CC3311"}


class Claim(NamedTuple):
    """That EPIG on a head has a larger area than another learner and strategy; None = the head itself."""

    words: str
    learner: str | None
    strategy: str


CLAIMS = (
    Claim("end-to-end, EPIG", END_TO_END, "epig"),
    Claim("head, random", None, "random"),
)


def areas(curves: Curves) -> dict[str, np.ndarray]:
    """Area under the accuracy curve of every seed, by strategy."""
    return {name: area_under_curve(curves.labels, values) for name, values in curves.metrics["accuracy"].items()}


def table(name: str, found: Found) -> Table:
    """One row a learner and strategy; differences are of areas, in hundredths, with 95 % intervals over seeds."""
    some = next(iter(found.values()))
    title = f"{name}: {some.labels[0]} to {some.labels[-1]} labels, {len(some.metrics['accuracy']['random'])} seeds"
    made = Table(title=title, caption="areas x 100, with 95 % intervals", box=SIMPLE_HEAD, show_edge=False)
    for column in ("learner", "strategy", "final\naccuracy", "area", "minus\nits random", "minus\nend-to-end"):
        made.add_column(column, justify="left" if column in ("learner", "strategy") else "right", no_wrap=True)
    others = areas(found[END_TO_END]) if END_TO_END in found else {}
    for learner, curves in found.items():
        own = areas(curves)
        for place, (strategy, area) in enumerate(own.items()):
            against = (own["random"] if strategy != "random" else None, others.get(strategy))
            told = [_told(area, other) if learner != END_TO_END or not i else "" for i, other in enumerate(against)]
            final = f"{curves.metrics['accuracy'][strategy][:, -1].mean():.3f}"
            made.add_row("" if place else learner, strategy, final, f"{100 * area.mean():.1f}", *told)
        made.add_section()
    return made


def verdicts(results: dict[str, Found]) -> Table:
    """Each claim on each set and head: the difference, its p-value after Holm's correction over all, and a word."""
    asked = [
        (claim, name, head)
        for claim in CLAIMS
        for name, found in results.items()
        for head in found
        if head != END_TO_END
    ]
    judged = [(row, difference(row[0], row[2], results[row[1]])) for row in asked]
    told = [(row, one) for row, one in judged if one is not None]
    adjusted = holm(np.array([one.p_value for _, one in told])) if told else []
    made = Table(title="arXiv:2404.17249: head by EPIG is better than", box=SIMPLE_HEAD)
    made.show_edge = made.pad_edge = False
    made.collapse_padding = True
    for column in ("than", "set", "head", "area x 100", "Holm p", "verdict"):
        made.add_column(column, justify="right" if column in ("area x 100", "Holm p") else "left", no_wrap=True)
    for ((claim, name, head), one), p in zip(told, adjusted):
        made.add_row(claim.words, name, head, _short(one), f"{p:.3f}", word(one.mean, p))
    if len(told) < len(asked):
        made.caption = f"{len(asked) - len(told)} not judged: one seed, or a learner or strategy was left out"
    return made


def difference(claim: Claim, head: str, found: Found) -> PairedDifference | None:
    """Paired difference of a claim; None where it was not run, or for one seed."""
    other = found.get(claim.learner or head)
    ours = areas(found[head]).get("epig")
    theirs = None if other is None else areas(other).get(claim.strategy)
    return None if ours is None or theirs is None or len(ours) < 2 else paired_difference(ours, theirs)


def word(mean: float, p: float) -> str:
    """The verdict.

    >>> word(0.02, 0.01), word(-0.02, 0.01), word(0.02, 0.2)
    ('reproduced', 'refuted', 'not settled')
    """
    if p > 0.05:
        return "not settled"
    return "reproduced" if mean > 0 else "refuted"


def _told(area: np.ndarray, other: np.ndarray | None) -> str:
    if other is None:
        return ""
    if len(area) < 2:
        return f"{100 * (area - other).mean():+.1f}"
    return _short(paired_difference(area, other))


def _short(found: PairedDifference) -> str:
    """In hundredths."""
    return f"{100 * found.mean:+.1f} [{100 * found.low:.1f},{100 * found.high:.1f}]"


def drawn(path: Path, results: dict[str, Found]) -> None:
    """A panel a set: mean accuracy against labels; heads are whole lines, the end-to-end net is dashed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((3.6 * len(results) + 1.6, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, found) in zip(figure.subplots(1, len(results), squeeze=False)[0], results.items()):
        for place, (learner, curves) in enumerate(found.items()):
            style = {"linestyle": "--" if learner == END_TO_END else ["-", "-.", ":"][place % 3], "linewidth": 1.2}
            for strategy, values in curves.metrics["accuracy"].items():
                color = COLORS.get(strategy)
                axes.plot(curves.labels, values.mean(0), color=color, label=f"{learner}, {strategy}", **style)
        axes.set(title=name, xlabel="labels", ylabel="accuracy")
        axes.grid(alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
