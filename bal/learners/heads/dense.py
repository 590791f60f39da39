"""The posterior of softmax regression by the Cholesky factor of its whole Hessian, in float64."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from bal.learners.heads.mode import Mode, Rows, over_blocks
from bal.numerics import dot, in_float64, to_double
from bal.typing import PRNGKey


def _trace_inverse(key: PRNGKey, rows: Rows, at: Mode) -> Float[Array, ""]:
    del key
    return in_float64(lambda *arrays: _trace(_factor(*map(to_double, arrays))))(
        rows.phi, rows.weight, at.weights, at.precision
    ).astype(rows.phi.dtype)


def _draw(key: PRNGKey, rows: Rows, at: Mode, num_draws: int) -> tuple[Float[Array, "K F C"], Bool[Array, ""]]:
    z = jax.random.normal(key, (num_draws, at.weights.size), at.weights.dtype)
    found = in_float64(lambda z, *arrays: _spread(_factor(*map(to_double, arrays)), to_double(z)))(
        z, rows.phi, rows.weight, at.weights, at.precision
    )
    return found.astype(z.dtype).reshape(num_draws, *at.weights.shape), jnp.isfinite(found).all()


dense = _trace_inverse, _draw, 1e-3
"""``tr H⁻¹``, draws of ``N(0, H⁻¹)``, NaN where H, for a prior wider by 1e14 than the labels say, is singular; and how
near a prior by the evidence is found, in its logarithm."""


def hessian(
    phi: Float[Array, "L F"], weight: Float[Array, "L"], weights: Float[Array, "F C"], precision: Float[Array, ""]
) -> Float[Array, "F*C F*C"]:
    """The Hessian, rows of W one after the other."""
    size, num_classes = weights.shape

    def row(number: Array) -> Float[Array, "F F C"]:
        """Of the weights of one class."""

        def block(rows: Rows, _: Array) -> Array:
            p = jax.nn.softmax(dot(rows.phi, weights), -1)
            curvature = p[:, number][:, None] * (jax.nn.one_hot(number, num_classes, dtype=p.dtype)[None] - p)
            both = rows.phi[:, :, None] * (rows.weight[:, None] * curvature)[:, None]
            return dot(rows.phi.T, both.reshape(len(both), -1)).reshape(size, size, num_classes)

        return over_blocks(block, Rows(phi, jnp.zeros(len(phi), jnp.int32), weight), size * num_classes)

    found = jax.lax.map(row, jnp.arange(num_classes)).transpose(1, 0, 2, 3)
    return found.reshape(weights.size, weights.size) + precision * jnp.eye(weights.size, dtype=weights.dtype)


def _factor(*arrays: Array) -> Float[Array, "P P"]:
    return jnp.linalg.cholesky(hessian(*arrays))


def _trace(factor: Float[Array, "P P"]) -> Float[Array, ""]:
    return jnp.sum(solve_triangular(factor, jnp.eye(len(factor), dtype=factor.dtype), lower=True) ** 2)


def _spread(factor: Float[Array, "P P"], z: Float[Array, "K P"]) -> Float[Array, "K P"]:
    return solve_triangular(factor, z.T, lower=True, trans=1).T
