"""Curves of all studies in a frame, as `bal.records.load` returns it: what `report` takes."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

_OF_A_STRATEGY = ("config.strategy", "config.query", "config.methods")


class FrameCurves(NamedTuple):
    """What the strategies of one task came to over the S seeds that all of them finished; see `bal.loop.Curves`."""

    labels: Int[np.ndarray, "E"]
    metrics: dict[str, dict[str, Float[np.ndarray, "S E"]]]
    acquired: dict[str, Int[np.ndarray, "S R B"]]
    start: dict[str, Int[np.ndarray, "S S0"]]


def curves_of(frame: Mapping[str, np.ndarray]) -> dict[str, FrameCurves]:
    """Curves by task, of all studies on record: ``curves_of(bal.records.load(root))``.

    A task is what was run on the same data with the same learner and sizes; where the folder of a name holds several,
    what tells them apart is added to the name. A strategy that is on record more than once, with other settings or
    code, is told apart by the first digits of its record. Only seeds that all strategies of a task have finished are
    taken, so that they are paired; a warning names the others.

    Use it to report on records, of a sweep or of several studies, without running them again.

    Args:
      frame: columns of one length; records of campaigns, or of no study, are left out.

    Raises:
      ValueError: no study among the records; strategies of one task with other numbers of labels.

    >>> rounds = {"seed": [0, 0], "round": [0, 1], "row": [4, 7], "counts.training": [1, 2], "metrics.rmse": [0.5, 0.4]}
    >>> run = {"name": ["line"] * 2, "sha": ["a1"] * 2, "fingerprint": ["f"] * 2, "config.strategy": ["random"] * 2}
    >>> found = curves_of({name: np.array(column) for name, column in (rounds | run).items()})["line"]
    >>> found.labels.tolist(), found.metrics["rmse"]["random"].tolist(), found.acquired["random"].tolist()
    ([1, 2], [[0.5, 0.4]], [[[7]]])
    """
    if "config.strategy" not in frame or not (frame["config.strategy"] != "").any():
        raise ValueError("expected the frame of a study, got records of none; hand bal.records.load(root)")
    runs: dict[str, dict[str, Any]] = {}
    for line in np.flatnonzero(frame["config.strategy"] != ""):
        run = runs.setdefault(str(frame["sha"][line]), {"line": line, "seeds": {}})
        run["seeds"].setdefault(int(frame["seed"][line]), {}).setdefault(int(frame["round"][line]), []).append(line)
    settings = sorted(name for name in frame if name.startswith("config.") and name not in _OF_A_STRATEGY)
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for sha, run in runs.items():
        group = tuple(str(frame[name][run["line"]]) for name in ("name", "fingerprint", *settings))
        groups.setdefault(group, {})[sha] = run
    names = _names(list(groups), ["data", *(name.removeprefix("config.") for name in settings)])
    return {name: _group(name, frame, members) for name, members in zip(names, groups.values(), strict=True)}


def _names(groups: list[tuple[str, ...]], settings: list[str]) -> list[str]:
    """The name of each task, with the settings in which it differs from others of that name."""
    found = []
    for group in groups:
        others = [other for other in groups if other[0] == group[0]]
        apart = [
            f"{setting} {value}"
            for place, (setting, value) in enumerate(zip(settings, group[1:], strict=True), 1)
            if any(other[place] != value for other in others)
        ]
        found.append(f"{group[0]} ({', '.join(apart)})" if apart else group[0])
    return found


def _group(name: str, frame: Mapping[str, np.ndarray], members: Mapping[str, dict[str, Any]]) -> FrameCurves:
    strategies = [str(frame["config.strategy"][run["line"]]) for run in members.values()]
    num_rounds = max(len(rounds) for run in members.values() for rounds in run["seeds"].values())
    finished = [
        {seed for seed, rounds in run["seeds"].items() if len(rounds) == num_rounds} for run in members.values()
    ]
    seeds = sorted(set.intersection(*finished))
    left = sorted(set.union(*(set(run["seeds"]) for run in members.values())) - set(seeds))
    if left:
        words = f"{name}: seeds {left} are left out, which not all strategies have finished; run the study again"
        warnings.warn(words, stacklevel=3)
    labels: Any = None
    found = FrameCurves(np.zeros(0, int), {}, {}, {})
    for strategy, (sha, run) in zip(strategies, members.items(), strict=True):
        called = strategy if strategies.count(strategy) == 1 else f"{strategy} {sha[:6]}"
        lines = [[run["seeds"][seed][number] for number in range(num_rounds)] for seed in seeds]
        first = np.array([[of[0] for of in rounds] for rounds in lines], int).reshape(len(seeds), num_rounds)
        counts = frame["counts.training"][first].astype(int)
        labels = counts[:1] if labels is None else labels
        if (counts != labels).any():
            raise ValueError(f"{called} on {name} has other numbers of labels in some seed; curves cannot be compared")
        for metric in (column for column in frame if column.startswith("metrics.")):
            values = frame[metric][first].astype(np.float64)
            if not np.isnan(values).all():
                found.metrics.setdefault(metric.removeprefix("metrics."), {})[called] = values
        sizes = {len(of) for rounds in lines for of in rounds[1:]}
        if len(sizes) == 1:
            found.acquired[called] = frame["row"][np.array([rounds[1:] for rounds in lines])].astype(int)
        if len({len(rounds[0]) for rounds in lines}) == 1:
            found.start[called] = frame["row"][np.array([rounds[0] for rounds in lines])].astype(int)
    return found._replace(labels=labels[0] if len(seeds) else np.zeros(0, int))
