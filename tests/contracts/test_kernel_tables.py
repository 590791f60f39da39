"""What every kernel and every transform promises, for every row of `cases.KERNELS` and `cases.TRANSFORMS`."""

import inspect

import jax
import numpy as np
import pytest
from cases import KERNELS, ROWS, TRANSFORMS, feature_candidates

from bal import kernels
from bal.testing import check_kernel
from bal.typing import Candidates, Kernel, KernelOf, Transform

KEY = jax.random.key(0)


def test_every_public_kernel_and_transform_has_a_row():
    public = [getattr(kernels, name) for name in kernels.__all__]
    made = {f.__name__: inspect.signature(f).return_annotation for f in public if inspect.isfunction(f)}
    assert {name for name, found in made.items() if found in (Kernel, KernelOf)} == KERNELS.keys()
    assert {name for name, found in made.items() if found in (Candidates, Transform)} == TRANSFORMS.keys()


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_a_kernel_is_one_matrix_of_all_rows(name):
    check_kernel(KERNELS[name].kernel, KERNELS[name].candidates)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_a_transform_treats_labeled_rows_like_candidates_and_leaves_the_rest(name):
    some = feature_candidates(eligible=np.arange(ROWS) % 3 != 0)
    some = some._replace(known=some.rows[:4])
    found, again = (jax.jit(TRANSFORMS[name])(KEY, some) for _ in range(2))
    assert (found.rows == again.rows).all()
    assert found.rows.shape[0] == ROWS
    for field in ("index", "eligible", "cost"):
        assert (getattr(found, field) == getattr(some, field)).all()
    if name == "pool_only":
        assert found.known is None
        assert found.known_weight is None
        assert (found.rows == some.rows).all()
    else:
        np.testing.assert_allclose(found.known, found.rows[:4], rtol=1e-5, atol=1e-6)
        assert (found.known_weight == some.known_weight).all()
        assert not np.array_equal(found.rows, some.rows)
