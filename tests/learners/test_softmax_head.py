"""The softmax head against scikit-learn, Hessians by differentiation, and linear algebra in float64."""

import subprocess
import sys
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from bal.learners import bayesian_softmax
from bal.learners.heads import mode
from bal.learners.heads.dense import dense, hessian
from bal.learners.heads.factored import factored, perturbation
from bal.typing import Data

KEY, CLASSES, SIZE, PRIOR = jax.random.key(0), 5, 4, 1.5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, SIZE - 1)).astype(np.float32)
Y = np.argmax(X @ RNG.normal(size=(SIZE - 1, CLASSES)) + RNG.gumbel(size=(40, CLASSES)), 1).astype(np.int32)
WEIGHT = np.float32(np.r_[np.ones(25), 2 * np.ones(5), 0.5 * np.ones(5), np.zeros(5)])
PHI = np.c_[X, np.ones(40, np.float32)]
ROWS = mode.Rows(jnp.asarray(PHI), jnp.asarray(Y), jnp.asarray(WEIGHT))

FIND = jax.jit(lambda rows, *given: mode.find_mode(rows, mode.spectrum(rows), *given))


@lru_cache
def compiled(learner):
    return jax.jit(lambda key, data: learner.fit(key, learner.init(key, data), data))


def fitted(learner, x=X, y=Y, weight=WEIGHT):
    return compiled(learner)(KEY, Data(jnp.asarray(x), jnp.asarray(y), jnp.asarray(weight)))


@lru_cache
def found_mode():
    return FIND(ROWS, jnp.float32(1 / PRIOR), jnp.zeros((SIZE, CLASSES)))


def log_posterior(flat, precision=1 / PRIOR):
    weights = flat.reshape(SIZE, CLASSES)
    log_probs = jax.nn.log_softmax(jnp.asarray(PHI, flat.dtype) @ weights)
    fit = jnp.sum(jnp.asarray(WEIGHT, flat.dtype) * log_probs[jnp.arange(40), Y])
    return fit - 0.5 * precision * jnp.sum(weights**2)


@lru_cache
def differentiated():
    """The Hessian at the mode, by automatic differentiation in float64."""
    with jax.enable_x64(True):
        flat = jnp.asarray(np.float64(found_mode().weights).ravel())
        return np.asarray(jax.jit(jax.hessian(lambda w: -log_posterior(w)))(flat))


def test_the_mode_is_that_of_penalized_logistic_regression():
    real = WEIGHT > 0
    other = LogisticRegression(C=PRIOR, fit_intercept=False, tol=1e-10, max_iter=1000)
    other.fit(PHI[real], Y[real], sample_weight=WEIGHT[real])
    assert found_mode().converged
    np.testing.assert_allclose(found_mode().weights.T, other.coef_, atol=2e-4)


def test_blocks_of_rows_add_up(monkeypatch):
    """The mode, products with the Hessian and the Hessian itself from blocks of 8 rows, the last of them not full."""
    at, v = found_mode(), jax.random.normal(KEY, (SIZE, CLASSES))
    monkeypatch.setattr(mode, "BLOCK_BYTES", 4 * CLASSES * 7)
    blocks = jax.jit(lambda rows: mode.find_mode(rows, mode.spectrum(rows), at.precision, jnp.zeros_like(v)))(ROWS)
    np.testing.assert_allclose(blocks.weights, at.weights, atol=1e-4)
    product = jax.jit(mode.times_hessian)(ROWS, at.weights, at.precision, v)
    np.testing.assert_allclose(product.ravel(), differentiated() @ np.float64(v).ravel(), rtol=1e-4, atol=1e-4)
    whole = jax.jit(hessian)(ROWS.phi, ROWS.weight, at.weights, at.precision)
    np.testing.assert_allclose(whole, differentiated(), rtol=1e-4, atol=1e-4)


def test_dense_draws_have_the_inverse_hessian_as_covariance():
    trace_inverse, draw, _ = dense
    draws, solved = jax.jit(lambda at: draw(KEY, ROWS, at, 20_000))(found_mode())
    expected = np.linalg.inv(differentiated())
    np.testing.assert_allclose(np.cov(draws.reshape(20_000, -1).T), expected, atol=5 * expected.max() / np.sqrt(10_000))
    np.testing.assert_allclose(jax.jit(lambda at: trace_inverse(KEY, ROWS, at))(found_mode()), np.trace(expected), 1e-5)
    assert solved


