"""Laplace's approximation against two libraries, laplax and matfree, in float64."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax.flatten_util import ravel_pytree
from laplax.curv import create_ggn_mv, create_posterior_fn
from laplax.eval.pushforward import lin_pred_cov, lin_pred_mean, lin_setup, set_lin_pushforward
from matfree import decomp, funm, stochtrace

from bal.learners import categorical, laplace, mlp, network
from bal.learners.laplace.learner import STRUCTURES, LaplaceState, _weighted
from bal.learners.laplace.tapped import layers_at, tangent

KEY, CLASSES, PRECISION = jax.random.key(0), 3, 0.7
RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(7, 2)), 2 * RNG.normal(size=(4, 2))
WEIGHT = np.array([1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 0.0])


class Net(linen.Module):
    """As a user of flax writes it."""

    @linen.compact
    def __call__(self, x):
        return linen.Dense(CLASSES, name="last")(linen.tanh(linen.Dense(3, name="first")(x)))


@lru_cache
def double():
    """The network and its parameters in float64."""
    net = network(Net())
    return net, jax.tree.map(np.float64, net.init(KEY, jnp.float32(X)))


def outputs(params, x):
    """Written in flax alone, for one row."""
    return Net().apply(params, x[None])[0]


def their(structure):
    """The curvature's product with a vector, its parameters and the model; a label of weight 2 is there twice."""
    params = double()[1]
    first, last = (params["params"][name] for name in ("first", "last"))
    whole = lambda part: {"params": {"first": first, "last": part}}
    held, model = params, lambda input, params: outputs(params, input)
    if structure == "last_layer":
        held, model = last, lambda input, params: outputs(whole(params), input)
    rows = jnp.asarray(np.repeat(X, WEIGHT.astype(int), 0))
    data = {"input": rows, "target": jnp.zeros(len(rows), int)}
    return create_ggn_mv(model, held, data, loss_fn="cross_entropy"), held, model


@pytest.mark.parametrize(
    "structure", [*(pytest.param(name, marks=pytest.mark.slow) for name in ("full", "diagonal")), "last_layer"]
)
def test_linearized_predictions_have_the_mean_and_covariance_of_laplax(structure):
    with jax.enable_x64(True):
        product, held, model = their(structure)
        kind = "diagonal" if structure == "diagonal" else "full"
        push = set_lin_pushforward(
            model_fn=model,
            mean_params=held,
            posterior_fn=create_posterior_fn(kind, mv=product, layout=held),
            prior_arguments={"prior_prec": PRECISION},
            pushforward_fns=[lin_setup, lin_pred_mean, lin_pred_cov],
        )
        expected = jax.jit(jax.vmap(push))(jnp.asarray(NEW))
        net, params = double()

        def ours(x, new):
            layers = _weighted(layers_at(net, categorical, params, x), jnp.asarray(WEIGHT))
            curvature = STRUCTURES[structure](layers, jnp.asarray(WEIGHT))
            size = len(curvature.values)
            draws = curvature.draw(jnp.eye(size), jnp.asarray(PRECISION))
            here = net.apply(params, new)[0]
            return here, tangent(net, params, new, draws) - here[:, None]  # linear in a root of the covariance

        mean, moved = map(np.asarray, jax.jit(ours)(jnp.asarray(X), jnp.asarray(NEW)))
    np.testing.assert_allclose(mean, expected["pred_mean"], rtol=1e-10)
    np.testing.assert_allclose(np.einsum("nko,nkp->nop", moved, moved), expected["pred_cov"], rtol=1e-8, atol=1e-12)


@pytest.mark.slow  # the evidence by eigenvalues: test_laplace.py
def test_the_evidence_has_the_log_determinant_of_stochastic_lanczos_quadrature():
    """By matfree, with twelve steps for thirteen eigenvalues that differ; within four of its errors."""
    with jax.enable_x64(True):
        product, held, _ = their("full")
        flat, unravel = ravel_pytree(held)
        plus = lambda v: ravel_pytree(product(unravel(v)))[0] + PRECISION * v
        integrand = funm.monte_carlo_funm_sym_logdet(decomp.tridiag_sym(12, reortho="full"))
        estimate = stochtrace.estimator_monte_carlo_mean_and_sem(integrand, stochtrace.sampler_signs(flat, num=5_000))
        mean, error = map(float, jax.jit(lambda key: estimate(plus, key))(KEY))
        net, params = double()
        weight = jnp.asarray(WEIGHT)
        curvature = lambda x: (
            STRUCTURES["full"](_weighted(layers_at(net, categorical, params, x), weight), weight).values
        )
        values = np.asarray(jax.jit(curvature)(jnp.asarray(X)))
    assert error < 0.06
    assert abs(np.log(values + PRECISION).sum() - mean) < 4 * error


def test_programs_of_hundreds_of_rows_say_what_numpy_says():
    """Compiled with all optimizations: with the axes of the product turned, numbers changed from run to run."""
    net, rows = mlp((128,), 10), np.float32(np.random.default_rng(0).normal(size=(600, 8)))
    params = net.init(KEY, jnp.asarray(rows[:2]))
    draws = np.float32(0.1 * np.random.default_rng(1).normal(size=(20, 129, 10)))
    state = LaplaceState(params, (jnp.asarray(draws),), jnp.ones(()), jnp.ones(1, bool))
    hidden, out = (jax.tree.map(np.float64, layer) for layer in (params["hidden"][0], params["out"]))
    h = np.maximum(rows @ hidden["kernel"] + hidden["bias"], 0)
    h = np.c_[h, np.ones(600)]
    logits = np.einsum("ni,kio->nko", h, np.concatenate([out["kernel"], out["bias"][None]])[None] + draws)
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    predict = jax.jit(laplace(net, 20).predict, compiler_options={"xla_backend_optimization_level": 3})
    for _ in range(3):
        np.testing.assert_allclose(predict(state, jnp.asarray(rows)), expected, atol=1e-4)
