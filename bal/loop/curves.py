"""What a study comes to: curves by set-up, from the records of its seeds, and how they are shown."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal.markup import table
from bal.typing import PADDING


class Curves(NamedTuple):
    """What the set-ups of one task came to over S seeds: R rounds of B picks, E = R + 1 evaluations.

    labels: labels in the training set at each evaluation; metrics: ``[S, E]`` by metric and set-up, as
    `bal.evaluation.comparison_table` and `learning_curves` take them; acquired, start: rows of the pool by set-up.
    stopped: the evaluation with which each seed ended, E - 1 without a rule; metrics behind it are NaN, rows PADDING.
    """

    labels: Int[np.ndarray, "E"]
    metrics: dict[str, dict[str, Float[np.ndarray, "S E"]]]
    acquired: dict[str, Int[np.ndarray, "S R B"]]
    start: dict[str, Int[np.ndarray, "S S0"]]
    stopped: dict[str, Int[np.ndarray, "S"]] = {}  # noqa: RUF012 - never written to

    def __repr__(self) -> str:
        lines = [self._head(), *self._lines()]
        widths = [max(map(len, column)) for column in zip(*lines)]
        rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([self._words(), *(f"  {row}" for row in rows)])

    def _repr_html_(self) -> str:
        return table(self._head(), self._lines(), self._words())

    def _words(self) -> str:
        seeds = {len(rows) for rows in self.acquired.values()}
        return f"Curves of {'/'.join(map(str, sorted(seeds)))} seeds, {self.labels[0]} to {self.labels[-1]} labels"

    def _head(self) -> list[str]:
        return ["at the end, ± s.d. of seeds", *self.metrics]

    def _lines(self) -> list[list[str]]:
        return [[name, *(self._end(metric, name) for metric in self.metrics.values())] for name in self.acquired]

    def _end(self, metric: dict[str, np.ndarray], name: str) -> str:
        """A metric where each seed of a set-up ended."""
        if name not in metric:
            return ""
        ends = self.stopped.get(name, np.full(len(metric[name]), len(self.labels) - 1))
        values = np.asarray(metric[name])[np.arange(len(ends)), ends]
        return f"{values.mean():.4g} ± {values.std(ddof=1):.2g}" if len(values) > 1 else f"{values.mean():.4g}"


class Study(dict[str, Curves]):
    """`Curves` by task, as `bal.study` returns them; prints as a table a task."""

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {curves!r}" for name, curves in self.items()) or "Study of no task"

    def _repr_html_(self) -> str:
        return "".join(
            table(curves._head(), curves._lines(), f"{name}: {curves._words()}") for name, curves in self.items()
        )


def curves_of(told: dict[str, list[list[dict[str, Any]]]]) -> Curves:
    """From the events of every seed by set-up."""
    length = max(len(events) for seeds in told.values() for events in seeds)

    def gather(seeds: list, part: Callable, padding: Any, length: int = length) -> np.ndarray:
        values = [[np.asarray(part(event)) for event in events] for events in seeds]
        like = next((row[0] for row in values if row), np.zeros(0))
        rows = [[*row, *[np.full_like(like, padding)] * (length - len(row))] for row in values]
        return np.array(rows).reshape(len(seeds), length, *like.shape)

    labels = {name: gather(seeds, lambda event: event["counts"]["training"], -1) for name, seeds in told.items()}
    counts = np.max([found.max(0) for found in labels.values()], 0)
    for name, found in labels.items():
        if not ((found == counts) | (found < 0)).all():
            raise ValueError(
                f"the set-ups have other numbers of labels ({name}: {found[0].tolist()}, not {counts.tolist()}), and "
                "such curves cannot be compared; give all one batch size, and see `valid` for rows that were not picked"
            )
    metrics: dict[str, dict[str, np.ndarray]] = {}
    for name, seeds in told.items():
        for metric in seeds[0][0]["metrics"]:
            values = gather(seeds, lambda event, metric=metric: float(event["metrics"][metric]), np.nan)
            metrics.setdefault(metric, {})[name] = values
    rows = lambda event: np.where(event["valid"], event["acquired"], PADDING)
    acquired = {name: gather([s[1:] for s in seeds], rows, PADDING, length - 1) for name, seeds in told.items()}
    start = {name: gather([s[:1] for s in seeds], rows, PADDING, 1)[:, 0] for name, seeds in told.items()}
    stopped = {name: np.array([len(events) - 1 for events in seeds]) for name, seeds in told.items()}
    return Curves(counts, metrics, acquired, start, stopped)
