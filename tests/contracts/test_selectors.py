"""What every selector promises, for every row of `cases.SELECTORS`."""

import inspect
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import ROWS, SELECTORS

from bal import selection
from bal.typing import Select

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "experiments"))
from fuzz_selectors import faults, fuzz

KEY = jax.random.key(0)
LARGE = 2000
SLOW = {"k_medoids", "probcover", "typiclust", "mutual_information"}
"""All pairs of rows, or an inverse of them: 600 rows for these, above the 499 from which reductions may drop NaN."""
LONG = {
    *("bait", "batchbald", "confident_coreset", "epig_batch", "frank_wolfe_kernel", "greedy_draw"),
    *("inverse_gap", "k_medoids", "mutual_information", "probcover", "softmax", "softrank", "sparse_iht"),
    *("typiclust", "with_standard_errors"),
}
"""The longest to compile once more, for a large pool; variants of other rows, or with default tests of their own."""
MAPPED = {"best", "k_center", "max_det", "power", "sparse_greedy", "transformed"}
"""Of several pools at once by default: one of each way to go through them."""
WIDE = {"badge", "bait", "best", "integrated_variance", "max_det", "mutual_information", "sparse_greedy", "transformed"}
"""Traced once more in a program of float64 by default: what computes in it."""


def marked(slow):
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in sorted(SELECTORS)]


large_pools = pytest.mark.parametrize("name", marked(LONG), scope="module")


@pytest.fixture(scope="module", params=sorted(SELECTORS))
def name(request):
    """All tests of one selector come together, in the process that has compiled it."""
    return request.param


@pytest.fixture(scope="module")
def case(name):
    return SELECTORS[name]


@pytest.fixture(scope="module")
def large(name):
    """The number of rows of a large pool."""
    return 600 if name in SLOW else LARGE


def pick_rows(candidates, kept):
    """The same candidates, only those rows of the pool, in that order."""
    rows, index, eligible, cost = jax.tree.map(lambda leaf: np.asarray(leaf)[kept], tuple(candidates[:4]))
    return candidates._replace(rows=rows, index=index, eligible=eligible, cost=cost)


def is_selector(function):
    """Made by a factory, or one itself."""
    if not inspect.isfunction(function):
        return False
    signature = inspect.signature(function)
    if signature.return_annotation is selection.Greedy:  # a rule
        return False
    return signature.return_annotation == Select or list(signature.parameters) == ["key", "candidates", "batch_size"]


def test_every_public_selector_has_a_row():
    with_variants = {name.split("_draw")[0] for name in SELECTORS}
    assert {name for name in selection.__all__ if is_selector(getattr(selection, name))} == with_variants


def test_distinct_eligible_and_in_shape(case):
    eligible = np.arange(ROWS) % 3 != 0
    picks = case.select(KEY, case.candidates(eligible=eligible), 3)
    assert picks.indices.shape == picks.scores.shape == picks.valid.shape == (3,)
    assert bool(picks.valid.all())
    assert len(set(picks.indices.tolist())) == 3
    assert eligible[np.asarray(picks.indices)].all()


@large_pools
def test_masked_is_compact(name, case, large):
    """Rows that may not be picked change nothing: the same picks as without them (per-row keys hang on the id)."""
    if case.draws_by_position:
        pytest.skip("equal in distribution, tested with the rule")
    eligible = np.arange(large) % (large // ROWS) == 2
    eligible[np.flatnonzero(eligible)[ROWS:]] = False
    masked = case.candidates(n=large, eligible=eligible)
    kept = np.flatnonzero(eligible)
    assert len(kept) == ROWS
    compact = pick_rows(masked, kept)
    picks = case.select(KEY, masked, 3).indices
    assert picks.tolist() == kept[np.asarray(case.select(KEY, compact, 3).indices)].tolist()


@pytest.mark.parametrize("num_left", [0, 2])
def test_exhausted_pool_is_marked_invalid(case, num_left):
    picks = case.select(KEY, case.candidates(eligible=np.arange(ROWS) < num_left), 3)
    assert picks.valid.tolist() == [place < num_left for place in range(3)]
    assert picks.indices.shape == (3,)
    assert int(picks.info["num_eligible"]) == num_left


def test_nan_never_wins_and_is_counted(case):
    if case.select is SELECTORS["random_uniform"].select:
        pytest.skip("needs no scores")
    some = case.candidates()
    picks = case.select(KEY, some._replace(rows=spoil(some.rows, np.arange(20), np.nan)), 3)
    assert (np.asarray(picks.indices) >= 20).all()
    assert int(picks.info["num_nan"]) >= 20


def test_ties_go_to_the_lowest_position(case):
    if not case.deterministic:
        pytest.skip("random")
    tied = case.candidates()
    tied = tied._replace(rows=spoil(tied.rows, slice(None), 1))
    assert case.select(KEY, tied, 3).indices.tolist() == [0, 1, 2]


def test_first_pick_is_the_best_single(case):
    if not case.by_score:
        pytest.skip("random")
    assert int(case.select(KEY, case.candidates(), 3).indices[0]) == np.argmax(case.candidates().rows)


def test_permutation_equivariant(case):
    if case.draws_by_position:
        pytest.skip("equal in distribution only")
    order = np.random.RandomState(0).permutation(ROWS)
    shuffled = pick_rows(case.candidates(), order)
    picks = case.select(KEY, case.candidates(), 3).indices
    assert order[np.asarray(case.select(KEY, shuffled, 3).indices)].tolist() == picks.tolist()


def test_deterministic_or_with_probabilities(case):
    a, b = (case.select(jax.random.key(seed), case.candidates(), 3) for seed in (0, 1))
    if case.deterministic:
        assert a.indices.tolist() == b.indices.tolist()
        assert a.log_q is None
    elif a.log_q is not None:
        assert a.log_q.shape == (3,)
        assert (np.asarray(a.log_q) <= 0).all()


@pytest.mark.parametrize("name", marked({*SELECTORS} - MAPPED), scope="module")
def test_vmap_of_pools_smaller_than_the_batch_is_a_loop_of_masked_ones(name, case):
    """Two rows for three places, several pools at once, are picked as by the program of all rows, one after another."""
    kept, keys = np.array([5, 17]), jax.random.split(KEY, 4)
    masked = [case.candidates(seed, eligible=np.isin(np.arange(ROWS), kept)) for seed in range(4)]
    small = [pick_rows(some, kept) for some in masked]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *small)
    many = jax.device_get(jax.vmap(lambda key, some: case.select(key, some, 3))(keys, stacked))
    assert many.valid.tolist() == 4 * [[True, True, False]]
    for pool, key in enumerate(keys):
        one = case.select(key, small[pool] if case.draws_by_position else masked[pool], 3)
        found = many.indices[pool, :2] if case.draws_by_position else kept[many.indices[pool, :2]]
        assert found.tolist() == one.indices[:2].tolist()
        np.testing.assert_allclose(many.scores[pool], one.scores, rtol=1e-4, atol=1e-6)


