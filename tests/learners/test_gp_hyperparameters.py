"""Hyper-parameters of a Gaussian process: fitted as scikit-learn does, drawn as a grid of the posterior has them."""

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from gpjax.parameters import LowerTriangular, PositiveReal, SigmoidBounded, val
from numpyro.distributions import LogNormal, Normal, biject_to, constraints
from paramax import non_trainable
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF as SklearnRBF
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

from bal.acquisition import epistemic_variance
from bal.learners.gp import (
    effective_size,
    gp_regression,
    laplace_draws,
    log_posterior,
    lognormal_prior,
    maximum_likelihood,
    nuts,
    prior,
    process,
    split,
    weighted_draws,
)
from bal.learners.gp.coordinates import coordinates
from bal.learners.gp.laplace_draws import systematic
from bal.learners.restart import warm
from bal.loop import run_seeds, seed_keys
from bal.loop.checks import check_predictions
from bal.pool import make_pool
from bal.query import by_score
from bal.selection import best
from bal.typing import Data, Setup, Task

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 1))
Y = np.sin(2 * X[:, 0]) + 0.1 * RNG.normal(size=8)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def data():
    return Data(jnp.array(X), jnp.array(Y), jnp.ones(8))


def two():
    """Lengthscale and noise are free."""
    return process(gpjax.kernels.RBF(lengthscale=1.0, variance=non_trainable(PositiveReal(1.0))), 0.1)


def stacked(params):
    return jax.tree.map(lambda leaf: leaf[None], params)


