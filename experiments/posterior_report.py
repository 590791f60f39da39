"""What a study of posteriors prints and draws: a table a data set, and one picture of all."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import rich.box
from rich.table import Table

from bal.evaluation import Comparison, compare
from bal.loop import Curves

COLORS = {"bald": "#0077BB", "epig": "#EE7733", "nll": "#009988", "joint_nll": "#CC3311"}


class Result(NamedTuple):
    """What a learner came to on a set: its curves, and seconds by "fit", "score" and "compile"."""

    curves: Curves
    seconds: dict[str, float]

    @property
    def metric(self) -> str:
        """What areas are of."""
        return "accuracy" if "accuracy" in self.curves.metrics else "rmse"

    def final(self, key: str) -> float:
        """Mean over seeds after the last label, asked for at random."""
        return float(self.curves.metrics[key]["random"][:, -1].mean())

    def gains(self) -> dict[str, Comparison]:
        """Strategies against random; none of a single seed."""
        chosen = self.curves.metrics[self.metric]
        if len(chosen["random"]) < 2:
            return {}
        found = compare(self.curves.labels, chosen, higher_is_better=self.metric == "accuracy")
        return {name: one for name, one in found.items() if one.difference is not None}


def table(name: str, results: dict[str, Result]) -> Table:
    """One row a learner, of two lines."""
    first = next(iter(results.values()))
    heads = ("RMSE\nCRPS", "NLL\njoint", "cover-\nage", "fit ms\nscore", "com-\npile s", "variance\n- random")
    keys = ("rmse", "crps", "coverage")
    if first.metric == "accuracy":
        heads = ("accu-\nracy\nAUROC", "NLL\njoint", "ECE", *heads[3:5], "BALD\n- random")
        keys = ("accuracy", "auroc", "adaptive_ece")
    title = f"{name}: {first.curves.labels[0]} to {first.curves.labels[-1]} labels; areas x 100"
    made = Table(title=title, box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in ("learner", *heads, "EPIG\n- random"):
        made.add_column(column, justify="left" if column == "learner" else "right", no_wrap=True)
    for learner, result in results.items():
        gains = result.gains()
        lines = lambda *values: "\n".join(_short(value, ".3f") for value in values)
        shown = [result.final(key) for key in keys if key in result.curves.metrics]
        made.add_row(
            learner,
            lines(*shown[:-1]),
            lines(result.final("nll"), result.final("joint_nll")),
            lines(shown[-1]),
            "\n".join(f"{1e3 * result.seconds[name]:,.1f}" for name in ("fit", "score")),
            f"{result.seconds['compile']:.1f}",
            *(_gain(gains.get(strategy)) for strategy in ("bald", "epig")),
        )
    return made


def _short(value: float, form: str) -> str:
    """A number in this form, or by its power of ten where a posterior that diverged has a larger one than a column."""
    if abs(value) < 1_000:
        return format(value, form)
    return format(value, form[0].replace(".", "") + ".0e").replace("e+", "e")


def _gain(found: Comparison | None) -> str:
    """Area minus random in hundredths, with its interval on a second line; nothing where there is none."""
    if found is None or found.difference is None:
        return ""
    mean, low, high = (100 * value for value in found.difference[:3])
    star = "*" if found.judgment.split()[0] in ("better", "worse") else ""
    return f"{_short(mean, '+.1f')}{star}\n[{_short(low, '.1f')},{_short(high, '.1f')}]"


def drawn(path: Path, found: dict[str, dict[str, Result]]) -> None:
    """A column a set: above the gains of both strategies with their intervals, below NLL and joint NLL at the end.

    What diverged is named and not drawn, for it would hide all others.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((2.6 * len(found) + 2, 0.36 * max(map(len, found.values())) + 2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(found), squeeze=False)
    for (name, results), (above, below) in zip(found.items(), panels.T):
        metric = next(iter(results.values())).metric
        uncertain, lost = "BALD" if metric == "accuracy" else "variance", diverged(results)
        places = {learner: -place for place, learner in enumerate(results) if learner not in lost}
        for strategy, label, off in (("bald", uncertain, 0.15), ("epig", "EPIG", -0.15)):
            of = [(place + off, results[learner].gains().get(strategy)) for learner, place in places.items()]
            known = [(place, one.difference) for place, one in of if one and one.difference]
            values = np.array([one[:3] for _, one in known]).reshape(-1, 3)
            errors = 100 * np.abs(values[:, 1:] - values[:, :1]).T
            style = {"fmt": "o", "color": COLORS[strategy], "markersize": 3, "linewidth": 1}
            above.errorbar(100 * values[:, 0], [place for place, _ in known], xerr=errors, label=label, **style)
        above.axvline(0, color="black", linewidth=0.5)
        above.set_title(name, pad=20)
        above.set(xlabel=f"area of {metric} - random, x 100")
        for key, label in (("nll", "NLL"), ("joint_nll", "joint NLL")):
            finals = [results[learner].final(key) for learner in places]
            below.plot(finals, list(places.values()), "o", color=COLORS[key], markersize=3, label=label)
        below.set(xlabel="nats a label, random")
        names = [f"{learner} (diverged)" if learner in lost else learner for learner in results]
        for panel in (above, below):
            panel.set_yticks(-np.arange(len(results)), names, fontsize=7)
            panel.set_ylim(-len(results) + 0.5, 0.5)
            panel.tick_params(axis="x", labelsize=7)
            panel.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
            panel.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def diverged(results: dict[str, Result]) -> set[str]:
    """Learners of a regression whose error is a hundred times that of the usual one, or no number."""
    errors = {name: result.final("rmse") for name, result in results.items() if result.metric == "rmse"}
    usual = np.nanmedian(list(errors.values())) if errors else 0.0
    return {name for name, error in errors.items() if not error <= 100 * usual}
