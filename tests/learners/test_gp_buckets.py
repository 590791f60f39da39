"""Few labels in a large capacity: the same numbers as in a small one, without reading the rest of the state."""

import functools
from operator import itemgetter

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.learners.gp import gp_classification, gp_regression, gp_regression_draws, process, sparse_gp
from bal.learners.gp.buckets import by_bucket, sizes
from bal.typing import Data

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
CAPACITY = 130
X, X_NEW = RNG.normal(size=(100, 2)), RNG.normal(size=(5, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1]
KERNEL = gpjax.kernels.RBF(n_dims=2)
LEARNERS = {
    "regression": gp_regression(process(KERNEL, 0.1)),
    "classification": gp_classification(process(KERNEL)),
    "sparse": sparse_gp(process(KERNEL, 0.1), CAPACITY),
    "draws": gp_regression_draws(process(KERNEL, 1e-3), 2, num_features=64),
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def spread_out(y, count, capacity):
    """So many labels among pending rows, the last at the end."""
    places = [*np.sort(np.random.default_rng(1).permutation(capacity - 1)[: count - 1]).tolist(), capacity - 1]
    x, labels, weight = np.full((capacity, 2), np.nan), np.zeros(capacity, y.dtype), np.zeros(capacity)
    x[places], labels[places], weight[places] = X[:count], y[:count], 1.0
    return Data(x, labels, weight)


def run(learner, data, x_new):
    x_new = jnp.asarray(x_new)
    state = learner.fit(KEY, learner.init(KEY, data), data)
    variance = jax.vmap(lambda row: learner.kernel(state, row, row))(learner.embed(state, x_new))
    return state, (learner.predict(state, x_new), variance)


@functools.cache
def ten_and_a_hundred(name):
    """States and predictions of ten labels and of a hundred, one after the other in one program; and the labels."""
    y, x_new = (Y > 0).astype(np.int32) if name == "classification" else Y, X if name == "draws" else X_NEW
    both = jax.tree.map(lambda *leaves: np.stack(leaves), *(spread_out(y, count, CAPACITY) for count in (10, 100)))
    program = jax.jit(lambda data: jax.lax.map(lambda one: run(LEARNERS[name], one, x_new), data))  # as seeds on a CPU
    together = jax.tree.map(np.asarray, program(both))
    return [jax.tree.map(itemgetter(place), together) for place in (0, 1)], y


def test_few_sizes():
    assert sizes(20) == (20,)
    assert sizes(127) == (127,)
    assert sizes(128) == (16, 64, 128)
    assert sizes(512) == (16, 64, 256, 512)
    assert len(sizes(100_000)) == 7


def test_seeds_that_are_mapped_together_take_the_branch_of_the_largest():
    """And one branch is computed, not all of them: a conditional is left. (Without LAPACK, whose batches can wait for
    ever on a CPU of several devices.)"""
    size = lambda number: by_bucket(number, 512, lambda size: jnp.full((), size))
    numbers = jnp.array([10, 100, 40])
    assert [int(size(number)) for number in numbers] == [16, 256, 64]
    assert jax.vmap(size)(numbers).tolist() == [256, 256, 256]
    assert "cond[" in str(jax.make_jaxpr(jax.vmap(size))(numbers))


SLOW = {"classification", "sparse", "draws"}  # the same blocks, with more to compile


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in LEARNERS])
def test_capacity_changes_nothing(name):
    """Ten labels and a hundred, against a capacity of one size; draws, whose noise hangs on places, meet labels."""
    found, y = ten_and_a_hundred(name)
    alone = jax.jit(lambda data: run(LEARNERS[name], data, X_NEW)[1])
    for count, (state, predictions) in zip((10, 100), found):
        assert int((state.posterior if name == "draws" else state).num_labels) == count
        if name == "draws":
            np.testing.assert_allclose(predictions[0].mean[:count], np.stack([y[:count]] * 2, 1), atol=0.3)
            continue
        expected = alone(spread_out(y, count, 100))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7), predictions, expected)


def test_the_rest_of_the_state_is_never_read():
    """So that a round with ten labels costs what ten labels cost; it holds zeros, or a real row again. Nor by a
    gradient in the inputs."""
    learner, ((state, _), _) = LEARNERS["regression"], ten_and_a_hundred("regression")[0]
    assert (state.x[10:16] == state.x[0]).all()
    for leaf in (state.x[16:], state.whiten[:, 10:], state.whiten[:, :, 10:], state.alpha[:, 10:]):
        assert not leaf.any()
    spoilt = state._replace(x=state.x.copy(), whiten=state.whiten.copy())
    spoilt.x[16:], spoilt.whiten[:, 16:] = np.nan, np.nan
    total = lambda x, state: sum(leaf.sum() for leaf in learner.predict(state, x))
    slope = jax.jit(jax.value_and_grad(total))
    expected, found = (slope(X_NEW, some) for some in (state, spoilt))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    step = np.eye(2)[0] * 1e-6
    numeric = (slope(X_NEW + step, state)[0] - slope(X_NEW - step, state)[0]) / 2e-6
    np.testing.assert_allclose(found[1][:, 0].sum(), numeric, rtol=1e-6)
