"""Frozen weights are arguments of what `run_seeds` compiles: no program, seed or member has a copy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from problem import CENTERS, KEY, TASK

from bal import strategies
from bal.loop import constants, run_eager, run_seeds, seed_keys
from bal.loop.eager import run_parts
from bal.loop.seeds import OneSeed, over_seeds
from bal.method import method
from bal.pool import dense
from bal.typing import Data, Posterior, Setup


@method
def shifted(learner, table):
    """The same learner; adds what is zero, read from a large table."""
    predict = lambda state, x: learner.predict(state, x) + 0.0 * table["big"][0, 0]
    return learner._replace(predict=predict)


def test_large_arrays_of_methods_are_told_and_replaced():
    big = jnp.ones((512, 512))
    inner = shifted(CENTERS, {"big": big, "small": jnp.ones(3)})
    learner = shifted(inner, {"big": big})
    setup = Setup(learner, strategies.random(), 2, 1, num_initial=4)
    assert constants.large_arrays(setup) == (big,)
    other = jnp.zeros((512, 512))
    again = constants.with_arrays(setup, (big,), (other,))
    assert again.query == setup.query
    assert again.learner == shifted(shifted(CENTERS, {"big": other, "small": jnp.ones(3)}), {"big": other})
    assert constants.with_arrays(setup.learner.predict, (big,), (other,)) == again.learner.predict
    assert constants.large_arrays(setup.query) == ()


def test_a_compiled_run_takes_them_as_arguments_and_picks_the_same(monkeypatch):
    monkeypatch.setattr(constants, "LARGE", 2**12)
    big = jax.random.normal(jax.random.key(0), (64, 64))
    setup = Setup(shifted(CENTERS, {"big": big}), strategies.margin(), 2, 1, num_initial=4)
    keys, arrays = seed_keys(0, 2), constants.large_arrays(setup)

    def program(arrays):
        mapped = over_seeds(OneSeed(setup), (keys, TASK, arrays), (0, None, None))
        return mapped.fn.lower(mapped.shared, mapped.per_seed).as_text()

    assert len(program(())) - len(program(arrays)) > 2 * big.nbytes  # in hexadecimal digits
    found = run_seeds(keys, TASK, setup).log
    plain = run_seeds(keys, TASK, setup._replace(learner=CENTERS)).log
    np.testing.assert_array_equal(found.indices, plain.indices)
    np.testing.assert_array_equal(found.start, plain.start)


@dataclasses.dataclass(eq=False)
class Held:
    """What holds weights without being a tuple, as `bal.proxies.Backbone` does."""

    params: dict


@method
def offset(learner, held):
    """The same learner, told by large weights that are held."""
    fit = lambda key, state, data: jax.tree.map(lambda leaf: leaf + 0.0 * held.params["big"][0, 0], state)
    return learner._replace(fit=lambda key, state, data: fit(key, learner.fit(key, state, data), data))


def test_the_pieces_of_a_loop_take_them_as_arguments(monkeypatch):
    monkeypatch.setattr(constants, "LARGE", 2**12)
    big = jax.random.normal(jax.random.key(0), (64, 64))
    learner = offset(shifted(CENTERS, {"big": big}), Held({"big": big}))
    assert constants.large_arrays(learner) == (big,)
    data, setup = Data(TASK.pool.x, TASK.oracle, jnp.ones(40)), Setup(learner, strategies.margin(), 2, 1, num_initial=4)
    parts = run_parts(learner, setup.query, Posterior.predict, dense)
    fit, state = constants.jitted(lambda own: own.fit, learner), learner.init(KEY, data)
    for call, args in ((fit, (KEY, state, data)), (parts.evaluate, (state, data.x))):
        (equation,) = jax.make_jaxpr(call)(*args).eqns
        assert not any(np.shape(const) == big.shape for const in equation.params["jaxpr"].consts)
    np.testing.assert_array_equal(fit(KEY, state, data), jax.jit(CENTERS.fit)(KEY, state, data))
    found, plain = (run_eager(KEY, TASK, one) for one in (setup, setup._replace(learner=CENTERS)))
    np.testing.assert_array_equal(found.indices, plain.indices)
