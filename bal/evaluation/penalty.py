"""Who beats whom, how often: the pairwise penalty matrix of several strategies over many label counts."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from bal.evaluation.statistics import holm, sign_flips


class PenaltyMatrix(NamedTuple):
    """Row beats column: ``penalties[i, j]`` is how often strategy i was significantly better than strategy j.

    It is counted as a share of the label counts of a setting, summed over the settings: at most `num_settings`.
    mean_penalties: of each column over the other strategies, how often it was beaten: *low is good*.
    """

    strategies: tuple[str, ...]
    penalties: Float[np.ndarray, "A A"]
    mean_penalties: Float[np.ndarray, "A"]
    num_settings: int


def penalty_matrix(
    settings: Mapping[str, Mapping[str, Float[np.ndarray, "_ _"]]],
    level: float = 0.05,
    permutation: bool = False,
    adjusted: bool = True,
    higher_is_better: bool = True,
    seed: int = 0,
) -> PenaltyMatrix:
    """Pairwise penalties of A strategies: at how many label counts is one significantly better than the other?

    At each of E counts a two-sided paired test over the seeds compares each pair; where it rejects, the pair's better
    strategy gets ``1 / E`` in its row, in the column of the one it beats. Both can beat each other, at different
    counts. A matrix of the published kind takes ``adjusted=False``: then of strategies that are all alike each still
    beats each at a share of ``level / 2`` of the counts.

    The evaluation before the first choice is the same for all strategies and nobody can win it: hand
    ``values[:, 1:]``. With few seeds a test that is adjusted may be unable to reject, whatever the values: of five
    strategies, 10 pairs, the sign-flip test takes 9 seeds at the level 0.05.

    Use it when many strategies were run on many data sets, as a picture of who loses where; an area under the curve
    (`comparison_table`) answers with one test, and is the better answer to one question.

    Args:
      settings: ``[S, E]`` by strategy, by the name of a setting: a data set, learner or batch size. All of them have
        the same strategies; seeds are paired within a setting.
      level: of each test.
      permutation: the sign-flip test, exact up to 13 seeds and by 9,999 random patterns beyond, instead of Student's,
        which takes normal differences.
      adjusted: by Holm over the pairs, at each count.
      higher_is_better: False for a loss.
      seed: of the random patterns.

    Raises:
      ValueError: no settings, fewer than two strategies or other ones in some setting, shapes that differ within one,
        fewer than two seeds, values that are not finite, a level outside (0, 1).

    >>> good = np.array([[0.8, 0.9], [0.7, 0.8], [0.8, 0.8], [0.7, 0.9]])
    >>> matrix = penalty_matrix({"digits": {"bald": good, "random": good - [[0.1], [0.12], [0.11], [0.13]]}})
    >>> matrix.penalties.tolist(), matrix.mean_penalties.tolist()  # random is beaten at both counts
    ([[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0])

    Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
    Lower Bounds".
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), for instance 0.05, got {level}")
    if not settings:
        raise ValueError("expected at least one setting, got none; hand {name: {strategy: values}}")
    names = tuple(next(iter(settings.values())))
    total = np.zeros((len(names), len(names)))
    for setting, curves in settings.items():
        values = _stacked(setting, curves, names)
        pairs = np.array(list(itertools.combinations(range(len(names)), 2)))
        differences = values[pairs[:, 0]] - values[pairs[:, 1]]
        p = _p_values(differences, permutation, seed)
        p = np.stack([holm(column) for column in p.T], axis=1) if adjusted else p
        signs = np.sign(differences.mean(axis=1)) * (1 if higher_is_better else -1)
        np.add.at(total, (pairs[:, 0], pairs[:, 1]), ((p <= level) & (signs > 0)).mean(axis=1))
        np.add.at(total, (pairs[:, 1], pairs[:, 0]), ((p <= level) & (signs < 0)).mean(axis=1))
    return PenaltyMatrix(names, total, total.sum(axis=0) / (len(names) - 1), len(settings))


def _stacked(setting: str, curves: Mapping[str, np.ndarray], names: tuple[str, ...]) -> Float[np.ndarray, "A S E"]:
    if set(curves) != set(names) or len(names) < 2:
        raise ValueError(
            f"expected the same strategies, two at least, in every setting, got {', '.join(names)} and in {setting} "
            f"{', '.join(curves)}; leave out what was not run everywhere"
        )
    shapes = {curves[name].shape for name in names}
    if len(shapes) > 1 or len(curves[names[0]]) < 2 or curves[names[0]].size == 0:
        raise ValueError(f"expected [S, E] of 2 paired seeds at least in {setting}, one shape, got {sorted(shapes)}")
    values = np.stack([np.asarray(curves[name], np.float64) for name in names])
    if not np.isfinite(values).all():
        raise ValueError(f"values in {setting} must be finite; drop no seed: find out why they are missing")
    return values


def _p_values(differences: Float[np.ndarray, "P S E"], permutation: bool, seed: int) -> Float[np.ndarray, "P E"]:
    """Two-sided, of zero mean; 1 where there is no difference in any seed, a sign test's where all are the same."""
    columns = np.moveaxis(differences, 1, 2).reshape(-1, differences.shape[1])
    size = np.abs(columns).max(axis=1)
    p = np.where(size > 0, 2.0 ** (1 - columns.shape[1]), 1.0)
    tested = (np.ptp(columns, axis=1) > 1e-12 * size) if not permutation else size > 0
    if tested.any() and permutation:
        p[tested] = sign_flips(columns[tested], seed)
    elif tested.any():
        p[tested] = scipy.stats.ttest_1samp(columns[tested], 0, axis=1)[1]
    return p.reshape(differences.shape[0], differences.shape[2])
