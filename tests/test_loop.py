"""One step, several drivers: all must tell the same story, and none may peek."""

import os
import signal
import subprocess
import sys
import textwrap
from functools import cache, partial
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problem import CENTERS, CLASSES, KEY, LEARNER, MOVING, POOL, QUERY, TASK, TEST, N, X, Y, by_numpy, evaluate
from problem import SETUP as NETWORKS

from bal.acquisition import bald, predictive_entropy
from bal.learners import ensemble, mlp, warm
from bal.loop import Campaign, Log, run, run_eager, run_seeds, seed_keys
from bal.loop.eager import run_parts
from bal.loop.events import events_log, log_events, round_event
from bal.loop.round import record_answers
from bal.loop.seeds import device_mesh
from bal.pool import chunked, dense, host, make_pool, streamed
from bal.pool.labeled import empty_log, is_asked
from bal.query import Query, Stage, by_score, score
from bal.records import open_record
from bal.selection import best, per_cost, power, random_uniform, shortlist
from bal.typing import PADDING, Data, Learner, Pool, Selection, Task

SETUP = NETWORKS._replace(learner=MOVING)
QUICK_AND_NETWORKS = [pytest.param(MOVING, id="quick"), pytest.param(LEARNER, id="networks", marks=pytest.mark.slow)]


@cache
def program(setup):
    return jax.jit(partial(run, setup=setup))


def compiled_run(task=TASK, **changes) -> Log:
    return jax.tree.map(np.asarray, program(SETUP._replace(**changes))(KEY, task))


@pytest.fixture(scope="module")
def compiled() -> Log:
    return compiled_run(learner=MOVING)  # one program with those who name the learner


def same_run(a: Log, b: Log, tolerance: float = 1e-4) -> None:
    assert a.start.tolist() == b.start.tolist()
    assert a.y_start.tolist() == b.y_start.tolist()
    assert a.indices.tolist() == b.indices.tolist()
    assert a.num_training.tolist() == b.num_training.tolist()
    assert np.asarray(a.y).tolist() == np.asarray(b.y).tolist()
    np.testing.assert_allclose(a.scores, b.scores, atol=tolerance)
    np.testing.assert_allclose(a.info["predicted"], b.info["predicted"], atol=tolerance)
    assert a.metrics.keys() == b.metrics.keys()
    for name in a.metrics:
        np.testing.assert_allclose(a.metrics[name], b.metrics[name], atol=tolerance)


def test_run_takes_arrays_of_numpy():
    """Also where it is called by itself, not inside of a jit that has read its arguments."""
    setup = SETUP._replace(learner=CENTERS)
    plain = Task(make_pool(np.asarray(X)), np.asarray(Y), (np.asarray(TEST[0]), np.asarray(TEST[1])))
    same_run(run(KEY, plain, setup), run(KEY, TASK, setup))


def test_log(compiled):
    assert compiled.start.shape == (4,)
    assert compiled.indices.shape == compiled.scores.shape == compiled.valid.shape == compiled.y.shape == (4, 2)
    assert compiled.num_training.tolist() == [4, 6, 8, 10, 12]
    assert compiled.metrics["accuracy"].shape == (5,)
    picked = compiled.start.tolist() + compiled.indices.ravel().tolist()
    assert len(set(picked)) == 12
    assert compiled.y.tolist() == Y[compiled.indices].tolist()
    assert compiled.info["num_eligible"].tolist() == [36, 34, 32, 30]


def test_one_compilation_over_all_rounds():
    traces = {"fit": 0, "predict": 0}
    counting = MOVING._replace(
        fit=lambda *args: traces.update(fit=traces["fit"] + 1) or MOVING.fit(*args),
        predict=lambda *args: traces.update(predict=traces["predict"] + 1) or MOVING.predict(*args),
    )
    counts = []
    for num_rounds in (2, 6):
        traces.update(fit=0, predict=0)
        fn = jax.jit(partial(run, setup=SETUP._replace(learner=counting, num_rounds=num_rounds)))
        for seed in range(2):
            fn(jax.random.key(seed), TASK)
        assert fn._cache_size() == 1
        counts.append(dict(traces))
    assert counts[0] == counts[1], "the number of rounds must not change how often anything is traced"
    assert counts[0]["fit"] == 1


@pytest.mark.parametrize("learner", QUICK_AND_NETWORKS)
def test_eager_is_compiled(learner):
    same_run(run_eager(KEY, TASK, SETUP._replace(learner=learner)), compiled_run(learner=learner))


