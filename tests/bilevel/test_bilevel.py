"""Bilevel coresets against SciPy's optimum, finite differences, brute force and numpy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, TASK, X, Y
from scipy import optimize, special

from bal.bilevel import Targeted, bilevel, nystrom, ridge_coreset, softmax_coreset, weighted_coreset
from bal.bilevel.softmax import fitted, gains, influence, outer_loss
from bal.bilevel.strategy import with_answers
from bal.kernels import linear, ntk, rbf
from bal.learners.heads.mode import Rows
from bal.loop import run
from bal.pool import dense
from bal.pool.labeled import answer, empty_log
from bal.selection import select
from bal.typing import Candidates, Posterior, Round, Setup

KEY = jax.random.key(0)
RNG = np.random.default_rng(1)
PHI, OUTER = RNG.normal(size=(7, 3)), RNG.normal(size=(12, 3))
SOFT, TARGETS = (special.softmax(2 * RNG.normal(size=(n, 3)), 1) for n in (7, 12))
WEIGHT = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 0.0, 0.0])
RIDGE = 0.1


def cross_entropy(theta, phi, targets, weight):
    return -weight @ (targets * special.log_softmax(phi @ theta, 1)).sum(1)


def inner(weight):
    """``θ(w)`` by SciPy, and Newton's last steps with the whole Hessian: differences need all digits."""

    def both(flat):
        theta = flat.reshape(3, 3)
        slope = PHI.T @ (weight[:, None] * (special.softmax(PHI @ theta, 1) - SOFT)) + RIDGE * theta
        return cross_entropy(theta, PHI, SOFT, weight) + RIDGE / 2 * (theta**2).sum(), slope.ravel()

    found = optimize.minimize(both, np.zeros(9), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-12})
    flat = found.x
    for _ in range(4):
        p = special.softmax(PHI @ flat.reshape(3, 3), 1)
        curve = np.einsum("n,nc,cd->ncd", weight, p, np.eye(3)) - np.einsum("n,nc,nd->ncd", weight, p, p)
        hessian = np.einsum("ncd,nf,ng->fcgd", curve, PHI, PHI).reshape(9, 9) + RIDGE * np.eye(9)
        flat = flat - np.linalg.solve(hessian, both(flat)[1])
    return flat.reshape(3, 3)


def outer(weight):
    return cross_entropy(inner(weight), OUTER, TARGETS, np.full(12, 1 / 12))


@pytest.fixture(scope="module")
def solved():
    """The optimum, the loss of the pool and its slope in all weights, of which three are 0."""
    with jax.enable_x64(True):

        def solve(phi, y, weight, pool, targets):
            rows, others = Rows(phi, y, weight), Rows(pool, targets, jnp.full(12, 1 / 12))
            mode = fitted(rows, RIDGE, jnp.zeros((3, 3)))
            slope = -gains(Targeted(phi, y), mode, influence(rows, mode, others))
            return mode.weights, outer_loss(mode, others), slope

        found = jax.jit(solve)(*map(jnp.asarray, (PHI, SOFT, WEIGHT, OUTER, TARGETS)))
        return [np.asarray(leaf) for leaf in found]


def test_the_inner_problem_is_solved(solved):
    np.testing.assert_allclose(solved[0], inner(WEIGHT), atol=1e-6)
    np.testing.assert_allclose(solved[1], outer(WEIGHT), rtol=1e-6)


def test_implicit_gradients_are_finite_differences(solved):
    """Also for rows of weight 0, whose slope says what adding them would do."""
    step = 1e-4
    ahead, behind, further = (
        np.array([outer(WEIGHT + by * one) for one in np.eye(7)]) for by in (step, -step, 2 * step)
    )
    one_sided = (4 * ahead - 3 * outer(WEIGHT) - further) / (2 * step)
    wanted = np.where(WEIGHT > 0, (ahead - behind) / (2 * step), one_sided)
    assert np.abs(wanted).min() > 1e-4
    np.testing.assert_allclose(solved[2], wanted, atol=1e-5)


CLUSTERS = np.concatenate([RNG.normal(size=(8, 2)) * 0.2 + center for center in ((2.0, 0.0), (-2.0, 0.5))])
CLASS = np.repeat(np.eye(2), 8, 0)


SEVENTEEN = Targeted(np.concatenate([CLUSTERS, [[0.3, 4.0]]]), np.concatenate([CLASS, [[0.0, 1.0]]]))
PICK = jax.jit(softmax_coreset(1e-3), static_argnums=2)  # one program for the tests below


