"""Processes on inputs with errors: kernels against Monte Carlo, determinants, and what the weighted rules are for."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpjax.kernels import RBF, Matern32

from bal.acquisition import weighted_information, weighted_variance
from bal.learners.gp import gp_regression, gp_regression_draws, maximum_likelihood, process
from bal.learners.gp.noisy_input import noise_free, noisy_input_process, noisy_rows
from bal.learners.gp.process import Process
from bal.loop import run
from bal.pool import make_pool
from bal.query import Query, Stage, by_score
from bal.selection import best
from bal.typing import Data, Setup, Task

KEY = jax.random.key(0)
LENGTHSCALE, VARIANCE, NOISE = np.array([0.7, 1.4]), 1.6, 0.09
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 2)), RNG.normal(size=8)
DEVIATION = RNG.uniform(0, 0.8, (8, 2))
SCALE, ERROR, NUM_SEEDS = 0.15, 1.0, 16  # of the one-dimensional examples


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rbf():
    return RBF(lengthscale=jnp.array(LENGTHSCALE), variance=VARIANCE)


@partial(jax.jit, static_argnums=0)
def predicted(learner, new, x, y=Y):
    """Predictions of new rows after labels of x."""
    data = Data(jnp.asarray(x), jnp.asarray(y), jnp.ones(len(x)))
    return learner.predict(learner.fit(KEY, learner.init(KEY, data), data), jnp.asarray(new))


covariance = jax.jit(Process.covariance)


@jax.jit
def label_covariance(made, rows):
    return made.covariance(rows, rows) + jnp.diag(made.noise_variance(rows))


def test_exact_inputs_give_the_plain_process():
    plain, noisy = gp_regression(process(rbf(), NOISE)), gp_regression(noisy_input_process(rbf(), NOISE))
    rows = noisy_rows(jnp.asarray(X), 0.0)
    new = jnp.asarray(X) + 0.3
    wanted = predicted(plain, new, X)
    got = predicted(noisy, noisy_rows(new, 0.0), rows)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), got, wanted)


@pytest.mark.parametrize("errors", [(1, 1), (1, 0), (0, 0)], ids=["both", "one", "none"])
def test_kernel_is_the_mean_over_the_errors(errors):
    made = noisy_input_process(rbf(), NOISE)
    (x, y), (s, t) = X[:2], DEVIATION[:2] * np.array(errors)[:, None]
    draws = np.random.default_rng(1).normal(size=(2, 200_000, 2))
    apart = (x + s * draws[0] - y - t * draws[1]) / LENGTHSCALE
    sampled = VARIANCE * np.exp(-0.5 * np.sum(apart**2, -1))
    exact = float(made.kernel(jnp.concatenate([x, s]), jnp.concatenate([y, t])))
    assert exact == pytest.approx(sampled.mean(), abs=4 * sampled.std() / np.sqrt(len(sampled)) + 1e-12)


def test_variance_of_a_label_is_that_of_function_and_response_whatever_the_error():
    made = noisy_input_process(rbf(), NOISE)
    rows = noisy_rows(jnp.asarray(X), jnp.asarray(DEVIATION))
    found = np.asarray(label_covariance(made, rows))
    np.testing.assert_allclose(found.diagonal(), VARIANCE + NOISE, rtol=1e-12)
    assert np.linalg.eigvalsh(found).min() > NOISE - 1e-9
    twice = noisy_rows(jnp.asarray(X[[0, 0]]), jnp.asarray(DEVIATION[[0, 0]]))
    shrink = np.prod(1 + 2 * DEVIATION[0] ** 2 / LENGTHSCALE**2) ** -0.5
    assert label_covariance(made, twice)[0, 1] == pytest.approx(VARIANCE * shrink)


def test_one_more_label_multiplies_the_determinant_by_its_predictive_variance():
    made = noisy_input_process(rbf(), NOISE)
    learner = gp_regression(made)
    rows = noisy_rows(jnp.asarray(X), jnp.asarray(DEVIATION))
    found = predicted(learner, rows[7:], rows[:7], Y[:7])
    whole = np.asarray(label_covariance(made, rows))
    gain = np.linalg.slogdet(whole)[1] - np.linalg.slogdet(whole[:7, :7])[1]
    variance, noise = float(found.variance[0, 0]), float(found.noise[0, 0])
    assert gain == pytest.approx(np.log(variance + noise), abs=1e-10)
    assert float(weighted_information(found)[0]) == pytest.approx(0.5 * (gain - np.log(noise)), abs=1e-10)


def test_prediction_is_the_best_linear_one():
    made = noisy_input_process(rbf(), NOISE)
    learner = gp_regression(made)
    rows = noisy_rows(jnp.asarray(X), jnp.asarray(DEVIATION))
    new = noisy_rows(jnp.asarray(X) + 0.2, 0.0)
    found = predicted(learner, new, rows)
    cross = np.asarray(covariance(made, new, rows))
    solved = np.linalg.solve(label_covariance(made, rows), cross.T).T
    np.testing.assert_allclose(found.mean[:, 0], solved @ Y, atol=1e-10)
    np.testing.assert_allclose(found.variance[:, 0], VARIANCE - np.sum(solved * cross, 1), atol=1e-10)
    np.testing.assert_allclose(found.noise[:, 0], NOISE, rtol=1e-12)


@pytest.mark.parametrize("rule", [weighted_variance, weighted_information])
def test_equal_noise_ranks_by_variance(rule):
    learner = gp_regression(noisy_input_process(rbf(), NOISE))
    rows = noisy_rows(jnp.asarray(X), jnp.array([0.3, 0.5]))
    found = predicted(learner, rows, rows[:4], Y[:4])
    assert jnp.argsort(rule(found)).tolist() == jnp.argsort(found.variance[:, 0]).tolist()


def functions(deviation, noise, x, num_seeds=NUM_SEEDS):
    """Draws of a process of lengthscale `SCALE`: their values at x, and labels of the inputs with errors."""
    true, labels = [], []
    for seed in range(num_seeds):
        rng = np.random.default_rng(seed)
        frequency, phase, weight = rng.normal(size=300) / SCALE, rng.uniform(0, 2 * np.pi, 300), rng.normal(size=300)
        value = lambda z, f=frequency, p=phase, w=weight: np.cos(z[:, None] * f + p) @ w * np.sqrt(2 / 300)
        labels.append(value(x + deviation * rng.normal(size=len(x))) + np.sqrt(noise) * rng.normal(size=len(x)))
        true.append(value(x))
    return jnp.asarray(np.array(true)), jnp.asarray(np.array(labels))


def max_variance(posterior, context, x):
    """Variance of the function itself at the recorded inputs: blind to the errors."""
    return posterior.predict(noise_free(x)).variance[:, 0]


@pytest.mark.slow
def test_the_weighted_rule_leaves_labels_that_say_little_and_predicts_better():
    """In the right half the input's error is several lengthscales: the largest variance is where nothing is learned."""
    x, noise = np.linspace(0, 1, 41), 0.01
    deviation = np.where(x > 0.5, ERROR, 0.0)
    rows = noisy_rows(jnp.asarray(x)[:, None], jnp.asarray(deviation)[:, None])
    learner = gp_regression(noisy_input_process(RBF(lengthscale=SCALE), noise))
    true, labels = functions(deviation, noise, x)

    def evaluate(posterior, values):
        return {"rmse": jnp.sqrt(jnp.mean((posterior.predict(noise_free(rows)).mean[:, 0] - values) ** 2))}

    def experiment(query):
        def one(seed):
            values, y = seed
            setup = Setup(learner, query, batch_size=1, num_rounds=6, evaluate=evaluate)
            log = run(KEY, Task(make_pool(rows), y, values, jnp.array([10])), setup)
            return log.indices, log.metrics["rmse"][-1]

        return jax.jit(lambda seeds: jax.lax.map(one, seeds))((true, labels))

    picks, rmse = experiment(by_score(weighted_information, best))
    picks_blind, rmse_blind = experiment(Query((Stage(max_variance, best),)))
    assert np.all(deviation[np.asarray(picks)] == 0)
    assert np.mean(deviation[np.asarray(picks_blind)] > 0) > 0.5
    gain = np.asarray(rmse_blind - rmse)
    assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(NUM_SEEDS)