def test_minus_infinity_is_a_score(case):
    if not (case.deterministic and case.by_score):
        pytest.skip("not by score")
    some = case.candidates(eligible=np.arange(ROWS) >= 21)._replace(rows=np.full(ROWS, -np.inf, np.float32))
    picks = case.select(KEY, some, 3)
    assert bool(picks.valid.all())
    assert picks.indices.tolist() == [21, 22, 23]


def test_lowers_for_every_platform_without_batched_lapack(case):
    """Such a call waits for the thread pool that the programs of several host devices share, and may wait for ever."""
    lowered = case.select.trace(KEY, case.candidates(), 3).lower(lowering_platforms=("cpu", "cuda", "tpu"))
    calls = [line for line in lowered.as_text().splitlines() if "lapack_" in line]
    batched = [line for line in calls if re.search(r"tensor<\d+x\d+x\d+x", line)]
    assert not batched, batched


def spoil(tree, rows, value, entries=False):
    """The same rows, some of them with a value everywhere, or in the first entry of their first leaf alone."""
    leaves, structure = jax.tree.flatten(jax.device_get(tree))
    for number, leaf in enumerate(leaves):
        leaves[number] = leaf = np.array(leaf)
        if not entries:
            leaf[rows] = value
        elif number == 0:
            leaf.reshape(len(leaf), -1)[rows, 0] = value
    return jax.tree.unflatten(structure, leaves)


@large_pools
def test_what_is_not_finite_or_equal_in_a_large_pool(name, case, large):
    """One program. NaN never wins and is counted, infinite rows spoil no batch, equal rows rank by position."""
    some = case.candidates(n=large)
    bad = spoil(spoil(some.rows, np.arange(20), np.nan), np.arange(20, 40), np.nan, entries=True)
    picks = jax.device_get(case.select(KEY, some._replace(rows=bad), 3))
    assert picks.valid.all()
    if name != "random_uniform":
        assert (picks.indices >= 40).all()
        assert picks.info["num_nan"] >= 40
    infinite = spoil(spoil(some.rows, np.arange(5), np.inf), np.arange(5, 10), -np.inf)
    some_infinite = some._replace(rows=infinite)
    picks = jax.device_get(case.select(KEY, some_infinite, 3))
    assert picks.valid.all()
    assert not list(faults(name, some_infinite, picks))
    if case.by_score:
        assert picks.indices.tolist() == [0, 1, 2]
    if case.deterministic:
        tied = some._replace(rows=spoil(some.rows, slice(None), 1))
        assert case.select(KEY, tied, 3).indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_hostile_arrays_give_a_batch(dtype, name, case):
    """No pick that may not be picked, none twice, none of a row with NaN, and nothing valid behind what is not."""
    assert not fuzz(name, case, 25, dtype)


@pytest.mark.parametrize("name", marked({*SELECTORS} - WIDE), scope="module")
def test_float32_rows_stay_float32_in_a_float64_program(name, case):
    """As scripts have it that switch on float64 for a Gaussian process."""
    some = case.candidates()
    narrow = jax.tree.map(lambda x: x.dtype, jax.eval_shape(lambda c: case.select(KEY, c, 3), some))
    with jax.enable_x64(True):
        wide = jax.eval_shape(lambda c: case.select(KEY, c, 3), some)
    if case.select is SELECTORS["random_uniform"].select:
        pytest.skip("its scores are random numbers of the program")
    assert wide.scores.dtype == narrow.scores == jnp.float32
    assert wide.log_q is None or wide.log_q.dtype == jnp.float32


@pytest.mark.slow  # rules that need float64 have tests of their own in it
def test_float64_rows_have_float64_scores(case):
    some = jax.tree.map(lambda x: np.asarray(x, float) if x.dtype == jnp.float32 else x, case.candidates())
    with jax.enable_x64(True):
        assert jax.eval_shape(lambda c: case.select(KEY, c, 3), some).scores.dtype == jnp.float64
