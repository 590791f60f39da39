"""Recipes: every method of the package as a query, with its usual settings, ready for `Setup`.

A recipe is rows x rule (x context), written out in one line: copy the line to change it.

scores         one number a row, the best or a sample of them: random, entropy, margin, bald, power_bald ...
about_targets  what matters elsewhere: epig, alc, jepig and their batches, functional_epig, expected_error_reduction ...
information    batches by information and by variance: batchbald, max_det, gp_batch_bald, bait ...
cover          batches that spread out: badge, lcmd, k_center, typiclust, probcover ...
sparse         batches that stand for the pool: acs_fw, sparse_greedy, sparse_iht

>>> import jax
>>> import numpy as np
>>> from bal import strategies
>>> from bal.pool import make_pool
>>> from bal.pool.labeled import empty_log
>>> from bal.query import run_query
>>> from bal.typing import Learner, Posterior, Round
>>> log_probs = np.log([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]])
>>> learner = Learner(None, None, lambda state, x: state[x])
>>> round = Round(Posterior(log_probs, learner), make_pool(np.arange(3)), empty_log(1, np.zeros(1)), None)
>>> run = jax.jit(run_query, static_argnames=("query", "batch_size"))
>>> pick = lambda query: run(jax.random.key(0), query=query, round=round, batch_size=1)[0].indices.item()
>>> pick(strategies.entropy()), pick(strategies.bald())  # least sure; draws disagree most
(2, 1)
"""

from bal.query.remembered import remembered
from bal.strategies.about_targets import (
    alc,
    batch_alc,
    epig,
    epig_batch,
    expected_error_reduction,
    functional_epig,
    jepig,
    value_of_information,
)
from bal.strategies.cover import (
    badge,
    cluster_margin,
    confident_coreset,
    k_center,
    k_medoids,
    kmeans_pp,
    lcmd,
    probcover,
    ranked_batch,
    typiclust,
)
from bal.strategies.information import bait, batchbald, gaussian_batch, gp_batch_bald, max_det, mutual_information
from bal.strategies.scores import (
    bald,
    entropy,
    margin,
    mean_std,
    neuronal_p,
    power_bald,
    random,
    softmax_bald,
    softrank_bald,
    straddle,
    variance,
    variation_ratio,
)
from bal.strategies.sparse import acs_fw, sparse_greedy, sparse_iht

__all__ = [
    "acs_fw",
    "alc",
    "badge",
    "bait",
    "bald",
    "batch_alc",
    "batchbald",
    "cluster_margin",
    "confident_coreset",
    "entropy",
    "epig",
    "epig_batch",
    "expected_error_reduction",
    "functional_epig",
    "gaussian_batch",
    "gp_batch_bald",
    "jepig",
    "k_center",
    "k_medoids",
    "kmeans_pp",
    "lcmd",
    "margin",
    "max_det",
    "mean_std",
    "mutual_information",
    "neuronal_p",
    "power_bald",
    "probcover",
    "random",
    "ranked_batch",
    "remembered",
    "softmax_bald",
    "softrank_bald",
    "sparse_greedy",
    "sparse_iht",
    "straddle",
    "typiclust",
    "value_of_information",
    "variance",
    "variation_ratio",
]
