"""Snapshots against plain descent by hand, on one row so that every minibatch is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal import learners
from bal.typing import Data

KEY = jax.random.key(0)


def test_members_are_the_weights_at_the_end_of_each_cycle():
    """Descent on ``(θ·(x, 1) - y)² / (2 σ²)``, its rate falling by half a cosine in each of three cycles."""
    noise, rate, x, y = 0.5, 0.2, np.array([1.0, -0.5, 1.0]), 2.0
    learner = learners.snapshot(
        learners.linear(1),
        3,
        optimizer=optax.sgd(rate),
        num_steps=4,
        minibatch_size=2,
        restart=learners.warm,
        likelihood=learners.gaussian(noise),
    )
    data = Data(jnp.float32(x[None, :2]), jnp.array([y]), jnp.ones(1))
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), jax.eval_shape(learner.init, KEY, data))
    last = jax.tree.map(lambda leaf: leaf.at[-1].set(0.3), blank)  # a warm start goes on from the last
    found = jax.jit(learner.fit)(KEY, last, data).params["out"]
    weights, wanted = np.full(3, 0.3), []
    for step in range(12):
        share = (1 + np.cos(np.pi * (step % 4) / 4)) / 2
        weights = weights - rate * share * (weights @ x - y) * x / noise
        wanted.append(weights)
    found = np.concatenate([found["kernel"][..., 0], found["bias"]], 1)
    np.testing.assert_allclose(found, wanted[3::4], rtol=1e-5)


@pytest.mark.parametrize("setting", [{"num_members": 0}, {"num_steps": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} must be at least 1, got 0"):
        learners.snapshot(learners.linear(2), **{"num_members": 2, **setting})
