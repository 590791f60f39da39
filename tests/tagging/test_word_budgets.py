"""Rounds that are so many words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import best, random_uniform
from bal.tagging import most_rows, random_first, until_spent
from bal.typing import Candidates

COST = np.array([3.0, 5.0, 1.0, 4.0, 2.0, 6.0], np.float32)
SCORES = np.array([0.5, 0.4, 0.9, 0.1, 0.8, 0.7], np.float32)


def candidates(rows=SCORES, known=0.0):
    everything = jnp.ones(6, bool)
    return Candidates(jnp.asarray(rows), jnp.arange(6), everything, jnp.asarray(COST), None, jnp.full(2, known))


@pytest.mark.parametrize("budget", [0.5, 1.0, 3.0, 3.5, 9.0, 21.0])
def test_the_row_that_crosses_is_the_last(budget):
    found = until_spent(best, budget)(jax.random.key(0), candidates(), 6)
    order, rows, spent = np.argsort(-SCORES), [], 0.0
    for row in order:
        if spent >= budget:
            break
        rows, spent = [*rows, row], spent + COST[row]
    assert found.indices[found.valid].tolist() == rows
    assert found.info["spent"] == spent
    assert (found.scores[~found.valid] == -np.inf).all()


def test_rows_that_are_not_there_cost_nothing():
    some = candidates()._replace(eligible=jnp.array([True, True, False, True, True, False]))
    found = until_spent(best, 100.0)(jax.random.key(0), some, 6)
    assert found.indices[found.valid].tolist() == [4, 0, 1, 3]
    assert found.info["spent"] == 14


@pytest.mark.slow
def test_probabilities_of_random_picks_end_with_the_budget():
    found = until_spent(random_uniform, 6.0)(jax.random.key(0), candidates(), 6)
    whole = random_uniform(jax.random.key(0), candidates(), 6)
    np.testing.assert_array_equal(found.log_q, np.where(found.valid, whole.log_q, -np.inf))


def test_the_first_round_is_the_random_one():
    key = jax.random.key(4)
    first, random = random_first(best)(key, candidates(), 6), random_uniform(key, candidates(), 6)
    assert first.indices.tolist() == random.indices.tolist() != np.argsort(-SCORES).tolist()
    later = random_first(best)(key, candidates(known=1.0), 6)
    assert later.indices.tolist() == np.argsort(-SCORES).tolist()


def test_the_most_rows_of_a_budget():
    assert [most_rows(COST, budget) for budget in (0.5, 1.0, 1.5, 3.0, 21.0)] == [1, 1, 2, 2, 6]
    with pytest.raises(ValueError, match="a budget of at most 21, what all rows cost together, got 22"):
        most_rows(COST, 22.0)
    with pytest.raises(ValueError, match="positive and finite, got 0"):
        until_spent(best, 0.0)


@pytest.mark.parametrize("cost", [[1.0, np.nan, 2.0], [1.0, -1.0, 3.0]])
def test_a_batch_of_unknown_costs_is_refused(cost):
    with pytest.raises(ValueError, match=r"expected costs of 0 or more, got (nan|-1); leave out rows"):
        most_rows(cost, 2.0)