def test_events_of_a_compiled_run_are_those_of_an_eager_one(compiled):
    """Plain numbers either way, so both kinds of run are recorded and read alike; and back again."""
    eager = []
    run_eager(KEY, TASK, SETUP, on_round=eager.append)
    ours = log_events(compiled, 0)
    assert [event["acquired"].tolist() for event in ours] == [event["acquired"].tolist() for event in eager]
    assert [event["labels"].tolist() for event in ours] == [event["labels"].tolist() for event in eager]
    assert [event["counts"] for event in ours] == [event["counts"] for event in eager]
    assert [event["info"].keys() for event in ours] == [event["info"].keys() for event in eager]
    one = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    picks = Selection(*map(one, (compiled.indices, compiled.scores, compiled.valid, compiled.log_q, compiled.info)))
    same_run(events_log(ours, compiled.y[0], picks, one(compiled.metrics)), compiled, 0.0)


def test_eager_compiles_once(compiled):
    parts = run_parts(MOVING, QUERY, evaluate, dense)
    for part in parts:
        part.clear_cache()  # other tests, with other settings of jax, may have used them
    run_eager(KEY, TASK, SETUP)
    assert [part._cache_size() for part in parts] == [1, 1, 1, 1]


@pytest.mark.parametrize("learner", QUICK_AND_NETWORKS)
def test_seeds_under_vmap_are_single_ones(learner):
    keys, setup = jnp.stack([jax.random.key(9), KEY]), SETUP._replace(learner=learner)
    vmapped = jax.jit(jax.vmap(partial(run, setup=setup), in_axes=(0, None)))(keys, TASK)
    same_run(jax.tree.map(lambda leaf: np.asarray(leaf)[1], vmapped), compiled_run(learner=learner), 1e-3)


@pytest.mark.slow
def test_networks_of_many_seeds_are_those_of_a_single_one():
    log = run_seeds(jnp.stack([jax.random.key(9), KEY]), TASK, NETWORKS).log
    same_run(jax.tree.map(lambda leaf: np.asarray(leaf)[1], log), compiled_run(learner=LEARNER), 1e-3)


def test_an_equal_setup_on_other_data_is_not_compiled_again():
    """Made anew, of methods that are equal, for other seeds and labels: nothing is traced."""
    traced = []
    alike = SETUP._replace(learner=MOVING._replace(fit=lambda *args: traced.append(1) or MOVING.fit(*args)))
    first = run_seeds(seed_keys(0, 2), TASK, alike._replace(query=by_score(bald, best))).log
    before, keys = len(traced), seed_keys(1, 2)
    other = TASK._replace(oracle=(Y + 1) % CLASSES)
    again = run_seeds(keys, other, alike._replace(query=by_score(bald, best))).log
    assert len(traced) == before
    same_run(jax.tree.map(lambda leaf: leaf[1], again), run_eager(keys[1], other, SETUP), 1e-3)
    assert first.indices.tolist() != again.indices.tolist()


@pytest.mark.parametrize("num_devices", [1, 2])
def test_run_seeds_is_single_seed(compiled, num_devices):
    keys = jnp.stack([jax.random.key(9), KEY, jax.random.key(5)])
    done = []
    mesh = device_mesh(num_devices)
    runs = run_seeds(keys, TASK, SETUP, mesh=mesh, seeds_per_call=1, on_seeds=done.append)
    assert [len(log.start) for log in done] == ([1, 1, 1] if num_devices == 1 else [2, 1])
    assert runs.log.indices.shape == (3, 4, 2)
    assert runs.compile_seconds > 0
    assert runs.run_seconds > 0
    same_run(jax.tree.map(lambda leaf: np.asarray(leaf)[1], runs.log), compiled, 1e-3)
    jax.tree.map(np.testing.assert_array_equal, runs.log, jax.tree.map(lambda *leaves: np.concatenate(leaves), *done))
    rest = run_seeds(keys, TASK, SETUP, mesh=mesh, seeds_per_call=1, skip=1)
    jax.tree.map(np.testing.assert_array_equal, rest.log, jax.tree.map(lambda leaf: np.asarray(leaf)[1:], runs.log))
    with pytest.raises(ValueError, match="skip fewer than the 3 seeds"):
        run_seeds(keys, TASK, SETUP, skip=3)


