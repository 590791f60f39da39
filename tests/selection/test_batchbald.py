"""BatchBALD against enumeration in float64, on the exact and on the sampled path."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bal.acquisition import bald, expected_entropy
from bal.selection import Greedy, batch_information, batchbald, greedy
from bal.selection.information.batchbald import BatchBaldState
from bal.selection.information.labelings import add_row, conditional_information, no_labels
from bal.selection.rules.lazy import lazy_gains
from bal.typing import Candidates
from tests import oracles
from tests.acquisition.inputs import impossible_classes, near_agreeing, spread_out

KEY = jax.random.key(0)
first_gains = jax.jit(bald)
N, K, C, B = 16, 6, 3, 4
POOL = spread_out(3, (N, K, C))


def candidates(rows, eligible=None):
    n = len(rows)
    eligible = np.ones(n, bool) if eligible is None else eligible
    some = Candidates(np.asarray(rows, np.float32), np.arange(n, dtype=np.int32), eligible, np.ones(n, np.float32))
    return jax.device_put(some)


def padded(rows):
    """A few rows of K draws and up to C classes, among N of which no others may be picked: one program for many."""
    few, _, classes = rows.shape
    more = np.full((N, K, C), -np.inf)
    more[:few, :, :classes], more[few:, :, 0] = rows, 0.0
    return candidates(more, np.arange(N) < few)


@pytest.fixture(scope="module")
def exact():
    """B = 4 picks of three classes: 27 labelings are enough."""
    return jax.jit(partial(batchbald(27), batch_size=B))


@pytest.fixture(scope="module")
def sampled():
    """Only the first two picks are scored exactly."""
    return jax.jit(partial(batchbald(6), batch_size=B))


@pytest.fixture(scope="module")
def inspect():
    return jax.jit(partial(batch_information, num_configurations=100))


@partial(jax.jit, static_argnums=0)
def after_labels(num_configurations):
    """Labelings of the first four rows."""
    state = no_labels(num_configurations, K)
    keys = jax.random.split(KEY, 4)
    return jax.lax.scan(lambda state, row: (add_row(row[0], state, row[1]), None), state, (keys, POOL[:4]))[0]


@pytest.fixture(scope="module")
def slow():
    return oracles.greedy_batchbald(POOL, B)


@pytest.mark.parametrize("pool", [POOL, impossible_classes(5, (N, K, C))], ids=["spread_out", "impossible_classes"])
def test_equals_enumeration(exact, pool):
    picks = exact(KEY, candidates(pool))
    indices, gains = oracles.greedy_batchbald(pool, B)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.scores, gains, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(picks.info["gain"], gains, rtol=2e-5, atol=1e-7)
    assert picks.info["gain_error"].tolist() == [0.0] * B


def test_bounds_hold_on_the_exact_path(exact):
    picks = exact(KEY, candidates(POOL))
    gains = np.asarray(picks.scores)
    assert (gains >= 0).all()
    assert (np.diff(gains) <= 0).all()
    assert gains.sum() <= min(math.log(K), float(np.asarray(first_gains(POOL))[picks.indices].sum()))
    assert float(picks.info["information"].max()) <= math.log(K)
    np.testing.assert_allclose(picks.info["saturation"], picks.info["information"] / math.log(K), rtol=1e-6)


def test_first_gain_is_bald(sampled):
    picks = sampled(KEY, candidates(POOL))
    assert float(picks.scores[0]) == pytest.approx(float(first_gains(POOL).max()), rel=1e-6)


def test_near_agreeing_draws_keep_their_relative_accuracy(exact):
    """Scores of 1e-7, where a difference of joint entropies in float32 is rounding noise."""
    pool = special.log_softmax(near_agreeing(1, (N, K, C)).astype(np.float64), -1)
    picks = exact(KEY, candidates(pool))
    slow = oracles.bald(pool)
    assert slow.max() < 1e-6
    assert int(picks.indices[0]) == int(slow.argmax())
    np.testing.assert_allclose(picks.scores, oracles.greedy_batchbald(pool, B)[1], rtol=1e-2)


def test_a_noisy_row_is_worth_its_copy(exact):
    pool = np.log([[[p, 1 - p] for p in row] for row in ((0.30, 0.45), (0.30, 0.45), (0.60, 0.72))])
    picks = exact(KEY, padded(np.repeat(pool, K // 2, 1)))
    assert picks.indices[:2].tolist() == [0, 1]
    np.testing.assert_allclose(np.cumsum(picks.scores)[:2], [0.0120616803, 0.0238359311], rtol=1e-5)
    assert picks.valid.tolist() == [True, True, True, False]
    np.testing.assert_allclose(picks.info["gain"][3], 0.0, atol=1e-7)


def test_a_copy_of_a_row_known_given_the_draw_is_worth_nothing(exact):
    certain = np.where(np.eye(3, dtype=bool)[[0, 1, 2, 0, 1, 2]], 0.0, -np.inf)
    other = np.where(np.eye(3, dtype=bool)[[0, 0, 0, 1, 1, 1]], 0.0, -np.inf)
    picks = exact(KEY, padded(np.stack([certain, certain, other])))
    assert picks.indices.tolist()[:2] == [0, 2]
    np.testing.assert_allclose(picks.scores[:3], [math.log(3), math.log(2), 0.0], atol=1e-6)
    assert int(picks.info["saturated_at"]) == 2


def test_four_tied_variables_agree_with_the_reference():
    mix = np.linspace(0.0, 1.0, 20)[None, :, None]
    base = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    tilt = np.array([[0.3, 0.3, 0.2, 0.2], [0.2, 0.3, 0.3, 0.2], [0.2, 0.2, 0.3, 0.3], [0.3, 0.2, 0.2, 0.3]])
    rows = np.log((1 - mix) * base[:, None] + mix * tilt[:, None]).astype(np.float32)
    total = jax.jit(partial(batch_information, num_configurations=256))(KEY, jnp.asarray(rows)).total
    np.testing.assert_allclose(total, [0.030715639666, 0.059619586272, 0.086910705147, 0.112753045325], atol=2e-6)


def test_joint_entropy_is_information_plus_expected_entropies(inspect):
    rows = jnp.asarray(POOL[:4])
    entropy = inspect(KEY, rows).total[-1] + np.asarray(jax.jit(expected_entropy)(rows)).sum()
    assert float(entropy) == pytest.approx(oracles.joint_entropy(POOL[:4]), rel=1e-6)


def test_sampled_information_lies_within_its_standard_error():
    """Over 60 keys: unbiased, and spread no wider than the stated errors."""
    rows = jnp.asarray(POOL[[3, 7, 9, 12, 14]])
    exact = [oracles.batchbald(POOL[[3, 7, 9, 12, 14]][:size]) for size in range(1, 6)]
    found = jax.jit(jax.vmap(lambda key: batch_information(key, rows, 30)))(jax.random.split(KEY, 60))
    late = slice(3, None)
    deviation = np.asarray(found.total[:, late]) - np.asarray(exact[late])
    error = np.sqrt((np.asarray(found.total_error[:, late]) ** 2).mean(0))
    assert (np.abs(deviation.mean(0)) < 3 * error / np.sqrt(60)).all()
    assert (deviation.std(0) < 1.3 * error).all()
    assert (np.asarray(found.total) <= math.log(K) + 1e-6).all()
    np.testing.assert_allclose(found.total[:, :3], np.tile(exact[:3], (60, 1)), rtol=1e-5)
    gains = np.diff(np.asarray(exact))[late.start - 1 :]
    spread = np.sqrt((np.asarray(found.gain_error[:, late]) ** 2).mean(0))
    assert (np.abs(np.asarray(found.gain[:, late]).mean(0) - gains) < 3 * spread / np.sqrt(60) + 1e-6).all()


def test_gains_do_not_jump_when_sampling_begins(sampled):
    """Rescored gains are conditional information on the labelings at hand, before and after: one scale."""
    some = candidates(POOL)
    gains = np.stack([sampled(key, some).info["gain"] for key in jax.random.split(KEY, 50)])
    assert (gains >= 0).all()
    assert (gains[:, :2] <= np.log(3)).all()
    assert gains[:, 2:].mean(0)[0] <= gains[:, :2].mean(0)[1]


def test_equal_rows_share_their_configurations():
    """Two copies of a row get the same sampled score: the labelings are common to all candidates."""
    state = after_labels(6)
    assert bool(state.sampled)
    scores = np.asarray(jax.jit(conditional_information)(jnp.asarray(POOL[[5, 6, 5, 7, 5]]), state))
    np.testing.assert_allclose(scores[[2, 4]], scores[0], rtol=1e-6)
    assert abs(scores[1] / scores[0] - 1) > 1e-3


@pytest.mark.slow
def test_blocks_change_nothing():
    state = after_labels(81)
    whole = jax.jit(conditional_information)(jnp.asarray(POOL), state)
    small = jax.jit(partial(conditional_information, budget=5 * 81 * C * 4))(jnp.asarray(POOL), state)
    np.testing.assert_allclose(whole, small, rtol=1e-5, atol=1e-7)


@pytest.mark.slow  # blocks of labelings change nothing, above
def test_many_labelings_in_blocks_equal_enumeration(slow):
    """More labelings than one block of events holds."""
    picks = jax.jit(partial(batchbald(1500), batch_size=B))(KEY, candidates(POOL))
    assert picks.indices.tolist() == slow[0]
    np.testing.assert_allclose(picks.scores, slow[1], rtol=2e-5)


@pytest.mark.slow  # that the best row is found in any block is tested below
@pytest.mark.parametrize("num_configurations", [512, 8], ids=["exact", "sampled"])
def test_lazy_gains_pick_what_all_gains_pick(num_configurations):
    """Two classes, nine picks; a budget for one row a block, so that most blocks are never looked at when exact."""
    pool = spread_out(11, (40, K, 2))
    small = jax.jit(partial(batchbald(num_configurations, budget=1), batch_size=9))
    picks = small(KEY, candidates(pool, np.arange(40) % 5 > 0))
    everything = lambda key, c, batch_size: Greedy(
        BatchBaldState(key, no_labels(num_configurations, K), None, None),
        lambda state: conditional_information(c.rows, state.configurations),
        lambda state, i: state._replace(
            key=jax.random.split(state.key)[1],
            configurations=add_row(jax.random.split(state.key)[0], state.configurations, c.rows[i]),
        ),
    )
    key_select = jax.random.split(KEY)[0]
    expected = jax.jit(partial(greedy(everything), batch_size=9))(key_select, candidates(pool, np.arange(40) % 5 > 0))
    assert picks.indices.tolist() == expected.indices.tolist()
    np.testing.assert_allclose(picks.scores, expected.scores, rtol=1e-5, atol=1e-6)


def test_lazy_evaluation_stops_early():
    seen = []

    def gain(some):
        jax.debug.callback(lambda rows: seen.append(rows.tolist()), some)
        return some

    rows = jnp.array([3.0, jnp.nan, 1.0, 2.0, 9.0])
    found = lazy_gains(gain, rows, jnp.array([3.5, 4.0, 1.5, 2.5, -jnp.inf]), 1)
    jax.effects_barrier()
    np.testing.assert_array_equal(found, [3.0, jnp.nan, 1.5, 2.5, -jnp.inf])
    assert len(seen) == 2


def test_identical_draws_hold_no_information(exact):
    picks = exact(KEY, candidates(np.repeat(POOL[:, :1], K, axis=1)))
    assert picks.indices.tolist() == [0, 1, 2, 3]
    assert picks.scores.tolist() == [0.0] * B
    assert int(picks.info["saturated_at"]) == 0


def test_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="at least 1 configuration"):
        batchbald(0)
    with pytest.raises(ValueError, match="budget"):
        batchbald(10, budget=0)


@pytest.mark.slow  # saturation at the entropy of a row known given the draw is above
def test_saturates_at_what_labels_can_tell():
    """64 draws, three rows that are bits of a draw's number: log 8 is all that three labels can tell, below log 64."""
    bits = np.arange(64)[None] >> np.arange(4)[:, None] & 1
    rows = np.where(np.arange(2) == bits[..., None], 0.0, -np.inf)
    picks = jax.jit(partial(batchbald(64), batch_size=3))(KEY, candidates(rows))
    np.testing.assert_allclose(picks.info["information"], math.log(2) * np.arange(1, 4), rtol=1e-5)
    assert int(picks.info["saturated_at"]) == 3


