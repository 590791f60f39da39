"""Draws by inverting a cumulative sum, against float64 sums in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from bal.numerics import draw_position, in_float64
from bal.numerics.draws import _invert
from bal.selection import greedy, kmeans_pp
from bal.selection.rules.greedy import Greedy
from bal.typing import Candidates


def test_every_row_of_a_large_pool_can_be_drawn():
    """A float32 cumulative sum of these weights never rises at most of the light rows."""
    n = 2**20
    weight = np.where(np.arange(n) < n // 2, 1.0, 4e-4).astype(np.float32) * np.random.RandomState(0).rand(n)
    weight = weight.astype(np.float32)
    total = np.cumsum(weight.astype(np.float64))
    coarse = np.float32(1 - np.random.RandomState(1).rand(300) * 6e-4)  # most of these are of light rows
    fine = np.random.RandomState(2).rand(300).astype(np.float32)
    invert = jax.jit(jax.vmap(in_float64(_invert), (None, 0, 0)))
    position, mass = invert(weight, coarse, fine)
    share = coarse.astype(np.float64) + np.finfo(np.float32).eps * fine.astype(np.float64)
    expected = np.searchsorted(total, np.minimum(share, 1) * total[-1], side="right")
    inside = expected < n
    assert (np.asarray(position)[inside] == expected[inside]).mean() > 0.99
    assert (np.abs(np.asarray(position)[inside] - expected[inside]) <= 1).all()
    np.testing.assert_allclose(mass, total[-1], rtol=1e-6)


def test_rows_of_weight_zero_are_never_drawn():
    weight = jnp.zeros(3000).at[jnp.array([5, 1500, 1501])].set(1.0)
    position, _ = jax.jit(jax.vmap(lambda key: draw_position(key, weight)))(jax.random.split(jax.random.key(0), 300))
    counts = np.bincount(position, minlength=3000)
    assert set(np.flatnonzero(counts)) == {5, 1500, 1501}
    assert counts[[5, 1500, 1501]].min() > 60


def test_an_infinite_weight_is_drawn_for_certain():
    rule = lambda key, c, batch_size: Greedy((), lambda state: c.rows, lambda state, i: state)
    some = Candidates(jnp.array([0.0, jnp.inf, 1.0]), jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    picks = jax.jit(lambda some: greedy(rule, draw=True)(jax.random.key(0), some, 3))(some)
    assert int(picks.indices[0]) == 1
    share = np.exp([0.0, 1.0]) / np.exp([0.0, 1.0]).sum()
    expected = [0.0, np.log(share[0 if int(picks.indices[1]) == 0 else 1]), 0.0]
    np.testing.assert_allclose(picks.log_q, expected, atol=1e-6)


def test_log_q_of_rows_that_are_drawn_by_distance():
    x = jnp.asarray(np.random.RandomState(0).randn(3000, 2), jnp.float32)
    some = Candidates(x, jnp.arange(3000), jnp.ones(3000) > 0, jnp.ones(3000))
    picks = jax.jit(lambda some: kmeans_pp()(jax.random.key(0), some, 2))(some)
    first, second = picks.indices.tolist()
    squared = ((np.asarray(x, np.float64) - np.asarray(x, np.float64)[first]) ** 2).sum(1)
    np.testing.assert_allclose(picks.log_q, [-np.log(3000), np.log(squared[second] / squared.sum())], rtol=1e-5)


def test_nothing_is_valid_behind_a_place_without_a_pick():
    """Scores that are NaN at the second pick and numbers again at the third: the batch ends at the first pick."""
    scores = lambda step, c: jnp.where(step == 1, jnp.nan, c.rows)
    rule = lambda key, c, batch_size: Greedy(jnp.int32(0), lambda step: scores(step, c), lambda step, i: step + 1)
    some = Candidates(jnp.array([1.0, 3.0, 2.0, 0.5]), jnp.arange(4), jnp.ones(4) > 0, jnp.ones(4))
    picks = jax.jit(lambda some: greedy(rule)(jax.random.key(0), some, 3))(some)
    assert picks.valid.tolist() == [True, False, False]
    assert int(picks.indices[0]) == 1
