"""Cluster-Margin: rows of small margin, spread over the clusters of one agglomerative clustering."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Int

from bal.method import method
from bal.numerics import mask_scores, take_best
from bal.selection.kinds import check_scores
from bal.selection.ranking import count_oddities
from bal.typing import Candidates, PRNGKey, Select, Selection


@method
def cluster_margin(num_margin: int) -> Select:
    """Of the `num_margin` rows of highest score, one from each cluster in turn, small clusters first.

    ``candidates.rows`` are scores ``[n]``, higher = smaller margin, as `bal.acquisition.margin` gives them;
    ``candidates.context`` is the cluster of every *pool* row ``[N]``, looked up by row id, computed once before the
    first round (`average_linkage`). Clusters are ordered by how many of the `num_margin` rows they hold, equal ones by
    their best row; each turn takes the best row left in every cluster. With one cluster, or with every row a cluster
    of its own, the batch is that of `best`. Ties go to the lowest position.

    Raises:
      ValueError: `num_margin` below the batch size, or no clusters.

    >>> from bal.selection import select
    >>> scores, clusters = [-0.1, -0.2, -0.3, -0.9], jnp.array([0, 0, 1, 1])
    >>> select(None, None, cluster_margin(3), 2, scores=scores, context=clusters).indices.tolist()
    [2, 0]

    Citovsky et al. 2021, "Batch Active Learning at Scale", from memory; there the row within a cluster is drawn at
    random, here it is the one of smallest margin.
    """

    def select(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
        del key
        check_scores("cluster_margin", candidates.rows)
        if candidates.context is None:
            raise ValueError(
                "cluster_margin needs the cluster of every pool row as the stage's context: compute them once by "
                "average_linkage and give context=lambda key, round, over: clusters"
            )
        if num_margin < batch_size:
            raise ValueError(f"num_margin={num_margin} rows cannot fill a batch of {batch_size}; raise num_margin")
        positions, _, valid = take_best(mask_scores(candidates.rows, candidates.eligible), num_margin)
        turns = _round_robin(candidates.context[candidates.index[positions]], valid)[:batch_size]
        valid, positions = valid[turns], positions[turns]
        scores = jnp.where(valid, candidates.rows[positions], -jnp.inf)
        return Selection(positions, scores, valid, None, count_oddities(candidates))

    return select


def _round_robin(cluster: Int[Array, "m"], valid: Bool[Array, "m"]) -> Int[Array, "m"]:
    """Places in the order of turns: by rank within the cluster, then by size of the cluster, then by its best place."""
    cluster = jnp.where(valid, cluster, jnp.iinfo(cluster.dtype).max)
    by_cluster = jnp.argsort(cluster, stable=True)
    grouped = cluster[by_cluster]
    start = jnp.searchsorted(grouped, grouped, side="left")
    size = jnp.searchsorted(grouped, grouped, side="right") - start
    rank = jnp.arange(len(cluster)) - start
    return by_cluster[jnp.lexsort((by_cluster[start], size, rank, ~valid[by_cluster]))]


def average_linkage(features: ArrayLike, num_clusters: int, num_neighbors: int | None = None) -> Int[Array, "N"]:
    """Clusters of rows ``[N, F]`` by agglomeration under average Euclidean linkage; runs on the host, once.

    Clusters are numbered from 0 in the order of their first rows.
    Without `num_neighbors` all pairs of rows compete for merging, which takes memory for ``N²/2`` distances. With it
    only rows joined in the graph of nearest neighbors do: memory ``N · num_neighbors``, for large pools.

    Raises:
      ValueError: fewer than 1 cluster, or more than rows.

    >>> average_linkage(np.array([[0.0], [0.1], [5.0]]), 2).tolist()
    [0, 0, 1]
    """
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.neighbors import kneighbors_graph

    x = np.asarray(features)
    if not 1 <= num_clusters <= len(x):
        raise ValueError(f"expected between 1 and {len(x)} clusters, one a row at most, got {num_clusters}")
    graph = None if num_neighbors is None else kneighbors_graph(x, num_neighbors, include_self=False)
    found = AgglomerativeClustering(num_clusters, linkage="average", connectivity=graph).fit_predict(x)
    _, first, cluster = np.unique(found, return_index=True, return_inverse=True)
    return jnp.asarray(np.argsort(np.argsort(first))[cluster], jnp.int32)
