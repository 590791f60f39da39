"""Gaussian process classification against algorithms in plain numpy and scikit-learn, and what both methods promise."""

from functools import partial

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from gp_classifiers import (
    LENGTHSCALE,
    LINKS,
    MEAN,
    METHODS,
    NUMPY,
    VARIANCE,
    X_NEW,
    X,
    Y,
    data,
    gram,
    newton,
    prior,
    program,
    run_approximate,
    slopes,
)
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from bal.learners.gp import (
    Chosen,
    Hyperparameters,
    given,
    gp_classification,
    laplace,
    maximum_likelihood,
    probit,
    process,
    variational,
)
from bal.learners.gp.classification import approximate
from bal.learners.gp.links import derivatives
from bal.learners.gp.process import join, split
from bal.loop.checks import check_predictions

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", LINKS)
def test_links_have_accurate_derivatives(name):
    f = np.concatenate([np.linspace(-7, 7, 29), [30.0]])
    value, slope, curvature = jax.jit(derivatives, static_argnums=0)(LINKS[name], jnp.array(f))
    np.testing.assert_allclose(value, NUMPY[name](f), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(slope, slopes(name, f)[0], rtol=1e-11)
    np.testing.assert_allclose(curvature, slopes(name, f)[1], rtol=1e-9, atol=1e-16)
    third = jax.jit(jax.vmap(jax.grad(lambda f: derivatives(LINKS[name], f)[2])))(jnp.array(f))
    step = 1e-5
    numeric = (slopes(name, f + step)[1] - slopes(name, f - step)[1]) / (2 * step)
    np.testing.assert_allclose(third, numeric, rtol=1e-5, atol=1e-7)


def test_probit_far_below_zero():
    """``log Φ`` there is ``-t²/2 - log t√2π + log(1 - 1/t² + ...)``: slope t + 1/t, curvature 1 - 1/t² + 6/t⁴."""
    for dtype, tolerance in ((jnp.float64, 1e-10), (jnp.float32, 1e-6)):
        t = np.array([1e2, 1e4])
        _, slope, curvature = jax.jit(derivatives, static_argnums=0)(probit, -jnp.array(t, dtype))
        np.testing.assert_allclose(slope, t + 1 / t - 2 / t**3, rtol=tolerance)
        np.testing.assert_allclose(curvature, 1 - 1 / t**2 + 6 / t**4, rtol=tolerance)


@partial(jax.jit, static_argnums=0)
def run(learner, given):
    state = learner.fit(KEY, learner.init(KEY, given), given)
    rows = learner.embed(state, jnp.array(X_NEW))
    block = jax.vmap(jax.vmap(lambda a, b: learner.kernel(state, a, b), (None, 0)), (0, None))(rows, rows)
    return state.gap, learner.predict(state, jnp.array(X_NEW)), block


@pytest.mark.parametrize("link", ["probit", pytest.param("logit", marks=pytest.mark.slow)])
def test_predictions_are_those_of_the_book(link):
    _, w, slope, _ = newton(link, X, Y)
    cross = gram(X_NEW, X)
    posterior = gram(X_NEW, X_NEW) - cross @ np.linalg.solve(gram(X, X) + np.diag(1 / w), cross.T)
    gap, prediction, block = run(gp_classification(prior(), laplace(), link=LINKS[link]), data())
    check_predictions(prediction, 5, None)
    np.testing.assert_allclose(prediction.mean[:, 0], MEAN + cross @ slope, atol=1e-10)
    np.testing.assert_allclose(prediction.variance[:, 0], np.diagonal(posterior), atol=1e-10)
    np.testing.assert_allclose(block, posterior, atol=1e-10)
    assert gap.shape == (1,)
    assert gap[0] < 1e-8


@pytest.mark.parametrize("link", LINKS)
def test_laplace_is_the_algorithm_of_the_book(link):
    mode, _, slope, evidence = newton(link, X, Y)
    found = run_approximate(prior(), "laplace", link)
    np.testing.assert_allclose(found.log_evidence, evidence, atol=1e-10)
    np.testing.assert_allclose(found.alpha, slope, atol=1e-10)
    np.testing.assert_allclose(MEAN + gram(X, X) @ found.alpha, mode, atol=1e-10)


def test_laplace_is_that_of_scikit_learn():
    kernel = ConstantKernel(VARIANCE) * RBF(LENGTHSCALE)
    reference = GaussianProcessClassifier(kernel, optimizer=None).fit(X, Y).base_estimator_
    found = run_approximate(prior(0.0), "laplace", "logit")
    np.testing.assert_allclose(found.log_evidence, reference.log_marginal_likelihood_value_, atol=1e-8)
    np.testing.assert_allclose(
        found.alpha, Y - reference.pi_, atol=1e-5
    )  # their Newton stops at 1e-10 of the objective


@pytest.mark.slow  # rows of weight 0 change nothing: tests/contracts
@pytest.mark.parametrize("method", METHODS)
def test_padding_changes_nothing(method):
    places = np.array([0, 2, 3, 5, 6, 8, 9, 10])
    x, y, weight = np.full((12, 2), np.nan), np.full(12, 7), np.zeros(12)
    x[places], y[places], weight[places] = X, Y, 1.0
    compact = run_approximate(prior(), method, "probit")  # behind them all padding
    padded = program(method, "probit")(prior(), data(x, y, weight), jnp.zeros(12))
    np.testing.assert_allclose(padded.alpha[places], compact.alpha, atol=1e-10)
    np.testing.assert_allclose(padded.whiten[places[:, None], places[None]], compact.whiten[:8, :8], atol=1e-10)
    np.testing.assert_allclose(padded.log_evidence, compact.log_evidence, atol=1e-10)
    empty = np.setdiff1d(np.arange(12), places)
    assert (padded.alpha[empty] == 0).all()
    assert (padded.whiten[empty] == 0).all()
    assert (padded.whiten[:, empty] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_weight_two_counts_a_label_twice(method):
    once = run_approximate(prior(), method, "probit", weight=np.r_[2.0, np.ones(7)])
    twice = run_approximate(prior(), method, "probit", np.r_[X[:1], X], np.r_[Y[:1], Y])
    np.testing.assert_allclose(once.alpha, np.r_[twice.alpha[:2].sum(), twice.alpha[2:]], atol=1e-8)
    np.testing.assert_allclose(once.precision, np.r_[twice.precision[:2].sum(), twice.precision[2:]], atol=1e-8)
    np.testing.assert_allclose(once.log_evidence, twice.log_evidence, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "link"),
    [
        ("laplace", "probit"),
        pytest.param("variational", "logit", marks=pytest.mark.slow),
        pytest.param("laplace", "logit", marks=pytest.mark.slow),
        pytest.param("variational", "probit", marks=pytest.mark.slow),
    ],
)
def test_gradient_of_the_evidence(method, link):
    """Against central differences, whose own error is about 1e-8 here."""
    params, rest = split(prior())
    some = data(weight=np.r_[np.ones(7), 0.0])
    log_evidence = lambda params: (
        approximate(join(params, rest, jnp.float64), METHODS[method], LINKS[link], some, jnp.zeros(8)).log_evidence
    )
    leaves, structure = jax.tree.flatten(params)
    both = jax.jit(jax.value_and_grad(lambda leaves: log_evidence(structure.unflatten(leaves))))
    _, gradient = both(leaves)
    assert len(leaves) == 3
    for place in range(3):
        moved = [[leaf + (number == place) * step for number, leaf in enumerate(leaves)] for step in (1e-5, -1e-5)]
        numeric = (both(moved[0])[0] - both(moved[1])[0]) / 2e-5
        np.testing.assert_allclose(gradient[place], numeric, atol=1e-7)
        assert abs(float(numeric.reshape(()))) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_labels_swapped(method):
    a, b = (run_approximate(prior(0.0), method, "probit", y=y) for y in (Y, 1 - Y))
    np.testing.assert_allclose(a.alpha, -b.alpha, atol=1e-9)
    np.testing.assert_allclose(a.precision, b.precision, atol=1e-9)
    np.testing.assert_allclose(a.log_evidence, b.log_evidence, atol=1e-12)
    assert np.abs(a.alpha).min() > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_any_start_ends_at_the_same_posterior(method):
    """A prior so wide that full Newton steps from far away overshoot."""
    model = prior(variance=1e3)
    cold = run_approximate(model, method, "probit")
    for start in (np.full(8, 30.0), -(2.0 * Y - 1), np.full(8, np.nan)):
        warm = run_approximate(model, method, "probit", start=start)
        np.testing.assert_allclose(warm.log_evidence, cold.log_evidence, atol=1e-9)
        np.testing.assert_allclose(gram(X, X, 1e3) @ (warm.alpha - cold.alpha), 0.0, atol=1e-4)
    if method == "laplace":
        np.testing.assert_allclose(cold.alpha, newton("probit", X, Y, variance=1e3)[2], atol=1e-9)


@pytest.mark.slow  # starts from afar, above
@pytest.mark.parametrize("method", METHODS)
def test_steps_that_overshoot_are_taken_back(method):
    """Labels disagree at one place, whose prior mean is 12: full steps lead from side to side, ever further."""
    x, sign, weight = np.r_[X[:1], X[:1], X[2:]], 2 * Y - 1, np.r_[20.0, np.ones(7)]
    found = run_approximate(prior(12.0, 1e3), method, "logit", x, weight=weight)
    k = gram(x, x, 1e3)
    mean = 12 + k @ found.alpha
    if method == "laplace":
        factor = np.linalg.cholesky(k + 1e-10 * np.eye(8))
        best = minimize(
            lambda u: 0.5 * u @ u - weight @ NUMPY["logit"](sign * (12 + factor @ u)), np.zeros(8), tol=1e-10
        )
        np.testing.assert_allclose(mean, 12 + factor @ best.x, atol=1e-3)
    else:
        covariance = k - k @ np.linalg.solve(k + np.diag(1 / found.precision), k)
        z = np.linspace(-10, 10, 4001)
        mass = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
        f = sign[:, None] * (mean[:, None] + np.sqrt(np.diagonal(covariance))[:, None] * z[None])
        np.testing.assert_allclose(found.alpha, weight * sign * (slopes("logit", f)[0] @ mass), atol=1e-3)


@pytest.mark.slow  # buckets of mapped seeds: test_gp_buckets.py
@pytest.mark.parametrize("method", METHODS)
def test_vmap_is_a_loop(method):
    """Without padding, against problems that are padded."""
    labels = np.array([Y, 1 - Y, np.arange(8) % 2])
    run = lambda y: approximate(prior(), METHODS[method], probit, data()._replace(y=y), jnp.zeros(8))
    together = jax.jit(jax.vmap(run))(jnp.array(labels))
    for place, y in enumerate(labels):
        alone = run_approximate(prior(), method, "probit", y=y)
        np.testing.assert_allclose(together.alpha[place], alone.alpha, atol=1e-8)
        np.testing.assert_allclose(together.log_evidence[place], alone.log_evidence, atol=1e-9)


@pytest.mark.slow
def test_fitted_hyperparameters_raise_the_evidence():
    given_evidence = run_approximate(prior(), "laplace", "probit").log_evidence
    learner = gp_classification(
        prior(), hyperparameters=maximum_likelihood(20, optimizer=optax.adam(0.1), standardize=False)
    )
    state = jax.jit(lambda given: learner.fit(KEY, learner.init(KEY, given), given))(data())
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    best = run_approximate(join(params, split(prior())[1], jnp.float64), "laplace", "probit")
    assert best.log_evidence > given_evidence + 0.05
    np.testing.assert_allclose(state.alpha[0], best.alpha, atol=1e-9)


def test_the_objective_is_evidence_plus_prior_and_draws_are_kept_apart():
    """Two draws of the prior mean, 0.3 and 1.3."""
    seen = []

    def choose(key, initial, previous, objective):
        seen.append(objective(initial))
        return Chosen(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 1.0]), initial), jnp.ones(2, bool))

    fixed = process(prior(fixed=True).kernel, mean=gpjax.mean_functions.Constant(MEAN))
    learner = gp_classification(
        fixed, hyperparameters=Hyperparameters(2, choose), log_prior=lambda model: jnp.array(2.5)
    )

    @jax.jit
    def both(given):
        state = learner.fit(KEY, learner.init(KEY, given), given)
        return learner.predict(state, jnp.array(X_NEW)).mean, seen.pop()

    mean, objective = both(data())
    np.testing.assert_allclose(objective, newton("probit", X, Y)[3] + 2.5, atol=1e-10)
    assert mean.shape == (5, 2)
    for draw, offset in enumerate((MEAN, MEAN + 1)):
        slope = newton("probit", X, Y, offset)[2]
        np.testing.assert_allclose(mean[:, draw], offset + gram(X_NEW, X) @ slope, atol=1e-9)


