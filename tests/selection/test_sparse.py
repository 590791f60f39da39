"""Greedy and hard-thresholding sparse approximations against their definition and exhaustive search."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from sparse_inputs import FEATURES, KEY, TRIALS, VARIANCE, B, N, candidates, run, run_all

from bal import selection
from bal.selection.sparse.iht import _solve, proximal
from bal.selection.sparse.problem import nnls, sparse_problem

ALPHA, BETA = 0.3, 0.05


@pytest.fixture(scope="module")
def solved():
    settings = {"alpha": ALPHA, "beta": BETA}
    return {
        "greedy": run_all(selection.sparse_greedy(**settings)),
        "refit": run_all(selection.sparse_greedy(**settings, refit=True)),
        "iht": run_all(selection.sparse_iht(**settings)),
    }


def scaled(trial, share=B / N):
    """Φ, v and α s² in the units of the objective."""
    phi, s2 = FEATURES[trial].astype(np.float64), VARIANCE[trial].astype(np.float64)
    phi = phi / np.sqrt(np.mean(np.sum(phi**2, 1)))
    return phi, share * phi.sum(0), ALPHA * s2 / s2.mean()


def objective(trial, rows, weights):
    """F from its definition, over all N weights."""
    w = np.zeros(N)
    w[rows] = weights
    return objective_of_all(trial, w)


def objective_of_all(trial, w):
    """The same of weights ``[..., N]``."""
    phi, v, bonus = scaled(trial)
    return np.sum((v - w @ phi) ** 2, -1) - (w > 0) @ bonus + BETA * np.sum((w - 1) ** 2, -1)


def fit(trial, rows):
    """Weights of least F on a support by scipy's non-negative least squares."""
    phi, v, _ = scaled(trial)
    a = np.vstack([phi[rows].T, np.sqrt(BETA) * np.eye(len(rows))])
    return scipy.optimize.nnls(a, np.concatenate([v, np.sqrt(BETA) * np.ones(len(rows))]))[0]


@functools.cache
def best_possible(trial):
    supports = itertools.combinations(range(N), B)
    return min(objective(trial, list(rows), fit(trial, list(rows))) for rows in supports)


def test_greedy_scores_are_decreases_of_the_objective(solved):
    picks = solved["greedy"]
    for trial in range(TRIALS):
        path = [objective(trial, [], [])]
        for b in range(B):
            path.append(objective(trial, picks.indices[trial, : b + 1], picks.info["weights"][trial, : b + 1]))
        np.testing.assert_allclose(picks.scores[trial], -np.diff(path), rtol=1e-3, atol=1e-5)


def test_greedy_takes_the_best_single_step(solved):
    for trial in range(4):
        grid = np.linspace(0, 3, 3001)[:, None, None] * np.eye(N)
        assert int(solved["greedy"].indices[trial, 0]) == int(objective_of_all(trial, grid).min(0).argmin())


@pytest.mark.parametrize(("name", "mean", "least"), [("greedy", 0.9, 0.75), ("refit", 0.95, 0.85), ("iht", 0.88, 0.75)])
def test_share_of_the_best_possible_decrease(solved, name, mean, least):
    """Against exhaustive search over all supports, each with its best weights."""
    picks, shares = solved[name], []
    for trial in range(6):
        zero = objective(trial, [], [])
        reached = objective(trial, picks.indices[trial], picks.info["weights"][trial])
        shares.append((zero - reached) / (zero - best_possible(trial)))
    assert max(shares) <= 1 + 1e-5
    assert np.mean(shares) > mean
    assert min(shares) > least


def test_refit_has_the_best_weights_on_its_support(solved):
    picks = solved["refit"]
    for trial in range(TRIALS):
        rows, weights = np.asarray(picks.indices[trial]), np.asarray(picks.info["weights"][trial])
        best = fit(trial, rows)
        better = objective(trial, rows, best) - objective(trial, rows, weights)
        assert better > -1e-5
        if (best > 0).all():  # else a weight of 0 may cost more, by its bonus, than the fit gains
            np.testing.assert_allclose(weights, best, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [pytest.param(selection.sparse_greedy, marks=pytest.mark.slow), selection.sparse_iht])
def test_refit_never_raises_the_objective(make):
    """The weight of row 3 would become 0 and lose its bonus: F -2.707 in place of -4.058."""
    phi = np.array([[2, -1], [2, -1], [2, -1], [0, -1], [-1, 2]], np.float32)
    s2 = np.array([3, 1, 3, 3, 1], np.float32)

    def value(refit):
        picks = run(make(1.0, 1e-3, refit=refit), candidates(phi, s2), 3)
        w = np.zeros(5)
        w[np.asarray(picks.indices)] = picks.info["weights"]
        features = phi / np.sqrt((phi**2).sum(1).mean())
        left = 3 / 5 * features.sum(0) - features.T @ w
        return left @ left - (s2 / s2.mean())[w > 0].sum() + 1e-3 * ((w - 1) ** 2).sum()

    assert value(True) <= value(False) + 1e-6
    if make is selection.sparse_iht:
        assert value(False) == pytest.approx(-4.058, abs=2e-3)


