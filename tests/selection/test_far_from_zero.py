"""Every rule on distances, on features that share a large offset: picks and scores are those without the offset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import kernels, selection
from bal.selection import ScoredFeatures
from bal.typing import Candidates

KEY = jax.random.key(0)
YEARS = np.arange(2015, 2025)
N, OFFSET = 40, 4096.0  # a power of two: adding it to small numbers in sixteenths is exact
ALLOWED = np.arange(N + 1) < N
SMALL = np.round(16 * np.random.RandomState(0).randn(N + 2, 3)).astype(np.float32) / 16


def candidates(rows, known, scored=False):
    n, weight = len(rows), np.ones(len(known), np.float32)
    one, rows, known = np.ones(n, np.float32), np.asarray(rows, np.float32), np.asarray(known, np.float32)
    if scored:
        rows, known = ScoredFeatures(np.linspace(0, 1, n, dtype=np.float32), rows), ScoredFeatures(0 * weight, known)
    return jax.device_put(Candidates(rows, np.arange(n, dtype=np.int32), one > 0, one, known, weight))


RULES = {
    "k_center": selection.k_center(),
    "k_center of scaled": selection.k_center(kernels.scaled_by(kernels.linear, 2.0)),
    "lcmd": selection.lcmd(),
    "kmeans_pp": selection.kmeans_pp(),
    "k_medoids": selection.k_medoids(),
    "typiclust": selection.typiclust(),
    "probcover": selection.probcover(0.8),
    "ranked_batch": selection.ranked_batch,
    "confident_coreset": selection.confident_coreset(),
}


DEFAULT = {"k_center", "kmeans_pp", "ranked_batch", "typiclust"}
"""Both ways to find distances, on which the other rules rest too."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in DEFAULT)) for name in RULES]
)
def test_an_offset_changes_nothing(name):
    select = jax.jit(lambda some: RULES[name](KEY, some, 5))
    scored = name in ("ranked_batch", "confident_coreset")
    near, far = (select(candidates(SMALL[:N] + by, SMALL[N:] + by, scored)) for by in (0, OFFSET))
    assert far.indices.tolist() == near.indices.tolist()
    np.testing.assert_allclose(far.scores, near.scores, rtol=1e-3, atol=1e-3)


def test_k_means_of_an_offset():
    find = jax.jit(lambda x: selection.k_means(KEY, x, jnp.ones(N + 2), 4))
    near, far = (find(SMALL + np.float32(by)) for by in (0, OFFSET))
    assert far.assignment.tolist() == near.assignment.tolist()
    np.testing.assert_allclose(far.centers - OFFSET, near.centers, atol=1e-3)


def test_years():
    """2015 is labeled: 2024, 2019, 2017 and 2021 are farthest in turn, at squared distances 81, 16, 4, 4."""
    some = candidates(YEARS[1:, None], YEARS[:1, None])
    picks = jax.jit(lambda some: selection.k_center()(KEY, some, 4))(some)
    assert YEARS[1:][np.asarray(picks.indices)].tolist() == [2024, 2019, 2017, 2021]
    assert picks.scores.tolist() == [81.0, 16.0, 4.0, 4.0]
    drawn = jax.jit(lambda some: selection.kmeans_pp()(KEY, some, 9))(some)
    assert np.isfinite(np.asarray(drawn.scores)).all()  # no year counts as the copy of another


def test_a_copy_far_from_zero_is_a_copy():
    rows = np.concatenate([SMALL[:6], SMALL[:6]]) + 100 * np.pi * np.ones(3)
    picks = jax.jit(lambda some: selection.k_center()(KEY, some, 12))(candidates(rows, rows[:1]))
    assert sorted(i % 6 for i in picks.indices[:5].tolist()) == list(range(1, 6))
    assert picks.scores[5:].tolist() == [0.0] * 7


def test_a_row_without_a_distance_is_set_aside():
    """An infinite or NaN row, labeled or not, at 2,000 rows: it is neither picked nor a center, and counted."""
    rows = np.random.RandomState(1).randn(2000, 3).astype(np.float32)
    spoiled = rows.copy()
    spoiled[7], spoiled[9, 0] = np.nan, np.inf
    known = rows[:3].copy()
    known[1] = np.nan
    some = candidates(spoiled, known)
    picks = jax.jit(lambda some: selection.k_center()(KEY, some, 5))(some)
    kept = np.setdiff1d(np.arange(2000), [7, 9])
    clean = jax.jit(lambda some: selection.k_center()(KEY, some, 5))(candidates(rows[kept], known[[0, 2]]))
    assert picks.indices.tolist() == kept[np.asarray(clean.indices)].tolist()
    assert int(picks.info["num_nan"]) == 2 * 5


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in DEFAULT)) for name in RULES]
)
def test_one_far_row_spoils_no_other(name):
    """A missing value coded 9999, which may not be picked: the picks are those without it."""
    scored = name in ("ranked_batch", "confident_coreset")
    select = jax.jit(lambda some: RULES[name](KEY, some, 5))
    far = np.concatenate([SMALL[:N] + OFFSET, np.full((1, 3), 1e6)])
    near = select(
        candidates(np.concatenate([SMALL[:N], np.zeros((1, 3))]), SMALL[N:], scored)._replace(eligible=ALLOWED)
    )
    found = select(candidates(far, SMALL[N:] + OFFSET, scored)._replace(eligible=ALLOWED))
    assert found.indices.tolist() == near.indices.tolist()
    np.testing.assert_allclose(found.scores, near.scores, rtol=1e-3, atol=1e-3)


def test_years_beside_one_that_is_missing():
    years = np.append(np.repeat(YEARS, 5), 9999)[:, None]
    found = jax.jit(lambda some: RULES["k_center"](KEY, some, 5))(candidates(years, [[2015.0]]))
    assert years[found.indices].ravel().tolist() == [9999, 2024, 2019, 2017, 2021]
    np.testing.assert_allclose(found.scores[1:], [81, 16, 4, 4], rtol=1e-6)
