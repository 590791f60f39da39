"""Few labels in a large capacity: the same numbers as in a small one, without reading the rest of the state."""

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
    return Data(*map(jnp.asarray, (x, labels, weight)))


def run(learner, data):
    state = learner.fit(KEY, learner.init(KEY, data), data)
    rows = learner.embed(state, jnp.asarray(X_NEW))
    variance = jax.vmap(lambda row: learner.kernel(state, row, row))(rows)
    return state, (learner.predict(state, jnp.asarray(X_NEW)), variance)


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


@pytest.mark.parametrize("name", LEARNERS)
def test_capacity_changes_nothing(name):
    """Ten labels and a hundred, one after the other in one program, against a capacity of one size; draws, whose noise
    hangs on places, meet their labels."""
    learner = LEARNERS[name]
    y = (Y > 0).astype(np.int32) if name == "classification" else Y
    together = jax.jit(lambda data: jax.lax.map(lambda one: run(learner, one), data))  # as seeds are on a CPU
    apart = [spread_out(y, count, CAPACITY) for count in (10, 100)]
    state, found = together(jax.tree.map(lambda *leaves: jnp.stack(leaves), *apart))
    alone = jax.jit(lambda data: run(learner, data)[1])
    for place, count in enumerate((10, 100)):
        one = jax.tree.map(lambda leaf: leaf[place], state)  # noqa: B023
        if name == "draws":
            assert int(one.posterior.num_labels) == count
            mean = learner.predict(one, jnp.asarray(X[:count])).mean
            np.testing.assert_allclose(mean, np.stack([y[:count]] * 2, 1), atol=0.3)
            continue
        assert int(one.num_labels) == count
        expected = alone(spread_out(y, count, 100))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[place], b, rtol=1e-7, atol=1e-7), found, expected)  # noqa: B023


def test_the_rest_of_the_state_is_never_read():
    """So that a round with ten labels costs what ten labels cost; it holds zeros. Nor by a gradient in the inputs."""
    learner = LEARNERS["regression"]
    state, _ = jax.jit(lambda data: run(learner, data))(spread_out(Y, 10, CAPACITY))
    for leaf in (state.x[10:], state.whiten[:, 10:], state.whiten[:, :, 10:], state.alpha[:, 10:]):
        assert not leaf.any()
    spoilt = state._replace(x=state.x.at[16:].set(jnp.nan), whiten=state.whiten.at[:, 16:].set(jnp.nan))
    total = lambda x, state: sum(leaf.sum() for leaf in learner.predict(state, x))
    slope = jax.jit(jax.value_and_grad(total))
    expected, found = (slope(jnp.asarray(X_NEW), some) for some in (state, spoilt))
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    step = np.eye(2)[0] * 1e-6
    numeric = (slope(X_NEW + step, state)[0] - slope(X_NEW - step, state)[0]) / 2e-6
    np.testing.assert_allclose(found[1][:, 0].sum(), numeric, rtol=1e-6)
