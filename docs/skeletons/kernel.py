"""Copy me: a kernel.

1. The kernel goes into a file of bal/kernels/, its name into `__all__`. Without settings it is a plain function of
   candidates, as `bal.kernels.linear`.
2. The row goes into `KERNELS` of tests/cases.py. It is then tested for columns, blocks and diagonal of one positive
   semi-definite matrix, for labeled rows and noise, and for being equal to another made alike.
3. The oracle goes into tests/kernels/: its matrix, diagonal and columns by another library or by loops.
"""

import jax
import jax.numpy as jnp
import numpy as np
from cases import KernelCase, feature_candidates
from jaxtyping import Array, Float
from sklearn.metrics.pairwise import rbf_kernel

from bal.kernels import make_kernel
from bal.kernels.linear import flat
from bal.method import method
from bal.selection import k_center
from bal.typing import Candidates, Kernel, KernelOf


@method
def rbf(lengthscale: float) -> KernelOf:
    """``k(x, x') = exp(-|x - x'|² / 2 l²)`` of features ``[n, F]``.

    Use it when rows are alike only where they are near: rules then treat all rows far from each other the same.

    Args:
      lengthscale: l, in units of the features.

    Raises:
      ValueError: rows that are not one array of features; a lengthscale that is not positive.

    >>> candidates = Candidates(jnp.array([[0.0], [1.0]]), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> rbf(1.0)(candidates).column(jnp.array([0.0])).round(3).tolist()
    [1.0, 0.607...]
    """
    if not lengthscale > 0:
        raise ValueError(f"expected a positive lengthscale, got {lengthscale}; the median distance of rows is a start")

    def kernel(candidates: Candidates) -> Kernel:
        return make_kernel(candidates, flat, jnp.asarray(lengthscale), _pair)

    return kernel


def _pair(lengthscale: Float[Array, ""], a: Float[Array, "F"], b: Float[Array, "F"]) -> Float[Array, ""]:
    return jnp.exp(-0.5 * jnp.sum(((a - b) / lengthscale) ** 2))


ROW = KernelCase(rbf(0.5))


def test_rbf_is_that_of_scikit_learn():
    some = feature_candidates()
    expected = rbf_kernel(np.asarray(some.rows, np.float64), gamma=0.5 / 0.7**2)
    kernel = rbf(0.7)(some)
    np.testing.assert_allclose(kernel.block(kernel.rows), expected, rtol=1e-5)
    np.testing.assert_allclose(kernel.column(kernel.row(3)), expected[3], rtol=1e-5)
    assert (kernel.diag() == 1).all()
    assert (kernel.known == some.known).all(), "labeled rows are compared as candidates are"


def test_rules_take_it():
    picks = k_center(rbf(0.7))(jax.random.key(0), feature_candidates(), 3)
    assert picks.valid.all()
