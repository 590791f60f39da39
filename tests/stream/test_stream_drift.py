"""Drift, and how runs on streams are judged, from their definitions."""

from functools import partial

import jax
import numpy as np
import pytest

from bal.stream import concepts, hyperplane, prequential_accuracy, regret, relabeled, sea

KEY = jax.random.key(1)


def test_abrupt_and_recurring():
    found = concepts(KEY, 1000, (0, 1, 0, 2))
    np.testing.assert_array_equal(found, np.repeat([0, 1, 0, 2], 250))
    assert concepts(KEY, 7, (3, 4)).tolist() == [3, 3, 3, 3, 4, 4, 4]


def test_gradual_is_a_sigmoid():
    found = np.asarray(jax.jit(lambda key: concepts(key, 40_000, (0, 1), 10_000.0))(KEY))
    for start in range(0, 40_000, 4000):
        time = np.arange(start, start + 4000)
        expected = (1 / (1 + np.exp(-4 * (time - 20_000) / 10_000))).mean()
        assert abs(found[time].mean() - expected) < 4 * np.sqrt(0.25 / 4000)


def test_sea():
    concept = concepts(KEY, 8000, (0, 1, 2, 3))
    clean, noisy = jax.jit(lambda key: (sea(key, concept, 0.0), sea(key, concept, 0.1)))(KEY)
    x = np.asarray(clean.x)
    assert 0 <= x.min() < x.max() <= 10
    theta = np.repeat([8.0, 9.0, 7.0, 9.5], 2000)
    np.testing.assert_array_equal(clean.y, (x[:, 0] + x[:, 1] <= theta).astype(int))
    turned = np.asarray(noisy.y) != np.asarray(clean.y)
    assert abs(turned.mean() - 0.1) < 4 * np.sqrt(0.09 / 8000)


def test_hyperplane():
    """Labels without noise are those of weights that walk as the paper says."""

    @jax.jit
    def streams(key):
        made = partial(hyperplane, key, 500, 4, noise=0.0)
        turned = jax.random.bernoulli(jax.random.split(key, 4)[2], 0.5, (500, 4))
        weight = jax.random.uniform(jax.random.split(key, 4)[1], (1, 4))
        move = [made(num_drifting=2, magnitude=0.01, turn=turn) for turn in (0.0, 0.5)]
        return made(num_drifting=0), *move, weight, turned

    still, moving, turning, weight, turned = jax.tree.map(np.asarray, streams(KEY))
    np.testing.assert_array_equal(still.x, moving.x)
    x = np.asarray(still.x)
    np.testing.assert_array_equal(still.y, x @ weight[0] >= weight.sum() / 2)
    walked = weight + 0.01 * np.arange(500)[:, None] * np.array([1, 1, 0, 0])
    np.testing.assert_array_equal(moving.y, (walked * x).sum(1) >= walked.sum(1) / 2)
    walked, direction, expected = weight[0].astype(float), np.ones(4), []
    for t in range(500):
        direction = np.where(turned[t], -direction, direction)
        expected.append(walked @ x[t] >= walked.sum() / 2)
        walked = walked + 0.01 * direction * np.array([1, 1, 0, 0])
    np.testing.assert_array_equal(turning.y, expected)


def test_classes_change_their_meaning():
    stream = relabeled(np.zeros((4, 1)), np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]), 3)
    assert np.asarray(stream.y).tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize("fading", [1.0, 0.9])
def test_prequential_accuracy(fading):
    correct = np.random.default_rng(0).random((2, 300)) < 0.6
    found = prequential_accuracy(correct, fading)
    right = total = np.zeros(2)
    for t in range(300):
        right, total = correct[:, t] + fading * right, 1 + fading * total
        np.testing.assert_allclose(found[:, t], right / total, rtol=1e-10)


def test_regret():
    ours, best = np.array([[1, 0, 0, 1], [1, 1, 1, 1]], bool), np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(regret(ours, best), [[0, 1, 1, 1], [-1, -1, -1, -1]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: concepts(KEY, 0, (0,)), "num_rows must be"),
        (lambda: concepts(KEY, 9, ()), "at least one concept"),
        (lambda: concepts(KEY, 9, (0, 1), -1.0), "width must be finite"),
        (lambda: sea(KEY, concepts(KEY, 9, (0,)), 1.5), "expected noise in"),
        (lambda: hyperplane(KEY, 9, 3, 4), "at most 3 drifting features"),
        (lambda: hyperplane(KEY, 9, turn=2.0), "expected turn in"),
        (lambda: hyperplane(KEY, 0), "num_rows must be"),
        (lambda: hyperplane(KEY, 9, magnitude=float("nan")), "magnitude must be finite"),
        (lambda: relabeled(np.zeros((2, 1)), [0, 3], [0, 1], 3), "label 3 of row 1 is out of range"),
        (lambda: relabeled(np.zeros((2, 1)), [0, 1], [0], 3), "the concept of each of 2 rows"),
        (lambda: prequential_accuracy([True], 0.0), "a fading factor in"),
        (lambda: prequential_accuracy([3, 1]), "whether each prediction was right"),
        (lambda: regret([True], [True, False]), "two logs of the same rows"),
    ],
)
def test_what_is_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()
