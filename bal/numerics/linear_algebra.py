"""Matrix products in full precision, one more row of a Cholesky factor, and many small matrices without LAPACK."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def dot(a: Float[Array, "*left k"], b: Float[Array, "*right"]) -> Float[Array, "*out"]:
    """``a @ b`` in full precision: the reduced precision of matrix units loses what differences and logarithms need.

    Not `jnp.matmul`, which asks for an output dtype: `vmap` of a compiled function would truncate that to float32
    inside `in_float64`. Leading axes that both have are a batch.

    >>> dot(jnp.array([[1.0, 2.0]]), jnp.array([3.0, 4.0])).tolist()
    [11.0]
    """
    if a.dtype != b.dtype:  # a cast would truncate where `in_float64` is mapped from outside
        dtype = jnp.result_type(a, b)
        a, b = a.astype(dtype), b.astype(dtype)
    batch = tuple(range(b.ndim - 2))
    contracted = ((a.ndim - 1,), (max(b.ndim - 2, 0),))
    return jax.lax.dot_general(a, b, (contracted, (batch, batch)), precision="highest")


def inverse_root(pivot: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``1 / √pivot``, 0 where the pivot is not positive.

    >>> inverse_root(jnp.array([4.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return jnp.where(pivot > 0, jax.lax.rsqrt(jnp.where(pivot > 0, pivot, 1.0)), 0.0)


def cholesky_row(
    column: Float[Array, "n"], factor: Float[Array, "B n"], position: Int[Array, ""], pivot: Float[Array, ""]
) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """The next row of a pivoted Cholesky factor, and ``1 / √pivot``: both 0 where the pivot is not positive.

    Args:
      column: covariances of all rows with the one at `position`.
      factor: rows so far, the others 0.
      pivot: its variance given those before it, with the noise of its label if it has one.

    >>> row, _ = jax.jit(cholesky_row)(jnp.array([4.0, 2.0]), jnp.zeros((1, 2)), 0, 4.0)
    >>> row.tolist()
    [2.0, 1.0]
    """
    scale = inverse_root(pivot)
    return jnp.where(pivot > 0, (column - dot(factor[:, position], factor)) * scale, 0.0), scale


def small_log_determinants(matrices: Float[Array, "n F F"]) -> Float[Array, "n"]:
    """``log det`` of many small positive definite matrices by elimination; NaN where a pivot is not positive.

    Plain array operations on purpose: a batched LAPACK call on a CPU waits for a thread pool that the programs of
    several host devices share, and can then wait for ever.

    >>> round(float(small_log_determinants(jnp.array([[[2.0, 1.0], [1.0, 2.0]]]))[0]), 4)
    1.0986
    """

    def eliminate(place: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, total = carry
        place = place.astype(jnp.int32)  # as in `small_solves`
        row = jax.lax.dynamic_slice_in_dim(a, place, 1, 1)
        pivot = jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        return a - row.transpose(0, 2, 1) * (row / pivot), total + jnp.log(pivot[:, 0, 0])

    start = (matrices, jnp.zeros(len(matrices), matrices.dtype))
    return jax.lax.fori_loop(0, matrices.shape[1], eliminate, start)[1]


def small_solves(matrices: Float[Array, "n F F"], right: Float[Array, "n F G"]) -> Float[Array, "n F G"]:
    """``A⁻¹ B`` for many small positive definite A, by Gauss-Jordan elimination; see `small_log_determinants` for why.

    >>> jax.jit(small_solves)(jnp.array([[[2.0, 0.0], [0.0, 4.0]]]), jnp.ones((1, 2, 1))).tolist()
    [[[0.5], [0.25]]]
    """

    def eliminate(place: Array, both: Array) -> Array:
        place = place.astype(jnp.int32)  # `vmap` makes gathers of slices, which JAX cannot lower at an int64 in float32
        row = jax.lax.dynamic_slice_in_dim(both, place, 1, 1)
        row = row / jax.lax.dynamic_slice_in_dim(row, place, 1, 2)
        cleared = both - jax.lax.dynamic_slice_in_dim(both, place, 1, 2) * row
        return jax.lax.dynamic_update_slice_in_dim(cleared, row, place, 1)

    size = matrices.shape[1]
    return jax.lax.fori_loop(0, size, eliminate, jnp.concatenate([matrices, right], 2))[:, :, size:]
