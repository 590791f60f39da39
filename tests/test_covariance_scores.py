"""What is exact for a Gaussian process with given hyper-parameters, checked in float64 by really conditioning."""

import gpjax
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import lapack

from bal.acquisition import epistemic_variance, gaussian_bald
from bal.kernels import learner_covariance, posterior_covariance
from bal.learners.gp import Chosen, Hyperparameters, gp_regression, process
from bal.loop import run
from bal.pool import chunked, dense, make_pool
from bal.pool.labeled import empty_log
from bal.query import (
    Query,
    Stage,
    Targets,
    about_targets,
    alc_scores,
    embeddings,
    epig_scores,
    posterior_context,
    run_query,
    target_rows,
    targets,
)
from bal.query.covariance import cross_covariance
from bal.selection import best, integrated_variance, max_det, regression_fisher
from bal.selection.variance.bait import bait, sum_fisher
from bal.typing import Candidates, Data, Posterior, Round, Setup, Task

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
L, N, M, NOISE = 5, 9, 4, 0.15
X, Y, X_POOL, X_TARGET = RNG.normal(size=(L, 2)), RNG.normal(size=L), RNG.normal(size=(N, 2)), RNG.normal(size=(M, 2))
WEIGHT = RNG.uniform(0.5, 2, M)
CAPACITY = L + 3


def two_draws(key, initial, previous, objective):
    return Chosen(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 0.7]), initial), jnp.ones(2, bool))


with jax.enable_x64(True):  # parameters too
    LEARNER = gp_regression(process(gpjax.kernels.Matern52(lengthscale=0.9, variance=1.3), NOISE))
    LINEAR = gp_regression(process(gpjax.kernels.Linear(), NOISE))
    MIXTURE = gp_regression(process(gpjax.kernels.RBF(), NOISE), Hyperparameters(2, two_draws))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def padded(x, y):
    empty = CAPACITY - len(x)
    pad = lambda leaf: jnp.asarray(np.concatenate([leaf, np.zeros((empty, *leaf.shape[1:]))]))
    return Data(pad(x), pad(y), pad(np.ones(len(x))))


FITS = {}


def fit(learner, x=X, y=Y):
    data = padded(np.asarray(x), np.asarray(y))
    if learner not in FITS:
        FITS[learner] = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))
    return Posterior(FITS[learner](data), learner)


@pytest.fixture(scope="module")
def posterior():
    with jax.enable_x64(True):
        return fit(LEARNER)


def given_targets(posterior):
    x = jnp.asarray(X_TARGET)
    return Targets(posterior.predict(x), jnp.asarray(WEIGHT), x)


GIVEN = jax.jit(given_targets)


def scores(rows, posterior):
    return jax.jit(rows)(posterior, GIVEN(posterior), jnp.asarray(X_POOL))


PREDICT = jax.jit(lambda posterior, x: posterior.predict(x))
COVARIANCE = jax.jit(lambda posterior, x: cross_covariance(posterior, posterior.embed(x), posterior.embed(x)))
BALD, VARIANCE = jax.jit(gaussian_bald), jax.jit(epistemic_variance)
EVERY = np.vstack([X_POOL, X_TARGET])


def predict(posterior, x):
    """One compilation for all: rows are padded."""
    rows = jnp.asarray(np.resize(x, EVERY.shape))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(x)], PREDICT(posterior, rows))


def covariances(posterior, x):
    rows = jnp.asarray(np.resize(x, EVERY.shape))
    return np.asarray(COVARIANCE(posterior, rows))[: len(x), : len(x)]


def test_alc_is_the_drop_of_mean_variance_after_really_conditioning(posterior):
    variance = lambda posterior: WEIGHT @ np.asarray(predict(posterior, X_TARGET).variance[:, 0])
    before = variance(posterior)
    for label in (-3.0, 11.0):
        after = [variance(fit(LEARNER, np.vstack([X, x]), np.append(Y, label))) for x in X_POOL]
        np.testing.assert_allclose(scores(alc_scores, posterior), (before - after) / WEIGHT.sum(), rtol=1e-8)


def test_epig_is_that_of_two_by_two_determinants_and_at_most_bald(posterior):
    joint = covariances(posterior, EVERY) + NOISE * np.eye(N + M)
    wanted = np.zeros((N, M))
    for n, m in np.ndindex(N, M):
        pair = joint[np.ix_([n, N + m], [n, N + m])]
        wanted[n, m] = 0.5 * (np.log(pair[0, 0] * pair[1, 1]) - np.linalg.slogdet(pair)[1])
    got = np.asarray(scores(epig_scores, posterior))
    np.testing.assert_allclose(got, wanted @ WEIGHT / WEIGHT.sum(), rtol=1e-8)
    assert np.all(got <= BALD(predict(posterior, X_POOL)))


