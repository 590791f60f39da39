"""What every acquisition function promises, for every row of `cases.ACQUISITIONS`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import ACQUISITIONS, CLASSES, DRAWS, ROWS, predictions

from bal import acquisition
from bal.pool import chunked, streamed
from bal.testing.acquisitions import LARGE, TWINS, broken_rows
from bal.testing.inputs import PREDICTIONS

NAMES = sorted(ACQUISITIONS)
MAPPED = {"bald", "epig", "gaussian_epig", "mixture_bald", "probit_bald", "total_variance"}
WIDE = {"corrected_bald", "covariance_epig", "gaussian_bald", "houlsby_bald", "probit_epig", "robust_bald"}
"""By default some of each kind of prediction: all scores are compared with float64 in tests of their own."""
COMPILED = {name: case._replace(function=jax.jit(case.function)) for name, case in ACQUISITIONS.items()}


def marked(default):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in default)) for name in NAMES]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    """All tests of one function come together, in the process that has compiled it."""
    return request.param


@pytest.fixture(scope="module")
def case(name):
    return COMPILED[name]


@functools.lru_cache
def hard(kind):
    """Predictions of many rows with NaN and infinities in some, wholly or in one number, and equal rows in others."""
    return broken_rows(PREDICTIONS[kind])


@functools.lru_cache
def hard_scores(name, num_rows, dtype):
    with jax.enable_x64(dtype == "float64"):
        inputs = jax.tree.map(lambda leaf: leaf[:num_rows].astype(dtype), hard(ACQUISITIONS[name].inputs)[0])
        scores = COMPILED[name].function(inputs)
    assert scores.dtype == dtype
    return np.asarray(scores)


MANY = MAPPED | {
    "b_qbc",
    "consensus_kl",
    "corrected_bald",
    "expected_error_reduction",
    "houlsby_bald",
}
MANY |= {"margin", "predictive_entropy", "probit_epig", "straddle", "vote_entropy"}
"""By default of many rows too: what adds up over draws, classes and targets in every way that scores do."""


def of_sizes(*sizes):
    """Every function at every size: float64, and many rows of those that are like others, are slow."""
    is_slow = lambda name, num_rows, dtype: dtype == "float64" or (num_rows == LARGE and name not in MANY)
    every = [(name, *size) for name in NAMES for size in sizes]
    params = [pytest.param(*one, marks=[pytest.mark.slow] * is_slow(*one)) for one in every]
    return pytest.mark.parametrize(("name", "num_rows", "dtype"), params, scope="module")


def rows(inputs, picked):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[picked], inputs)


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
    scores = np.asarray(case.function(inputs))
    lower = np.flatnonzero(scores < scores.max())  # with the best row among them a score over its maximum would pass
    picked = lower[np.array([7, 3, 3, 11, 0, 23, 1, 2] * 3) % len(lower)]
    close(case.function(rows(inputs, picked)), scores[picked])


@pytest.mark.parametrize("name", marked(MAPPED), scope="module")
def test_streamed_rows_score_as_many(name, case):
    """Chunks of as many rows as elsewhere here, against the scores of all rows at once."""
    few, expected = rows(hard(case.inputs)[0], slice(60)), hard_scores(name, LARGE, "float32")[:60]
    close(streamed(ROWS).map(case.function, (), few), expected)


def test_order_of_draws_does_not_matter(case):
    inputs = predictions(case.inputs)
    permuted = rows(inputs, np.s_[:, [3, 1, 4, 0, 2]])
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


@pytest.mark.parametrize("name", marked(MAPPED), scope="module")
def test_several_pools_in_chunks_score_as_one(name, case):
    """`vmap` of chunks of as many rows as elsewhere here, against the scores of all rows at once."""
    fold = lambda leaf: leaf[:120].reshape(2, 60, *leaf.shape[1:])
    both, expected = jax.tree.map(fold, hard(case.inputs)[0]), fold(hard_scores(name, LARGE, "float32"))
    close(jax.jit(jax.vmap(lambda pool: chunked(ROWS).map(case.function, (), pool)))(both), expected)


@pytest.mark.parametrize("name", marked(WIDE), scope="module")
def test_float32_against_float64(name):
    ordinary = ~hard(ACQUISITIONS[name].inputs)[1][:ROWS]
    close(hard_scores(name, ROWS, "float32")[ordinary], hard_scores(name, ROWS, "float64")[ordinary], 1e-5)


@pytest.mark.parametrize("name", marked(MANY), scope="module")
def test_many_rows_score_as_few(name):
    few = hard_scores(name, ROWS, "float32")
    close(few, hard_scores(name, LARGE, "float32")[:ROWS])


@pytest.mark.parametrize("rows", [1, 499, 500, 501, 1003])
def test_internal_blocks_join(rows):
    inputs, bald = np.asarray(predictions("log_probs", rows=rows)), COMPILED["bald"].function
    close(bald(inputs)[-3:], bald(inputs[-3:]))


@of_sizes((ROWS, "float32"), (LARGE, "float32"), (LARGE, "float64"))
def test_nan_and_infinity_score_nan_and_nothing_else_does(name, num_rows, dtype):
    scores, broken = hard_scores(name, num_rows, dtype), hard(ACQUISITIONS[name].inputs)[1][:num_rows]
    assert np.isnan(scores[broken]).all(), "a prediction of NaN or infinity must not become a number"
    assert np.isfinite(scores[~broken]).all()


@of_sizes((LARGE, "float32"), (LARGE, "float64"))
def test_equal_rows_tie_wherever_they_stand(name, num_rows, dtype):
    twins = hard_scores(name, num_rows, dtype)[list(TWINS)]
    assert (twins == twins[0]).all()


@pytest.mark.parametrize("name", marked(MAPPED), scope="module")
def test_lowers_for_every_platform(name, case):
    traced = case.function.trace(predictions(case.inputs))
    assert traced.lower(lowering_platforms=("cpu", "cuda", "tpu")).as_text()


@pytest.mark.parametrize("name", ["epig", "gaussian_epig", "max_consensus_kl"], scope="module")
def test_slopes_in_float32_are_those_in_float64(name):
    """Of the sum of all scores by every number of the predictions: for those who climb a score."""
    function, inputs = ACQUISITIONS[name].function, predictions(ACQUISITIONS[name].inputs)
    possible = [np.isfinite(leaf).reshape(ROWS, -1).all(1) for leaf in jax.tree.leaves(inputs)]
    inputs = rows(inputs, np.all(possible, 0))  # log 0 has no slope
    slope = jax.jit(jax.grad(lambda x: function(x).sum(), allow_int=True))
    single = slope(inputs)
    with jax.enable_x64(True):
        double = slope(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), inputs))
    for ours, exact in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-3, atol=2e-5 * np.abs(exact).max() + 1e-7)
