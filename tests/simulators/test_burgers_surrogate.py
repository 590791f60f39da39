"""The surrogate against ridge regression, and whole runs that ask a solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from bal import make_pool, run_eager, run_seeds, seed_keys, strategies
from bal.acquisition import epistemic_variance, over_outputs
from bal.query import by_score
from bal.selection import power
from bal.simulators import burgers, disagreement, random_features, solution_errors, wave_inputs, wave_problems
from bal.typing import Data, Gaussian, Learner, Posterior, Setup, Task

RNG = np.random.default_rng(0)
LEARNER = random_features(lambda x: x, num_members=3, num_features=12, ridge=0.02, bootstrap=False)
X, Y = RNG.normal(size=(9, 2)).astype(np.float32), RNG.normal(size=(9, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def fit():
    return jax.jit(lambda data: LEARNER.fit(jax.random.key(0), LEARNER.init(jax.random.key(1), data), data))


def test_the_last_layer_is_that_of_ridge_regression(fit):
    weight = np.array([1, 2, 1, 0.5, 1, 1, 1, 1, 3], np.float32)
    state = fit(Data(jnp.asarray(X), jnp.asarray(Y), jnp.asarray(weight)))
    for k in range(3):
        phi = np.tanh(X.astype(float) @ np.asarray(state.weights[k], float) + np.asarray(state.offsets[k], float))
        expected = Ridge(0.02, fit_intercept=False).fit(phi, Y, weight).coef_.T
        np.testing.assert_allclose(state.last[k], expected, atol=2e-4)
        np.testing.assert_allclose(LEARNER.predict(state, jnp.asarray(X)).mean[:, k], phi @ expected, atol=2e-4)
        np.testing.assert_allclose(LEARNER.embed(state, jnp.asarray(X))[:, k], phi, atol=1e-5)
    assert len({float(layer.sum()) for layer in state.last}) == 3


def test_rows_of_weight_zero_change_nothing(fit):
    weight = np.ones(9, np.float32)
    weight[[2, 7]] = 0
    other = np.where(weight[:, None] > 0, Y, 1e3).astype(np.float32)
    one, two = (fit(Data(jnp.asarray(X), jnp.asarray(y), jnp.asarray(weight))) for y in (Y, other))
    np.testing.assert_array_equal(one.last, two.last)


def test_disagreement_is_the_covariance_over_members():
    mean = RNG.normal(size=(5, 3, 2)).astype(np.float32)
    learner = Learner(
        None, None, lambda state, x: Gaussian(jnp.asarray(mean), 0 * jnp.asarray(mean), jnp.ones(mean.shape))
    )
    rows = np.asarray(disagreement(Posterior(None, learner), None, jnp.ones((5, 1))))
    expected = sum(np.cov(mean[:, :, p]) for p in range(2))
    np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-5)


def test_errors_are_those_of_the_mean_over_members():
    mean, y = RNG.normal(size=(2, 50, 3, 2)).astype(np.float32), RNG.normal(size=(50, 2)).astype(np.float32)
    gaussian = Gaussian(jnp.asarray(mean[0]), jnp.zeros((50, 3, 2)), jnp.ones((50, 3, 2)))
    found = solution_errors(Posterior(None, Learner(None, None, lambda state, x: gaussian)), (None, jnp.asarray(y)))
    squared = ((mean[0].mean(1) - y) ** 2).astype(float)
    each = np.sqrt(squared.mean(1))
    expected = {"rmse": np.sqrt(squared.mean()), "mean_rmse": each.mean(), "high_rmse": np.quantile(each, 0.99)}
    assert {name: pytest.approx(value, rel=1e-5) for name, value in expected.items()} == found
    with pytest.raises(ValueError, match="one for each output"):
        solution_errors(Posterior(None, Learner(None, None, lambda state, x: gaussian)), (None, jnp.ones((50, 3))))


@pytest.mark.parametrize("predicted", [jnp.zeros((4, 2, 3)), Gaussian(*[jnp.ones((4, 2))] * 3)])
def test_predictions_of_another_kind_are_refused(predicted):
    posterior = Posterior(None, Learner(None, None, lambda state, x: predicted))
    with pytest.raises(ValueError, match="a Gaussian of several outputs"):
        solution_errors(posterior, (None, jnp.ones((4, 3))))
    if not isinstance(predicted, Gaussian):
        with pytest.raises(ValueError, match="of Gaussian means"):
            disagreement(posterior, None, jnp.ones((4, 1)))


SOLVE = burgers(8, num_steps=60, num_points=32)
MEANS = Learner(
    lambda key, data: jnp.zeros(data.y.shape[1]),
    lambda key, state, data: data.weight @ data.y / data.weight.sum(),
    lambda state, x: Gaussian(*3 * (jnp.broadcast_to(state, (len(x), 1, len(state))),)),
)
"""Compiles in no time."""


def problems(seed):
    return wave_problems(np.random.default_rng(seed), 30, 16, (0.03, 0.3))


def solutions(x):
    return np.asarray(jax.jit(SOLVE)(jax.random.key(0), jnp.arange(len(x)), jnp.asarray(x)))


def test_a_compiled_run_asks_the_solver_about_its_picks():
    x, x_test = problems(0), problems(1)
    setup = Setup(MEANS, strategies.random(), 4, 1, 2, solution_errors)
    log = run_seeds(seed_keys(0, 2), Task(make_pool(x), SOLVE, (x_test, solutions(x_test))), setup).log
    y, rows = solutions(x), np.concatenate([log.start, log.indices[:, 0]], 1)
    np.testing.assert_allclose(log.y[:, 0], y[log.indices[:, 0]], atol=1e-5)
    expected = [np.sqrt(((y[picked].mean(0) - solutions(x_test)) ** 2).mean()) for picked in rows]
    np.testing.assert_allclose(log.metrics["rmse"][:, -1], expected, rtol=1e-4)


@pytest.mark.slow
def test_a_surrogate_learns_in_a_compiled_run_as_in_a_python_loop():
    x, x_test = problems(0), problems(1)
    query = by_score(over_outputs(epistemic_variance), power(1.0))
    learner = random_features(wave_inputs(middle=-2.0), 3, 40)
    setup = Setup(learner, query, 4, 3, 6, solution_errors)
    task = Task(make_pool(x), SOLVE, (x_test, solutions(x_test)))
    log = run_seeds(seed_keys(0, 2), task, setup).log
    rows, rmse = np.asarray(log.indices), np.asarray(log.metrics["rmse"])
    assert all(len(set(seed.ravel())) == 12 for seed in rows)
    assert (rmse[:, -1] < 0.7 * rmse[:, 0]).all(), rmse
    eager = run_eager(seed_keys(0, 2)[1], task, setup)
    np.testing.assert_array_equal(eager.indices, rows[1])
    np.testing.assert_allclose(eager.metrics["rmse"], rmse[1], rtol=1e-3)


@pytest.mark.parametrize("settings", [{"scale": 0.0}, {"ridge": -1.0}, {"noise": float("inf")}, {"num_members": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"positive|at least"):
        random_features(lambda x: x, **settings)


def test_labels_of_one_output_are_refused():
    data = Data(jnp.asarray(X), jnp.ones(9), jnp.ones(9))
    with pytest.raises(ValueError, match=r"labels \[L, P\]"):
        LEARNER.init(jax.random.key(0), data)
