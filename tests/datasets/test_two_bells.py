"""Two bells: its distribution, and how seeds and sizes relate."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from bal.datasets import two_bells

DATA = two_bells(20_000, num_test=300, seed=3)


def test_inputs_are_a_multivariate_t():
    radius = (DATA.x.astype(np.float64) ** 2).sum(1) / 0.8 / 2
    assert scipy.stats.kstest(radius, scipy.stats.f(2, 5).cdf).pvalue > 0.01
    angle = np.arctan2(DATA.x[:, 1], DATA.x[:, 0])
    assert scipy.stats.kstest(angle, scipy.stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_labels_follow_the_logistic():
    x = DATA.x.astype(np.float64)
    p = scipy.special.expit((x[:, 1] - np.tanh(2 * x[:, 0])) / 0.05)
    error = np.sqrt(np.sum(p * (1 - p)))
    assert abs((DATA.y - p).sum()) < 4 * error
    near = (p > 0.1) & (p < 0.4)  # a steeper or a shifted boundary would show here
    assert near.sum() > 200
    assert abs((DATA.y - p)[near].sum()) < 4 * np.sqrt(np.sum((p * (1 - p))[near]))


def test_types_and_missing_test_rows():
    assert DATA.x.dtype == np.float32
    assert DATA.y.dtype == np.int32
    assert DATA.num_classes == 2
    assert two_bells(5).x_test is None
    assert two_bells(5).y_test is None


def test_a_smaller_set_is_the_beginning_of_a_larger_one_with_the_same_test_rows():
    small = two_bells(50, num_test=300, seed=3)
    np.testing.assert_array_equal(small.x, DATA.x[:50])
    np.testing.assert_array_equal(small.y, DATA.y[:50])
    np.testing.assert_array_equal(small.x_test, DATA.x_test)
    assert not np.isin(DATA.x_test[:, 0], DATA.x[:, 0]).any()


def test_seeds_differ():
    assert not np.isin(two_bells(50, seed=4).x[:, 0], DATA.x[:, 0]).any()


@pytest.mark.parametrize(("num_rows", "num_test"), [(0, 0), (5, -1)])
def test_sizes_that_make_no_sense_are_refused(num_rows, num_test):
    with pytest.raises(ValueError, match="at least 1 row"):
        two_bells(num_rows, num_test)
