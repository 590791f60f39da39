"""The batch methods that the study of repeated digits chooses from, by name, with the settings of that study.

Methods that need a preparation on the whole pool (clusters, a radius) get it from `prepare`, computed once from the
inputs alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from classification import STRATEGIES

from bal import strategies
from bal.learners import Network, tapped_members
from bal.query import Query, layer_gradients, pool_targets
from bal.selection import average_linkage, k_means, purity_radius


class Prepared(NamedTuple):
    """What density methods need of the inputs of all pool rows.

    clusters: average-linkage clusters ``[N]``; radius: of the covering balls, in units of the inputs.
    """

    clusters: jax.Array
    radius: float


def prepare(x: np.ndarray, num_classes: int, num_clusters: int = 100) -> Prepared:
    """Clusters, and the radius at which 95 % of balls are pure for k-means pseudo-labels: no label is read."""
    flat = x.reshape(len(x), -1)
    some = jnp.asarray(flat[np.random.default_rng(0).permutation(len(flat))[:2000]])
    pseudo = k_means(jax.random.key(0), some, jnp.ones(len(some)), num_classes).assignment
    num_neighbors = None if len(flat) <= 10_000 else 10  # all pairs while they fit
    clusters = average_linkage(flat, num_clusters, num_neighbors)
    return Prepared(clusters, float(purity_radius(some, pseudo)))


def batch_strategies(prepared: Prepared, network: Network) -> dict[str, Query]:
    """Queries by name for an ensemble of such networks; random is the baseline."""
    return {
        **{name: STRATEGIES[name] for name in ("random", "entropy", "margin", "bald", "power-bald")},
        "softmax-bald": strategies.softmax_bald(),
        "softrank-bald": strategies.softrank_bald(),
        "batchbald": strategies.batchbald(),
        "gaussian-batch": strategies.gaussian_batch(),
        "epig": strategies.epig(pool_targets(200)),
        "epig-batch": strategies.epig_batch(pool_targets(200), 16, x_target_batch=pool_targets(50)),
        "acs-fw": strategies.acs_fw(),
        "sparse-greedy": strategies.sparse_greedy(),
        "sparse-iht": strategies.sparse_iht(),
        "max-det": strategies.max_det(),
        "k-center": strategies.k_center(),
        "kmeans-pp": strategies.kmeans_pp(),
        "badge": strategies.badge(),
        "bait": strategies.bait(),
        "lcmd": strategies.lcmd(sketch=256),
        "lcmd-all-layers": strategies.lcmd(rows=layer_gradients(tapped_members(network))),
        "k-medoids": strategies.k_medoids(),
        "typiclust": strategies.typiclust(),
        "probcover": strategies.probcover(prepared.radius),
        "cluster-margin": strategies.cluster_margin(prepared.clusters),
        "confident-coreset": strategies.confident_coreset(),
        "ranked-batch": strategies.ranked_batch(),
        "remembered-bald": strategies.remembered(STRATEGIES["power-bald"], 300),
    }
