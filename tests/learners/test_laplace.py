"""Laplace's approximation of networks against Gauss-Newton matrices by differentiation, in float64."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from scipy.optimize import minimize_scalar

from bal.learners import categorical, gaussian, laplace, linear, mlp, network
from bal.learners.heads.evidence import prior_precision
from bal.learners.laplace import structures
from bal.learners.laplace.learner import STRUCTURES, _weighted
from bal.learners.laplace.tapped import curvature_root, layers_at, tangent
from bal.typing import Data

KEY, CLASSES = jax.random.key(0), 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 2)).astype(np.float32)
WEIGHT = np.float32([1, 1, 2, 0.5, 1, 1, 1, 0])
NET = mlp((3,), CLASSES, activation=jnp.tanh)
PARAMS = NET.init(KEY, jnp.asarray(X))
LAYERS = [PARAMS["hidden"][0], PARAMS["out"]]
SIZES = [(2 + 1) * 3, (3 + 1) * CLASSES]


def with_bias(layer):
    return np.concatenate([layer["kernel"], layer["bias"][None]])


def outputs_of(flat, x):
    """The network written out, from its weights with the biases below."""
    first, second = flat[: SIZES[0]].reshape(3, 3), flat[SIZES[0] :].reshape(4, CLASSES)
    with_one = lambda h: jnp.concatenate([h, jnp.ones_like(h[..., :1])], -1)
    return with_one(jnp.tanh(with_one(x) @ first)) @ second


@lru_cache
def gauss_newton():
    """``Σ w Jᵀ Λ J`` by differentiation, with Λ the Hessian of the loss about the outputs."""
    with jax.enable_x64(True):
        flat = jnp.asarray(np.concatenate([np.float64(with_bias(layer)).ravel() for layer in LAYERS]))
        x = jnp.asarray(np.float64(X))
        jacobian = jax.jit(jax.jacobian(outputs_of))(flat, x)
        inner = jax.jit(jax.vmap(jax.hessian(lambda f: jax.nn.logsumexp(f))))(outputs_of(flat, x))
        return np.einsum("n,nop,noq,nqr->pr", np.float64(WEIGHT), *map(np.asarray, (jacobian, inner, jacobian)))


@lru_cache
def layers():
    weight = jnp.asarray(WEIGHT)
    return jax.jit(lambda params, x: _weighted(layers_at(NET, categorical, params, x), weight))(PARAMS, X)


@lru_cache
def root(structure, alpha):
    """What draws make of the identity: a root of their covariance."""

    def make(layers):
        curvature = STRUCTURES[structure](layers, jnp.asarray(WEIGHT))
        size = len(curvature.values)
        return curvature.values, curvature.draw(jnp.eye(size), jnp.float32(alpha))

    values, draws = jax.jit(make)(layers())
    return values, np.concatenate([np.float64(draw).reshape(len(values), -1) for draw in draws], 1)


def expected_curvature(structure):
    whole = gauss_newton()
    if structure == "full":
        return whole
    if structure == "diagonal":
        return np.diag(np.diag(whole))
    last = slice(SIZES[0], None)
    if structure == "last_layer":
        return whole[last, last]
    blocks = np.zeros_like(whole)
    start = 0
    for layer in layers():
        inner = np.einsum("n,ni,nj->ij", WEIGHT, layer.inner, layer.inner) / WEIGHT.sum()
        outer = np.einsum("nso,nsp->op", layer.outer, layer.outer)
        size = len(inner) * len(outer)
        blocks[start : start + size, start : start + size] = np.kron(inner, outer)
        start += size
    return blocks[last, last] if structure == "last_kfac" else blocks


@pytest.mark.parametrize("structure", STRUCTURES)
def test_draws_have_the_inverse_curvature_as_covariance(structure):
    """Exactly, since draws are linear in their noise."""
    curvature = expected_curvature(structure)
    values, draws = root(structure, 0.7)
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(curvature), atol=1e-5)
    expected = np.linalg.inv(curvature + 0.7 * np.eye(len(curvature)))
    np.testing.assert_allclose(draws.T @ draws, expected, atol=1e-5)


def test_a_large_last_layer_has_the_whole_covariance_and_eigenvalues_of_its_kronecker_product(monkeypatch):
    """By a Cholesky factor, of blocks of 3 rows; where the prior is wider than rounding allows, NaN."""
    monkeypatch.setattr(structures, "SMALL", 0)
    monkeypatch.setattr(structures, "ROWS", 3)

    def make(layers, alpha):
        curvature = structures.last_layer(layers, jnp.asarray(WEIGHT))
        return curvature.values, curvature.draw(jnp.eye(SIZES[1]), alpha)

    made = jax.jit(make)
    values, (draws,) = made(layers(), jnp.float32(0.7))
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(expected_curvature("last_kfac")), atol=1e-5)
    draws = np.float64(draws).reshape(SIZES[1], -1)
    expected = np.linalg.inv(expected_curvature("last_layer") + 0.7 * np.eye(SIZES[1]))
    np.testing.assert_allclose(draws.T @ draws, expected, atol=1e-5)
    assert np.isnan(made(layers(), jnp.float32(1e-30))[1][0]).all()


def test_kronecker_factors_are_exact_for_one_row():
    """Of one row the Hessian of a layer is a Kronecker product."""
    one = jax.tree.map(lambda leaf: leaf[:1], [(layer.inner, layer.outer) for layer in layers()])
    for (inner, outer), start, size in zip(one, (0, SIZES[0]), SIZES, strict=True):
        slopes = np.einsum("ni,nso->sio", inner, outer).reshape(CLASSES, size)
        with jax.enable_x64(True):
            flat = jnp.asarray(np.concatenate([np.float64(with_bias(layer)).ravel() for layer in LAYERS]))
            jacobian = np.asarray(jax.jit(jax.jacobian(outputs_of))(flat, np.float64(X[:1])))[0]
            lam = np.asarray(jax.jit(jax.hessian(jax.nn.logsumexp))(outputs_of(flat, np.float64(X[0]))))
        block = (jacobian.T @ lam @ jacobian)[start : start + size, start : start + size]
        np.testing.assert_allclose(slopes.T @ slopes, WEIGHT[0] * block, atol=1e-6)


def test_predictions_are_linear_in_the_draws():
    """The first order of the network written out, for all layers and for the last alone."""
    moves = [0.3 * RNG.normal(size=(2, *with_bias(layer).shape)).astype(np.float32) for layer in LAYERS]
    flat = jnp.concatenate([with_bias(layer).ravel() for layer in LAYERS])
    for first in (0, 1):
        found = jax.jit(lambda x, first=first: tangent(NET, PARAMS, x, [jnp.asarray(m) for m in moves[first:]]))(X)
        for k in range(2):
            step = np.concatenate([(i >= first) * move[k].ravel() for i, move in enumerate(moves)])
            value, slope = jax.jvp(lambda flat: outputs_of(flat, X), (flat,), (jnp.asarray(step, jnp.float32),))
            np.testing.assert_allclose(found[:, k], value + slope, atol=1e-5)


def test_a_linear_network_of_normal_labels_has_its_exact_posterior():
    """The covariance whatever the training did, and the mean where it found the mode."""
    noise, prior = 0.3, 2.0
    y = (X @ [1.0, -2.0] + 0.5 + 0.3 * RNG.normal(size=8)).astype(np.float32)
    learner = laplace(
        linear(1), 4000, "full", prior=prior, likelihood=gaussian(noise), num_steps=1000, minibatch_size=64
    )
    data = Data(jnp.asarray(X), jnp.asarray(y), jnp.asarray(WEIGHT))
    state = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(data)
    phi = np.c_[np.float64(X), np.ones(8)]
    precision = phi.T @ (WEIGHT[:, None] * phi) / noise + np.eye(3) / prior
    found = np.cov(state.draws[0].reshape(4000, 3).T)
    np.testing.assert_allclose(found, np.linalg.inv(precision), atol=6 * np.linalg.inv(precision).max() / np.sqrt(2000))
    prediction = learner.predict(state, data.x)
    here = np.asarray(linear(1).apply(state.params, data.x)[0])
    np.testing.assert_allclose(prediction.mean.mean(1), here[:, 0], atol=0.1)
    assert (prediction.variance == 0).all()
    np.testing.assert_allclose(prediction.noise, noise, rtol=1e-6)


def test_roots_of_likelihoods():
    """Of a noise that is learned the root of the expected Hessian, by quadrature over labels."""
    likelihood, outputs = gaussian(), jnp.array([0.4, -0.3])
    found = np.asarray(jax.jit(lambda f: curvature_root(likelihood, f))(outputs))
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    noise = float(jax.nn.softplus(outputs[1]) + 1e-6)
    y = jnp.asarray(0.4 + np.sqrt(noise) * nodes, jnp.float32)
    loss = lambda f, y: likelihood.loss(f[None], y[None])[0]
    each = jax.jit(jax.vmap(jax.hessian(loss), (None, 0)))(outputs, y)
    expected = np.einsum("q,qop->op", weights / weights.sum(), each)
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-4)


def test_the_prior_maximises_the_evidence():
    values, square = np.linalg.eigvalsh(gauss_newton()), 7.0

    def negative(log):
        alpha = np.exp(log)
        return -(0.5 * np.sum(log - np.log(np.maximum(values, 0) + alpha)) - 0.5 * alpha * square + log - alpha)

    found, converged = jax.jit(prior_precision)(jnp.maximum(jnp.float32(values), 0), jnp.float32(square), jnp.ones(()))
    assert converged
    np.testing.assert_allclose(found, np.exp(minimize_scalar(negative, (-2, 0), tol=1e-10).x), rtol=1e-4)


class Tokens(linen.Module):
    """A dense layer of several vectors a row."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return linen.Dense(CLASSES)(linen.Dense(2)(x.reshape(len(x), 2, 1)).reshape(len(x), -1))