@pytest.mark.slow
def test_predicts_better_than_the_plain_process_where_inputs_have_errors():
    """Both fit their hyper-parameters; test labels are at exact inputs."""
    x, noise = np.random.default_rng(2).uniform(0, 1, 40), 0.01
    deviation = np.where(np.arange(40) % 2 == 0, 0.1, 0.0) * (np.arange(40) < 24)
    _, labels = functions(deviation, noise, x)
    rows = noisy_rows(jnp.asarray(x)[:, None], jnp.asarray(deviation)[:, None])
    train, test = slice(0, 24), slice(24, 40)

    def nll(learner, inputs, y):
        data = Data(inputs[train], y[train], jnp.ones(24))
        found = learner.predict(learner.fit(KEY, learner.init(KEY, data), data), inputs[test])
        spread = found.variance + found.noise
        return 0.5 * jnp.mean(jnp.log(2 * jnp.pi * spread) + (y[test, None] - found.mean) ** 2 / spread)

    def compare(y):
        ours = gp_regression(noisy_input_process(RBF(lengthscale=0.3), 0.05), maximum_likelihood(10))
        plain = gp_regression(process(RBF(lengthscale=0.3), 0.05), maximum_likelihood(10))
        return nll(plain, rows[:, :1], y) - nll(ours, rows, y)

    gain = np.asarray(jax.jit(lambda labels: jax.lax.map(compare, labels))(labels))
    assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(NUM_SEEDS)


def test_rows_are_inputs_and_errors():
    x = jnp.arange(4.0).reshape(2, 2)
    for deviation in (0.5, jnp.array([0.5, 0.5]), jnp.full((2, 2), 0.5)):
        assert noisy_rows(x, deviation).tolist() == [[0.0, 1.0, 0.5, 0.5], [2.0, 3.0, 0.5, 0.5]]
    assert noise_free(noisy_rows(x, 0.5)).tolist() == noisy_rows(x, 0.0).tolist()


def test_refuses_what_has_no_such_form():
    with pytest.raises(ValueError, match="RBF"):
        noisy_input_process(Matern32(), NOISE)
    with pytest.raises(ValueError, match="noise variance"):
        noisy_input_process(RBF(), None)
    with pytest.raises(ValueError, match="positive"):
        noisy_input_process(RBF(), 0.0)


def test_draws_by_features_are_refused():
    """They would be of the process whose inputs have no noise and their noise as one more feature."""
    with pytest.raises(ValueError, match="no spectral density of its own; use gp_regression"):
        gp_regression_draws(noisy_input_process(rbf(), NOISE), 4, num_features=8)
