"""Exact Gaussian process regression against formulas in numpy, scikit-learn and gpjax, and inside whole experiments."""

from functools import partial

import equinox as eqx
import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from gpjax.parameters import PositiveReal
from paramax import non_trainable
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF as SklearnRBF

from bal.acquisition import epistemic_variance
from bal.kernels import learner_covariance, noisy
from bal.learners.gp import given, gp_regression, maximum_likelihood, process, sparse_gp
from bal.learners.gp.conditioned import condition
from bal.loop import Campaign, run, run_eager, run_seeds, seed_keys
from bal.loop.checks import check_predictions
from bal.pool import make_pool
from bal.query import Query, Stage, by_score, embeddings, posterior_context
from bal.selection import best, max_det
from bal.typing import Data, Setup, Task

KEY = jax.random.key(0)
LENGTHSCALE, VARIANCE, NOISE, MEAN = np.array([0.7, 1.3]), 1.7, 0.2, 0.4
RNG = np.random.default_rng(0)
X, X_NEW = RNG.normal(size=(7, 2)), RNG.normal(size=(5, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rbf():
    return gpjax.kernels.RBF(lengthscale=jnp.array(LENGTHSCALE), variance=VARIANCE)


def constant():
    return gpjax.mean_functions.Constant(MEAN)


def data(x=X, y=Y, weight=None):
    return Data(jnp.array(x), jnp.array(y), jnp.ones(len(x)) if weight is None else jnp.array(weight))


program = partial(jax.jit, static_argnums=0)  # learners that are made alike share one


@program
def fitted(learner, data):
    return learner.fit(KEY, learner.init(KEY, data), data)


@program
def predicted(learner, state, x=X_NEW):
    return learner.predict(state, jnp.asarray(x))


@program
def covariance_rows(learner, state, a, b):
    rows = (learner.embed(state, jnp.asarray(a)), learner.embed(state, jnp.asarray(b)))
    return jax.vmap(jax.vmap(lambda p, q: learner.kernel(state, p, q), (None, 0)), (0, None))(*rows)


@eqx.filter_jit
def log_evidence(model, data):
    return condition(model, data.x, data.y, data.weight)[2]


def written_out(x, y, x_new, noise, mean=MEAN, scale=LENGTHSCALE):
    """Mean, covariance, log evidence: Rasmussen and Williams, equations 2.23, 2.24 and 2.30, with plain inverses."""
    k = lambda a, b: VARIANCE * np.exp(-0.5 * np.sum(((a[:, None] - b[None]) / scale) ** 2, -1))
    total = k(x, x) + np.diag(np.broadcast_to(noise, len(x)))
    inverse = np.linalg.inv(total)
    found = mean + k(x_new, x) @ inverse @ (y - mean)
    evidence = -0.5 * ((y - mean) @ inverse @ (y - mean) + np.linalg.slogdet(2 * np.pi * total)[1])
    return found, k(x_new, x_new) - k(x_new, x) @ inverse @ k(x, x_new), evidence


def agree(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_posterior_and_evidence_by_inverse():
    model = process(rbf(), NOISE, constant())
    learner = gp_regression(model)
    state = fitted(learner, data())
    mean, covariance, evidence = written_out(X, Y, X_NEW, NOISE)
    found = predicted(learner, state)
    agree(found.mean[:, 0], mean)
    agree(found.variance[:, 0], np.diag(covariance))
    agree(found.noise, np.full((5, 1), NOISE))
    agree(covariance_rows(learner, state, X_NEW, X_NEW), covariance)
    agree(log_evidence(model, data()), evidence)


def test_noise_of_each_input():
    noise = lambda x: 0.1 + x[:, 0] ** 2
    learner = gp_regression(process(rbf(), noise, constant()))
    mean, covariance, evidence = written_out(X, Y, X_NEW, noise(X))
    state = fitted(learner, data())
    found = predicted(learner, state)
    agree(found.mean[:, 0], mean)
    agree(found.variance[:, 0], np.diag(covariance))
    agree(found.noise[:, 0], noise(X_NEW))
    agree(
        program(lambda learner, state: learner.embed(state, jnp.array(X_NEW)).noise[:, 0])(learner, state), noise(X_NEW)
    )
    agree(log_evidence(process(rbf(), noise, constant()), data()), evidence)


def test_scikit_learn_and_gpjax_agree():
    model = process(rbf(), NOISE)
    learner = gp_regression(model)
    found = predicted(learner, fitted(learner, data()))
    kernel = VARIANCE * SklearnRBF(LENGTHSCALE)
    other = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(X, Y)
    mean, deviation = other.predict(X_NEW, return_std=True)
    agree(found.mean[:, 0], mean)
    agree(found.variance[:, 0], deviation**2)
    agree(log_evidence(model, data()), other.log_marginal_likelihood_value_)
    prior = gpjax.gps.Prior(mean_function=gpjax.mean_functions.Zero(), kernel=rbf(), jitter=0.0)
    posterior = prior * gpjax.likelihoods.Gaussian(obs_stddev=np.sqrt(NOISE))

    @jax.jit
    def of_gpjax(x, y, x_new):
        told = posterior.condition(gpjax.Dataset(x, y)).predict(x_new)
        return told.mean, told.variance

    mean, variance = of_gpjax(X, Y[:, None], X_NEW)
    agree(found.mean[:, 0], mean, 1e-8)
    agree(found.variance[:, 0], variance, 1e-8)


def padded():
    """The same labels among rubbish of weight 0, some of it in the middle."""
    places = np.array([0, 2, 3, 5, 7, 8, 9])
    x, y, weight = np.full((11, 2), 1e8), np.full(11, np.nan), np.zeros(11)
    x[places], y[places], weight[places] = X, Y, 1.0
    return data(x, y, weight)


@pytest.mark.slow  # rows of weight 0 change nothing: tests/contracts; where a kernel has no value: below
def test_padding_changes_nothing():
    model = process(rbf(), NOISE, constant())
    learner = gp_regression(model)
    compact, stretched = fitted(learner, data()), fitted(learner, padded())
    for a, b in zip(*(predicted(learner, state) for state in (compact, stretched))):
        agree(b, a)
    agree(covariance_rows(learner, stretched, X_NEW, X), covariance_rows(learner, compact, X_NEW, X))
    agree(log_evidence(model, padded()), log_evidence(model, data()))


class OfLogarithms(gpjax.kernels.RBF):
    """A kernel that has no value at 0, where padding lies."""

    def __call__(self, x, y):
        return super().__call__(jnp.log(x), jnp.log(y))


def test_a_kernel_needs_no_value_where_padding_lies():
    own = OfLogarithms(lengthscale=jnp.array(LENGTHSCALE), variance=VARIANCE)
    x = np.r_[np.exp(X), np.zeros((3, 2))]
    given = data(x, np.r_[Y, np.zeros(3)], np.r_[np.ones(7), np.zeros(3)])
    plain = gp_regression(process(rbf(), NOISE))
    expected = predicted(plain, fitted(plain, data())).mean
    for make in (gp_regression, partial(sparse_gp, num_inducing=7)):
        learner = make(process(own, NOISE))
        agree(predicted(learner, fitted(learner, given), np.exp(X_NEW)).mean, expected)


def test_no_labels_give_the_prior():
    learner = gp_regression(process(rbf(), NOISE, constant()))
    found = predicted(learner, fitted(learner, data(weight=np.zeros(7))))
    agree(found.mean, np.full((5, 1), MEAN))
    agree(found.variance, np.full((5, 1), VARIANCE))


@pytest.mark.slow  # weights of labels: test_gp_classification.py and test_gp_units.py
def test_weight_two_is_the_label_twice():
    model = process(rbf(), NOISE, constant())
    learner = gp_regression(model)
    twice = data(np.r_[X, X[:2]], np.r_[Y, Y[:2]])
    weighted = data(weight=np.r_[2.0, 2.0, np.ones(5)])
    agree(log_evidence(model, weighted), log_evidence(model, twice))
    a, b = (predicted(learner, fitted(learner, some)) for some in (weighted, twice))
    agree(a.mean, b.mean)
    agree(a.variance, b.variance)


def test_several_outputs_share_a_kernel():
    """Labels [L, P] are P problems; each has its own mean."""
    y = np.stack([Y, Y**2], 1)
    mean = gpjax.mean_functions.Constant(jnp.array([[MEAN, 1.0]]))
    model = process(rbf(), NOISE, mean)
    learner = gp_regression(model)
    found = predicted(learner, fitted(learner, data(y=y)))
    alone = [written_out(X, y[:, p], X_NEW, NOISE, mean=[MEAN, 1.0][p]) for p in range(2)]
    for p, (mean, covariance, _) in enumerate(alone):
        agree(found.mean[:, 0, p], mean)
        agree(found.variance[:, 0, p], np.diag(covariance))
    assert found.noise.shape == (5, 1, 2)
    agree(log_evidence(model, data(y=y)), sum(evidence for *_, evidence in alone))


class Slope(eqx.Module):
    """Noise variance ``exp(a + b x_1)``."""

    a: jax.Array
    b: jax.Array

    def __call__(self, x):
        return jnp.exp(self.a + self.b * x[:, 0])


@pytest.mark.slow
def test_a_noise_function_is_fitted():
    """Noise that grows along x: the module's parameters are found within three standard errors of a log variance."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(120, 1))
    y = np.exp(-1 + x[:, 0]) * rng.normal(size=120)
    small = non_trainable(gpjax.kernels.RBF(lengthscale=1.0, variance=0.01))
    learner = gp_regression(process(small, Slope(jnp.array(0.0), jnp.array(0.0))), maximum_likelihood(20))
    noise = fitted(learner, data(x, y)).params.noise
    assert abs(float(noise.a[0]) + 2) < 3 * np.sqrt(2 / 120)
    assert abs(float(noise.b[0]) - 2) < 3 * np.sqrt(2 / 120) / np.sqrt(np.mean(x**2))


def test_fixed_parameters_stay():
    model = process(rbf(), non_trainable(PositiveReal(NOISE)))
    learner = gp_regression(model, maximum_likelihood(3, optimizer=optax.adam(0.1)))
    state = fitted(learner, data())
    agree(predicted(learner, state).noise, np.full((5, 1), NOISE), 1e-15)
    assert np.abs(state.params.kernel.lengthscale.unwrap()[0] - LENGTHSCALE).max() > 0.01


def test_nothing_to_fit_is_refused():
    learner = gp_regression(process(rbf(), NOISE, fixed=True), maximum_likelihood(3))
    with pytest.raises(ValueError, match="nothing to choose"):
        fitted(learner, data())


def test_an_impossible_noise_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        process(rbf(), 0.0)


def test_float32_that_fails_is_refused():
    """A hundred labels of a smooth function with almost no noise: NaN in float32, named at the door."""
    x = np.linspace(0, 1, 100)[:, None]
    learner = gp_regression(process(gpjax.kernels.RBF(lengthscale=2.0), 1e-9))
    low, high = (Data(*(jnp.array(part, dtype) for part in (x, x[:, 0], np.ones(100)))) for dtype in ("float32", None))
    with pytest.raises(ValueError, match="jax_enable_x64"):
        check_predictions(predicted(learner, fitted(learner, low), low.x), 100)
    check_predictions(predicted(learner, fitted(learner, high), high.x), 100)


@pytest.mark.slow  # by the same check of predictions as above
def test_a_campaign_refuses_it_too():
    x = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    learner = gp_regression(process(gpjax.kernels.RBF(lengthscale=2.0), 1e-9))
    with jax.enable_x64(False):
        campaign = Campaign(KEY, learner, by_score(epistemic_variance, best), x, capacity=60)
        campaign.tell(np.arange(55), x[:55, 0])
        with pytest.raises(ValueError, match="jax_enable_x64"):
            campaign.ask(2)


BY_VARIANCE = by_score(epistemic_variance, best)
BY_DETERMINANT = Query(
    (Stage(embeddings, max_det(noisy(learner_covariance, lambda rows: rows.noise.mean(-1))), posterior_context),)
)
POOL_X = RNG.normal(size=(20, 2))
LOOPS = {
    "given": (given, BY_DETERMINANT, False),
    "given, mapped": (given, BY_DETERMINANT, True),
    "fitted": (maximum_likelihood(3, 2), BY_VARIANCE, True),
}


@pytest.mark.slow  # experiments of other learners: tests/test_loop.py; posteriors: above
@pytest.mark.parametrize("name", LOOPS)
def test_whole_experiments_agree(name):
    """Four seeds on two host devices, restarts and all: ends, and is what one seed at a time and a vmap give."""
    hyperparameters, query, by_vmap = LOOPS[name]
    learner = gp_regression(process(gpjax.kernels.RBF(), 0.1), hyperparameters)
    setup = Setup(learner, query, batch_size=2, num_rounds=2, num_initial=3)
    task = Task(make_pool(jnp.array(POOL_X)), jnp.array(np.sin(POOL_X[:, 0]) + POOL_X[:, 1] ** 2))
    assert len(jax.local_devices()) == 2
    keys = seed_keys(0, 4)
    log = run_seeds(keys, task, setup).log
    if by_vmap:
        others = jax.tree.map(lambda leaf: leaf[1], jax.jit(jax.vmap(lambda key: run(key, task, setup)))(keys[:2]))
    else:
        others = run_eager(keys[1], task, setup)
    assert np.array_equal(log.indices[1], others.indices)
    agree(log.scores[1], others.scores, 1e-6)


@pytest.mark.parametrize(
    "hyperparameters",
    [pytest.param(given, id="given"), pytest.param(maximum_likelihood(2, 2), id="fitted", marks=pytest.mark.slow)],
)
def test_lowers_everywhere(hyperparameters):
    with jax.enable_x64(False):
        some = Data(jnp.ones((4, 2)), jnp.ones(4), jnp.ones(4))
        learner = gp_regression(process(gpjax.kernels.RBF(), 0.1), hyperparameters)

        def both(data):
            return learner.predict(learner.fit(KEY, learner.init(KEY, data), data), data.x)

        platforms = ("cpu", "cuda", "tpu")
        assert jax.export.export(jax.jit(both), platforms=platforms)(some).platforms == platforms


def test_noise_of_any_scalar_type_is_a_positive_parameter():
    for scalar in (0.1, np.float32(0.1), np.asarray(0.1), jnp.asarray(0.1)):
        made = process(rbf(), scalar)
        np.testing.assert_allclose(made.noise_variance(jnp.asarray(X[:2])), 0.1, rtol=1e-6)
        assert not isinstance(made.noise, np.ndarray | np.generic | jax.Array)  # it is fitted unconstrained
    for scalar in (-0.1, np.float32(-0.1), jnp.asarray(-0.1), float("inf"), 0):
        with pytest.raises(ValueError, match="must be positive and finite"):
            process(rbf(), scalar)


def test_labels_that_do_not_differ_leave_the_process_as_it_was_made():
    """The likeliest variance of one label, or of equal ones, is 0: nothing would be left to find out."""
    learner = gp_regression(process(rbf(), 0.05), maximum_likelihood(20))
    fit = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))
    for y in (np.full(4, 0.1), np.array([2.0, 0.0, 0.0, 0.0])):
        weight = np.ones(4) if y[1] else np.array([1.0, 0.0, 0.0, 0.0])
        state = fit(Data(X[:4], y.astype(np.float32), weight.astype(np.float32)))
        assert bool(state.converged.all())
        variance = np.asarray(learner.predict(state, jnp.asarray(9 + X_NEW)).variance)
        assert (variance > 0.5).all()
