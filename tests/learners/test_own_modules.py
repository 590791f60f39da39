"""Modules of one's own that `network` cannot call: the sentence says what it calls, what came, and what to do."""

import warnings
from inspect import unwrap

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from bal.learners import ensemble, network
from bal.learners.networks import conv
from bal.typing import Data

KEY, X = jax.random.key(0), jnp.ones((2, 8, 8, 1))


class Logits(nnx.Module):
    """As flax is taught: inputs in, logits out."""

    def __init__(self, rngs, shape):
        self.out = nnx.Linear(shape[0], 3, rngs=rngs)

    def __call__(self, x):
        return self.out(x)


class Sized(nnx.Module):
    """As flax is taught: sizes first, random streams by name."""

    def __init__(self, size, outputs, *, rngs):
        self.out = nnx.Linear(size, outputs, rngs=rngs)

    def __call__(self, x, drop):
        return self.out(x), x


class Mute(nnx.Module):
    def __init__(self, rngs, shape):
        pass


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Logits, r"calls module\(x, drop\) and expects the pair .* but Logits takes \(x\); write"),
        (Mute, r"but Mute cannot be called; write def __call__\(self, x, drop\)"),
        (lambda rngs, shape: 3, "builder of an nnx.Module, but <lambda> returned an object of type int"),
        (Sized, r"calls Sized\(rngs, shape\), which takes \(self, size, outputs, rngs\); wrap it"),
        (lambda rngs: Sized(3, 2, rngs=rngs), r"which takes \(rngs\); wrap it"),
        (Linen, "takes flax NNX modules, but Linen is one of flax.linen; write it as an nnx.Module"),
        (Linen(), "takes flax NNX modules, but an object of type Linen is one of flax.linen"),
        (Sized(3, 2, rngs=nnx.Rngs(0)), "an object of type Sized, which is built already; give the class"),
        (None, "expected a class or function rngs, shape -> nnx.Module, got None"),
    ],
)
def test_misfits_are_named(build, message):
    with pytest.raises(TypeError, match=message):
        unwrap(network)(build).init(KEY, jnp.ones((2, 3)))


def test_a_builder_that_wraps_sizes_is_right():
    net = network(lambda rngs, shape: Sized(shape[0], 5, rngs=rngs))
    assert net.apply(net.init(KEY, jnp.ones((2, 3))), jnp.ones((2, 3)))[0].shape == (2, 5)


def images(make):
    class Net(nnx.Module):
        def __init__(self, rngs, shape):
            self.conv = make(rngs)
            self.out = nnx.Linear(72, 2, rngs=rngs)

        def __call__(self, x, drop):
            h = self.conv(x).reshape(len(x), -1)
            return self.out(h), h

    return network(Net)


def test_the_slow_convolution_is_named_once():
    slow = images(lambda rngs: nnx.Conv(1, 2, (3, 3), padding="VALID", rngs=rngs))
    data = Data(X, jnp.zeros(2, int), jnp.ones(2))
    learner = ensemble(slow, 2, num_steps=1)
    with pytest.warns(UserWarning, match=r"Net holds nnx.Conv.* use bal.learners.networks.Conv") as told:
        jax.eval_shape(learner.fit, KEY, jax.eval_shape(learner.init, KEY, data), data)
    assert len(told) == 1
    fast = images(lambda rngs: conv.Conv(1, 2, 3, rngs=rngs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(lambda x: fast.apply(fast.init(KEY, x), x), X)
