"""Krause's criterion against enumeration and log-determinants from scratch, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.kernels import conditioned, linear, noisy
from bal.selection import mutual_information
from bal.typing import Candidates

KEY = jax.random.key(0)
N, B, NOISE = 10, 3, 0.05
SELECT = jax.jit(mutual_information(noisy(linear, NOISE)), static_argnums=2)


def rbf_features(x, lengthscale=0.3):
    """Features whose inner products are an RBF kernel."""
    gram = np.exp(-0.5 * (x[:, None] - x[None]) ** 2 / lengthscale**2)
    values, vectors = np.linalg.eigh(gram)
    return vectors * np.sqrt(np.maximum(values, 0))


def candidates(rows, eligible=None, known=None, weight=None):
    n = len(rows)
    eligible = jnp.ones(n, bool) if eligible is None else jnp.asarray(eligible)
    known = None if known is None else jnp.asarray(known, jnp.float32)
    some = Candidates(jnp.asarray(rows, jnp.float32), jnp.arange(n), eligible, jnp.ones(n), known)
    return some._replace(known_weight=None if weight is None else jnp.asarray(weight, jnp.float32))


def log_det(covariance, rows):
    return np.linalg.slogdet(covariance[np.ix_(rows, rows)])[1] if len(rows) else 0.0


def information(covariance, batch, world):
    """``I(y_batch; y_rest)``."""
    rest = [n for n in world if n not in batch]
    return 0.5 * (log_det(covariance, list(batch)) + log_det(covariance, rest) - log_det(covariance, world))


def label_covariance(rows):
    return rows @ rows.T + NOISE * np.eye(len(rows))


@pytest.mark.parametrize("seed", range(3))
def test_gains_are_differences_of_information_and_the_picks_greedy(seed):
    rows = rbf_features(np.random.default_rng(seed).uniform(size=N))
    covariance, world = label_covariance(rows), list(range(N))
    picks = SELECT(KEY, candidates(rows), B)
    chosen = []
    for pick, gain in zip(picks.indices.tolist(), picks.scores.tolist()):
        before = information(covariance, chosen, world)
        gains = {n: information(covariance, [*chosen, n], world) - before for n in world if n not in chosen}
        assert gain == pytest.approx(gains[pick], rel=1e-4)
        assert gains[pick] >= max(gains.values()) - 1e-5
        chosen.append(pick)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_near_the_best_batch(seed):
    rows = rbf_features(np.random.default_rng(seed).uniform(size=N))
    covariance, world = label_covariance(rows), list(range(N))
    picks = SELECT(KEY, candidates(rows), B)
    best = max(information(covariance, batch, world) for batch in itertools.combinations(world, B))
    assert float(picks.scores.sum()) >= (1 - np.exp(-1)) * best
    assert float(picks.scores.sum()) <= best + 1e-5


def test_gains_have_the_accuracy_of_float64():
    rows = rbf_features(np.random.default_rng(3).uniform(size=N))
    covariance = label_covariance(rows)
    with jax.enable_x64(True):
        some = candidates(rows)._replace(rows=jnp.asarray(rows))
        picks = jax.jit(mutual_information(noisy(linear, NOISE)), static_argnums=2)(KEY, some, B)
        got = float(picks.scores.sum())
    assert got == pytest.approx(information(covariance, picks.indices.tolist(), list(range(N))), abs=1e-8)


def test_rows_that_may_not_be_picked_are_no_part_of_the_rest():
    rows = rbf_features(np.random.default_rng(4).uniform(size=N))
    eligible = np.arange(N) % 3 != 0
    world = np.flatnonzero(eligible).tolist()
    picks = SELECT(KEY, candidates(rows, eligible), B)
    assert eligible[np.asarray(picks.indices)].all()
    whole = information(label_covariance(rows), picks.indices.tolist(), world)
    assert float(picks.scores.sum()) == pytest.approx(whole, rel=1e-4)


def test_given_labels_through_the_kernel():
    """With a posterior kernel the information is that given the labels: of a covariance conditioned by hand."""
    rows = rbf_features(np.random.default_rng(5).uniform(size=N + 2))
    pool, known = rows[:N], rows[N:]
    cross = pool @ known.T
    given = cross @ np.linalg.solve(label_covariance(known), cross.T)
    rule = jax.jit(mutual_information(conditioned(noisy(linear, NOISE))), static_argnums=2)
    picks = rule(KEY, candidates(pool, known=np.concatenate([known, known]), weight=[1.0, 1.0, 0.0, 0.0]), B)
    whole = information(label_covariance(pool) - given, picks.indices.tolist(), list(range(N)))
    assert float(picks.scores.sum()) == pytest.approx(whole, rel=1e-3)


def test_prefers_the_middle_where_variance_prefers_the_border():
    x = np.linspace(0, 1, 9)
    rows = rbf_features(x, lengthscale=0.4)
    first = int(SELECT(KEY, candidates(rows), 1).indices[0])
    assert first == 4
    after_first = label_covariance(rows)
    after_first = after_first - np.outer(after_first[4], after_first[4]) / after_first[4, 4]
    assert int(np.argmax(np.delete(after_first.diagonal(), 4))) in (0, 7)  # the border


def test_several_seeds_at_once():
    rows = jnp.stack([candidates(rbf_features(np.random.default_rng(s).uniform(size=N))).rows for s in range(2)])
    some = candidates(rows[0])
    both = jax.vmap(lambda row: SELECT(KEY, some._replace(rows=row), B).indices)(rows)
    assert both.tolist() == [SELECT(KEY, some._replace(rows=row), B).indices.tolist() for row in rows]