def test_per_seed_pools_and_starts():
    """Every seed may have its own present rows, test weights and start set, sharing one copy of the inputs."""
    present = jnp.stack([jnp.arange(N) % 2 == 0, jnp.arange(N) % 2 == 1])
    start = jnp.array([[0, 2, 4], [1, 3, 5]])
    task = Task(POOL._replace(present=present), Y, TEST, start)
    runs = run_seeds(seed_keys(0, 2), task, SETUP, Task(Pool(None, 0, None), None, start=0))
    assert runs.log.start.tolist() == start.tolist()
    assert (runs.log.indices[0] % 2 == 0).all()
    assert (runs.log.indices[1] % 2 == 1).all()


def four_members(mesh=None):
    return ensemble(mlp((8,), num_outputs=CLASSES), 4, num_steps=15, minibatch_size=8, mesh=mesh)


def test_members_spread_over_devices():
    data = Data(X, Y, jnp.ones(N))
    predict = lambda learner, data: learner.predict(learner.fit(KEY, learner.init(KEY, data), data), data.x)
    spread, together = (jax.jit(partial(predict, four_members(mesh)))(data) for mesh in (device_mesh(2), None))
    np.testing.assert_allclose(spread, together, atol=1e-4)


@pytest.mark.slow
def test_members_spread_over_devices_inside_a_run():
    same_run(compiled_run(learner=four_members(device_mesh(2))), compiled_run(learner=four_members()), 1e-3)


def moving_by(rate):
    return MOVING._replace(fit=lambda key, state, data: rate * MOVING.fit(key, state, data))


def networks_by(rate):
    return ensemble(mlp((8,), num_outputs=CLASSES), 2, optimizer=optax.adam(rate), num_steps=15, minibatch_size=8)


@pytest.mark.parametrize("learner_by", [moving_by, pytest.param(networks_by, marks=pytest.mark.slow)])
def test_vmap_over_hyper_parameters(learner_by):
    def with_rate(rate):
        return run(KEY, TASK, SETUP._replace(learner=learner_by(rate)))

    rates = jnp.array([1e-3, 3e-2])
    both, single = (
        jax.tree.map(np.asarray, found) for found in (jax.jit(jax.vmap(with_rate))(rates), jax.jit(with_rate)(rates[1]))
    )
    same_run(jax.tree.map(lambda leaf: leaf[1], both), single, 1e-3)
    assert both.metrics["nll"][0, -1] != both.metrics["nll"][1, -1]


def test_campaign_is_compiled(compiled):
    campaign = Campaign(KEY, MOVING, QUERY, np.asarray(X), capacity=12, num_classes=CLASSES)
    start = campaign.ask(4)
    assert start.tolist() == compiled.start.tolist()
    campaign.tell(start, np.asarray(Y)[start])
    for number in range(4):
        rows = campaign.ask(2)
        assert rows.tolist() == compiled.indices[number].tolist()
        np.testing.assert_allclose(campaign.last_selection.scores, compiled.scores[number], atol=1e-4)
        campaign.tell(rows[::-1], np.asarray(Y)[rows[::-1]])  # answers may come in any order
    assert campaign.indices.tolist() == compiled.start.tolist() + compiled.indices.ravel().tolist()


@pytest.mark.parametrize("over", [chunked(7), chunked(budget=2000), streamed(7)], ids=["rows", "bytes", "streamed"])
def test_chunked_is_streamed_is_dense(compiled, over, tmp_path):
    pool = POOL
    if over.place != "device":
        np.save(tmp_path / "x.npy", np.asarray(X))
        pool = POOL._replace(x=np.load(tmp_path / "x.npy", mmap_mode="r"))
    same_run(run_eager(KEY, TASK._replace(pool=pool), SETUP._replace(over=over)), compiled)


def test_host_is_dense(tmp_path):
    """Plain Python calls, one round of them, on a pool outside of memory."""
    short = SETUP._replace(num_rounds=1)
    np.save(tmp_path / "x.npy", np.asarray(X))
    pool = POOL._replace(x=np.load(tmp_path / "x.npy", mmap_mode="r"))
    called = MOVING._replace(**{name: jax.jit(getattr(MOVING, name)) for name in ("init", "fit", "predict")})
    on_host = short._replace(learner=called, over=host(20), evaluate=by_numpy)
    on_host = run_eager(KEY, TASK._replace(pool=pool), on_host)
    same_run(on_host, run_eager(KEY, TASK, short))


def test_chunked_inside_the_compiled_loop(compiled):
    same_run(compiled_run(over=chunked(7)), compiled)


