"""What draws of few seeds say, by loops and by theory; and verdicts that follow the numbers."""

import itertools

import numpy as np
import pytest
import scipy.stats

from bal.datasets import digits
from paper_figures.claims import judge
from paper_figures.figure import main
from paper_figures.how_many_seeds import FIGURE, SIZES, Config, draws, rank_gaps, seed_ranks, settled, shares, split


def test_draws_are_all_ways_or_many():
    assert sorted(map(tuple, draws(6, 3).tolist())) == list(itertools.combinations(range(6), 3))
    assert len(draws(50, 3)) == 19_600
    some = np.sort(draws(50, 10), axis=1)
    assert some.shape == (20_000, 10)
    assert (np.diff(some, axis=1) > 0).all()  # no seed twice
    np.testing.assert_allclose(np.bincount(some.ravel()) / 20_000, 0.2, atol=0.015)


def test_what_draws_say_one_by_one():
    differences = np.random.default_rng(0).normal(0.1, 1, 9)
    counts = np.zeros(4)
    for drawn in itertools.combinations(differences, 3):
        told = scipy.stats.ttest_1samp(drawn, 0).pvalue < 0.05
        counts[(0 if told else 1) if np.mean(drawn) > 0 else (3 if told else 2)] += 1
    assert (counts[:3] > 0).all()
    np.testing.assert_allclose(shares(differences, 3), counts / counts.sum())


def test_an_order_is_turned_around_as_often_as_theory_says():
    """Of normal differences with mean 1 and standard deviation 2, over many sets of 50 seeds."""
    random = np.random.default_rng(1)
    found = np.mean([shares(random.normal(1, 2, 50), 3)[2:].sum() for _ in range(40)])
    np.testing.assert_allclose(found, scipy.stats.norm.sf(np.sqrt(3) / 2), atol=0.03)


def areas(*gains, spread=0.02, num_seeds=50):
    random = np.random.default_rng(2)
    shared = random.normal(0.8, 0.05, num_seeds)
    names = ("random", "margin", "entropy", "bald")
    return {name: shared + gain + random.normal(0, spread, num_seeds) for name, gain in zip(names, gains)}


def test_settled_pairs_have_their_better_one_first():
    found = settled(areas(0.0, 0.05, -0.05))
    assert [(pair.better, pair.worse) for pair in found] == [
        ("margin", "random"),
        ("random", "entropy"),
        ("margin", "entropy"),
    ]
    assert all(pair.differences.mean() > 0 for pair in found)
    assert settled(areas(0.0, 0.0, 0.0)) == []


def test_two_draws_have_no_seed_in_common():
    ranks = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])  # no two sums are equal
    possible = {round(abs(sum(one) - (63 - sum(one))) / 3, 6) for one in itertools.combinations(ranks.tolist(), 3)}
    assert set(rank_gaps(ranks).round(6).tolist()) <= possible
    assert (rank_gaps(np.ones(50)) == 0).all()
    mean = rank_gaps(np.random.default_rng(3).normal(size=50)).mean()
    np.testing.assert_allclose(mean, np.sqrt(2 / 3) * np.sqrt(2 / np.pi), rtol=0.2)


def test_ranks_of_a_seed():
    values = areas(0.0, 0.5, -0.5, spread=0.0)
    assert seed_ranks(values)[:, 0].tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("gains", "scale", "holds"),
    [
        ((0.0, 0.012, -0.012, 0.0), "cpu", True),
        ((0.0, 0.5, -0.5), "cpu", False),  # 3 seeds will do
        ((0.0, 0.012, -0.012), "smoke", None),
    ],
)
def test_verdicts_follow_the_numbers(gains, scale, holds):
    turned, ranks = judge(FIGURE.claims(Config(), SIZES["cpu"]), areas(*gains), scale)
    assert turned.holds is holds
    assert ("0 of them over 5 %" in turned.ours) == (holds is False)
    assert (ranks.holds is False) == (holds is False)


def test_rows_of_a_seed():
    y = digits().y
    for seed in range(3):
        pool, test, first = split(y, seed)
        assert (pool.sum(), len(test), sorted(y[first].tolist())) == (len(y) - 500, 500, list(range(10)))
        assert pool[first].all()
        assert not pool[test].any()
    assert (split(y, 0).test != split(y, 1).test).any()


def test_too_few_seeds_are_refused_before_any_work():
    with pytest.raises(SystemExit, match="--seeds must be at least 6, got 5"):
        main(FIGURE, Config(seeds=5))
