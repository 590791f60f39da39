"""Links of a binary classifier: the log probability of class 1 given the latent f, with derivatives that stay accurate.

A link is a function ``f -> log p(y = 1 | f)``, concave and symmetric: class 0 has ``log p(y = 1 | -f)``.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import erfcx, log_ndtr
from jaxtyping import Array, Float

Link = Callable[[Array], Array]


@jax.custom_jvp
def probit(f: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``log Φ(f)``, the probit link: class 1 where f plus standard normal noise is positive.

    Its first two derivatives have full relative accuracy for every f, at -1e4 too.

    >>> round(float(jax.jit(probit)(0.0)), 4)
    -0.6931

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 3.4.
    """
    return log_ndtr(f)


def logit(f: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``-log(1 + e⁻ᶠ)``, the logistic link.

    >>> round(float(jax.jit(logit)(0.0)), 4)
    -0.6931

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 3.4.
    """
    return jax.nn.log_sigmoid(f)


def derivatives(
    link: Link, f: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Value, slope and negative curvature of a link, each elementwise; rounding never makes the curvature negative."""
    one = jnp.ones_like(f)
    slope = lambda f: jax.jvp(link, (f,), (one,))[1]
    first, second = jax.jvp(slope, (f,), (one,))
    return link(f), first, jnp.maximum(-second, jnp.finfo(f.dtype).tiny)


@jax.custom_jvp
@jax.jit
def _hazard(f: Array) -> tuple[Array, Array]:
    """``h = φ(f) / Φ(f)`` and ``h + f``, which cancels far below zero: there by a continued fraction."""
    tail = far = jnp.maximum(-f, 8.0)
    for term in range(12, 1, -1):
        tail = far + term / tail
    near = math.sqrt(2 / math.pi) / erfcx(-jnp.maximum(f, -8.0) / math.sqrt(2))
    return jnp.where(f < -8.0, far + 1 / tail, near), jnp.where(f < -8.0, 1 / tail, near + f)


@probit.defjvp
def _probit_jvp(primals: tuple, tangents: tuple) -> tuple:
    (f,), (tangent,) = primals, tangents
    return probit(f), _hazard(f)[0] * tangent


@_hazard.defjvp
def _hazard_jvp(primals: tuple, tangents: tuple) -> tuple:
    (f,), (tangent,) = primals, tangents
    hazard, excess = _hazard(f)
    return (hazard, excess), (-hazard * excess * tangent, (1 - hazard * excess) * tangent)
