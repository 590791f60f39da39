"""Operations against counts by hand, and against the compiler's where there are no loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, POOL, SETUP, TASK

from bal.loop import Log
from bal.proxies import Cost, costs_of, flops, round_flops, spent
from bal.proxies.flops import Flops

SQUARE = jnp.ones((4, 4))


def convolved(x, kernel, groups):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=numbers, feature_group_count=groups
    )


def test_products_and_convolutions_are_those_of_the_compiler():
    a, b = jnp.ones((5, 3, 4)), jnp.ones((5, 4, 6))
    assert flops(jnp.matmul, a, b) == Flops(2.0 * 5 * 3 * 4 * 6)
    x, dense, each = jnp.ones((2, 6, 6, 8)), jnp.ones((3, 3, 8, 5)), jnp.ones((3, 3, 1, 8))
    for kernel, groups, hand in ((dense, 1, 2 * 2 * 16 * 5 * 9 * 8), (each, 8, 2 * 2 * 16 * 8 * 9)):
        call = lambda x, kernel, groups=groups: convolved(x, kernel, groups)
        found = flops(call, x, kernel)
        compiled = jax.jit(call).lower(x, kernel).compile().cost_analysis()
        assert found == Flops(float(hand))
        assert found.count == compiled["flops"]


def test_loops_count_as_often_as_they_run():
    step = lambda x, _: (x @ x, None)
    looped = lambda x: jax.lax.scan(step, jax.lax.scan(step, x, length=3)[0], length=7)[0]
    assert flops(jax.jit(looped), SQUARE) == Flops(10 * 128.0)
    assert flops(lambda x: jax.lax.fori_loop(0, 5, lambda _, x: x @ x, x), SQUARE) == Flops(5 * 128.0)
    nested = lambda x: jax.lax.scan(lambda x, _: (looped(x), None), x, length=2)[0]
    assert flops(nested, SQUARE) == Flops(20 * 128.0)


def test_a_loop_of_unknown_length_is_named_and_the_dearer_branch_counts():
    unknown = lambda x: jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)
    assert flops(unknown, SQUARE) == Flops(128.0, 1)
    branches = lambda x: jax.lax.cond(x.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, x)
    assert flops(branches, SQUARE) == Flops(256.0)


def test_what_the_result_does_not_need_is_left_out():
    def half(x):
        unused = x @ x
        return x @ x[:, :1], unused.sum()

    assert flops(lambda x: half(x)[0], SQUARE) == Flops(32.0)


def test_gradients_and_factors():
    loss = lambda w, x: jnp.sum(jnp.tanh(x @ w))
    assert flops(jax.grad(loss), jnp.ones((3, 2)), jnp.ones((7, 3))) == Flops(2 * 2 * 7 * 3 * 2.0)  # values, weights
    assert flops(jnp.linalg.cholesky, 2 * jnp.eye(6)) == Flops(6**3 / 3)
    solve = lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True)
    assert flops(solve, jnp.eye(6), jnp.ones((6, 2))) == Flops(6 * 6 * 2.0)


def test_rounds_of_a_network_by_hand():
    fit, query = round_flops(TASK, SETUP)
    forward = 2 * (2 * 8 + 8 * 3)
    back = 2 * (2 * 8 + 2 * 8 * 3)  # both layers' weights, and what the first layer is told
    assert fit == Flops(3.0 * 15 * 8 * (forward + back))  # members, steps, rows
    assert query == Flops(3.0 * 40 * forward)


ROWS = np.array([[8, 9], [3, 7], [1, 0]])
VALID = np.array([[True, True], [True, True], [True, False]])
LOG = Log(np.array([2, 5, 4]), np.zeros(3, np.int32), ROWS, np.zeros((3, 2)), VALID,
          np.zeros((3, 2), np.int32), None, {}, {}, np.array([3, 5, 7, 8]))  # fmt: skip
SHORT = SETUP._replace(learner=CENTERS, evaluate=None, num_rounds=3)


def test_costs_of_a_run_add_up():
    price = np.where(np.arange(40) % 2 == 0, 1.0, 3.0)
    task = TASK._replace(pool=POOL._replace(cost=price), start=LOG.start)
    costs = costs_of(task, SHORT, LOG, [1.0, 2.0, 3.0, 4.0])
    fit, query = round_flops(task, SHORT)
    whole = spent(costs, label_price=2.0, hour_price=3600.0, exaflop_price=1e18)
    assert [(cost.at, cost.labels) for cost in costs] == [(3, 3), (5, 2), (7, 2), (8, 1)]
    assert whole.labels == 8
    assert whole.flops == 4 * fit.count + 3 * query.count
    assert whole.money == pytest.approx(2 * price[[2, 5, 4, 8, 9, 3, 7, 1]].sum() + 10 + whole.flops)
    assert spent(costs, until=5)[:3] == (5, 2 * (fit.count + query.count), 3.0)
    with pytest.raises(ValueError, match="seconds of the 4 evaluations, got 1"):
        costs_of(task, SHORT, LOG, [1.0])


def test_what_cannot_be_traced_is_said():
    setup = SHORT._replace(learner=CENTERS._replace(host=True))
    with pytest.raises(ValueError, match="go by seconds"):
        round_flops(TASK, setup)
    costs = costs_of(TASK, setup, LOG, [0.0] * 4)
    assert np.isnan(spent(costs).flops)
    assert spent(costs, label_price=1.0).money == 8.0


def test_prices_are_checked():
    with pytest.raises(ValueError, match="hour_price must be finite and at least 0"):
        spent([Cost("round", 1, 1, 1.0, 1.0, 0, 1.0)], hour_price=-1.0)
