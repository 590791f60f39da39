"""Conformal sets: split conformal for uniform picks, and coverage after 50 rounds of power-BALD."""

import math

import numpy as np
import pytest
import scipy.special

from bal.evaluation.active import conformal_threshold, draw, lure_weights


def test_uniform_picks_are_split_conformal_prediction():
    rng = np.random.default_rng(0)
    for num_picks in (5, 9, 19, 40):
        picks, scores = draw(np.ones((6, 100)), num_picks), rng.normal(size=(6, num_picks))
        for coverage in (0.5, 0.8, 0.9):
            rank = math.ceil(coverage * (num_picks + 1) - 1e-9)
            split = np.sort(scores)[:, rank - 1] if rank <= num_picks else np.full(6, np.inf)
            np.testing.assert_array_equal(conformal_threshold(picks.log_q, scores, 100, coverage), split)


def test_weights_and_targets_by_a_loop():
    rng = np.random.default_rng(1)
    picks = draw(rng.gamma(2.0, size=60), 30)
    scores, target = rng.normal(size=30), rng.gamma(2.0, size=30)
    for given in (None, target):
        weights = lure_weights(picks.log_q, 60) * (1.0 if given is None else given)
        reached = [s for s, v in zip(scores, weights) if weights[scores <= s].sum() >= 0.8 * (weights.sum() + v)]
        assert float(conformal_threshold(picks.log_q, scores, 60, 0.8, given)) == min(reached)


def test_exact_where_the_law_asks_for_classes_of_rows():
    """Two kinds of rows; one is picked four times as often, and its scores are higher."""
    rng = np.random.default_rng(2)
    hard = rng.random((2000, 400)) < 0.3
    scores = rng.exponential(size=hard.shape) * np.where(hard, 4.0, 1.0)
    picks = draw(np.where(hard, 4.0, 1.0), 99)
    at = np.take_along_axis(scores, picks.indices, 1)
    weighted = conformal_threshold(picks.log_q, at, 400)
    assert (scores <= weighted[:, None]).mean() == pytest.approx(0.9, abs=0.01)
    aim = np.take_along_axis(np.where(hard, 4.0, 1.0), picks.indices, 1)  # where the next row is picked by the same law
    following = conformal_threshold(picks.log_q, at, 400, target=aim)
    share = np.where(hard, 4.0, 1.0)
    covered = (share * (scores <= following[:, None])).sum(1) / share.sum(1)
    assert covered.mean() == pytest.approx(0.9, abs=0.01)
    assert (weighted < following).mean() > 0.95


def power_bald(num_seeds, num_rows=90, num_rounds=50):
    """Each round a row to train on and one that was set aside for calibration, both by power-BALD of the newest model.

    Three classes, told apart by draws of their means. Returns the law and the last model's scores of the calibration
    picks, of fresh rows, and the fresh rows' chance to be picked.
    """
    rng, num_fresh, centers = np.random.default_rng(3), 60, 1.5 * np.array([[0, 1.2], [1, -0.6], [-1, -0.6]])
    y = rng.integers(0, 3, (num_seeds, 2 * num_rows + num_fresh))
    wide = np.where(rng.random(y.shape) < 0.3, 1.2, 0.5)
    x = centers[y] + wide[..., None] * rng.normal(size=(*y.shape, 2))
    seeds = np.arange(num_seeds)
    left = np.ones((num_seeds, 2 * num_rows))
    left[:, :6] = 0  # the start set
    counts, sums = np.zeros((num_seeds, 3)), np.zeros((num_seeds, 3, 2))
    for row in range(6):
        np.add.at(counts, (seeds, y[:, row]), 1)
        np.add.at(sums, (seeds, y[:, row]), x[:, row])
    train, held = np.arange(2 * num_rows) < num_rows, np.arange(2 * num_rows) >= num_rows
    picks, log_q = np.zeros((num_seeds, num_rounds), int), np.zeros((num_seeds, num_rounds))
    for number in range(num_rounds + 1):
        means = (sums / (1 + counts[..., None]))[:, None] + (
            0.7 / np.sqrt(1 + counts)[:, None, :, None] * rng.normal(size=(num_seeds, 4, 3, 2))
        )
        squared = ((x**2).sum(-1))[:, :, None, None] + (means**2).sum(-1)[:, None]
        squared = squared - 2 * np.einsum("snd,skcd->snkc", x, means)
        probs = scipy.special.softmax(-0.5 * squared, -1)
        mean = probs.mean(2)
        entropy = lambda p: -scipy.special.xlogy(p, p).sum(-1)
        bald = np.maximum(entropy(mean) - entropy(probs).mean(2), 1e-12)
        if number < num_rounds:
            for half in (train, held):
                weights = bald[:, : 2 * num_rows] * left * half
                share = weights.cumsum(1) / weights.sum(1, keepdims=True)
                row = (share < rng.random((num_seeds, 1))).sum(1)
                left[seeds, row] = 0
                if half is held:
                    picks[:, number], log_q[:, number] = row, np.log(weights[seeds, row] / weights.sum(1))
                else:
                    np.add.at(counts, (seeds, y[seeds, row]), 1)
                    np.add.at(sums, (seeds, y[seeds, row]), x[seeds, row])
    scores = 1 - np.take_along_axis(mean, y[..., None], -1)[..., 0]
    return log_q, np.take_along_axis(scores, picks, 1), scores[:, 2 * num_rows :], num_rows


@pytest.mark.parametrize("num_seeds", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_weighted_sets_hold_what_they_promise_where_plain_ones_do_not(num_seeds):
    log_q, scores, fresh, num_rows = power_bald(num_seeds)
    covered = lambda threshold: (fresh <= threshold[:, None]).mean()
    plain = conformal_threshold(np.broadcast_to(-np.log(num_rows - np.arange(50.0)), log_q.shape), scores, num_rows)

    assert abs(covered(conformal_threshold(log_q, scores, num_rows)) - 0.9) < 0.02
    assert covered(plain) > 0.93


def test_refusals():
    log_q = np.log([0.5, 0.5])
    with pytest.raises(ValueError, match="coverage"):
        conformal_threshold(log_q, np.ones(2), 4, 1.0)
    with pytest.raises(ValueError, match="a number for each pick"):
        conformal_threshold(log_q, np.array([1.0, np.nan]), 4)
    with pytest.raises(ValueError, match="target >= 0"):
        conformal_threshold(log_q, np.ones(2), 4, target=-np.ones(2))
    with pytest.raises(ValueError, match="deterministic"):
        conformal_threshold(None, np.ones(2), 4)
