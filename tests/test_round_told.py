"""What drivers tell of a round beside its picks: equal for both, and right; and the seconds of its parts."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, KEY, POOL, SETUP, TASK, Y, by_numpy

from bal.acquisition import bald, margin
from bal.learners import from_functions
from bal.loop import run_eager, run_seeds
from bal.loop.clock import Clock, call, timed
from bal.query import by_score
from bal.records import load, open_record, timings
from bal.selection import random_uniform, softmax
from bal.typing import Query, Stage, Task

PRICED = POOL._replace(cost=POOL.cost.at[::2].set(2.5), x=POOL.x.at[20:].set(POOL.x[:20]))
DRAWN = SETUP._replace(learner=CENTERS, query=by_score(bald, softmax(0.5)), num_rounds=3)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One run, round by round and compiled; half of the rows are copies of the others."""
    task, folder = TASK._replace(pool=PRICED), tmp_path_factory.mktemp("told")
    with open_record(folder, "eager", {}) as eager:
        run_eager(KEY, task, DRAWN, eager)
    with open_record(folder, "seeds", {}) as seeds:
        run_seeds(KEY[None], task, DRAWN, record=seeds)
    return folder, eager, seeds


def test_both_drivers_tell_the_same(told):
    _, eager, seeds = told
    assert len(eager.rounds()) == 4
    for one, two in zip(eager.rounds(), seeds.rounds(), strict=True):
        assert one.keys() == two.keys()
        for name in ("acquired", "cost", "labels", "counts"):
            assert one[name] == two[name]
        assert one.get("scored") == two.get("scored")
        assert one["diagnostics"].keys() == two["diagnostics"].keys()
        for name, value in one["diagnostics"].items():
            assert two["diagnostics"][name] == pytest.approx(value, rel=1e-4)
        assert two.get("log_q", []) == pytest.approx(one.get("log_q", []), rel=1e-4)


def test_what_is_told_is_right(told):
    _, eager, _ = told
    start, *rounds = eager.rounds()
    assert not {"log_q", "scored"} & start.keys(), "nothing was scored yet"
    x = np.asarray(PRICED.x)
    for number, event in enumerate(eager.rounds()):
        rows, found = event["acquired"], event["diagnostics"]
        assert event["cost"] == [2.5 if row % 2 == 0 else 1.0 for row in rows]
        assert found["classes"] == {
            str(c): int((np.asarray(Y)[rows] == c).sum()) for c in set(np.asarray(Y)[rows].tolist())
        }
        assert found["duplicates"] == len(rows) - len({tuple(x[row]) for row in rows})
        if number:
            assert event["scored"] == 40 - 4 - 2 * (number - 1)
            assert found["score_over_log_draws"] == pytest.approx(np.mean(event["scores"]) / np.log(2))
            assert len(event["log_q"]) == 2
            assert "log_q" not in event["info"]
    assert len(rounds) == 3


def test_seconds_are_kept_beside_the_log(told):
    folder, eager, seeds = told
    took = timings(eager.path)
    assert [(entry["seed"], entry["round"]) for entry in took] == [(0, number) for number in range(4)]
    assert [set(entry["times"]) for entry in took] == [{"compile", "fit", "evaluate", "query"}] * 3 + [
        {"compile", "fit", "evaluate"}
    ]
    assert took[0]["times"]["compile"] > 20 * took[1]["times"]["compile"]
    assert took[0]["memory"] is None or took[0]["memory"] > 2**20
    (together,) = timings(seeds.path)
    assert together["seeds"] == [0]
    assert together["times"]["compile"] > together["times"]["run"] > 0
    columns = load(folder)
    assert np.isfinite(columns["times.fit"][columns["name"] == "eager"]).all()
    assert (columns["call.seeds"][columns["name"] == "seeds"] == 1).all()


def slow(x, y):
    time.sleep(0.01)
    return x, np.eye(3)[y]


def slower(model, x):
    time.sleep(0.02)
    near = np.exp(-((x[:, None] - model[0]) ** 2).sum(-1)) @ model[1] + 0.1
    return near / near.sum(-1, keepdims=True)


def test_what_runs_apart_is_timed_apart(tmp_path):
    learner, query = from_functions(slow, slower), by_score(margin)
    setup = DRAWN._replace(learner=learner, query=query, evaluate=by_numpy, num_rounds=1)
    with open_record(tmp_path, "host", {}) as record:
        run_eager(KEY, TASK, setup, record)
    first, last = (entry["times"] for entry in timings(record.path))
    assert set(first) == {"compile", "fit", "evaluate", "predict", "select"}
    assert set(last) == {"compile", "fit", "evaluate"}
    assert first["fit"] >= 0.01
    assert first["predict"] >= 0.04, "the pool, and the rows that are known"
    assert first["evaluate"] >= 0.02


def test_parts_and_compilation_are_counted_once():
    clock = Clock()
    inner = timed("inner", lambda: time.sleep(0.02))
    shape = (7, 3)

    def outer():
        time.sleep(0.01)
        inner()
        nested = jax.jit(lambda x: jnp.sort(x).cumsum(0))
        return jax.jit(lambda x: nested(x) * nested(x + 1))(jnp.ones(shape))

    begun = time.perf_counter()
    assert clock.part("outer", outer).shape == shape
    whole = time.perf_counter() - begun
    found = clock.read()
    assert found["inner"] >= 0.02
    assert found["outer"] >= 0.01
    assert found["compile"] > 0.001
    assert sum(found.values()) == pytest.approx(whole, abs=0.005)
    assert clock.read() == {"compile": 0.0}
    inner()
    assert call("outer", lambda x: x + 1, 2) == 3
    assert clock.read() == {"compile": 0.0}, "outside of a part no clock runs"


def test_a_random_query_scores_nothing(tmp_path):
    query = Query((Stage(None, random_uniform),))
    with open_record(tmp_path, "random", {}) as record:
        run_eager(KEY, Task(POOL, Y), DRAWN._replace(query=query, evaluate=None, num_rounds=1), record)
    assert record.rounds()[1]["scored"] == 0
    assert "cost" not in record.rounds()[1], "every label costs 1"
