"""Every study under a folder, from its records: curves of its strategies, paired by seed."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal.records.encoding import encode
from bal.records.rounds import valid_ids
from bal.records.tables import flat, records

PADDING = 2**31 - 1  # that of `bal.typing`, which imports JAX
_STRATEGY = ("strategy", "strategies", "query", "methods")
"""What of a record's configuration may differ within a study."""


class Studied(NamedTuple):
    """What records say of one task under one learner, sizes and data.

    labels: at each evaluation; metrics: ``[S, E]`` by metric and strategy, for the `seeds` that all have finished;
    acquired: rows of the pool, by strategy, PADDING where none was picked. left_out: what else there is, in words.
    Where no seed is finished by all there are no labels and no metrics.
    """

    title: str
    labels: Int[np.ndarray, "E"]
    metrics: dict[str, dict[str, Float[np.ndarray, "S E"]]]
    acquired: dict[str, Int[np.ndarray, "S R B"]]
    seeds: list[int]
    left_out: list[str]


def studies(root: str | Path) -> list[Studied]:
    """All studies whose records are under a folder, in order of their names.

    Records belong together if they agree in name, data and configuration but for the strategy. Seeds that some strategy
    has not finished are left out, for differences are paired, and so are records without metrics.

    Raises:
      FileNotFoundError: `root` is no folder.
    """
    runs = [
        recorded(path.parent.name, path.name, contents.fingerprint, contents.config, contents.events)
        for path, contents in records(root)
    ]
    return sorted((paired(group) for group in grouped(runs)), key=lambda study: study.title)


class Round(NamedTuple):
    """One round: labels in the training set, what was measured after it, and the rows that it acquired."""

    labels: int
    metrics: dict[str, float]
    rows: list[int]


class Recorded(NamedTuple):
    """One record: what it shares with others of its study, and its rounds by seed and number."""

    name: str
    fingerprint: str
    sha: str
    strategy: str
    shared: dict[str, Any]
    rounds: dict[int, dict[int, Round]]


class Group(NamedTuple):
    """The records of one study, finished or not, by strategy."""

    title: str
    runs: dict[str, Recorded]


def recorded(
    name: str, sha: str, fingerprint: str, config: dict[str, Any], events: Iterable[dict[str, Any]]
) -> Recorded:
    """What a record says that a study is made of."""
    told = {key.removeprefix("config."): _readable(value) for key, value in flat(config, "config")}
    shared = {key: value for key, value in told.items() if key.split(".")[-1] not in _STRATEGY}
    found = Recorded(name, fingerprint, sha, str(told.get("strategy", sha)), shared, {})
    add_rounds(found, events)
    return found


def add_rounds(run: Recorded, events: Iterable[dict[str, Any]]) -> None:
    """Take the rounds among some events into what is known of a record."""
    for event in events:
        if event["kind"] == "round":
            metrics = {key: float(value) for key, value in event["metrics"].items() if not np.isnan(value)}
            one = Round(event["counts"]["training"], metrics, valid_ids(event))
            run.rounds.setdefault(event["seed"], {})[event["round"]] = one


def _readable(value: Any) -> Any:
    return encode(value).decode() if isinstance(value, list | dict) else value


def grouped(runs: Iterable[Recorded]) -> list[Group]:
    """Records by study, those without metrics left out: of one name, data and configuration but for the strategy."""
    runs = [run for run in runs if any(one.metrics for seed in run.rounds.values() for one in seed.values())]
    groups: dict[tuple, dict[str, list[Recorded]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        groups[run.name, run.fingerprint, json.dumps(run.shared, sort_keys=True)][run.strategy].append(run)
    found = []
    for title, of_strategy in zip(_titles(runs, list(groups)), groups.values()):
        own = {}
        for strategy, alike in of_strategy.items():
            for run in alike:
                own[strategy if len(alike) == 1 else f"{strategy} ({run.sha[:6]})"] = run
        found.append(Group(title, own))
    return found


def _titles(runs: list[Recorded], groups: list[tuple]) -> list[str]:
    """The name of the task of each study, with what sets it apart from others of the task, as short as may be."""
    shared = [(name, json.loads(text)) for name, _, text in groups]
    differing = [_differing(own, [run.shared for run in runs if run.name == name]) for name, own in shared]
    brief = [_title(name, own, lambda text: text.split("(")[0]) for (name, _), own in zip(shared, differing)]
    whole = [_title(name, own, str) for (name, _), own in zip(shared, differing)]
    titles = [short if brief.count(short) == 1 else long for short, long in zip(brief, whole)]
    marked = [f"{title} (data {fingerprint[:6]})" for title, (_, fingerprint, _) in zip(titles, groups)]
    return [title if titles.count(title) == 1 else mark for title, mark in zip(titles, marked)]


def _differing(own: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """What is not the same in all others, by the last part of its name; the shortest text where several have that."""
    varied = {key: value for key, value in own.items() if any(one.get(key) != value for one in others)}
    told = sorted(varied.items(), key=lambda item: -len(str(item[1])))
    return {key.split(".")[-1]: value for key, value in told if value not in (None, "")}


def _title(name: str, differing: dict[str, Any], say: Callable[[str], str]) -> str:
    words = {key: f"{value:g}" if isinstance(value, float) else say(str(value)) for key, value in differing.items()}
    return f"{name} ({', '.join(f'{key}={words[key]}' for key in sorted(words))})" if words else name


def paired(group: Group) -> Studied:
    """The curves of strategies over the seeds that all of them have finished."""
    title, runs = group
    length = max(len(seed) for run in runs.values() for seed in run.rounds.values())
    whole = {name: {seed for seed, found in run.rounds.items() if len(found) == length} for name, run in runs.items()}
    seeds = sorted(set.intersection(*whole.values()))
    left_out = [
        f"{name}: {len(run.rounds) - len(seeds)} of {len(run.rounds)} seeds, "
        "of which not all strategies have all rounds: not finished, or stopped by a rule"
        for name, run in runs.items()
        if len(run.rounds) > len(seeds)
    ]
    if not seeds:
        counted = ", ".join(f"{name} {len(found)}" for name, found in whole.items())
        left_out = [f"no seed has all rounds in every strategy (finished seeds: {counted})"]
        return Studied(title, np.zeros(0, int), {}, {}, [], left_out)
    labels, metrics, acquired = None, defaultdict(dict), {}
    for name, run in runs.items():
        rounds = [[run.rounds[seed][number] for number in sorted(run.rounds[seed])] for seed in seeds]
        counts = np.array([[one.labels for one in seed] for seed in rounds])
        labels = counts[0] if labels is None else labels
        if (counts != labels).any():
            left_out.append(f"{name}: other numbers of labels than {next(iter(runs))}")
            continue
        acquired[name] = [[one.rows for one in seed[1:]] for seed in rounds]
        for metric in dict.fromkeys(metric for seed in rounds for one in seed for metric in one.metrics):
            metrics[metric][name] = np.array([[one.metrics.get(metric, np.nan) for one in seed] for seed in rounds])
    assert labels is not None
    width = max((len(rows) for of in acquired.values() for seed in of for rows in seed), default=0)
    padded = lambda seed: [[*rows, *[PADDING] * (width - len(rows))] for rows in seed]
    picks = {name: np.array([padded(seed) for seed in of], int) for name, of in acquired.items()}
    return Studied(title, labels, dict(metrics), picks, seeds, left_out)
