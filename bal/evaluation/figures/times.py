"""Where the seconds go."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bal.evaluation.plots import COLORS, beside, canvas

PARTS = ("compile", "fit", "predict", "select", "query", "evaluate", "run")


def time_split(seconds: Mapping[str, Mapping[str, float]], title: str | None = None) -> Any:
    """Seconds of every strategy, a bar each, split into parts.

    Use it when a strategy is called cheap or dear: by what it takes to select, or by what is the same for all of them.
    What was compiled together is known together: a program over seeds tells compile and run, and no more.

    Args:
      seconds: by strategy, by part: compile, fit, predict, select, query, evaluate, run, or names of one's own.
      title: of the figure.

    Returns:
      A figure of matplotlib; see `save`.

    Raises:
      ValueError: no strategies, or seconds that are negative or no numbers.

    >>> figure = time_split({"bald": {"fit": 2.0, "select": 0.5}, "random": {"fit": 2.0}})
    >>> [round(float(bar.get_width()), 1) for bar in figure.axes[0].patches]
    [2.0, 2.0, 0.5, 0.0]
    """
    values = [value for parts in seconds.values() for value in parts.values()]
    if not values or not all(np.isfinite(value) and value >= 0 for value in values):
        raise ValueError(f"expected seconds by strategy and part, numbers of at least 0, got {dict(seconds)}")
    found = dict.fromkeys(part for parts in seconds.values() for part in parts)
    parts = [part for part in PARTS if part in found] + [part for part in found if part not in PARTS]
    with canvas(1, min(0.9, 0.15 + 0.04 * len(seconds))) as figure:
        axis = figure.add_subplot(title=title or "", xlabel="seconds")
        left = np.zeros(len(seconds))
        for place, part in enumerate(parts):
            width = np.array([of.get(part, 0.0) for of in seconds.values()])
            axis.barh(list(seconds), width, left=left, label=part, color=COLORS[place % len(COLORS)])
            left += width
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
        beside(figure)
    return figure


def seconds_of(frame: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Seconds a seed by strategy and part, from ``bal.records.load(root)``: what `time_split` takes.

    What a round took is counted once a round, what a program over seeds took is shared by its seeds; compiling, too. A
    frame of several tasks has ``task: strategy`` for a name. Runs without timings have no entry.

    Use it to say what a strategy took beside what it reached.

    >>> frame = {"name": ["a"] * 3, "sha": ["x"] * 3, "config.strategy": ["bald"] * 3, "seed": [0, 0, 1]}
    >>> frame |= {"round": [1, 1, 1], "times.fit": [2.0, 2.0, 4.0], "call.run": [np.nan] * 3}
    >>> seconds_of({name: np.array(column) for name, column in frame.items()})
    {'bald': {'fit': 3.0}}
    """
    study = frame["config.strategy"] != "" if "config.strategy" in frame else np.zeros(len(frame["name"]), bool)
    names = ["name", "config.strategy"] if len(np.unique(frame["name"][study])) > 1 else ["config.strategy"]
    found: dict[str, dict[str, float]] = {}
    seeds: dict[str, set] = {}
    seen: set = set()
    for line in np.flatnonzero(study):
        name = ": ".join(str(frame[column][line]) for column in names)
        seed = str(frame["sha"][line]), int(frame["seed"][line])
        for column in frame:
            kind, _, part = column.partition(".")
            once = (column, *seed, int(frame["round"][line]) if kind == "times" else -1)
            if kind not in ("times", "call") or part == "seeds" or np.isnan(frame[column][line]) or once in seen:
                continue
            seen.add(once)
            shared = frame["call.seeds"][line] if kind == "call" else 1
            of = found.setdefault(name, {})
            of[part] = of.get(part, 0.0) + float(frame[column][line] / shared)
            seeds.setdefault(name, set()).add(seed)
    return {name: {part: total / len(seeds[name]) for part, total in of.items()} for name, of in found.items()}
