"""Confidence and disagreement heuristics against slow float64 versions and exact values."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import acquisition
from tests import oracles
from tests.acquisition.inputs import INPUTS, spread_out

least_confidence = jax.jit(acquisition.least_confidence)
log_margin = jax.jit(acquisition.log_margin)
margin = jax.jit(acquisition.margin)
mean_std = jax.jit(acquisition.mean_std)
predictive_entropy = jax.jit(acquisition.predictive_entropy)
variation_ratio = jax.jit(acquisition.variation_ratio)
vote_entropy = jax.jit(acquisition.vote_entropy)
vote_variation_ratio = jax.jit(acquisition.vote_variation_ratio)

PAIRS = [
    (least_confidence, oracles.least_confidence),
    (variation_ratio, oracles.least_confidence),
    (vote_variation_ratio, oracles.vote_variation_ratio),
    (log_margin, oracles.log_margin),
    (margin, oracles.margin),
    (mean_std, oracles.mean_std),
    (vote_entropy, oracles.vote_entropy),
]
FAST = [fast for fast, _ in PAIRS]


def log(probs) -> np.ndarray:
    """Log probabilities as users have them; by numpy, since jax would compile a program for each shape."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(probs, np.float64)).astype(np.float32)


def binary(first: np.ndarray) -> np.ndarray:
    """Draws [N, K, 2] from the probabilities [N, K] of class 0."""
    return log(np.stack([first, 1 - first], -1))


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(("fast", "slow"), PAIRS)
def test_equals_the_oracle(fast, slow, name):
    scores = fast(jnp.asarray(INPUTS[name]))
    assert scores.shape == (48,)
    assert scores.dtype == jnp.float32
    np.testing.assert_allclose(scores, slow(INPUTS[name]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("fast", "slow"), PAIRS)
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 1, 4), (7, 33, 2)])
def test_any_shape_equals_the_oracle(fast, slow, shape):
    draws = spread_out(5, shape)
    np.testing.assert_allclose(fast(jnp.asarray(draws)), slow(draws), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fast", FAST)
def test_order_of_classes_does_not_matter(fast):
    draws = INPUTS["impossible_classes"]
    shuffled = draws[..., np.random.default_rng(7).permutation(draws.shape[2])]
    np.testing.assert_allclose(fast(jnp.asarray(draws)), fast(jnp.asarray(shuffled)), rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("fast", FAST)
def test_zero_probability_is_finite(fast):
    for name in ("one_hot", "impossible_classes"):
        assert np.isneginf(INPUTS[name]).any()
        assert np.all(np.isfinite(fast(jnp.asarray(INPUTS[name]))))


# Exact values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [least_confidence, variation_ratio])
@pytest.mark.parametrize("num_classes", [2, 5, 10])
def test_least_confidence_spans_its_range(fast, num_classes):
    uniform = np.full((1, 3, num_classes), -math.log(num_classes), np.float32)
    assert float(fast(uniform)[0]) == pytest.approx(1 - 1 / num_classes, rel=1e-6)
    certain = np.where(np.arange(num_classes) == 1, 0.0, -np.inf).astype(np.float32)
    assert fast(np.broadcast_to(certain, (1, 3, num_classes)))[0] == 0.0


@pytest.mark.parametrize("fast", [least_confidence, variation_ratio])
def test_least_confidence_of_near_certain_rows_keeps_its_relative_accuracy(fast):
    draws = INPUTS["near_certain"]
    np.testing.assert_allclose(fast(jnp.asarray(draws)), oracles.least_confidence(draws), rtol=1e-4)


def test_margin_of_two_classes_is_the_distance_from_a_half():
    p = np.random.default_rng(8).uniform(size=(32, 5))
    np.testing.assert_allclose(margin(binary(p)), -np.abs(2 * p.mean(axis=1) - 1), atol=1e-6)


def test_margin_of_a_tie_is_zero_and_of_a_certain_row_minus_one():
    draws = log([[[0.4, 0.4, 0.2]], [[0.0, 1.0, 0.0]]])
    assert margin(draws).tolist() == [0.0, -1.0]


def test_two_classes_are_ranked_alike_by_entropy_margin_and_least_confidence():
    center = np.random.default_rng(9).permutation(np.linspace(0.01, 0.49, 40))
    center = np.where(np.arange(40) % 2, center, 1 - center)
    draws = binary(center[:, None] + np.array([-0.005, 0.0, 0.005]))
    order = np.argsort(np.asarray(predictive_entropy(draws)))
    for fast in (margin, least_confidence, variation_ratio):
        np.testing.assert_array_equal(np.argsort(np.asarray(fast(draws))), order)


def test_mean_std_of_one_draw_is_exactly_zero():
    single = np.concatenate([draws[:, :1] for draws in INPUTS.values()])
    assert np.all(np.asarray(mean_std(jnp.asarray(single))) == 0.0)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_mean_std_of_two_opposite_certain_draws_is_one_over_c(num_classes):
    draws = log(np.eye(num_classes)[None, :2])
    assert float(mean_std(draws)[0]) == pytest.approx(1 / num_classes, rel=1e-6)


def test_mean_std_of_small_spreads_does_not_cancel():
    draws = INPUTS["near_agreeing"]
    np.testing.assert_allclose(mean_std(jnp.asarray(draws)), oracles.mean_std(draws), rtol=5e-3)


def test_mean_std_has_a_finite_gradient_where_draws_agree():
    same = jnp.asarray(np.repeat(spread_out()[:, :1], 4, axis=1))
    assert np.all(np.isfinite(jax.jit(jax.grad(lambda draws: mean_std(draws).sum()))(same)))


def test_votes_of_a_row_worked_by_hand():
    draws = log([[[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.6, 0.2, 0.2], [0.4, 0.4, 0.2]]])
    assert float(vote_variation_ratio(draws)[0]) == 0.25
    assert float(vote_entropy(draws)[0]) == pytest.approx(math.log(4) - 0.75 * math.log(3), rel=1e-6)


@pytest.mark.parametrize("votes", list(itertools.combinations_with_replacement(range(3), 3)))
def test_votes_of_certain_draws_count(votes):
    draws = log(np.eye(3)[list(votes)])[None]
    shares = np.bincount(votes, minlength=3) / 3
    assert float(vote_variation_ratio(draws)[0]) == pytest.approx(1 - shares.max(), abs=1e-6)
    expected = -sum(share * math.log(share) for share in shares if share > 0)
    assert float(vote_entropy(draws)[0]) == pytest.approx(expected, abs=1e-6)


def test_tied_votes_go_to_the_lowest_class():
    draws = log([[[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]], [[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]])
    assert vote_variation_ratio(draws).tolist() == [0.5, 0.0]


# Defects of other implementations ---------------------------------------------------------------------------


def test_defect_variation_ratio_under_one_name_the_two_definitions_rank_differently():
    confident_split = [[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]]
    hesitant_agreement = [[0.51, 0.49], [0.52, 0.48], [0.53, 0.47]]
    draws = log([confident_split, hesitant_agreement])
    np.testing.assert_allclose(variation_ratio(draws), [1 - 1.9 / 3, 0.48], rtol=1e-5)
    np.testing.assert_allclose(vote_variation_ratio(draws), [1 / 3, 0.0], atol=1e-6)
    assert variation_ratio(draws)[0] < variation_ratio(draws)[1]
    assert vote_variation_ratio(draws)[0] > vote_variation_ratio(draws)[1]


@pytest.mark.parametrize("fast", FAST)
def test_defect_lower_is_better_every_score_is_higher_for_the_uncertain_row(fast):
    certain = [[0.98, 0.01, 0.01], [0.98, 0.01, 0.01]]
    divided = [[0.5, 0.45, 0.05], [0.4, 0.55, 0.05]]
    scores = fast(log([certain, divided]))
    assert scores[1] > scores[0]
