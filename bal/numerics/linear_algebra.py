"""Many small matrices at once, without LAPACK."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def small_log_determinants(matrices: Float[Array, "n F F"]) -> Float[Array, "n"]:
    """``log det`` of many small positive definite matrices by elimination; NaN where a pivot is not positive.

    Plain array operations on purpose: a batched LAPACK call on a CPU waits for a thread pool that the programs of
    several host devices share, and can then wait for ever.

    >>> round(float(small_log_determinants(jnp.array([[[2.0, 1.0], [1.0, 2.0]]]))[0]), 4)
    1.0986
    """

    def eliminate(place: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, total = carry
        row = jax.lax.dynamic_slice_in_dim(a, place, 1, 1)
        pivot = jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        return a - row.transpose(0, 2, 1) * (row / pivot), total + jnp.log(pivot[:, 0, 0])

    start = (matrices, jnp.zeros(len(matrices), matrices.dtype))
    return jax.lax.fori_loop(0, matrices.shape[1], eliminate, start)[1]


def small_solves(matrices: Float[Array, "n F F"], right: Float[Array, "n F G"]) -> Float[Array, "n F G"]:
    """``A⁻¹ B`` for many small positive definite A, by Gauss-Jordan elimination; see `small_log_determinants` for why.

    >>> small_solves(jnp.array([[[2.0, 0.0], [0.0, 4.0]]]), jnp.ones((1, 2, 1)))[0, :, 0].tolist()
    [0.5, 0.25]
    """

    def eliminate(place: Array, both: Array) -> Array:
        row = jax.lax.dynamic_slice_in_dim(both, place, 1, 1)
        row = row / jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        cleared = both - jax.lax.dynamic_slice_in_dim(both, place, 1, 2) * row
        return jax.lax.dynamic_update_slice_in_dim(cleared, row, place, 1)

    size = matrices.shape[1]
    return jax.lax.fori_loop(0, size, eliminate, jnp.concatenate([matrices, right], 2))[:, :, size:]
