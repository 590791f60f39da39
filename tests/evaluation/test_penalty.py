"""The penalty matrix: its orientation, its tests one by one, and what it says of strategies that are all alike."""

import itertools

import numpy as np
import pytest
import scipy.stats

from bal.evaluation import holm, penalty_matrix


def curves(seed, num_strategies=4, num_seeds=6, num_counts=5):
    random = np.random.default_rng(seed)
    shared = random.normal(size=(num_seeds, num_counts))
    values = shared + random.normal(0, 0.5, (num_strategies, num_seeds, num_counts))
    values += np.linspace(0, 1, num_strategies)[:, None, None]
    return dict(zip("abcdefgh", values))


@pytest.mark.parametrize("permutation", [False, True])
def test_a_dominated_method_is_beaten_everywhere_and_beats_nobody(permutation):
    random = np.random.default_rng(0)
    good = {name: random.normal(size=(10, 6)) for name in ("bald", "margin", "badge")}
    found = penalty_matrix({"wine": good | {"bad": np.min(list(good.values()), axis=0) - 5}}, permutation=permutation)
    assert found.strategies == ("bald", "margin", "badge", "bad")
    assert found.penalties[:3, 3].tolist() == [1, 1, 1]
    assert found.penalties[3].tolist() == [0, 0, 0, 0]
    assert found.mean_penalties[3] == 1
    assert (found.mean_penalties[:3] < 0.2).all()


def test_a_loss_turns_it_around():
    settings = {"wine": curves(1)}
    gain, loss = penalty_matrix(settings), penalty_matrix(settings, higher_is_better=False)
    assert gain.penalties.sum() > 0
    np.testing.assert_array_equal(gain.penalties.T, loss.penalties)


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("permutation", [False, True])
def test_every_test_one_by_one(permutation, adjusted):
    settings = {"wine": curves(2), "digits": curves(3, num_seeds=8, num_counts=3)}
    names = list("abcd")
    expected = np.zeros((4, 4))
    for of in settings.values():
        for count in range(of["a"].shape[1]):
            pairs = list(itertools.combinations(names, 2))
            gaps = [of[one][:, count] - of[other][:, count] for one, other in pairs]
            p = np.array([exact(gap) if permutation else scipy.stats.ttest_rel(gap, 0 * gap).pvalue for gap in gaps])
            for (one, other), gap, value in zip(pairs, gaps, holm(p) if adjusted else p, strict=True):
                winner, loser = (one, other) if gap.mean() > 0 else (other, one)
                if value <= 0.2:
                    expected[names.index(winner), names.index(loser)] += 1 / of["a"].shape[1]
    found = penalty_matrix(settings, 0.2, permutation, adjusted)
    assert expected.max() > 0.5
    np.testing.assert_allclose(found.penalties, expected)
    np.testing.assert_allclose(found.mean_penalties, expected.sum(0) / 3)
    assert found.num_settings == 2


def exact(gap):
    signs = np.array(list(itertools.product([-1, 1], repeat=len(gap))))
    return np.mean(np.abs(signs @ gap) >= abs(gap.sum()) - 1e-9)


def test_strategies_that_are_alike_beat_each_other_at_the_level_and_adjusted_hardly_ever():
    values = np.random.default_rng(4).normal(size=(4, 8, 4000))  # every count is a study of its own
    settings = {"nothing": dict(zip("abcd", values))}
    plain, adjusted = (penalty_matrix(settings, adjusted=which).penalties for which in (False, True))
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(plain[off], 0.025, atol=3 * np.sqrt(0.025 / 4000))
    assert 0 < adjusted.sum() < 0.06


def test_equal_differences_and_no_differences():
    one = np.random.default_rng(5).normal(size=(6, 2))
    found = penalty_matrix({"s": {"a": one, "b": one - 0.25, "c": one}}, adjusted=False)
    assert found.penalties.tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("settings", "level", "message"),
    [
        ({}, 0.05, "at least one setting"),
        ({"a": {"x": np.ones((2, 2))}}, 0.05, "two at least"),
        ({"a": curves(0), "b": curves(0, num_strategies=3)}, 0.05, "same strategies"),
        ({"a": {"x": np.ones((2, 2)), "y": np.ones((3, 2))}}, 0.05, "one shape"),
        ({"a": {"x": np.ones((1, 2)), "y": np.ones((1, 2))}}, 0.05, "2 paired seeds at least"),
        ({"a": {"x": np.ones((2, 2)), "y": np.full((2, 2), np.nan)}}, 0.05, "finite"),
        ({"a": curves(0)}, 5.0, "level"),
    ],
)
def test_bad_arguments_are_refused(settings, level, message):
    with pytest.raises(ValueError, match=message):
        penalty_matrix(settings, level)