def test_covariances_of_a_fantasy_are_those_of_a_refit(posterior):
    """Conditioning the embedded rows on one more label, by hand, is fitting again with it: Schur's complement."""
    before = covariances(posterior, EVERY)
    to_new = before[:, :1]
    fantasy = before - to_new @ to_new.T / (to_new[0] + NOISE)
    refit = fit(LEARNER, np.vstack([X, X_POOL[:1]]), np.append(Y, 4.0))
    np.testing.assert_allclose(fantasy, covariances(refit, EVERY), atol=1e-10)


def candidates(posterior, context):
    some = posterior.embed(jnp.asarray(X_POOL))
    return Candidates(some, jnp.arange(N, dtype=jnp.int32), jnp.ones(N, bool), jnp.ones(N), context=context)


def select(rule, some, batch_size):
    return jax.jit(rule, static_argnums=2)(KEY, some, batch_size)


def test_greedy_variance_is_pivoted_cholesky(posterior):
    picks = select(max_det(learner_covariance), candidates(posterior, posterior), N)
    _, pivots, rank, _ = lapack.dpstrf(covariances(posterior, X_POOL), lower=1)
    assert rank == N
    assert picks.indices.tolist() == (pivots - 1).tolist()


def test_batch_information_is_a_chain_of_gains_of_refits(posterior):
    picks = select(max_det(posterior_covariance), candidates(posterior, posterior), 3)
    batch = picks.indices.tolist()
    covariance = covariances(posterior, X_POOL[batch])
    whole = 0.5 * np.linalg.slogdet(np.eye(3) + covariance / NOISE)[1]
    assert float(picks.scores.sum()) == pytest.approx(whole, abs=1e-8)
    for place, pick in enumerate(batch):
        now = fit(LEARNER, np.vstack([X, X_POOL[batch[:place]]]), np.append(Y, np.full(place, 5.0)))
        gains = BALD(predict(now, X_POOL))
        assert float(gains[pick]) == pytest.approx(float(picks.scores[place]), abs=1e-8)
        assert pick == int(VARIANCE(predict(now, X_POOL)).argmax())


@pytest.mark.slow
def test_batches_of_alc_are_refits(posterior):
    """One label after another, each chosen by `alc_scores` of the posterior that has the earlier ones."""
    there = GIVEN(posterior)
    context = target_rows(lambda key, round, over: there)(KEY, Round(posterior, None, None, None), dense)
    picks = select(integrated_variance(posterior_covariance), candidates(posterior, context), 3)
    batch = picks.indices.tolist()
    for place, pick in enumerate(batch):
        now = fit(LEARNER, np.vstack([X, X_POOL[batch[:place]]]), np.append(Y, np.full(place, -5.0)))
        gains = np.asarray(scores(alc_scores, now))
        assert gains[pick] == pytest.approx(float(picks.scores[place]), abs=1e-8)
        assert pick == int(np.argmax(np.where(np.isin(np.arange(N), batch[:place]), -np.inf, gains)))


@pytest.mark.slow  # integrated variance does: tests/selection/test_integrated_variance.py
def test_a_linear_kernel_ranks_as_bait():
    """Features h, weights with a standard normal prior: ALC over the pool is BAIT's gain times ``σ² / N``."""
    now = fit(LINEAR)
    pool, one = jnp.asarray(X_POOL), jnp.ones(N)

    @jax.jit
    def alc_and_candidates(now):
        rows, known = regression_fisher(pool, NOISE), regression_fisher(jnp.asarray(X), NOISE)
        some = Candidates(rows, jnp.arange(N, dtype=jnp.int32), one > 0, one, known, jnp.ones(L), sum_fisher(rows, one))
        return alc_scores(now, Targets(now.predict(pool), one, pool), pool), some

    alc, some = alc_and_candidates(now)
    picks = select(bait(prior_precision=1.0, backward=False), some, N)
    assert int(jnp.argmax(alc)) == int(picks.indices[0])
    assert float(alc.max()) == pytest.approx(float(picks.scores[0]) * NOISE / N, abs=1e-8)


