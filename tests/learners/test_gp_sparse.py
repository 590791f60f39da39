"""The sparse posterior against the exact one, and acquisitions of several outputs."""

from functools import partial

import equinox as eqx
import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from gpjax.parameters import val

from bal.acquisition import gaussian_bald, gaussian_epig
from bal.acquisition.outputs import over_outputs
from bal.learners.gp import (
    Chosen,
    Hyperparameters,
    gp_regression,
    log_posterior,
    maximum_likelihood,
    process,
    sparse_gp,
    split,
)
from bal.learners.gp.sparse import choose_inducing, project
from bal.typing import Data, Gaussian

KEY = jax.random.key(0)
RNG = np.random.default_rng(2)
X, X_NEW = RNG.normal(size=(20, 2)), RNG.normal(size=(6, 2))
Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 0] * X[:, 1]], 1)
WEIGHT = np.where(np.arange(20) == 3, 2.0, 1.0)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def noise(x):
    return 0.01 + 0.05 * x[:, 0] ** 2


def model(lengthscale=1.5):
    return process(gpjax.kernels.RBF(lengthscale=lengthscale), noise)


def data(y=Y, capacity=20):
    """The labels behind rubbish of weight 0."""
    pad = lambda leaf, value: jnp.array(np.concatenate([np.full((capacity - 20, *leaf.shape[1:]), value), leaf]))
    return Data(pad(X, 1e6), pad(y, np.nan), pad(WEIGHT, 0.0))


@partial(jax.jit, static_argnums=0)
def fitted(learner, data):
    state = learner.fit(KEY, learner.init(KEY, data), data)
    rows = learner.embed(state, jnp.array(X_NEW))
    pair = lambda a, b: learner.kernel(state, a, b)
    return learner.predict(state, jnp.array(X_NEW)), jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(rows, rows)


def agree(got, expected, tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, expected)


@eqx.filter_jit
def bound_and_rows(size, data, made):
    chosen = choose_inducing(made, data.x, data.weight, size)
    return project(made, chosen, data.x, data.y, data.weight).bound, chosen.x


def bound(size, data, made=None):
    value, chosen = bound_and_rows(size, data, model() if made is None else made)
    return float(value), np.array(chosen)


def test_all_rows_inducing_is_exact():
    """Behind padding, where places for inducing rows stay empty."""
    agree(fitted(sparse_gp(model(), 24), data(capacity=24)), fitted(gp_regression(model()), data()), 1e-6)


@pytest.mark.slow  # behind padding it is exact, above; its bound is that of few rows, below
def test_few_rows_are_not_exact_and_padding_changes_nothing():
    exact, _ = fitted(gp_regression(model()), data())
    compact, stretched = (fitted(sparse_gp(model(), 5), data(capacity=capacity)) for capacity in (20, 24))
    agree(stretched, compact, 1e-10)
    assert np.abs(compact[0].mean - exact.mean).max() > 1e-3


@pytest.mark.slow  # the bound is that of plain inverses, below; all rows are exact, above
def test_bound_grows_to_the_evidence():
    evidence = float(jax.jit(log_posterior(model(), data()))(split(model())[0]))
    bounds = [bound(size, data())[0] for size in (1, 5, 20)]
    assert all(a < b for a, b in zip(bounds, [*bounds[1:], evidence]))
    np.testing.assert_allclose(bounds[-1], evidence, rtol=1e-6)


def test_bound_by_inverse():
    """Titsias 2009, equation 9, with plain inverses and a trace term of each label's own noise."""
    found, z = bound(4, data()._replace(weight=jnp.ones(20)))
    k = lambda a, b: np.exp(-0.5 * np.sum((a[:, None] - b[None]) ** 2, -1) / 1.5**2)
    q = k(X, z) @ np.linalg.inv(k(z, z)) @ k(z, X)
    noise = 0.01 + 0.05 * X[:, 0] ** 2
    inverse, log_det = np.linalg.inv(q + np.diag(noise)), np.linalg.slogdet(2 * np.pi * (q + np.diag(noise)))[1]
    trace = np.sum((1 - np.diag(q)) / noise)
    expected = sum(-0.5 * (y @ inverse @ y + log_det + trace) for y in Y.T)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_inducing_rows_are_the_greedy_ones():
    """Each has the largest variance given those before it, found by conditioning anew; none twice, none padded."""
    _, chosen = bound(6, data(capacity=24))
    k = lambda a, b: np.exp(-0.5 * np.sum((a[:, None] - b[None]) ** 2, -1) / 1.5**2)
    for count in range(1, 6):
        before = chosen[:count]
        left = 1 - np.diag(k(X, before) @ np.linalg.solve(k(before, before), k(before, X)))
        np.testing.assert_array_equal(chosen[count], X[left.argmax()])


