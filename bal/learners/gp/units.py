"""The units in which hyper-parameters are fitted: labels and inputs of any scale then give the same fit.

Labels are ``y = base(x) + scale · z``, and the process is one of z. What is fitted is in units of z and of the spread
of the labeled inputs: variance of the kernel, noise, mean, lengthscales; so are their priors and the values in the
state. What is not fitted is what the user knows, and stays in natural units:

- a noise that is fixed, or a function without parameters, is divided by ``scale²``;
- a mean that is fixed is the base; else (and for the zero mean) the base is the average of the labels;
- a kernel that holds a fixed variance (anything fixed but a lengthscale, a period or an exponent; in a product, in each
  factor) is known in natural units, so that labels and inputs are left as they are: ``base = 0``, ``scale = 1``.

A lengthscale is that of gpjax's stationary kernels and their sums and products. Every kernel sees the inputs as they
are, so that one of the user's means what it says; its own parameters are in units of the inputs.
"""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from gpjax.kernels import AbstractKernel, Periodic, ProductKernel, SumKernel, White
from gpjax.kernels.stationary import StationaryKernel
from gpjax.mean_functions import Zero
from gpjax.parameters import val
from jaxtyping import Array, Float
from paramax import NonTrainable

from bal.learners.gp.noisy_input import NoisyInputRBF
from bal.learners.gp.process import Process, as_dtype, split
from bal.numerics import rounding_error

Kind = Literal["given", "natural", "standardized"]

UNITLESS = {"lengthscale", "period", "alpha", "power"}
"""Parameters of kernels that do not depend on the units of the labels."""

ROUNDING = 16.0
"""Least noise, in roundings of the trace of the labels' prior covariance, with which a Cholesky factor is safe."""


class Units(NamedTuple):
    """shift, scale: of each output; spread: standard deviation of each labeled input; total: sum of the weights."""

    shift: Float[Array, "*P"]
    scale: Float[Array, "*P"]
    spread: Float[Array, "D"]
    total: Float[Array, ""]


def kind_of(process: Process, kind: Kind) -> Kind:
    """The units in which hyper-parameters of this process are fitted: natural, if its kernel is known in them."""
    labeled = process.noise is not None
    return "natural" if kind == "standardized" and labeled and _is_known_in_part(process.kernel) else kind


def natural(x: Float[Array, "L D"], outputs: tuple[int, ...], weight: Float[Array, "L"]) -> Units:
    """Labels and inputs as they are."""
    ones = lambda *shape: jnp.ones(shape, x.dtype)
    return Units(0 * ones(*outputs), ones(*outputs), ones(x.shape[1]), weight.sum())


def measure(process: Process, x: Float[Array, "L D"], y: Float[Array, "L *P"], weight: Float[Array, "L"]) -> Units:
    """Units of the answered labels: their average and standard deviation; where they are all equal the scale is 1."""
    units = natural(x, y.shape[1:], weight)._replace(spread=_moments(x, weight)[1])
    if process.noise is None:
        return units
    if _is_known(process.mean):
        real = (weight > 0).reshape(-1, *(1,) * (y.ndim - 1))
        y = jnp.where(real, y, 0.0) - process.prior_mean(x, y.shape[1:])
        shift, deviation = units.shift, _moments(y, weight, centered=False)[1]
    else:
        shift, deviation = _moments(y, weight)
    if _is_known(process.noise):  # of every output alike
        deviation = jnp.broadcast_to(jnp.sqrt(jnp.mean(deviation**2)), deviation.shape)
    return units._replace(shift=shift, scale=jnp.where(deviation > 0, deviation, 1.0))


