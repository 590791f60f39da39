"""Standard errors over draws: the jackknife in numpy, coverage over many sets of draws, and what rests on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bal.acquisition import bald, epig, expected_entropy, standard_error
from bal.pool import dense, make_pool
from bal.pool.labeled import empty_log
from bal.query import Query, Stage, predictions, run_query, targets
from bal.selection import power, with_standard_errors
from bal.typing import Candidates, Learner, Posterior, Round
from tests import oracles

K, C = 50, 3
BALD, BALD_ERROR, EPIG = jax.jit(bald), jax.jit(standard_error(bald)), jax.jit(epig)
RNG = np.random.default_rng(0)


def draws(num_sets, shape, spread):
    """Sets of K draws of rows: each draw shifts all rows by one vector, as a posterior does."""
    common = RNG.normal(size=(num_sets, 1, K, C))
    own = RNG.normal(size=(num_sets, shape, K, C))
    location = np.random.default_rng(1).normal(size=(shape, 1, C))
    return special.log_softmax(location + spread * (common + own), -1).astype(np.float32)


def jackknife(statistic):
    """Of a function of the draws that are kept."""
    values = np.array([statistic(np.delete(np.arange(K), k)) for k in range(K)])
    return np.sqrt((K - 1) / K * np.sum((values - values.mean(0)) ** 2, 0))


def test_by_leaving_out_each_draw():
    rows, there = draws(2, 6, 1.0)
    expected = jackknife(lambda kept: oracles.bald(rows[:, kept]))
    np.testing.assert_allclose(BALD_ERROR(rows), expected, rtol=1e-4)
    expected = jackknife(lambda kept: np.asarray(EPIG(rows[:, kept], there[:, kept]), np.float64))
    np.testing.assert_allclose(jax.jit(standard_error(epig))(rows, there), expected, rtol=1e-3)


def test_of_a_mean_it_is_the_textbook_one():
    (rows,) = draws(1, 6, 1.0)
    entropies = np.sum(special.entr(np.exp(rows.astype(np.float64))), -1)
    expected = entropies.std(1, ddof=1) / np.sqrt(K)
    np.testing.assert_allclose(jax.jit(standard_error(expected_entropy))(rows), expected, rtol=1e-3)


@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_coverage_over_sets_of_draws(spread):
    """Of 600 sets the scores spread as the errors say, and 3 errors hold nearly all of them about their mean."""
    rows = draws(600, 4, spread)
    flat = rows.reshape(-1, K, C)
    score, error = (np.asarray(f(flat)).reshape(600, 4) for f in (BALD, BALD_ERROR))
    ratio = error.mean(0) / score.std(0)
    assert (ratio > 0.9).all(), ratio
    assert (ratio < 1.25).all(), ratio
    assert np.mean(np.abs(score - score.mean(0)) <= 3 * error) > 0.97


def test_the_gap_of_picks():
    (rows,) = draws(1, 6, 1.0)
    scores = np.asarray(BALD(rows))
    eligible = np.array([True, True, True, False, True, True])
    order = [n for n in np.argsort(-scores) if eligible[n]]
    some = Candidates(jnp.asarray(rows), jnp.arange(6), jnp.asarray(eligible), jnp.ones(6))
    picks = jax.jit(with_standard_errors(bald), static_argnums=2)(jax.random.key(0), some, 2)
    assert picks.indices.tolist() == order[:2]
    each = jackknife(lambda kept: oracles.bald(rows[:, kept]))
    np.testing.assert_allclose(picks.info["standard_error"], each[order[:2]], rtol=1e-4)
    gap = jackknife(lambda kept: np.subtract(*oracles.bald(rows[:, kept])[order[1:3]]))
    np.testing.assert_allclose(picks.info["gap_error"], gap, rtol=1e-4)
    np.testing.assert_allclose(picks.info["gap"], scores[order[1]] - scores[order[2]], rtol=1e-5)


def test_no_gap_where_nothing_was_left():
    (rows,) = draws(1, 2, 1.0)
    some = Candidates(jnp.asarray(rows), jnp.arange(2), jnp.ones(2, bool), jnp.ones(2))
    info = jax.jit(with_standard_errors(bald, power(1.0)), static_argnums=2)(jax.random.key(0), some, 3).info
    assert np.isnan(info["gap"])
    assert np.isnan(info["gap_error"])
    assert np.isfinite(info["standard_error"]).tolist() == [True, True, False]


def test_in_a_query_about_targets():
    rows = jnp.asarray(draws(1, 5, 1.0)[0])
    posterior = Posterior(None, Learner(None, None, lambda state, x: rows[x]))
    stage = Stage(predictions, with_standard_errors(epig), targets(np.arange(2), jnp.array([1.0, 3.0])))
    round = Round(posterior, make_pool(jnp.arange(5)), empty_log(1, jnp.zeros(1)), None)
    picks = jax.jit(lambda: run_query(jax.random.key(0), Query((stage,)), round, 1, dense)[0])()
    scores = np.asarray(EPIG(rows, rows[:2], jnp.array([1.0, 3.0])))
    assert picks.indices.tolist() == [scores.argmax()]
    assert picks.info["gap"] == pytest.approx(np.diff(np.sort(scores))[-1], rel=1e-4)
    assert picks.info["gap_error"] > 0


def test_too_few_draws():
    with pytest.raises(ValueError, match=r"of the same draws, 3 at least; got \[2\] of them; raise the number"):
        standard_error(bald)(jnp.zeros((4, 2, 3)))
