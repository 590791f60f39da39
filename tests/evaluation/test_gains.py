"""Information that is predicted comes true in conjugate models whose data come from their priors."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import betaln, digamma
from scipy import stats

from bal.evaluation import gains, regression, remaining_entropy
from bal.learners.heads import bayesian_linear
from bal.loop import run
from bal.pool import make_pool
from bal.query import Query, Stage
from bal.selection import best
from bal.strategies import epig
from bal.typing import Gaussian, Learner, Setup, Task

SEEDS, ARMS, PRIOR = 300, 5, (1.0, 2.0)


def count(key, state, data):
    """Successes and failures of each arm, on top of the prior."""
    arm = jax.nn.one_hot(data.x[:, 0], ARMS) * data.weight[:, None]
    return jnp.stack([PRIOR[0] + data.y @ arm, PRIOR[1] + (1.0 - data.y) @ arm])


def information(posterior, context, x):
    """``h(E p) - E h(p)`` of a Bernoulli whose p is Beta."""
    a, b = posterior.state[:, x[:, 0]]
    total = a + b
    entropy = -(a * jnp.log(a / total) + b * jnp.log(b / total)) / total
    expected = (a * (digamma(total + 1) - digamma(a + 1)) + b * (digamma(total + 1) - digamma(b + 1))) / total
    return entropy - expected


def entropy_of_the_posterior(posterior, test):
    a, b = posterior.state
    total = a + b
    return {
        "entropy": jnp.sum(betaln(a, b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (total - 2) * digamma(total))
    }


def logs(tasks, setup, axes):
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return jax.jit(jax.vmap(lambda key, task: run(key, task, setup), in_axes=(0, axes)))(keys, tasks)


def test_bald_is_the_drop_of_the_posteriors_entropy():
    rng = np.random.default_rng(0)
    arms = np.repeat(np.arange(ARMS), 4)[:, None]
    y = (rng.random((SEEDS, len(arms))) < rng.beta(*PRIOR, (SEEDS, ARMS))[:, arms[:, 0]]).astype(np.float32)
    learner = Learner(lambda key, data: jnp.ones((2, ARMS)), count, lambda state, x: jnp.zeros((len(x), 1, 2)))
    setup = Setup(learner, Query((Stage(information, best),)), 1, 8, 0, evaluate=entropy_of_the_posterior)
    log = logs(Task(make_pool(arms), y), setup, Task(None, 0))
    found = gains(log.scores, log.metrics["entropy"], log.valid)
    assert found.standard_error < 0.1
    assert abs(found.ratio - 1) < 3 * found.standard_error
    first = stats.beta(*PRIOR).entropy() * ARMS
    np.testing.assert_allclose(log.metrics["entropy"][:, 0], first, rtol=1e-5)


def test_epig_is_the_drop_of_the_targets_nll():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(16, 3)).astype(np.float32)
    weights = rng.normal(size=(SEEDS, 4)).astype(np.float32)
    y = weights[:, :3] @ x.T + weights[:, 3:] + 0.5 * rng.normal(size=(SEEDS, 16)).astype(np.float32)
    learner = bayesian_linear(noise=0.25, prior=1.0)
    setup = Setup(learner, epig(x[:6]), 1, 6, 0, evaluate=regression())
    log = logs(Task(make_pool(x[6:]), y[:, 6:], (x[:6], y[:, :6])), setup, Task(None, 0, (None, 0)))
    found = gains(log.scores, log.metrics["nll"], log.valid)
    assert found.standard_error < 0.1
    assert abs(found.ratio - 1) < 3 * found.standard_error
    assert found.expected.shape == found.realized.shape == (SEEDS, 6)


def test_ratio_and_error_by_hand():
    rng = np.random.default_rng(2)
    scores, values = rng.uniform(0.5, 1, (40, 3, 2)), np.cumsum(-rng.uniform(0, 1, (40, 4)), 1)
    valid = rng.random((40, 3, 2)) < 0.8
    found = gains(scores, values, valid)
    expected, realized = np.where(valid, scores, 0).sum((1, 2)), values[:, 0] - values[:, 3]
    assert found.ratio == pytest.approx(realized.sum() / expected.sum())
    ratios = [np.delete(realized, s).sum() / np.delete(expected, s).sum() for s in range(40)]
    assert found.standard_error == pytest.approx(np.sqrt(39 / 40 * np.sum((ratios - np.mean(ratios)) ** 2)), rel=0.02)


def test_remaining_entropy_of_each_kind():
    p = np.array([[[0.2, 0.8], [0.6, 0.4]], [[1.0, 0.0], [1.0, 0.0]]])
    predicts = lambda found: SimpleNamespace(predict=lambda x: found)
    with np.errstate(divide="ignore"):
        found = remaining_entropy()(predicts(np.log(p)), (p, None))["entropy"]
    assert float(found) == pytest.approx((stats.entropy([0.4, 0.6]) + 0) / 2)
    mean, one = np.array([[0.0, 2.0]]), np.ones((1, 2))
    found = remaining_entropy()(predicts(Gaussian(jnp.array(mean), jnp.array(one), jnp.array(one))), (mean, None))
    assert float(found["entropy"]) == pytest.approx(stats.norm(0, np.sqrt(3)).entropy(), rel=1e-6)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"values \[seeds, rounds \+ 1\], got shapes \(3, 2, 1\) and \(3, 2\)"):
        gains(np.ones((3, 2, 1)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="promise information, but their sum is 0"):
        gains(np.zeros((3, 2, 1)), np.ones((3, 3)))
