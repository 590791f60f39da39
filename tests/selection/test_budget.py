"""Batches under a budget, against all sets that it buys, and against plain greedy where prices are equal."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import Greedy, additive, budgeted, greedy, one_per_group, select
from bal.typing import Candidates

KEY = jax.random.key(0)
N, POINTS, BUDGET = 8, 12, 3.0
BOUND = (1 - 1 / math.e) / 2


def coverage(key, candidates, batch_size):
    """Weight of what a row covers and no picked row does: submodular, as the information of a batch."""
    covers, weight = candidates.rows, candidates.context
    score = lambda left: (covers * (weight * left)[None]).sum(1)
    return Greedy(jnp.ones(len(weight)), score, lambda left, position: left * (1 - covers[position]))


def problem(seed):
    """Rows that cover some of twelve points, at prices of which a few take most of the budget."""
    rng = np.random.default_rng(seed)
    covers = (rng.random((N, POINTS)) < rng.uniform(0.1, 0.6)).astype(np.float32)
    cost = rng.choice([0.3, 0.7, 1.1, 2.9, 3.5], N).astype(np.float32)
    return covers, cost, rng.exponential(size=POINTS).astype(np.float32)


def covered(covers, weight, rows):
    return float(weight[covers[list(rows)].any(0)].sum()) if len(rows) else 0.0


@jax.jit
@jax.vmap
def bought(covers, cost, weight):
    candidates = Candidates(covers, jnp.arange(N), jnp.ones(N, bool), cost, context=weight)
    return budgeted(coverage, BUDGET)(KEY, candidates, N)


def test_at_least_the_bound_of_the_best_set_and_never_above_the_budget():
    problems = [problem(seed) for seed in range(60)]
    found = bought(*map(jnp.asarray, map(np.stack, zip(*problems, strict=True))))
    subsets = [rows for size in range(N + 1) for rows in itertools.combinations(range(N), size)]
    shares = []
    for number, (covers, cost, weight) in enumerate(problems):
        rows = np.asarray(found.indices[number])[np.asarray(found.valid[number])]
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_allclose(found.info["spent"][number], cost[rows].sum(), rtol=1e-5)
        assert cost[rows].sum() <= BUDGET * 1.0001
        value = covered(covers, weight, rows)
        gains = np.asarray(found.scores[number])[np.asarray(found.valid[number])]
        np.testing.assert_allclose(gains.sum(), value, rtol=1e-5)
        best = max(covered(covers, weight, rows) for rows in subsets if cost[list(rows)].sum() <= BUDGET * 1.0001)
        shares.append(value / best)
    assert min(shares) >= BOUND
    assert np.mean(shares) > 0.9


def test_each_half_alone_has_no_bound():
    """A cheap crumb before a loaf that then does not fit; and many small rows against one of some size."""
    loaf = select(None, None, budgeted(additive, 10.0), 3, scores=[0.02, 10.0, 0.01], cost=[0.001, 10.0, 10.0])
    assert loaf.indices[loaf.valid].tolist() == [1]
    small = select(None, None, budgeted(additive, 3.0), 4, scores=[1.0, 1.0, 1.0, 2.0], cost=[1.0, 1.0, 1.0, 3.0])
    assert small.indices[small.valid].tolist() == [0, 1, 2]


@pytest.mark.parametrize("price", [0.05, 1.0])
def test_equal_prices_are_plain_greedy(price):
    """Of as many rows as the budget buys, also where prices add up to it only within rounding."""
    covers, _, weight = problem(3)
    candidates = Candidates(jnp.asarray(covers), jnp.arange(N), jnp.arange(N) != 2, jnp.full(N, price), context=weight)
    plain = jax.jit(lambda: greedy(coverage)(KEY, candidates, 5))()
    found = jax.jit(lambda: budgeted(coverage, 5 * price)(KEY, candidates, N))()
    assert found.indices[:5].tolist() == plain.indices.tolist()
    assert found.valid.tolist() == [True] * 5 + [False] * 3
    np.testing.assert_allclose(found.scores[:5], plain.scores, rtol=1e-5)


def test_what_has_no_score_or_may_not_be_picked_is_not_bought():
    candidates = Candidates(
        jnp.array([np.nan, 9.0, 1.0, -5.0]), jnp.arange(4), jnp.array([True, False, True, True]), jnp.ones(4)
    )
    found = jax.jit(lambda: budgeted(additive, 1.5)(KEY, candidates, 3))()
    assert found.indices[found.valid].tolist() == [2]
    assert {name: int(found.info[name]) for name in ("num_eligible", "num_nan", "num_negative", "spent")} == {
        "num_eligible": 3,
        "num_nan": 2,  # once a pick
        "num_negative": 1,
        "spent": 1,
    }
    nothing = jax.jit(lambda: budgeted(additive, 0.5)(KEY, candidates, 3))()
    assert not nothing.valid.any()


def test_one_of_each_group():
    """In descending order, the best of each; also under a budget, where the dearer of a group may be the one."""
    group = np.array([5, 5, 7, 7, 2])
    scores, cost = [1.0, 2.0, 3.0, 4.0, 0.5], [1.0, 1.0, 1.0, 4.0, 1.0]
    found = select(None, None, greedy(one_per_group(additive, group)), 5, scores=scores)
    assert found.indices[found.valid].tolist() == [3, 1, 4]
    paid = select(None, None, budgeted(one_per_group(additive, group), 3.0), 5, scores=scores, cost=cost)
    assert paid.indices[paid.valid].tolist() == [2, 1, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: budgeted(additive, 0.0), "a budget that is positive and finite, got 0.0"),
        (lambda: budgeted(additive, math.nan), "a budget that is positive"),
        (lambda: one_per_group(additive, [0.5]), r"one whole number for each pool row, got float64 of shape \(1,\)"),
        (lambda: one_per_group(additive, [[1]]), r"got int64 of shape \(1, 1\)"),
        (lambda: select(np.eye(3), None, budgeted(additive, 1.0), 1), "additive ranks one score a row"),
    ],
)
def test_what_cannot_be_right_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