def test_linen_weights_come_with_their_biases():
    net = network(Tokens())
    params = jax.jit(net.init)(KEY, X)
    last = jax.jit(lambda params, x: layers_at(net, categorical, params, x)[-1])(params, X)
    expected = with_bias(params["params"]["Dense_0"]), with_bias(params["params"]["Dense_1"])
    assert any(part.shape == last.weights.shape and (part == last.weights).all() for part in expected)


def test_what_goes_wrong_is_said():
    data = Data(jnp.asarray(X), jnp.zeros(8, int), jnp.asarray(WEIGHT))
    with pytest.raises(ValueError, match="dense layers that see one vector a row"):
        jax.eval_shape(laplace(network(Tokens()), 2, "kfac").init, KEY, data)
    with pytest.raises(ValueError, match="one of last_kfac, last_layer, diagonal, kfac, full, got 'dense'"):
        laplace(NET, 2, "dense")
    wide = laplace(mlp((100, 100), CLASSES), 2, "full", num_steps=0)
    with pytest.raises(ValueError, match=r"a whole Hessian of \d+ weights takes"):
        jax.eval_shape(lambda: wide.fit(KEY, wide.init(KEY, data), data))
    with pytest.raises(ValueError, match="needs a network with a dense layer"):
        jax.eval_shape(laplace(network(linen.BatchNorm(True)), 2).init, KEY, data)
    diverged = laplace(NET, 2, num_steps=0)
    state = jax.jit(lambda data: diverged.fit(KEY, diverged.init(KEY, data), data))(data._replace(x=data.x * jnp.nan))
    assert not state.converged.any()
