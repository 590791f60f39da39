"""Before a run: the differences that a number of seeds can show, from a pilot."""

import numpy as np
import scipy.optimize
import scipy.stats
from jaxtyping import Float, Real

from bal.evaluation.curves import area_under_curve
from bal.evaluation.statistics import by_seed, smallest_p_value


def detectable_difference(
    pilot_differences: Float[np.ndarray, "S"], num_seeds: int, power: float = 0.8, level: float = 0.05
) -> float:
    """Smallest true mean difference that a paired t-test over `num_seeds` seeds finds with chance `power`.

    ``d = c s / sqrt(num_seeds)``, in units of the differences: s is the standard deviation (ddof = 1) of a pilot's
    paired differences, c the non-centrality at which the two-sided t-test at `level` has that power. Choose the
    number of seeds with it before a run.
    Raises ValueError for fewer than two pilot or planned seeds, or power and level outside ``level < power <
    1``.

    >>> import numpy as np
    >>> round(detectable_difference(np.array([-1.0, 0.0, 1.0]), num_seeds=20), 3)
    0.66
    """
    if num_seeds < 2:
        raise ValueError(f"num_seeds must be at least 2, got {num_seeds}")
    if not 0 < level < power < 1:
        raise ValueError(f"expected 0 < level < power < 1, got level {level} and power {power}")
    pilot = by_seed(pilot_differences, np.zeros(pilot_differences.shape))
    critical = scipy.stats.t.isf(level / 2, num_seeds - 1)

    def shortfall(noncentrality: float) -> float:
        return float(scipy.stats.nct.sf(critical, num_seeds - 1, noncentrality)) - power

    effect = scipy.optimize.brentq(shortfall, 0.0, 10 * critical)
    return float(effect * pilot.std(ddof=1) / np.sqrt(num_seeds))


def detectable_area(
    labels: Real[np.ndarray, "... E"],
    pilot: Float[np.ndarray, "S E"],
    pilot_baseline: Float[np.ndarray, "S E"],
    num_seeds: int,
    power: float = 0.8,
    level: float = 0.05,
) -> float:
    """`detectable_difference` in area under the curve, from the paired curves of a pilot.

    In units of the values, as the differences of `comparison_table`. For a table of m strategies take ``level / m``:
    their p-values are adjusted. A pilot of few seeds is a rough guide: of 5, the standard deviation comes
    out half of what it is, or less, in one case of eleven.

    Use it before a run to say how many seeds it takes, and after one that found nothing to say what it could have.

    Args:
      labels: at the evaluations.
      pilot, pilot_baseline: curves of two strategies, one row a seed.
      num_seeds: of the run that is planned.
      power, level: of the paired t-test.

    Raises:
      ValueError: as `area_under_curve` and `detectable_difference`.

    >>> random = np.array([[0.5, 0.6], [0.4, 0.6], [0.5, 0.5]])
    >>> bald = np.array([[0.5, 0.8], [0.5, 0.9], [0.5, 0.6]])
    >>> round(detectable_area(np.array([10, 20]), bald, random, num_seeds=20), 3)
    0.05
    """
    areas = [np.asarray(area_under_curve(labels, curves)) for curves in (pilot, pilot_baseline)]
    return detectable_difference(areas[0] - areas[1], num_seeds, power, level)


def seeds_to_detect(
    pilot_differences: Float[np.ndarray, "S"], difference: float, power: float = 0.8, level: float = 0.05
) -> int:
    """Smallest number of seeds at which `detectable_difference` is `difference` or less.

    At least as many as the sign-flip test of `paired_difference` needs to reject anything at `level`: 6 at 0.05.
    Raises ValueError if the difference is not positive, and as `detectable_difference`.

    >>> seeds_to_detect(np.array([-1.0, 0.0, 1.0]), difference=0.7), seeds_to_detect(np.array([-1.0, 0.0, 1.0]), 2.0)
    (19, 6)
    """
    if not 0 < difference < np.inf:
        raise ValueError(f"difference must be positive, got {difference}; it is the smallest one that matters")
    able = lambda num: smallest_p_value(num) <= level
    enough = lambda num: able(num) and detectable_difference(pilot_differences, num, power, level) <= difference
    few, many = 1, 2
    while not enough(many):
        few, many = many, 2 * many
    while many - few > 1:
        few, many = (few, middle) if enough(middle := (few + many) // 2) else (middle, many)
    return many
