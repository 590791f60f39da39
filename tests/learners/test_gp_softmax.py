"""Softmax processes against Newton's method on dense matrices, the binary classifier, and enumeration of draws."""

import functools

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gp_softmax_cases import (
    CAPACITY,
    CLASSES,
    PRIORS,
    REAL,
    WEIGHT,
    X_NEW,
    X,
    at_new_rows,
    by_newton,
    curvature,
    data,
    dense,
    grams,
    labels,
    means,
    newton,
    processes,
    rbf,
    shares,
)
from gpjax.parameters import val
from scipy.special import expit, softmax

from bal import strategies
from bal.acquisition import bald
from bal.learners.gp import (
    Chosen,
    Hyperparameters,
    gp_classification,
    gp_softmax,
    laplace,
    logit,
    maximum_likelihood,
    process,
)
from bal.learners.gp.classification import approximate
from bal.learners.gp.softmax_laplace import ClassLabels, approximate_softmax
from bal.loop import run_seeds, seed_keys
from bal.loop.checks import check_predictions
from bal.pool import make_pool
from bal.query.about_targets import epig_scores
from bal.query.targets import Targets
from bal.typing import Posterior, Setup, Task

KEY, OTHER = jax.random.key(0), jax.random.key(1)
DRAWS, FEATURES = 2000, 256


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


solve = jax.jit(approximate_softmax, static_argnums=3)


def solved(name, k, mean=0.0, share=None, weight=WEIGHT, start=0.0, num_steps=50):
    """One program for all problems of as many classes and processes."""
    fill = lambda values: jnp.asarray(np.broadcast_to(values, (CLASSES[name], CAPACITY)), float)
    some = ClassLabels(fill(shares(name) if share is None else share), jnp.asarray(weight), fill(mean))
    return solve(jnp.asarray(k), some, fill(start), num_steps)


coupling = jax.jit(lambda blocks: blocks.coupling())


def inverse(found):
    """``(K + W⁻¹)⁻¹`` of all labels from its blocks."""
    whiten, inner = np.asarray(found.blocks.whiten), np.zeros((3, CAPACITY, 3, CAPACITY))
    for c in range(3):
        inner[c, :, c] = whiten[c].T @ whiten[c]
    side_by_side = np.concatenate(np.asarray(coupling(found.blocks)), 1)
    return inner.reshape(3 * CAPACITY, -1) - side_by_side.T @ side_by_side


@pytest.mark.parametrize("name", ["shared", "each"])
def test_the_mode_is_that_of_newton_on_the_dense_system(name):
    found = solved(name, grams(name, X, X), means(name, CAPACITY))
    mode, slope, expected, evidence = by_newton(name)
    np.testing.assert_allclose(found.log_evidence, evidence, atol=1e-10)
    np.testing.assert_allclose(found.alpha[:, REAL], slope, atol=1e-10)
    np.testing.assert_allclose(found.probs[:, REAL], softmax(mode, 0), atol=1e-10)
    both = np.tile(REAL, 3)
    np.testing.assert_allclose(inverse(found)[np.ix_(both, both)], expected, atol=1e-10)
    assert (inverse(found)[~both] == 0).all()
    assert (np.asarray(found.alpha)[:, ~REAL] == 0).all()
    assert found.gap < 1e-12


def test_any_start_ends_at_the_same_mode():
    """Under a prior so wide that a full step from afar overshoots; and where the prior is sure of other classes."""
    k = grams("shared", X, X) * 300
    cold = solved("shared", k)
    for start in (30.0, 9 * np.random.default_rng(1).normal(size=(3, CAPACITY)), np.nan):
        warm = solved("shared", k, start=start)
        np.testing.assert_allclose(warm.log_evidence, cold.log_evidence, atol=1e-8)
        np.testing.assert_allclose(warm.probs, cold.probs, atol=1e-8)
    assert cold.gap < 1e-9
    assert solved("shared", k, 40 * np.roll(shares("shared"), 1, 0), weight=30 * WEIGHT).gap < 1e-9


