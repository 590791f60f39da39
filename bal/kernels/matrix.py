"""A covariance that was computed elsewhere, as a kernel: the door for models of other libraries."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.kernels.kernel import make_kernel
from bal.typing import Candidates, Kernel


def covariance_matrix(candidates: Candidates) -> Kernel:
    """Covariances given as a matrix: ``k(i, j) = Σ_ij``, rows being positions in it; the context is Σ ``[m, m]``.

    Use it where a model of another library has a posterior covariance (`bal.selection.select` with ``kernel=Σ``).

    Raises:
      ValueError: rows that are not positions, or a context that is not a square matrix.

    >>> sigma = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    >>> candidates = Candidates(jnp.arange(2), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2), context=sigma)
    >>> covariance_matrix(candidates).diag().tolist()
    [2.0, 1.0]
    """
    matrix, rows = candidates.context, candidates.rows
    if not (getattr(matrix, "ndim", 0) == 2 and matrix.shape[0] == matrix.shape[1]):
        got = getattr(matrix, "shape", type(matrix).__name__)
        raise ValueError(f"covariance_matrix needs a matrix [m, m] as the stage's context, got {got}: give kernel=")
    if not (getattr(rows, "ndim", 0) == 1 and jnp.issubdtype(rows.dtype, jnp.integer)):
        raise ValueError("covariance_matrix compares positions in its matrix, [n] whole numbers: give kernel= alone")
    return make_kernel(candidates, lambda rows: rows, matrix, _entry)


def _entry(matrix: Float[Array, "m m"], i: Int[Array, ""], j: Int[Array, ""]) -> Float[Array, ""]:
    return matrix[i, j]
