"""Paired statistics over seeds: differences to a baseline with intervals, tests, and a verdict in words.

One seed fixes split, start set and initial weights, and all strategies share it; so differences are taken
seed by seed before anything is averaged. A verdict needs the interval *and* the test: for few seeds the interval
alone is too short, and of many strategies one is always lucky.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

FEW_SEEDS = 10
RESAMPLES = 9999

Bounds = tuple[float | int, float | int]


class PairedDifference(NamedTuple):
    """Values minus baseline over S paired seeds, in units of the values.

    mean, low, high: the mean difference and its bootstrap interval.
    p_value: two-sided, of the sign-flip permutation test of zero mean.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_seeds: int
    confidence: float


def paired_difference(
    values: Float[np.ndarray, "S"], baseline: Float[np.ndarray, "S"], confidence: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Mean over seeds of ``values - baseline``, its BCa bootstrap interval and sign-flip p-value.

    9,999 resamples from `seed`. The interval of a mean is short for few seeds: for normal differences a
    nominal 95% covers 93% at 20 seeds and 90% at 10. The test goes through all ``2^S`` sign patterns up to 13
    seeds and through 9,999 random ones beyond, so its smallest value is ``2 / 2^S`` and then 2e-4, or m times
    that after `holm` over m strategies. Its level is exact where differences are as likely as their negatives
    when nothing separates the strategies. Where all differences are equal the interval is that one point, and
    says nothing about new seeds.
    Raises ValueError for fewer than two seeds, different shapes, values that are not finite, or a confidence
    outside (0, 1). Source: B. Efron, Better bootstrap confidence intervals, JASA, 1987.

    >>> import numpy as np
    >>> baseline = np.linspace(0.7, 0.8, 12)
    >>> difference = paired_difference(baseline + 0.02 + 0.01 * np.sin(np.arange(12)), baseline)
    >>> round(difference.mean, 3), difference.low > 0, difference.num_seeds
    (0.02, True, 12)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
    differences = by_seed(values, baseline)
    mean = float(differences.mean())
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        low, high = mean, mean  # BCa is undefined (0 / 0) where nothing varies
    else:
        interval = scipy.stats.bootstrap(
            (differences,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return PairedDifference(
        mean, low, high, float(sign_flips(differences[None], seed)[0]), len(differences), confidence
    )


def verdict(
    difference: PairedDifference,
    adjusted_p: float,
    num_tests: int = 1,
    baseline: str = "random",
    higher_is_better: bool = True,
) -> str:
    """`judgment` and the numbers behind it.

    With fewer than 10 seeds the words say that the interval is unreliable, and with equal differences that
    nothing varied.

    >>> verdict(PairedDifference(0.021, 0.006, 0.036, 0.01, 20, 0.95), adjusted_p=0.01)
    'better than random (+0.021, 95% interval [+0.006, +0.036], p = 0.010, 20 seeds)'
    """
    mean, low, high, _, num_seeds, confidence = difference
    words = judgment(difference, adjusted_p, num_tests, baseline, higher_is_better)
    numbers = f"{mean:+.3f}, {100 * confidence:g}% interval [{low:+.3f}, {high:+.3f}], p = {adjusted_p:.3f}"
    numbers += f", {num_seeds} seeds"
    if low == high:
        numbers += ", all differences equal"
    if num_seeds < FEW_SEEDS:
        numbers += f", unreliable interval: fewer than {FEW_SEEDS} seeds"
    return f"{words} ({numbers})"


def judgment(
    difference: PairedDifference,
    adjusted_p: float,
    num_tests: int = 1,
    baseline: str = "random",
    higher_is_better: bool = True,
) -> str:
    """Better or worse than the baseline, not distinguishable from it, or too few seeds to tell.

    Better or worse takes an interval without zero and ``adjusted_p <= 1 - confidence``, where `adjusted_p` is
    the p-value after `holm` over the `num_tests` strategies compared (for a single one, the p-value itself). Then
    the chance that any strategy of a table gets a wrong verdict is at most ``1 - confidence``.
    "Not distinguishable" is no proof of equality. Seeds are too few where no differences could give such a
    p-value: below 6 for one strategy at 95%, below 9 for eight.
    Raises ValueError for an adjusted p-value below that of `difference` or above 1.

    >>> judgment(PairedDifference(0.021, 0.006, 0.036, 0.02, 20, 0.95), adjusted_p=0.1, num_tests=5)
    'not distinguishable from random'
    >>> judgment(PairedDifference(0.021, 0.006, 0.036, 0.0625, 5, 0.95), adjusted_p=0.0625)
    'too few seeds to tell'
    """
    if not difference.p_value <= adjusted_p <= 1:
        raise ValueError(f"adjusted_p must lie between the p-value, {difference.p_value}, and 1, got {adjusted_p}")
    level = 1 - difference.confidence + 1e-12  # 1 - 0.9 is just below 0.1
    if num_tests * smallest_p_value(difference.num_seeds) > level:
        return "too few seeds to tell"
    if adjusted_p > level or difference.low <= 0 <= difference.high:
        return f"not distinguishable from {baseline}"
    return f"{'better' if (difference.low > 0) == higher_is_better else 'worse'} than {baseline}"


def smallest_p_value(num_seeds: int) -> float:
    """The p-value of `paired_difference` where all differences have one sign: as small as it can be.

    >>> smallest_p_value(5), smallest_p_value(6), smallest_p_value(20)
    (0.0625, 0.03125, 0.0002)
    """
    return 2 / 2**num_seeds if 2**num_seeds <= RESAMPLES else 2 / (RESAMPLES + 1)


def holm(p_values: Float[np.ndarray, "H"]) -> Float[np.ndarray, "H"]:
    """Holm-adjusted p-values of H hypotheses: reject where they are below the level, in any order.

    The i-th smallest (from 0) becomes ``max over j <= i of min(1, (H - j) p_(j))``: the chance of any false
    rejection stays below the level whatever the dependence. Raises ValueError for values outside [0, 1].
    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.

    >>> import numpy as np
    >>> holm(np.array([0.04, 0.01, 0.03])).round(3).tolist()
    [0.06, 0.03, 0.06]
    """
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError(f"p_values must be a vector of numbers in [0, 1], got {p_values!r}")
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def mean_interval(
    values: Float[np.ndarray, "S ..."], bounds: Bounds = (-np.inf, np.inf), confidence: float = 0.95
) -> tuple[Float[Any, "..."], Float[Any, "..."], Float[Any, "..."]]:
    """Mean over S seeds and the two ends of its t interval, ``mean +- t s / sqrt(S)``, cut off at `bounds`.

    `bounds` is where values, and so their mean, can lie: (0, 1) for an accuracy. Cutting there leaves the coverage
    as it is, for no mean lies outside. The ends are NaN below three seeds: of two, the interval is 13 standard
    errors to either side, which says nothing.
    Raises ValueError for values that are outside the bounds or NaN.

    >>> [round(float(end), 2) for end in mean_interval(np.array([0.7, 0.9, 0.95]), bounds=(0, 1))]
    [0.85, 0.52, 1.0]
    """
    if values.ndim == 0 or len(values) == 0 or not ((values >= bounds[0]) & (values <= bounds[1])).all():
        raise ValueError(f"expected one value a seed within the bounds {bounds}, got {values!r}")
    values = np.asarray(values, np.float64)
    mean = values.mean(axis=0)
    if len(values) < 3:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    quantile = scipy.stats.t.ppf(0.5 + confidence / 2, len(values) - 1)
    half = quantile * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return mean, np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])


def interquartile_mean(values: Float[np.ndarray, "..."]) -> float:
    """Mean of the middle half of all values: a quarter is cut from each end.

    Raises ValueError if there are none, or if one is NaN, which would be cut away without a word.

    >>> import numpy as np
    >>> interquartile_mean(np.array([0.0, 1.0, 2.0, 100.0]))
    1.5
    """
    if values.size == 0 or np.isnan(values).any():
        found = f"{int(np.isnan(values).sum())} NaN" if values.size else "none"
        raise ValueError(f"interquartile_mean needs at least one value and no NaN, got {found}; run what is missing")
    return float(scipy.stats.trim_mean(values.ravel(), 0.25))


def by_seed(values: Float[np.ndarray, "S"], baseline: Float[np.ndarray, "S"]) -> Float[np.ndarray, "S"]:
    """Differences of paired seeds, checked.

    Raises ValueError for different shapes, fewer than two seeds, or values that are not finite.

    >>> by_seed(np.array([0.5, 0.75]), np.array([0.25, 0.25])).tolist()
    [0.25, 0.5]
    """
    if values.ndim != 1 or values.shape != baseline.shape:
        raise ValueError(f"expected one value a seed, [S] for both, paired; got {values.shape} and {baseline.shape}")
    if len(values) < 2:
        raise ValueError(f"statistics over seeds need at least 2 paired seeds, got {len(values)}; run more seeds")
    differences = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    if not np.isfinite(differences).all():
        raise ValueError("values must be finite; for censored label counts compare quantiles instead")
    return differences


def sign_flips(columns: Float[np.ndarray, "H S"], seed: int = 0) -> Float[np.ndarray, "H"]:
    """Two-sided p-values of zero mean in each row: the share of sign patterns with a mean as far out as the row's own.

    All ``2^S`` patterns up to 13 seeds, 9,999 random ones beyond.

    >>> sign_flips(np.array([[1.0, 2.0, 3.0], [1.0, -2.0, 3.0]])).tolist()
    [0.25, 0.75]
    """
    test = scipy.stats.permutation_test(
        (columns,),
        np.mean,
        permutation_type="samples",
        n_resamples=RESAMPLES,
        axis=1,
        vectorized=True,
        batch=max(1, 2_000_000 // columns.size),
        rng=np.random.default_rng(seed),
    )
    return np.asarray(test.pvalue)
