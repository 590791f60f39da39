"""Ranked batch mode against a float64 loop written from the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import ScoredFeatures, ranked_batch
from bal.typing import Candidates

KEY = jax.random.key(0)
N = 20


def problem(seed: int, num_labeled: int) -> Candidates:
    rng = np.random.RandomState(seed)
    draw = lambda *shape: jnp.asarray(rng.randn(*shape), jnp.float32)
    rows = ScoredFeatures(jnp.asarray(rng.rand(N), jnp.float32), draw(N, 3))
    known = ScoredFeatures(draw(5), draw(5, 3))
    eligible = jnp.asarray(rng.rand(N) < 0.8)
    weight = (jnp.arange(5) < num_labeled).astype(jnp.float32)
    return Candidates(rows, jnp.arange(N), eligible, jnp.ones(N), known, weight)


def plain_loop(some: Candidates, batch_size: int) -> tuple[list[int], list[float]]:
    x, u = np.asarray(some.rows.features, float), np.asarray(some.rows.scores, float)
    labeled = list(np.asarray(some.known.features, float)[np.asarray(some.known_weight) > 0])
    left, picks, scores = list(np.flatnonzero(some.eligible)), [], []
    for _ in range(batch_size):
        alpha = len(left) / (len(left) + max(len(labeled), 1))
        similarity = [max((1 / (1 + np.linalg.norm(x[i] - z)) for z in labeled), default=0.0) for i in left]
        score = [alpha * (1 - s) + (1 - alpha) * u[i] for i, s in zip(left, similarity)]
        scores.append(max(score))
        picks.append(left.pop(int(np.argmax(score))))
        labeled.append(x[picks[-1]])
    return [int(i) for i in picks], scores


@pytest.fixture(scope="module")
def select():
    return jax.jit(ranked_batch, static_argnums=2)


@pytest.mark.parametrize("num_labeled", [0, 1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_is_the_plain_loop(select, seed, num_labeled):
    some = problem(seed, num_labeled)
    picks = select(KEY, some, 6)
    indices, scores = plain_loop(some, 6)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.scores, scores, rtol=1e-5)
    assert (np.asarray(picks.scores) <= 1).all()


def test_nothing_labeled_begins_with_the_most_uncertain(select):
    some = problem(0, 0)
    first = int(select(KEY, some, 6).indices[0])
    assert first == int(jnp.argmax(jnp.where(some.eligible, some.rows.scores, -1)))


def test_without_a_labeled_buffer(select):
    some = problem(1, 0)
    bare = some._replace(known=None, known_weight=None)
    assert select(KEY, bare, 6).indices.tolist() == select(KEY, some, 6).indices.tolist()
