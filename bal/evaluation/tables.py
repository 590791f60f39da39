"""The table that ends a study: one row a strategy, and in words whether it beats the baseline."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import rich.box
import rich.markup
from jaxtyping import Float, Real
from rich.table import Table

from bal.evaluation.curves import area_under_curve, censored_quantile, labels_to_target
from bal.evaluation.statistics import FEW_SEEDS, PairedDifference, holm, judgment, paired_difference


class Comparison(NamedTuple):
    """One strategy against the baseline.

    final, area: mean over seeds of the last value and of the area under the curve.
    difference: paired difference in area; None for the baseline itself.
    labels_to_target: median over seeds, inf where fewer than half arrive; None without a target.
    """

    final: float
    area: float
    difference: PairedDifference | None
    labels_to_target: float | None


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

    def row(name: str, values: np.ndarray) -> Comparison:
        difference = None if name == baseline else paired_difference(areas[name], areas[baseline])
        median = None
        if target is not None:
            median = censored_quantile(labels_to_target(labels, values, target, higher_is_better), 0.5)
        return Comparison(float(values[:, -1].mean()), float(areas[name].mean()), difference, median)

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
    """A table to print with rich: one row a strategy, with the numbers of `Comparison` and a verdict in
    words.

    The difference is that in area, in the units of the values. The interval is that of `paired_difference`;
    the caption gives the p-values adjusted for the number of strategies (Holm) and warns below 10 seeds.
    Raises ValueError as `compare`.

    >>> import numpy as np
    >>> curves = {"random": np.array([[0.5, 0.6], [0.4, 0.6]]), "bald": np.array([[0.5, 0.8], [0.5, 0.9]])}
    >>> table = comparison_table(np.array([10, 20]), curves, target=0.8)
    >>> table.row_count, [column.header for column in table.columns][-1]
    (2, 'verdict')
    """
    comparisons = compare(labels, curves, baseline, target, higher_is_better)
    header = ["strategy", f"final\n{metric}", "area\nunder\ncurve", f"area minus\n{baseline}"]
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
    for name, item in comparisons.items():
        cells = _cells(name, item, baseline, higher_is_better, float(labels[-1]))
        table.add_row(*map(rich.markup.escape, cells))
    return table


def _cells(name: str, item: Comparison, baseline: str, higher_is_better: bool, budget: float) -> list[str]:
    difference, words = "", "baseline"
    if item.difference is not None:
        mean, low, high, *_ = item.difference
        difference = f"{mean:+.3f}\n[{low:+.3f}, {high:+.3f}]"
        words = judgment(item.difference, baseline, higher_is_better).replace(" from ", "\nfrom ")
    cells = [name, f"{item.final:.3f}", f"{item.area:.3f}", difference]
    if item.labels_to_target is not None:
        reached = np.isfinite(item.labels_to_target)
        cells.append(f"{item.labels_to_target:g}" if reached else f"> {budget:g}")
    return [*cells, words]


def _caption(comparisons: Mapping[str, Comparison]) -> str:
    differences = {name: item.difference for name, item in comparisons.items() if item.difference}
    if not differences:
        return "only the baseline: nothing to compare"
    num_seeds, confidence = next((d.num_seeds, d.confidence) for d in differences.values())
    adjusted = holm(np.array([d.p_value for d in differences.values()]))
    tests = ", ".join(f"{name} {p:.3f}" for name, p in zip(differences, adjusted))
    caption = f"{num_seeds} paired seeds, {100 * confidence:g}% intervals; Holm-adjusted p: {tests}"
    warning = f"; intervals unreliable: fewer than {FEW_SEEDS} seeds" if num_seeds < FEW_SEEDS else ""
    return caption + warning
