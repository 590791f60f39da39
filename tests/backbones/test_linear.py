"""The dense layer that adapters come into: its equation in float64, and nothing at all without an adapter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.backbones import Linear, Scale

RNG = np.random.default_rng(0)
X, KERNEL, BIAS = RNG.normal(size=(5, 2, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)
A, B, L = RNG.normal(size=(4, 2)), RNG.normal(size=(2, 3)), RNG.normal(size=3)
PARAMS = {"kernel": jnp.float32(KERNEL), "bias": jnp.float32(BIAS)}
LORA = {"a": jnp.float32(A), "b": jnp.float32(B)}


def apply(**collections):
    return np.asarray(Linear(3).apply({"params": PARAMS, **collections}, jnp.float32(X)))


@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("ia3", [False, True])
def test_the_equation(scale, ia3):
    lora = LORA if scale is None else LORA | {"scale": jnp.float32(scale)}
    expected = X @ KERNEL + BIAS + (1.0 if scale is None else scale) * (X @ A) @ B
    collections = {"lora": lora} | ({"ia3": {"scale": jnp.float32(L)}} if ia3 else {})
    np.testing.assert_allclose(apply(**collections), expected * L if ia3 else expected, rtol=1e-5, atol=1e-5)


def test_without_entries_it_is_the_dense_layer():
    plain = np.asarray(jnp.float32(X) @ PARAMS["kernel"] + PARAMS["bias"][None, None])
    assert (apply() == plain).all()
    assert (apply(ia3={}, lora={}) == plain).all()
    assert (apply(ia3={"elsewhere": {"scale": jnp.zeros(3)}}) == plain).all()
    assert (np.asarray(Scale().apply({}, jnp.float32(X))) == np.float32(X)).all()


def test_without_a_bias():
    variables = Linear(3, use_bias=False).init(jax.random.key(0), jnp.float32(X))
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (4, 3)}}


def test_no_gradient_flows_through_the_scale_of_lora():
    def loss(lora):
        return Linear(3).apply({"params": PARAMS, "lora": lora}, jnp.float32(X)).sum()

    slope = jax.grad(loss)(LORA | {"scale": jnp.float32(0.5)})
    assert slope["scale"] == 0
    np.testing.assert_allclose(slope["a"], 0.5 * np.outer(X.sum((0, 1)), B.sum(1)), rtol=1e-5)


def test_members_share_the_frozen_weights():
    scales = jnp.float32(RNG.normal(size=(6, 3)))
    axes = ({"params": None, "ia3": 0}, None)
    members = jax.vmap(Linear(3).apply, in_axes=axes)({"params": PARAMS, "ia3": {"scale": scales}}, jnp.float32(X))
    expected = (X @ KERNEL + BIAS) * np.asarray(scales, float)[:, None, None]
    np.testing.assert_allclose(members, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_keeps_parameters_in_single():
    layer = Linear(3, dtype=jnp.bfloat16)
    assert layer.init(jax.random.key(0), jnp.float32(X))["params"]["kernel"].dtype == jnp.float32
    y = layer.apply({"params": PARAMS}, jnp.float32(X))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, float), X @ KERNEL + BIAS, atol=0.1)