def test_funnel_in_every_driver():
    query = Query((Stage(score(predictive_entropy), shortlist(10)), Stage(score(bald), power(2.0))))
    setup = SETUP._replace(query=query)
    compiled = compiled_run(query=query)
    assert compiled.log_q is None, "behind a shortlist the probabilities are conditional and must not be stored"
    same_run(run_eager(KEY, TASK, setup), compiled)
    outside = TASK._replace(pool=POOL._replace(x=np.asarray(X)))
    same_run(run_eager(KEY, outside, setup._replace(over=streamed(7))), compiled)


def test_labels_never_acquired_are_never_read(compiled):
    bought = np.zeros(N, bool)
    bought[np.concatenate([compiled.start, compiled.indices.ravel()])] = True
    poisoned = jnp.where(bought, Y, 10**6)
    same_run(compiled_run(TASK._replace(oracle=poisoned)), compiled, 0.0)


def test_eager_asks_a_function_for_the_picked_rows_only(compiled):
    asked = []

    def oracle(key, indices, x):
        asked.extend(indices.tolist())
        np.testing.assert_array_equal(x, X[indices])
        return np.asarray(Y)[indices]

    same_run(run_eager(KEY, TASK._replace(oracle=oracle), SETUP), compiled)
    assert asked == compiled.start.tolist() + compiled.indices.ravel().tolist()


def test_a_function_in_the_compiled_loop_is_asked_for_the_picked_rows_only(compiled):
    asked = []

    def oracle(key, indices, x):
        jax.debug.callback(lambda rows: asked.extend(rows.tolist()), indices, ordered=True)
        return Y[indices]

    log = compiled_run(TASK._replace(oracle=jax.tree_util.Partial(oracle)))
    jax.effects_barrier()
    same_run(log, compiled, 0.0)
    assert asked == compiled.start.tolist() + compiled.indices.ravel().tolist()


@jax.jit
def noisy(key, indices, x):
    """Every fourth label is drawn anew, by a key that hangs on the row."""
    draw = lambda row: jax.random.randint(jax.random.fold_in(key, row), (2,), 0, jnp.array([4, CLASSES]))
    doubt, other = jax.vmap(draw)(indices).T
    return jnp.where(doubt == 0, other, Y[indices])


def test_a_noisy_annotator_answers_alike_in_every_driver():
    """Its key is folded from the round: the same in a compiled and an eager run, and another one in every seed."""
    task, keys = TASK._replace(oracle=noisy), jnp.stack([jax.random.key(9), KEY])
    log = run_seeds(keys, task, SETUP).log
    one = jax.tree.map(lambda leaf: leaf[1], log)
    same_run(one, run_eager(KEY, task, SETUP), 1e-3)
    rows = np.concatenate([one.start, one.indices.ravel()])
    wrong = np.concatenate([one.y_start, one.y.ravel()]) != np.asarray(Y)[rows]
    assert 0 < wrong.sum() < len(rows)


def test_an_oracle_may_hold_arrays_of_its_own_for_each_seed():
    look_up = lambda labels, key, indices, x: labels[indices]
    both = jax.tree_util.Partial(look_up, jnp.stack([Y, (Y + 1) % CLASSES]))
    log = run_seeds(seed_keys(0, 2), TASK._replace(oracle=both), SETUP, Task(None, 0)).log
    assert log.y[0].tolist() == Y[log.indices[0]].tolist()
    assert log.y[1].tolist() == ((Y + 1) % CLASSES)[log.indices[1]].tolist()


def test_nobody_is_asked_where_nothing_was_left_to_pick():
    asked = []
    setup = SETUP._replace(query=Query((Stage(score(lambda log_probs: jnp.full(len(log_probs), jnp.nan)), best),)))

    def oracle(key, indices, x):
        asked.extend(indices.tolist())
        return Y[indices]

    task = TASK._replace(oracle=oracle)
    with pytest.warns(UserWarning, match="fewer rows could be picked"):
        eager = run_eager(KEY, task, setup._replace(num_rounds=2))
    assert not eager.valid.any()
    assert asked == eager.start.tolist()
    again = jax.tree_util.Partial(lambda key, indices, x: Y[indices])
    compiled = compiled_run(task._replace(oracle=again), query=setup.query, num_rounds=2)
    assert eager.y.tolist() == compiled.y.tolist() == [[0, 0], [0, 0]]


def test_absent_rows_are_never_picked():
    present = jnp.arange(N) < 20
    log = compiled_run(TASK._replace(pool=POOL._replace(present=present)))
    assert (log.start < 20).all()
    assert (log.indices < 20).all()