def test_weights_and_soft_labels_count_rows():
    """A label of weight 2 is two labels, and one that is shared by classes is a part of a label for each."""
    k = grams("shared", *[np.r_[X[:4], X[:4], X[:1]]] * 2)
    apart = shares("shared")[:, [0, 1, 2, 3, 0, 1, 2, 3, 0]]
    other = np.roll(apart, 1, 0)
    share = apart.copy()
    share[:, 1] = 0.3 * apart[:, 1] + 0.7 * other[:, 1]
    apart[:, 5] = other[:, 5]
    a = solved("shared", k, share=share, weight=np.r_[2.0, 1, 1, 1, np.zeros(5)])
    b = solved("shared", k, share=apart, weight=np.r_[1.0, 0.3, 1, 1, 0, 0.7, 0, 0, 1])
    np.testing.assert_allclose(a.log_evidence, b.log_evidence, atol=1e-10)
    np.testing.assert_allclose(a.alpha[:, 0], b.alpha[:, 0] + b.alpha[:, 8], atol=1e-9)
    np.testing.assert_allclose(a.alpha[:, 1], b.alpha[:, 1] + b.alpha[:, 5], atol=1e-9)


def test_gradient_of_the_evidence():
    """In a scale of each kernel, and a mean of each class, against central differences."""
    k, mean, share = (jnp.asarray(part) for part in (grams("each", X, X), means("each", CAPACITY), shares("each")))

    def evidence(at):
        some = ClassLabels(share, jnp.asarray(WEIGHT), mean + at[1][:, None])
        return approximate_softmax(jnp.exp(at[0])[:, None, None] * k, some, jnp.zeros_like(mean), 50).log_evidence

    gradient, numeric = jax.jit(jax.grad(evidence))(np.zeros((2, 3))), np.zeros((2, 3))
    moved = lambda at: solved("each", np.exp(at[0])[:, None, None] * k, mean + at[1][:, None]).log_evidence
    for place in np.ndindex(2, 3):
        at = np.zeros((2, 3))
        at[place] = 1e-5
        numeric[place] = (moved(at) - moved(-at)) / 2e-5
    np.testing.assert_allclose(gradient, numeric, atol=1e-7)
    assert np.abs(numeric).min() > 1e-3


def raised(initial):
    """Hyper-parameters whose second class has a prior mean that is higher by 2."""
    return (initial[0], jax.tree.map(lambda leaf: leaf + 2.0, initial[1]), initial[2])


SHIFTS = {"two": [0.0], "each": [0.0, np.array([[0.0], [2.0], [0.0]])]}
"""What is added to prior means by each draw of hyper-parameters."""


class Fitted:
    """A learner of many draws, for each of its draws of hyper-parameters, with programs that all tests share."""

    def __init__(self, name):
        seen, model, settings = [], processes(name), {}

        def choose(key, initial, previous, objective):
            seen.append(objective(initial))
            return Chosen(jax.tree.map(lambda *both: jnp.stack(both), initial, raised(initial)), jnp.ones(2, bool))

        if name == "each":
            model = [made._replace(kernel=process(made.kernel, fixed=True).kernel) for made in model]
            settings = {"hyperparameters": Hyperparameters(2, choose), "log_prior": lambda process: jnp.array(2.5)}
        num_draws = DRAWS * len(SHIFTS[name])
        self.learner = learner = gp_softmax(model, CLASSES[name], num_draws, num_features=FEATURES, **settings)

        def fit(key, given):
            state = learner.fit(key, learner.init(key, given), given)
            return state, seen.pop() if seen else None

        def rows(state, x):
            found = learner.embed(state, x)
            block = jax.vmap(jax.vmap(lambda a, b: learner.kernel(state, a, b), (None, 0)), (0, None))(found, found)
            return learner.predict(state, x), found.mean, block

        self.fit, self.rows = jax.jit(fit), jax.jit(rows)
        self.state, self.objective = self.fit(KEY, data(labels(name)))
        self.predictions, self.mean, self.block = map(np.asarray, self.rows(self.state, X_NEW))


@functools.cache
def fitted(name):
    return Fitted(name)


def pairs(c):
    """Covariance of the difference of two latents ``[C, n, C, n]``, mean over pairs of classes."""
    pair = lambda i, j: c[i, :, i] + c[j, :, j] - c[i, :, j] - c[j, :, i]
    return np.mean([pair(i, j) for i in range(len(c)) for j in range(i)], 0)


