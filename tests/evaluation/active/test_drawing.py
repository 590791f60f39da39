"""Draws against enumeration and a slow loop, and inclusion probabilities against bisection."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from bal.evaluation.active import draw, inclusion_probabilities
from bal.selection import power, select

WEIGHTS = np.array([0.5, 1.0, 3.0, 0.1])


def slow_log_q(weights, order):
    left, found = list(range(len(weights))), []
    for row in order:
        found.append(np.log(weights[row] / sum(weights[other] for other in left)))
        left.remove(row)
    return np.array(found)


def test_the_law_is_that_of_drawing_one_after_the_other():
    picks = draw(np.broadcast_to(WEIGHTS, (20000, 4)), 3)
    seen = Counter(map(tuple, picks.indices.tolist()))
    for order in permutations(range(4), 3):
        chance = np.exp(slow_log_q(WEIGHTS, order).sum())
        assert abs(seen[order] / 20000 - chance) < 4 * np.sqrt(chance * (1 - chance) / 20000)
    for order, log_q in zip(picks.indices[:50], picks.log_q):
        np.testing.assert_allclose(log_q, slow_log_q(WEIGHTS, order), rtol=1e-12)


def test_it_is_the_law_of_power():
    picks = select(None, None, power(), 4, scores=WEIGHTS.astype(np.float32))
    np.testing.assert_allclose(picks.log_q, slow_log_q(WEIGHTS, picks.indices.tolist()), rtol=1e-4, atol=1e-6)


def test_inclusion_is_proportional_up_to_one():
    scores = np.random.default_rng(0).gamma(0.3, size=(20, 40))
    for budget in (3.0, 12.5, 30.0):
        found = inclusion_probabilities(scores, budget, 0.2)
        np.testing.assert_allclose(found.sum(-1), budget)
        for row, chances in zip(scores, found):
            low, high = 0.0, budget / row.min()
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if np.minimum(1, middle * row).sum() < budget else (low, middle)
            np.testing.assert_allclose(chances, 0.8 * np.minimum(1, low * row) + 0.2 * budget / 40, rtol=1e-6)
    assert inclusion_probabilities(np.array([1.0, 0.0, 2.0]), 2.0, 0.5).tolist() == pytest.approx([5 / 6, 1 / 3, 5 / 6])


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, np.nan], [1.0, 0.0], [1.0, np.inf]])
def test_what_is_no_law_is_refused(weights):
    with pytest.raises(ValueError, match="expected finite weights >= 0"):
        draw(np.array(weights), 2)
    with pytest.raises(ValueError, match="expected finite scores >= 0"):
        inclusion_probabilities(np.array(weights), 2.0)
    with pytest.raises(ValueError, match="uniform_share"):
        inclusion_probabilities(np.ones(3), 2.0, 0.0)
