"""How good the densities of a regression are: mixtures of K normals for M test rows, against their labels."""

import math
from typing import Any

import numpy as np
import scipy.special
from jaxtyping import Float

from bal.evaluation.checks import Scalar, check_rows, namespace


def mixture_cdf(mean: Float[Any, "M K"], variance: Float[Any, "M K"], y: Float[Any, "M"]) -> Float[Any, "M"]:
    """Probability of a smaller label, ``mean_k Φ((y - mean_k) / sd_k)``, in [0, 1]: uniform where densities are right.

    Use it when a histogram of it, the probability integral transform, is to show how densities are wrong.

    >>> import numpy as np
    >>> mixture_cdf(np.zeros((2, 1)), np.ones((2, 1)), np.array([0.0, 1.6449])).round(3).tolist()
    [0.5, 0.95]

    Gneiting, Balabdaoui and Raftery 2007, "Probabilistic Forecasts, Calibration and Sharpness".
    """
    xp = _densities(mean, variance, y)
    return xp.mean(_normal_cdf((y[:, None] - mean) / xp.sqrt(variance)), axis=1)


def interval_coverage(
    mean: Float[Any, "M K"], variance: Float[Any, "M K"], y: Float[Any, "M"], level: float = 0.9
) -> Scalar:
    """Share of labels inside the central interval of probability `level` of their mixture, in [0, 1].

    Right where it is the level; above it densities are too wide, below too narrow. `variance` is that of y.

    >>> import numpy as np
    >>> float(interval_coverage(np.zeros((4, 1)), np.ones((4, 1)), np.array([0.1, -1.6, 1.7, 0.0])))
    0.75

    Gneiting, Balabdaoui and Raftery 2007, "Probabilistic Forecasts, Calibration and Sharpness".
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), for instance 0.9, got {level}")
    xp = _densities(mean, variance, y)
    below = mixture_cdf(mean, variance, y)
    inside = xp.astype(xp.abs(below - 0.5) <= level / 2, mean.dtype)
    return xp.mean(xp.where(xp.isnan(below), np.nan, inside))


def crps(mean: Float[Any, "M K"], variance: Float[Any, "M K"], y: Float[Any, "M"]) -> Scalar:
    """Continuous ranked probability score, ``mean_m ∫ (F_m(t) - [t >= y_m])² dt``, in units of y; less is better.

    In closed form for mixtures of normals, ``E|Y - y| - ½ E|Y - Y'|``: at least 0, the absolute error where densities
    are points. A label far off costs its distance, where `gaussian_nll` takes the square. `variance` is that of y.
    Takes M K² numbers.

    >>> import numpy as np
    >>> round(float(crps(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))), 4)
    0.2337

    Grimit, Gneiting, Berrocal and Johnson 2006, "The Continuous Ranked Probability Score for Circular Variables", on
    mixtures; Gneiting and Raftery 2007, "Strictly Proper Scoring Rules".
    """
    xp = _densities(mean, variance, y)
    error = xp.mean(_absolute(xp, y[:, None] - mean, variance), axis=1)
    apart = _absolute(xp, mean[:, :, None] - mean[:, None, :], variance[:, :, None] + variance[:, None, :])
    return xp.mean(error - 0.5 * xp.mean(apart, axis=(1, 2)))


def _absolute(xp: Any, mean: Any, variance: Any) -> Any:
    """``E|Y|`` of a normal."""
    deviation = xp.sqrt(variance)
    certain = deviation == 0
    standard = mean / xp.where(certain, 1, deviation)
    density = xp.exp(-0.5 * standard**2) / math.sqrt(2 * math.pi)
    spread = 2 * deviation * density + mean * (2 * _normal_cdf(standard) - 1)
    return xp.where(certain, xp.abs(mean), spread)


def _normal_cdf(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return scipy.special.ndtr(x)
    from jax.scipy.special import ndtr

    return ndtr(x)


def _densities(mean: Any, variance: Any, y: Any) -> Any:
    xp = namespace(mean, 2, "mean [M, K]")
    if variance.shape != mean.shape:
        raise ValueError(f"variance must have the shape of mean, {mean.shape}, got {variance.shape}")
    check_rows(mean, y, "y")
    return xp
