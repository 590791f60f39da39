"""Whether what strategies choose by has to do with performance: correlations, what they could have shown, and words."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Real

PERMUTATIONS = 9999


class Assumption(NamedTuple):
    """One feature: rank correlation with performance; two-sided p-value, as it is and times the number of features."""

    rho: float
    p_value: float
    adjusted_p: float


class AssumptionCheck(NamedTuple):
    """What was found by feature, and what could have been.

    critical: the smallest ``|rho|`` that is significant after correction; detectable: the true ``|rho|`` that is found
    with chance `power`. r_squared: of a linear model on all features; null_r_squared: its mean where none matters.
    verdict: a sentence.
    """

    features: dict[str, Assumption]
    num_subsets: int
    critical: float
    detectable: float
    r_squared: float
    null_r_squared: float
    r_squared_p: float
    verdict: str


def assumption_check(
    features: Mapping[str, Real[np.ndarray, "n"]],
    performance: Real[np.ndarray, "n"],
    control: Real[np.ndarray, "n"] | None = None,
    level: float = 0.05,
    power: float = 0.8,
    seed: int = 0,
) -> AssumptionCheck:
    """Spearman's correlation of features of n training sets with the performance each led to.

    p-values are those of 9,999 permutations, times the number of features k (Bonferroni). With a `control`, ranks of
    feature and performance are taken without what they have in common with its ranks (partial rank correlation): mean
    confidence and length go together, and tokens alone can make a model better. A control that goes with both at .9 and
    more makes the test liberal: of 20 subsets 10 in 100 studies of nothing come out at .05.

    "No correlation" is no finding where none could be found: by Fisher's transformation of n subsets,
    ``critical = tanh(z_(α/2k) s)`` and ``detectable = tanh((z_(α/2k) + z_(power)) s)``, ``s = √(1.06 / (n - 3))``. And
    pure noise explains ``k / (n - 1)`` of the variance, so R² is compared with that, by its F test.

    Use it when a strategy is to be justified, or its failure explained: features of subsets drawn at random, and of
    windows sorted by the feature (`random_subsets`, `window_subsets`), with one performance a subset: the mean where
    there are several seeds.

    Args:
      features: by name; `subset_means` makes one of a score of rows.
      performance: of the model trained on each subset.
      control: what to hold constant, as the number of tokens.
      level, power: of the corrected test.
      seed: of the permutations.

    Raises:
      ValueError: fewer than 5 subsets, features that do not vary or are not finite, other lengths.

    >>> rng = np.random.default_rng(0)
    >>> useful, useless = rng.normal(size=(2, 60))
    >>> check = assumption_check({"margin": useful, "length": useless}, useful + rng.normal(size=60))
    >>> {name: (round(found.rho, 2), found.adjusted_p < 0.05) for name, found in check.features.items()}
    {'margin': (0.64, True), 'length': (-0.06, False)}
    >>> check.verdict
    'margin goes with performance (rho +0.64); of the others, |rho| below 0.40 would be missed more often than in 20 %'

    Spearman 1904, "The Proof and Measurement of Association Between Two Things"; Fieller, Hartley and Pearson 1957,
    "Tests for Rank Correlation Coefficients".
    """
    names, y = list(features), np.asarray(performance, np.float64)
    columns = [np.asarray(features[name], np.float64) for name in names]
    held = [] if control is None else [np.asarray(control, np.float64)]
    _check(names, columns, y, held)
    k, n = len(names), len(y)
    left = [_without(scipy.stats.rankdata(values), held) for values in (*columns, y)]
    if any(not values.any() for values in left):
        raise ValueError("a feature or the performance is what control says of it; leave it out or the control")
    units = np.array([values / np.linalg.norm(values) for values in left])
    rho = units[:-1] @ units[-1]
    rng = np.random.default_rng(seed)
    permuted = rng.permuted(np.tile(units[-1], (PERMUTATIONS, 1)), axis=1)
    for values in held:  # what a permutation has in common with the control is taken out as well
        other = _without(scipy.stats.rankdata(values), [])
        permuted -= np.outer(permuted @ other, other) / (other @ other)
    permuted /= np.linalg.norm(permuted, axis=1, keepdims=True)
    shuffled = permuted @ units[:-1].T
    p = (1 + (np.abs(shuffled) >= np.abs(rho) - 1e-12).sum(0)) / (PERMUTATIONS + 1)
    found = {name: Assumption(float(r), float(one), min(1.0, k * float(one))) for name, r, one in zip(names, rho, p)}
    width = np.sqrt(1.06 / (n - 3 - len(held)))
    z = scipy.stats.norm.isf(level / (2 * k))
    critical, detectable = np.tanh(z * width), np.tanh((z + scipy.stats.norm.ppf(power)) * width)
    r_squared, null, p_all = _explained(np.array(columns).T, y, held)
    verdict = _verdict(found, level, power, float(detectable))
    return AssumptionCheck(found, n, float(critical), float(detectable), r_squared, null, p_all, verdict)


def _without(ranks: np.ndarray, held: list[np.ndarray]) -> np.ndarray:
    """Ranks less their mean, and less what a line on the ranks of the control says of them."""
    ranks = ranks - ranks.mean()
    for values in held:
        other = scipy.stats.rankdata(values)
        other = other - other.mean()
        ranks = ranks - other * (ranks @ other) / (other @ other)
        ranks[np.abs(ranks) < 1e-9 * len(ranks)] = 0.0  # a feature that is the control
    return ranks


def _explained(x: np.ndarray, y: np.ndarray, held: list[np.ndarray]) -> tuple[float, float, float]:
    """R² of a linear model on the features, beyond that of the control; its mean under noise; p-value of the F test."""
    base = np.column_stack([np.ones(len(y)), *held])
    whole = np.column_stack([base, x])
    left = [float(((y - m @ np.linalg.lstsq(m, y, rcond=None)[0]) ** 2).sum()) for m in (base, whole)]
    more, rest = x.shape[1], len(y) - whole.shape[1]
    share = 1 - left[1] / left[0]
    null = more / (len(y) - base.shape[1])
    if rest < 1:
        return share, min(null, 1.0), 1.0
    ratio = np.inf if left[1] == 0 else (left[0] - left[1]) / more / (left[1] / rest)
    return share, null, float(scipy.stats.f.sf(ratio, more, rest))


def _verdict(found: dict[str, Assumption], level: float, power: float, detectable: float) -> str:
    missed = f"|rho| below {detectable:.2f} would be missed more often than in {100 * (1 - power):.0f} %"
    real = {name: one.rho for name, one in found.items() if one.adjusted_p <= level}
    if not real:
        return f"no feature can be told from noise; {missed}"
    told = ", ".join(f"{name} goes with performance (rho {rho:+.2f})" for name, rho in real.items())
    return told if len(real) == len(found) else f"{told}; of the others, {missed}"


def _check(names: list[str], columns: list[np.ndarray], y: np.ndarray, held: list[np.ndarray]) -> None:
    if not names or len(y) < 5 or any(values.shape != y.shape for values in (*columns, *held)) or y.ndim != 1:
        shapes = [values.shape for values in (*columns, *held)]
        raise ValueError(
            f"expected features and performance of the same 5 subsets at least, one number each, got {shapes} and "
            f"{y.shape}; average performance over seeds first"
        )
    for name, values in [*zip(names, columns), ("performance", y), *(("control", values) for values in held)]:
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            raise ValueError(
                f"expected finite numbers that vary over the subsets, got {name} that does not; leave it out"
            )
