"""The contract by `bal.testing`, the number by its definition."""

import numpy as np
from bal_brier import brier_gain, brier_gain_query

from bal.testing import check_acquisition, check_query


def test_it_keeps_the_contract():
    check_acquisition(brier_gain, lower=0.0, upper=0.75)  # 1 - 1/4: the check has four classes


def test_it_asks_without_peeking():
    check_query(lambda task: brier_gain_query())


def test_it_is_the_expected_drop_of_the_brier_score():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=(9, 5))  # rows, draws, classes
    score = lambda forecast, y: np.sum((forecast - np.eye(3)[y]) ** 2, -1)
    drop = np.zeros(9)
    for y in range(3):
        drop += np.mean(p[..., y] * (score(p.mean(1), y)[:, None] - score(p, y)), 1)
    np.testing.assert_allclose(brier_gain(np.log(p)), drop, rtol=1e-5)