@pytest.mark.slow  # two means that are held are above
def test_a_mean_that_is_held_counts_where_others_are_fitted():
    """It is the mean of the latent, whatever units the rest is fitted in."""
    chosen = Hyperparameters(1, given.choose, "natural")
    learner = gp_classification(prior(fixed=True), hyperparameters=chosen)
    expected = MEAN + gram(X_NEW, X) @ newton("probit", X, Y)[2]
    np.testing.assert_allclose(run(learner, data())[1].mean[:, 0], expected, atol=1e-9)


@pytest.mark.slow  # the contracts of learners run in float32
@pytest.mark.parametrize("method", METHODS)
def test_single_precision(method):
    wide = run_approximate(prior(), method, "probit")
    with jax.enable_x64(False):
        narrow = run_approximate(prior(), method, "probit")
    assert narrow.alpha.dtype == jnp.float32
    np.testing.assert_allclose(narrow.alpha, wide.alpha, atol=1e-3)


@pytest.mark.slow  # gaps at the end and units with fits that end early have tests of their own
@pytest.mark.parametrize(("name", "method"), [("laplace", laplace), ("variational", variational)])
def test_the_gap_tells_an_early_end(name, method):
    early = jax.jit(lambda given: approximate(prior(), method(num_steps=1), probit, given, jnp.zeros(8)).gap)
    assert early(data()) > 1e-3
    assert run_approximate(prior(), name, "probit").gap < 1e-8


def test_errors_teach():
    with pytest.raises(ValueError, match="make the process without noise"):
        gp_classification(process(gpjax.kernels.RBF(), noise=1.0))
    with pytest.raises(ValueError, match="num_steps=0"):
        laplace(0)
    with pytest.raises(ValueError, match="num_nodes=4"):
        variational(4)
