"""Rules of density and diversity in a compiled experiment: what they are given there is what they ask for."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import POOL, N, X, Y

from bal.loop import run
from bal.query import Query, Stage
from bal.selection import ScoredFeatures, cluster_margin, k_medoids, probcover, ranked_batch, typiclust
from bal.typing import Candidates, Learner, Setup, Task

LEARNER = Learner(lambda key, data: jnp.zeros(()), lambda key, state, data: data.weight.sum(), lambda state, x: x)
START = jnp.array([0, 7, 21])
CLUSTERS = jnp.arange(N) % 4


def inputs(posterior, context, x):
    return posterior.predict(x)


def last_input(posterior, context, x):
    return posterior.predict(x)[:, -1]


def scored_inputs(posterior, context, x):
    return ScoredFeatures(jax.nn.sigmoid(x[:, 0]), x)


STAGES = {
    "typiclust": Stage(inputs, typiclust()),
    "probcover": Stage(inputs, probcover(0.7)),
    "k_medoids": Stage(inputs, k_medoids()),
    "ranked_batch": Stage(scored_inputs, ranked_batch),
    "cluster_margin": Stage(last_input, cluster_margin(8), lambda key, round, over: CLUSTERS),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "cluster_margin")) for name in STAGES]
)
def test_vmapped_compiled_run(name):
    stage = STAGES[name]
    setup = Setup(LEARNER, Query((stage,)), batch_size=2, num_rounds=2)
    keys = jax.random.split(jax.random.key(0), 2)
    log = jax.jit(jax.vmap(partial(run, setup=setup), in_axes=(0, None)))(keys, Task(POOL, Y, start=START))
    assert bool(log.valid.all())
    for picks in np.asarray(log.indices).reshape(2, 4):
        assert len({*picks.tolist(), *START.tolist()}) == 7
    if name == "typiclust":
        return  # random: which cluster centers are drawn depends on the key of the round
    rows, known = (stage.rows(_Identity, None, X[rows]) for rows in (jnp.arange(N), START))
    eligible = ~jnp.isin(jnp.arange(N), START)
    by_hand = Candidates(rows, jnp.arange(N), eligible, jnp.ones(N), known, jnp.ones(3), CLUSTERS)
    assert log.indices[0, 0].tolist() == jax.jit(stage.select, static_argnums=2)(keys[0], by_hand, 2).indices.tolist()


class _Identity:
    predict = staticmethod(lambda x: x)
