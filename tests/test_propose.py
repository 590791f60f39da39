"""Query synthesis: known maxima, processes against a dense grid, and what happens where there is no score."""

from functools import partial

import gpjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.acquisition import epistemic_variance
from bal.learners.gp import gp_regression, process
from bal.query import Targets, alc_scores, epig_scores, propose, score
from bal.typing import Data, Learner, Posterior

KEY = jax.random.key(0)
PLAIN = Posterior(None, Learner(None, None, lambda state, x: x))
LOW, HIGH = np.array([-1.0, 0.5]), np.array([2.0, 1.5])
VARIANCE = score(epistemic_variance)
SIZES = {"num_samples": 128, "num_restarts": 6, "num_steps": 30}


def ripples(x):
    """Many local maxima; the highest, 2.5, at (0.8, 0.9)."""
    away = x - jnp.array([[0.8, 0.9]])
    return jnp.sum(jnp.cos(9 * away), -1) - jnp.sum(away**2, -1) + 0.5


def corner(x):
    return x[:, 0] ** 3 - 2 * x[:, 1]


def stairs(x):
    """Its slope is zero everywhere, so no ascent can move."""
    return jnp.sum(jnp.floor(7 * x), -1)


def half(x):
    """The highest at 1, no score on the left."""
    return jnp.where(x[:, 0] > 0.5, -((x[:, 0] - 1) ** 2), jnp.nan)


def nothing(x):
    return x[:, 0] * jnp.nan


def level(x):
    return jnp.full(len(x), 0.25, x.dtype)


SURFACES = [ripples, corner, stairs, half, nothing, level]


def surface(posterior, context, x):
    """One program for all of them."""
    number, scale = context
    return scale * jax.lax.switch(number, SURFACES, posterior.predict(x))


PROPOSE = jax.jit(partial(propose, rows=surface, **SIZES))


def run(function, scale=1.0, key=KEY, low=LOW, high=HIGH):
    context = jnp.asarray(SURFACES.index(function)), jnp.asarray(scale, jnp.float32)
    low, high = (jnp.asarray(end, jnp.float32) for end in (low, high))
    return PROPOSE(key, PLAIN, context=context, low=low, high=high)


def test_finds_the_highest_of_many_maxima():
    found = run(ripples)
    np.testing.assert_allclose(found.x, [0.8, 0.9], atol=1e-3)
    assert float(found.score) == pytest.approx(2.5, abs=1e-5)
    assert int(found.num_finite) == int(found.num_improved) == 6


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_finds_a_maximum_in_a_corner_whatever_the_unit(scale):
    found = run(corner, scale)
    np.testing.assert_allclose(found.x, [2.0, 0.5], atol=2e-3)
    assert np.all((found.x >= LOW) & (found.x <= HIGH))
    assert float(found.score) == pytest.approx(7 * scale, rel=1e-4)


def test_never_worse_than_the_best_sample():
    found = run(stairs)
    uniform = np.asarray(jax.random.uniform(KEY, (128, 2), jnp.float32, -1.0, 1.0))
    samples = 0.5 * (LOW + HIGH) + 0.5 * (HIGH - LOW) * uniform
    assert float(found.score) >= float(jnp.floor(7 * samples).sum(-1).max())
    assert float(found.score) == float(stairs(found.x[None])[0])
    assert int(found.num_improved) == 0


def test_rows_without_a_score_are_left_out_and_counted():
    assert float(run(half).x[0]) == pytest.approx(1.0, abs=2e-3)
    found = run(nothing)
    assert int(found.num_finite) == int(found.num_improved) == 0
    assert float(found.score) == -np.inf


def test_a_score_that_is_the_same_everywhere_is_said():
    assert run(level).all_equal
    assert not any(run(score).all_equal for score in (stairs, half, nothing))


def test_equal_corners_hold_an_input_fixed():
    found = run(ripples, low=[-1.0, 1.2], high=[2.0, 1.2])
    np.testing.assert_allclose(found.x, [0.8, 1.2], atol=1e-3)


def test_several_keys_at_once():
    many = jax.vmap(lambda key: run(ripples, key=key))(jax.random.split(KEY, 3))
    np.testing.assert_allclose(many.x, np.tile([[0.8, 0.9]], (3, 1)), atol=1e-3)


ROWS = [VARIANCE, alc_scores, epig_scores]


def of_process(posterior, context, x):
    number, targets = context
    return jax.lax.switch(number, [partial(rows, posterior, targets) for rows in ROWS], x)


@pytest.fixture(scope="module")
def posterior():
    with jax.enable_x64(True):
        learner = gp_regression(process(gpjax.kernels.RBF(lengthscale=0.6), 0.05))
        x = jax.random.uniform(jax.random.key(1), (7, 2), minval=LOW, maxval=HIGH)
        data = Data(x, x[:, 0], jnp.ones(7))
        state = jax.jit(lambda data: learner.fit(KEY, learner.init(KEY, data), data))(data)
        return Posterior(state, learner)


@pytest.fixture(scope="module")
def synthesize():
    return jax.jit(partial(propose, rows=of_process, **SIZES))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(ROWS)), ids=["variance", "alc", "epig"])
def test_beats_a_dense_grid_with_the_row_functions_of_a_pool(number, posterior, synthesize):
    with jax.enable_x64(True):
        axes = [jnp.linspace(a, b, 41) for a, b in zip(LOW, HIGH)]
        grid = jnp.stack(jnp.meshgrid(*axes), -1).reshape(-1, 2)
        z = grid[100::331]
        targets = Targets(posterior.predict(z), jnp.ones(len(z)), z)
        found = synthesize(KEY, posterior, context=(jnp.asarray(number), targets), low=LOW, high=HIGH)
        score_rows = jax.jit(ROWS[number])
        on_grid = score_rows(posterior, targets, grid)
        assert float(found.score) >= float(on_grid.max()) - 1e-9
        assert np.linalg.norm(found.x - grid[jnp.argmax(on_grid)]) < 0.15
        assert np.all((found.x >= LOW) & (found.x <= HIGH))
        assert float(found.score) == pytest.approx(float(score_rows(posterior, targets, found.x[None])[0]), rel=1e-9)
        assert int(found.num_finite) == 6


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"low": [0.0]}, "corners"), ({"num_steps": 0}, "at least 1"), ({"num_samples": 3}, "as many samples")],
)
def test_refuses_what_it_cannot_do(changed, message):
    with pytest.raises(ValueError, match=message):
        propose(KEY, PLAIN, surface, None, **{"low": [0.0, 0.0], "high": [1.0, 1.0], **changed})
