"""Confident coreset against a loop written from its rule, and its two limits."""

import functools
import itertools

import jax
import numpy as np
import pytest

from bal.selection import ScoredFeatures, confident_coreset
from bal.typing import Candidates

KEY = jax.random.key(0)
N, B = 12, 4
RNG = np.random.RandomState(0)
Z, U = RNG.randn(N, 2).astype(np.float32), RNG.rand(N).astype(np.float32)
KNOWN = RNG.randn(3, 2).astype(np.float32)


def candidates(z=Z, u=U, known=None):
    one = np.ones(len(z), np.float32)
    some = Candidates(ScoredFeatures(u, z), np.arange(len(z), dtype=np.int32), one > 0, one)
    if known is not None:
        weight = np.array([1, 1, 0], np.float32)
        some = some._replace(known=ScoredFeatures(0 * weight, known), known_weight=weight)
    return jax.device_put(some)


def run(power, some):
    """One program for each power and shape."""
    return jax.device_get(compiled(power)(KEY, some, B))


compiled = functools.cache(lambda power: jax.jit(confident_coreset(power), static_argnums=2))


def by_definition(z, u, a, centers, size):
    picks, scores = [], []
    for _ in range(size):
        left = [n for n in range(len(z)) if n not in picks]
        places = [*centers, *(z[n] for n in picks)]
        d = np.array([min((np.linalg.norm(z[n] - c) for c in places), default=1.0) for n in left])
        d = np.ones(len(left)) if np.ptp(d) == 0 else (d - d.min()) / np.ptp(d)
        value = d**a * u[left] ** (1 - a)
        picks.append(left[int(np.argmax(value))])
        scores.append(value.max())
    return picks, scores


@pytest.mark.parametrize(
    "power", [0.0, pytest.param(0.3, marks=pytest.mark.slow), 0.5, pytest.param(1.0, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("known", [None, KNOWN])
def test_is_the_rule(power, known):
    got = run(power, candidates(known=known))
    picks, scores = by_definition(Z.astype(float), U.astype(float), power, [] if known is None else KNOWN[:2], B)
    assert got.indices.tolist() == picks
    np.testing.assert_allclose(got.scores, scores, rtol=1e-3, atol=1e-5)


def test_power_one_covers_within_twice_the_best_radius():
    radius = lambda rows: max(min(np.linalg.norm(z - Z[n]) for n in rows) for z in Z)
    picks = run(1.0, candidates()).indices[:3].tolist()
    best = min(radius(rows) for rows in itertools.combinations(range(N), 3))
    assert best <= radius(picks) <= 2 * best


def test_power_zero_is_the_most_uncertain():
    assert run(0.0, candidates()).indices.tolist() == np.argsort(-U)[:B].tolist()


def test_certain_rows_wait_however_far_they_lie():
    """An outlier that the model is sure of comes after every row of positive uncertainty and distance."""
    z, u = np.array([[0.0], [1.0], [2.0], [99.0]]), np.array([0.5, 0.4, 0.3, 0.0])
    picks = run(0.5, candidates(z.astype(np.float32), u.astype(np.float32)))
    assert picks.indices[:2].tolist() == [0, 2]


def test_negative_uncertainty_never_wins_and_is_counted():
    picks = run(0.5, candidates(u=np.where(np.arange(N) < 5, -U, U)))
    assert (picks.indices >= 5).all()
    assert int(picks.info["num_nan"]) == 5 * B  # five rows at each pick


def test_power_is_checked():
    with pytest.raises(ValueError, match="power must lie between"):
        confident_coreset(1.5)


def test_a_row_without_features_never_wins():
    """Nothing labeled, so that all distances are equal: the NaN row is the most uncertain one, and counted."""
    z, u = np.array([[0.0], [np.nan], [1.0], [0.5]], np.float32), np.array([0.1, 0.9, 0.2, 0.1], np.float32)
    picks = run(0.5, candidates(z, u))
    assert picks.indices[0] == 2
    assert picks.valid.tolist() == [True, True, True, False]
    assert int(picks.info["num_nan"]) == B  # at each pick
