"""Settings that cannot be right are refused when a learner or network is made, one sentence each."""

import math
from functools import partial
from inspect import unwrap

import jax
import jax.numpy as jnp
import pytest
from problem import KEY, SETUP, TASK, X

from bal import learners
from bal.learners.settings import check_count
from bal.learners.training import check_training
from bal.loop import Campaign, run_eager, run_seeds, seed_keys
from bal.typing import Data

NET = learners.mlp((4,), num_outputs=2)
ensemble, mc_dropout = partial(learners.ensemble, NET), partial(learners.mc_dropout, NET)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ensemble(0), "num_members must be at least 1, got 0"),
        (lambda: ensemble(2, num_steps=-1), "num_steps must be at least 0, got -1"),
        (lambda: ensemble(2, minibatch_size=0), "minibatch_size must be at least 1, got 0"),
        (lambda: mc_dropout(0), "num_draws must be at least 1, got 0"),
        (lambda: mc_dropout(3, num_steps=-5), "num_steps must be at least 0, got -5"),
        (lambda: mc_dropout(3, minibatch_size=-1), "minibatch_size must be at least 1, got -1"),
        (lambda: learners.mlp((8, 0)), "size of a layer must be at least 1, got 0"),
        (lambda: learners.mlp((8,), num_outputs=0), "num_outputs must be at least 1, got 0"),
        (lambda: learners.mlp((8,), dropout=1.0), r"dropout rate lies in \[0, 1\), but is 1.0"),
        (lambda: learners.mlp((8,), dropout=-0.1), r"dropout rate lies in \[0, 1\), but is -0.1"),
        (lambda: learners.linear(0), "num_outputs must be at least 1"),
        (lambda: learners.lenet(channels=(0, 4)), "size of a layer must be at least 1"),
        (lambda: learners.lenet(kernel=0), "size of a layer must be at least 1"),
        (lambda: learners.lenet(hidden=0), "size of a layer must be at least 1"),
        (lambda: learners.lenet(dropout=math.nan), r"dropout rate lies in \[0, 1\), but is nan"),
        (lambda: learners.gal_cnn(dropout=(0.5, 1.5)), r"dropout rate lies in \[0, 1\), but is 1.5"),
        (lambda: learners.gal_cnn(num_outputs=-1), "num_outputs must be at least 1"),
        (lambda: learners.shrink_and_perturb(math.nan), "shrink must be finite and at least 0, got nan"),
        (lambda: learners.shrink_and_perturb(0.4, math.inf), "perturb must be finite and at least 0, got inf"),
        (lambda: learners.shrink_and_perturb(-0.4), "shrink must be finite and at least 0, got -0.4"),
        (lambda: learners.gaussian(0.0), "must be positive and finite, got 0.0"),
        (lambda: learners.gaussian(math.inf), "must be positive and finite, got inf"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


RIGHT = {
    "network": NET,
    "num_steps": 3,
    "minibatch_size": 4,
    "optimizer": None,
    "restart": learners.cold,
    "likelihood": learners.categorical,
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": learners.mlp}, "expected a Network, got mlp; make one by"),
        ({"network": type("Net", (), {})}, "expected a Network, got Net; make one by"),
        ({"network": object()}, "expected a Network, got an object of type object"),
        ({"num_steps": 2.5}, "num_steps must be a whole number, got 2.5"),
        ({"num_steps": True}, "num_steps must be a whole number, got True"),
        ({"minibatch_size": "64"}, "minibatch_size must be a whole number, got '64'"),
        ({"optimizer": 1e-3}, "an optimizer of optax, got an object of type float"),
        ({"restart": None}, "a restart policy, got None; use cold"),
        ({"likelihood": learners.gaussian}, r"a Likelihood, got gaussian; .*call gaussian\(\)"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(wrong, message):
    check_training(**RIGHT)
    with pytest.raises(TypeError, match=message):
        check_training(**{**RIGHT, **wrong})


def test_a_policy_that_was_not_called():
    with pytest.raises(TypeError, match="expected a number as shrink, got dict"):
        unwrap(learners.shrink_and_perturb)({}, {})
    with pytest.raises(TypeError, match="expected a tuple of layer sizes, got 8"):
        unwrap(learners.mlp)(8)


def test_the_least_that_is_right():
    check_count("num_steps", 0, least=0)
    ensemble(1, num_steps=0, minibatch_size=1)
    learners.mlp((), num_outputs=1, dropout=0.0)


# A network without dropout has no posterior draws


def discard(params, x, key=None, shared=True):
    """Draws a mask and throws it away."""
    jax.random.bernoulli(jax.random.key(0) if key is None else key, 0.5, (4,))
    return NET.apply(params, x)


@pytest.mark.parametrize(
    "network",
    [NET, learners.linear(3), learners.lenet(dropout=0.0), learners.Network(NET.init, discard)],
    ids=["mlp", "linear", "lenet", "discarded"],
)
def test_mc_dropout_refuses_a_network_whose_outputs_ignore_the_key(network):
    data = Data(jnp.ones((2, 28, 28, 1)), jnp.zeros(2, int), jnp.ones(2))
    with pytest.raises(ValueError, match=r"without dropout, so all posterior draws would agree; give it a rate"):
        jax.eval_shape(learners.mc_dropout(network, 3).init, KEY, data)
    jax.eval_shape(learners.ensemble(network, 3).init, KEY, data)


@pytest.mark.parametrize("network", [learners.mlp((4,), dropout=0.01), learners.lenet(), learners.gal_cnn()])
def test_mc_dropout_takes_networks_with_dropout(network):
    data = Data(jnp.ones((2, 28, 28, 1)), jnp.zeros(2, int), jnp.ones(2))
    assert jax.eval_shape(learners.mc_dropout(network, 3).init, KEY, data).draws.shape == (3,)


SAME_DRAWS = SETUP._replace(learner=learners.mc_dropout(learners.mlp((4,), num_outputs=3), 5))


@pytest.mark.parametrize(
    "door",
    [
        lambda: run_seeds(seed_keys(0, 2), TASK, SAME_DRAWS),
        lambda: run_eager(KEY, TASK, SAME_DRAWS),
        lambda: Campaign(KEY, SAME_DRAWS.learner, SETUP.query, X, capacity=9, num_classes=3),
    ],
    ids=["run_seeds", "run_eager", "Campaign"],
)
def test_every_door_refuses_draws_that_all_agree(door):
    with pytest.raises(ValueError, match="all posterior draws would agree"):
        door()
