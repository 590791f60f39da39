"""LURE: exactly unbiased by enumeration, equal to a slow loop of the paper's formula, and honest intervals."""

import time
from itertools import permutations

import numpy as np
import problem
import pytest

from bal.acquisition import bald
from bal.datasets import digits
from bal.evaluation.active import MeanEstimate, draw, labels_until, lure, lure_weights, residual_lure
from bal.loop import run_seeds, seed_keys
from bal.query import by_score
from bal.records import load, open_record
from bal.selection import power
from bal.strategies import random
from bal.typing import Setup

VALUES = np.array([0.3, 2.0, -1.0, 0.7, 5.0])
PREDICTIONS = np.array([0.0, 2.5, -1.5, 0.5, 3.0])


def by_the_paper(log_q, values, num_rows):
    """Mean and standard error after each label, by loops in float64."""
    means, errors = [], []
    for num_picks in range(1, len(values) + 1):
        total = 0.0
        for m in range(1, num_picks + 1):
            q = np.exp(log_q[m - 1])
            weight = 1.0
            if num_picks < num_rows:
                weight += (num_rows - num_picks) / (num_rows - m) * (1 / ((num_rows - m + 1) * q) - 1)
            total += weight * values[m - 1]
        mean = total / num_picks
        variance = lost = noise = squares = 0.0
        for m in range(1, num_picks + 1) if num_picks < num_rows else ():
            c = num_rows * (num_rows - num_picks) / (num_picks * (num_rows - m) * (num_rows - m + 1))
            spread = (num_rows - m + 1) / num_rows
            told = (values[m - 1] / np.exp(log_q[m - 1]) + sum(values[: m - 1])) / num_rows
            variance, squares = variance + c**2 * (told - mean) ** 2, squares + c**2
            lost, noise = lost + c**3 * spread**2, noise + c**2 * spread**2
        means.append(mean)
        left = 1 - 2 * lost / noise + squares if noise else 1.0
        errors.append(np.nan if num_picks == 1 else np.sqrt(variance / left))
    return np.array(means), np.array(errors)


def every_order(num_picks):
    """All orders of picks, by a law that looks at the labels so far, and their chances."""
    orders = np.array(list(permutations(range(5), num_picks)))
    log_q = np.zeros(orders.shape)
    for number, order in enumerate(orders):
        left, seen = list(range(5)), 1.0
        for place, row in enumerate(order):
            weights = {other: 0.2 + abs(seen * (other - 1.5)) for other in left}
            log_q[number, place] = np.log(weights[row] / sum(weights.values()))
            left.remove(row)
            seen += VALUES[row]
    return orders, log_q, np.exp(log_q.sum(-1))


@pytest.mark.parametrize("num_picks", [1, 2, 3, 4, 5])
def test_unbiased_whatever_the_law(num_picks):
    orders, log_q, chance = every_order(num_picks)
    assert chance.sum() == pytest.approx(1, abs=1e-12)
    for found in (
        lure(log_q, VALUES[orders], 5),
        residual_lure(log_q, VALUES[orders], PREDICTIONS, orders),
    ):
        assert chance @ found.mean[:, -1] == pytest.approx(VALUES.mean(), abs=1e-12)
    assert chance @ lure_weights(log_q, 5).mean(-1) == pytest.approx(1, abs=1e-12)
    naive = chance @ VALUES[orders].mean(-1)
    assert num_picks == 5 or abs(naive - VALUES.mean()) > 0.05


