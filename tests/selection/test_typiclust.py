"""TypiClust and what it stands on, against plain numpy."""

import importlib
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import ScoredFeatures, k_means, k_medoids, probcover, ranked_batch, typiclust
from bal.selection.cover import distances
from bal.selection.cover.k_means import _plus_plus
from bal.typing import Candidates

KEY = jax.random.key(0)
NAMES = ["typiclust", "probcover", "k_medoids", "ranked_batch"]
MODES, EACH = 4, 12
CENTERS = 20 * np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
X = np.concatenate([c + np.random.RandomState(i).randn(EACH, 2) for i, c in enumerate(CENTERS)]).astype(np.float32)
MODE = np.repeat(np.arange(MODES), EACH)


def candidates(eligible=None, known=(), capacity=2) -> Candidates:
    n = len(X)
    eligible = np.ones(n, bool) if eligible is None else eligible
    eligible = eligible & ~np.isin(np.arange(n), known)
    buffer = np.full((capacity, 2), 1e3, np.float32)  # padding that must change nothing
    buffer[: len(known)] = X[list(known)]
    weight = (np.arange(capacity) < len(known)).astype(np.float32)
    some = Candidates(X, np.arange(n, dtype=np.int32), eligible, np.ones(n, np.float32), buffer, weight)
    return jax.device_put(some)


@pytest.fixture(scope="module")
def select():
    return jax.jit(typiclust(num_neighbors=5), static_argnums=2)


def typicality(x: np.ndarray, num_neighbors: int) -> np.ndarray:
    """1 / mean distance to the nearest neighbors, by the definition."""
    x = x.astype(float)
    away = np.linalg.norm(x[:, None] - x[None], axis=-1)
    np.fill_diagonal(away, np.inf)
    return 1 / np.sort(away, 1)[:, :num_neighbors].mean(1)


def densest(mode: int, dense: np.ndarray, taken=()) -> int:
    allowed = (mode == MODE) & ~np.isin(np.arange(len(X)), taken)
    return int(np.argmax(np.where(allowed, dense, -np.inf)))


@pytest.mark.parametrize("seed", range(3))
def test_every_mode_once_by_its_densest_row(select, seed):
    picks = select(jax.random.key(seed), candidates(), MODES)
    dense = typicality(X, 5)
    expected = {densest(mode, dense) for mode in range(MODES)}
    assert set(picks.indices.tolist()) == expected
    np.testing.assert_allclose(picks.scores, dense[picks.indices], rtol=1e-5)


def test_labeled_modes_come_last(select):
    """With modes 0 and 2 labeled and a batch of two, there are four clusters and the picks are from the other two."""
    known = (3, 2 * EACH + 3)
    picks = select(KEY, candidates(known=known), 2)
    dense = typicality(X, 5)
    assert {densest(1, dense), densest(3, dense)} == set(picks.indices.tolist())


def test_largest_cluster_first(select):
    """Modes of 12, 9, 7 and 6 eligible rows are visited in this order."""
    eligible = np.concatenate([np.arange(EACH) < size for size in (7, 12, 6, 9)])
    picks = select(KEY, candidates(eligible), MODES)
    assert MODE[picks.indices].tolist() == [1, 3, 0, 2]


def test_small_clusters_wait(select):
    """A mode of four rows holds outliers: others come first, even for a second time."""
    eligible = np.concatenate([np.arange(EACH) < size for size in (4, 10, 12, 11)])
    assert MODE[select(KEY, candidates(eligible), MODES).indices].tolist() == [2, 3, 1, 2]


def test_every_row_in_the_end():
    """When all clusters have a label, rounds go on: a batch as large as the pool returns every row once."""
    picks = jax.jit(typiclust(max_clusters=3), static_argnums=2)(KEY, candidates(), len(X))
    assert sorted(picks.indices.tolist()) == list(range(len(X)))
    first = MODE[picks.indices[:6]]
    assert len(set(first[:3].tolist())) == 3


def test_not_finite_rows_poison_nothing(select):
    clean = candidates(np.arange(len(X)) != 5)
    broken = candidates()._replace(rows=np.where(np.arange(len(X))[:, None] == 5, np.float32(np.inf), X))
    picks = select(KEY, broken, MODES)
    assert picks.indices.tolist() == select(KEY, clean, MODES).indices.tolist()
    assert int(picks.info["num_nan"]) == MODES