def test_every_row_has_labels_of_its_own():
    """Copies of a noisy row, nine labelings: drawn by one number for all rows, the information would be biased."""
    rows = POOL[[3] * 5]
    exact = oracles.batchbald(rows)
    found = jax.jit(jax.vmap(lambda key: batch_information(key, jnp.asarray(rows), 9).total[-1]))
    total = np.asarray(found(jax.random.split(KEY, 1000)))
    assert abs(total.mean() - exact) < 4 * total.std() / np.sqrt(1000)


@pytest.mark.parametrize("block", [3, 5])
def test_lazy_gains_find_the_best_row_in_any_block(block):
    """The first row is almost as good as the best of 14, whose bound is exact: the best block may not be left out."""
    gains = jax.jit(lambda rows, bound: lazy_gains(lambda some: some, rows, bound, block))
    bound = np.linspace(1.0, 0.35, 14, dtype=np.float32)
    for best in range(1, 14):
        rows = np.zeros(14, np.float32)
        rows[0], rows[best] = bound[best] - 0.01, bound[best]
        found, evaluated = gains(jnp.asarray(rows), jnp.asarray(bound)), block * (best // block + 1)
        np.testing.assert_array_equal(found[:evaluated], rows[:evaluated])  # beyond lie bounds, all below the best
