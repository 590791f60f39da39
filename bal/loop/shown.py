"""Logs and campaigns in words, and as tables for notebooks."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from bal.markup import facts, table
from bal.method import brief


def log_in_words(log: Any) -> str:
    """One line: sizes and metrics of a log of one seed, or of several; shapes where there are no numbers yet."""
    if not _is_there(log):
        return brief(log)
    parts = [f"{name} {first:.4g} to {last:.4g}" for name, first, last in _ends(log)]
    return _sizes(log) + (f"; {', '.join(parts)}" if parts else "")


def log_in_markup(log: Any) -> str:
    """The same as a table."""
    if not _is_there(log):
        return table([], [[brief(log)]])
    return table(["metric", "first", "last"], _ends(log), _sizes(log))


def campaign_in_markup(campaign: Any, columns: dict[str, list[Any]], latest: int = 5) -> str:
    """What `repr` says of a campaign, and its latest answers."""
    first, *rest = repr(campaign).splitlines()
    said = facts(first, dict(line.strip().split(": ", 1) for line in rest))
    lines = list(zip(*columns.values()))[-latest:]
    shown = [["" if value is None else value for value in line] for line in lines]
    return said + (table(list(columns), shown, f"the latest {len(lines)}") if lines else "")


def _is_there(log: Any) -> bool:
    """Whether a log holds numbers, of one seed or with one axis of seeds."""
    numbers = lambda leaf: (
        isinstance(leaf, np.ndarray) or (isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer))
    )
    if not isinstance(log.metrics, dict):
        return False
    parts = (log.start, log.indices, log.num_training, *log.metrics.values())
    return all(map(numbers, parts)) and np.ndim(log.indices) in (2, 3)


def _sizes(log: Any) -> str:
    seeds = f"{len(log.indices)} seeds, " if np.ndim(log.indices) == 3 else ""
    rounds, picks = np.shape(log.indices)[-2:]
    labels = np.asarray(log.num_training)
    return f"Log of {seeds}{rounds} rounds of {picks}: {labels[..., 0].max()} to {labels[..., -1].max()} labels"


def _ends(log: Any) -> list[tuple[str, float, float]]:
    """Metrics that are one number an evaluation, before the first round and at the end; over seeds, their mean."""
    shape = np.shape(log.num_training)
    told = {name: np.asarray(value) for name, value in log.metrics.items() if np.shape(value) == shape}
    return [(name, float(value[..., 0].mean()), float(value[..., -1].mean())) for name, value in told.items()]
