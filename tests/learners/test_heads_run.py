"""Closed-form and Laplace posteriors inside compiled runs over seeds, by covariances and by draws."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal.learners import bayesian_linear, bayesian_softmax, laplace, mlp, neural_linear
from bal.loop import run_seeds, seed_keys
from bal.pool import make_pool
from bal.strategies import bald, gp_batch_bald
from bal.typing import Setup, Task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 2)).astype(np.float32)
NET = mlp((8,), num_outputs=2)


def test_batches_by_the_covariance_of_a_linear_model():
    """Greedy in float64, each pick where the variance given labels and earlier picks is largest, in two rounds."""
    setup = Setup(bayesian_linear(noise=0.1, prior=1.0), gp_batch_bald(), batch_size=2, num_rounds=2)
    task = Task(make_pool(jnp.asarray(X)), jnp.asarray(X[:, 0]), start=jnp.array([3, 5]))
    log = run_seeds(seed_keys(0, 2), task, setup).log
    phi, seen = np.c_[np.float64(X), np.ones(12)], [3, 5]
    for _ in range(4):
        covariance = np.linalg.inv(np.eye(3) + phi[seen].T @ phi[seen] / 0.1)
        variance = np.sum(phi @ covariance * phi, 1)
        variance[seen] = -1.0
        seen.append(int(variance.argmax()))
    for picks in np.asarray(log.indices).reshape(2, -1):
        assert picks.tolist() == seen[2:]


MODELS = {
    "laplace": laplace(NET, 8, prior=0.1, optimizer=optax.adam(3e-2), num_steps=60),
    "neural_linear": neural_linear(NET, bayesian_softmax(2, 8), optimizer=optax.adam(3e-2), num_steps=60),
}


@pytest.mark.slow  # experiments of other learners: tests/test_loop.py; these posteriors: tests of their own
@pytest.mark.parametrize("name", MODELS)
def test_draws_in_a_run(name):
    """BALD picks new rows in every round, and what is learned from nine labels tells two clusters apart."""
    y = (np.arange(12) % 2).astype(np.int32)
    x = X + 6.0 * y[:, None] - 3.0
    right = lambda posterior, test: {"right": jnp.mean(posterior.predict(test[0]).mean(1).argmax(-1) == test[1])}
    setup = Setup(MODELS[name], bald(), batch_size=1, num_rounds=3, evaluate=right)
    task = Task(make_pool(jnp.asarray(x)), jnp.asarray(y), (jnp.asarray(x), jnp.asarray(y)), jnp.arange(6))
    log = run_seeds(seed_keys(0, 2), task, setup).log
    picks = np.asarray(log.indices).reshape(2, -1)
    assert all(len({*row, *range(6)}) == 9 for row in picks)
    assert (np.asarray(log.scores) > 0).all()
    assert (np.asarray(log.metrics["right"])[:, -1] == 1).all()