def test_exhausted_pool_is_marked_and_training_goes_on():
    log = compiled_run(TASK._replace(pool=POOL._replace(present=jnp.arange(N) < 7)))
    assert log.valid.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert log.num_training.tolist() == [4, 6, 7, 7, 7]
    assert np.isfinite(log.metrics["nll"]).all()


def test_memory_is_carried():
    """A query that remembers how often it ran, through every driver."""
    counting = QUERY._replace(
        memory=lambda pool: jnp.zeros((), jnp.int32),
        remember=lambda memory, stages: memory + 1,
        stages=(Stage(score(bald), best, lambda key, round, over: round.memory),),
    )
    context_stage = counting.stages[0]._replace(
        select=lambda key, c, b: best(key, c, b)._replace(info={"memory": c.context})
    )
    query = counting._replace(stages=(context_stage,))
    log = compiled_run(query=query)
    assert log.info["memory"].tolist() == [0, 1, 2, 3]
    eager = run_eager(KEY, TASK, SETUP._replace(query=query))
    assert eager.info["memory"].tolist() == [0, 1, 2, 3]


def test_fit_and_query_have_keys_of_their_own():
    """One key for both would tie the noise of a selector to the initial weights and masks of the learner."""
    data = lambda key: jax.random.key_data(key).astype(jnp.float32)
    learner = Learner(
        init=lambda key, data: jnp.zeros(2),
        fit=lambda key, state, labeled: data(key),
        predict=lambda state, x: jnp.zeros((len(x), 1, 1)),
    )
    told = lambda key, candidates, size: best(key, candidates, size)._replace(
        info={"fit": candidates.context, "query": data(key)}
    )
    stage = Stage(score(predictive_entropy), told, lambda key, round, over: round.posterior.state)
    oracle = lambda key, indices, x: jnp.broadcast_to(data(key), (len(indices), 2))
    task = Task(POOL, jax.tree_util.Partial(oracle))
    log = compiled_run(task, learner=learner, query=Query((stage,)), evaluate=None)
    told = np.concatenate([log.y_start[:1], log.y[:, 0]])
    keys = [tuple(key) for some in (log.info["fit"], log.info["query"], told) for key in np.asarray(some).tolist()]
    assert len(set(keys)) == 3 * SETUP.num_rounds + 1


def test_events_count_the_start_set_apart():
    picks = Selection(jnp.array([5, 6]), jnp.ones(2), jnp.array([True, True]))
    event = round_event(0, 3, picks, jnp.zeros(2), {"accuracy": jnp.float32(0.5)}, 10, num_start=4)
    assert event["counts"] == {"acquired": 6, "training": 10, "start": 4, "validation": 0}


def test_a_row_that_could_not_be_picked_is_picked_later():
    """NaN for all rows in one round, finite scores in the next: nothing is lost but the round."""
    learner = MOVING._replace(
        init=lambda key, data: (MOVING.init(key, data), jnp.zeros((), jnp.int32)),
        fit=lambda key, state, data: (MOVING.fit(key, state[0], data), state[1] + 1),
        predict=lambda state, x: jnp.where(state[1] == 1, jnp.nan, MOVING.predict(state[0], x)),
    )
    log = compiled_run(learner=learner, evaluate=None, num_rounds=18)
    assert log.valid.tolist() == [[False, False]] + 17 * [[True, True]]
    assert log.info["num_eligible"].tolist() == [36, *range(36, 2, -2)]
    picked = log.start.tolist() + np.asarray(log.indices)[1:].ravel().tolist()
    assert len(set(picked)) == 4 + 34
    picks = Selection(jnp.arange(2), jnp.ones(2), jnp.array([True, False]))
    labeled = record_answers(empty_log(2, Y), POOL, picks, Y[:2], 0)
    assert labeled.indices.tolist() == [0, PADDING]
    assert is_asked(labeled, 3).tolist() == [True, False, False]


def test_rows_left_out_of_a_shortlist_stay_out():
    """Fewer rows left than the shortlist wants: what fills it up must not come back in the next stage."""
    query = Query((Stage(score(bald), shortlist(10)), Stage(score(bald), best)))
    few = POOL._replace(present=jnp.arange(N) < 9)
    log = compiled_run(Task(few, Y), query=query, evaluate=None)
    assert np.asarray(log.valid).sum() == 9 - 4
    picked = log.start.tolist() + np.asarray(log.indices)[np.asarray(log.valid)].tolist()
    assert sorted(picked) == list(range(9))


