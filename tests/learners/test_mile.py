"""Microcanonical chains from the members of an ensemble: the posterior they draw, and what they say where it is not."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import learners
from bal.learners.convergence import sampler_report, unconverged
from bal.typing import Data

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X, WEIGHT = RANDOM.normal(size=(12, 2)), np.array([1.0, 2.0, 0.0, 0.5] * 3)
Y = X @ [1.0, -1.0] + 0.5 * RANDOM.normal(size=12)
DATA = Data(*(jnp.asarray(part, jnp.float32) for part in (X, Y, WEIGHT)))


def fitted(num_draws=400, **settings):
    learner = learners.mile(learners.linear(1), num_draws, likelihood=learners.gaussian(0.25), **settings)
    return jax.jit(lambda key: learner.fit(key, learner.init(key, DATA), DATA))(KEY)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_a_linear_regression_has_its_posterior(temperature):
    """Mean and covariance of weights and offset, with weighted rows, within four standard errors; colder, the same mean
    and as much less covariance."""
    settings = {"prior_scale": 2.0, "temperature": temperature, "num_warmup": 500, "thin": 10, "num_steps": 50}
    state = fitted(**settings)
    weights, offset = (next(leaf for leaf in jax.tree.leaves(state.draws) if leaf.ndim == ndim) for ndim in (3, 2))
    found = np.concatenate([weights[..., 0], offset], 1)
    x = np.concatenate([X, np.ones((12, 1))], 1)
    precision = np.eye(3) / 4 + (x.T * WEIGHT) @ x / 0.25
    mean, covariance = np.linalg.solve(precision, (x.T * WEIGHT) @ Y / 0.25), temperature * np.linalg.inv(precision)
    size = min(float(state.chain.effective_size), len(found))  # draws are every tenth of the steps that were judged
    assert size > 200
    assert (np.abs(found.mean(0) - mean) < 4 * np.sqrt(np.diag(covariance) / size)).all()
    scale = np.sqrt(np.diag(covariance))
    error = 4 * np.sqrt(2 / size)  # of a variance; correlations vary less
    np.testing.assert_allclose(
        np.cov(found.T) / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=error
    )
    assert unconverged(state) is None
    assert state.energy_variance < 0.01


BAD = {
    "steps too large": (
        {"num_warmup": 200, "thin": 20, "energy_variance": 10.0},
        lambda state: state.energy_variance > 1,
    ),
    "too short": ({"num_warmup": 2, "thin": 2}, lambda state: state.chain.effective_size < 4),
}


@pytest.mark.slow  # how chains are judged and told of: test_sampled.py
@pytest.mark.parametrize("name", ["too short", pytest.param("steps too large", marks=pytest.mark.slow)])
def test_chains_that_are_no_posterior_say_so(name):
    settings, seen = BAD[name]
    state = fitted(8, num_members=2, num_steps=5, prior_scale=20.0, **settings)
    assert seen(state)
    assert "1 of 1 fits have not converged" in unconverged(state)
    told = {name: np.asarray(value) for name, value in sampler_report(state).items()}
    assert told == {**state.chain._asdict(), "energy_variance": state.energy_variance}


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r'pip install "bal-jax\[mcmc\]"'):
        learners.mile(learners.linear(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_draws": 5}, "cannot come evenly from num_members=4"),
        ({"num_draws": 4, "thin": 3}, "a chain of 3 steps behind the warm-up cannot be judged"),
        ({"num_members": 0}, "num_members must be at least 1"),
        ({"prior_scale": 0.0}, "prior_scale is a standard deviation"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"energy_variance": float("inf")}, "energy_variance must be finite"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        learners.mile(learners.linear(2), **settings)
