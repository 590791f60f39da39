"""Information about functionals against the variance that conditioning leaves, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal import acquisition
from bal.learners.heads import bayesian_linear
from bal.loop import run
from bal.pool import dense, make_pool
from bal.query import functional_scores, functional_targets, targets
from bal.query.covariance import cross_covariance
from bal.strategies import bald, epig
from bal.strategies import functional_epig as functional_query
from bal.typing import Gaussian, Learner, Posterior, Round, Setup, Task

N, M, K = 12, 5, 7
FUNCTIONAL = np.array([[1, -1, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2], [0, 0, 0, 0, 1], [0, 3, -2, 0, 1]], np.float32)
NOISE, WEIGHT = np.array([0.1, 0.0, 2.0, 0.5], np.float32), np.array([1.0, 3.0, 0.0, 2.0], np.float32)
functional_epig = jax.jit(acquisition.functional_epig)
by_draws = jax.jit(acquisition.gaussian_functional_epig)
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(N + M, 4)).astype(np.float32)
LABEL_NOISE = RNG.uniform(0.1, 2.0, N).astype(np.float32)


def by_conditioning(joint, noise, functional, functional_noise, weight):
    """½ log of the variance of T over what a label leaves of it, each label conditioned on in turn."""
    joint, functional = np.asarray(joint, np.float64), np.asarray(functional, np.float64)
    n = len(joint) - functional.shape[1]
    variance = lambda there: np.einsum("qm,ml,ql->q", functional, there, functional) + functional_noise
    found = np.zeros(n)
    for row in range(n):
        gain = joint[:, row] / (joint[row, row] + noise[row])
        after = joint - np.outer(gain, joint[row])
        found[row] = np.average(0.5 * np.log(variance(joint[n:, n:]) / variance(after[n:, n:])), weights=weight)
    return found


def test_closed_form():
    joint = ROOT @ ROOT.T
    parts = joint[:N, N:], joint.diagonal()[:N], LABEL_NOISE, joint[N:, N:]
    expected = by_conditioning(joint, LABEL_NOISE, FUNCTIONAL, NOISE, WEIGHT)
    np.testing.assert_allclose(functional_epig(*parts, FUNCTIONAL, NOISE, WEIGHT), expected, rtol=1e-4)
    assert (expected <= 0.5 * np.log1p(joint.diagonal()[:N] / LABEL_NOISE)).all()


def test_by_draws():
    f = RNG.normal(size=(N + M, K)).astype(np.float32)
    variance = RNG.uniform(0, 0.3, (N + M, K)).astype(np.float32)
    joint = np.cov(f, bias=True) + np.diag(variance.mean(1))
    noise = np.tile(LABEL_NOISE[:, None], (1, K))
    rows, there = Gaussian(f[:N], variance[:N], noise), Gaussian(f[N:], variance[N:], 0 * variance[N:])
    expected = by_conditioning(joint, LABEL_NOISE, FUNCTIONAL, NOISE, WEIGHT)
    np.testing.assert_allclose(by_draws(rows, there, FUNCTIONAL, NOISE, WEIGHT), expected, rtol=1e-4)


def test_evaluations_are_epig():
    joint, there = ROOT @ ROOT.T, LABEL_NOISE[:M]
    rows = joint[:N, N:], joint.diagonal()[:N], LABEL_NOISE
    epig = jax.jit(acquisition.covariance_epig)(*rows, joint.diagonal()[N:], there)
    np.testing.assert_allclose(functional_epig(*rows, joint[N:, N:], jnp.eye(M), there), epig, rtol=1e-5)
    mean = ROOT[:, :3]
    draws = Gaussian(mean, 0.1 + 0 * mean, 0.2 + 0 * mean)
    rows, away = (jax.tree.map(lambda leaf, part=part: leaf[part], draws) for part in (slice(N), slice(N, None)))
    epig = jax.jit(acquisition.gaussian_epig)(rows, away)
    np.testing.assert_allclose(by_draws(rows, away, jnp.eye(M), away.noise.mean(1)), epig, rtol=1e-5)


def test_what_is_known_tells_nothing():
    """A difference of equal rows, and no functional at all: 0, not 0 / 0."""
    root = ROOT.copy()
    root[N + 1] = root[N]
    joint = root @ root.T
    functional = np.array([[1, -1, 0, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    assert not np.any(functional_epig(joint[:N, N:], joint.diagonal()[:N], LABEL_NOISE, joint[N:, N:], functional))


def test_a_stage_about_a_difference():
    """Of a linear function of known prior: its covariance is ``x · x'``, its noise 0.5."""
    embed = lambda state, x: Gaussian(x, x, jnp.full((len(x), 1), 0.5))
    predict = lambda state, x: Gaussian(x[:, :1], jnp.sum(x**2, 1, keepdims=True), jnp.full((len(x), 1), 0.5))
    learner = Learner(None, None, predict, embed, lambda state, a, b: a.mean @ b.mean)
    posterior = Posterior(jnp.zeros(()), learner)
    context = functional_targets([[1.0, -1.0]], targets(ROOT[-2:]))
    round = Round(posterior, make_pool(ROOT), None, None)
    scored = jax.jit(lambda x: functional_scores(posterior, context(jax.random.key(0), round, dense), x))
    joint = np.asarray(ROOT @ ROOT.T, np.float64)[np.r_[:N, -2:0]][:, np.r_[:N, -2:0]]
    expected = by_conditioning(joint, np.full(N, 0.5), [[1.0, -1.0]], 0.0, [1.0])
    np.testing.assert_allclose(scored(ROOT[:N]), expected, rtol=1e-4)


