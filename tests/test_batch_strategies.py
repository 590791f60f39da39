"""Every recipe fits the compiled loop: traced with its own stages and contexts, not computed. A closed table."""

from functools import partial

import gpjax
import jax
import jax.numpy as jnp
import pytest

from bal import strategies
from bal.learners import ensemble, gaussian, mlp, tapped_members
from bal.learners.gp import gp_classification, gp_regression, process
from bal.pool import make_pool
from bal.pool.labeled import empty_log, training_set
from bal.query import layer_gradients, run_query
from bal.selection import shortlist
from bal.typing import Posterior, Round

N, B, L = 320, 3, 4
NETWORK = mlp((4,), num_outputs=3)
TARGETS = jnp.zeros((7, 5))
LEARNERS = {
    "classifier": ensemble(NETWORK, 2, num_steps=1),
    "regression": ensemble(mlp((4,), num_outputs=1), 2, num_steps=1, likelihood=gaussian(0.1)),
    "process": gp_regression(process(gpjax.kernels.RBF(), noise=0.1)),
    "binary process": gp_classification(process(gpjax.kernels.RBF())),
}
ANY, DRAWS, REAL = tuple(LEARNERS), ("classifier",), ("regression", "process")
RECIPES = {  # what makes the query, and the learners that it is for
    "acs_fw": (strategies.acs_fw, ("classifier", "regression")),
    "alc": (lambda: strategies.alc(TARGETS), ("regression",)),
    "badge": (strategies.badge, DRAWS),
    "bait": (strategies.bait, DRAWS),
    "bald": (strategies.bald, ANY),
    "batch_alc": (lambda: strategies.batch_alc(TARGETS, shortlist(9)), ("process",)),
    "batchbald": (strategies.batchbald, DRAWS),
    "cluster_margin": (lambda: strategies.cluster_margin(jnp.zeros(N, jnp.int32)), DRAWS),
    "confident_coreset": (strategies.confident_coreset, DRAWS),
    "entropy": (strategies.entropy, ANY),
    "epig": (lambda: strategies.epig(TARGETS), DRAWS),
    "epig_batch": (lambda: strategies.epig_batch(TARGETS, 4), DRAWS),
    "expected_error_reduction": (lambda: strategies.expected_error_reduction(TARGETS), DRAWS),
    "functional_epig": (lambda: strategies.functional_epig(TARGETS, jnp.ones((1, 7))), REAL),
    "gaussian_batch": (strategies.gaussian_batch, DRAWS),
    "gp_batch_bald": (strategies.gp_batch_bald, ("process",)),
    "jepig": (lambda: strategies.jepig(TARGETS, 4), DRAWS),
    "k_center": (strategies.k_center, DRAWS),
    "k_medoids": (strategies.k_medoids, DRAWS),
    "kmeans_pp": (strategies.kmeans_pp, DRAWS),
    "lcmd": (lambda: strategies.lcmd(8, layer_gradients(tapped_members(NETWORK))), DRAWS),
    "margin": (strategies.margin, DRAWS),
    "max_det": (strategies.max_det, DRAWS),
    "mean_std": (strategies.mean_std, DRAWS),
    "mutual_information": (strategies.mutual_information, ("process",)),
    "neuronal_p": (lambda: strategies.neuronal_p(num_instances=10), DRAWS),
    "power_bald": (strategies.power_bald, DRAWS),
    "probcover": (lambda: strategies.probcover(0.5), DRAWS),
    "random": (strategies.random, ("classifier",)),
    "ranked_batch": (strategies.ranked_batch, DRAWS),
    "remembered": (lambda: strategies.remembered(strategies.power_bald(), 30), DRAWS),
    "softmax_bald": (strategies.softmax_bald, DRAWS),
    "softrank_bald": (strategies.softrank_bald, DRAWS),
    "sparse_greedy": (strategies.sparse_greedy, ("classifier", "regression")),
    "sparse_iht": (strategies.sparse_iht, ("classifier", "regression")),
    "straddle": (lambda: strategies.straddle(0.5), REAL),
    "typiclust": (strategies.typiclust, DRAWS),
    "value_of_information": (lambda: strategies.value_of_information(TARGETS, jnp.eye(3)), DRAWS),
    "variance": (strategies.variance, REAL),
    "variation_ratio": (strategies.variation_ratio, DRAWS),
}


@pytest.fixture(scope="module")
def rounds():
    """A round of every learner, as shapes: nothing is fitted."""

    def begun(learner, y):
        pool = make_pool(jnp.zeros((N, 5)))
        log = empty_log(L, y)
        return Round(Posterior(learner.init(jax.random.key(0), training_set(log, pool)), learner), pool, log, None)

    labels = {"regression": jnp.zeros(1), "process": jnp.zeros(1)}
    return {
        name: jax.eval_shape(partial(begun, learner, labels.get(name, jnp.zeros(1, jnp.int32))))
        for name, learner in LEARNERS.items()
    }


def test_the_table_is_closed():
    assert set(RECIPES) == set(strategies.__all__)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=[pytest.mark.slow] * (place > 0))
        for name, row in RECIPES.items()
        for place, kind in enumerate(row[1])
    ],
)
def test_traces_in_the_compiled_loop(name, kind, rounds):
    query, round = RECIPES[name][0](), rounds[kind]
    if query.memory is not None:
        round = round._replace(memory=jax.eval_shape(query.memory, round.pool))
    picks, memory = jax.eval_shape(lambda round: run_query(jax.random.key(0), query, round, B), round)
    assert picks.indices.shape == picks.scores.shape == (B,)
    assert picks.valid.dtype == bool
    assert jax.tree.structure(memory) == jax.tree.structure(round.memory)