def one_draw(posterior, number):
    state = posterior.state
    draws = {name: getattr(state, name) for name in ("params", "whiten", "alpha", "gap", "converged")}
    part = jax.tree.map(lambda leaf: np.asarray(leaf)[number : number + 1], draws)
    return Posterior(state._replace(**part), posterior.learner)


def test_several_draws_have_the_moments_of_the_mixture():
    """ALC from a covariance summed up by hand: the mean of two processes' covariances and that of their means."""
    now = fit(MIXTURE)
    parts = [one_draw(now, number) for number in (0, 1)]
    mean = np.stack([np.asarray(predict(part, EVERY).mean[:, 0]) for part in parts])
    noise = np.mean([np.asarray(predict(part, X_POOL).noise[:, 0]) for part in parts], 0)
    total = np.mean([covariances(part, EVERY) for part in parts], 0) + np.cov(mean.T, bias=True)
    wanted = total[:N, N:] ** 2 @ WEIGHT / WEIGHT.sum() / (total.diagonal()[:N] + noise)
    assert np.ptp(noise) < 1e-12
    np.testing.assert_allclose(scores(alc_scores, now), wanted, rtol=1e-8)


@pytest.mark.slow  # by the covariances of a classifier: tests/test_probit_scores.py; over seeds: tests/test_loop.py
@pytest.mark.parametrize("rows", [alc_scores, epig_scores])
def test_row_wise_in_chunks_in_blocks_and_over_seeds(rows, posterior, monkeypatch):
    there, x = GIVEN(posterior), jnp.asarray(X_POOL)
    whole = scores(rows, posterior)
    in_chunks = jax.jit(lambda posterior, there, x: chunked(4).map(rows, (posterior, there), x))
    np.testing.assert_allclose(in_chunks(posterior, there, x), whole, rtol=1e-12)
    monkeypatch.setattr(about_targets, "JOINT_BYTES", 3 * M * 8)
    in_blocks = jax.jit(lambda posterior, there, x: rows(posterior, there, x))  # traced anew
    np.testing.assert_allclose(in_blocks(posterior, there, x), whole, rtol=1e-12)
    other = fit(LEARNER, X + 0.3)
    both = jax.tree.map(lambda *leaves: np.stack(leaves), posterior, other)
    many = jax.jit(jax.vmap(lambda posterior: rows(posterior, given_targets(posterior), x)))(both)
    np.testing.assert_allclose(many, np.stack([whole, scores(rows, other)]), rtol=1e-10)


@pytest.mark.slow  # nor do covariances after conditioning, above
def test_queries_with_given_hyperparameters_do_not_see_the_labels():
    pool = make_pool(jnp.asarray(X_POOL))
    query = Query((Stage(alc_scores, best, targets(jnp.asarray(X_TARGET))),))
    start = jnp.array([0, 4])
    labels = jnp.asarray(RNG.normal(size=(2, N)))
    one = lambda y: run(KEY, Task(pool, y, start=start), Setup(LEARNER, query, batch_size=1, num_rounds=3))
    a, b = np.asarray(jax.jit(lambda labels: jax.lax.map(lambda y: one(y).indices, labels))(labels))
    assert a.tolist() == b.tolist()
    assert len({*a.ravel().tolist(), 0, 4}) == 5


@pytest.mark.slow  # its batches are refits, above
def test_integrated_variance_as_a_stage(posterior):
    pool = make_pool(jnp.asarray(X_POOL))
    rule = integrated_variance(posterior_covariance)
    query = Query((Stage(embeddings, rule, target_rows(targets(jnp.asarray(X_TARGET), jnp.asarray(WEIGHT)))),))
    round = Round(posterior, pool, empty_log(2, jnp.zeros(N)), None)
    selection, _ = jax.jit(lambda round: run_query(KEY, query, round, 2))(round)
    assert int(selection.indices[0]) == int(jnp.argmax(scores(alc_scores, posterior)))


def test_lowers_for_every_platform(posterior):
    score = jax.jit(lambda x: epig_scores(posterior, given_targets(posterior), x))
    exported = jax.export.export(score, platforms=("cpu", "cuda", "tpu"))(jnp.asarray(X_POOL))
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_stage_with_posterior_context_is_the_same_kernel(posterior):
    context = posterior_context(KEY, Round(posterior, None, None, None), dense)
    kernel = posterior_covariance(candidates(posterior, context))
    np.testing.assert_allclose(jax.jit(kernel.block)(kernel.rows), covariances(posterior, X_POOL), atol=1e-12)
    np.testing.assert_allclose(kernel.noise, NOISE)