@pytest.mark.parametrize("name", [pytest.param("two", marks=pytest.mark.slow), "each"])
def test_latents_at_new_rows_are_those_of_the_dense_formula(name):
    """Of several draws of hyper-parameters the covariance is the mean of theirs and that of their means."""
    one, size = fitted(name), (CLASSES[name], len(X_NEW))
    check_predictions(one.predictions, len(X_NEW), CLASSES[name])
    moments = [at_new_rows(name, shift) for shift in SHIFTS[name]]
    average = np.mean([mean for mean, _ in moments], 0)
    expected = 0.0
    for number, (mean, covariance) in enumerate(moments):
        np.testing.assert_allclose(one.mean[:, number].T, mean, atol=1e-8)
        apart = (mean - average).ravel()
        expected += pairs((covariance + np.outer(apart, apart)).reshape(*size, *size)) / len(moments)
    np.testing.assert_allclose(one.block, expected, atol=1e-8)


def test_the_objective_is_evidence_plus_the_prior_of_each_process():
    np.testing.assert_allclose(fitted("each").objective, by_newton("each")[3] + 3 * 2.5, atol=1e-8)


def features(name, frequencies, x):
    """What the draws of the prior are made of, for all classes ``[C n, C F]``."""
    blocks = []
    for part, (*_, variance, _) in zip(frequencies, PRIORS[name]):
        angles = x @ part.T
        blocks.append(np.c_[np.cos(angles), np.sin(angles)] * np.sqrt(2 * variance / FEATURES))
    return dense(name, np.stack(blocks))


@pytest.mark.parametrize("name", [pytest.param("two", marks=pytest.mark.slow), "each"])
def test_draws_have_the_moments_of_the_posterior(name):
    """Of all classes at all rows together, less their mean over classes, which probabilities do not show.

    The covariance within standard errors of what these features give, and that near the exact one.
    """
    one, real = fitted(name), X[REAL]
    for number, shift in enumerate(SHIFTS[name]):
        mean, covariance = at_new_rows(name, shift)
        mode, _, p, _ = by_newton(name, shift)

        cross = dense(name, grams(name, X_NEW, real))
        feature = functools.partial(features, name, [np.asarray(leaf[number]) for leaf in one.state.draws.frequencies])
        moved = feature(X_NEW) - cross @ p @ feature(real)
        gain = cross @ (np.eye(len(p)) - p @ dense(name, grams(name, real, real)))
        expected = moved @ moved.T + gain @ curvature(mode, WEIGHT[REAL]) @ gain.T
        center = np.kron(np.eye(len(mode)) - 1 / len(mode), np.eye(len(X_NEW)))
        expected, covariance, mean = center @ expected @ center, center @ covariance @ center, center @ mean.ravel()
        draws = one.predictions[:, number * DRAWS : (number + 1) * DRAWS]
        draws = (draws - draws.mean(-1, keepdims=True)).transpose(1, 2, 0).reshape(DRAWS, -1)
        assert (np.abs(draws.mean(0) - mean) / (draws.std(0) / np.sqrt(DRAWS))).max() < 4
        error = np.sqrt((expected**2 + np.outer(np.diagonal(expected), np.diagonal(expected))) / DRAWS)
        assert (np.abs(np.cov(draws.T) - expected) / error).max() < 4
        assert 1e-6 < np.abs(expected - covariance).max() < 4 * max(v for *_, v, _ in PRIORS[name]) / np.sqrt(FEATURES)


@pytest.mark.slow  # rows, keys and padding: tests/contracts
def test_draws_are_functions():
    """Row by row the same, in any order and number; another key, others; what a row of weight 0 holds is nothing."""
    one, y = fitted("two"), labels("two")
    whole, order = one.predictions, [2, 0, 0, 4, 1]
    predict = lambda key, given: one.rows(one.fit(key, given)[0], X_NEW)[0]
    np.testing.assert_allclose(one.rows(one.state, X_NEW[order])[0], whole[order], atol=1e-9)
    poisoned = data(np.where(REAL, y, 9), x=np.where(REAL[:, None], X, np.nan))
    np.testing.assert_allclose(predict(KEY, poisoned), whole, atol=1e-9)
    np.testing.assert_array_equal(predict(KEY, data(y)), whole)
    assert np.abs(predict(OTHER, data(y)) - whole).min(0).max() > 1e-3