@pytest.mark.parametrize("num_rows", [12, 40])
def test_each_label_adds_what_the_formula_says(num_rows):
    rng = np.random.default_rng(0)
    picks = draw(rng.gamma(2.0, size=(3, num_rows)), 12)
    values = 1e3 + rng.normal(size=picks.indices.shape)
    found = lure(picks.log_q, values, num_rows)
    for row in range(3):
        mean, error = by_the_paper(picks.log_q[row], values[row], num_rows)
        np.testing.assert_allclose(found.mean[row], mean, rtol=1e-12)
        np.testing.assert_allclose(found.standard_error[row], error, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose((lure_weights(picks.log_q[row], num_rows) * values[row]).mean(), mean[-1])
    assert (num_rows > 12) == (found.high[0, -1] > found.low[0, -1])  # nothing is left open where all is labeled


def test_uniform_picks_give_the_classical_mean_and_error():
    rng = np.random.default_rng(1)
    picks = draw(np.ones((4, 5000)), 60)
    values = rng.normal(size=(4, 60))
    found = lure(picks.log_q, values, 5000)
    np.testing.assert_allclose(found.mean[:, -1], values.mean(-1), atol=1e-12)
    classical = values.std(-1, ddof=1) / np.sqrt(60) * np.sqrt(1 - 60 / 5000)
    np.testing.assert_allclose(found.standard_error[:, -1], classical, rtol=0.02)


@pytest.fixture(scope="module")
def many():
    """10,000 repetitions of 50 picks from 200 rows, with weights that are right, wrong and uniform; and the seconds."""
    rng = np.random.default_rng(2)
    predictions = rng.gamma(2.0, size=200)
    values = predictions + 0.5 * rng.normal(size=200)
    begun, found = time.process_time(), {}
    for name, weights in {"right": predictions + 0.3, "wrong": 1 / (1 + predictions), "uniform": np.ones(200)}.items():
        picks = draw(np.broadcast_to(weights, (10_000, 200)), 50)
        at = values[picks.indices]
        found[name] = lure(picks.log_q, at, 200), residual_lure(picks.log_q, at, predictions, picks.indices)
    return values.mean(), found, (time.process_time() - begun) / 3


def test_unbiased_within_3_errors_over_10000_repetitions(many):
    mean, found, seconds = many
    assert seconds < 5
    for both in found.values():
        for estimate in both:
            last = estimate.mean[:, -1]
            assert abs(last.mean() - mean) < 3 * last.std() / 100


def test_intervals_cover(many):
    mean, found, _ = many
    for name, both in found.items():
        for estimate in both[name == "wrong" :]:
            low, high = estimate.low[:, -1], estimate.high[:, -1]
            assert 0.93 < ((low <= mean) & (mean <= high)).mean() < 0.97
    better = {name: both[1].mean[:, -1].var() / both[0].mean[:, -1].var() for name, both in found.items()}
    assert better["uniform"] < 0.2  # predictions are worth five times the labels here,
    assert better["wrong"] < 0.05  # and save a law that is wrong,
    assert better["right"] < 1  # while the right one has little left to save


def test_stopping_at_a_half_width_keeps_what_the_interval_promises():
    rng = np.random.default_rng(3)
    predictions = rng.gamma(2.0, size=400)
    values = predictions + rng.normal(size=400)
    picks = draw(np.broadcast_to(predictions + 0.5, (2000, 400)), 250)
    found = residual_lure(picks.log_q, values[picks.indices], predictions, picks.indices)
    stop = labels_until(found, 0.18)
    assert 60 < np.median(stop) < 200
    assert (stop <= 250).all()
    low, high = (np.take_along_axis(end, stop[:, None] - 1, 1)[:, 0] for end in (found.low, found.high))
    assert (high - low <= 0.36 + 1e-12).all()
    assert 0.93 < ((low <= values.mean()) & (values.mean() <= high)).mean() < 0.97
    assert (labels_until(found, 1e-6) == 251).all()
    assert (labels_until(found, 1e6, at_least=7) == 7).all()


def member(rng, x, y, x_test, num_features):
    """Ridge regression of classes on random features: a network whose first layer is not trained."""
    weights, bias = rng.normal(size=(64, num_features)) / 4, rng.normal(size=num_features)
    hidden, hidden_test = np.maximum(x @ weights + bias, 0), np.maximum(x_test @ weights + bias, 0)
    inner = hidden.T @ hidden + np.eye(num_features)
    return hidden_test @ np.linalg.solve(inner, hidden.T @ np.eye(10)[y])


def test_an_ensemble_halves_the_squared_error_on_digits():
    data, rng = digits(), np.random.default_rng(0)
    order = rng.permutation(len(data.x))
    x, y = np.asarray(data.x, np.float64)[order], np.asarray(data.y)[order]
    train, test = slice(100), slice(797, None)
    said = member(rng, x[train], y[train], x[test], 50).argmax(-1)
    members = np.stack([member(rng, x[train], y[train], x[test], 200) for _ in range(5)])
    probs = np.exp(8 * members)
    chance = 1 - (probs / probs.sum(-1, keepdims=True)).mean(0)[np.arange(1000), said]
    errors = (said != y[test]).astype(float)
    spread = np.sqrt(chance * (1 - chance))
    picks = draw(np.broadcast_to(spread + 0.1 * spread.mean(), (1000, 1000)), 50)
    found = residual_lure(picks.log_q, errors[picks.indices], chance, picks.indices)
    squared = ((found.mean[:, -1] - errors.mean()) ** 2).mean()
    uniform = errors.var(ddof=1) / 50 * (1 - 50 / 1000)
    assert squared <= 0.5 * uniform
    assert abs(found.mean[:, -1].mean() - errors.mean()) < 3 * np.sqrt(squared / 1000)


@pytest.mark.slow  # a study to compile; weights of given laws are tested above
@pytest.mark.parametrize("query", [by_score(bald, power()), random()], ids=["power_bald", "random"])
def test_the_log_q_on_record_is_what_it_takes(query, tmp_path):
    setup = Setup(problem.CENTERS, query, batch_size=2, num_rounds=4, num_initial=4)
    keys = seed_keys(5, 20)
    with open_record(tmp_path, "active", {}) as record:
        run_seeds(keys, problem.TASK, setup, record=record)
    with open_record(tmp_path, "active", {}) as record:
        log = run_seeds(keys, problem.TASK, setup, record=record).log
    frame = load(tmp_path)
    drawn = np.isfinite(frame["log_q"]) & (frame["log_q"] < 0)
    np.testing.assert_allclose(frame["log_q"][drawn].reshape(20, -1), log.log_q.reshape(20, -1))
    np.testing.assert_array_equal(frame["row"][drawn].reshape(20, -1), log.indices.reshape(20, -1))
    start, indices = np.asarray(log.start), np.asarray(log.indices).reshape(20, -1)
    y = np.asarray(problem.Y)
    for what in (y == 1, np.arange(problem.N) / 40.0):
        found = lure(log.log_q.reshape(20, -1), what[indices].astype(float), problem.N - 4).mean[:, -1]
        truth = np.array([np.delete(what, rows).mean() for rows in start])  # of the rows that could be picked
        assert abs((found - truth).mean()) < 3 * (found - truth).std() / np.sqrt(20)


@pytest.mark.parametrize(
    ("log_q", "values", "num_rows", "message"),
    [
        (None, [1.0], 5, "this selector is deterministic"),
        ([-np.inf], [1.0], 5, "cut off picks that are not valid"),
        ([0.5], [1.0], 5, "expected finite log_q <= 0"),
        ([-1.0, -1.0], [1.0, 1.0], 1, "1 to 1 picks"),
        ([-1.0], [np.nan], 5, "1 that are not finite"),
    ],
)
def test_what_has_no_law_is_refused(log_q, values, num_rows, message):
    with pytest.raises(ValueError, match=message):
        lure(None if log_q is None else np.array(log_q), np.array(values), num_rows)


def test_positions_and_predictions_are_checked():
    log_q, values = np.log([0.5, 0.5]), np.ones(2)
    with pytest.raises(ValueError, match="each once"):
        residual_lure(log_q, values, np.ones(4), np.array([1, 1]))
    with pytest.raises(ValueError, match="each once"):
        residual_lure(log_q, values, np.ones(4), np.array([1, 4]))
    with pytest.raises(ValueError, match="finite prediction"):
        residual_lure(log_q, values, np.array([1.0, np.nan, 1, 1]), np.array([1, 2]))
    with pytest.raises(ValueError, match="confidence"):
        lure(log_q, values, 4, confidence=1.0)
    with pytest.raises(ValueError, match="after each label"):
        labels_until(MeanEstimate(*np.zeros((4, 1)))._replace(mean=np.array(1.0)), 0.1)
    with pytest.raises(ValueError, match="half_width"):
        labels_until(lure(log_q, values, 4), 0.0)