def test_costs_follow_the_rows_through_a_shortlist():
    cost = jnp.where(jnp.arange(N) % 2 == 0, 1.0, 100.0)
    seen = lambda key, candidates, size: best(key, candidates, size)._replace(info={"cost": candidates.cost})
    query = Query((Stage(score(bald), shortlist(10)), Stage(score(bald), per_cost(seen))))
    task = Task(POOL._replace(cost=cost), Y)
    log = compiled_run(task, query=query, evaluate=None)
    assert set(np.asarray(log.info["cost"]).ravel().tolist()) == {1.0, 100.0}, "a shortlist of both prices"
    assert (np.asarray(log.indices) % 2 == 0).all(), "of equal scores, those that cost a hundredth"
    random = Query((Stage(None, shortlist(10, random_uniform)), Stage(None, per_row_cost)))
    log = compiled_run(task, query=random, evaluate=None)
    np.testing.assert_array_equal(log.scores, cost[log.indices])


def per_row_cost(key, candidates, size):
    """Scores that are the costs."""
    return best(key, candidates._replace(rows=candidates.cost), size)


def test_eager_keeps_metrics_that_are_arrays_and_runs_without_rounds():
    both = lambda posterior, test: {"both": jnp.arange(2.0), **evaluate(posterior, test)}
    one = {"evaluate": both, "num_rounds": 1}
    same_run(run_eager(KEY, TASK, SETUP._replace(**one)), compiled_run(**one))
    none = {"num_rounds": 0, "batch_size": 7}  # a batch that is larger than the start set
    eager, compiled = run_eager(KEY, TASK, SETUP._replace(**none)), compiled_run(**none)
    same_run(eager, compiled)
    assert jax.tree.map(jnp.shape, eager) == jax.tree.map(jnp.shape, compiled)


