"""Kernels, transforms and rules on an ensemble, inside the compiled loop."""

from functools import partial

import jax
import numpy as np
import pytest
from problem import LEARNER, POOL, Y

from bal.kernels import given_known, linear, noisy, scaled, sketch
from bal.loop import run
from bal.query import Query, Stage, embeddings, last_layer_gradients
from bal.selection import badge, lcmd, max_det, shortlist, transformed
from bal.typing import Setup, Task

POSTERIOR_MAX_DET = transformed(max_det(noisy(linear, 0.1)), sketch(8), scaled, given_known(0.1))
QUERY = Query(
    (
        Stage(last_layer_gradients, shortlist(12, transformed(lcmd(), sketch(8)))),
        Stage(embeddings, shortlist(6, POSTERIOR_MAX_DET)),
        Stage(last_layer_gradients, badge),
    )
)


@pytest.mark.slow
def test_an_ensemble_is_queried_inside_the_compiled_loop():
    """Two seeds at once, three rounds of a funnel of three rules: every pick valid, scored and new."""
    one = partial(run, setup=Setup(LEARNER, QUERY, batch_size=2, num_rounds=3, num_initial=2))
    log = jax.jit(jax.vmap(one, (0, None)))(jax.random.split(jax.random.key(0)), Task(POOL, Y))
    assert bool(log.valid.all())
    assert np.isfinite(log.scores).all()
    for start, picks in zip(np.asarray(log.start), np.asarray(log.indices)):
        assert len({*start.tolist(), *picks.ravel().tolist()}) == 8
