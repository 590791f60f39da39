"""Modules of one's own that `network` cannot call: the sentence says what it calls, what came, and what to do."""

import warnings
from functools import partial
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from bal.learners import ensemble, network
from bal.typing import Data

KEY, X = jax.random.key(0), jnp.ones((2, 8, 8, 1))


class Sized(nnx.Module):
    """As flax is taught: sizes first, random streams by name."""

    def __init__(self, size, outputs, *, rngs):
        self.out = nnx.Linear(size, outputs, rngs=rngs)

    def __call__(self, x):
        return self.out(x)


class Shaped(nnx.Module):
    def __init__(self, rngs, shape):
        self.out = nnx.Linear(shape[0], 5, rngs=rngs)

    def __call__(self, x, drop):
        return self.out(x), x


class Mute(nnx.Module):
    def __init__(self, rngs, shape):
        pass


class Odd(Sized):
    def __call__(self, x, mask, age):
        return self.out(x)


class Linen(linen.Module):
    outputs: int

    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.outputs)(x)


class OddLinen(linen.Module):
    def __call__(self, x, mask):
        return x


class Counted(linen.Module):
    @linen.compact
    def __call__(self, x):
        self.variable("counts", "calls", jnp.zeros, ())
        return linen.Dense(3)(x)


SIZED = Sized(3, 2, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Mute, r"calls module\(x\), with train or deterministic, rngs, or drop .* but Mute cannot be called; write"),
        (partial(Odd, 3, 2), r"but Odd takes \(x, mask, age\); write def __call__\(self, x\)"),
        (OddLinen(), r"with train or deterministic beside it, but OddLinen takes \(x, mask\); write"),
        (lambda rngs, shape: 3, "builder of an nnx.Module, but it returned an object of type int"),
        (Sized, r"calls Sized\(..., rngs=rngs\), which takes \(size, outputs, rngs\); give the other arguments"),
        (partial(Sized, 3), r"which takes \(size, outputs, rngs\)"),
        (SIZED, "an object of type Sized, which is built already; give the class and its arguments"),
        (None, "expected an nnx class, a function rngs -> nnx.Module or a linen module, got None"),
    ],
)
def test_misfits_are_named(build, message):
    with pytest.raises(TypeError, match=message):
        unwrap(network)(build).init(KEY, jnp.ones((2, 3)))


def test_what_is_no_parameter_of_linen_and_what_is_beside_it():
    with pytest.raises(ValueError, match="the collections params and batch_stats, but got counts"):
        network(Counted()).init(KEY, jnp.ones((2, 3)))
    with pytest.raises(TypeError, match="takes a linen module as it is, but got arguments beside"):
        network(Linen(5), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: network(Sized, 3, 5),
        lambda: network(Sized, 3, outputs=5),
        lambda: network(partial(Sized, 3), outputs=5),
        lambda: network(lambda rngs: Sized(3, 5, rngs=rngs)),
        lambda: network(lambda r: Sized(3, 5, rngs=r)),
        lambda: network(lambda rngs, shape: Sized(shape[0], 5, rngs=rngs)),
        lambda: network(lambda r, s: Sized(s[0], 5, rngs=r)),
        lambda: network(Shaped),
        lambda: network(Linen(5)),
        lambda: network(Linen, 5),
        lambda: network(Linen, outputs=5),
    ],
)
def test_every_way_of_naming_a_module(make):
    net = make()
    params = net.init(KEY, jnp.ones((2, 3)))
    assert net.apply(params, jnp.ones((2, 3)))[0].shape == (2, 5)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(params)) == [(3, 5), (5,)]


def images(layer):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = layer(rngs)
            self.out = nnx.Linear(2, 2, rngs=rngs)

        def __call__(self, x):
            return self.out(self.conv(x).mean((1, 2)))

    return network(Net)


def linen_images(layer):
    return network(linen.Sequential([layer, lambda x: x.mean((1, 2)), linen.Dense(2)]))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (images(lambda rngs: nnx.Conv(1, 2, (3, 3), kernel_dilation=2, rngs=rngs)), "a Conv with dilation"),
        (images(lambda rngs: nnx.ConvTranspose(1, 2, (3, 3), rngs=rngs)), "a ConvTranspose with a transposed"),
        (linen_images(linen.Conv(2, (3, 3), kernel_dilation=(1, 2))), "a Conv with dilation"),
        (linen_images(linen.ConvTranspose(2, (3, 3))), "a ConvTranspose with a transposed"),
    ],
)
def test_a_slow_convolution_is_named_once(net, reason):
    data = Data(X, jnp.zeros(2, int), jnp.ones(2))
    learner = ensemble(net, 2, num_steps=1)
    with pytest.warns(UserWarning, match=f"holds {reason}.* some thirty times slower") as told:
        jax.eval_shape(learner.fit, KEY, jax.eval_shape(learner.init, KEY, data), data)
    assert len(told) == 1


CONVS = [((3, 3), (1, 1), "SAME", 1), ((4, 3), (1, 1), "VALID", 9), ((3, 3), (2, 3), "SAME", 9), ((2, 2), (2, 1), 1, 1)]


DEFAULT = {("nnx", 2), ("linen", 1)}
"""The others are as long to compile, with other numbers."""


@pytest.mark.parametrize(
    ("kind", "kernel", "strides", "padding", "channels"),
    [
        pytest.param(kind, *conv, marks=[pytest.mark.slow] * ((kind, place) not in DEFAULT))
        for kind in ("nnx", "linen")
        for place, conv in enumerate(CONVS)
    ],
)
def test_convolutions_of_flax_take_the_fast_form(kind, kernel, strides, padding, channels):
    x = np.random.default_rng(0).normal(size=(2, 8, 7, channels)).astype(np.float32)
    make = lambda rngs: nnx.Conv(channels, 2, kernel, strides, padding=padding, rngs=rngs)
    net = images(make) if kind == "nnx" else linen_images(linen.Conv(2, kernel, strides, padding=padding))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = jax.jit(net.init)(KEY, x)
    both = params["params"] if kind == "linen" else params
    conv, out = (both[name] for name in (("layers_0", "layers_2") if kind == "linen" else ("conv", "out")))
    pads = padding if isinstance(padding, str) else [(padding, padding)] * 2
    numbers = dict(dimension_numbers=("NHWC", "HWIO", "NHWC"))
    h = jax.jit(lambda x, w: jax.lax.conv_general_dilated(x, w, strides, pads, **numbers))(x, conv["kernel"])
    expected = np.asarray(h).mean((1, 2)) @ np.asarray(out["kernel"])
    step = jax.jit(jax.grad(lambda params: jnp.sum(net.train(params, x, KEY)[0] ** 2)))
    np.testing.assert_allclose(jax.jit(net.apply)(params, x)[0], expected, rtol=1e-4, atol=1e-5)
    assert "stablehlo.convolution" not in step.lower(params).as_text()