@pytest.mark.slow
def test_eager_keeps_the_precision_of_the_program():
    x64 = textwrap.dedent("""
        import jax
        jax.config.update("jax_enable_x64", True)
        from problem import KEY, SETUP, TASK
        from bal.loop.eager import run_eager
        log = run_eager(KEY, TASK, SETUP._replace(num_rounds=1))
        print(log.scores.dtype, log.metrics["nll"].dtype)
    """)
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parent.parent}"}
    done = subprocess.run([sys.executable, "-c", x64], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["float64", "float64"], done.stderr


def test_random_runs_store_their_probabilities():
    log = compiled_run(query=Query((Stage(None, random_uniform),)))
    np.testing.assert_allclose(np.exp(log.log_q[0]), [1 / 36, 1 / 35], rtol=1e-5)


@pytest.mark.parametrize("learner", QUICK_AND_NETWORKS)
def test_whole_loop_lowers_for_every_platform(learner):
    setup = SETUP._replace(learner=learner)
    exported = jax.export.export(
        jax.jit(jax.vmap(lambda seed: run(jax.random.key(seed), TASK, setup).metrics)),
        platforms=("cpu", "cuda", "tpu"),
    )(jnp.arange(3))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert "callback" not in exported.mlir_module(), "no host work inside the compiled loop"


def test_a_metric_changes_no_other_number(compiled):
    silent = compiled_run(evaluate=None)
    assert silent.indices.tolist() == compiled.indices.tolist()


def test_scikit_learn_model_on_the_host():
    """A learner that JAX cannot trace: predict in plain Python, selection still compiled."""
    from sklearn.ensemble import RandomForestClassifier

    def fit(key, state, data):
        real = np.asarray(data.weight) > 0
        forest = RandomForestClassifier(10, random_state=int(jax.random.randint(key, (), 0, 2**31 - 1)))
        return forest.fit(np.asarray(data.x)[real], np.asarray(data.y)[real])

    def predict(forest, x):
        probs = np.zeros((len(x), len(forest.estimators_), CLASSES), np.float32)
        for number, tree in enumerate(forest.estimators_):
            probs[:, number, forest.classes_.astype(int)] = tree.predict_proba(np.asarray(x))
        return jnp.log(jnp.asarray(probs))

    learner = Learner(init=lambda key, data: None, fit=fit, predict=predict)
    task = TASK._replace(pool=POOL._replace(x=np.asarray(X)))
    log = run_eager(KEY, task, SETUP._replace(learner=learner, over=host(N), evaluate=by_numpy))
    assert len(set(log.indices.ravel().tolist())) == 8
    assert (log.scores >= 0).all()


WARM = ensemble(mlp((8,), num_outputs=CLASSES), 3, num_steps=15, minibatch_size=8, restart=warm)


class Stop(Exception):
    pass


@pytest.mark.parametrize("learner", [MOVING, pytest.param(WARM, marks=pytest.mark.slow)], ids=["quick", "warm"])
@pytest.mark.parametrize("stop_after", [0, 2])
def test_resume_is_uninterrupted(tmp_path, learner, stop_after):
    setup = SETUP._replace(learner=learner)
    asked = []

    def oracle(key, indices, x):
        asked.extend(indices.tolist())
        return np.asarray(Y)[indices]

    def stop(event):
        if event["round"] == stop_after:
            raise Stop

    with open_record(tmp_path, "whole", {}) as record:
        whole = run_eager(KEY, TASK, setup, record)
        events = (record.path / "events.jsonl").read_bytes()
    with open_record(tmp_path, "stopped", {}) as record, pytest.raises(Stop):
        run_eager(KEY, TASK._replace(oracle=oracle), setup, record, on_round=stop)
    with open_record(tmp_path, "stopped", {}) as record:
        resumed = run_eager(KEY, TASK._replace(oracle=oracle), setup, record)
        resumed_events = (record.path / "events.jsonl").read_bytes()
        assert resumed_events == events, "the log of a resumed run is that of an uninterrupted one, to the last digit"
    same_run(resumed, whole, 0.0)
    assert len(asked) == len(set(asked)), "nobody is asked twice for a label that is on record"


def stopped(folder, seed=0, **changes):
    """A record whose run was killed after round 2, its state beside it."""

    def stop(event):
        if event["round"] == 2:
            raise Stop

    with open_record(folder, "stopped", {}) as record, pytest.raises(Stop):
        run_eager(KEY, TASK, SETUP._replace(**changes), record, seed, on_round=stop)


def resume(folder, key=KEY, task=TASK, **changes):
    with open_record(folder, "stopped", {}) as record:
        assert record.load_state() is not None, "it is the saved state that must not be trusted blindly"
        return run_eager(key, task, SETUP._replace(**changes), record)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": jax.random.key(8)}, "made with another key"),
        ({"task": TASK._replace(pool=POOL._replace(x=X[::-1]))}, "the inputs of the pool are not those of the record"),
        ({"task": TASK._replace(pool=POOL._replace(present=jnp.arange(N) < 39))}, "rows that are present"),
        (
            {"task": TASK._replace(oracle=(Y + 1) % CLASSES)},
            r"round 0 of the record has label \d for row \d+, but the oracle says \d",
        ),
        ({"task": TASK._replace(start=[1, 2, 3, 4])}, "the start set is not that of the record"),
        ({"batch_size": 3}, "another batch_size"),
        ({"query": by_score(predictive_entropy, best)}, "another query .*bald.*predictive_entropy"),
        ({"learner": LEARNER}, "another learner .*was bal.Learner of 7, is bal.ensemble"),
    ],
)
def test_resume_refuses_a_run_that_differs(tmp_path_factory, change, message):
    """Otherwise a record would hold the first rounds of one experiment and the last of another."""
    folder = tmp_path_factory.getbasetemp() / "differs"
    if not folder.exists():
        stopped(folder)
    with pytest.raises(ValueError, match=message):
        resume(folder, **change)


def test_resume_with_more_rounds(tmp_path):
    """The rounds on record are kept, and the run is that of more rounds from the start."""
    stopped(tmp_path)
    longer = resume(tmp_path, num_rounds=5)
    same_run(longer, run_eager(KEY, TASK, SETUP._replace(num_rounds=5)), 1e-6)


def test_fewer_rounds_than_on_record_are_its_first(tmp_path):
    """With their metrics; the state for going on stays that of the last round."""
    setup = SETUP._replace(learner=CENTERS)
    fewer = setup._replace(num_rounds=1)
    with open_record(tmp_path, "run", {}) as record:
        run_eager(KEY, TASK, setup, record)
        saved = record.load_state()
        same_run(run_eager(KEY, TASK, fewer, record), run_eager(KEY, TASK, fewer), 0.0)
        assert saved is not None
        assert record.load_state()[0] == saved[0] == setup.num_rounds - 1


