"""TypiClust: the most typical row of each large cluster that has no label yet."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.method import method
from bal.selection.cover.distances import mean_neighbor_distance, points
from bal.selection.cover.k_means import k_means
from bal.selection.kinds import check_features
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select

_SMALL = 5  # clusters of fewer rows come last: they hold outliers


class _State(NamedTuple):
    num_labeled: Int[Array, "k"]
    num_left: Int[Array, "k"]


@method
def typiclust(max_clusters: int = 500, num_neighbors: int = 20) -> Select:
    """Diverse and typical rows, where ``candidates.rows`` are features ``[n, F]`` and `known` those of labeled rows.

    Labeled and eligible rows together are clustered by k-means into ``min(number labeled + B, max_clusters)``
    clusters. Each pick comes from the cluster with the fewest labels (picks of this batch included), among those from
    the largest; clusters of fewer than 5 rows come last. Within it, the row of highest typicality,

        typicality(x) = 1 / mean distance of x to its `num_neighbors` nearest neighbors

    among labeled and eligible rows. Scores are typicalities, positive, in units of 1 / feature. Random only in the
    first centers of k-means, which are drawn in the order of row ids. Cost: k-means with
    ``min(L + B, max_clusters)`` centers, and the distances of all pairs of rows, computed in blocks.

    Raises:
      ValueError: fewer than 1 cluster or neighbor.

    >>> from bal.selection import select
    >>> picks = select([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]], None, typiclust(), 2)
    >>> sorted(i // 3 for i in picks.indices.tolist())
    [0, 1]

    Hacohen, Dekel and Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets".
    The order of clusters once all have a label, and the size below which one is small, are from memory of the
    authors' code, which looks for neighbors within the cluster only.
    """
    if max_clusters < 1 or num_neighbors < 1:
        raise ValueError(f"expected at least 1 cluster and 1 neighbor, got {max_clusters} and {num_neighbors}")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        check_features("typiclust", candidates.rows)
        cluster, typicality, size, start = _clustered(key, candidates, batch_size, max_clusters, num_neighbors)

        def score(state: _State) -> Float[Array, "n"]:
            chosen = jnp.lexsort((-size, state.num_labeled, size < _SMALL, state.num_left == 0))[0]
            return jnp.where((cluster != chosen) & ~jnp.isnan(typicality), -jnp.inf, typicality)

        def update(state: _State, position: Array) -> _State:
            here = cluster[position]
            return _State(state.num_labeled.at[here].add(1), state.num_left.at[here].add(-1))

        return Greedy(start, score, update)

    return greedy(rule)


def _clustered(
    key: PRNGKey, candidates: Candidates, batch_size: int, max_clusters: int, num_neighbors: int
) -> tuple[Int[Array, "n"], Float[Array, "n"], Int[Array, "k"], _State]:
    """The cluster and the typicality of each candidate, the sizes of clusters, and the state before the first pick."""
    by_id = jnp.argsort(candidates.index)
    here = points(candidates, candidates.rows, candidates.known)
    x = jnp.concatenate([here.x[by_id], here.known])
    counted = jnp.concatenate([here.usable[by_id], here.labeled])
    n, num_clusters = len(by_id), min(len(here.known) + batch_size, max_clusters, len(x))
    num_used = jnp.minimum(here.labeled.sum() + batch_size, num_clusters)
    cluster = k_means(key, x, counted.astype(x.dtype), num_clusters, num_used).assignment
    distance = mean_neighbor_distance(x[:n], x, counted, num_neighbors)
    typicality = 1 / jnp.maximum(distance, jnp.finfo(x.dtype).tiny)
    count = lambda members: jnp.zeros(num_clusters, jnp.int32).at[cluster].add(members.astype(jnp.int32))
    is_candidate = jnp.arange(len(x)) < n
    back = lambda leaf: jnp.zeros_like(leaf[:n]).at[by_id].set(leaf[:n])
    start = _State(count(counted & ~is_candidate), count(counted & is_candidate))
    return back(cluster), jnp.where(here.finite, back(typicality), jnp.nan), count(counted), start
