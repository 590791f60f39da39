"""The oracles themselves, against published numbers and closed forms: every other test leans on them."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from tests import oracles

BASE = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7]])
TILT = np.array([[0.3, 0.3, 0.2, 0.2], [0.2, 0.3, 0.3, 0.2], [0.2, 0.2, 0.3, 0.3], [0.3, 0.2, 0.2, 0.3]])
MIX = np.linspace(0.0, 1.0, 20)[None, :, None]
FOUR_TIED = np.log((1 - MIX) * BASE[:, None, :] + MIX * TILT[:, None, :])


def binary(*first: float) -> np.ndarray:
    """One row of binary draws from the probabilities of class 0."""
    return np.log(np.stack([np.array(first), 1 - np.array(first)], axis=-1))[None]


def random_log_probs(seed: int, *shape: int, scale: float = 2.0) -> np.ndarray:
    return special.log_softmax(scale * np.random.default_rng(seed).normal(size=shape), axis=-1)


def test_four_tied_variables_agree_with_the_reference():
    np.testing.assert_allclose(oracles.expected_entropy(FOUR_TIED), 1.20688153, atol=5e-9)
    np.testing.assert_allclose(oracles.predictive_entropy(FOUR_TIED), 1.23759717, atol=5e-9)
    np.testing.assert_allclose(oracles.bald(FOUR_TIED), 0.030715639666, atol=5e-13)


@pytest.mark.parametrize(
    ("size", "value"), [(1, 0.030715639666), (2, 0.059619586272), (3, 0.086910705147), (4, 0.112753045325)]
)
def test_joint_information_of_tied_variables_agrees_with_the_reference(size, value):
    assert oracles.batchbald(FOUR_TIED[:size]) == pytest.approx(value, abs=5e-13)


def test_joint_entropy_of_uniform_variables():
    assert oracles.joint_entropy(np.full((4, 3, 4), -math.log(4))) == pytest.approx(4 * math.log(4), abs=1e-12)


def test_joint_entropy_of_equal_draws_is_the_sum():
    draws = np.repeat(random_log_probs(0, 3, 1, 4), 5, axis=1)
    assert oracles.joint_entropy(draws) == pytest.approx(oracles.predictive_entropy(draws).sum(), abs=1e-12)


def test_a_copy_can_be_the_better_second_pick():
    a, b = binary(0.30, 0.45), binary(0.60, 0.72)
    assert oracles.bald(a)[0] == pytest.approx(0.0120616803, abs=5e-11)
    assert oracles.bald(b)[0] == pytest.approx(0.0080529857, abs=5e-11)
    assert oracles.batchbald(np.concatenate([a, a])) == pytest.approx(0.0238359311, abs=5e-11)
    assert oracles.batchbald(np.concatenate([a, b])) == pytest.approx(0.0199216902, abs=5e-11)
    picked, gains = oracles.greedy_batchbald(np.concatenate([a, a, b]), 2)
    assert picked == [0, 1]
    np.testing.assert_allclose(np.cumsum(gains), [0.0120616803, 0.0238359311], atol=5e-11)


def test_information_gain_of_a_finite_space():
    draws = binary(0.75, 0.75, 0.25, 0.25, 0.25)
    assert oracles.bald(draws)[0] == pytest.approx(0.12580366909478014, abs=1e-14)


def test_bald_is_the_consensus_divergence():
    draws = random_log_probs(1, 16, 7, 5)
    np.testing.assert_allclose(oracles.bald(draws), oracles.consensus_kl(draws), atol=1e-14)


def test_greedy_batches_are_submodular_and_start_with_the_best_single():
    draws = random_log_probs(2, 6, 5, 3)
    picked, gains = oracles.greedy_batchbald(draws, 4)
    assert picked[0] == np.argmax(oracles.bald(draws))
    assert gains[0] == pytest.approx(oracles.bald(draws).max(), abs=1e-13)
    assert np.all(np.diff(gains) < 0)
    assert min(gains) > 0
    assert sum(gains) == pytest.approx(oracles.batchbald(draws[picked]), abs=1e-13)
    assert sum(gains) < min(math.log(5), oracles.bald(draws)[picked].sum())


def test_greedy_batch_is_within_its_guarantee_of_the_best_set():
    draws = random_log_probs(3, 6, 4, 3)
    best = max(oracles.batchbald(draws[list(rows)]) for rows in itertools.combinations(range(6), 3))
    assert (1 - 1 / math.e) * best <= sum(oracles.greedy_batchbald(draws, 3)[1]) <= best + 1e-12


def test_epig_is_a_difference_of_entropies():
    pool, targets = random_log_probs(4, 5, 6, 3), random_log_probs(5, 4, 6, 3)
    joint = np.array([[oracles.joint_entropy(np.stack([x, z])) for z in targets] for x in pool])
    apart = oracles.predictive_entropy(pool)[:, None] + oracles.predictive_entropy(targets)
    np.testing.assert_allclose(oracles.epig(pool, targets), (apart - joint).mean(axis=1), atol=1e-13)
    weight = np.array([1.0, 0.0, 2.0, 1.0])
    weighted = (apart - joint) @ weight / weight.sum()
    np.testing.assert_allclose(oracles.epig(pool, targets, weight), weighted, atol=1e-13)
    assert np.all(oracles.epig(pool, targets) <= oracles.bald(pool))


def test_epig_of_known_targets():
    certain = np.where(np.eye(3, dtype=bool)[[0, 1, 2, 0]], 0.0, -np.inf)[None]
    entropy = stats.entropy([0.5, 0.25, 0.25])
    np.testing.assert_allclose(oracles.epig(certain, certain), [entropy], atol=1e-14)
    same = np.repeat(random_log_probs(6, 1, 1, 3), 4, axis=1)
    np.testing.assert_allclose(oracles.epig(certain, same), [0.0], atol=1e-14)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.5, 2.0), (3.0, 7.0), (20.0, 30.0)])
def test_bald_is_the_expected_reduction_of_posterior_entropy(a, b):
    reduction = oracles.beta_bernoulli_entropy_reduction(a, b)
    assert oracles.beta_bernoulli_bald(a, b) == pytest.approx(reduction, abs=1e-12)


def test_bald_of_a_uniform_prior():
    assert oracles.beta_bernoulli_bald(1.0, 1.0) == pytest.approx(math.log(2) - 0.5, abs=1e-14)


def test_heuristics_of_a_row_worked_by_hand():
    row = np.log([[[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.6, 0.2, 0.2], [0.4, 0.4, 0.2]]])
    assert oracles.least_confidence(row)[0] == pytest.approx(0.6)
    assert oracles.margin(row)[0] == pytest.approx(0.0, abs=1e-15)
    assert oracles.vote_variation_ratio(row)[0] == 0.25
    assert oracles.vote_entropy(row)[0] == pytest.approx(math.log(4) - 0.75 * math.log(3))
    assert oracles.mean_std(row)[0] == pytest.approx((math.sqrt(0.035) + math.sqrt(0.035)) / 3)


def test_gaussian_quantities_against_numpy_and_the_closed_form():
    rng = np.random.default_rng(7)
    mean, variance, noise = rng.normal(size=(6, 4)), rng.uniform(0, 2, (6, 4)), rng.uniform(0.1, 1, (6, 4))
    total = oracles.total_variance(mean, variance, noise)
    np.testing.assert_allclose(total, (variance + noise).mean(1) + mean.var(1), rtol=1e-13)
    np.testing.assert_allclose(oracles.epistemic_variance(mean, variance), total - noise.mean(1), rtol=1e-13)
    entropy = oracles.gaussian_entropy(mean, variance, noise)
    np.testing.assert_allclose(entropy, 0.5 * np.log(2 * np.pi * np.e * total), rtol=1e-12, atol=1e-13)
    one = mean[:, :1], variance[:, :1], noise[:, :1]
    closed = 0.5 * np.log1p(variance[:, 0] / noise[:, 0])
    np.testing.assert_allclose(oracles.gaussian_bald(*one), closed, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose([oracles.mixture_information(*row) for row in zip(*one)], closed, atol=1e-8)


def test_mixture_information_of_well_separated_draws_is_log_k():
    mean, small = np.array([-100.0, 0.0, 100.0]), np.full(3, 1e-2)
    assert oracles.mixture_information(mean, 0 * small, small) == pytest.approx(math.log(3), abs=1e-7)


def test_sampling_without_replacement_by_enumeration():
    weights = [1.0, 2.0, 3.0, 4.0]
    batches = dict(oracles.ordered_batches(weights, 2))
    assert sum(batches.values()) == pytest.approx(1.0, abs=1e-14)
    assert batches[3, 0] == pytest.approx(0.4 / 6)
    included = oracles.inclusion_probabilities(weights, 2)
    assert included.sum() == pytest.approx(2.0, abs=1e-14)
    assert included[0] == pytest.approx(0.1 + 0.1 * (2 / 8 + 3 / 7 + 4 / 6))
    np.testing.assert_allclose(oracles.inclusion_probabilities([1.0] * 5, 2), 0.4, atol=1e-14)


def test_enumeration_agrees_with_successive_draws():
    rng, weights = np.random.default_rng(8), np.array([1.0, 2.0, 3.0, 4.0])
    counts = np.zeros(4)
    for _ in range(4000):
        counts[rng.choice(4, size=2, replace=False, p=weights / 10)] += 1
    np.testing.assert_allclose(counts / 4000, oracles.inclusion_probabilities(weights, 2), atol=0.03)


def test_rows_without_weight_come_last_and_uniformly():
    assert oracles.pick_probabilities([0.0, 2.0, 0.0], [1, 2, 0]) == [1.0, 0.5, 1.0]
    np.testing.assert_allclose(oracles.inclusion_probabilities([0.0, 2.0, 0.0], 2), [0.5, 1.0, 0.5])


def test_weights_of_the_stochastic_rules():
    assert oracles.power_weights([2.0, 0.0, -1.0], 3.0) == [8.0, 0.0, 0.0]
    assert oracles.softmax_weights([0.0, 1.0], 2.0) == pytest.approx([1.0, math.e**2])
    assert oracles.softrank_weights([0.1, 0.9, 0.5, 0.7], 1.0) == pytest.approx([1 / 4, 1, 1 / 3, 1 / 2])
