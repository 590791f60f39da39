"""Masks of determinantal point processes against enumeration of all sets."""

import itertools

import numpy as np
import pytest

from bal.tagging import correlations, dpp_masks, inclusion, sample_dpp, sample_of_size
from bal.tagging.dpp import covering_mask, weighted_mask

DRAWS = 1500


def kernel(size, seed=0):
    half = np.random.default_rng(seed).normal(size=(size, size))
    return half @ half.T / 2


def law(likelihood):
    """Probability of every set, by determinants."""
    size = len(likelihood)
    every = [np.array(kept, bool) for kept in itertools.product((False, True), repeat=size)]
    weights = np.array([np.linalg.det(likelihood[np.ix_(kept, kept)]) for kept in every])
    np.testing.assert_allclose(weights.sum(), np.linalg.det(likelihood + np.eye(size)), rtol=1e-9)
    return every, weights / weights.sum()


def test_sets_have_the_probabilities_of_their_determinants():
    likelihood, draw = kernel(4), np.random.default_rng(1)
    every, p = law(likelihood)
    marginal = inclusion(likelihood)
    np.testing.assert_allclose(np.diag(marginal), np.array(every).T @ p, rtol=1e-9)
    np.testing.assert_allclose(marginal, likelihood @ np.linalg.inv(likelihood + np.eye(4)), rtol=1e-9)
    found = np.array([sample_dpp(draw, marginal) for _ in range(DRAWS)])
    shares = np.array([(found == kept).all(1).mean() for kept in every])
    error = np.sqrt(p * (1 - p) / DRAWS)
    assert (np.abs(shares - p) < 4 * error + 1e-9).all()


@pytest.mark.slow
def test_sets_of_one_size_have_the_probabilities_given_it():
    likelihood, draw = kernel(4), np.random.default_rng(2)
    every, p = law(likelihood)
    here = np.array([kept.sum() == 2 for kept in every])
    p = np.where(here, p, 0) / p[here].sum()
    found = np.array([sample_of_size(draw, likelihood, 2) for _ in range(400)])
    shares = np.array([(found == kept).all(1).mean() for kept in every])
    assert (np.abs(shares - p) < 4 * np.sqrt(p * (1 - p) / 400) + 1e-9).all()
    assert sample_of_size(draw, likelihood, 4).all()
    with pytest.raises(ValueError, match="from 1 to the rank of the kernel, 1, got 2"):
        sample_of_size(draw, np.ones((3, 3)), 2)


def test_weighted_masks_have_mean_one():
    marginal, draw = inclusion(correlations(np.random.default_rng(3).normal(size=(20, 6)))), np.random.default_rng(4)
    masks = np.array([weighted_mask(draw, marginal) for _ in range(DRAWS)])
    assert (np.abs(masks.mean(0) - 1) < 4 * masks.std(0) / np.sqrt(DRAWS)).all()
    assert masks.std(0).min() > 0.1


def test_neurons_that_have_nothing_in_common_are_kept_by_fair_coins():
    draw = np.random.default_rng(5)
    found = np.array([sample_dpp(draw, inclusion(np.eye(3))) for _ in range(DRAWS)])
    counts = np.bincount(found @ [1, 2, 4], minlength=8)
    chi_square = ((counts - DRAWS / 8) ** 2 / (DRAWS / 8)).sum()
    assert chi_square < 24.3  # 0.999 of seven degrees of freedom


def test_neurons_that_say_the_same_are_never_kept_together():
    activations = np.random.default_rng(6).normal(size=(30, 2))[:, [0, 0, 1]]
    likelihood, draw = correlations(activations), np.random.default_rng(7)
    found = np.array([sample_dpp(draw, inclusion(likelihood)) for _ in range(500)])
    assert not (found[:, 0] & found[:, 1]).any()
    assert (found[:, 0] & found[:, 2]).any()


def test_correlations_are_those_of_numpy():
    activations = np.random.default_rng(8).normal(size=(12, 5)).astype(np.float32)
    np.testing.assert_allclose(correlations(activations), np.corrcoef(activations.T), rtol=1e-6, atol=1e-7)


def test_masks_cover_differ_and_come_back():
    activations = np.random.default_rng(9).normal(size=(40, 12))
    masks = dpp_masks(activations, 5, pool_size=20, seed=3)
    assert masks.shape == (5, 12)
    assert ((masks > 0).mean(1) >= 0.4).all()
    assert len(np.unique(masks, axis=0)) == 5
    np.testing.assert_array_equal(masks, dpp_masks(activations, 5, pool_size=20, seed=3))
    few = inclusion(0.05 * np.eye(12))  # one set in 20 neurons: many are averaged
    mask = covering_mask(np.random.default_rng(0), few)
    assert (mask > 0).mean() >= 0.4
    assert mask.max() < 1 / few[0, 0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"activations": np.zeros((1, 3))}, "of at least 2 rows, got shape"),
        ({"activations": np.full((3, 3), np.nan)}, "activations that are finite"),
        ({"num_masks": 0}, "num_masks must be at least 1"),
        ({"pool_size": 2}, "pool_size must be at least 3"),
    ],
)
def test_what_cannot_be_masks(change, says):
    with pytest.raises(ValueError, match=says):
        dpp_masks(**{"activations": np.eye(3), "num_masks": 3} | change)