@pytest.mark.slow  # labels of one class, one label and none: tests/contracts
def test_few_labels_of_one_class_or_of_none():
    """The prior decides; a number that is no class makes NaN, which every door refuses, and a fit without an end."""
    one, far = fitted("two"), np.r_[X_NEW[:4], [[50.0, 50.0]]]
    for name, y, weight in (("none", 0, 0 * WEIGHT), ("one", 0, WEIGHT), ("no class", 2, WEIGHT)):
        state, _ = one.fit(KEY, data(np.full(CAPACITY, y, np.int32), weight))
        predictions, _, block = map(np.asarray, one.rows(state, far))
        probs = np.exp(predictions).mean(1)
        assert np.asarray(state.converged).all() == (name != "no class")
        if name == "none":
            assert np.abs(probs - 0.5).max() < 4 * 0.5 / np.sqrt(DRAWS)
        elif name == "one":
            assert (probs[:4, 0] > 0.55).all()
            assert (np.diagonal(block)[:4] < 2 * 3.0 - 0.1).all()
            np.testing.assert_allclose(block[4, 4], 2 * 3.0, atol=1e-9)
        else:
            assert np.isnan(predictions).all()


@pytest.mark.slow  # the scores of any draws: tests/acquisition
def test_bald_and_epig_are_those_of_its_draws():
    """By enumeration of the joint probabilities of labels, draw by draw."""
    one = fitted("each")

    @jax.jit
    def scores(posterior, x, there):
        context = Targets(there, jnp.full(5, 0.2), x)
        return bald(posterior.predict(x)), epig_scores(posterior, context, x)

    by_bald, by_epig = scores(Posterior(one.state, one.learner), X_NEW, one.predictions)
    p = np.exp(one.predictions)
    mean, information = p.mean(1), lambda p: np.sum(p * np.log(p), -1)
    np.testing.assert_allclose(by_bald, information(p).mean(1) - information(mean), rtol=1e-6)
    joint = np.einsum("nkc,mkd->nmcd", p, p) / p.shape[1]
    apart = mean[:, None, :, None] * mean[None, :, None, :]
    np.testing.assert_allclose(by_epig, (joint * np.log(joint / apart)).sum((2, 3)).mean(1), rtol=1e-6)


@functools.cache
def binary():
    """Predictions and log evidence of the binary classifier of twice the kernel, from the labels of two classes."""
    model = process(gpjax.kernels.RBF(lengthscale=0.8, variance=6.0))
    learner = gp_classification(model, laplace(), link=logit)

    @jax.jit
    def run(given):
        state = learner.fit(KEY, learner.init(KEY, given), given)
        evidence = approximate(model, laplace(), logit, given, jnp.zeros(CAPACITY)).log_evidence
        return learner.predict(state, jnp.asarray(X_NEW)), evidence

    found, evidence = run(data(labels("two")))
    return np.asarray(found.mean)[:, 0], np.asarray(found.variance)[:, 0], evidence


@pytest.mark.slow  # three classes are those of the dense formula, above
def test_two_classes_are_the_binary_classifier():
    """The difference of two latents of kernel k is the latent of kernel 2 k: moments, evidence, and so all else."""
    one, (mean, variance, evidence) = fitted("two"), binary()
    difference = one.mean[:, 0, 1] - one.mean[:, 0, 0]
    np.testing.assert_allclose(difference, mean, atol=1e-8)
    np.testing.assert_allclose(np.diagonal(one.block), variance, atol=1e-8)
    np.testing.assert_allclose(solved("two", grams("two", X, X)).log_evidence, evidence, atol=1e-8)
    by_moments, expected = by_quadrature(difference, np.diagonal(one.block)), by_quadrature(mean, variance)
    np.testing.assert_allclose(by_moments, expected, atol=1e-7)


