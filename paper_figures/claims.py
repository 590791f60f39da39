"""What a figure claims before it is run, how each claim is judged, and what became of it."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bal.evaluation import mean_interval
from bal.evaluation.plots import UNBOUNDED
from bal.evaluation.statistics import Bounds

Scale = Literal["smoke", "cpu", "paper"]
"""smoke: does it run; cpu: minutes on two cores; paper: the published sizes."""

Judged = tuple[str, bool | None]
"""Ours in words, and whether it agrees: None = cannot be told."""


class Test(NamedTuple):
    """How what was measured is judged: the rule in words, and as a function."""

    rule: str
    judge: Callable[[Any], Judged]


class Claim(NamedTuple):
    """A published statement, and how it will be judged: all of it fixed before the run.

    statement: what should come out. published: the number in print, or that there is none. source: who says so, and
    what their x-axis counts where it has labels and counts something else than ours (labels in the training set).
    measure: what the figure found -> what `test` judges; None = not measured here. scales: where it can be told.
    """

    statement: str
    published: str
    source: str
    measure: Callable[[Any], Any]
    test: Test
    scales: tuple[Scale, ...] = ("cpu", "paper")


class Verdict(NamedTuple):
    """What became of a claim: ours in words, and whether it agrees, None where this scale or data set cannot tell."""

    claim: Claim
    ours: str
    holds: bool | None

    @property
    def word(self) -> str:
        """In words."""
        if self.holds is None:
            return "not testable at this scale"
        return "reproduced" if self.holds else "not reproduced"


class Interval(NamedTuple):
    """A mean over seeds with its two-sided 95 % interval; one or two seeds have none (NaN)."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Rounded for a table."""
        if np.isnan(self.low):
            return f"{self.mean:.3f} (no interval)"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Sequence[float] | np.ndarray, bounds: Bounds = UNBOUNDED) -> Interval:
    """Mean of one value a seed, and its 95 % t interval within the range of the quantity.

    >>> str(interval([1.0, 2.0, 3.0])), str(interval([0.8, 0.9, 1.0], (0, 1)))
    ('2.000 [-0.484, 4.484]', '0.900 [0.652, 1.000]')
    >>> str(interval([1.0, 2.0]))
    '1.500 (no interval)'
    """
    return Interval(*map(float, mean_interval(np.asarray(values, np.float64), bounds)))


def near(ours: Interval, published: float, tolerance: float) -> bool | None:
    """Whether the interval touches ``published ± tolerance``; None without an interval.

    >>> near(Interval(0.5, 0.45, 0.55), 0.58, 0.05), near(Interval(0.5, 0.45, 0.55), 0.7, 0.05)
    (True, False)
    """
    return None if np.isnan(ours.low) else ours.low <= published + tolerance and ours.high >= published - tolerance


def above(ours: Interval, level: float = 0.0) -> bool | None:
    """Whether the whole interval lies above a level; None without an interval.

    >>> above(Interval(0.5, 0.45, 0.55)), above(Interval(0.5, -0.1, 1.1)), above(interval([1.0, 2.0]))
    (True, False, None)
    """
    return None if np.isnan(ours.low) else ours.low > level


def all_hold(parts: Sequence[bool | None]) -> bool | None:
    """Whether all statements hold; None where one cannot be told.

    >>> all_hold([True, True]), all_hold([True, None]), all_hold([False, None])
    (True, None, False)
    """
    if False in parts:
        return False
    return None if None in parts else True


def exceeds(level: float = 0.0, bounds: Bounds = UNBOUNDED) -> Test:
    """The interval of one number a seed (a paired difference, say) lies above a level.

    >>> exceeds().judge(np.array([0.1, 0.2, 0.15]))
    ('0.150 [0.026, 0.274]', True)
    """

    def judge(values: Any) -> Judged:
        ours = interval(values, bounds)
        return str(ours), above(ours, level)

    return Test(f"95 % interval of the mean over seeds above {level:g}", judge)


