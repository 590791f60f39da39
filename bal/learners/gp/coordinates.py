"""Coordinates in which hyper-parameters are sampled: the logarithm of what is positive, and its Jacobian.

gpjax keeps a positive value as the inverse of its softplus, which is linear for large values: a log-normal posterior
has a heavy tail there. Its logarithm is normal. A density on the constrained values v becomes one on the coordinates
θ by ``log p(θ) = log p(v(θ)) + log |dv/dθ|``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gpjax.parameters import NonNegativeReal, PositiveReal, val
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float
from paramax import AbstractUnwrappable, unwrap

from bal.learners.gp.hyperparameters import Objective
from bal.numerics import dot, small_log_determinants
from bal.typing import PyTree


class Coordinates(NamedTuple):
    """start: θ of the values at hand. params: ``θ -> hyper-parameters``. log_density: of the posterior at θ."""

    start: Float[Array, "P"]
    params: Callable[[Float[Array, "P"]], PyTree]
    log_density: Callable[[Float[Array, "P"]], Float[Array, ""]]


def coordinates(initial: PyTree, objective: Objective) -> Coordinates:
    """Coordinates around hyper-parameters, for an objective that is a log density of their constrained values.

    Positive parameters of gpjax enter by their logarithm; other parameters by what gpjax or paramax stores, with the
    Jacobian of their unwrapping; bare arrays as they are.
    """
    logs = jax.tree.map(lambda node: jnp.log(val(node)) if _is_positive(node) else node, initial, is_leaf=_is_positive)
    start, unravel = ravel_pytree(logs)

    def params(theta: Float[Array, "P"]) -> PyTree:
        back = lambda node, part: type(node)(jnp.exp(part)) if _is_positive(node) else part
        return jax.tree.map(back, initial, unravel(theta), is_leaf=_is_positive)

    def log_density(theta: Float[Array, "P"]) -> Float[Array, ""]:
        volumes = jax.tree.map(_log_volume, initial, unravel(theta), is_leaf=_is_parameter)
        return objective(params(theta)) + sum(jax.tree.leaves(volumes))

    return Coordinates(start, params, log_density)


def _is_positive(node: Any) -> bool:
    return isinstance(node, PositiveReal | NonNegativeReal) and bool(jax.tree.leaves(node))


def _is_parameter(node: Any) -> bool:
    return isinstance(node, AbstractUnwrappable) and bool(jax.tree.leaves(node))


def _log_volume(node: Any, part: PyTree) -> Array:
    """``log |dv/dθ|`` of one parameter, ``½ log det JᵀJ``: v may have entries that are constant."""
    if _is_positive(node):
        return jnp.sum(part)
    if not _is_parameter(node):
        return jnp.zeros((), part.dtype)
    flat, unravel = ravel_pytree(part)
    jacobian = jax.jacfwd(lambda flat: ravel_pytree(unwrap(unravel(flat)))[0])(flat)
    return 0.5 * small_log_determinants(dot(jacobian.T, jacobian)[None])[0]