def agree(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


# --- fitting ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fits():
    """Log evidences of fits of one model."""
    with jax.enable_x64(True):
        model = process(gpjax.kernels.RBF(lengthscale=0.2), 1.0)
        objective, initial = log_posterior(model, data()), split(model)[0]

        def fit(method, start):
            chosen = method.choose(KEY, initial, stacked(start), objective)
            best = jax.tree.map(lambda leaf: leaf[0], chosen.params)
            return best, objective(best)

        best, many = jax.jit(lambda start: fit(maximum_likelihood(40, 4), start))(initial)
        warmly = maximum_likelihood(2, optimizer=optax.adam(0.01), restart=warm)
        go_on = jax.jit(lambda start: (objective(start), fit(warmly, start)[1]))
        (start, few), (_, again) = go_on(initial), go_on(best)
        one = lambda: jax.jit(lambda start: fit(maximum_likelihood(40), start))(initial)[1]
        return {"start": start, "one": one, "many": many, "few": few, "again": again}


def test_fit_reaches_scikit_learn(fits):
    kernel = ConstantKernel(1.0) * SklearnRBF(0.2) + WhiteKernel(1.0)
    expected = GaussianProcessRegressor(kernel, n_restarts_optimizer=5, random_state=0).fit(X, Y)
    found = float(fits["many"])
    assert abs(found - expected.log_marginal_likelihood_value_) < 1e-4


@pytest.mark.slow
def test_more_starts_are_never_worse(fits):
    assert fits["start"] + 1 < fits["one"]() <= fits["many"]


def test_a_warm_start_goes_on(fits):
    assert fits["start"] < fits["few"] < fits["many"] - 1
    assert fits["again"] >= fits["many"] - 1e-9


def test_the_best_point_survives_a_broken_optimizer():
    """A step so long that there is no finite evidence where it ends: the start, the best point seen, is returned."""
    objective, initial = log_posterior(two(), data()), split(two())[0]
    method = maximum_likelihood(5, optimizer=optax.sgd(1e200))
    chosen = jax.jit(lambda: method.choose(KEY, initial, stacked(initial), objective).params)()
    jax.tree.map(lambda leaf, before: agree(leaf[0], before, 0.0), chosen, initial)


def test_a_prior_is_added_to_the_evidence():
    log_prior = prior((lambda p: p.kernel.lengthscale, Normal(3.0, 0.5)))
    initial = split(two())[0]
    both = jax.jit(lambda initial: [log_posterior(two(), data(), *rest)(initial) for rest in ((), (log_prior,))])
    alone, together = both(initial)
    agree(together - alone, scipy.stats.norm(3.0, 0.5).logpdf(1.0))


@pytest.mark.slow
def test_a_prior_moves_the_fit():
    """An all but certain prior is where the fit ends."""
    log_prior = prior((lambda p: p.kernel.lengthscale, Normal(3.0, 1e-4)), (lambda p: p.noise, Normal(0.5, 1e-4)))
    objective, initial = log_posterior(two(), data(), log_prior), split(two())[0]
    method = maximum_likelihood(60)
    chosen = jax.jit(lambda: method.choose(KEY, initial, stacked(initial), objective).params)()
    agree(val(chosen.kernel.lengthscale)[0], 3.0, 1e-3)
    agree(val(chosen.noise)[0], 0.5, 1e-3)


# --- priors and coordinates ------------------------------------------------------------------------------------------


def test_lognormal_prior_is_scipys():
    model = process(gpjax.kernels.RBF(lengthscale=jnp.array([0.3, 2.0]), variance=1.7), 0.2)
    expected = scipy.stats.lognorm(3**0.5).logpdf([0.3, 2.0, 1.7, 0.2]).sum()
    agree(jax.jit(lognormal_prior())(model), expected, 1e-7)
    named = prior((lambda p: p.noise, LogNormal(0.0, 2.0)))
    agree(jax.jit(named)(model), scipy.stats.lognorm(2.0).logpdf(0.2), 1e-7)
    with pytest.raises(ValueError, match="must be positive"):
        lognormal_prior(0.0)


def test_coordinates_carry_the_jacobian():
    """A density of one on the constrained values: what remains is the Jacobian, known from numpyro's transforms."""
    params = {
        "positive": PositiveReal(jnp.array([0.3, 2.0])),
        "bounded": SigmoidBounded(jnp.array(0.4), low=-1.0, high=2.0),
        "matrix": LowerTriangular(jnp.array([[1.0, 0.0], [0.3, 2.0]])),
        "bare": jnp.array(3.0),
    }
    at = coordinates(params, lambda params: jnp.zeros(()))
    back, found = jax.jit(lambda theta: (at.params(theta), at.log_density(theta)))(at.start)
    jax.tree.map(agree, back, params)
    bounded, matrix = params["bounded"], params["matrix"]
    volume = lambda constraint, x: biject_to(constraint).log_abs_det_jacobian(x, biject_to(constraint)(x))

    @jax.jit
    def volumes(bounded, matrix):
        return volume(constraints.interval(-1.0, 2.0), bounded), volume(constraints.softplus_lower_cholesky, matrix)

    agree(found, np.log(0.3) + np.log(2.0) + sum(volumes(bounded._unconstrained, matrix._flat)), 1e-6)


# --- samplers --------------------------------------------------------------------------------------------------------


def logs(params):
    """The two free values' logarithms ``[..., 2]``."""
    return jnp.stack([jnp.log(val(params.kernel.lengthscale)), jnp.log(val(params.noise))], -1)


def moments(points):
    """What is compared: first and second moments, ``[..., 4]``."""
    return jnp.concatenate([points, points**2], -1)


@pytest.fixture(scope="module")
def posterior():
    """The objective, its start, and the moments of a dense grid of the posterior of the logarithms."""
    with jax.enable_x64(True):
        objective, initial = log_posterior(two(), data(), lognormal_prior(1.0)), split(two())[0]
        at = coordinates(initial, objective)
        line = jnp.linspace(-7.0, 7.0, 141)
        grid = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
        weight = jax.nn.softmax(jax.jit(lambda grid: jax.lax.map(at.log_density, grid))(grid))
        return objective, initial, np.asarray(weight @ moments(grid))


def within_three_errors(repeats, expected):
    """The mean of independent repeats ``[R, 4]`` against the grid, with the standard error between repeats."""
    error = repeats.std(0, ddof=1) / np.sqrt(len(repeats))
    assert (np.abs(repeats.mean(0) - expected) < 3 * error + 1e-3).all(), (repeats.mean(0), expected, error)


@pytest.mark.slow
def test_laplace_draws_are_the_grid(posterior):
    """Weighted points and draws of equal weight alike. The bias of self-normalized weights is of the order of 1/S."""
    objective, initial, expected = posterior

    def one(key):
        found = weighted_draws(key, initial, objective, 128, 20)
        points = moments(logs(found.params))
        draws = points[systematic(jax.random.fold_in(key, 1), found.log_weight, 32)]
        return jnp.exp(found.log_weight) @ points, draws.mean(0), effective_size(found.log_weight)

    weighted, draws, sizes = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(KEY, 24))
    within_three_errors(np.asarray(weighted), expected)
    within_three_errors(np.asarray(draws), expected)
    assert (np.asarray(weighted).std(0) < 0.1 * np.sqrt(np.abs(expected))).all()
    assert 128 / 4 < sizes.min() <= sizes.max() < 128


@pytest.mark.slow
def test_nuts_is_the_grid(posterior):
    """Twelve chains of forty draws."""
    objective, initial, expected = posterior
    choose = lambda key: nuts(40, 100, 4).choose(key, initial, stacked(initial), objective).params
    draws = jax.jit(lambda keys: jax.lax.map(choose, keys))(jax.random.split(KEY, 12))
    within_three_errors(np.asarray(moments(logs(draws)).mean(1)), expected)