def not_below(bounds: Bounds = UNBOUNDED) -> Test:
    """The mean of one difference a seed is at least minus its standard error: no worse, as far as it can be told.

    >>> not_below().judge(np.array([0.1, -0.2, 0.0]))[1], not_below().judge(np.array([-0.1, -0.2, 0.0]))[1]
    (True, False)
    """

    def judge(values: Any) -> Judged:
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
        holds = None if error is None else bool(values.mean() >= -error)
        return str(interval(values, bounds)), holds

    return Test("mean paired difference at least minus its standard error", judge)


def within(margin: float, bounds: Bounds = UNBOUNDED) -> Test:
    """The interval of one difference a seed lies within ``± margin``, which shows equality; outside it, a difference.

    >>> [within(0.1).judge(np.array([0.01, 0.02, 0.03]) + shift)[1] for shift in (0, 0.1, 0.3)]
    [True, None, False]
    """

    def judge(values: Any) -> Judged:
        ours = interval(values, bounds)
        apart = above(ours, margin) or above(ours._replace(low=-ours.high, high=-ours.low), margin)
        if apart is None:
            return str(ours), None
        return str(ours), False if apart else True if max(-ours.low, ours.high) <= margin else None

    return Test(
        f"95 % interval of the mean paired difference within ± {margin:g}; overlapping its ends, no verdict", judge
    )


def touches(published: Sequence[float] | float, tolerance: float, bounds: Bounds = UNBOUNDED) -> Test:
    """The interval of one number a seed meets ``published ± tolerance``; of several numbers, each does.

    >>> touches(0.5, 0.1).judge(np.array([0.6, 0.7, 0.65]))
    ('0.650 [0.526, 0.774]', True)
    """

    def judge(values: Any) -> Judged:
        some = values if isinstance(values, list) else [values]
        ours = [interval(one, bounds) for one in some]
        holds = [near(one, value, tolerance) for one, value in zip(ours, np.atleast_1d(published), strict=True)]
        return "; ".join(map(str, ours)), all_hold(holds)

    return Test(f"95 % interval of the mean over seeds meets published ± {tolerance:g}", judge)


def told(rule: str) -> Test:
    """What is measured says itself, in words and as a verdict, what the rule makes of it.

    >>> told("every gap below a millionth").judge(("largest gap 2e-8", True))
    ('largest gap 2e-8', True)
    """
    return Test(rule, lambda judged: judged)


def judge(claims: Sequence[Claim], found: Any, scale: Scale, stand_in: str = "") -> list[Verdict]:
    """What became of each claim; with other data in place of those of the claims none is held to its number."""
    verdicts = []
    for claim in claims:
        measured = claim.measure(found)
        ours, holds = ("not measured here", None) if measured is None else claim.test.judge(measured)
        told_here = holds is not None and not stand_in and scale in claim.scales
        verdicts.append(Verdict(claim, ours, bool(holds) if told_here else None))
    return verdicts


def tally(words: Sequence[str]) -> str:
    """How many of each verdict.

    >>> tally(["reproduced", "not reproduced", "reproduced"])
    '2 reproduced, 1 not reproduced'
    """
    return ", ".join(f"{list(words).count(word)} {word}" for word in dict.fromkeys(words))


def report(verdicts: Sequence[Verdict], title: str, console: Console | None = None) -> None:
    """Print a block a claim, for 80 columns, and how many were reproduced."""
    blocks: list[RenderableType] = [Text(f"\n{title}", style="bold")]
    for number, (claim, ours, _) in enumerate(verdicts, 1):
        lines = Table.grid(padding=(0, 2))
        lines.add_row("published", escape(f"{claim.published} ({claim.source})"))
        lines.add_row("ours", escape(ours))
        lines.add_row("judged by", escape(claim.test.rule))
        lines.add_row("verdict", Text(verdicts[number - 1].word, style="bold"))
        blocks += [Text(f"{number}. {claim.statement}"), Padding(lines, (0, 0, 0, 4), expand=False)]
    if any("[" in verdict.ours for verdict in verdicts):
        blocks.append(Text("in brackets: 95 % interval of the mean over seeds"))
    if any("(no interval)" in verdict.ours for verdict in verdicts):
        blocks.append(Text("no interval: fewer than 3 seeds"))
    blocks.append(Text(tally([verdict.word for verdict in verdicts])))
    (console or Console()).print(Group(*blocks))