@pytest.mark.slow  # the latents have their moments, above
def test_probabilities_and_bald_of_two_classes():
    """Of the draws, within four standard errors of the quadrature of the binary latent's.

    Beside them what the features do to the variance of a latent may do to both: a tenth of it, of either.
    """
    p = np.exp(fitted("two").predictions)[..., 1]
    expected, information = by_quadrature(*binary()[:2])
    entropies, average = entropy(p), p.mean(1, keepdims=True)
    assert (np.abs(average[:, 0] - expected) < 4 * p.std(1) / np.sqrt(DRAWS) + 0.01).all()
    influence = (p - average) * np.log(1 / average - 1) - entropies
    found = bald(jnp.asarray(fitted("two").predictions))
    assert (np.abs(found - information) < 4 * influence.std(1) / np.sqrt(DRAWS) + 0.1 * information).all()


def entropy(p):
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


def by_quadrature(mean, variance):
    """Probability of class 1 and BALD of a normal latent with the logit link."""
    z = np.linspace(-8, 8, 2001)
    mass = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    p = expit(mean[:, None] + np.sqrt(variance)[:, None] * z)
    return np.stack([p @ mass, entropy(p @ mass) - entropy(p) @ mass])


@pytest.mark.slow  # the contracts of learners run in float32
def test_single_precision():
    wide = solved("shared", grams("shared", X, X))
    with jax.enable_x64(False):
        narrow = solved("shared", grams("shared", X, X))
    assert narrow.alpha.dtype == jnp.float32
    np.testing.assert_allclose(narrow.alpha, wide.alpha, atol=1e-4)
    np.testing.assert_allclose(narrow.log_evidence, wide.log_evidence, atol=1e-3)


@pytest.mark.slow
def test_the_gap_tells_an_early_end():
    assert solved("shared", grams("shared", X, X), num_steps=1).gap > 1e-3


def test_errors_teach():
    rbf = process(gpjax.kernels.RBF())
    with pytest.raises(ValueError, match="make the process without noise"):
        gp_softmax(process(gpjax.kernels.RBF(), noise=1.0), 3, 4)
    with pytest.raises(ValueError, match="one for each of the 3 classes, got 2"):
        gp_softmax([rbf, rbf], 3, 4)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        gp_softmax(rbf, 1, 4)
    with pytest.raises(ValueError, match="num_draws must be at least 1, got 0"):
        gp_softmax(rbf, 3, 0)
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        gp_softmax(rbf, 3, 4, num_steps=0)
    with pytest.raises(ValueError, match="spectral density"):
        gp_softmax([rbf, rbf, process(gpjax.kernels.Linear())], 3, 4)
    learner = gp_softmax(rbf, 3, 2, num_features=8)
    for y in (X[:, 0], shares("two").T):
        state = jax.eval_shape(learner.init, KEY, data(y))
        with pytest.raises(ValueError, match="distributions over 3 classes"):
            jax.eval_shape(learner.fit, KEY, state, data(y))


