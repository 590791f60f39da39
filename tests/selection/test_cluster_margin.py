"""Cluster-Margin against a loop over clusters, its two limits, and the clustering against average linkage by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import average_linkage, best, cluster_margin
from bal.typing import Candidates

KEY = jax.random.key(0)
N = 20


def problem(seed: int, clusters=None) -> Candidates:
    rng = np.random.RandomState(seed)
    scores, eligible = jnp.asarray(-rng.rand(N), jnp.float32), jnp.asarray(rng.rand(N) < 0.8)
    clusters = rng.randint(0, 5, N) if clusters is None else clusters
    return Candidates(scores, jnp.arange(N), eligible, jnp.ones(N), context=jnp.asarray(clusters))


def plain_loop(some: Candidates, num_margin: int, batch_size: int) -> list[int]:
    """Queues of rows of small margin, served in turn, short queues first."""
    eligible, scores, cluster = (np.asarray(a) for a in (some.eligible, some.rows, some.context))
    ranked = [i for i in np.argsort(-scores) if eligible[i]][:num_margin]
    queues = [[i for i in ranked if cluster[i] == c] for c in np.unique(cluster[ranked])]
    queues.sort(key=lambda queue: (len(queue), ranked.index(queue[0])))
    picks = []
    while queues and len(picks) < batch_size:
        picks += [int(queue.pop(0)) for queue in queues]
        queues = [queue for queue in queues if queue]
    return picks[:batch_size]


@pytest.fixture(scope="module")
def select():
    return jax.jit(cluster_margin(9), static_argnums=2)


@pytest.mark.parametrize("seed", range(5))
def test_is_the_plain_loop(select, seed):
    some = problem(seed)
    picks = select(KEY, some, 6)
    assert picks.indices.tolist() == plain_loop(some, 9, 6)
    np.testing.assert_array_equal(picks.scores, some.rows[picks.indices])


@pytest.mark.parametrize("clusters", [np.zeros(N, int), np.arange(N)[::-1].copy()], ids=["one cluster", "singletons"])
def test_limits_are_margin_sampling(select, clusters):
    some = problem(0, clusters)
    assert select(KEY, some, 6).indices.tolist() == best(KEY, some, 6).indices.tolist()


def test_clusters_hang_on_row_ids(select):
    """Behind another stage positions are not pool rows; the cluster is still that of the row."""
    some = problem(1)
    order = np.random.RandomState(0).permutation(N)
    moved = Candidates(some.rows[order], jnp.asarray(order), some.eligible[order], some.cost, context=some.context)
    assert order[select(KEY, moved, 6).indices].tolist() == select(KEY, some, 6).indices.tolist()


def test_fewer_eligible_than_asked(select):
    some = problem(2)._replace(eligible=jnp.arange(N) < 4)
    picks = select(KEY, some, 6)
    assert picks.valid.tolist() == [True] * 4 + [False] * 2
    assert picks.indices[:4].tolist() == plain_loop(some, 9, 6)


def linkage_by_hand(x: np.ndarray, num_clusters: int) -> np.ndarray:
    groups = [[i] for i in range(len(x))]
    while len(groups) > num_clusters:
        mean = lambda a, b: np.mean([np.linalg.norm(x[i] - x[j]) for i in a for j in b])
        _, a, b = min((mean(p, q), i, j) for i, p in enumerate(groups) for j, q in enumerate(groups) if i < j)
        groups[a] += groups.pop(b)
    cluster = np.empty(len(x), int)
    for number, group in enumerate(sorted(groups, key=min)):
        cluster[group] = number
    return cluster


@pytest.mark.parametrize("num_neighbors", [None, 24])
def test_average_linkage(num_neighbors):
    x = np.random.RandomState(0).randn(25, 2)
    assert average_linkage(x, 6, num_neighbors).tolist() == linkage_by_hand(x, 6).tolist()


def test_refuses():
    with pytest.raises(ValueError, match="cannot fill a batch"):
        cluster_margin(2)(KEY, problem(0), 3)
    with pytest.raises(ValueError, match="one a row at most"):
        average_linkage(np.zeros((3, 1)), 4)
