"""What every kernel and every transform promises, for every row of `cases.KERNELS` and `cases.TRANSFORMS`."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import KERNELS, ROWS, TRANSFORMS, feature_candidates

from bal import kernels
from bal.typing import Candidates, Kernel, KernelOf, Transform

KEY = jax.random.key(0)


def test_every_public_kernel_and_transform_has_a_row():
    public = [getattr(kernels, name) for name in kernels.__all__]
    made = {f.__name__: inspect.signature(f).return_annotation for f in public if inspect.isfunction(f)}
    assert {name for name, found in made.items() if found in (Kernel, KernelOf)} == KERNELS.keys()
    assert {name for name, found in made.items() if found in (Candidates, Transform)} == TRANSFORMS.keys()


@pytest.fixture(scope="module", params=sorted(KERNELS))
def read(request):
    """A kernel's candidates and what there is to read of it, computed once, in float64."""
    case = KERNELS[request.param]

    def reading(some):
        k = case.kernel(some)
        few = jnp.array([3, 0, 7])
        taken = k.take(few)
        return {
            "gram": k.block(k.rows),
            "column": k.column(k.row(5)),
            "diag": k.diag(),
            "noise": k.noise,
            "known": k.block(k.known),
            "known_noise": k.known_noise,
            "taken": taken.block(taken.rows),
        }

    with jax.enable_x64(True):
        some = jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, case.candidates())
        again = jax.jit(reading)
        return again, some, jax.device_get(again(some))


def test_columns_blocks_and_diagonal_are_of_one_matrix(read):
    _, _, found = read
    gram = found["gram"]
    assert gram.shape == (ROWS, ROWS)
    np.testing.assert_allclose(gram[5], found["column"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(gram), found["diag"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gram[np.ix_([3, 0, 7], [3, 0, 7])], found["taken"], rtol=1e-9, atol=1e-12)


def test_symmetric_and_positive_semi_definite(read):
    gram = read[2]["gram"]
    np.testing.assert_allclose(gram, gram.T, rtol=1e-9, atol=1e-12)
    assert np.linalg.eigvalsh(gram).min() > -1e-9 * gram.max()


def test_noise_is_of_rows_and_never_negative(read):
    found = read[2]
    assert found["noise"].shape == (ROWS,)
    assert found["known_noise"].shape == (4,)
    assert min(found["noise"].min(), found["known_noise"].min()) >= 0


def test_labeled_rows_are_compared_like_candidates(read):
    """Labeled rows that are candidates, too, have their columns."""
    again, some, found = read
    take = lambda tree: jax.tree.map(lambda leaf: leaf[:4], tree)
    if isinstance(some.known, jax.Array) and jnp.issubdtype(some.known.dtype, jnp.integer):
        rows = some._replace(known=jnp.arange(4))
    else:
        rows = some._replace(known=take(some.rows))
    with jax.enable_x64(True):
        same = jax.device_get(again(rows))
    np.testing.assert_allclose(same["known"], same["gram"][:4], rtol=1e-9, atol=1e-12)
    assert same["gram"].shape == found["gram"].shape


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