def test_k_means_is_a_fixed_point_of_lloyd():
    """Centers are means of their rows, rows belong to their nearest center; unused centers idle."""
    rng = np.random.RandomState(1)
    x = rng.randn(60, 3).astype(np.float32)
    weight = (np.arange(60) % 5 > 0).astype(np.float32)
    found = jax.jit(lambda used: k_means(KEY, jnp.asarray(x), jnp.asarray(weight), 6, used, 100))(4)
    centers, cluster = np.asarray(found.centers, float), np.asarray(found.assignment)
    away = np.square(x[:, None].astype(float) - centers[None, :4]).sum(-1)
    assert cluster.tolist() == away.argmin(1).tolist()
    for k in range(4):
        np.testing.assert_allclose(centers[k], x[(cluster == k) & (weight > 0)].mean(0, dtype=float), atol=1e-5)


def test_k_means_blocks(monkeypatch):
    module = importlib.import_module("bal.selection.cover.k_means")
    find = lambda x: k_means(KEY, x, jnp.ones(len(X)), MODES)
    whole = jax.jit(find)(jnp.asarray(X))
    monkeypatch.setattr(module, "ROW_BLOCK", 7)
    blocks = jax.jit(lambda x: find(x))(jnp.asarray(X))
    assert whole.assignment.tolist() == blocks.assignment.tolist()
    np.testing.assert_allclose(whole.centers, blocks.centers, rtol=1e-5)


def test_first_centers_follow_squared_distances():
    """k-means++: with the first center at row 0, the second is row i with probability d_i² / Σ d²."""
    x = jnp.array([[0.0], [1.0], [2.0], [4.0]])
    draw = jax.jit(jax.vmap(lambda key: _plus_plus(key, x, jnp.ones(4), jnp.ones(2, bool))))
    first, second = np.asarray(draw(jax.random.split(KEY, 20_000)))[:, :, 0].T
    np.testing.assert_allclose([(first == v).mean() for v in (0, 1, 2, 4)], 0.25, atol=0.015)
    np.testing.assert_allclose(
        [(second[first == 0] == v).mean() for v in (0, 1, 2, 4)], np.array([0, 1, 4, 16]) / 21, atol=0.025
    )


@pytest.mark.parametrize(("columns", "count"), [(50, 3), (1000, 3), (1000, 1)])
def test_smallest(columns, count):
    values = np.random.RandomState(0).randint(0, 400, (5, columns)).astype(np.float32)
    top, where = jax.jit(distances.smallest, static_argnums=1)(values, count)
    np.testing.assert_array_equal(top, np.sort(values, 1)[:, :count])
    np.testing.assert_array_equal(np.take_along_axis(values, np.asarray(where), 1), top)
    assert all(len(set(row)) == count for row in np.asarray(where).tolist())


def test_distances_of_close_rows_far_from_the_origin():
    """Rows 1e-3 apart at 1e3 from the origin: the expansion of the square alone would be off by 1e0."""
    x = np.float32(1000) + np.arange(4, dtype=np.float32)[:, None] / np.float32(1024)
    nearest = jax.jit(distances.nearest_distance)(x, x[:1], np.ones(1, bool))
    np.testing.assert_allclose(nearest, np.arange(4) / 1024, rtol=1e-6)


def test_refuses():
    with pytest.raises(ValueError, match="at least 1 cluster"):
        typiclust(max_clusters=0)


def largest_array(traced, platform: str) -> int:
    """Entries of the largest array of a program as it is lowered for a platform."""
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    return max(math.prod(map(int, dims.split("x")[:-1])) for dims in re.findall(r"tensor<((?:\d+x)+)", text))


@pytest.mark.parametrize("rule", [typiclust(), probcover(0.5), k_medoids(), ranked_batch], ids=NAMES)
def test_no_matrix_of_all_pairs(rule):
    """With 50,000 rows nothing exceeds the features (6.4 million entries) by much: all pairs would be 2.5 billion. Off
    a CPU blocks of rows are 32 times as wide."""
    n, num_features, capacity = 50_000, 128, 200
    shape = lambda *dims: jax.ShapeDtypeStruct(dims, jnp.float32)
    rows, known = shape(n, num_features), shape(capacity, num_features)
    if rule is ranked_batch:
        rows, known = ScoredFeatures(shape(n), rows), ScoredFeatures(shape(capacity), known)
    some = Candidates(
        rows, jax.ShapeDtypeStruct((n,), jnp.int32), jax.ShapeDtypeStruct((n,), bool), shape(n), known, shape(capacity)
    )
    traced = jax.jit(lambda candidates: rule(KEY, candidates, 100)).trace(some)
    assert n * num_features <= largest_array(traced, "cpu") < 2 * n * num_features
    assert largest_array(traced, "cuda") < n * n / 30
