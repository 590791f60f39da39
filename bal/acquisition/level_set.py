"""Where does the function cross a level? Acquisition for level sets and boundaries."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.kinds import check_moments
from bal.method import method
from bal.numerics import at_least
from bal.typing import Gaussian


@method
def straddle(level: float, width: float = 1.96) -> Callable[[Gaussian], Float[Array, "N"]]:
    """The acquisition ``width · sd(f) - |mean - level|``: rows that are uncertain and near the level come first.

    Positive where the level lies inside the interval ``mean ± width · sd``. Any real number, in the unit of the label;
    mean and standard deviation are those of the function over all draws.

    Args:
      level: the value whose level set is sought.
      width: half-width of the interval in standard deviations, 95 % unless given.

    Raises:
      ValueError: a level that is no finite number, or a width that is negative.

    >>> one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
    >>> straddle(1.0, width=2.0)(Gaussian(zero, one, one)).tolist()
    [1.0]

    Bryan, Nichol, Genovese, Schneider, Miller and Wasserman 2005, "Active Learning for Identifying Function Threshold
    Boundaries".
    """
    if not math.isfinite(level):
        raise ValueError(f"the level is a finite number in the unit of the label, got {level}")
    if not 0 <= width < math.inf:
        raise ValueError(f"the width counts standard deviations and is not negative, got {width}; 1.96 is usual")

    def straddling(prediction: Gaussian) -> Float[Array, "N"]:
        check_moments("straddle", prediction)
        variance = epistemic_variance(prediction)
        deviation = jnp.sqrt(at_least(variance, jnp.finfo(variance.dtype).tiny))  # finite slope at a known row
        return width * deviation - jnp.abs(prediction.mean.mean(-1) - level)

    return straddling
