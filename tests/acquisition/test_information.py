"""Entropies and mutual information of class labels against slow float64 versions and exact values."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bal import acquisition
from tests import oracles
from tests.acquisition.inputs import INPUTS, near_agreeing, normalized, spread_out

bald = jax.jit(acquisition.bald)
consensus_kl = jax.jit(acquisition.consensus_kl)
corrected_bald = jax.jit(acquisition.corrected_bald)
expected_entropy = jax.jit(acquisition.expected_entropy)
predictive_entropy = jax.jit(acquisition.predictive_entropy)

PAIRS = [
    (predictive_entropy, oracles.predictive_entropy),
    (expected_entropy, oracles.expected_entropy),
    (bald, oracles.bald),
    (corrected_bald, oracles.corrected_bald),
    (consensus_kl, oracles.consensus_kl),
]
FAST = [fast for fast, _ in PAIRS]
INFORMATION = [bald, corrected_bald, consensus_kl]


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(("fast", "slow"), PAIRS)
def test_equals_the_oracle(fast, slow, name):
    scores = fast(jnp.asarray(INPUTS[name]))
    assert scores.shape == (48,)
    assert scores.dtype == jnp.float32
    np.testing.assert_allclose(scores, slow(INPUTS[name]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fast", INFORMATION)
def test_information_is_accurate_relative_to_itself_where_draws_nearly_agree(fast):
    draws = near_agreeing()
    expected = dict(PAIRS)[fast](draws)
    assert expected.max() < 1e-6
    np.testing.assert_allclose(fast(jnp.asarray(draws)), expected, rtol=5e-3)


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 1, 4), (7, 33, 2)])
def test_any_shape_equals_the_oracle(shape):
    draws = spread_out(5, shape)
    np.testing.assert_allclose(bald(jnp.asarray(draws)), oracles.bald(draws), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fast", FAST)
def test_order_of_classes_does_not_matter(fast):
    draws = INPUTS["impossible_classes"]
    shuffled = draws[..., np.random.default_rng(7).permutation(draws.shape[2])]
    np.testing.assert_allclose(fast(jnp.asarray(draws)), fast(jnp.asarray(shuffled)), rtol=2e-6, atol=2e-7)


# Exact values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_classes", [2, 5, 10])
def test_entropies_of_uniform_and_certain_rows(num_classes):
    uniform = np.full((1, 6, num_classes), -math.log(num_classes), np.float32)
    for fast in (predictive_entropy, expected_entropy):
        assert float(fast(uniform)[0]) == pytest.approx(math.log(num_classes), rel=1e-6)
        certain = np.where(np.arange(num_classes) == 1, 0.0, -np.inf).astype(np.float32)
        assert fast(np.broadcast_to(certain, (1, 6, num_classes)))[0] == 0.0


@pytest.mark.parametrize("fast", [bald, consensus_kl])
def test_opposite_certain_draws_carry_log_two(fast):
    draws = jnp.asarray([[[0.0, -jnp.inf, -jnp.inf], [-jnp.inf, 0.0, -jnp.inf]]])
    assert float(fast(draws)[0]) == pytest.approx(math.log(2), rel=1e-6)


def test_information_gain_of_a_finite_space():
    p = np.array([0.75, 0.75, 0.25, 0.25, 0.25])
    draws = jnp.asarray(np.log(np.stack([p, 1 - p], -1))[None], jnp.float32)
    assert float(bald(draws)[0]) == pytest.approx(0.12580366909478014, rel=2e-6)


def test_small_information_of_tied_variables():
    mix = np.linspace(0, 1, 20)[:, None]
    draws = np.log((1 - mix) * [0.7, 0.1, 0.1, 0.1] + mix * [0.3, 0.3, 0.2, 0.2])[None]
    assert float(bald(jnp.asarray(draws, jnp.float32))[0]) == pytest.approx(0.030715639666, rel=5e-6)


def test_entropy_is_information_plus_expected_entropy():
    draws = jnp.asarray(np.concatenate(list(INPUTS.values())))
    both = np.asarray(bald(draws)) + np.asarray(expected_entropy(draws))
    np.testing.assert_allclose(predictive_entropy(draws), both, atol=1e-6)


def test_consensus_divergence_is_bald():
    draws = jnp.asarray(np.concatenate(list(INPUTS.values())))
    np.testing.assert_allclose(consensus_kl(draws), bald(draws), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("num_draws", "num_classes"), [(2, 10), (12, 2)])
def test_information_is_bounded(num_draws, num_classes):
    rng = np.random.default_rng(8)
    logits = rng.normal(size=(512, num_draws, num_classes)) * rng.choice([0.01, 1, 10, 1000], size=(512, 1, 1))
    draws = jnp.asarray(normalized(logits))
    bound = np.minimum(min(math.log(num_draws), math.log(num_classes)), predictive_entropy(draws))
    assert np.all(bald(draws) <= bound + 1e-6)
    assert np.all(bald(draws) >= 0)
    assert np.max(bald(draws)) > 0.8 * min(math.log(num_draws), math.log(num_classes))


@pytest.mark.parametrize("num_draws", [2, 5])
def test_few_draws_scale_information_by_one_minus_one_over_k(num_draws):
    alpha = np.array([10.0, 20.0, 30.0])
    p, total = alpha / alpha.sum(), alpha.sum()
    exact = stats.entropy(p) - (special.digamma(total + 1) - p @ special.digamma(alpha + 1))
    draws = np.random.default_rng(9).dirichlet(alpha, size=(60_000, num_draws))
    draws = jnp.asarray(np.log(draws), jnp.float32)
    assert float(np.mean(bald(draws))) == pytest.approx((1 - 1 / num_draws) * exact, rel=0.01)
    assert float(np.mean(corrected_bald(draws))) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(("num_draws", "corrected"), [(2, math.log(2)), (5, 0.721260), (20, 0.702604)])
def test_draws_that_are_certain_and_disagree_are_corrected_by_too_much(num_draws, corrected):
    """The expectation over all binomial splits of K certain draws, against log 2."""
    split = np.arange(num_draws + 1)
    certain = np.where(np.arange(num_draws) < split[:, None], 0.0, -np.inf)
    draws = jnp.asarray(np.stack([certain, np.where(certain == 0, -np.inf, 0.0)], -1), jnp.float32)
    expected = float(np.dot(stats.binom(num_draws, 0.5).pmf(split), corrected_bald(draws)))
    assert expected == pytest.approx(corrected, rel=1e-5)


@pytest.mark.parametrize(("num_draws", "same"), [(2, True), (3, False)])
def test_the_correction_is_the_jackknife_for_two_draws_alone(num_draws, same):
    draws = np.log(np.array([[0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]))[None, :num_draws]
    without = [oracles.bald(np.delete(draws, k, axis=1))[0] for k in range(num_draws)]
    jackknife = num_draws * oracles.bald(draws)[0] - (num_draws - 1) * np.mean(without)
    found = float(corrected_bald(jnp.asarray(draws, jnp.float32))[0])
    assert (abs(found - jackknife) < 1e-5 * jackknife) == same


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.5, 2.0), (3.0, 7.0), (20.0, 30.0)])
def test_information_is_the_expected_reduction_of_posterior_entropy(a, b):
    p = stats.beta(a, b).ppf((np.arange(4000) + 0.5) / 4000)
    draws = jnp.asarray(np.log(np.stack([p, 1 - p], -1))[None], jnp.float32)
    reduction = oracles.beta_bernoulli_entropy_reduction(a, b)
    assert float(bald(draws)[0]) == pytest.approx(reduction, rel=2e-3)


# Defects of other implementations ---------------------------------------------------------------------------


@pytest.mark.parametrize("fast", INFORMATION)
def test_defect_ranking_by_rounding_noise_identical_draws_give_exactly_zero(fast):
    single = np.concatenate([draws[:, :1] for draws in INPUTS.values()])
    assert np.all(np.asarray(fast(jnp.asarray(np.repeat(single, 9, axis=1)))) == 0.0)


@pytest.mark.parametrize("fast", [bald, consensus_kl])
def test_defect_ranking_by_rounding_noise_a_single_draw_gives_exactly_zero(fast):
    single = np.concatenate([draws[:, :1] for draws in INPUTS.values()])
    assert np.all(np.asarray(fast(jnp.asarray(single))) == 0.0)


def test_correction_of_a_single_draw_is_refused():
    with pytest.raises(ValueError, match="draw"):
        corrected_bald(jnp.asarray(spread_out(5, (3, 1, 4))))


def test_defect_cancellation_no_negative_score_among_many_rows():
    scores = np.asarray(bald(jnp.asarray(near_agreeing(10, (20_000, 8, 4)))))
    assert np.all(scores > 0)


def test_defect_cancellation_ranks_agree_with_float64():
    draws = near_agreeing(11, (2_000, 10, 5))
    assert stats.spearmanr(bald(jnp.asarray(draws)), oracles.bald(draws)).statistic > 0.9999
    naive = np.asarray(predictive_entropy(draws)) - np.asarray(expected_entropy(draws))
    assert stats.spearmanr(naive, oracles.bald(draws)).statistic < 0.99


@pytest.mark.parametrize("fast", FAST)
def test_defect_unguarded_zero_probability_is_finite(fast):
    for name in ("one_hot", "impossible_classes"):
        assert np.isneginf(INPUTS[name]).any()
        assert np.all(np.isfinite(fast(jnp.asarray(INPUTS[name]))))


def test_defect_unguarded_zero_probability_every_pattern_of_two_binary_draws():
    grid = np.array(list(itertools.product([0.0, 1e-30, 0.3, 1.0], repeat=2)))
    with np.errstate(divide="ignore"):
        draws = np.log(np.stack([grid, 1 - grid], -1)).astype(np.float32)
    for fast, slow in PAIRS:
        np.testing.assert_allclose(fast(jnp.asarray(draws)), slow(draws), rtol=1e-5, atol=1e-6)


def test_defect_entropy_summed_over_draws_instead_of_classes():
    with np.errstate(divide="ignore"):
        draws = np.log(np.float32([[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], [[1, 0], [1, 0], [0, 1]]]))
    expected = [math.log(2), stats.entropy([1 / 3, 2 / 3])]
    np.testing.assert_allclose(predictive_entropy(draws), expected, rtol=1e-6)


def test_defect_callers_array_is_left_alone():
    draws = INPUTS["impossible_classes"].copy()
    for fast in FAST:
        fast(jnp.asarray(draws))
    np.testing.assert_array_equal(draws, INPUTS["impossible_classes"])
