"""Gaussian predictive-entropy batches against explicit covariance matrices in float64."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from bal.selection import gaussian_batch
from bal.selection.information.gaussian_batch import ledoit_wolf
from bal.typing import Candidates
from tests.acquisition.inputs import spread_out

KEY = jax.random.key(0)
N, K, B = 10, 12, 4


@pytest.fixture(scope="module", params=[2, 4], ids=["binary", "four_classes"])
def pool(request):
    return spread_out(3, (N, K, request.param))


@pytest.fixture(scope="module")
def select():
    return jax.jit(partial(gaussian_batch(), batch_size=B))


def candidates(pool, eligible=None):
    n = len(pool)
    eligible = jnp.ones(n, bool) if eligible is None else jnp.asarray(eligible)
    return Candidates(jnp.asarray(pool), jnp.arange(n), eligible, jnp.ones(n))


def contrasts(pool):
    """Probabilities [K, N (C - 1)] in Helmert's basis: class c against the mean of those before."""
    probs = np.exp(np.asarray(pool, np.float64))
    num_classes = probs.shape[2]
    basis = np.zeros((num_classes, num_classes - 1))
    for c in range(1, num_classes):
        basis[:c, c - 1], basis[c, c - 1] = 1.0, -c
    basis /= np.linalg.norm(basis, axis=0)
    return (probs @ basis).transpose(1, 0, 2).reshape(probs.shape[1], -1)


def entropy(covariance, width, rows):
    places = [row * width + c for row in rows for c in range(width)]
    block = covariance[np.ix_(places, places)]
    return 0.5 * (np.linalg.slogdet(block)[1] + len(places) * math.log(2 * math.pi * math.e))


def slow_greedy(covariance, width, size):
    picked, gains, before = [], [], 0.0
    for _ in range(size):
        rest = [n for n in range(len(covariance) // width) if n not in picked]
        values = [entropy(covariance, width, [*picked, n]) for n in rest]
        picked.append(rest[int(np.argmax(values))])
        gains.append(max(values) - before)
        before = max(values)
    return picked, gains


def test_equals_explicit_shrunk_covariances(select, pool):
    width = pool.shape[2] - 1
    covariance, _ = sklearn_ledoit_wolf(contrasts(pool))
    picks = select(KEY, candidates(pool))
    indices, gains = slow_greedy(covariance, width, B)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.scores, gains, rtol=2e-4, atol=2e-4)


def test_little_shrinkage_is_the_plain_log_determinant():
    pool = spread_out(3, (N, K, 2))
    picks = jax.jit(partial(gaussian_batch(1e-4), batch_size=3))(KEY, candidates(pool))
    indices, gains = slow_greedy(np.cov(contrasts(pool).T, bias=True), 1, 3)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.scores, gains, atol=2e-2)


def test_greedy_batch_is_close_to_the_best(select):
    """Of the information beyond the floor, which is monotone and submodular, at least 1 - 1/e."""
    pool = spread_out(3, (N, K, 2))
    covariance, alpha = sklearn_ledoit_wolf(contrasts(pool))
    floor = alpha * np.trace(np.cov(contrasts(pool).T, bias=True)) / N
    value = lambda rows: entropy(covariance, 1, rows) - B / 2 * math.log(2 * math.pi * math.e * floor)
    best = max(value(list(rows)) for rows in itertools.combinations(range(N), B))
    found = value(select(KEY, candidates(pool)).indices.tolist())
    assert (1 - 1 / math.e) * best <= found <= best + 1e-9


def test_shrinkage_is_that_of_ledoit_and_wolf(pool):
    columns = contrasts(pool)
    centered = (columns - columns.mean(0)).T.reshape(N, -1, K)
    alpha, mean_variance = ledoit_wolf(jnp.asarray(centered, jnp.float32), jnp.asarray(columns.shape[1]))
    _, expected = sklearn_ledoit_wolf(columns)
    assert 0 < expected < 1
    assert float(alpha) == pytest.approx(expected, rel=1e-4)
    assert float(mean_variance) == pytest.approx(columns.var(0).mean(), rel=1e-5)


def test_rows_that_may_not_be_picked_do_not_count(select):
    pool = spread_out(3, (N, K, 2))
    eligible = np.arange(N) % 3 != 0
    indices, gains = slow_greedy(sklearn_ledoit_wolf(contrasts(pool[eligible]))[0], 1, B)
    picks = select(KEY, candidates(pool, eligible))
    assert picks.indices.tolist() == np.flatnonzero(eligible)[indices].tolist()
    np.testing.assert_allclose(picks.scores, gains, rtol=2e-4, atol=2e-4)


def test_a_copy_comes_last(select):
    pool = spread_out(3, (N, K, 2))
    first = int(select(KEY, candidates(pool)).indices[0])
    pool = np.concatenate([pool[first : first + 1], pool[[first]], pool[:first][:3]])
    picks = select(KEY, candidates(pool))
    assert picks.indices.tolist()[0] == 0
    assert 1 not in picks.indices.tolist()[:3]


def test_label_noise_does_not_count(select):
    """A row whose draws agree on a coin toss varies least, though its label is the most uncertain."""
    pool = spread_out(3, (N, K, 2))
    pool[4] = math.log(0.5)
    scores = jax.jit(partial(gaussian_batch(), batch_size=N))(KEY, candidates(pool))
    assert int(scores.indices[-1]) == 4


def test_refuses_a_shrinkage_outside_its_range():
    for value in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"\(0, 1\]"):
            gaussian_batch(value)