def test_nnls_against_scipy():
    rng = np.random.RandomState(8)
    a, y = rng.randn(20, 12, 7), rng.randn(20, 12)
    gram_, slope = np.einsum("tij,tik->tjk", a, a), np.einsum("tij,ti->tj", a, y)
    used = jnp.ones(7, bool)
    with jax.enable_x64(True):
        solve = jax.jit(jax.vmap(lambda g, c, start: nnls(g, c, used, start), (0, 0, 0)))
        got = solve(*(jnp.asarray(x) for x in (gram_, slope, np.maximum(rng.randn(20, 7), 0))))
    expected = [scipy.optimize.nnls(a[t], y[t])[0] for t in range(20)]
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_proximal_step_is_the_best_of_all_supports():
    rng, solve = np.random.RandomState(9), jax.jit(proximal, static_argnums=3)
    for _ in range(5):
        s, bonus = rng.randn(6), rng.rand(6)
        value = lambda w, s=s, bonus=bonus: np.sum((w - s) ** 2) - np.sum(bonus[w > 0])
        best = np.inf
        for size in range(4):
            for rows in itertools.combinations(range(6), size):
                w = np.zeros(6)
                w[list(rows)] = np.maximum(s[list(rows)], 0)
                best = min(best, value(w))
        indices, weights, _ = solve(s.astype(np.float32), bonus.astype(np.float32), np.ones(6, bool), 3)
        w = np.zeros(6)
        w[np.asarray(indices)] = weights
        np.testing.assert_allclose(value(w), best, rtol=1e-5, atol=1e-6)


def test_hard_thresholding_never_rises():
    with jax.enable_x64(True):

        def path(phi, s2, steps):
            problem = sparse_problem(candidates(phi, s2), B, ALPHA, BETA, "batch")
            return _solve(problem, jnp.ones(N, bool), B, steps).objective

        every = jax.jit(jax.vmap(jax.vmap(path, (None, None, 0)), (0, 0, None)))
        paths = np.asarray(every(FEATURES, VARIANCE, jnp.arange(1, 30)))
    assert np.diff(paths, axis=1).max() <= 1e-12
    assert (paths[:, -1] < paths[:, 0]).any()


def test_limits_of_alpha_and_beta():
    sweep = lambda make: jax.jit(
        jax.vmap(lambda alpha, beta: make(alpha, beta)(KEY, candidates(FEATURES[0], VARIANCE[0]), B))
    )(jnp.array([1e6, 0.0]), jnp.array([1.0, 1e6]))
    for make in (selection.sparse_greedy, selection.sparse_iht):
        picks = sweep(make)
        assert set(picks.indices[0].tolist()) == set(np.argsort(-VARIANCE[0])[:B].tolist())
        np.testing.assert_allclose(picks.info["weights"][1], 1.0, atol=1e-4)


@pytest.mark.parametrize("make", [selection.sparse_greedy, pytest.param(selection.sparse_iht, marks=pytest.mark.slow)])
def test_the_whole_pool_has_weight_one(make):
    """B = N, α = 0: the pool stands for itself, whatever the normalization."""
    phi = np.linalg.qr(np.random.RandomState(1).randn(6, 6))[0].astype(np.float32)
    for settings in ({"normalize": "sum"}, {"normalize": "batch", "refit": True}):
        picks = run(make(alpha=0.0, **settings), candidates(phi), 6)
        np.testing.assert_allclose(picks.info["weights"], 1.0, rtol=1e-4)
        assert float(picks.info["residual"]) < 1e-4


def test_copies_are_not_worth_picking_twice():
    """α = 0 on four copies of three directions: one of each before any copy."""
    phi = np.tile(np.eye(3, dtype=np.float32), (4, 1))
    for make in (selection.sparse_greedy, selection.sparse_iht):
        picks = run(make(alpha=0.0, normalize="sum"), candidates(phi), 3)
        assert sorted(i % 3 for i in picks.indices.tolist()) == [0, 1, 2]


@pytest.mark.slow  # float64 inside under every wrapping: tests/kernels/test_transforms.py
def test_solvers_survive_vmap_of_scan_of_jit():
    """The compiled experiment: float64 inside must hold when a whole loop around it is vmapped later."""
    for make in (selection.sparse_greedy, selection.frank_wolfe):
        select = jax.jit(lambda phi, make=make: make()(KEY, candidates(phi), B).indices)
        loop = lambda phi, select=select: jax.lax.scan(lambda c, _: (c, select(phi)), 0, None, length=1)[1][0]
        many = jax.jit(jax.vmap(loop))(FEATURES[:2])
        assert many.tolist() == [select(phi).tolist() for phi in FEATURES[:2]]


@pytest.mark.parametrize("large", [1.0, 1e25])
def test_hard_thresholding_of_what_has_no_finite_objective(large):
    """An infinite feature in a row that may not be picked makes the pool sum infinite: usable rows, each once. The
    square of 1e25 is infinite too, and is no number in units of the pool."""
    phi = np.random.RandomState(0).randn(8, 3).astype(np.float32)
    phi[5, 0], phi[6, 0] = -np.inf, large
    some = candidates(phi, eligible=np.arange(8) >= 4)
    sums = some.context._replace(features=jnp.array([-jnp.inf, 0.0, 0.0]), square=jnp.array(jnp.inf, jnp.float32))
    picks = run(selection.sparse_iht(), some._replace(context=sums), 4)
    assert picks.valid.tolist() == [True, True, True, False]
    assert sorted(picks.indices[:3].tolist()) == [4, 6, 7]
    assert int(picks.info["num_nan"]) == 1