def test_wrong_functionals_are_named():
    with pytest.raises(ValueError, match=r"functionals \[functionals, targets\], got shape \(2,\)"):
        functional_targets([1.0, -1.0], targets(ROOT[-2:]))
    context = functional_targets([[1.0, -1.0, 0.0]], targets(ROOT[-2:]))
    learner = Learner(None, None, lambda state, x: Gaussian(x, x, x))
    round = Round(Posterior(None, learner), make_pool(ROOT), None, None)
    with pytest.raises(ValueError, match=r"a weight for each of the 2 targets, got shape \(1, 3\)"):
        context(jax.random.key(0), round, dense)
    with pytest.raises(ValueError, match="needs functionals as its context, got NoneType; write Stage"):
        functional_scores(round.posterior, None, ROOT)


@pytest.mark.slow
def test_effects_of_a_treatment_are_known_sooner():
    """A linear function of units and treatment; effects of 12 units are asked for, treated units are rare in the pool.

    Mean variance of the effects after 8 labels, which does not depend on the labels; over 80 pools.
    """
    rng = np.random.default_rng(0)
    unit = lambda *shape: rng.normal(size=(*shape, 4)).astype(np.float32)
    with_treatment = lambda u, t: np.concatenate([u, np.ones_like(t), t * u, t], -1)
    treated = (rng.random((80, 60, 1)) < 0.15).astype(np.float32)
    pool, asked = with_treatment(unit(80, 60), treated), unit(12)
    there = np.concatenate([with_treatment(asked, np.full((12, 1), t, np.float32)) for t in (1.0, 0.0)])
    effect = np.hstack([np.eye(12), -np.eye(12)]).astype(np.float32)
    learner = bayesian_linear(noise=1.0, prior=1.0)

    def remaining(posterior, x):
        rows = posterior.embed(x)
        return {"variance": jnp.mean(jnp.diagonal(effect @ cross_covariance(posterior, rows, rows) @ effect.T))}

    def after(query):
        setup = Setup(learner, query, 1, 8, 0, evaluate=remaining)
        task = lambda x: Task(make_pool(x), jnp.zeros(60), there)
        runs = jax.jit(jax.vmap(lambda key, x: run(key, task(x), setup).metrics["variance"][-1]))
        return np.asarray(runs(jax.random.split(jax.random.key(0), 80), pool))

    by_effect, by_value, by_model = map(after, (functional_query(there, effect), epig(there), bald()))
    for other in (by_value, by_model):
        gain = 1 - by_effect / other
        assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(80), gain