def test_weighted_points_are_a_normal_posterior():
    """A narrow, tilted normal, where the proposal is twice as wide and more: moments within three standard errors, and
    half of the points, those of the narrow component, do the work."""
    mean, factor = np.array([1.0, -2.0]), np.array([[0.05, 0.0], [0.3, 0.4]])
    log_density = lambda theta: -0.5 * jnp.sum(jnp.linalg.solve(jnp.asarray(factor), theta - mean) ** 2)
    found = jax.jit(lambda: weighted_draws(KEY, jnp.zeros(2), log_density, 512, 30))()
    weight, size = np.exp(found.log_weight), float(effective_size(found.log_weight))
    assert 512 / 4 < size < 512
    white = np.linalg.solve(factor, (np.asarray(found.params) - mean).T)  # standard normal, in two dimensions
    np.testing.assert_allclose(white @ weight, 0.0, atol=3 / np.sqrt(size))
    np.testing.assert_allclose(white**2 @ weight, 1.0, atol=3 * np.sqrt(2 / size))


def test_systematic_resampling_counts():
    weight = np.array([0.5, 0.25, 0.0, 0.15, 0.1])
    pick = jax.jit(jax.vmap(lambda key: systematic(key, jnp.log(jnp.array(weight)), 8)))
    picked = np.array(pick(jax.random.split(KEY, 400)))
    counts = (picked[:, :, None] == np.arange(5)).sum(1)
    assert (counts >= np.floor(8 * weight)).all()
    assert (counts <= np.ceil(8 * weight)).all()
    error = counts.std(0) / 20
    assert (np.abs(counts.mean(0) - 8 * weight) <= 3 * error + 1e-12).all()


def by_inverse(lengthscale, noise):
    k = np.exp(-0.5 * (X - X.T) ** 2 / lengthscale**2)
    gain = k @ np.linalg.inv(k + noise * np.eye(8))
    return gain @ Y, np.diag(k - gain @ k)


@pytest.mark.slow
def test_draws_become_predictions():
    """K draws give [N, K], each the exact posterior at its own values; padding is no number to any derivative."""
    learner = gp_regression(two(), laplace_draws(3, 16, 5), log_prior=lognormal_prior())
    padded = Data(*(jnp.concatenate([leaf, jnp.zeros_like(leaf[:3])]) for leaf in data()[:3]))
    state = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(padded)
    found = learner.predict(state, data().x)
    check_predictions(found, 8)
    assert found.mean.shape == (8, 3)
    assert np.ptp(found.mean, 1).max() > 1e-3
    for k, (lengthscale, noise) in enumerate(np.exp(logs(state.params))):
        mean, variance = by_inverse(lengthscale, noise)
        agree(found.mean[:, k], mean, 1e-8)
        agree(found.variance[:, k], variance, 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("method", [laplace_draws(2, 8, 3), nuts(2, 3, 2)], ids=["laplace", "nuts"])
def test_sampling_inside_whole_experiments(method):
    """Two seeds on two host devices: ends, and each asks for new rows."""
    learner = gp_regression(two(), method, log_prior=lognormal_prior())
    setup = Setup(learner, by_score(epistemic_variance, best), batch_size=1, num_rounds=2, num_initial=2)
    assert len(jax.local_devices()) == 2
    log = run_seeds(seed_keys(0, 2), Task(make_pool(jnp.array(X)), jnp.array(Y)), setup).log
    assert (log.scores > 0).all()
    for start, picked in zip(log.start, log.indices):
        assert len({*start.tolist(), *picked.ravel().tolist()}) == 4


@pytest.mark.slow
def test_nuts_is_the_same_under_vmap(posterior):
    objective, initial, _ = posterior
    keys = jax.random.split(KEY, 2)
    draw = lambda key: logs(nuts(2, 5, 2).choose(key, initial, stacked(initial), objective).params)
    agree(jax.jit(jax.vmap(draw))(keys), jax.jit(lambda keys: jax.lax.map(draw, keys))(keys), 1e-6)


def test_a_posterior_that_is_nowhere_a_number_gives_no_draws():
    """They are NaN, so that predictions are, which `check_predictions` refuses."""
    initial = split(two())[0]
    method = laplace_draws(2, 8, 3)
    objective = lambda params: jnp.nan * val(params.noise)
    draws, converged, _ = jax.jit(lambda: method.choose(KEY, initial, stacked(initial), objective))()
    assert np.isnan(logs(draws)).all()
    assert not converged.any()


@pytest.mark.parametrize(
    "make", [lambda: laplace_draws(0), lambda: laplace_draws(9, 8), lambda: nuts(0), lambda: nuts(1, 0)]
)
def test_impossible_numbers_are_refused(make):
    with pytest.raises(ValueError, match="at least 1"):
        make()


def test_chains_too_short_to_be_judged_are_refused():
    with pytest.raises(ValueError, match="a chain of 3 steps behind the warm-up cannot be judged"):
        nuts(1, 5, 3)


@pytest.mark.parametrize("method", [maximum_likelihood(1), laplace_draws(1), nuts(1)])
def test_nothing_to_choose_is_refused(method):
    fixed = process(gpjax.kernels.RBF(), 1.0, fixed=True)
    initial = split(fixed)[0]
    with pytest.raises(ValueError, match="nothing to choose"):
        method.choose(KEY, initial, initial, log_posterior(fixed, data()))
