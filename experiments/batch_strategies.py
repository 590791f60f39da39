"""Every published batch method as a query, in one line each: row function x rule (x context), for classifiers.

`batch_strategies` is the dictionary that the study scripts choose from. Methods that need a preparation on the whole
pool (clusters, a radius) get it from `prepare`, computed once from the inputs alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from classification import STRATEGIES

from bal.acquisition import bald, least_confidence, margin
from bal.kernels import draw_covariance, linear, noisy, sketch
from bal.learners import Network, tapped_members
from bal.query import (
    Query,
    Stage,
    by_score,
    embeddings,
    epig_scores,
    last_layer_gradients,
    layer_gradients,
    pool_fisher,
    pool_sums,
    pool_targets,
    predictions,
    remembered,
    score,
    sparse_rows,
)
from bal.selection import (
    FisherRows,
    ScoredFeatures,
    average_linkage,
    badge,
    bait,
    batchbald,
    best,
    cluster_margin,
    confident_coreset,
    epig_batch,
    expected_log_likelihoods,
    frank_wolfe,
    gaussian_batch,
    k_center,
    k_means,
    k_medoids,
    kmeans_pp,
    lcmd,
    max_det,
    probcover,
    purity_radius,
    ranked_batch,
    shortlist,
    softmax,
    softmax_fisher,
    softrank,
    sparse_greedy,
    sparse_iht,
    transformed,
    typiclust,
)
from bal.typing import Posterior, PyTree


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


def inputs(posterior: Posterior, context: PyTree, x: jax.Array) -> jax.Array:
    """Rows that are the inputs themselves, flattened."""
    del posterior, context
    return x.reshape(len(x), -1)


def features(posterior: Posterior, context: PyTree, x: jax.Array) -> jax.Array:
    """Rows that are the features of all members, side by side."""
    return embeddings(posterior, context, x).reshape(len(x), -1)


def scored_features(posterior: Posterior, context: PyTree, x: jax.Array) -> ScoredFeatures:
    """Rows with an uncertainty in [0, 1] beside their features."""
    return ScoredFeatures(least_confidence(posterior.predict(x)), features(posterior, context, x))


def sketched_fisher(posterior: Posterior, context: PyTree, x: jax.Array) -> FisherRows:
    """BAIT's Fisher factors on the member-averaged features, projected to 16 coordinates: P = 16 C."""
    mean = embeddings(posterior, context, x).mean(1)
    project = jax.random.normal(jax.random.key(0), (mean.shape[1], 16)) / 4.0
    return softmax_fisher(posterior.predict(x), mean @ project)


likelihoods = sparse_rows(expected_log_likelihoods)


def batch_strategies(prepared: Prepared, network: Network) -> dict[str, Query]:
    """Queries by name for an ensemble of such networks; random is the baseline."""
    full_gradients = layer_gradients(tapped_members(network))
    one = lambda rows, select, context=None: Query((Stage(rows, select, context),))
    sparse = lambda select: one(likelihoods, select, pool_sums(likelihoods))
    first = lambda size, stage: Query((Stage(score(bald), shortlist(size)), stage))
    return {
        **{name: STRATEGIES[name] for name in ("random", "entropy", "margin", "bald", "power-bald")},
        "softmax-bald": by_score(bald, softmax(100.0)),
        "softrank-bald": by_score(bald, softrank(1.0)),
        "batchbald": first(200, Stage(predictions, batchbald(num_configurations=2_000))),
        "gaussian-batch": one(predictions, gaussian_batch()),
        "epig": one(epig_scores, best, pool_targets(200)),
        "epig-batch": Query(
            (
                Stage(epig_scores, shortlist(100), pool_targets(200)),
                Stage(predictions, epig_batch(16), pool_targets(50)),
            )
        ),
        "acs-fw": sparse(frank_wolfe()),
        "sparse-greedy": sparse(sparse_greedy()),
        "sparse-iht": sparse(sparse_iht()),
        "max-det": one(predictions, max_det(noisy(draw_covariance(), 1e-2))),
        "k-center": one(features, k_center()),
        "kmeans-pp": one(features, kmeans_pp()),
        "badge": one(last_layer_gradients, badge),
        "bait": one(sketched_fisher, bait(), pool_fisher(sketched_fisher)),
        "lcmd": one(last_layer_gradients, transformed(lcmd(linear), sketch(256))),
        "lcmd-all-layers": one(full_gradients, transformed(lcmd(linear), sketch(512))),
        "k-medoids": first(200, Stage(features, k_medoids())),
        "typiclust": one(features, typiclust()),
        "probcover": one(inputs, probcover(prepared.radius)),
        "cluster-margin": one(score(margin), cluster_margin(200), lambda key, round, over: prepared.clusters),
        "confident-coreset": one(scored_features, confident_coreset()),
        "ranked-batch": one(scored_features, ranked_batch),
        "remembered-bald": remembered(STRATEGIES["power-bald"], 300),
    }
