"""Burgers' equation, ``u_t + u u_x = ν u_xx`` on a circle: a solver, and the oracle that labels problems by it."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.learners.settings import check_count
from bal.method import method
from bal.typing import Oracle, PRNGKey


@method
def burgers(
    num_outputs: int = 64, time: float = 1.0, num_times: int = 1, num_steps: int = 400, num_points: int = 256
) -> Oracle:
    """The solution of a problem as its label: an oracle that a compiled experiment calls.

    A row of the pool is a problem ``x [G + 1]``: the start u(·, 0) on G even points of a circle of length 1, and log ν.
    Its label is u on every (N / P)-th of the N points that `solve_burgers` works on, at T alone, or at S even times up
    to T, one after the other in ``y [S P]``. The start is brought to the N points by trigonometric interpolation,
    exact if it has less than G / 2 waves.

    Use it when a surrogate of a solver is to be learned with as few solutions as may be: as the `oracle` of a `Task`
    only rows that are picked are solved, in the same program that trains and picks.

    Args:
      num_outputs: P, a divisor of N.
      time: T.
      num_times: S, a divisor of the steps.
      num_steps, num_points: of `solve_burgers`, where it says how many are enough.

    Returns:
      ``oracle(key, indices, x [B, G + 1]) -> y [B, S P]``.

    Raises:
      ValueError: outputs or times that do not divide, a time that is not positive; problems of more points, or of
        another shape.

    >>> x = jnp.append(jnp.sin(2 * jnp.pi * jnp.arange(8) / 8), jnp.log(0.1))[None]
    >>> y = jax.jit(burgers(num_outputs=4, time=0.1, num_points=32, num_steps=20))(jax.random.key(0), jnp.arange(1), x)
    >>> [round(u, 3) for u in jnp.abs(y[0]).tolist()]
    [0.0, 0.643, 0.0, 0.643]

    Burgers 1948, "A Mathematical Model Illustrating the Theory of Turbulence"; solved inside of active learning by
    Musekamp, Kalimuthu, Holzmüller, Takamoto and Niepert 2025, "Active Learning for Neural PDE Solvers".
    """
    counts = {"num_outputs": num_outputs, "num_times": num_times, "num_steps": num_steps, "num_points": num_points}
    for name, value in counts.items():
        check_count(name, value)
    if num_points % num_outputs or num_steps % num_times or not 0 < time < float("inf"):
        raise ValueError(
            f"expected num_outputs that divide num_points, num_times that divide num_steps and a positive time, got "
            f"{counts} and {time}"
        )

    def oracle(key: PRNGKey, indices: Int[Array, "B"], x: Float[Array, "B G_and_1"]) -> Float[Array, "B S_times_P"]:
        del key, indices
        if jnp.ndim(x) != 2 or x.shape[1] < 2:
            raise ValueError(f"expected problems [B, G + 1], the start on G points and log ν, got shape {jnp.shape(x)}")
        start, viscosity = interpolated(x[:, :-1], num_points), jnp.exp(x[:, -1])
        solution = solve_burgers(start, viscosity, time, num_steps, num_times)
        return solution[:, :, :: num_points // num_outputs].reshape(len(x), -1)

    return oracle


@partial(jax.jit, static_argnums=(2, 3, 4))
def solve_burgers(
    start: Float[Array, "n N"], viscosity: Float[Array, "n"], time: float, num_steps: int, num_times: int = 1
) -> Float[Array, "n S N"]:
    """u at S even times up to T from u(·, 0) on N even points of a circle of length 1, for n problems at once.

    Spectral in space, waves above N / 3 left out of u² so that it is not aliased; in time the classical Runge-Kutta
    rule of order 4 behind an integrating factor, so that the viscous term is exact and sets no limit to the steps. They
    are enough if ``(2π N / 3) max|u| T / num_steps < 2.8``, and points if a shock of width ``4 ν / max|u|`` spans two
    of them. With fewer the result is not finite or oscillates; nothing says so.

    Raises ValueError for times that do not divide the steps.

    >>> start = jnp.sin(2 * jnp.pi * jnp.arange(32) / 32)[None]
    >>> round(float(solve_burgers(start, jnp.array([0.1]), 0.1, 20).max()), 3)
    0.666

    Kassam and Trefethen 2005, "Fourth-Order Time-Stepping for Stiff PDEs".
    """
    if num_steps % num_times:
        raise ValueError(f"expected num_times that divide num_steps, got {num_times} and {num_steps}")
    size, step = start.shape[1], time / num_steps
    number = jnp.arange(size // 2 + 1)
    wave = 2 * jnp.pi * number.astype(start.dtype)[None]
    half = jnp.exp(-viscosity[:, None] * wave**2 * step / 2)  # what viscosity leaves of each wave in half a step
    slope = jnp.where(3 * number[None] < size, -0.5j * step * wave, 0.0)
    change = lambda waves: slope * jnp.fft.rfft(jnp.fft.irfft(waves, size) ** 2)

    def advance(waves: Array, _: None) -> tuple[Array, None]:
        a = change(waves)
        b = change(half * (waves + a / 2))
        c = change(half * waves + b / 2)
        d = change(half * (half * waves + c))
        return half**2 * (waves + a / 6) + half * (b + c) / 3 + d / 6, None

    def until_next(waves: Array, _: None) -> tuple[Array, Array]:
        waves, _ = jax.lax.scan(advance, waves, None, num_steps // num_times)
        return waves, jnp.fft.irfft(waves, size)

    return jax.lax.scan(until_next, jnp.fft.rfft(start), None, num_times)[1].transpose(1, 0, 2)


def interpolated(values: Float[Array, "n G"], num_points: int) -> Float[Array, "n N"]:
    """A function on G even points of a circle, on N: the trigonometric polynomial through them.

    Raises:
      ValueError: fewer points than there are.

    >>> interpolated(jnp.array([[1.0, 0.0, -1.0, 0.0]]), 8).round(3)[0, :3].tolist()
    [1.0, 0.707..., 0.0]
    """
    size = values.shape[1]
    if num_points < size:
        raise ValueError(f"expected problems on at most {num_points} points, got {size}; give the solver num_points")
    if num_points == size:
        return values
    waves = jnp.fft.rfft(values)
    if size % 2 == 0:  # the wave that changes sign from point to point is two, of which one half is kept
        waves = waves.at[:, -1].multiply(0.5)
    return jnp.fft.irfft(waves, num_points) * (num_points / size)
