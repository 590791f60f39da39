"""Performance profiles: the whole distribution of scores over tasks and seeds, as a curve a strategy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bal.evaluation.bootstrap import RESAMPLES, percentile_interval, stratified_distribution
from bal.evaluation.results import Results, stacked_results


class Profile(NamedTuple):
    """Share of runs above each of Q thresholds, and the two ends of its pointwise interval."""

    share: Float[np.ndarray, "Q"]
    low: Float[np.ndarray, "Q"]
    high: Float[np.ndarray, "Q"]


def performance_profiles(
    results: Results,
    thresholds: Float[np.ndarray, "Q"],
    confidence: float = 0.95,
    seed: int = 0,
    num_resamples: int = RESAMPLES,
) -> dict[str, Profile]:
    """Of every strategy, the share of all tasks and seeds whose score lies above each threshold.

    ``share(q) = mean over t, s of [score_ts > q]``: a curve from 1 down to 0. One that lies above another everywhere is
    stochastically better; where they cross, which is better depends on what is asked of it, and no single number tells.
    Intervals are pointwise, by the stratified bootstrap of `aggregate`.

    Use it beside `aggregate`: it shows the tails that an interquartile mean cuts away.

    Args:
      results: ``{task: {strategy: [S]}}``, on one scale, as many seeds in all tasks.
      thresholds: where to count, for instance ``np.linspace(0, 1, 101)`` of `normalized_scores`.
      confidence: of the interval at each threshold.
      seed, num_resamples: of the bootstrap.

    Raises:
      ValueError: as `aggregate`; thresholds that do not increase.

    >>> results = {"digits": {"bald": np.array([0.3, 0.7])}, "wine": {"bald": np.array([0.5, 0.9])}}
    >>> performance_profiles(results, np.array([0.2, 0.5, 0.8]))["bald"].share.tolist()
    [1.0, 0.5, 0.25]

    Agarwal, Schwarzer, Castro, Courville and Bellemare 2021, "Deep Reinforcement Learning at the Edge of the
    Statistical Precipice".
    """
    if not (np.diff(thresholds) > 0).all():
        raise ValueError(f"thresholds must increase, got {thresholds.tolist()}")

    def profile(values: np.ndarray) -> Profile:
        num_seeds, num_tasks = values.shape
        above = (values[None] > thresholds[:, None, None]).astype(np.float64)  # [Q, S, T]
        statistic = lambda rows: _share(above, rows)
        drawn = stratified_distribution(num_seeds, num_tasks, statistic, seed, num_resamples)
        return Profile(above.mean(axis=(1, 2)), *percentile_interval(drawn, confidence, num_seeds, num_tasks))

    return {name: profile(values) for name, values in stacked_results(results).items()}


def _share(above: Float[np.ndarray, "Q S T"], rows: np.ndarray) -> Float[np.ndarray, "Q n"]:
    num_seeds, num_tasks = above.shape[1:]
    drawn = np.stack([(rows == s).sum(axis=1) for s in range(num_seeds)], axis=1)  # [n, S, T]
    return above.reshape(len(above), -1) @ drawn.reshape(len(rows), -1).T / (num_seeds * num_tasks)
