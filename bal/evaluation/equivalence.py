"""As good as another: a claim that takes a margin, declared beforehand, and a test of its own."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from bal.evaluation.statistics import by_seed


class Equivalence(NamedTuple):
    """Two one-sided tests of a mean difference over S paired seeds.

    low, high: the ``1 - 2 level`` t interval of the mean; `equivalent` says that all of it lies within the margin.
    p_value: the larger of the two.
    """

    mean: float
    low: float
    high: float
    p_value: float
    equivalent: bool
    margin: float
    num_seeds: int


def equivalence_test(
    values: Float[np.ndarray, "S"], baseline: Float[np.ndarray, "S"], margin: float, level: float = 0.05
) -> Equivalence:
    """Whether the mean of ``values - baseline`` is shown to lie within ``(-margin, margin)``.

    Two one-sided Student tests, of ``mean <= -margin`` and of ``mean >= margin``; both must reject at the level. Then
    the chance to call strategies equivalent whose means are a margin or more apart is at most `level`, for normal
    differences. That no difference was found shows nothing of the kind: few seeds never find one. With too few seeds
    for the margin, equivalence is never shown either, however equal the strategies are. Where the differences do not
    vary at all, Student's test has nothing to go by, and the p-value is ``2^-S``, that of a sign test: 5 seeds at .05.

    Use it when a cheap method is said to be as good as a dear one. Declare the margin, in the units of the values,
    before the run: the loss that would not matter.

    Args:
      values, baseline: one value a seed, paired: areas, final accuracies.
      margin: positive.
      level: of each of the two tests.

    Raises:
      ValueError: a margin that is not positive, a level outside (0, 0.5), fewer than two seeds, values that are not
        finite.

    >>> baseline = np.linspace(0.7, 0.8, 12)
    >>> found = equivalence_test(baseline + 0.01 * np.sin(np.arange(12)), baseline, margin=0.02)
    >>> found.equivalent, [round(number, 3) for number in found[:4]]
    (True, [0.0, -0.003, 0.004, 0.0])

    Schuirmann 1987, "A Comparison of the Two One-Sided Tests Procedure and the Power Approach for Assessing the
    Equivalence of Average Bioavailability".
    """
    if not 0 < margin < np.inf:
        raise ValueError(f"margin must be positive, got {margin}; it is the difference that would not matter")
    if not 0 < level < 0.5:
        raise ValueError(f"level must lie in (0, 0.5), for instance 0.05, got {level}")
    differences = by_seed(values, baseline)
    mean, num_seeds = float(differences.mean()), len(differences)
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():  # nothing varies: t is infinite
        p = 0.5**num_seeds if abs(mean) < margin else 1.0
        return Equivalence(mean, mean, mean, p, p <= level, margin, num_seeds)
    error = float(differences.std(ddof=1) / np.sqrt(num_seeds))
    p = float(scipy.stats.t.sf((margin - abs(mean)) / error, num_seeds - 1))  # of the side that is nearer
    half = float(scipy.stats.t.isf(level, num_seeds - 1)) * error
    return Equivalence(mean, mean - half, mean + half, p, p <= level, margin, num_seeds)
