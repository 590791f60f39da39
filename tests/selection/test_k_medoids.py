"""k-medoids against BUILD and alternation in float64, and against all possible batches."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.selection import k_medoids
from bal.typing import Candidates

KEY = jax.random.key(0)
N = 14


def problem(seed: int, num_labeled: int) -> Candidates:
    rng = np.random.RandomState(seed)
    x, known = rng.randn(N, 2), rng.randn(3, 2)
    weight = (jnp.arange(3) < num_labeled).astype(jnp.float32)
    rows, known = jnp.asarray(x, jnp.float32), jnp.asarray(known, jnp.float32)
    return Candidates(rows, jnp.arange(N), jnp.asarray(rng.rand(N) < 0.8), jnp.ones(N), known, weight)


def distances(some: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of eligible rows, and each one's distance to the nearest labeled row, in float64."""
    x = np.asarray(some.rows, float)[np.asarray(some.eligible)]
    known = np.asarray(some.known, float)[np.asarray(some.known_weight) > 0]
    to_known = np.linalg.norm(x[:, None] - known[None], axis=-1).min(1, initial=np.inf)
    return np.linalg.norm(x[:, None] - x[None], axis=-1), to_known


def cost(away: np.ndarray, to_known: np.ndarray, medoids) -> float:
    return float(np.minimum(away[list(medoids)].min(0), to_known).sum())


def plain_loop(some: Candidates, batch_size: int, num_iterations: int) -> tuple[list[int], float]:
    away, to_known = distances(some)
    medoids: list[int] = []
    for _ in range(batch_size):
        left = [i for i in range(len(away)) if i not in medoids]
        medoids.append(min(left, key=lambda i: cost(away, to_known, [*medoids, i])))
    for _ in range(num_iterations):
        nearest = np.where(away[medoids].min(0) <= to_known, away[medoids].argmin(0), -1)
        nearest[medoids] = np.arange(batch_size)
        groups = [np.flatnonzero(nearest == place) for place in range(batch_size)]
        medoids = [int(group[away[np.ix_(group, group)].sum(1).argmin()]) for group in groups]
    return np.flatnonzero(some.eligible)[medoids].tolist(), cost(away, to_known, medoids)


@pytest.fixture(scope="module")
def selects():
    return {number: jax.jit(k_medoids(number), static_argnums=2) for number in (0, 10)}


@pytest.mark.parametrize("num_iterations", [0, 10])
@pytest.mark.parametrize(("seed", "num_labeled"), [(0, 0), (5, 0), (2, 2), (3, 2), (4, 1)])
def test_is_the_plain_loop(selects, seed, num_labeled, num_iterations):
    some = problem(seed, num_labeled)
    picks = selects[num_iterations](KEY, some, 3)
    indices, final = plain_loop(some, 3, num_iterations)
    assert picks.indices.tolist() == indices
    np.testing.assert_allclose(picks.info["cost"], final, rtol=1e-5)


@pytest.mark.parametrize("num_labeled", [0, 2])
def test_cost_against_all_batches(selects, num_labeled):
    """Never below the best of all batches, within 10 % of it, below nearly all of them, and never above BUILD's."""
    for seed in range(6):
        some = problem(seed, num_labeled)
        away, to_known = distances(some)
        every = np.array([cost(away, to_known, medoids) for medoids in combinations(range(len(away)), 3)])
        build, found = (float(selects[number](KEY, some, 3).info["cost"]) for number in (0, 10))
        assert every.min() - 1e-4 <= found <= build + 1e-4
        assert found <= 1.1 * every.min()
        assert (every < found - 1e-4).mean() < 0.05


def test_scores_add_up_to_the_cost(selects):
    """The labeled cost minus the scores is the final cost."""
    some = problem(2, 2)
    picks = selects[10](KEY, some, 3)
    np.testing.assert_allclose(distances(some)[1].sum() - picks.scores.sum(), picks.info["cost"], rtol=1e-5)
    assert (np.asarray(picks.scores) >= 0).all()


def test_copies_of_one_row_are_distinct_picks(selects):
    some = problem(0, 0)
    some = some._replace(rows=some.rows.at[:].set(some.rows[:1]), eligible=jnp.ones(N, bool))
    assert selects[10](KEY, some, 3).indices.tolist() == [0, 1, 2]


def test_refuses():
    with pytest.raises(ValueError, match="cannot be negative"):
        k_medoids(-1)
