"""Features whose inner products are a kernel, from its values at a few landmarks."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels import ntk
from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot, inverse_root
from bal.pool import as_rows, num_rows, take
from bal.typing import Candidates, Kernel, KernelOf, PRNGKey, PyTree

Features = Callable[[PyTree], Float[Array, "n F"]]
"""``x -> [n, F]``, row-wise."""


class Basis(NamedTuple):
    """rows: landmarks as the kernel compares them. root: ``K(M, M)^{-1/2}`` up to a rotation."""

    rows: PyTree
    root: Float[Array, "m m"]


def basis_of(kernel: KernelOf, x: PyTree) -> Basis:
    """A basis from landmarks; directions that are rounding, and landmarks that are not finite, are left out."""
    k = _on(kernel, x)
    usable = jnp.isfinite(k.diag())
    covariance = jnp.where(usable[:, None] & usable[None], k.block(k.rows), 0)
    values, axes = jnp.linalg.eigh((covariance + covariance.T) / 2)
    least = len(values) * jnp.finfo(values.dtype).eps * values[-1]
    root = axes * inverse_root(jnp.where(values > least, values, 0))[None]
    return Basis(k.rows, jnp.where(usable[:, None], root, 0))


def nystrom_rows(kernel: KernelOf, basis: Basis, x: PyTree) -> Float[Array, "n m"]:
    """``K(x, M) K(M, M)^{-1/2}``, row-wise."""
    block = _on(kernel, x).block(basis.rows)
    is_used = (basis.root != 0).any(1)
    return dot(jnp.where(is_used[:, None], block, 0).T, basis.root)


@method
def nystrom(x: PyTree, num_landmarks: int = 200, kernel: KernelOf = ntk(1), *, key: PRNGKey | int = 0) -> Features:  # noqa: B008
    """Features ``z(x) = K(x, M) K(M, M)^{-1/2}``, ``[n, m]``, at m landmarks M drawn from the rows of x.

    ``z(x)·z(x')`` is the kernel where x or x' is a landmark, and at most it elsewhere: Nyström's approximation. As a
    function ``x -> [n, m]`` it is what `bal.learners.bayesian_softmax` and others take as features.

    Use it when a model that is linear in features should be as rich as a kernel, and rows are too many for the kernel.

    Args:
      x: rows to draw landmarks from; num_landmarks: m, at most as many as there are rows.
      kernel: of `bal.kernels`, on inputs; the tangent kernel of a network of one hidden layer by default.
      key: of the draw, or a seed.

    Raises:
      ValueError: no landmarks, no rows.

    >>> import numpy as np
    >>> x = np.eye(3, dtype=np.float32)
    >>> z = nystrom(x, 3)(x)
    >>> [round(k, 3) for k in (z @ z.T)[0].tolist()]
    [1.333, 0.212, 0.212]

    Williams and Seeger 2001, "Using the Nyström Method to Speed Up Kernel Machines".
    """
    x = as_rows(x)
    if not num_rows(x):
        raise ValueError("expected rows to draw landmarks from, got none; give inputs of the pool")
    size = min(check_count("num_landmarks", num_landmarks), num_rows(x))
    key = jax.random.key(key) if isinstance(key, int) else key
    drawn = jax.random.choice(key, num_rows(x), (size,), replace=False)
    basis = jax.jit(partial(basis_of, kernel))(jax.tree.map(jnp.asarray, take(x, drawn)))
    return lambda x: _features(kernel, basis, x)


_features = jax.jit(nystrom_rows, static_argnums=0)


def _on(kernel: KernelOf, x: PyTree) -> Kernel:
    n = num_rows(x)
    return kernel(Candidates(x, jnp.arange(n, dtype=jnp.int32), jnp.ones(n, bool), jnp.ones(n)))
