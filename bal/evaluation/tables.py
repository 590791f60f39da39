"""The table that ends a study: one row a strategy, and in words whether it beats the baseline."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import rich.box
import rich.markup
from jaxtyping import Float, Real
from rich.table import Table

from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target
from bal.evaluation.references import peeks
from bal.evaluation.statistics import FEW_SEEDS, PairedDifference, holm, judgment, paired_difference, smallest_p_value

PEEKING = "peeks: no strategy"


class Comparison(NamedTuple):
    """One strategy against the baseline.

    final, area: mean over seeds of the last value and of the area under the curve.
    difference: paired difference in area; None for the baseline itself.
    labels_to_target: median over seeds, inf where fewer than half arrive; None without a target.
    adjusted_p: p-value of the difference after `holm` over all strategies; None for the baseline and for references.
    judgment: see `bal.evaluation.judgment`; "baseline" for the baseline, and for references that see labels no strategy
        sees (`bal.evaluation.references`) "peeks: no strategy".
    """

    final: float
    area: float
    difference: PairedDifference | None
    labels_to_target: float | None
    adjusted_p: float | None
    judgment: str


def compare(
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    baseline: str = "random",
    target: float | None = None,
    higher_is_better: bool = True,
) -> dict[str, Comparison]:
    """All numbers of `comparison_table`, one `Comparison` a strategy, in the order of `curves`.

    Row s of every array belongs to seed s: the differences are paired.
    Raises ValueError if the baseline is missing, for fewer than two seeds, or for curves that do not fit the
    counts.

    >>> import numpy as np
    >>> curves = {"random": np.array([[0.5, 0.6], [0.4, 0.6]]), "bald": np.array([[0.5, 0.8], [0.5, 0.9]])}
    >>> compare(np.array([10, 20]), curves, target=0.8)["bald"].labels_to_target
    20.0
    """
    if baseline not in curves:
        raise ValueError(
            f"the baseline {baseline!r} is not among the curves {', '.join(curves)}; add it or name another"
        )
    areas = {name: area_under_curve(labels, values) for name, values in curves.items()}
    differences = {name: paired_difference(area, areas[baseline]) for name, area in areas.items() if name != baseline}
    tested = {name: difference.p_value for name, difference in differences.items() if not peeks(name)}
    adjusted = dict(zip(tested, holm(np.array(list(tested.values()))).tolist()))

    def row(name: str, values: np.ndarray) -> Comparison:
        median, words = None, "baseline"
        if target is not None:
            median = censored_quantile(labels_to_target(labels, values, target, higher_is_better), 0.5)
        if name in tested:
            words = judgment(differences[name], adjusted[name], len(tested), baseline, higher_is_better)
        elif name != baseline:
            words = PEEKING
        final, area = float(values[:, -1].mean()), float(areas[name].mean())
        return Comparison(final, area, differences.get(name), median, adjusted.get(name), words)

    return {name: row(name, values) for name, values in curves.items()}


def comparison_table(
    labels: Real[np.ndarray, "R"],
    curves: Mapping[str, Float[np.ndarray, "S R"]],
    baseline: str = "random",
    target: float | None = None,
    higher_is_better: bool = True,
    metric: str = "accuracy",
    title: str | None = None,
) -> Table:
    """A table to print with rich: one row a strategy, with the numbers of `Comparison` and its judgment.

    The difference is that in area, in the units of the values, with the interval of `paired_difference` and the
    p-value adjusted for the number of strategies (Holm). The caption warns below 10 seeds, and says how many
    it takes where they are too few for any verdict.
    Raises ValueError as `compare`.

    >>> import numpy as np
    >>> curves = {"random": np.array([[0.5, 0.6], [0.4, 0.6]]), "bald": np.array([[0.5, 0.8], [0.5, 0.9]])}
    >>> table = comparison_table(np.array([10, 20]), curves, target=0.8)
    >>> table.row_count, [column.header for column in table.columns][-1]
    (2, 'verdict')
    """
    comparisons = compare(labels, curves, baseline, target, higher_is_better)
    header = ["strategy", f"final\n{metric}", "area\nunder\ncurve", f"area minus\n{baseline} (Holm p)"]
    header += ["verdict"] if target is None else [f"labels\nto {target:g}", "verdict"]
    caption = rich.markup.escape(_caption(comparisons))
    table = Table(
        title=title,
        caption=caption,
        box=rich.box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in header:
        left = column in ("strategy", "verdict")
        # Lines are broken by hand and only names of strategies may be folded, so that 80 columns cut no word.
        table.add_column(
            rich.markup.escape(column),
            justify="left" if left else "right",
            no_wrap=column != "strategy",
            overflow="fold",
        )
    digits = decimals(*(item.area for item in comparisons.values()))
    for name, item in comparisons.items():
        cells = _cells(name, item, float(labels[-1]), digits)
        table.add_row(*map(rich.markup.escape, cells))
    return table


def p_words(p: float) -> str:
    """A p-value for a table.

    >>> p_words(0.0123), p_words(0.0002)
    ('p 0.012', 'p < .001')
    """
    return "p < .001" if p < 0.001 else f"p {p:.3f}"


def decimals(*values: float) -> int:
    """How many decimals show three digits of the largest value; at least three.

    >>> decimals(0.9, 0.01), decimals(0.0042), decimals(0.0)
    (3, 5, 3)
    """
    size = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 3 + max(0, -math.floor(math.log10(10 * size))) if size > 0 else 3


def _cells(name: str, item: Comparison, budget: float, digits: int) -> list[str]:
    difference = ""
    if item.difference is not None:
        mean, low, high, *_ = item.difference
        p = "untested" if item.adjusted_p is None else p_words(item.adjusted_p)
        difference = f"{mean:+.{digits}f} ({p})\n[{low:+.{digits}f}, {high:+.{digits}f}]"
    cells = [name, f"{item.final:.{digits}f}", f"{item.area:.{digits}f}", difference]
    if item.labels_to_target is not None:
        reached = np.isfinite(item.labels_to_target)
        cells.append(f"{item.labels_to_target:g}" if reached else f"> {budget:g}")
    return [*cells, item.judgment.replace(" from ", "\nfrom ").replace("seeds to", "seeds\nto").replace(": ", ":\n")]


def _caption(comparisons: Mapping[str, Comparison]) -> str:
    differences = [item.difference for item in comparisons.values() if item.difference and item.adjusted_p is not None]
    if not differences:
        return "only the baseline: nothing to compare"
    num_seeds, confidence, num_tests = differences[0].num_seeds, differences[0].confidence, len(differences)
    tests = f"{num_tests} comparison" + "s" * (num_tests != 1)
    lines = [f"{num_seeds} paired seeds, {100 * confidence:g}% intervals; p adjusted for {tests} (Holm)"]
    if num_seeds < FEW_SEEDS:
        lines.append(f"intervals unreliable: fewer than {FEW_SEEDS} seeds")
    smallest = lambda seeds: num_tests * smallest_p_value(seeds)
    if smallest(num_seeds) > 1 - confidence:
        enough = next((seeds for seeds in range(num_seeds, 15) if smallest(seeds) <= 1 - confidence), None)
        take = f"at least {enough} seeds" if enough else "fewer strategies"
        lines.append(f"no p below {min(1, smallest(num_seeds)):.3f} is possible: a verdict takes {take}")
    return "\n".join(lines)