def test_metrics_of_a_record_are_of_one_test_set_and_one_evaluate(tmp_path):
    """Under the same names too: numbers on record would pass for those of the new test set."""
    setup, short = SETUP._replace(learner=CENTERS), TASK._replace(test=(TEST[0][:5], TEST[1][:5]))
    changed = setup._replace(evaluate=lambda posterior, test: {"accuracy": jnp.ones(()), "nll": jnp.ones(())})
    with open_record(tmp_path, "run", {}) as record:
        run_eager(KEY, TASK, setup, record)
        before = list(record.events)
        with pytest.raises(ValueError, match=r"made by another test set \(method.0 was float32 .*, is float32"):
            run_eager(KEY, short, setup, record)
        with pytest.raises(ValueError, match=r"made by another evaluate \(method was .*evaluate"):
            run_eager(KEY, TASK, changed, record)
        assert record.events == before


def test_a_record_without_identity_is_checked_round_by_round(tmp_path):
    """As written by earlier versions: its rounds are done again, and the picks must be those of this run."""
    rounds = []
    whole = run_eager(KEY, TASK, SETUP, on_round=rounds.append)
    with open_record(tmp_path, "old", {}) as record:
        record.append(rounds[:3])
        with pytest.raises(ValueError, match=r"round \d of the record acquired"):
            run_eager(jax.random.key(8), TASK, SETUP, record)
        with pytest.raises(ValueError, match="round 0 of the record has no metric other, but"):
            run_eager(KEY, TASK, SETUP._replace(evaluate=lambda posterior, test: {"other": jnp.ones(())}), record)
        same_run(run_eager(KEY, TASK, SETUP, record), whole, 1e-6)


def test_two_seeds_of_one_record_resume_with_their_own_state(tmp_path):
    """The saved state is that of the seed that was killed; the other one has to do without."""
    other = jax.random.key(11)
    stopped(tmp_path)
    with open_record(tmp_path, "stopped", {}) as record:
        first = run_eager(other, TASK, SETUP, record, seed=1)
    same_run(first, run_eager(other, TASK, SETUP), 0.0)
    same_run(resume(tmp_path), run_eager(KEY, TASK, SETUP), 0.0)


@pytest.mark.slow  # that a kill loses nothing of a record is tested in test_record_crash.py, and resuming above
def test_killed_process_resumes(tmp_path, server):
    """SIGKILL in the middle of a run; a second process ends with the log of an uninterrupted one."""
    script = textwrap.dedent("""
        import sys, time
        import jax
        jax.config.update("jax_num_cpu_devices", 2)
        from problem import KEY, MOVING, TASK
        from problem import SETUP as NETWORKS
        from bal.loop.eager import run_eager
        from bal.records import open_record
        def on_round(event):
            print(event["round"], flush=True)
            if event["round"] == 1 and sys.argv[3:]:
                time.sleep(600)
        with open_record(sys.argv[1], sys.argv[2], {}) as record:
            run_eager(KEY, TASK, NETWORKS._replace(learner=MOVING), record, on_round=on_round)
    """)
    command, path = ["-c", script, tmp_path, "killed"], str(Path(__file__).parent)
    victim = server.start([*command, "wait"], tmp_path, PYTHONPATH=path)
    victim.wait_for("1\n")
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait().returncode == -signal.SIGKILL
    assert server.run(command, tmp_path, PYTHONPATH=path).returncode == 0
    with open_record(tmp_path, "whole", {}) as record:
        run_eager(KEY, TASK, SETUP, record)
    lines = lambda name: next((tmp_path / name).glob("*/events.jsonl")).read_bytes().splitlines()
    # the first, with which the chain begins, describes the code, into which this process puts checks of shapes
    rounds = lambda name: [line.split(b" ", 2)[2] for line in lines(name)[1:]]
    assert rounds("killed") == rounds("whole")
    assert len(rounds("killed")) == 5


def test_run_seeds_refuses_a_start_set_of_one_seed():
    with pytest.raises(ValueError, match="row 3 is named twice"):
        run_seeds(
            seed_keys(0, 2), TASK._replace(start=jnp.array([[0, 1, 2], [3, 3, 4]])), SETUP, Task(None, None, start=0)
        )


def test_oracle_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="asked for 4 labels and returned 1"):
        run_eager(KEY, TASK._replace(oracle=lambda key, indices, x: [0]), SETUP)


def test_pool_is_shared_not_copied():
    assert make_pool(np.zeros((3, 2))).x.__class__ is np.ndarray
    assert by_score(bald, best).stages[0].rows == score(bald)