def picked(rows, told, eligible):
    """All that may be picked, in order, from 17 rows; the clusters are `known` as far as they were told."""
    single = lambda tree: jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf, np.float32)), tree)
    index, able = np.arange(17, dtype=np.int32), np.isin(np.arange(17), eligible)
    known = Targeted(CLUSTERS, CLASS)
    some = Candidates(*map(jax.device_put, (rows, index, able, np.ones(17, np.float32), known, 1.0 * told)))
    some = some._replace(rows=single(rows), known=single(known), known_weight=single(told))
    return jax.tree.map(np.asarray, PICK(KEY, some, 17))


def test_two_clusters_share_the_first_two_picks():
    found = picked(SEVENTEEN, np.zeros(16), np.arange(16))
    assert sorted(found.indices[:2] // 8) == [0, 1]
    assert (found.scores[:2] > 0).all()


def test_a_row_that_is_told_what_it_says_scores_nothing():
    """Copies of rows that were trained on, beside one that is new."""
    fresh, copies = (picked(SEVENTEEN, told, np.arange(17)) for told in (np.zeros(16), np.ones(16)))
    assert copies.indices[0] == 16  # what is new
    assert np.abs(copies.scores[1:]).max() < 1e-3 * fresh.scores[0]
    assert copies.scores[0] > 10 * np.abs(copies.scores[1:]).max()


def test_what_is_not_finite_is_not_picked_and_spoils_nothing():
    some = np.array([0, 2, 4, 9, 11, 16])
    wanted = picked(SEVENTEEN, np.arange(16) < 2, some[some != 4])
    x = np.array(SEVENTEEN.features)
    x[4] = np.nan
    found = picked(SEVENTEEN._replace(features=x), np.arange(16) < 2, some)
    np.testing.assert_array_equal(found.indices[:5], wanted.indices[:5])
    np.testing.assert_allclose(found.scores[:5], wanted.scores[:5], rtol=1e-3, atol=1e-5)
    assert found.valid.sum() == 5
    rows = ridge_coreset(RIDGE)
    found = select(Targeted(x, CLASS[[*range(16), 0]]), None, rows, 2)
    assert 4 not in found.indices
    assert np.isfinite(found.scores).all()


def regression(phi, y, weight):
    both = np.concatenate([phi, np.ones((len(phi), 1))], 1)
    return np.linalg.solve(
        both.T @ (weight[:, None] * both) + RIDGE * np.eye(both.shape[1]), both.T @ (weight[:, None] * y)
    )


def test_ridge_is_brute_force_pick_by_pick():
    """Every row tried by training anew; the second pick, after the first was kept; one row may not be picked."""
    x, y, known = OUTER, OUTER @ RNG.normal(size=(3, 2)) + np.sin(3 * OUTER[:, :2]), Targeted(PHI[:2], SOFT[:2, :2])
    able = np.arange(12) != 4
    found = select(Targeted(x, y), known, ridge_coreset(RIDGE), 3, eligible=able)
    ones = np.concatenate([x, np.ones((12, 1))], 1)[able]

    def error(rows):
        phi, target = np.concatenate([known.features, x[rows]]), np.concatenate([known.targets, y[rows]])
        return ((y[able] - ones @ regression(phi, target, np.ones(len(phi)))) ** 2).sum(1).mean()

    taken = []
    for pick, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True):
        falls = {n: error(taken) - error([*taken, n]) for n in range(12) if able[n] and n not in taken}
        assert pick == max(falls, key=falls.get)
        np.testing.assert_allclose(score, falls[pick], rtol=1e-5)
        taken.append(pick)


@pytest.mark.slow
def test_weights_lower_the_loss_of_all_rows():
    """Three rows of 16, in proportions of 13 to 3: weights that were moved do better than ones, by SciPy's optimum."""
    x = np.concatenate([CLUSTERS[:8], CLUSTERS[:5] * 0.9, CLUSTERS[8:11] * [0.1, 1.0]])
    y = np.eye(2)[np.arange(16) % 4 // 3]
    found, plain = (weighted_coreset(x, y, 3, ridge=RIDGE, num_steps=steps, rate=0.2) for steps in (30, 0))
    np.testing.assert_array_equal(plain.weight, np.ones(3))
    assert found.loss < plain.loss - 0.01
    assert found.weight.min() >= 0
    ones = np.concatenate([x, np.ones((16, 1))], 1)
    rows, weight = np.asarray(found.indices), np.asarray(found.weight, float)

    def loss(flat):
        theta = flat.reshape(3, 2)
        return cross_entropy(theta, ones[rows], y[rows], weight) + RIDGE / 2 * (theta**2).sum()

    theta = optimize.minimize(loss, np.zeros(6), options={"gtol": 1e-8}).x.reshape(3, 2)
    np.testing.assert_allclose(found.loss, cross_entropy(theta, ones, y, np.full(16, 1 / 16)), rtol=1e-3)


@pytest.mark.parametrize("length", [0.7, 2.0])
def test_an_rbf_kernel_is_kernel_ridge_regression_by_brute_force(length):
    """All rows are landmarks, so features are the kernel: picks are those of the dual problem, trained anew."""
    x, y = OUTER.astype(np.float32), np.sin(3 * OUTER[:, :1])
    squared = np.square(OUTER[:, None] - OUTER[None]).sum(-1)
    gram = np.exp(-squared / (2 * length**2)) + 1  # the bias
    z = np.asarray(nystrom(x, 12, rbf(length))(x), float)
    np.testing.assert_allclose(z @ z.T + 1, gram, atol=1e-4)
    found = select(Targeted(z, y), Targeted(z[:1], y[:1]), ridge_coreset(RIDGE), 3, eligible=np.arange(12) > 0)

    def error(rows):
        said = gram[:, rows] @ np.linalg.solve(gram[np.ix_(rows, rows)] + RIDGE * np.eye(len(rows)), y[rows])
        return np.square(y - said)[1:].mean()

    taken = [0]
    for pick, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True):
        falls = {n: error(taken) - error([*taken, n]) for n in range(12) if n not in taken}
        assert pick == max(falls, key=falls.get)
        np.testing.assert_allclose(score, falls[pick], rtol=1e-3)
        taken.append(pick)


