"""EPIG in all its forms against slow float64 versions, and the stage that computes it."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bal import acquisition
from bal.numerics.divergence import divergence
from bal.pool import dense, make_pool
from bal.pool.labeled import empty_log
from bal.query import (
    Query,
    Stage,
    class_prior,
    epig_scores,
    jepig_scores,
    joint_targets,
    pool_targets,
    run_query,
    sampled_targets,
    targets,
)
from bal.selection import best, epig_batch
from bal.typing import Candidates, Gaussian, Learner, Posterior, Round
from tests import oracles
from tests.acquisition.inputs import INPUTS, near_agreeing, spread_out

KEY = jax.random.key(0)
TARGETS = spread_out(9, (6, 9, 5))
WEIGHT = np.array([1.0, 0.0, 2.0, 1.0, 0.5, 3.0], np.float32)

bald = jax.jit(acquisition.bald)
epig = jax.jit(acquisition.epig)
epig_by_entropies = jax.jit(acquisition.epig_by_entropies)
gaussian_epig = jax.jit(acquisition.gaussian_epig)
jepig = jax.jit(acquisition.jepig)


@pytest.mark.parametrize("name", INPUTS)
def test_equals_the_oracle(name):
    pool = INPUTS[name]
    slow = oracles.epig(pool[:12], TARGETS, WEIGHT)
    np.testing.assert_allclose(epig(pool, TARGETS, WEIGHT)[:12], slow, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(epig_by_entropies(pool, TARGETS, WEIGHT)[:12], slow, atol=5e-6)


@pytest.mark.parametrize("name", INPUTS)
def test_between_zero_and_bald(name):
    pool = jnp.asarray(INPUTS[name])
    scores, ceiling = np.asarray(epig(pool, TARGETS, WEIGHT)), np.asarray(bald(pool))
    assert (scores >= 0).all()
    assert (scores <= ceiling * (1 + 1e-5)).all()


def test_accurate_where_draws_nearly_agree():
    """Information of 1e-13, which the difference of entropies cannot see."""
    pool, near = (special.log_softmax(near_agreeing(s).astype(np.float64), -1) for s in (1, 2))
    slow = np.array([_second_order(row, near[:6]) for row in pool[:12]])
    fast = epig(jnp.asarray(pool, jnp.float32), jnp.asarray(near[:6], jnp.float32))[:12]
    assert slow.max() < 1e-10
    np.testing.assert_allclose(fast, slow, rtol=2e-2)


def _second_order(row, near):
    """mean_z ½ Σ p̄ p̄_z (ρ - 1)², what the information is for small ρ - 1."""
    p, q = np.exp(row), np.exp(near)
    joint = np.einsum("kc,zkd->zcd", p, q) / len(p)
    apart = p.mean(0)[None, :, None] * q.mean(1)[:, None, :]
    return (0.5 * (joint - apart) ** 2 / apart).sum((1, 2)).mean()


def test_divergence_is_accurate_from_tiny_to_large():
    size = 10.0 ** np.arange(-12, 12, 0.01)
    delta = np.concatenate([size, -size[size < 0.99999], [0.0, -1.0]]).astype(np.float32)
    wide = delta.astype(np.longdouble)
    powers = np.arange(2, 16)
    series = ((-1.0) ** powers * wide[:, None] ** powers / (powers * (powers - 1))).sum(1)
    ratio = np.maximum(1 + wide, 1e-300)
    slow = np.where(np.abs(wide) < 0.02, series, ratio * np.log(ratio) - wide)
    as_users_compile = {
        "xla_backend_optimization_level": 3,
        "xla_llvm_disable_expensive_passes": False,
    }  # fused products
    found = jax.jit(divergence, compiler_options=as_users_compile)(delta)
    np.testing.assert_allclose(found, slow.astype(np.float64), rtol=1e-6)
    found = jax.jit(divergence)
    with jax.enable_x64(True):
        np.testing.assert_allclose(found(delta.astype(np.float64)), slow.astype(np.float64), rtol=1e-11)
    assert np.isnan(found(np.array([np.nan], np.float32)))


def test_equal_weights_change_nothing_and_scale_does_not_matter():
    pool = INPUTS["spread_out"]
    plain = epig(pool, TARGETS)
    np.testing.assert_allclose(plain, epig(pool, TARGETS, np.full(6, 7.0, np.float32)), rtol=1e-6)


def test_the_target_itself_known_given_the_draw_gives_its_entropy():
    row = np.where(np.eye(5, dtype=bool)[[0, 1, 2, 0, 1, 2, 3, 4, 0]], 0.0, -np.inf)[None].astype(np.float32)
    scores = epig(row, row)
    np.testing.assert_allclose(scores, oracles.predictive_entropy(row), rtol=1e-6)


def test_independent_targets_give_exactly_nothing():
    same = np.repeat(TARGETS[:, :1], 9, axis=1)
    assert epig(INPUTS["spread_out"], same).tolist() == [0.0] * 48


def test_blocks_change_nothing():
    pool, many = spread_out(4, (19, 9, 5)), spread_out(5, (150, 9, 5))  # two blocks of events, four of rows
    small = jax.jit(partial(acquisition.epig, budget=5 * 375 * 5 * 4))(pool, many)
    np.testing.assert_allclose(small, epig(pool, many), rtol=2e-5)
    np.testing.assert_allclose(epig_by_entropies(pool, many), small, atol=5e-6)
    np.testing.assert_allclose(epig(pool, many)[:3], oracles.epig(pool[:3], many), rtol=2e-5)


def test_weighted_draws_are_repeated_draws():
    """Draws given twice, or with twice the weight: the conditioning that partial batch labels need."""
    pool, near = spread_out(4, (8, 4, 5)), spread_out(5, (6, 4, 5))
    twice = [0, 0, 1, 2, 3, 3]
    log_weight = jnp.log(jnp.array([2.0, 1.0, 1.0, 2.0]) / 6)
    weighted = jax.jit(lambda a, b: acquisition.epig(a, b, log_draw_weight=log_weight))(pool, near)
    np.testing.assert_allclose(weighted, oracles.epig(pool[:, twice], near[:, twice]), rtol=2e-5, atol=1e-7)


def gaussians(seed, rows, draws):
    rng = np.random.default_rng(seed)
    mean, variance, noise = (
        rng.normal(size=(rows, draws)),
        rng.uniform(0, 1, (rows, draws)),
        rng.uniform(0.1, 1, (rows, draws)),
    )
    return Gaussian(*(leaf.astype(np.float32) for leaf in (mean, variance, noise)))


def test_gaussian_form_equals_log_determinants():
    pool, near = gaussians(0, 12, 7), gaussians(1, 6, 7)
    weight = np.asarray(WEIGHT, np.float64)
    slow = []
    for x in range(12):
        row = []
        for z in range(6):
            means = np.stack([np.asarray(g.mean, np.float64)[i] for g, i in ((pool, x), (near, z))])
            own = [np.mean(np.float64(g.variance[i]) + np.float64(g.noise[i])) for g, i in ((pool, x), (near, z))]
            covariance = np.cov(means, bias=True) + np.diag(own)
            row.append(0.5 * math.log(covariance[0, 0] * covariance[1, 1] / np.linalg.det(covariance)))
        slow.append(np.dot(row, weight) / weight.sum())
    fast = gaussian_epig(pool, near, WEIGHT)
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-7)
    assert (np.asarray(fast) <= np.asarray(jax.jit(acquisition.gaussian_bald)(pool))).all()


def test_joint_targets_by_enumeration():
    """All labelings of three targets, each as often as it is probable: I(y; y_1 y_2 y_3)."""
    pool, near = spread_out(4, (6, 5, 3)), spread_out(5, (3, 5, 3))
    probs = np.exp(near.astype(np.float64))
    tilts, weight = [], []
    for labels in itertools.product(range(3), repeat=3):
        likelihood = np.prod([probs[z, :, c] for z, c in enumerate(labels)], axis=0)
        weight.append(likelihood.mean())
        tilts.append(np.log(likelihood / likelihood.sum()))
    exact = np.array([oracles.predictive_entropy(row[None])[0] + oracles.joint_entropy(near) for row in pool])
    exact -= [oracles.joint_entropy(np.concatenate([row[None], near])) for row in pool]
    times = np.random.default_rng(0).multinomial(4000, np.array(weight) / sum(weight))
    found = jepig(pool, jnp.asarray(np.repeat(tilts, times, axis=0), jnp.float32))
    np.testing.assert_allclose(found, exact, rtol=0.05)
    assert (np.asarray(epig(pool, near)) <= exact).all()


def slow_epig_batch(pool, near, weight, size):
    """Greedy maximization of Σ_z w_z I(y_1 ... y_b; y_z) by enumeration of joint entropies."""

    def value(rows):
        own = oracles.joint_entropy(pool[rows])
        each = [
            oracles.predictive_entropy(z[None])[0] + own - oracles.joint_entropy(np.concatenate([pool[rows], z[None]]))
            for z in near
        ]
        return np.dot(each, weight) / np.sum(weight)

    picked, gains, before = [], [], 0.0
    for _ in range(size):
        rest = [n for n in range(len(pool)) if n not in picked]
        values = [value([*picked, n]) for n in rest]
        picked.append(rest[int(np.argmax(values))])
        gains.append(max(values) - before)
        before = max(values)
    return picked, gains


def batch_candidates(pool, near, weight):
    n = len(pool)
    context = (jnp.asarray(near), jnp.asarray(weight))
    return Candidates(jnp.asarray(pool), jnp.arange(n), jnp.ones(n, bool), jnp.ones(n), context=context)


def test_batch_equals_enumeration():
    pool, near, weight = spread_out(4, (8, 5, 3)), spread_out(5, (2, 5, 3)), np.array([1.0, 3.0], np.float32)
    picks = jax.jit(partial(epig_batch(9), batch_size=3))(KEY, batch_candidates(pool, near, weight))
    indices, gains = slow_epig_batch(pool, near, weight, 3)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.scores, gains, rtol=1e-4, atol=1e-7)


def test_sampled_batch_labels_are_unbiased():
    """Two rows, so that the second pick is fixed: its gain averages to the exact one over partial labelings."""
    pool, near, weight = spread_out(6, (2, 5, 3)), spread_out(5, (2, 5, 3)), np.ones(2, np.float32)
    some = batch_candidates(pool, near, weight)
    gains = jax.jit(jax.vmap(lambda key: epig_batch(2)(key, some, 2).scores[1]))(jax.random.split(KEY, 200))
    exact = slow_epig_batch(pool, near, weight, 2)[1][1]
    error = float(gains.std()) / math.sqrt(200)
    assert 0 < error < 0.1 * exact
    assert abs(float(gains.mean()) - exact) < 3.5 * error


X = jnp.asarray(np.random.default_rng(0).normal(size=(10, 2)), jnp.float32)
MAPS = jnp.asarray(np.random.default_rng(1).normal(size=(9, 2, 3)), jnp.float32)


def predict(state, x):
    return jax.nn.log_softmax(jnp.einsum("nd,kdc->nkc", x, state), -1)


LINEAR = Learner(lambda key, data: MAPS, lambda key, state, data: state, predict)
ROUND = Round(Posterior(MAPS, LINEAR), make_pool(X), empty_log(2, jnp.zeros(1, jnp.int32)), None)


def made(context):
    """What a context function makes of the round."""
    return jax.jit(lambda round: context(KEY, round, dense))(ROUND)


def test_a_stage_scores_about_its_targets():
    x_target = X[:3] + 1
    query = Query((Stage(epig_scores, best, context=targets(x_target, jnp.array([1.0, 2.0, 0.0]))),))
    selection, _ = jax.jit(lambda round: run_query(KEY, query, round, 4))(ROUND)
    slow = oracles.epig(predict(MAPS, X), predict(MAPS, x_target), [1, 2, 0])
    assert selection.indices.tolist() == np.argsort(-slow)[:4].tolist()
    np.testing.assert_allclose(selection.scores, np.sort(slow)[::-1][:4], rtol=1e-4)


def test_without_targets_the_pool_is_used_and_a_warning_says_so():
    with pytest.warns(UserWarning, match="the pool itself"):
        context = targets()
    round = ROUND._replace(pool=ROUND.pool._replace(present=jnp.arange(10) < 4))
    found = context(KEY, round, dense)
    assert found.predictions.shape == (256, 9, 3)
    rows = {tuple(row) for row in np.asarray(found.predictions).reshape(256, -1).round(5).tolist()}
    assert rows == {tuple(row) for row in np.asarray(predict(MAPS, X[:4])).reshape(4, -1).round(5).tolist()}


def test_a_sampler_of_targets_is_called_with_the_key():
    sample = lambda key: jax.random.normal(key, (5, 2))
    found = sampled_targets(sample)(KEY, ROUND, dense)
    np.testing.assert_allclose(found.predictions, predict(MAPS, sample(KEY)), rtol=1e-6)


def test_information_is_bounded_where_noise_is_next_to_nothing():
    """Labels that two rows share but for a noise of 1e-8: float32 finds no correlation below 1, and no NaN."""
    mean = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    draws = Gaussian(mean, np.zeros_like(mean), np.full_like(mean, 1e-8))
    scores = np.asarray(jax.jit(gaussian_epig)(draws, jax.tree.map(lambda leaf: leaf[:20], draws)))
    assert np.isfinite(scores).all()
    assert (scores <= np.asarray(jax.jit(acquisition.gaussian_bald)(draws)) * (1 + 1e-5)).all()
    exact = jax.tree.map(lambda leaf: leaf.astype(np.float64), draws)
    with jax.enable_x64(True):
        found = np.asarray(gaussian_epig(exact, jax.tree.map(lambda leaf: leaf[:20], exact)))
    np.testing.assert_allclose(scores[20:], found[20:], rtol=1e-3)  # of rows that are no targets
    one = jnp.ones(1, jnp.float32)
    same = acquisition.covariance_epig(jnp.ones((1, 1), jnp.float32), one, 1e-9 * one, one, 1e-9 * one)
    assert float(same[0]) == pytest.approx(0.5 * np.log(1e9), rel=1e-3)


def test_targets_of_the_pool_are_drawn_alike_from_what_is_present():
    present = np.arange(50) % 5 > 0
    x = jnp.tile(jnp.arange(50.0)[:, None], (1, X.shape[1]))
    pool = make_pool(x)._replace(present=jnp.asarray(present))
    draw = jax.jit(lambda pool: pool_targets(8_000)(KEY, ROUND._replace(pool=pool), dense).x[:, 0])
    counts = np.bincount(np.asarray(draw(pool), int), minlength=50)
    assert not counts[~present].any()
    assert stats.chisquare(counts[present]).pvalue > 0.01


def test_class_prior_reweights_towards_the_given_frequencies():
    base = targets(X)
    probs = np.exp(np.asarray(predict(MAPS, X), np.float64)).mean(1)
    prior = np.array([0.7, 0.2, 0.1])
    found = made(class_prior(jnp.asarray(np.float32(prior)), base))
    np.testing.assert_allclose(found.weight, (probs * (prior / probs.mean(0))).sum(1), rtol=1e-5)
    same = made(class_prior(jnp.asarray(np.float32(probs.mean(0))), base))
    np.testing.assert_allclose(same.weight, 1.0, rtol=1e-5)


def test_a_class_that_no_target_can_be_counts_for_nothing():
    impossible = jnp.concatenate([predict(MAPS, X), jnp.full((len(X), MAPS.shape[0], 1), -jnp.inf)], 2)
    learner = LINEAR._replace(predict=lambda state, x: impossible)
    round = ROUND._replace(posterior=Posterior(MAPS, learner))
    found = class_prior([0.5, 0.2, 0.1, 0.2], targets(X))(KEY, round, dense)
    probs, prior = np.exp(np.asarray(predict(MAPS, X), np.float64)).mean(1), np.array([0.5, 0.2, 0.1])
    np.testing.assert_allclose(found.weight, (probs * (prior / probs.mean(0))).sum(1), rtol=1e-5)
    with pytest.raises(ValueError, match="a prior of 4 classes, as the targets have, got 3"):
        class_prior(prior, targets(X))(KEY, round, dense)
    with pytest.raises(ValueError, match="none negative, not all zero"):
        class_prior([0.0, -1.0], targets(X))


def test_class_prior_counts_targets_by_their_weights():
    """Importance ``w_z Σ_c p̄_z(c) prior(c) / q(c)``, q being the mean of p̄ under the weights of the targets."""
    weight = np.arange(10.0) ** 2
    probs = np.exp(np.asarray(predict(MAPS, X), np.float64)).mean(1)
    prior, q = np.array([0.7, 0.2, 0.1]), weight @ probs / weight.sum()
    base = targets(X, jnp.asarray(weight, jnp.float32))
    found = made(class_prior(jnp.asarray(np.float32(prior)), base))
    np.testing.assert_allclose(found.weight, weight * (probs @ (prior / q)), rtol=1e-5)
    same = made(class_prior(jnp.asarray(np.float32(q)), base))
    np.testing.assert_allclose(same.weight, weight, rtol=1e-5)


@pytest.mark.slow  # the information about joint targets is enumerated above
def test_joint_stage_is_between_epig_and_bald():
    context = joint_targets(targets(X[:4] * 3), 2000)
    scores = jax.jit(lambda key: jepig_scores(ROUND.posterior, context(key, ROUND, dense), X))(KEY)
    far, near = np.asarray(predict(MAPS, X)), np.asarray(predict(MAPS, X[:4] * 3))
    exact = oracles.joint_entropy(near) + oracles.predictive_entropy(far)
    exact -= [oracles.joint_entropy(np.concatenate([row[None], near])) for row in far]
    np.testing.assert_allclose(scores, exact, rtol=0.1)
    assert (np.asarray(scores) <= np.asarray(bald(far)) * 1.02).all()


def test_errors_teach():
    with pytest.raises(ValueError, match="same posterior draws"):
        acquisition.epig(jnp.asarray(TARGETS[:, :4]), jnp.asarray(TARGETS))
    with pytest.raises(ValueError, match="same posterior draws"):
        acquisition.gaussian_epig(gaussians(0, 2, 3), gaussians(0, 2, 4))
    with pytest.raises(ValueError, match="one weight per target row"):
        targets(X, jnp.ones(3))
    with pytest.raises(ValueError, match="at least 1 target"):
        pool_targets(0)
    with pytest.raises(ValueError, match="at least 1 labeling"):
        epig_batch(0)
    n = jnp.arange(4)
    with pytest.raises(ValueError, match="needs targets"):
        epig_batch()(KEY, Candidates(jnp.asarray(TARGETS[:4]), n, n >= 0, jnp.ones(4)), 2)
