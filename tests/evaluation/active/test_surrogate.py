"""The surrogate's estimate against a loop, and its interval where the surrogate is right; coins against all coins."""

from itertools import product

import numpy as np
import pytest

from bal.evaluation.active import active_inference, inclusion_probabilities, surrogate_estimate


def test_the_surrogates_estimate_is_a_loop():
    rng = np.random.default_rng(0)
    draws, variances = rng.random((3, 6)), rng.random((3, 6))
    values, indices = np.array([4.0, 2.0]), np.array([5, 1])
    found = surrogate_estimate(draws, values, indices, variances)
    sums = [sum(draw[row] for row in (0, 2, 3, 4)) for draw in draws]
    noise = sum(sum(variance[row] for row in (0, 2, 3, 4)) for variance in variances) / 3
    assert float(found.mean) == pytest.approx((6 + sum(sums) / 3) / 6)
    spread = sum((each - sum(sums) / 3) ** 2 for each in sums) / 2
    assert float(found.standard_error) == pytest.approx(np.sqrt(spread + noise) / 6)
    none = surrogate_estimate(draws, np.zeros(0), np.zeros(0, int))
    assert float(none.mean) == pytest.approx(draws.mean())
    every = surrogate_estimate(draws, np.arange(6.0), np.arange(6), variances)
    assert (float(every.mean), float(every.low), float(every.high)) == (2.5, 2.5, 2.5)


def test_its_interval_covers_where_the_surrogate_is_right():
    rng, covered = np.random.default_rng(1), []
    for _ in range(400):  # a level common to all rows, drawn as the draws are, and noise of its own for each
        base = rng.normal(size=40)
        levels = rng.normal(size=201)
        draws = base + levels[1:, None]
        truth = base + levels[0] + 0.5 * rng.normal(size=40)
        found = surrogate_estimate(draws, truth[:4], np.arange(4), np.full((200, 40), 0.25))
        covered.append(found.low <= truth.mean() <= found.high)
    assert 0.92 < np.mean(covered) < 0.98


def test_unbiased_over_all_coins():
    inclusion, values = np.array([0.2, 0.9, 0.5, 1.0]), np.array([1.0, -2.0, 0.5, 3.0])
    coins = np.array([coin for coin in product([False, True], repeat=4) if coin[3]])
    chance = np.where(coins, inclusion, 1 - inclusion).prod(-1)
    shown = np.where(coins, values, np.nan)  # what was not labeled is never read
    found = active_inference(inclusion, shown, np.array([2.0, -1.0, 0.0, 0.0]), coins)
    assert chance @ found.mean == pytest.approx(values.mean(), abs=1e-12)


def test_coins_by_uncertainty_shorten_an_interval_that_covers():
    rng = np.random.default_rng(2)
    predictions = rng.normal(size=(3000, 250))
    spread = np.exp(rng.normal(size=predictions.shape))
    values = predictions + spread * rng.normal(size=predictions.shape)  # of a population of mean zero
    widths = {}
    for name, scores in {"uncertain": spread, "uniform": np.ones_like(spread)}.items():
        inclusion = inclusion_probabilities(scores, 60.0)
        labeled = rng.random(inclusion.shape) < inclusion
        assert labeled.sum(-1).mean() == pytest.approx(60, abs=0.5)
        found = active_inference(inclusion, values, predictions, labeled)
        assert 0.93 < ((found.low <= 0) & (found.high >= 0)).mean() < 0.97
        assert abs(found.mean.mean()) < 3 * found.mean.std() / np.sqrt(3000)
        widths[name] = (found.high - found.low).mean()
    assert widths["uncertain"] < 0.8 * widths["uniform"]


def test_refusals():
    with pytest.raises(ValueError, match=r"chances in \(0, 1\]"):
        active_inference(np.array([0.0, 1.0]), np.ones(2), np.ones(2), np.array([True, True]))
    with pytest.raises(ValueError, match="finite values of the labeled"):
        active_inference(np.ones(2), np.array([np.nan, 1.0]), np.ones(2), np.array([True, True]))
    with pytest.raises(ValueError, match="each once"):
        surrogate_estimate(np.ones((2, 3)), np.ones(2), np.array([0, 0]))
    with pytest.raises(ValueError, match="finite draws"):
        surrogate_estimate(np.full((2, 3), np.nan), np.ones(1), np.array([0]))
