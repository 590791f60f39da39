"""Precisions at the maximum of the evidence, as fixed points in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.numerics import in_float64, to_double


def settled(better: Callable, start: Any, num_steps: int = 1000) -> tuple[Any, Bool[Array, ""]]:
    """The fixed point of an update of positive numbers, and whether it was reached; in float64."""

    def step(carry: tuple) -> tuple:
        at, _, number = carry
        new = better(at)
        moved = sum(jnp.abs(jnp.log(a / b)) for a, b in zip(new, at, strict=True))
        return new, moved, number + 1

    goes_on = lambda carry: (carry[1] > 1e-9) & (carry[2] < num_steps)
    start = tuple(map(partial(jnp.asarray, dtype=jnp.float64), start))
    found, moved, _ = jax.lax.while_loop(goes_on, step, (start, jnp.asarray(jnp.inf, jnp.float64), jnp.int32(0)))
    return found, moved <= 1e-9


def prior_precision(
    curvature: Float[Array, "P"], square: Float[Array, ""], usual: Float[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The precision α of a normal prior of weights at the maximum of Laplace's evidence, ``α = γ / square``.

    ``γ = Σ λ / (λ + α)`` over the eigenvalues of the Hessian of the labels, `square` is the sum of the squares of the
    weights, and a hyper-prior worth two weights has its mode at `usual`. Also whether it was found.

    >>> precision, _ = jax.jit(prior_precision)(jnp.array([1e9, 1e9]), 8.0, 1.0)
    >>> round(float(precision), 4)
    0.4

    MacKay 1992, "Bayesian Interpolation".
    """

    def solve(curvature: Array, square: Array, usual: Array) -> tuple[Array, Array]:
        curvature, square, usual = map(to_double, (curvature, square, usual))
        better = lambda at: ((jnp.sum(curvature / (curvature + at[0])) + 2) / (square + 2 / usual),)
        (found,), converged = settled(better, (usual,))
        return found, converged

    found, converged = in_float64(solve)(curvature, square, usual)
    return found.astype(square.dtype), converged
