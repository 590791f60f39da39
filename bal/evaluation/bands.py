"""Bands around a whole curve: what is said of every point holds for all points at once."""

from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from bal.evaluation.statistics import Bounds

DRAWS = 5000
BLOCK = 250


class Band(NamedTuple):
    """A mean curve over seeds and a band that covers all of the true one with the stated confidence.

    critical: half its width in standard errors of the mean, the same at every point.
    """

    mean: Float[np.ndarray, "E"]
    low: Float[np.ndarray, "E"]
    high: Float[np.ndarray, "E"]
    critical: float


def sup_t_band(
    values: Float[np.ndarray, "S E"],
    bounds: Bounds = (-np.inf, np.inf),
    confidence: float = 0.95,
    seed: int = 0,
) -> Band:
    """Mean curve of S seeds and the simultaneous band ``mean +- c s / sqrt(S)`` around it.

    s is the standard deviation (ddof = 1) at each point and c the `confidence` quantile of ``max over e of |t_e|``, by
    5,000 draws of S normal curves with the correlations of those that are there: t is their mean over its own standard
    error, at each point. With one point it is the t interval; with several that move together it is hardly wider, with
    E that do not it is that of a test of E hypotheses.

    A point at which all seeds agree has no width and asks for none: the start, in a difference of two strategies.
    Pointwise intervals (`mean_interval`) leave the true curve *somewhere* far more often than they say.

    Simulated, a nominal 95% covers all of 10 points in 94% to 96% of studies from 5 seeds on if values are normal, and
    in 88% at 8 seeds if they are skewed (exponential).

    Use it when a curve is drawn, or when it is to be said from where to where two curves differ: hand
    ``values - baseline`` of paired seeds, and look where the band leaves out zero.

    Args:
      values: one curve a seed, at the same counts.
      bounds: where values, and so their mean, can lie; the band is cut off there.
      confidence: with which the band covers every point of the true mean curve at once.
      seed: of the draws.

    Raises:
      ValueError: fewer than 3 seeds, values outside the bounds or NaN, a confidence outside (0, 1).

    >>> values = np.array([[0.5, 0.6], [0.5, 0.7], [0.5, 0.8], [0.5, 0.7]])
    >>> band = sup_t_band(values)
    >>> band.mean.round(2).tolist(), band.low.round(2).tolist(), band.high.round(2).tolist()
    ([0.5, 0.7], [0.5, 0.57], [0.5, 0.83])

    Montiel Olea and Plagborg-Møller 2019, "Simultaneous confidence bands: Theory, implementation, and an application to
    SVARs".
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), for instance 0.95, got {confidence}")
    if len(values) < 3:
        raise ValueError(f"a band takes at least 3 seeds, got {len(values)}; run more seeds")
    if not ((values >= bounds[0]) & (values <= bounds[1])).all():
        raise ValueError(f"expected values within the bounds {bounds} and no NaN, got {values!r}")
    values = np.asarray(values, np.float64)
    freedom, mean = len(values) - 1, values.mean(axis=0)
    varies = np.ptp(values, axis=0) > 1e-12 * np.abs(values).max(axis=0, initial=0)
    deviation = np.where(varies, values.std(axis=0, ddof=1), 0.0)
    critical = _critical((values - mean)[:, varies] / deviation[varies], freedom, confidence, seed)
    half = critical * deviation / np.sqrt(len(values))
    return Band(mean, np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1]), critical)


def _critical(scaled: Float[np.ndarray, "S E"], freedom: int, confidence: float, seed: int) -> float:
    """Quantile of the largest of the t statistics; that of a single one where no point varies."""
    if scaled.shape[1] == 0:
        return float(scipy.stats.t.ppf(0.5 + confidence / 2, freedom))
    root = np.linalg.qr(scaled / np.sqrt(freedom), mode="r")  # the correlations are root.T @ root
    rng, largest = np.random.default_rng(seed), []
    for _ in range(DRAWS // BLOCK):
        mean = rng.standard_normal((BLOCK, len(root))) @ root
        residuals = rng.standard_normal((BLOCK * freedom, len(root))) @ root
        variance = np.square(residuals).reshape(BLOCK, freedom, -1).mean(axis=1)
        largest.append((np.abs(mean) / np.sqrt(variance)).max(axis=1))
    return float(np.quantile(largest, confidence))
