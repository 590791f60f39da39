"""Every batch method of the studies fits the compiled loop: traced with its own stages and contexts, not computed."""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
from batch_strategies import Prepared, batch_strategies

from bal.learners import ensemble, mlp
from bal.loop import run
from bal.pool import make_pool

NETWORK = mlp((4,), num_outputs=3)
LEARNER = ensemble(NETWORK, 2, num_steps=1)
N, B, R = 320, 3, 2
QUERIES = batch_strategies(Prepared(jnp.zeros(N, jnp.int32), 0.5), NETWORK)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_traces_in_the_compiled_loop(name):
    x, y = jnp.zeros((N, 5)), jnp.zeros(N, jnp.int32)
    settings = {"learner": LEARNER, "query": QUERIES[name], "batch_size": B, "num_rounds": R, "num_initial": 4}
    log = jax.eval_shape(partial(run, **settings), jax.random.key(0), make_pool(x), y)
    assert log.indices.shape == log.scores.shape == (R, B)
    assert log.valid.dtype == np.bool_
