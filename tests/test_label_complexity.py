"""The whole loop against theory: BALD halves the error with every label, random labels divide it by their number."""

import jax
import numpy as np
import pytest

from paper_figures.label_complexity import Size, run, slopes


@pytest.fixture(scope="module")
def found():
    sizes = {"BALD": Size(8, 2**12, 9, 1), "random": Size(60, 2**10, 128, 16)}
    with jax.enable_x64(True):
        return {name: run(name, size, seed=0) for name, size in sizes.items()}


def mean_and_standard_error(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


def test_bald_halves_the_error_with_every_label(found):
    mean, error = mean_and_standard_error(slopes(found["BALD"], doublings=False))
    assert error < 0.02 * np.log(2)
    assert abs(mean + np.log(2)) < 3 * error


def test_bald_asks_between_the_middle_draws(found):
    left = found["BALD"].expected[:, :7]  # while every eighth of the interval holds inputs
    share = left[:, 1:] / left[:, :-1]
    assert ((share >= 3 / 8) & (share <= 5 / 8)).all()


def test_random_labels_divide_the_error_by_their_number(found):
    mean, error = mean_and_standard_error(slopes(found["random"], doublings=True))
    exact = -0.962  # (digamma(18) - digamma(130)) / log 8 over the ends of the range, -1 for many labels
    assert error < 0.1
    assert abs(mean - exact) < 3 * error


@pytest.mark.parametrize("name", ["BALD", "random"])
def test_the_posterior_expects_the_error_that_there_is(found, name):
    errors = found[name]
    mean, error = mean_and_standard_error((errors.true / errors.expected).mean(1))
    assert error < 0.15
    assert abs(mean - 1) < 3 * error
    assert (errors.true <= 2 * errors.expected * (1 + 1e-12)).all()  # the threshold lies in the interval
