"""Mean-field variational inference against the closed form for a linear model, and its passes of training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.stats import multivariate_normal

from bal import learners
from bal.learners.mean_field import Normals, _noisy_pass, divergence
from bal.learners.networks.dense import dense_kernels
from bal.typing import Data

KEY = jax.random.key(0)
NOISE, PRIOR = 0.3, 2.0
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
Y = X @ [1.0, -2.0] + 0.5 + 0.3 * RNG.normal(size=6)
WEIGHT = np.array([1.0, 2.0, 1.0, 0.5, 1.0, 0.0])


def flat(params):
    return np.concatenate([params["out"]["kernel"][..., 0], params["out"]["bias"]], -1).astype(np.float64)


def test_a_linear_model_has_the_posterior_mean_and_the_diagonal_of_the_precision():
    """The best independent normals: mean of the exact posterior, variances one over the diagonal of its precision.

    There the bound is the exact log evidence less the divergence from q to the exact posterior.
    """
    learner = learners.mean_field(
        learners.linear(1),
        5_000,
        prior=PRIOR,
        optimizer=optax.adam(optax.cosine_decay_schedule(0.03, 3_000)),
        num_steps=3_000,
        minibatch_size=64,
        likelihood=learners.gaussian(NOISE),
    )
    data = Data(jnp.float32(X), jnp.float32(Y), jnp.float32(WEIGHT))
    state = jax.jit(lambda: learner.fit(KEY, learner.init(KEY, data), data))()
    phi = np.c_[X, np.ones(6)]
    prior = np.array([PRIOR / 2, PRIOR / 2, PRIOR])
    precision = np.diag(1 / prior) + phi.T @ (phi * WEIGHT[:, None]) / NOISE
    mean = np.linalg.solve(precision, phi.T @ (WEIGHT * Y) / NOISE)
    np.testing.assert_allclose(flat(state.normals.mean), mean, atol=0.03)
    variance = prior * np.exp(2 * flat(state.normals.log_scale))
    np.testing.assert_allclose(variance, 1 / np.diag(precision), rtol=0.08)
    draws = flat(state.draws)
    np.testing.assert_allclose(draws.mean(0), flat(state.normals.mean), atol=5 * np.sqrt(variance.max() / 5_000))
    np.testing.assert_allclose(np.cov(draws.T), np.diag(variance), atol=0.15 * variance.max())

    given = WEIGHT > 0
    covariance = (phi[given] * prior) @ phi[given].T + np.diag(NOISE / WEIGHT[given])
    # a weight w counts a label w times: a normal of variance noise / w, up to its normalization
    evidence = multivariate_normal.logpdf(Y[given], cov=covariance)
    evidence += np.sum(0.5 * (1 - WEIGHT[given]) * np.log(2 * np.pi * NOISE) - 0.5 * np.log(WEIGHT[given]))
    residual = (Y - phi @ flat(state.normals.mean)) ** 2 + (phi**2) @ variance
    expected = -0.5 * np.sum(WEIGHT * (np.log(2 * np.pi * NOISE) + residual / NOISE))
    bound = expected - float(divergence(state.normals, PRIOR))
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert bound < evidence
    np.testing.assert_allclose(evidence - bound, gap, atol=0.02)


@pytest.mark.slow
def test_units_have_the_noise_that_their_weights_give_them():
    """Moments of the outputs of one dense layer, by many rows that are alike; kernels are told apart by the program."""
    net, x = learners.mlp((), num_outputs=2), jnp.tile(jnp.array([[0.5, -1.0, 2.0]]), (20_000, 1))
    params = net.init(KEY, x)
    scales = {"out": {"kernel": jnp.log(jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])), "bias": jnp.full(2, -20.0)}}
    outputs = np.asarray(jax.jit(lambda: _noisy_pass(net, Normals(params, scales), 3.0, x, KEY))())
    wanted = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]) ** 2  # the prior has variance 3 / 3
    variance = np.array([0.5, -1.0, 2.0]) ** 2 @ wanted
    np.testing.assert_allclose(outputs.var(0), variance, rtol=0.05)
    np.testing.assert_allclose(outputs.mean(0), net.apply(params, x[:1])[0][0], atol=0.03)
    assert abs(np.corrcoef(outputs.T)[0, 1]) < 0.03


class Shared(nnx.Module):
    """A layer used twice, one of tokens, and one that can be told."""

    def __init__(self, *, rngs):
        self.twice, self.out = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)
        self.tokens = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        h = self.tokens(x.reshape(-1, 2, 2)).reshape(-1, 4)
        return self.out(nnx.relu(self.twice(nnx.relu(self.twice(h)))))


def test_kernels_that_cannot_have_noise_at_their_units_are_told():
    x = jnp.ones((5, 4))
    net = learners.network(Shared)
    params = jax.eval_shape(net.init, KEY, x)
    *others, out = dense_kernels(net, params, x)
    assert others == [None, None, None]
    assert jax.tree.leaves(params)[out].shape == (4, 3)
    assert dense_kernels(learners.Network(net.init, net.apply), params, x) == []


@pytest.mark.parametrize("setting", [{"prior": 0.0}, {"start": -1.0}, {"kl_weight": float("inf")}, {"num_draws": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        learners.mean_field(learners.linear(1), **{"num_draws": 2, **setting})


class Normed(nnx.Module):
    def __init__(self, *, rngs):
        self.norm, self.out = nnx.BatchNorm(2, rngs=rngs), nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(self.norm(x))


@pytest.mark.parametrize("make", [learners.mean_field, learners.swag])
def test_running_statistics_are_refused(make):
    data = Data(jnp.ones((4, 2)), jnp.zeros(4, int), jnp.ones(4))
    with pytest.raises(ValueError, match="running statistics of batch norm would not fit"):
        jax.eval_shape(make(learners.network(Normed), 2).init, KEY, data)