def test_inducing_rows_are_those_of_the_chosen_values():
    """At the short lengthscale that is chosen other rows are spread out than at the long one of the start. What is to
    be maximized is the bound."""

    def short(key, initial, previous, objective):
        objectives.append(objective(initial))
        return Chosen(jax.tree.map(lambda leaf: leaf[None] - 2.3, initial), jnp.ones(1, bool))

    @jax.jit
    def fit(data):
        return learner.fit(KEY, learner.init(KEY, data), data), objectives.pop()

    objectives = []

    learner = sparse_gp(model(1.5), 5, Hyperparameters(1, short))
    state, objective = fit(data())
    np.testing.assert_allclose(objective, bound(5, data())[0], rtol=1e-9)
    lengthscale = float(val(state.params.kernel.lengthscale)[0])
    assert lengthscale < 0.4
    spread_out = lambda length: bound(5, data(), model(length))[1]
    np.testing.assert_array_equal(state.x, spread_out(lengthscale))
    assert (np.asarray(state.x) != spread_out(1.5)).any()


def test_duplicate_rows_and_a_flat_kernel_stay_finite():
    """The covariance of the inducing rows is singular: the jitter holds, the bound too."""
    twice = Data(jnp.array(np.r_[X[:4], X[:4]]), jnp.array(np.r_[Y[:4], Y[:4]]), jnp.ones(8))
    flat = process(gpjax.kernels.RBF(lengthscale=1e3), 0.01)
    found, _ = bound(8, twice, flat)
    evidence = float(jax.jit(log_posterior(flat, twice))(split(flat)[0]))
    assert evidence - 1e-3 < found <= evidence


@pytest.mark.slow
def test_hyperparameters_are_fitted_by_the_bound():
    made = process(gpjax.kernels.RBF(lengthscale=4.0), 1.0)
    learner = sparse_gp(made, 8, maximum_likelihood(30, optimizer=optax.adam(0.1), standardize=False))
    state = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(data())
    objective = jax.jit(log_posterior(made, data()))
    start, end = objective(split(made)[0]), objective(jax.tree.map(lambda leaf: leaf[0], state.params))
    assert end > start + 5


def test_no_inducing_row_is_refused():
    with pytest.raises(ValueError, match="at least 1 inducing row"):
        sparse_gp(model(), 0)


@pytest.mark.slow  # sums over outputs: tests/contracts/test_acquisitions.py
def test_sum_over_outputs():
    learner = gp_regression(process(gpjax.kernels.RBF(), 0.1))
    both, _ = fitted(learner, data())
    alone = [fitted(learner, data(Y[:, p]))[0] for p in range(2)]
    bald, epig, all_bald, all_epig = map(
        jax.jit, (gaussian_bald, gaussian_epig, over_outputs(gaussian_bald), over_outputs(gaussian_epig))
    )
    few = lambda rows: jax.tree.map(lambda leaf: np.asarray(leaf)[:2], rows)
    agree(all_bald(both), sum(np.asarray(bald(one)) for one in alone), 1e-10)
    agree(all_epig(both, few(both)), sum(np.asarray(epig(one, few(one))) for one in alone), 1e-10)
    assert isinstance(both, Gaussian)
    assert both.mean.shape == (6, 1, 2)


def test_nothing_is_as_large_as_the_labels_squared():
    """O(L M²): no array of the whole fit, gradients included, has the labels on two axes."""
    learner = sparse_gp(process(gpjax.kernels.RBF(), 0.1), 3, maximum_likelihood(2))
    some = Data(jnp.ones((37, 2)), jnp.ones(37), jnp.ones(37))
    program = str(jax.make_jaxpr(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(some))
    assert "37,3]" in program
    assert "37,37" not in program