def test_nystrom_features_are_the_kernel_at_landmarks_and_less_elsewhere():
    kernel = ntk(1, bias_variance=0.1)
    x = OUTER.astype(np.float32)
    every = lambda x: kernel(Candidates(x, jnp.arange(12), jnp.ones(12) > 0, jnp.ones(12)))
    wanted = jax.jit(lambda x: every(x).block(every(x).rows))(x)
    z = np.asarray(nystrom(x, 5, kernel)(x), float)
    rest = np.asarray(wanted, float) - z @ z.T
    assert np.linalg.eigvalsh(rest).min() > -1e-4
    assert (np.abs(rest).max(1) < 1e-4).sum() == 5  # the landmarks
    assert rest.diagonal().max() > 0.1


def test_landmarks_alike_and_spoiled_ones_are_left_out():
    x = np.concatenate([OUTER[:4], OUTER[:4], [[np.nan] * 3]]).astype(np.float32)
    z = np.asarray(nystrom(x, 9, linear)(x[:8]), float)
    assert np.isfinite(z).all()
    np.testing.assert_allclose(z @ z.T, x[:8] @ x[:8].T, atol=1e-4)


TRUE = CENTERS._replace(predict=lambda state, x: jnp.log(0.98 * jax.nn.one_hot(own(x), 3) + 0.02 / 3)[:, None])


def own(x):
    return jnp.argmin(jnp.square(x[:, None, 0] - X[None, :, 0]), 1) * 7 % CLASSES


@pytest.mark.slow
def test_the_query_runs_compiled_and_picks_no_row_twice():
    log = jax.jit(run, static_argnums=2)(KEY, TASK, Setup(TRUE, bilevel(num_landmarks=10), 3, 2, 2))
    assert len({*np.asarray(log.start).tolist(), *np.asarray(log.indices).ravel().tolist()}) == 8
    assert log.valid.all()


def test_labels_take_the_place_of_what_the_posterior_says():
    rows, other = jnp.array([5, 1, 7, 9]), (Y[jnp.array([5, 1, 7, 9])] + 1) % CLASSES
    log = jax.jit(answer)(empty_log(4, Y[:1]), rows, rows > 5, other, jnp.ones(4), 0)
    stage = bilevel(num_landmarks=10).stages[0]
    round = Round(Posterior(TRUE.init(KEY, None), TRUE), TASK.pool, log, None)

    def seen(round):
        told = stage.context(KEY, round, dense)
        make = lambda x: stage.rows(round.posterior, told, x)
        some = Candidates(make(round.pool.x), None, None, None, make(round.pool.x[round.labeled.indices]), None, told)
        return some.rows, with_answers(KEY, some).known.targets

    found, targets = jax.jit(seen)(round)
    assert found.features.shape == (40, 10)
    np.testing.assert_array_equal(
        np.asarray(targets)[2:], np.eye(3)[np.asarray(other)[2:]]
    )  # the first two are padding
    said = 0.98 * np.eye(3)[np.asarray(Y)] + 0.02 / 3
    np.testing.assert_allclose(found.targets, said, rtol=1e-5)


def test_settings_and_kinds_are_refused():
    for make in (softmax_coreset, ridge_coreset):
        with pytest.raises(ValueError, match="ridge must be positive"):
            make(0.0)
    with pytest.raises(ValueError, match="num_landmarks must be at least 1"):
        bilevel(num_landmarks=0)
    with pytest.raises(ValueError, match="works on Targeted"):
        select(CLUSTERS, None, softmax_coreset(), 1)
    with pytest.raises(ValueError, match="of which 1 or more are kept"):
        weighted_coreset(CLUSTERS, CLASS, 17)
