"""Chains: their diagnostics against numpyro's, and their draws against conjugate and dense posteriors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
from numpyro import diagnostics
from problem import MOVING, QUERY, TASK

from bal import learners
from bal.learners.convergence import ChainReport, judge_chains, unconverged
from bal.learners.sampled import program, weights
from bal.learners.sampled.chains import begun
from bal.loop import run_seeds, seed_keys
from bal.numerics import effective_size, split_r_hat
from bal.typing import Data, Gaussian, Setup

KEY = jax.random.key(0)
SHORT = {"num_chains": 2, "num_warmup": 10, "thin": 2}
RANDOM = np.random.default_rng(0)


def fitted(learner, data, key=KEY):
    return jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))(key, data)


@pytest.mark.parametrize("num_chains", [1, 4])
def test_diagnostics_are_those_of_numpyro(num_chains):
    steps = RANDOM.normal(size=(num_chains, 61, 3))
    draws = np.zeros_like(steps)
    for n in range(1, 61):
        draws[:, n] = np.array([0.0, 0.6, 0.95]) * draws[:, n - 1] + steps[:, n]
    draws = draws.astype(np.float32)
    np.testing.assert_allclose(jax.jit(split_r_hat)(draws), diagnostics.split_gelman_rubin(draws), rtol=1e-4)
    np.testing.assert_allclose(jax.jit(effective_size)(draws), diagnostics.effective_sample_size(draws), rtol=1e-3)


def test_chains_that_alternate_are_better_than_independent_draws():
    """Means of steps that turn back are exact sooner, by no more than log10 of their number; no size is below 0."""
    draws = np.zeros((4, 50, 1), np.float32)
    for n, step in enumerate(RANDOM.normal(size=(50, 4, 1))):
        draws[:, n] = step - 0.9 * draws[:, n - 1]
    size = float(jax.jit(effective_size)(draws)[0])
    assert size == pytest.approx(200 * np.log10(200), rel=1e-4)


def test_what_never_moves_has_agreed():
    both = jax.jit(lambda still: (split_r_hat(still), effective_size(still)))(np.ones((3, 8, 1), np.float32))
    assert tuple(found.item() for found in both) == (1.0, 24.0)


def line(x, y=None):
    weights = numpyro.sample("weights", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    numpyro.sample("label", dist.Normal(x @ weights, 0.5), obs=y)


def own_line(x, y=None, weight=None):
    """The same, which weighs its rows itself."""
    weights = numpyro.sample("weights", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    with numpyro.handlers.scale(scale=weight):
        numpyro.sample("label", dist.Normal(x @ weights, 0.5), obs=y)


def log_likelihood(prediction, y):
    """Of each label ``[L]`` under each draw, ``[L, K]``."""
    if isinstance(prediction, Gaussian):
        return scipy.stats.norm(prediction.mean, np.sqrt(prediction.noise)).logpdf(np.asarray(y)[:, None])
    return np.asarray(prediction)[np.arange(len(y)), :, np.asarray(y, int)]


@pytest.mark.parametrize(
    ("learner", "scale"),
    [
        (learners.from_numpyro(line, 4, **SHORT), 2.0),
        pytest.param(learners.from_numpyro(own_line, 4, **SHORT), 2.0, marks=pytest.mark.slow),
        (learners.mcmc(learners.linear(2), 4, **SHORT, prior_scale=0.7), 0.7),
    ],
    ids=["model", "model that weighs", "network"],
)
def test_chains_are_of_prior_times_weighted_likelihood(learner, scale, monkeypatch):
    """Minus the logarithm of it, up to a constant, is what the sampler is handed, and the likelihoods are watched."""
    handed = []

    def sample(key, potential, watch, starts, length, *rest):
        handed.append((potential, watch))
        return begun(starts, length)

    for module in (program, weights):
        monkeypatch.setattr(module, "sample", sample)

    @jax.jit
    def both(data):
        state = learner.init(KEY, data)
        learner.fit(KEY, state, data)
        potential, watch = handed.pop()
        draws = jax.tree.map(lambda leaf: leaf[::2], state.draws)  # of four, two from each of two chains
        return jax.lax.map(potential, draws), jax.lax.map(watch, draws), draws, learner.predict(state, data.x)

    weight = np.array([1.0, 2.0, 0.0, 0.5], np.float32)
    x = np.array([[1.0, 0.0], [-1.0, 2.0], [0.5, 9.0], [1.0, 1.0]], np.float32)
    y = np.array([0, 1, 1, 0]) if scale == 0.7 else np.array([0.0, 1.0, 2.0, -1.0], np.float32)
    potential, watched, draws, prediction = both(Data(x, y, weight))
    likelihood = weight[:, None] * log_likelihood(prediction, y)[:, ::2]
    squares = sum(np.square(leaf).reshape(2, -1).sum(1) for leaf in jax.tree.leaves(draws))
    expected = squares / (2 * scale**2) - likelihood.sum(0)
    assert abs(np.ptp(expected)) > 0.1
    np.testing.assert_allclose(np.diff(potential), np.diff(expected), rtol=1e-4)
    np.testing.assert_allclose(np.abs(np.diff(watched, axis=0)[0]), np.abs(np.diff(likelihood.T, axis=0)[0]), rtol=1e-4)


@pytest.mark.slow
def test_a_conjugate_model_has_its_posterior():
    """Mean and covariance of a Bayesian linear regression with weighted rows, within four standard errors."""
    x, weight = RANDOM.normal(size=(12, 2)), np.array([1.0, 2.0, 0.0, 0.5] * 3)
    y = x @ [1.0, -1.0] + 0.5 * RANDOM.normal(size=12)
    learner = learners.from_numpyro(line, 400, num_chains=4, num_warmup=200, thin=2)
    state = fitted(learner, Data(*(jnp.asarray(part, jnp.float32) for part in (x, y, weight))))
    precision = np.eye(2) / 4 + (x.T * weight) @ x / 0.25
    mean = np.linalg.solve(precision, (x.T * weight) @ y / 0.25)
    found = np.asarray(state.draws["weights"])
    error = np.sqrt(np.diag(np.linalg.inv(precision)) / float(state.chain.effective_size))
    assert (np.abs(found.mean(0) - mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(found.T), np.linalg.inv(precision), rtol=0.35, atol=0.005)
    assert state.converged.all()
    assert state.chain.num_divergent == 0
    prediction = learner.predict(state, jnp.eye(2))
    np.testing.assert_allclose(prediction.mean, found.T, rtol=1e-5)
    np.testing.assert_allclose(prediction.noise, 0.25, rtol=1e-5)


@pytest.mark.slow
def test_weights_of_a_logistic_regression_have_their_posterior():
    """Against a dense grid over slope and offset of the log odds, each the difference of two weights N(0, 1)."""
    x, y = np.array([-1.0, -0.5, 0.2, 0.8, 1.5, 9.0]), np.array([0, 1, 0, 1, 1, 0])
    weight = np.array([1.0, 1.0, 1.0, 3.0, 1.0, 0.0])
    learner = learners.mcmc(learners.linear(2), 400, num_warmup=200, thin=2)
    data = Data(jnp.asarray(x[:, None], jnp.float32), jnp.asarray(y), jnp.asarray(weight, jnp.float32))
    state = fitted(learner, data)
    slope, offset = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-8, 8, 161))
    odds = slope[..., None] * x + offset[..., None]
    log_density = -(slope**2 + offset**2) / 4 - (weight * np.logaddexp(0, np.where(y, -odds, odds))).sum(-1)
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    at = np.array([-1.0, 0.0, 2.0])
    each = 1 / (1 + np.exp(-(slope[..., None] * at + offset[..., None])))
    mean = (density[..., None] * each).sum((0, 1))
    error = np.sqrt((density[..., None] * (each - mean) ** 2).sum((0, 1)) / float(state.chain.effective_size))
    found = np.exp(learner.predict(state, jnp.asarray(at[:, None], jnp.float32)))[..., 1].mean(1)
    assert (np.abs(found - mean) < 4 * error).all()
    assert state.converged.all()


@pytest.mark.slow
def test_rows_are_weighted_as_a_model_would_itself():
    data = Data(
        jnp.array([[1.0, 0.0], [-1.0, 2.0], [0.5, 9.0]]), jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 2.0, 0.0])
    )
    states = [fitted(learners.from_numpyro(model, 4, **SHORT), data) for model in (own_line, line)]
    np.testing.assert_allclose(states[0].draws["weights"], states[1].draws["weights"], rtol=1e-5)


def classes(x, y=None):
    weights = numpyro.sample("weights", dist.Normal(0.0, 1.0).expand([1, 3]).to_event(2))
    numpyro.sample("label", dist.Categorical(logits=x @ weights), obs=y)


def test_finitely_many_values_are_classes():
    learner = learners.from_numpyro(classes, 4, **SHORT)
    data = Data(jnp.ones((3, 1)), jnp.array([0, 1, 2]), jnp.ones(3))
    state = jax.jit(learner.init)(KEY, data)
    found, weights = jax.jit(learner.predict)(state, 2 * data.x), np.asarray(state.draws["weights"])[:, 0]
    np.testing.assert_allclose(found[0], jax.nn.log_softmax(2 * weights, -1), rtol=1e-5)


judge = jax.jit(judge_chains, static_argnums=2)


class Told(NamedTuple):
    """A state with a report, as chains leave one."""

    converged: jax.Array
    chain: ChainReport


def too_short():
    """The report on chains that have not met, and a state that holds it."""
    values = np.random.default_rng(1).normal(size=(2, 8, 3)).cumsum(1).astype(np.float32)
    values[1] += 9
    report, trusted = judge(values, jnp.int32(1), 4)
    return report, Told(np.asarray(trusted)[None], report)


def test_chains_that_are_too_short_are_told_of():
    report, told = too_short()
    assert not told.converged
    assert report.r_hat > 2
    assert "num_warmup" in unconverged(told)


@pytest.mark.slow  # reports in the state: above; warnings of what has not converged: tests/test_doors.py
def test_runs_tell_of_chains_that_are_too_short():
    """In `info` of every query, and in a warning."""
    report, told = too_short()
    learner = MOVING._replace(
        init=lambda key, data: (MOVING.init(key, data), told),
        fit=lambda key, state, data: (MOVING.fit(key, state[0], data), told),
        predict=lambda state, x: MOVING.predict(state[0], x),
    )
    with pytest.warns(UserWarning, match="in 2 of 2 queries the fit had not converged"):
        log = run_seeds(seed_keys(0, 1), TASK, Setup(learner, QUERY, 1, 2, 4)).log
    assert {name: value.tolist() for name, value in log.info.items() if name in report._fields} == {
        name: [[value.item()] * 2] for name, value in report._asdict().items()
    }


@pytest.mark.parametrize(("r_hat", "divergent", "trusted"), [(0.0, 0, True), (9.0, 0, False), (0.0, 2, False)])
def test_when_chains_are_trusted(r_hat, divergent, trusted):
    values = RANDOM.normal(size=(2, 40, 1)).astype(np.float32)
    values[1] += r_hat
    assert bool(judge(values, jnp.int32(divergent), 8)[1]) == trusted
    assert not judge(values, jnp.int32(0), 400)[1]  # more draws than the chains hold


def no_labels(x, y=None):
    numpyro.sample("slope", dist.Normal())


def twice(x, y=None):
    slope = numpyro.sample("slope", dist.Normal())
    numpyro.sample("a", dist.Normal(slope * x[:, 0]), obs=y)
    numpyro.sample("b", dist.Normal(slope * x[:, 0]), obs=y)


def row_by_row(x, y=None):
    offset = numpyro.sample("offset", dist.Normal(0.0, 1.0).expand([len(x)]).to_event(1))
    numpyro.sample("label", dist.Normal(offset), obs=y)


def discrete(x, y=None):
    sign = numpyro.sample("sign", dist.Bernoulli(0.5))
    numpyro.sample("label", dist.Normal(sign * x[:, 0]), obs=y)


def no_parameters(x, y=None):
    numpyro.sample("label", dist.Normal(x[:, 0]), obs=y)


def one_label(x, y=None):
    slope = numpyro.sample("slope", dist.Normal())
    numpyro.sample("label", dist.Normal(slope * x).to_event(2), obs=None if y is None else y[:, None])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (no_labels, r"expected a model with one observed site, got \[\]"),
        (twice, r"got \['a', 'b'\]"),
        (row_by_row, "the parameter offset has a value for each row"),
        (discrete, "the parameter sign is discrete"),
        (no_parameters, "expected a model with parameters, got none"),
        (one_label, r"batch shape \(\) and event shape \(3, 1\); expected one value for each of 3 rows"),
    ],
)
def test_models_that_are_no_posterior_over_functions_are_refused(model, message):
    learner = learners.from_numpyro(model, 4, **SHORT)
    data = Data(jnp.ones((3, 1)), jnp.ones(3), jnp.ones(3))
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: learner.predict(learner.fit(KEY, learner.init(KEY, data), data), data.x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_draws": 5}, "cannot come evenly from num_chains=4"),
        ({"num_draws": 4, "thin": 3}, "a chain of 3 steps behind the warm-up cannot be judged"),
        ({"num_warmup": 0}, "num_warmup must be at least 1"),
        ({"prior_scale": 0.0}, "prior_scale is a standard deviation"),
    ],
)
def test_chains_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        learners.mcmc(learners.linear(2), **settings)
