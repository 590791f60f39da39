"""ProbCover against a plain greedy cover, the best cover of all, and a search for the purest radius."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import probcover, purity_radius
from bal.typing import Candidates

KEY = jax.random.key(0)
N, RADIUS = 12, 0.9


def problem(seed: int, n: int = N) -> Candidates:
    rng = np.random.RandomState(seed)
    x, known = rng.randn(n, 2).astype(np.float32), rng.randn(3, 2).astype(np.float32)
    eligible = rng.rand(n) < 0.8
    some = Candidates(x, np.arange(n, dtype=np.int32), eligible, np.ones(n, np.float32), known, np.array([1.0, 0, 0]))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, None if leaf.dtype != float else jnp.float32), some)


@pytest.fixture(scope="module")
def select():
    return jax.jit(probcover(RADIUS), static_argnums=2)


def cover_matrix(some: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Which row covers which, in float64, and which are to be covered."""
    x, known = np.asarray(some.rows, float), np.asarray(some.known, float)[:1]
    within = np.linalg.norm(x[:, None] - x[None], axis=-1) <= RADIUS
    uncovered = np.asarray(some.eligible) & (np.linalg.norm(x - known, axis=-1) > RADIUS)
    return within, uncovered


def plain_greedy(some: Candidates, batch_size: int) -> tuple[list[int], list[int]]:
    within, uncovered = cover_matrix(some)
    left, picks, gains = np.asarray(some.eligible).copy(), [], []
    for _ in range(batch_size):
        gain = np.where(left, (within & uncovered[None]).sum(1), -1)
        picks.append(int(gain.argmax()))
        gains.append(int(gain.max()))
        uncovered &= ~within[picks[-1]]
        left[picks[-1]] = False
    return picks, gains


@pytest.mark.parametrize("seed", range(6))
def test_is_the_plain_greedy_cover(select, seed):
    some = problem(seed)
    picks = select(KEY, some, 4)
    assert (picks.indices.tolist(), picks.scores.tolist()) == plain_greedy(some, 4)


@pytest.mark.parametrize("seed", range(6))
def test_within_a_factor_of_the_best_cover(select, seed):
    some = problem(seed)
    within, uncovered = cover_matrix(some)
    covered = lambda rows: (within[list(rows)].any(0) & uncovered).sum()
    best = max(covered(rows) for rows in combinations(np.flatnonzero(some.eligible), 4))
    picks = select(KEY, some, 4)
    assert covered(picks.indices.tolist()) >= (1 - 1 / np.e) * best
    assert picks.scores.sum() == covered(picks.indices.tolist())


def test_blocks_of_newly_covered_rows(monkeypatch):
    """More newly covered rows than fit a block, and a block that does not divide them."""
    some = problem(3, 64)
    monkeypatch.setattr("bal.selection.cover.distances._BLOCK_ENTRIES", 5 * 64)
    select = lambda key, candidates, batch_size: probcover(RADIUS)(key, candidates, batch_size)  # its own compilation
    picks = jax.jit(select, static_argnums=2)(KEY, some, 6)
    assert (picks.indices.tolist(), picks.scores.tolist()) == plain_greedy(some, 6)


def test_traced_radius():
    some = problem(0)
    picks = jax.jit(lambda radius: probcover(radius)(KEY, some, 4))(jnp.float32(RADIUS))
    assert (picks.indices.tolist(), picks.scores.tolist()) == plain_greedy(some, 4)


@pytest.mark.parametrize("purity", [0.6, 0.95, 1.0])
def test_purity_radius(purity):
    """The share of pure balls reaches the purity at the radius found, and no longer at the next larger distance."""
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 40)
    x = (rng.randn(40, 2) + 2 * labels[:, None]).astype(np.float32)
    radius = float(jax.jit(purity_radius, static_argnums=2)(jnp.asarray(x), jnp.asarray(labels), purity))
    away = np.linalg.norm(x[:, None].astype(float) - x[None], axis=-1)
    pure = lambda r: np.mean([(labels[away[i] <= r] == labels[i]).all() for i in range(40)])
    assert pure(radius * (1 - 1e-5)) >= purity > pure(radius * (1 + 1e-5))


def test_purity_radius_of_one_label_is_finite():
    assert np.isfinite(jax.jit(purity_radius)(jnp.arange(3.0)[:, None], jnp.zeros(3, int)))


def test_refuses():
    with pytest.raises(ValueError, match="radius must be positive"):
        probcover(0.0)
    with pytest.raises(ValueError, match="share of the rows"):
        purity_radius(jnp.ones((2, 1)), jnp.zeros(2, int), 1.5)
