"""What every acquisition function promises, for every row of `cases.ACQUISITIONS`."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from cases import ACQUISITIONS, CLASSES, DRAWS, ROWS, predictions

from bal import acquisition
from bal.rows import chunked, dense, streamed

NAMES = sorted(ACQUISITIONS)
COMPILED = {name: case._replace(function=jax.jit(case.function)) for name, case in ACQUISITIONS.items()}


@pytest.fixture(params=NAMES)
def case(request):
    return COMPILED[request.param]


def rows(inputs, picked):
    return jax.tree.map(lambda leaf: leaf[picked], inputs)


def close(a, b, tolerance=2e-6):
    np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance)


def test_every_public_acquisition_has_a_row():
    assert set(acquisition.__all__) == set(ACQUISITIONS)


def test_shape_and_dtype(case):
    scores = case.function(predictions(case.inputs))
    assert scores.shape == (ROWS,)
    assert scores.dtype == jnp.float32


def test_row_wise(case):
    inputs = predictions(case.inputs)
    picked = jnp.array([7, 3, 3, 11, 0, 23, 1, 2])
    close(case.function(rows(inputs, picked)), case.function(inputs)[picked])


@pytest.mark.parametrize("over", [chunked(8), streamed(8)], ids=["chunked", "streamed"])
def test_chunk_invariant(case, over):
    inputs = predictions(case.inputs)
    close(over.map(case.function, (), inputs), dense.map(case.function, (), inputs))


def test_order_of_draws_does_not_matter(case):
    inputs = predictions(case.inputs)
    permuted = jax.tree.map(lambda leaf: leaf[:, jnp.array([3, 1, 4, 0, 2])], inputs)
    close(case.function(permuted), case.function(inputs))


def test_bounds_and_finite_at_probability_zero(case):
    scores = np.asarray(case.function(predictions(case.inputs)))
    assert np.isfinite(scores).all()
    if case.lower is not None:
        assert (scores >= case.lower(DRAWS, CLASSES)).all()
    if case.upper is not None:
        assert (scores <= case.upper(DRAWS, CLASSES) + 1e-6).all()


def test_traced_once(case):
    case.function(predictions(case.inputs))
    before = case.function._cache_size()
    case.function(predictions(case.inputs, seed=1))
    assert case.function._cache_size() == before > 0


def test_vmap_is_a_loop(case):
    a, b = predictions(case.inputs), predictions(case.inputs, seed=1)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), a, b)
    close(jax.vmap(case.function)(both), jnp.stack([case.function(a), case.function(b)]))


def test_float32_against_float64(case):
    single = case.function(predictions(case.inputs))
    with jax.enable_x64(True):
        inputs = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), predictions(case.inputs))
        double = case.function(inputs)
        assert double.dtype == jnp.float64
    close(single, double, 1e-5)


@pytest.mark.parametrize("rows", [1, 499, 500, 501, 1003])
def test_internal_blocks_join(rows):
    inputs = predictions("log_probs", rows=rows)
    tail = acquisition.bald(inputs[-3:])
    close(acquisition.bald(inputs)[-3:], tail)


def test_nan_stays_nan(case):
    inputs = jax.tree.map(lambda leaf: leaf.at[2].set(jnp.nan), predictions(case.inputs))
    scores = case.function(inputs)
    assert bool(jnp.isnan(scores[2])), "a NaN prediction must not become a number"
    assert not bool(jnp.isnan(jnp.delete(scores, 2)).any())


def test_lowers_for_every_platform(case):
    platforms = ("cpu", "cuda", "tpu")
    assert (
        jax.export.export(jax.jit(case.function), platforms=platforms)(predictions(case.inputs)).platforms == platforms
    )
