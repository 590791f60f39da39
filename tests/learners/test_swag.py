"""SWAG against numpy on a path of weights that is known, because the optimizer of the test walks it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bal import learners
from bal.typing import Data

KEY = jax.random.key(0)
DATA = Data(jnp.ones((4, 2)), jnp.zeros(4), jnp.ones(4))
PATH = np.cumsum(np.random.default_rng(0).normal(size=(13, 3)) * [1.0, 2.0, 0.5], 0)


def walk(path):
    """An optimizer that moves the weights (two, and the bias) by the steps of a path, whatever the gradient."""
    steps = jnp.asarray(np.diff(path, axis=0), jnp.float32)

    def update(grads, number, params):
        step = {"out": {"kernel": steps[number, :2, None], "bias": steps[number, 2:]}}
        return jax.tree.map(lambda grad, step: step.astype(grad.dtype), grads, step), number + 1

    return optax.GradientTransformation(lambda params: jnp.int32(0), update)


def make(num_draws, **settings):
    return learners.swag(
        learners.linear(1), num_draws, **{"num_steps": 0, "likelihood": learners.gaussian(0.1), **settings}
    )


def flat(params):
    kernel, bias = params["out"]["kernel"], params["out"]["bias"]
    return np.concatenate([kernel[..., 0], bias], -1).astype(np.float64)


def test_draws_have_the_moments_of_the_paper():
    """Every second step of twelve is collected, the low-rank part holds the last four of these."""
    learner = make(20_000, num_collected=6, collect_every=2, rank=4, tail_optimizer=walk(PATH), restart=learners.warm)
    init = jax.jit(learner.init)(KEY, DATA)
    state = jax.jit(learner.fit)(KEY, init, DATA)
    collected = flat(init.mean) + PATH[2::2] - PATH[0]
    mean = collected.mean(0)
    running = np.cumsum(collected, 0) / np.arange(1, 7)[:, None]
    last = (collected - running)[-4:]
    covariance = (np.diag((collected**2).mean(0) - mean**2) + last.T @ last / 3) / 2
    np.testing.assert_allclose(flat(state.mean)[0], mean, rtol=1e-5, atol=1e-5)
    draws = flat(state.draws)
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(0) - mean) < 5 * spread / np.sqrt(len(draws))).all()
    error = np.outer(spread, spread) * np.sqrt(2 / len(draws))
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()


def test_a_tail_that_runs_away_has_not_converged():
    data = DATA._replace(y=jnp.array([0.3, 0.0, 0.0, 1e6]), weight=jnp.array([1.0, 1.0, 1.0, 0.0]))

    @jax.jit
    def converged(rate):
        learner = make(2, num_collected=2, rank=2, tail_optimizer=optax.sgd(rate))
        return learner.fit(KEY, learner.init(KEY, data), data).converged

    assert {rate: converged(rate).tolist() for rate in (0.01, 10.0)} == {0.01: [True], 10.0: [False]}


@pytest.mark.slow
def test_without_scale_all_draws_are_the_mean_of_their_member():
    learner = make(4, num_members=2, num_collected=2, rank=2, scale=0.0, num_steps=3)
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, DATA), DATA))()
    draws, mean = flat(state.draws), flat(state.mean)
    np.testing.assert_array_equal(draws, mean[[0, 0, 1, 1]])
    assert np.abs(mean[0] - mean[1]).max() > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_members": 3}, "4 draws cannot be shared out evenly by 3 members"),
        ({"rank": 1}, "rank must be at least 2, got 1"),
        ({"num_collected": 5}, "num_collected must be at least 20, got 5"),
        ({"collect_every": 0}, "collect_every must be at least 1, got 0"),
        ({"scale": -1.0}, "scale must be finite and at least 0, got -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make(4, **settings)