def test_factored_draws_have_the_same_covariance(monkeypatch):
    """A draw is ``H⁻¹ B ε``: B from its derivative, with ``B Bᵀ = H`` exactly, and the system solved for any ε."""
    at, draw = found_mode(), factored[1]
    pushed = jax.jit(lambda keys: jax.vmap(lambda key: perturbation(key, ROWS, at))(keys))(jax.random.split(KEY, 6))
    draws, solved = jax.jit(lambda at: draw(KEY, ROWS, at, 6))(at)
    expected = np.linalg.solve(differentiated(), np.float64(pushed).reshape(6, -1).T).T
    np.testing.assert_allclose(draws.reshape(6, -1), expected, atol=2e-4)
    assert solved

    def push(*noise):
        left = list(noise)
        monkeypatch.setattr(jax.random, "normal", lambda *_: left.pop(0))
        return perturbation(KEY, ROWS, at)

    root = jax.jit(jax.jacobian(push, (0, 1)))(jnp.zeros((SIZE, CLASSES)), jnp.zeros((40, CLASSES)))
    root = np.concatenate([np.float64(part).reshape(SIZE * CLASSES, -1) for part in root], 1)
    np.testing.assert_allclose(root @ root.T, differentiated(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("structure", ["dense", pytest.param("factored", marks=pytest.mark.slow)])
def test_the_prior_maximises_the_evidence_at_the_mode(structure):
    """Exactly if dense; within the error of four probes of 20 weights if factored."""
    state = fitted(bayesian_softmax(CLASSES, 2, structure=structure))
    assert state.converged.all()
    with jax.enable_x64(True):
        flat = jnp.asarray(np.float64(state.mode).ravel())
        values = np.linalg.eigvalsh(np.asarray(jax.jit(jax.hessian(lambda w: -log_posterior(w, 0.0)))(flat)))
    usual, square = np.average(np.sum(PHI**2, 1), weights=WEIGHT), np.sum(np.float64(state.mode) ** 2)

    def negative(log):
        precision = np.exp(log)
        evidence = 0.5 * np.sum(log - np.log(np.maximum(values, 0) + precision)) - 0.5 * precision * square
        return -evidence - log + precision / usual

    best = np.exp(minimize_scalar(negative, (-2, 0), tol=1e-9).x)
    np.testing.assert_allclose(1 / state.prior, best, rtol=3e-3 if structure == "dense" else 0.3)


def test_labels_few_or_of_one_class():
    """No special case: classes without labels are alike, and without any label all are."""
    learner = bayesian_softmax(CLASSES, 2, structure="dense")
    for weight in (np.float32(Y[0] == Y), np.float32(np.arange(40) == 3), np.zeros(40, np.float32)):
        state = fitted(learner, weight=weight)
        assert state.converged.all()
        assert np.isfinite(state.draws).all()
        unseen = [c for c in range(CLASSES) if not (weight > 0)[c == Y].any()]
        np.testing.assert_allclose(state.mode[:, unseen] - state.mode[:, unseen[:1]], 0.0, atol=1e-4)
        assert weight.any() or (state.mode == 0).all()


def test_soft_labels_count_like_rows_of_each_class():
    both = np.float32(np.eye(CLASSES)[Y] * 0.75 + np.eye(CLASSES)[(Y + 1) % CLASSES] * 0.25)
    soft = fitted(bayesian_softmax(CLASSES, 2, prior=PRIOR), y=both)
    twice = mode.Rows(jnp.tile(ROWS.phi, (2, 1)), jnp.r_[Y, (Y + 1) % CLASSES], jnp.r_[0.75 * WEIGHT, 0.25 * WEIGHT])
    hard = FIND(twice, jnp.float32(1 / PRIOR), jnp.zeros((SIZE, CLASSES)))
    np.testing.assert_allclose(soft.mode, hard.weights, atol=1e-3)


def test_what_goes_wrong_is_said():
    diverged = fitted(bayesian_softmax(CLASSES, 2, prior=PRIOR), x=X * np.nan)
    assert not diverged.converged.any()
    singular = fitted(bayesian_softmax(CLASSES, 2, prior=1e30))
    assert not singular.converged.any()
    with pytest.raises(ValueError, match="structure is one of dense, factored, got 'kfac'"):
        bayesian_softmax(3, 2, structure="kfac")
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        bayesian_softmax(1, 2)
    with pytest.raises(ValueError, match="for real labels use bayesian_linear"):
        fitted(bayesian_softmax(CLASSES, 2), y=X[:, 0])


def test_draws_of_many_rows_are_one_matrix_product():
    learner = bayesian_softmax(CLASSES, 100)
    data = jax.eval_shape(lambda: Data(jnp.zeros((10, SIZE)), jnp.zeros(10, jnp.int32), jnp.zeros(10)))
    state = jax.eval_shape(learner.init, KEY, data)
    program = jax.make_jaxpr(learner.predict)(state, jax.ShapeDtypeStruct((10_000, SIZE), jnp.float32))
    assert str(program).count("dot_general[") == 1


MANY = """
import resource, jax, jax.numpy as jnp
from bal.acquisition import bald
from bal.learners import bayesian_softmax
from bal.pool import chunked
from bal.typing import Data, Posterior
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
learner = bayesian_softmax(3000, 10, prior=1.0, structure="factored")
def fit(data):
    return learner.fit(jax.random.key(0), learner.init(jax.random.key(0), data), data)
def score(posterior, x):
    return bald(posterior.predict(x))
x = jax.random.normal(jax.random.key(1), (10_000, 128)) / 8
y = jax.random.randint(jax.random.key(2), (3000,), 0, 3000)
data = Data(x[:3000], y, jnp.ones(3000))
jax.block_until_ready(jax.jit(lambda x: jnp.linalg.eigh(x[:128])[0])(x))
before = peak()
state = jax.block_until_ready(jax.jit(fit)(data))
after = peak()
scores = chunked(50).map(score, (Posterior(state, learner),), x)
print(bool(state.converged[0]), bool((scores > 0).all()), after - before, peak() - before)
"""


@pytest.mark.slow
def test_three_thousand_classes_take_less_than_200_megabytes():
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    converged, positive, fit, all_in_all = done.stdout.split()
    assert (converged, positive) == ("True", "True")
    assert float(fit) < 200
    assert float(all_in_all) < 200
