"""Random problems of a solver on a circle: a start made of a few waves, and a viscosity."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.learners.settings import check_count, named
from bal.method import method


def wave_problems(
    rng: np.random.Generator,
    num_problems: int,
    num_points: int = 32,
    viscosity: tuple[float, float] = (5e-3, 0.3),
    num_waves: int = 2,
) -> Float[np.ndarray, "n G_and_1"]:
    """Problems as `burgers` reads them: a start ``u(s) = Σ_k a_k sin(2πks + φ_k)`` on G points, and log ν.

    Amplitudes a_k of the waves 1 .. K are uniform in [0, 1], phases φ_k uniform but for φ_1 = 0, ν uniform in its
    logarithm between the bounds. So ``|u| <= K``, and u sums to 0 over the circle. Any other phase of the first wave
    is the same problem, moved along the circle.

    Use it when a pool or a test set of problems is wanted, of any size.

    Args:
      rng: where all numbers come from.
      num_problems: n.
      num_points: G.
      viscosity: least and largest ν.
      num_waves: K, below half of the points.

    Raises:
      ValueError: bounds that are no range of positive numbers, waves too short for the points.
      TypeError: a seed in place of a generator.

    >>> wave_problems(np.random.default_rng(0), 3, num_points=16).shape
    (3, 17)

    Takamoto et al. 2022, "PDEBench", whose family has two waves of numbers 1 to 4, any phase, a tenth of the starts
    folded and a tenth cut, and ν from 3e-4 to 0.3.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"expected a numpy Generator, got {named(rng)}; np.random.default_rng(0), say")
    for name, value in (("num_problems", num_problems), ("num_waves", num_waves)):
        check_count(name, value)
    if not 0 < viscosity[0] <= viscosity[1] < np.inf or 2 * num_waves >= num_points:
        raise ValueError(
            "expected a range of positive viscosities and more than two points a wave, got "
            f"{viscosity} and {num_points} points for {num_waves} waves"
        )
    amplitude, phase = (
        rng.uniform(0, 1, (num_problems, num_waves)),
        rng.uniform(0, 2 * np.pi, (num_problems, num_waves)),
    )
    phase[:, 0] = 0
    angle = 2 * np.pi * np.outer(np.arange(1, num_waves + 1), np.arange(num_points) / num_points)
    start = np.sum(amplitude[:, :, None] * np.sin(angle[None] + phase[:, :, None]), 1)
    log_viscosity = rng.uniform(np.log(viscosity[0]), np.log(viscosity[1]), (num_problems, 1))
    return np.concatenate([start, log_viscosity], 1).astype(np.float32)


@method
def wave_inputs(num_waves: int = 2, middle: float = -3.25, spread: float = 2.0) -> Callable[[Array], Array]:
    """What tells problems of `wave_problems` apart, as numbers of order 1: ``z(x) [n, 2K]`` for a surrogate.

    The coefficients of the waves 1 .. K, sine and cosine, without the cosine of the first, which is 0; and
    ``(log ν - middle) / spread``.

    Use it when a surrogate is smooth in few numbers rather than in the values on a grid.

    Args:
      num_waves: K, as of the problems.
      middle, spread: of log ν.

    >>> x = wave_problems(np.random.default_rng(0), 3)
    >>> wave_inputs()(jnp.asarray(x)).shape
    (3, 4)
    """

    def inputs(x: Float[Array, "n G_and_1"]) -> Float[Array, "n Z"]:
        size = x.shape[1] - 1
        angle = 2 * np.pi * np.outer(np.arange(size) / size, np.arange(1, num_waves + 1))
        waves = np.concatenate([np.sin(angle), np.cos(angle[:, 1:])], 1) * 2 / size
        told = jnp.dot(x[:, :-1], jnp.asarray(waves, x.dtype), precision="highest")
        return jnp.concatenate([told, (x[:, -1:] - middle) / spread], 1)

    return inputs
