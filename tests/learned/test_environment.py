"""The loop as an environment: an episode is a run, number by number; what may not be asked for is not labeled."""

from functools import cache
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import MOVING, TASK, Y, evaluate

from bal import run_seeds, seed_keys
from bal.learned import environment, play
from bal.selection import power
from bal.strategies import batchbald, power_bald
from bal.typing import Setup

SETUP = Setup(MOVING, power_bald(), batch_size=2, num_rounds=3, num_initial=4, evaluate=evaluate)
GAME = environment(SETUP, "accuracy")
KEYS = seed_keys(0, 2)
PARTS = {"reset": jax.jit(GAME.reset), "step": jax.jit(GAME.step)}


@cache
def played():
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda key: play(key, TASK, GAME, power())))(KEYS))


@cache
def begun():
    return PARTS["reset"](KEYS[0], TASK)


@cache
def run():
    return jax.tree.map(np.asarray, run_seeds(KEYS, TASK, SETUP).log)


@pytest.mark.slow
def test_an_episode_is_a_run():
    log = run()
    np.testing.assert_array_equal(played().actions, log.indices)
    np.testing.assert_allclose(played().values, log.metrics["accuracy"], rtol=1e-6)
    np.testing.assert_allclose(played().log_q, log.log_q, rtol=1e-5)
    assert not (log.indices[0] == log.indices[1]).all()


@pytest.mark.slow
def test_rewards_add_up_to_what_was_gained():
    found = played()
    np.testing.assert_allclose(found.rewards.sum(1), found.values[:, -1] - found.values[:, 0], atol=1e-6)
    assert np.abs(found.rewards).max() > 0


def test_step_by_step_an_episode_is_a_run_and_it_ends():
    candidates, episode = begun()
    values = run().metrics["accuracy"][0]
    assert not (run().indices[0] == run().indices[1]).all()
    assert episode.value == pytest.approx(values[0], abs=1e-6)
    for number, action in enumerate(run().indices[0]):
        assert candidates.eligible[action].all()
        assert candidates.eligible.sum() == len(Y) - 4 - 2 * number
        candidates, episode, reward, done, info = PARTS["step"](KEYS[0], episode, action, TASK)
        assert info["accuracy"] == pytest.approx(values[number + 1], abs=1e-6)
        assert reward == pytest.approx(values[number + 1] - values[number], abs=1e-6)
        assert done == (number == 2)
        assert info["valid"].all()
    later = PARTS["step"](KEYS[0], episode, jnp.array([1, 2], jnp.int32), TASK)
    assert later[2] == 0
    assert later[3]
    assert not later[4]["valid"].any()
    for now, then in zip(jax.tree.leaves(later[1]), jax.tree.leaves(episode), strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("case", ["labeled", "twice", "outside", "absent"])
def test_what_may_not_be_asked_for_is_not_labeled(case):
    candidates, episode = begun()
    free = np.flatnonzero(candidates.eligible)
    other = {"labeled": int(episode.carry.labeled.indices[0]), "twice": free[0], "outside": len(Y), "absent": free[1]}
    present = TASK.pool.present.at[free[1]].set(case != "absent")
    task = TASK._replace(pool=TASK.pool._replace(present=present))
    action = jnp.array([free[0], other[case]], jnp.int32)
    _, after, _, _, info = PARTS["step"](KEYS[0], episode, action, task)
    assert info["valid"].tolist() == [True, False]
    assert after.carry.labeled.weight.sum() == 5
    assert after.carry.labeled.y[4] == Y[free[0]]


def test_what_cannot_be_an_environment_is_refused():
    with pytest.raises(ValueError, match="one compiled stage"):
        environment(SETUP._replace(query=batchbald()))
    with pytest.raises(ValueError, match="`evaluate`"):
        environment(SETUP._replace(evaluate=None))
    with pytest.raises(ValueError, match="num_rounds"):
        environment(SETUP._replace(num_rounds=0))
    with pytest.raises(TypeError, match="expected a Setup"):
        unwrap(environment)(batchbald())
    with pytest.raises(TypeError, match="expected a Task"):
        unwrap(GAME.reset)(KEYS[0], TASK.pool)
    with pytest.raises(ValueError, match="measures accuracy, nll, not auroc"):
        jax.eval_shape(environment(SETUP, "auroc").reset, KEYS[0], TASK)


def test_an_environment_is_a_value():
    assert environment(SETUP, "accuracy").step == GAME.step
    assert environment(SETUP, "nll").step != GAME.step
