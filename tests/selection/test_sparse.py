"""Sparse approximations: features, inner products and the three solvers, against slow float64 references."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from bal import selection
from bal.labeled import ask, empty_log, make_pool
from bal.rows import chunked, dense
from bal.selection import PoolRows, SparseRows, sum_rows
from bal.selection.frank_wolfe import _init, _score, _Unit, _update
from bal.selection.iht import _solve, proximal
from bal.selection.sparse_problem import check_weights, nnls, sparse_problem
from bal.typing import Candidates, Gaussian, Learner, Posterior, Round

KEY = jax.random.key(0)
N, J, B, TRIALS = 14, 6, 4, 16
RNG = np.random.RandomState(0)
FEATURES = (RNG.randn(TRIALS, N, J) + 0.5 * RNG.randn(TRIALS, 1, J)).astype(np.float32)
VARIANCE = (0.2 + RNG.rand(TRIALS, N)).astype(np.float32)


def candidates(features, variance=None, eligible=None):
    variance = jnp.zeros(len(features)) if variance is None else variance
    rows, one = SparseRows(jnp.asarray(features), jnp.asarray(variance)), jnp.ones(len(features))
    eligible = one > 0 if eligible is None else jnp.asarray(eligible)
    return Candidates(rows, jnp.arange(len(features)), eligible, one, context=sum_rows(rows, one))


def run_all(select):
    """One compilation for all trials."""
    return jax.jit(jax.vmap(lambda phi, s2: select(KEY, candidates(phi, s2), B)))(FEATURES, VARIANCE)


ALPHA, BETA = 0.3, 0.05


@pytest.fixture(scope="module")
def wolfe():
    return run_all(selection.frank_wolfe())


@pytest.fixture(scope="module")
def solved():
    settings = {"alpha": ALPHA, "beta": BETA}
    return {
        "greedy": run_all(selection.sparse_greedy(**settings)),
        "refit": run_all(selection.sparse_greedy(**settings, refit=True)),
        "iht": run_all(selection.sparse_iht(**settings)),
    }


# ---- features ----------------------------------------------------------------------------------------------------


def test_expected_log_likelihoods_from_the_definition():
    probs = np.random.RandomState(1).dirichlet(np.ones(3), (5, 4))  # [n, K, C]
    got = selection.expected_log_likelihoods(jnp.log(jnp.asarray(probs, jnp.float32)))
    for n in range(5):
        mean = probs[n].mean(0)
        g = [(np.log(probs[n, :, y]) - np.log(probs[n, :, y]).mean()) / np.sqrt(4) for y in range(3)]
        phi = sum(mean[y] * g[y] for y in range(3))
        np.testing.assert_allclose(got.features[n], phi, rtol=1e-4, atol=1e-6)
        spread = sum(mean[y] * np.sum((g[y] - phi) ** 2) for y in range(3))
        np.testing.assert_allclose(got.variance[n], spread, rtol=1e-4)


def test_log_likelihoods_with_certain_or_identical_draws():
    certain = jnp.log(jnp.array([[[1.0, 0.0], [0.5, 0.5]], [[0.3, 0.7], [0.3, 0.7]], [[1.0, 0.0], [1.0, 0.0]]]))
    rows = selection.expected_log_likelihoods(certain)
    assert bool(jnp.isfinite(rows.features).all() & jnp.isfinite(rows.variance).all())
    assert rows.features[1:].tolist() == [[0.0, 0.0]] * 2
    assert rows.variance[1:].tolist() == [0.0] * 2
    np.testing.assert_allclose(rows.features.sum(1), 0.0, atol=1e-4)  # centered


def test_gaussian_log_likelihoods_by_quadrature():
    rng = np.random.RandomState(2)
    mean, variance, noise = rng.randn(3, 4), rng.rand(3, 4), 0.3 + rng.rand(3, 4)
    got = selection.expected_gaussian_log_likelihoods(Gaussian(*(jnp.asarray(x) for x in (mean, variance, noise))))
    y = np.linspace(-15, 15, 20001)
    for n in range(3):
        log_p = scipy.stats.norm.logpdf(y[:, None], mean[n], np.sqrt(variance[n] + noise[n]))
        weight = np.exp(log_p).mean(1) * (y[1] - y[0])
        g = (log_p - log_p.mean(1, keepdims=True)) / 2
        phi = weight @ g
        np.testing.assert_allclose(got.features[n], phi, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(got.variance[n], weight @ np.sum((g - phi) ** 2, 1), rtol=1e-3)


def test_pseudo_label_gradients_are_gradients():
    logits, hidden = RNG.randn(3).astype(np.float32), RNG.randn(2).astype(np.float32)
    layer = jnp.zeros((3, 2))
    loss = lambda layer, y: -jax.nn.log_softmax(logits + layer @ hidden)[y]
    gradients = np.stack([jax.grad(loss)(layer, y).ravel() for y in range(3)])
    log_p = jax.nn.log_softmax(logits)
    rows = selection.pseudo_label_gradients(log_p[None, None], jnp.asarray(hidden)[None])
    np.testing.assert_allclose(rows.features[0], gradients[int(np.argmax(logits))], atol=1e-6)
    p = np.exp(log_p)
    np.testing.assert_allclose(p @ gradients, 0.0, atol=1e-6)  # why the pseudo-label is needed
    np.testing.assert_allclose(rows.variance[0], p @ np.sum(gradients**2, 1), rtol=1e-5)


def _softmax_posterior():
    weights = jnp.asarray(RNG.randn(2, 4, 3), jnp.float32)  # D K C
    predict = lambda state, x: jax.nn.log_softmax(jnp.einsum("nd,dkc->nkc", x, state), -1)
    embed = lambda state, x: x[:, None]
    return Posterior(weights, Learner(None, None, predict, embed))


@pytest.mark.parametrize("over", [dense, chunked(4)])
def test_pool_sums_count_what_waits_for_a_label(over):
    posterior, x = _softmax_posterior(), jnp.asarray(RNG.randn(10, 2), jnp.float32)
    pool = make_pool(x)._replace(present=jnp.arange(10) != 3)
    labeled = ask(empty_log(4, jnp.zeros(10, jnp.int32)), jnp.array([5, 7]), jnp.ones(2) > 0)
    rows = selection.sparse_rows(selection.expected_log_likelihoods)
    sums = selection.pool_sums(rows)(KEY, Round(posterior, pool, labeled, None), over)
    wait = [0, 1, 2, 4, 6, 8, 9]
    phi = np.asarray(rows(posterior, None, x).features, np.float64)[wait]
    np.testing.assert_allclose(sums.features, phi.sum(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sums.norm, np.linalg.norm(phi, axis=1).sum(), rtol=1e-5)
    assert int(sums.count) == 7
    gradients = selection.gradient_rows(posterior, None, x)
    assert gradients.features.shape == (10, 6)


def test_a_row_without_a_value_is_left_out_of_the_sums():
    sums = sum_rows(SparseRows(jnp.array([[1.0], [jnp.nan], [2.0]]), jnp.ones(3)), jnp.ones(3))
    assert (sums.features.tolist(), float(sums.count)) == ([3.0], 2.0)


# ---- closed forms ------------------------------------------------------------------------------------------------


D = 3
X = RNG.randn(6, D)
TRAIN_X, TRAIN_Y = RNG.randn(8, D), RNG.randn(8)
NOISE = 0.5


def gram(pair, rows):
    every = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))
    return np.asarray(every(rows, rows))


@functools.cache
def linear_draws():
    """Head, Gram matrices by the closed forms, and log likelihoods and gradients at 200,000 draws."""
    as32 = lambda x: jnp.asarray(x, jnp.float32)
    head = selection.known_noise(as32(TRAIN_X), as32(TRAIN_Y), jnp.ones(8), NOISE)
    rows = selection.head_rows(as32(X), head)
    mean, covariance = np.asarray(head.mean, np.float64), np.asarray(head.covariance, np.float64)
    theta = np.random.RandomState(3).multivariate_normal(mean, covariance, 200_000)
    f, s = theta @ X.T, np.einsum("nd,de,ne->n", X, covariance, X)
    expected = -0.5 * np.log(2 * np.pi * NOISE) - (NOISE + s + (X @ mean - f) ** 2) / (2 * NOISE)
    entropy = 0.5 * np.log(2 * np.pi * np.e * (NOISE + s))
    scores = (X @ mean - f) / NOISE
    return head, rows, expected + entropy, scores


def test_head_is_the_regularized_regression():
    head = linear_draws()[0]
    covariance = NOISE * np.linalg.inv(TRAIN_X.T @ TRAIN_X + NOISE * np.eye(D))
    np.testing.assert_allclose(head.covariance, covariance, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.mean, covariance @ TRAIN_X.T @ TRAIN_Y / NOISE, rtol=1e-4, atol=1e-5)


def test_linear_fisher_by_simulation_and_as_features():
    _, rows, _, scores = linear_draws()
    simulated = (scores.T @ scores / len(scores)) * (X @ X.T)
    closed = gram(selection.linear_fisher, rows)
    np.testing.assert_allclose(closed, simulated, atol=0.02 * np.abs(simulated).max())
    features = selection.linear_features(rows.x, linear_draws()[0].covariance, NOISE)
    np.testing.assert_allclose(features.features @ features.features.T, closed, rtol=1e-4, atol=1e-5)


def test_projections_converge_to_the_euclidean_closed_form():
    """The error of J projections falls as 1 / √J."""
    _, rows, values, _ = linear_draws()
    closed = gram(selection.linear_euclidean, rows)

    def error(size):
        blocks = values[: 200_000 // size * size].reshape(-1, size, values.shape[1])[:400]
        return np.sqrt(np.mean([(block.T @ block / size - closed) ** 2 for block in blocks]))

    np.testing.assert_allclose(closed, values.T @ values / len(values), atol=0.03 * np.abs(closed).max())
    assert 2.3 < error(50) / error(450) < 3.9  # √9 = 3


def test_unknown_noise_is_the_expectation_over_the_noise():
    as32 = lambda x: jnp.asarray(x, jnp.float32)
    head = selection.unknown_noise(as32(TRAIN_X), as32(TRAIN_Y), jnp.ones(8), 2.0, 1.5)
    precision = TRAIN_X.T @ TRAIN_X + np.eye(D)
    scale, mean = np.linalg.inv(precision), np.linalg.solve(precision, TRAIN_X.T @ TRAIN_Y)
    a, b = 2.0 + 4, 1.5 + 0.5 * (TRAIN_Y @ TRAIN_Y - mean @ precision @ mean)
    closed = gram(selection.linear_fisher, selection.head_rows(as32(X), head))
    np.testing.assert_allclose(closed, a / b * (X @ X.T) * (X @ scale @ X.T), rtol=1e-3, atol=1e-4)
    noise = 1 / np.random.RandomState(4).gamma(a, 1 / b, 200_000)
    deviation = np.random.RandomState(5).multivariate_normal(np.zeros(D), scale, 200_000) * np.sqrt(noise)[:, None]
    scores = deviation @ X.T / noise[:, None]
    simulated = (scores.T @ scores / len(scores)) * (X @ X.T)
    np.testing.assert_allclose(closed, simulated, atol=0.02 * np.abs(simulated).max())


def test_probit_form_against_bivariate_normal_and_owens_t():
    head, rows, _, _ = linear_draws()
    got = gram(selection.probit_fisher, rows)
    mean, covariance = X @ np.asarray(head.mean), X @ np.asarray(head.covariance, np.float64) @ X.T
    total = np.sqrt(1 + np.diag(covariance))
    zeta, rho = mean / total, covariance / np.outer(total, total)
    for n, m in itertools.combinations(range(4), 2):
        joint = scipy.stats.multivariate_normal.cdf(zeta[[n, m]], cov=[[1, rho[n, m]], [rho[n, m], 1]])
        expected = X[n] @ X[m] * (joint - scipy.stats.norm.cdf(zeta[n]) * scipy.stats.norm.cdf(zeta[m]))
        np.testing.assert_allclose(got[n, m], expected, rtol=2e-3, atol=2e-5)
    single = scipy.stats.norm.cdf(zeta)
    owen = scipy.special.owens_t(zeta, 1 / np.sqrt(1 + 2 * np.diag(covariance)))
    np.testing.assert_allclose(np.diag(got), np.sum(X**2, 1) * (single * (1 - single) - 2 * owen), rtol=1e-3)


def test_logistic_form_is_close_to_the_logistic():
    head, rows, _, _ = linear_draws()
    theta = np.random.RandomState(6).multivariate_normal(head.mean, head.covariance, 200_000)
    sigmoid = scipy.special.expit(theta @ X.T)
    simulated = np.diag(np.cov(sigmoid.T) * (X @ X.T))
    ratio = np.diag(gram(selection.logistic_fisher, rows)) / simulated
    assert (ratio > 0.88).all()
    assert (ratio < 1.1).all()


# ---- Frank-Wolfe -------------------------------------------------------------------------------------------------


def frank_wolfe_by_definition(phi, batch_size, steps):
    """Algorithm 1 of Pinsler et al. in kernel form, with γ clipped: picks in order, weights, residuals."""
    phi = np.asarray(phi, np.float64)
    k = phi @ phi.T
    size = np.sqrt(np.diag(k))
    s, w, picks, residuals = size.sum(), np.zeros(len(phi)), [], []
    while len(picks) < batch_size and len(residuals) < steps:
        r = k @ (1 - w)
        f = int(np.argmax(r / size))
        numerator = s / size[f] * r[f] - (1 - w) @ k @ w
        gamma = np.clip(numerator / (s**2 - 2 * s / size[f] * (k @ w)[f] + w @ k @ w), 0, 1)
        w *= 1 - gamma
        w[f] += gamma * s / size[f]
        residuals.append(np.sqrt((1 - w) @ k @ (1 - w) / k.sum()))
        if f not in picks:
            picks.append(f)
    return picks, w, residuals


def test_frank_wolfe_is_the_published_algorithm(wolfe):
    for trial in range(TRIALS):
        picks, w, residuals = frank_wolfe_by_definition(FEATURES[trial], B, 10 * B)
        assert wolfe.indices[trial].tolist() == picks
        np.testing.assert_allclose(wolfe.info["weights"][trial], w[picks], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(wolfe.info["residual"][trial], residuals[-1], rtol=1e-3)
        assert (np.diff(residuals) <= 1e-12).all()
        assert int(wolfe.info["num_steps"][trial]) == len(residuals)
    assert not bool(wolfe.info["topped_up"].any())


def test_first_pick_is_best_aligned_with_the_pool(wolfe):
    phi = FEATURES.astype(np.float64)
    alignment = np.einsum("tnj,tj->tn", phi, phi.sum(1)) / np.linalg.norm(phi, axis=2)
    assert wolfe.indices[:, 0].tolist() == alignment.argmax(1).tolist()
    np.testing.assert_allclose(wolfe.scores[:, 0], alignment.max(1), rtol=1e-5)


def test_kernel_form_is_the_projection_form(wolfe):
    select = selection.frank_wolfe_kernel(jnp.dot)
    one = jnp.ones(N)

    def kernel(phi):
        return select(KEY, Candidates(phi, jnp.arange(N), one > 0, one, context=PoolRows(phi, one)), B)

    got = jax.jit(jax.vmap(kernel))(FEATURES)
    assert got.indices.tolist() == wolfe.indices.tolist()
    for name in ("weights", "residual", "num_steps"):
        np.testing.assert_allclose(got.info[name], wolfe.info[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scales", [np.ones(8), 1.0 + np.arange(8)])
def test_orthogonal_rows_give_weight_one_and_no_residual(scales):
    """The first N steps take every row once if all are equally long; then the squared residual falls as 1 / t."""
    with jax.enable_x64(True):
        some = candidates(np.diag(scales))
        norms = jnp.asarray(scales)
        some = some._replace(rows=_Unit(some.rows.features, norms, (some.rows.features / norms[:, None]).T))

        def step(state, _):
            position = jnp.argmax(_score(state, some))
            return _update(state, some, position), (position, jnp.sum((some.context.features - state.fitted) ** 2))

        last, (picks, squared) = jax.jit(lambda: jax.lax.scan(step, _init(KEY, some), None, length=4000))()
    np.testing.assert_allclose(last.weights, 1.0, atol=0.1)
    assert 5 < squared[399] / squared[3999] < 20
    assert (np.diff(squared) <= 1e-12).all()
    if np.ptp(scales) == 0:
        assert sorted(picks[:8].tolist()) == list(range(8))


def test_duplicates_are_topped_up_and_marked():
    """Two directions, ten copies each: steps go back and forth between two rows, and the longest rows fill up."""
    phi = np.repeat([[2.0, 0.0], [0.0, 1.0]], 10, 0).astype(np.float32)
    picks = selection.frank_wolfe(max_steps=500)(KEY, candidates(phi), 4)
    assert picks.indices.tolist() == [0, 10, 1, 2]
    assert picks.info["topped_up"].tolist() == [False, False, True, True]
    assert int(picks.info["num_distinct"]) == 2
    assert picks.info["weights"].tolist()[2:] == [0.0, 0.0]
    assert float(picks.info["residual"]) < 0.03
    assert bool(picks.valid.all())


def test_a_step_cap_stops_and_tops_up():
    picks = selection.frank_wolfe(max_steps=2)(KEY, candidates(FEATURES[0]), 4)
    assert int(picks.info["num_steps"]) == 2
    assert picks.info["topped_up"].tolist() == [False, False, True, True]
    assert len(set(picks.indices.tolist())) == 4


def test_batch_of_ones_is_nearer_to_the_pool_than_random_batches():
    """Read as a plain batch, rescaled to the pool sum: below the mean of random batches of the same size."""
    phi = FEATURES.reshape(-1, J)[:64].astype(np.float64)
    v = phi.sum(0)
    residual = lambda rows: np.linalg.norm(
        v - phi[rows].sum(0) * (phi[rows].sum(0) @ v) / np.sum(phi[rows].sum(0) ** 2)
    )
    picks = selection.frank_wolfe()(KEY, candidates(phi.astype(np.float32)), 8).indices
    rng = np.random.RandomState(7)
    assert residual(np.asarray(picks)) < 0.7 * np.mean([residual(rng.permutation(64)[:8]) for _ in range(200)])


def test_contexts_are_demanded():
    some = candidates(FEATURES[0])._replace(context=None)
    for select in (selection.frank_wolfe(), selection.sparse_greedy(), selection.sparse_iht()):
        with pytest.raises(ValueError, match="use pool_sums"):
            select(KEY, some, 2)
    with pytest.raises(ValueError, match="use pool_rows"):
        selection.frank_wolfe_kernel(jnp.dot)(KEY, some, 2)


@pytest.mark.parametrize("make", [selection.sparse_greedy, selection.sparse_iht])
def test_meaningless_settings_are_rejected(make):
    for settings in ({"alpha": -1.0}, {"beta": -1.0}):
        with pytest.raises(ValueError, match="must not be negative"):
            make(**settings)
    with pytest.raises(ValueError, match="normalize is"):
        check_weights(1.0, 1.0, "mean")


# ---- greedy and hard thresholding ----------------------------------------------------------------------------------


def scaled(trial, share=B / N):
    """Φ, v and α s² in the units of the objective."""
    phi, s2 = FEATURES[trial].astype(np.float64), VARIANCE[trial].astype(np.float64)
    phi = phi / np.sqrt(np.mean(np.sum(phi**2, 1)))
    return phi, share * phi.sum(0), ALPHA * s2 / s2.mean()


def objective(trial, rows, weights):
    """F from its definition, over all N weights."""
    phi, v, bonus = scaled(trial)
    w = np.zeros(N)
    w[rows] = weights
    return np.sum((v - phi.T @ w) ** 2) - np.sum(bonus[w > 0]) + BETA * np.sum((w - 1) ** 2)


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
        grid = np.linspace(0, 3, 3001)
        values = [min(objective(trial, [n], [w]) for w in grid) for n in range(N)]
        assert int(solved["greedy"].indices[trial, 0]) == int(np.argmin(values))


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
        rows = picks.indices[trial]
        np.testing.assert_allclose(picks.info["weights"][trial], fit(trial, np.asarray(rows)), rtol=1e-3, atol=1e-4)


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
    rng = np.random.RandomState(9)
    for _ in range(5):
        s, bonus = rng.randn(6), rng.rand(6)
        value = lambda w, s=s, bonus=bonus: np.sum((w - s) ** 2) - np.sum(bonus[w > 0])
        best = np.inf
        for size in range(4):
            for rows in itertools.combinations(range(6), size):
                w = np.zeros(6)
                w[list(rows)] = np.maximum(s[list(rows)], 0)
                best = min(best, value(w))
        indices, weights, _ = proximal(*(jnp.asarray(x, jnp.float32) for x in (s, bonus)), jnp.ones(6, bool), 3)
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


@pytest.mark.parametrize("make", [selection.sparse_greedy, selection.sparse_iht])
def test_the_whole_pool_has_weight_one(make):
    """B = N, α = 0: the pool stands for itself, whatever the normalization."""
    phi = np.linalg.qr(np.random.RandomState(1).randn(6, 6))[0].astype(np.float32)
    for settings in ({"normalize": "sum"}, {"normalize": "batch", "refit": True}):
        picks = make(alpha=0.0, **settings)(KEY, candidates(phi), 6)
        np.testing.assert_allclose(picks.info["weights"], 1.0, rtol=1e-4)
        assert float(picks.info["residual"]) < 1e-4


def test_copies_are_not_worth_picking_twice():
    """α = 0 on four copies of three directions: one of each before any copy."""
    phi = np.tile(np.eye(3, dtype=np.float32), (4, 1))
    for make in (selection.sparse_greedy, selection.sparse_iht):
        picks = make(alpha=0.0, normalize="sum")(KEY, candidates(phi), 3)
        assert sorted(i % 3 for i in picks.indices.tolist()) == [0, 1, 2]


def test_solvers_survive_vmap_of_scan_of_jit():
    """The compiled experiment: float64 inside must hold when a whole loop around it is vmapped later."""
    for make in (selection.sparse_greedy, selection.frank_wolfe):
        select = jax.jit(lambda phi, make=make: make()(KEY, candidates(phi), B).indices)
        loop = lambda phi, select=select: jax.lax.scan(lambda c, _: (c, select(phi)), 0, None, length=1)[1][0]
        many = jax.jit(jax.vmap(loop))(FEATURES[:2])
        assert many.tolist() == [select(phi).tolist() for phi in FEATURES[:2]]
