"""What a study says before it is finished: curves so far, and who can be told from the baseline by now."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal.evaluation import Band, Comparison, compare, holm, judgment, mean_interval, sup_t_band
from bal.evaluation.plots import UNBOUNDED
from bal.evaluation.reports.findings import GAINS, LOSSES, UNIT
from bal.evaluation.statistics import Bounds
from bal.sweep.studies import Group, Recorded

CALIBRATION = ("ece", "adaptive_ece", "classwise_ece", "brier", "nll", "joint_nll", "crps")
"""Metrics that tell whether probabilities can be believed."""


class Curve(NamedTuple):
    """One metric of one strategy.

    labels, mean, low, high: over the `seeds` that have come as far as any of this strategy; the interval is that of
    `bal.evaluation.mean_interval`, NaN below three seeds. behind: seeds that have not, each with labels and values.
    """

    labels: Int[np.ndarray, "E"]
    mean: Float[np.ndarray, "E"]
    low: Float[np.ndarray, "E"]
    high: Float[np.ndarray, "E"]
    seeds: list[int]
    behind: dict[int, tuple[Int[np.ndarray, "_"], Float[np.ndarray, "_"]]]


class Row(NamedTuple):
    """One strategy beside the baseline, over the seeds that both have finished.

    comparison: as `bal.evaluation.compare` says, with p-values adjusted for all strategies that can be compared by now;
    None where there is nothing to compare. band: of the difference at each number of labels, None below three seeds.
    words: the judgment, or what is waited for.
    """

    rounds: int
    seeds: int
    labels: Int[np.ndarray, "_"]
    difference: Float[np.ndarray, "_"]
    comparison: Comparison | None
    band: Band | None
    words: str


def metrics_of(group: Group) -> list[str]:
    """What was measured in a study: accuracy or else rmse first, which usually decides."""
    rounds = (one for run in group.runs.values() for seed in run.rounds.values() for one in seed.values())
    found = dict.fromkeys(name for one in rounds for name in one.metrics)
    return sorted(found, key=lambda name: ("accuracy", "rmse", name).index(name))  # stable behind the two


def baseline_of(group: Group) -> str:
    """Random, or else the first."""
    return "random" if "random" in group.runs else next(iter(group.runs))


def higher_is_better(metric: str) -> bool | None:
    """Whether more of a metric is better; None where that is not known."""
    return True if metric in GAINS else False if metric in LOSSES else None


def curve(run: Recorded, metric: str) -> Curve | None:
    """What is known of a metric of one strategy; None where it was not measured yet."""
    seeds = {seed: _values(run, seed, metric) for seed in sorted(run.rounds)}
    seeds = {seed: found for seed, found in seeds.items() if len(found[0])}
    if not seeds:
        return None
    labels = max((found[0] for found in seeds.values()), key=len)
    whole = [seed for seed, found in seeds.items() if found[0].tolist() == labels.tolist()]
    values = np.stack([seeds[seed][1] for seed in whole])
    bounds = _bounds(metric, values)
    mean, low, high = mean_interval(values, bounds)
    return Curve(labels, mean, low, high, whole, {seed: seeds[seed] for seed in seeds if seed not in whole})


def rows(group: Group, metric: str, baseline: str) -> dict[str, Row]:
    """Every strategy of a study beside the baseline, as far as it has come."""
    length = max((len(seed) for run in group.runs.values() for seed in run.rounds.values()), default=0)
    found = {}
    for name, run in group.runs.items():
        rounds = max((len(seed) for seed in run.rounds.values()), default=0)
        found[name] = _row(name, run, group.runs[baseline], rounds, length, metric, baseline)
    better = higher_is_better(metric)
    tested = [
        name for name, row in found.items() if row.comparison is not None and row.comparison.adjusted_p is not None
    ]
    raw = [row.difference.p_value for name in tested if (row := found[name].comparison) and row.difference is not None]
    for name, p in zip(tested, holm(np.array(raw)).tolist() if tested else (), strict=True):
        row = found[name]
        assert row.comparison is not None
        assert row.comparison.difference is not None
        words = f"more or less of {metric}: which is better is not known"
        if better is not None:
            words = judgment(row.comparison.difference, p, len(tested), baseline, better)
        found[name] = row._replace(comparison=row.comparison._replace(adjusted_p=p, judgment=words), words=words)
    return found


def _row(name: str, run: Recorded, other: Recorded, rounds: int, length: int, metric: str, baseline: str) -> Row:
    none = Row(rounds, 0, np.zeros(0, int), np.zeros(0), None, None, "")
    whole = lambda each: {seed for seed, found in each.rounds.items() if len(found) == length}
    seeds = sorted(whole(run) & whole(other))
    none = none._replace(seeds=len(seeds))
    if name == baseline:
        return none._replace(words="baseline")
    if len(seeds) < 2:
        return none._replace(words=f"not yet: {len(seeds)} seeds that both have finished, and it takes two")
    own, base = ([_values(each, seed, metric) for seed in seeds] for each in (run, other))
    labels = own[0][0]
    if any(found[0].tolist() != labels.tolist() for found in (*own, *base)):
        return none._replace(words=f"not comparable: measured at other numbers of labels than {baseline}")
    if len(labels) < 2 or (np.diff(labels) <= 0).any():
        return none._replace(words="not yet: it takes two numbers of labels")
    values, below = (tuple(tuple(found[1].tolist()) for found in each) for each in (own, base))
    comparison, band = _compared(
        tuple(labels.tolist()), name, values, baseline, below, higher_is_better(metric) is not False
    )
    difference = np.mean(np.array(values) - np.array(below), axis=0)
    return none._replace(
        labels=labels, difference=difference, comparison=comparison, band=band, words=comparison.judgment
    )


Values = tuple[tuple[float, ...], ...]


@lru_cache(maxsize=512)
def _compared(
    labels: tuple[int, ...], name: str, values: Values, baseline: str, below: Values, higher: bool
) -> tuple[Comparison, Band | None]:
    """The statistics of one pair; kept, since only what changed is computed anew."""
    curves = {baseline: np.array(below), name: np.array(values)}
    comparison = compare(np.array(labels), curves, baseline, None, higher)[name]
    band = sup_t_band(curves[name] - curves[baseline]) if len(values) > 2 else None
    return comparison, band


def _values(run: Recorded, seed: int, metric: str) -> tuple[Int[np.ndarray, "_"], Float[np.ndarray, "_"]]:
    """Labels and values of a seed, where the metric was measured."""
    rounds = run.rounds.get(seed, {})
    told = [rounds[number] for number in sorted(rounds) if np.isfinite(rounds[number].metrics.get(metric, np.nan))]
    return np.array([one.labels for one in told], int), np.array([one.metrics[metric] for one in told], float)


def _bounds(metric: str, values: Float[np.ndarray, "S E"]) -> Bounds:
    inside = ((values >= 0) & (values <= 1)).all()
    return (0.0, 1.0) if metric in UNIT and inside else UNBOUNDED
