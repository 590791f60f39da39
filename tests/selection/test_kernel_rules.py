"""Batch rules on kernels against enumeration and slow float64 versions written from their definitions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bal.kernels import Factors, centered, conditioned, gradient, linear, nngp, noisy, pool_only, sketch
from bal.kernels.distance import add_center, finite_size, near_origin, nearest_known
from bal.selection import badge, k_center, kmeans_pp, lcmd, max_det, max_diag, transformed
from bal.selection.cover.kmeans_pp import largest_first
from bal.typing import Candidates

KEY = jax.random.key(0)
N, F, B, L = 14, 3, 4, 4
ELIGIBLE = np.arange(N) % 7 != 3
REAL = np.array([1.0, 0.0, 1.0, 0.0])


# One object a selector: a compiled program is kept for each of them.
K_CENTER, LCMD, KMEANS_PP = k_center(), lcmd(), kmeans_pp()
K_CENTER_POOL, LCMD_POOL, KMEANS_PP_POOL = (transformed(rule, pool_only) for rule in (K_CENTER, LCMD, KMEANS_PP))
MAX_DET = max_det(noisy(linear, 0.1))


labeled_by_default = pytest.mark.parametrize("labeled", [True, pytest.param(False, marks=pytest.mark.slow)])


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def candidates(rows, known=None, real=None, eligible=None):
    n = jax.tree.leaves(rows)[0].shape[0]
    eligible = np.ones(n, bool) if eligible is None else eligible
    some = Candidates(rows, np.arange(n, dtype=np.int32), eligible, np.ones(n, np.float32), known, real)
    return jax.device_put(some)


def run(select, some, batch_size=B, key=KEY):
    return jax.jit(select, static_argnums=2)(key, some, batch_size)


def squared(a, b):
    return ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)


# MaxDet


def information(kernel, subset, noise):
    return 0.5 * np.linalg.slogdet(np.eye(len(subset)) + kernel[np.ix_(subset, subset)] / noise[subset][:, None])[1]


def pivoted_cholesky(kernel, noise, eligible, batch_size):
    """Textbook greedy log-determinant: conditional variances from explicit inverses, in float64."""
    picks, gains = [], []
    for _ in range(batch_size):
        best = (-np.inf, None)
        for i in np.flatnonzero(eligible):
            if i not in picks:
                inner = kernel[np.ix_(picks, picks)] + np.diag(noise[picks])
                variance = kernel[i, i] - kernel[i, picks] @ np.linalg.solve(inner, kernel[picks, i])
                gain = 0.5 * np.log1p(max(variance, 0) / noise[i])
                best = max(best, (gain, -i))
        picks.append(-best[1])
        gains.append(best[0])
    return picks, gains


@pytest.mark.parametrize("heteroscedastic", [False, True])
def test_max_det_is_pivoted_cholesky_and_its_gains_sum_to_the_log_determinant(heteroscedastic):
    x = normal(0, N, 6)
    noise = 0.05 + (x[:, 5] ** 2 if heteroscedastic else np.full(N, 0.25))
    kernel = noisy(linear, lambda rows: 0.05 + (rows[:, 5] ** 2 if heteroscedastic else jnp.full(len(rows), 0.25)))
    picks = run(max_det(kernel), candidates(x, eligible=ELIGIBLE), 8)
    gram = x.astype(np.float64) @ x.T
    expected, gains = pivoted_cholesky(gram, noise.astype(np.float64), ELIGIBLE, 8)
    assert picks.indices.tolist() == expected
    np.testing.assert_allclose(picks.scores, gains, rtol=1e-4)
    np.testing.assert_allclose(picks.scores.sum(), information(gram, expected, noise.astype(np.float64)), rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_max_det_is_within_its_guarantee_of_the_best_subset(seed):
    x, noise = normal(seed, 9, 2), np.full(9, 0.1)
    gram = x.astype(np.float64) @ x.T
    best = max(information(gram, list(subset), noise) for subset in itertools.combinations(range(9), 3))
    picks = run(MAX_DET, candidates(x), 3)
    assert (1 - 1 / np.e) * best <= float(picks.scores.sum()) <= best * (1 + 1e-5)


def test_a_copy_gains_what_a_second_noisy_label_is_worth():
    """Correlation 0.999, noise 0.1, unit variance: first gain 1.199, both together 1.527 and not 2 x 1.199."""
    rho = 0.999
    x = np.array([[1.0, 0.0], [rho, np.sqrt(1 - rho**2)]], np.float32)
    picks = run(MAX_DET, candidates(x), 2)
    assert float(picks.scores[0]) == pytest.approx(1.199, abs=1e-3)
    assert float(picks.scores.sum()) == pytest.approx(1.527, abs=1e-3)


def test_without_noise_a_dependent_row_comes_last():
    x = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]], np.float32)
    picks = run(max_det(), candidates(x), 3)
    assert picks.indices.tolist() == [0, 2, 1]
    assert bool(picks.valid.all())
    np.testing.assert_allclose(picks.scores[:2], [np.log(2.0), 0.0], atol=1e-6)
    assert float(picks.scores[2]) == -np.inf


def test_max_det_given_labels_conditions_on_them():
    x, known, noise = normal(0, N, F), normal(1, L, F), np.full(N + 2, 0.2)
    both = np.concatenate([x, known[REAL > 0]]).astype(np.float64)
    prior = both @ both.T
    labeled = prior[N:, N:] + 0.2 * np.eye(2)
    posterior = prior[:N, :N] - prior[:N, N:] @ np.linalg.solve(labeled, prior[N:, :N])
    expected, gains = pivoted_cholesky(posterior, noise[:N], ELIGIBLE, B)
    picks = run(max_det(conditioned(noisy(linear, 0.2))), candidates(x, known, REAL, ELIGIBLE))
    assert picks.indices.tolist() == expected
    np.testing.assert_allclose(picks.scores, gains, rtol=1e-3)


def test_max_diag_ranks_the_diagonal():
    x = normal(0, N, F)
    size = np.where(ELIGIBLE, (x**2).sum(1), -np.inf)
    picks = run(max_diag(), candidates(x, eligible=ELIGIBLE))
    assert picks.indices.tolist() == np.argsort(-size)[:B].tolist()


# k-center


def slow_k_center(x, centers, eligible, batch_size):
    """The farthest row from a growing list of centers, distances as differences in float64."""
    centers, picks = list(centers), []
    for _ in range(batch_size):
        score = (x**2).sum(1) if not centers else squared(x, np.stack(centers)).min(1)
        score = np.where(eligible & ~np.isin(np.arange(len(x)), picks), score, -np.inf)
        picks.append(int(score.argmax()))
        centers.append(x[picks[-1]])
    return picks


@labeled_by_default
def test_k_center_is_the_slow_version(labeled):
    x, known = normal(0, N, F), normal(1, L, F)
    some = candidates(x, known, REAL, ELIGIBLE)
    select = K_CENTER if labeled else K_CENTER_POOL
    expected = slow_k_center(x, known[REAL > 0] if labeled else [], ELIGIBLE, 6)
    assert run(select, some, 6).indices.tolist() == expected
    assert run(transformed(select, centered), some, 6).indices.tolist() == expected


@pytest.mark.parametrize("seed", range(3))
def test_k_center_covers_within_twice_the_best_radius(seed):
    x = normal(seed, 10, 2)
    radius = lambda subset: np.sqrt(squared(x, x[list(subset)]).min(1).max())
    best = min(radius(subset) for subset in itertools.combinations(range(10), 3))
    assert radius(run(K_CENTER, candidates(x), 3).indices.tolist()) <= 2 * best + 1e-6


def test_an_unlabeled_buffer_is_no_center():
    x = normal(0, N, F)
    empty = candidates(x, normal(1, L, F), np.zeros(L, np.float32))
    for select in (K_CENTER, LCMD):
        assert run(select, empty).indices.tolist() == run(select, candidates(x)).indices.tolist()


@pytest.mark.parametrize("kernel", [nngp(1), gradient])
def test_distances_of_any_kernel(kernel):
    """k-center by the kernel alone: the same picks from the explicit matrix ``[n, n]``."""
    x, outer = normal(0, N, F), normal(2, N, 2)
    rows = x if kernel is not gradient else (Factors(outer, x),)
    some = candidates(rows)
    k = jax.jit(kernel)(some)
    gram = np.asarray(jax.jit(lambda k: k.block(k.rows))(k), np.float64)
    values, vectors = np.linalg.eigh(gram)
    features = vectors * np.sqrt(np.maximum(values, 0))
    assert run(k_center(kernel), some).indices.tolist() == slow_k_center(features, [], np.ones(N, bool), B)


# LCMD


def slow_lcmd(x, centers, eligible, batch_size):
    """From the definition: clusters by nearest center, the largest by summed squared distance, its farthest row."""
    centers, picks = list(centers), []
    for _ in range(batch_size):
        free = eligible & ~np.isin(np.arange(len(x)), picks)
        if centers:
            distances = squared(x, np.stack(centers))
            nearest, closest = distances.argmin(1), distances.min(1)
            sizes = [closest[(nearest == c) & free].sum() for c in range(len(centers))]
            score = np.where(nearest == np.argmax(sizes), closest, -np.inf)
        else:
            score = (x**2).sum(1)
        picks.append(int(np.where(free, score, -np.inf).argmax()))
        centers.append(x[picks[-1]])
    return picks


@pytest.mark.parametrize("labeled", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_lcmd_is_the_slow_version(labeled, seed):
    x, known = normal(seed, N, 2), normal(seed + 9, L, 2)
    some = candidates(x, known, REAL, ELIGIBLE)
    select = LCMD if labeled else LCMD_POOL
    expected = slow_lcmd(x, known[REAL > 0] if labeled else [], ELIGIBLE, 6)
    assert run(select, some, 6).indices.tolist() == expected
    rotation = np.linalg.qr(normal(seed + 5, 2, 2))[0]
    turned = some._replace(rows=some.rows @ rotation, known=some.known @ rotation)
    assert run(select, turned, 6).indices.tolist() == expected


@pytest.mark.slow  # both are their slow versions, above
def test_lcmd_differs_from_k_center_where_an_outlier_is_alone():
    """One far row against a crowd whose distances add up."""
    crowd = np.stack([np.linspace(1, 2, 12), np.zeros(12)], 1)
    x = np.concatenate([crowd, [[-3.0, 0.0]]]).astype(np.float32)
    known = np.array([[0.0, 0.0], [-0.5, 0.0]], np.float32)
    some = candidates(x, known, np.ones(2, np.float32))
    assert run(K_CENTER, some, 1).indices.tolist() == [12]
    assert run(LCMD, some, 1).indices.tolist() == [11]


# k-means++ and BADGE


def draw_many(select, some, batch_size, number=4000):
    keys = jax.random.split(jax.random.key(7), number)
    return jax.jit(jax.vmap(lambda key: select(key, some, batch_size)))(keys)


def sequence_probabilities(features, centers, eligible, first):
    """Probability of every ordered pair of picks, from the definition."""
    n, table = len(features), {}
    weights = lambda centers: np.where(eligible, squared(features, np.stack(centers)).min(1), 0.0)
    start = weights(centers) if len(centers) else np.where(eligible, first, 0.0)
    start = start / start.sum()
    for i in np.flatnonzero(start):
        second = weights([*centers, features[i]])
        second = second / second.sum()
        table.update({(i, j): start[i] * second[j] for j in range(n) if second[j] > 0})
    return table


def check_frequencies(pairs, table):
    counts = {pair: 0 for pair in table}
    for pair in map(tuple, np.asarray(pairs).tolist()):
        counts[pair] += 1  # a pair of probability zero is a KeyError
    observed, expected = np.array(list(counts.values())), len(pairs) * np.array(list(table.values()))
    rare = expected < 5
    if rare.any():
        observed = np.append(observed[~rare], observed[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@labeled_by_default
def test_kmeans_pp_draws_by_squared_distance(labeled):
    x, known, eligible = normal(0, 7, 2), normal(1, L, 2), np.arange(7) != 2
    some = candidates(x, known, REAL, eligible)
    select = KMEANS_PP if labeled else KMEANS_PP_POOL
    centers = list(known[REAL > 0]) if labeled else []
    table = sequence_probabilities(x, centers, eligible, np.ones(7))
    picks = draw_many(select, some, 2)
    check_frequencies(picks.indices, table)
    log_q = np.array([np.log(table[tuple(pair)]) for pair in picks.indices[:50].tolist()])
    np.testing.assert_allclose(picks.log_q[:50].sum(1), log_q, rtol=1e-4, atol=1e-4)


GRADIENTS = (Factors(normal(3, 7, 4), normal(4, 7, 3)), Factors(normal(5, 7, 4), normal(6, 7, 3)))
EXPLICIT = np.concatenate([np.einsum("nc,nf->ncf", a, h).reshape(7, -1) for a, h in GRADIENTS], 1)


def test_badge_is_kmeans_pp_on_explicit_gradients():
    """Two members: factored picks by key equal those on ``[n, K * C * F]``, and have the defined frequencies."""
    some = candidates(GRADIENTS, GRADIENTS, np.ones(7, np.float32))
    picks = draw_many(badge, some, 2)
    explicit = draw_many(transformed(kmeans_pp(linear, largest_first), pool_only), candidates(EXPLICIT), 2)
    assert (picks.indices == explicit.indices).mean() > 0.999
    np.testing.assert_allclose(picks.scores[:9], explicit.scores[:9], rtol=1e-4, atol=1e-4)
    size = (EXPLICIT**2).sum(1)
    check_frequencies(picks.indices, sequence_probabilities(EXPLICIT, [], np.ones(7, bool), size == size.max()))
    assert picks.log_q is None


@pytest.mark.slow  # its frequencies are those of k-means++, above
def test_badge_never_draws_a_copy_of_a_pick():
    copies = jax.tree.map(lambda leaf: np.repeat(leaf, 2, 0), GRADIENTS)
    picks = draw_many(badge, candidates(copies), 7, 200)
    assert (np.sort(np.asarray(picks.indices) // 2, 1) == np.arange(7)).all()
    assert bool(picks.valid.all())


@pytest.mark.slow  # posteriors of candidates in the contracts of `transformed`
def test_rules_see_what_transforms_made():
    """A sketch to many features keeps distances, so the far row stays far; each call has its own key."""
    x = normal(0, N, 5) * np.where(np.arange(N) == 6, 30, 1)[:, None]
    select = transformed(k_center(), sketch(400))
    assert int(run(select, candidates(x), 1).indices[0]) == 6
    scores = [float(run(select, candidates(x), 1, jax.random.key(seed)).scores[0]) for seed in (0, 1)]
    assert scores[0] != scores[1]


def test_a_row_midway_belongs_to_the_earlier_center():
    """Labeled rows at -1 and 1, a row at 0; then a center at 3 and a row at 2, midway between it and the one at 1."""
    x, known = np.array([[0.0], [2.0], [3.0]], np.float32), np.array([[-1.0], [1.0]], np.float32)

    @jax.jit
    def centers(some):
        kernel = linear(some)
        view = near_origin(kernel, finite_size(kernel), some.eligible)
        nearest = nearest_known(view)
        return nearest.center, add_center(view.kernel, nearest, jnp.asarray(2)).center

    before, after = centers(candidates(x, known, np.ones(2, np.float32)))
    assert before.tolist() == [0, 1, 1]
    assert after.tolist() == [0, 1, 2]


def test_max_det_sees_what_is_left_at_small_noise():
    """Noise 1e-4: in three directions, eight picks lower the variances to below 1e-3 of the prior's."""
    x, noise = normal(2, N, F).astype(np.float64), np.full(N, 1e-4)
    expected, gains = pivoted_cholesky(x @ x.T, noise, ELIGIBLE, 8)
    with jax.enable_x64(True):
        picks = run(max_det(noisy(linear, 1e-4)), candidates(x, eligible=ELIGIBLE), 8)
        assert picks.indices.tolist() == expected
        np.testing.assert_allclose(picks.scores, gains, rtol=1e-6)
