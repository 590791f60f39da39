"""The shortlist of MaxDet against the plain rule: the same picks, gains and counts, whatever the size of the list."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.kernels import linear, noisy
from bal.selection import max_det
from bal.selection.variance.max_det_shortlist import SIZE, select_by_shortlist
from bal.selection.variance.pivoted_cholesky import BLOCK
from bal.typing import Candidates

N, F, B = 90, 40, 24
NOISY = noisy(linear, lambda rows: 0.05 + 0.3 * rows[:, -1] ** 2)
PLAIN = {kernel: jax.jit(max_det(kernel), static_argnums=2) for kernel in (NOISY, linear)}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def by_shortlist():
    """One compiled program a kernel and size."""
    programs = {}

    def select(kernel, some, size, batch_size=B):
        program = lambda some: select_by_shortlist(kernel(some), some, batch_size, size)
        found = programs.setdefault((kernel, size, batch_size), jax.jit(program))
        return found(some)

    return select


def candidates(rows, eligible=None):
    rows = jnp.asarray(rows, jnp.float64)
    n = len(rows)
    eligible = jnp.ones(n, bool) if eligible is None else jnp.asarray(eligible)
    return Candidates(rows, jnp.arange(n, dtype=jnp.int32), eligible, jnp.ones(n))


def normal(seed):
    return np.random.default_rng(seed).normal(size=(N, F)) / np.sqrt(F)


def spread(seed):
    """Rows of very different sizes: a short list lasts for many picks."""
    return normal(seed) * np.random.default_rng(seed).lognormal(size=(N, 1))


def assert_same(found, expected):
    valid = np.asarray(expected.valid)
    assert found.valid.tolist() == valid.tolist()
    assert np.asarray(found.indices)[valid].tolist() == np.asarray(expected.indices)[valid].tolist()
    np.testing.assert_allclose(np.asarray(found.scores)[valid], np.asarray(expected.scores)[valid], rtol=1e-10)
    assert {name: int(value) for name, value in found.info.items()} == {
        name: int(value) for name, value in expected.info.items()
    }


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 5, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rows", [normal, spread])
def test_picks_are_those_of_the_plain_rule(by_shortlist, rows, size):
    assert B > BLOCK  # more picks than all rows can learn of at once
    some = candidates(rows(0), np.arange(N) % 7 != 3)
    assert_same(by_shortlist(NOISY, some, size), PLAIN[NOISY](jax.random.key(0), some, B))


def test_copies_go_to_the_lowest_position(by_shortlist):
    some = candidates(np.repeat(spread(1)[:30], 3, 0)[np.random.default_rng(2).permutation(N)])
    assert_same(by_shortlist(NOISY, some, 5), PLAIN[NOISY](jax.random.key(0), some, B))


def test_without_noise_rows_that_are_used_up_come_last(by_shortlist):
    some = candidates(spread(3) * (np.arange(F) < 10))  # rank 10: the last 14 picks gain nothing
    found, expected = by_shortlist(linear, some, 5), PLAIN[linear](jax.random.key(0), some, B)
    assert found.indices[:10].tolist() == expected.indices[:10].tolist()
    np.testing.assert_allclose(found.scores[:10], expected.scores[:10], rtol=1e-9)
    assert np.isneginf(found.scores[10:]).all()
    assert len(set(found.indices.tolist())) == B
    assert bool(found.valid.all())


def test_missing_scores_never_win_and_are_counted(by_shortlist):
    rows = spread(4)
    rows[[0, 8]] = np.nan
    some = candidates(rows)
    found = by_shortlist(NOISY, some, 5)
    assert_same(found, PLAIN[NOISY](jax.random.key(0), some, B))
    assert int(found.info["num_nan"]) == 2 * B


def test_an_exhausted_pool_is_said_to_be(by_shortlist):
    some = candidates(spread(5), np.arange(N) < 20)
    found = by_shortlist(NOISY, some, 5)
    assert_same(found, PLAIN[NOISY](jax.random.key(0), some, B))
    assert found.valid.sum() == 20
    assert np.isneginf(found.scores[20:]).all()


def test_seeds_may_be_mapped(by_shortlist):
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), candidates(spread(6)), candidates(normal(7)))
    found = jax.vmap(partial(by_shortlist, NOISY, size=5))(both)
    for seed, rows in enumerate((spread(6), normal(7))):
        one = jax.tree.map(lambda leaf, seed=seed: leaf[seed], found)
        assert_same(one, PLAIN[NOISY](jax.random.key(0), candidates(rows), B))


def test_large_pools_take_this_way():
    rows = np.random.default_rng(8).normal(size=(SIZE + 1, 3))
    jaxpr = str(jax.make_jaxpr(lambda some: max_det(NOISY)(jax.random.key(0), some, 4))(candidates(rows)))
    assert "top_k" in jaxpr