@pytest.mark.slow
def test_fitted_hyperparameters_are_those_of_the_evidence():
    """By the dense formula in numpy: above the given ones, and no step of either parameter goes up from there."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 2))
    y = np.where(x[:, 0] > 0, 1 + (x[:, 1] > 0.2), 0).astype(np.int32)
    learner = gp_softmax(processes("shared"), 3, 4, maximum_likelihood(50, standardize=False), num_features=8)
    state = jax.jit(lambda given: learner.fit(KEY, learner.init(KEY, given), given))(data(y, np.ones(40), x))

    def evidence(lengthscale, variance):
        return newton(
            dense("shared", rbf(lengthscale, variance)(x, x)[None]), np.zeros((3, 40)), np.eye(3)[:, y], np.ones(40)
        )[3]

    assert state.converged.all()
    found = state.params[0].kernel
    at = [float(jnp.squeeze(val(part))) for part in (found.lengthscale, found.variance)]
    best = evidence(*at)
    assert best > evidence(0.8, 3.0) + 0.5
    for step in (0.95, 1.05):
        assert evidence(at[0] * step, at[1]) < best
        assert evidence(at[0], at[1] * step) < best


@pytest.mark.slow
def test_seeds_rounds_and_units_in_one_program():
    """Fitted in every round of every seed by one compiled program; inputs times 100 give the same picks and scores."""
    rng, traced = np.random.default_rng(3), []
    x = rng.normal(size=(40, 2))
    y = np.where(x[:, 0] > 0, 1 + (x[:, 1] > 0.2), 0).astype(np.int32)
    learner = gp_softmax(process(gpjax.kernels.RBF()), 3, 32, maximum_likelihood(10), num_features=64)
    fit = lambda *given: (traced.append(1), learner.fit(*given))[1]
    right = lambda posterior, test: {"accuracy": jnp.mean(posterior.predict(test[0]).mean(1).argmax(-1) == test[1])}
    setup = Setup(learner._replace(fit=fit), strategies.bald(), 1, 3, evaluate=right)
    start = jnp.array([int(np.flatnonzero(y == c)[n]) for c in range(3) for n in range(2)])
    logs, traces = [], []
    for scale in (1.0, 100.0):
        rows = jnp.asarray(scale * x)
        task = Task(make_pool(rows), jnp.asarray(y), (rows, jnp.asarray(y)), start)
        logs.append(run_seeds(seed_keys(0, 2), task, setup).log)
        traces.append(len(traced))
    assert traces == [1, 1]
    np.testing.assert_array_equal(logs[0].indices, logs[1].indices)
    np.testing.assert_allclose(logs[0].scores, logs[1].scores, rtol=1e-5)
    assert (logs[0].scores > 0).all()
    assert (logs[0].metrics["accuracy"][:, -1] > 0.7).all()


@pytest.mark.slow
def test_capacity_changes_no_posterior():
    """Nine labels in a capacity of 130, of which 16 are worked on."""
    learner, moments = gp_softmax(processes("each"), 3, 2, num_features=8), []
    for capacity in (CAPACITY, 130):
        x, y, weight = np.full((capacity, 2), np.nan), np.full(capacity, 7, np.int32), np.zeros(capacity)
        places = np.arange(CAPACITY) * (capacity // CAPACITY)
        x[places], y[places], weight[places] = X, labels("each"), WEIGHT

        @jax.jit
        def run(given):
            state = learner.fit(KEY, learner.init(KEY, given), given)
            rows = learner.embed(state, jnp.asarray(X_NEW))
            variance = jax.vmap(lambda row: learner.kernel(state, row, row))(rows)
            return rows.mean, variance, learner.predict(state, jnp.asarray(X_NEW))

        moments.append(run(data(y, weight, x)))
    for few, many in zip(*(found[:2] for found in moments)):
        np.testing.assert_allclose(many, few, atol=1e-9)
    assert np.isfinite(moments[1][2]).all()


@pytest.mark.slow
def test_probabilities_are_near_those_of_long_chains():
    """Thirty labels of three classes: probabilities within 0.08 of the no-U-turn sampler's, 0.03 on average."""
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    rng = np.random.default_rng(4)
    x, x_new = rng.normal(size=(30, 2)), rng.normal(size=(20, 2))
    y = np.argmax(np.c_[x[:, 0], x[:, 1], -x.sum(1)] + rng.gumbel(size=(30, 3)), 1).astype(np.int32)
    k = rbf(0.8, 3.0)
    root = np.linalg.cholesky(k(x, x) + 1e-9 * np.eye(30))

    def model():
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([3, 30]).to_event(2))
        numpyro.sample("y", dist.Categorical(logits=(z @ root.T).T), obs=jnp.asarray(y))

    chain = MCMC(NUTS(model), num_warmup=1000, num_samples=8000, progress_bar=False)
    chain.run(KEY)
    z = np.asarray(chain.get_samples()["z"])
    cross = np.linalg.solve(root, k(x, x_new))
    left = np.linalg.cholesky(k(x_new, x_new) - cross.T @ cross + 1e-9 * np.eye(20))
    f = z @ cross + rng.normal(size=(*z.shape[:2], 20)) @ left.T
    expected = softmax(f, 1).mean(0).T
    learner = gp_softmax(processes("shared"), 3, 4000, num_features=1024)
    predict = jax.jit(lambda given, x: learner.predict(learner.fit(KEY, learner.init(KEY, given), given), x))
    found = np.exp(predict(data(y, np.ones(30), x), jnp.asarray(x_new))).mean(1)
    apart = found - expected
    assert np.abs(apart).max() < 0.08
    assert np.abs(apart).mean() < 0.03
    assert np.abs(found - 1 / 3).max() > 0.3
