"""PED against loops over pairs, and the limits in which it does nothing."""

import numpy as np
import pytest

from bal.proxies.ped import ped

RANDOM = np.random.default_rng(0)


def by_pairs(features, y, reach, stiffness, time, num_steps):
    """One pair after the other, all rows moved as they are."""
    mean, spread = features.mean(0), np.where(features.std(0) == 0, 1.0, features.std(0))
    rows, classes, first = (features - mean) / spread, sorted(set(y)), None
    for _ in range(num_steps):
        shift, total = np.zeros_like(rows), 0.0
        for i in classes:
            for j in classes:
                if i == j:
                    continue
                one, two = rows[y == i], rows[y == j]
                line = one.mean(0) - two.mean(0)
                radii = np.sqrt(one.var(0).sum()) + np.sqrt(two.var(0).sum())
                overlap = max(reach * radii - np.linalg.norm(line), 0.0)
                if np.linalg.norm(line) > 0:
                    step = min(0.5 * time**2 * stiffness * overlap, overlap)
                    shift[y == i] += step * line / np.linalg.norm(line)
                    total += step
        rows = rows + shift
        first = total if first is None else first
        if total == 0 or total < first / 2:
            break
    return rows * spread + mean


def distances(features, y):
    means = np.stack([features[y == c].mean(0) for c in np.unique(y)])
    apart = np.linalg.norm(means[:, None] - means[None], axis=-1)
    return apart[np.triu_indices(len(means), 1)]


Y = np.arange(40) % 4
OVERLAPPING = RANDOM.normal(size=(40, 3)) * [1, 2, 0.1] + 0.3 * RANDOM.normal(size=(4, 3))[Y]


@pytest.mark.parametrize("settings", [(0.6, 1.0, 0.1, 6), (0.3, 30.0, 0.2, 9), (1.0, 500.0, 0.1, 3)])
def test_it_is_that_of_loops_over_pairs(settings):
    names = ("reach", "stiffness", "time", "num_steps")
    found = ped(OVERLAPPING, Y, **dict(zip(names, settings, strict=True)))
    assert not np.allclose(found, OVERLAPPING)
    np.testing.assert_allclose(found, by_pairs(OVERLAPPING, Y, *settings), atol=1e-12)


def test_classes_that_do_not_overlap_stay_as_they_are():
    apart = 0.01 * RANDOM.normal(size=(40, 4)) + 5 * np.eye(4)[Y]
    np.testing.assert_array_equal(ped(apart, Y), apart)


def test_two_classes_that_overlap_are_further_apart_afterwards():
    two = Y % 2
    assert distances(ped(OVERLAPPING, two), two)[0] > distances(OVERLAPPING, two)[0]


def test_of_more_classes_two_may_be_squeezed():
    assert distances(ped(OVERLAPPING, Y), Y).min() < distances(OVERLAPPING, Y).min()


def test_rows_of_a_class_move_together():
    moved = ped(OVERLAPPING, Y, stiffness=20.0) - OVERLAPPING
    for number in range(4):
        np.testing.assert_allclose(moved[number == Y], moved[number == Y][:1].repeat(10, 0), atol=1e-12)


def test_means_that_coincide_have_no_direction():
    x = np.array([[-1.0], [1.0], [-2.0], [2.0]])
    np.testing.assert_array_equal(ped(x, [0, 0, 1, 1]), x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reach": -1.0}, "reach must be finite and at least 0"),
        ({"time": float("inf")}, "time must be finite"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ped(OVERLAPPING, Y, **settings)