def standardized(process: Process, units: Units | None) -> Process:
    """The process of z, on inputs as they are. Its noise is kept where a Cholesky factor does not fail for rounding.

    That of a classifier keeps its mean: only its lengthscales have units.
    """
    if units is None:
        return process
    dtype = units.spread.dtype
    made = process._replace(kernel=_stretched(process.kernel, units.spread))
    if process.noise is None:
        return made
    if _is_known(process.mean):
        made = made._replace(mean=as_dtype(Zero(), dtype))
    square = units.scale.ravel()[0] ** 2 if _is_known(process.noise) else 1.0
    plain = Process(process.kernel, process.noise, process.mean)

    def noise(x: Float[Array, "n D"]) -> Float[Array, "n"]:
        least = ROUNDING * jnp.finfo(dtype).eps * jnp.maximum(units.total, 1.0)
        return jnp.maximum(plain.noise_variance(x) / square, least * made.variance(x))

    return made._replace(noise=noise)


def base(process: Process, units: Units, x: Float[Array, "n D"]) -> Float[Array, "n *P"]:
    """What z is the distance from: of a classifier, whose labels have no units, nothing."""
    holds = process.noise is not None and _is_known(process.mean)
    known = process.prior_mean(x, units.shift.shape) if holds else jnp.zeros(x.shape[0], x.dtype)
    return known.reshape(known.shape + (1,) * (1 + units.shift.ndim - known.ndim)) + units.shift[None]


def _moments(
    values: Float[Array, "L *P"], weight: Float[Array, "L"], centered: bool = True
) -> tuple[Float[Array, "*P"], Float[Array, "*P"]]:
    """Weighted mean and standard deviation (about 0 if not centered), 0 where it is within rounding of 0."""
    weight = weight.reshape(-1, *(1,) * (values.ndim - 1))
    values = jnp.where(weight > 0, values, 0.0)
    share = weight / jnp.maximum(weight.sum(), jnp.finfo(values.dtype).tiny)
    mean = jnp.sum(share * values, 0) if centered else jnp.zeros(values.shape[1:], values.dtype)
    apart = jnp.where(weight > 0, values - mean[None], 0.0)
    largest = jnp.abs(apart).max(0)
    is_equal = largest <= rounding_error(jnp.abs(values).max(0))
    unit = jnp.where(is_equal, 1.0, largest)  # squares of what is very large or small stay finite
    return mean, jnp.where(is_equal, 0.0, unit * jnp.sqrt(jnp.sum(share * (apart / unit[None]) ** 2, 0)))


def _stretched(kernel: AbstractKernel, spread: Float[Array, "D"]) -> AbstractKernel:
    """The kernel with its fitted lengthscales in the units of the inputs."""
    if isinstance(kernel, SumKernel | ProductKernel):
        return eqx.tree_at(lambda k: k.kernels, kernel, tuple(_stretched(part, spread) for part in kernel.kernels))
    if (
        not isinstance(kernel, StationaryKernel)
        or isinstance(kernel, Periodic | White)
        or _is_known(kernel.lengthscale)
    ):
        return kernel
    lengths = val(kernel.lengthscale)
    columns = kernel.slice_input(spread[: len(spread) // 2] if isinstance(kernel, NoisyInputRBF) else spread)
    typical = jnp.sqrt(jnp.mean(columns**2))
    typical = jnp.where(typical > 0, typical, 1.0)
    each = typical if lengths.size == 1 else jnp.where(columns > 0, columns, typical)
    return eqx.tree_at(lambda k: k.lengthscale, kernel, lengths * each)


def _is_known(part: Any) -> bool:
    """Whether there is nothing to fit. A mean that is nowhere anything but zero says nothing of the labels."""
    return not isinstance(part, Zero) and not jax.tree.leaves(split(part)[0])


def _is_known_in_part(kernel: AbstractKernel) -> bool:
    if isinstance(kernel, ProductKernel):
        return all(map(_is_known_in_part, kernel.kernels))
    if isinstance(kernel, SumKernel):
        return any(map(_is_known_in_part, kernel.kernels))
    is_fixed = lambda node: isinstance(node, NonTrainable)
    leaves = jax.tree_util.tree_flatten_with_path(kernel, is_leaf=is_fixed)[0]
    names = lambda path: {getattr(key, "name", None) for key in path}
    return any(is_fixed(leaf) and not names(path) & UNITLESS for path, leaf in leaves)
