"""One step, several drivers: all must tell the same story, and none may peek."""

import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problem import CLASSES, KEY, LEARNER, POOL, QUERY, SETTINGS, TEST, N, X, Y, evaluate

from bal.acquisition import bald, predictive_entropy
from bal.campaign import Campaign
from bal.eager import run_eager, run_parts
from bal.events import events_log, log_events
from bal.labeled import make_pool
from bal.learners import ensemble, mlp, warm
from bal.loop import Log, run, seed_keys
from bal.query import Query, Stage, by_score, score
from bal.records import open_record
from bal.rows import chunked, dense, host, streamed
from bal.seeds import device_mesh, run_seeds
from bal.selection import best, power, random_uniform, shortlist
from bal.typing import Selection


@pytest.fixture(scope="module")
def compiled() -> Log:
    return jax.jit(partial(run, **SETTINGS))(KEY, POOL, Y, TEST)


def same_run(a: Log, b: Log, tolerance: float = 1e-4) -> None:
    assert a.start.tolist() == b.start.tolist()
    assert a.y_start.tolist() == b.y_start.tolist()
    assert a.indices.tolist() == b.indices.tolist()
    assert a.num_training.tolist() == b.num_training.tolist()
    assert np.asarray(a.y).tolist() == np.asarray(b.y).tolist()
    np.testing.assert_allclose(a.scores, b.scores, atol=tolerance)
    assert a.metrics.keys() == b.metrics.keys()
    for name in a.metrics:
        np.testing.assert_allclose(a.metrics[name], b.metrics[name], atol=tolerance)


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
    counting = LEARNER._replace(
        fit=lambda *args: traces.update(fit=traces["fit"] + 1) or LEARNER.fit(*args),
        predict=lambda *args: traces.update(predict=traces["predict"] + 1) or LEARNER.predict(*args),
    )
    counts = []
    for num_rounds in (2, 6):
        traces.update(fit=0, predict=0)
        fn = jax.jit(partial(run, **{**SETTINGS, "learner": counting, "num_rounds": num_rounds}))
        for seed in range(2):
            fn(jax.random.key(seed), POOL, Y, TEST)
        assert fn._cache_size() == 1
        counts.append(dict(traces))
    assert counts[0] == counts[1], "the number of rounds must not change how often anything is traced"
    assert counts[0]["fit"] == 1


def test_eager_is_compiled(compiled):
    same_run(run_eager(KEY, POOL, Y, TEST, **SETTINGS), compiled)


def test_events_of_a_compiled_run_are_those_of_an_eager_one(compiled):
    """Plain numbers either way, so both kinds of run are recorded and read alike; and back again."""
    eager = []
    run_eager(KEY, POOL, Y, TEST, on_round=eager.append, **SETTINGS)
    ours = log_events(compiled, 0)
    assert [event["acquired"].tolist() for event in ours] == [event["acquired"].tolist() for event in eager]
    assert [event["labels"].tolist() for event in ours] == [event["labels"].tolist() for event in eager]
    assert [event["counts"] for event in ours] == [event["counts"] for event in eager]
    assert [event["info"].keys() for event in ours] == [event["info"].keys() for event in eager]
    one = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    picks = Selection(*map(one, (compiled.indices, compiled.scores, compiled.valid, compiled.log_q, compiled.info)))
    same_run(events_log(ours, compiled.y[0], picks, one(compiled.metrics)), compiled, 0.0)


def test_eager_compiles_once(compiled):
    parts = run_parts(LEARNER, QUERY, evaluate, dense)
    for part in parts:
        part.clear_cache()  # other tests, with other settings of jax, may have used them
    run_eager(KEY, POOL, Y, TEST, **SETTINGS)
    assert [part._cache_size() for part in parts] == [1, 1, 1, 1]


def test_vmapped_seed_is_single_seed(compiled):
    keys = jnp.stack([jax.random.key(9), KEY])
    both = jax.jit(jax.vmap(partial(run, **SETTINGS), in_axes=(0, None, None, None)))(keys, POOL, Y, TEST)
    same_run(jax.tree.map(lambda leaf: leaf[1], both), compiled, 1e-3)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_run_seeds_is_single_seed(compiled, num_devices):
    keys = jnp.stack([jax.random.key(9), KEY, jax.random.key(5)])
    done = []
    mesh = device_mesh(num_devices)
    runs = run_seeds(keys, POOL, Y, TEST, mesh=mesh, seeds_per_call=1, on_seeds=done.append, **SETTINGS)
    assert [len(log.start) for log in done] == ([1, 1, 1] if num_devices == 1 else [2, 1])
    assert runs.log.indices.shape == (3, 4, 2)
    assert runs.compile_seconds > 0
    assert runs.run_seconds > 0
    same_run(jax.tree.map(lambda leaf: leaf[1], runs.log), compiled, 1e-3)
    jax.tree.map(np.testing.assert_array_equal, runs.log, jax.tree.map(lambda *leaves: np.concatenate(leaves), *done))
    rest = run_seeds(keys, POOL, Y, TEST, mesh=mesh, seeds_per_call=1, skip=1, **SETTINGS)
    jax.tree.map(np.testing.assert_array_equal, rest.log, jax.tree.map(lambda leaf: leaf[1:], runs.log))
    with pytest.raises(ValueError, match="skip fewer than the 3 seeds"):
        run_seeds(keys, POOL, Y, TEST, skip=3, **SETTINGS)


def test_per_seed_pools_and_starts():
    """Every seed may have its own present rows, test weights and start set, sharing one copy of the inputs."""
    present = jnp.stack([jnp.arange(N) % 2 == 0, jnp.arange(N) % 2 == 1])
    start = jnp.array([[0, 2, 4], [1, 3, 5]])
    runs = run_seeds(
        seed_keys(0, 2),
        POOL._replace(present=present),
        Y,
        TEST,
        start,
        in_axes=(POOL._replace(x=None, present=0, cost=None), None, None, 0),
        **SETTINGS,
    )
    assert runs.log.start.tolist() == start.tolist()
    assert (runs.log.indices[0] % 2 == 0).all()
    assert (runs.log.indices[1] % 2 == 1).all()


def test_members_spread_over_devices(compiled):
    spread = ensemble(mlp((8,), num_outputs=CLASSES), 4, num_steps=15, minibatch_size=8, mesh=device_mesh(2))
    together = ensemble(mlp((8,), num_outputs=CLASSES), 4, num_steps=15, minibatch_size=8)
    a, b = (
        jax.jit(partial(run, **{**SETTINGS, "learner": learner}))(KEY, POOL, Y, TEST) for learner in (spread, together)
    )
    same_run(a, b, 1e-3)


def test_vmap_over_hyper_parameters():
    def with_rate(rate):
        learner = ensemble(
            mlp((8,), num_outputs=CLASSES), 2, optimizer=optax.adam(rate), num_steps=15, minibatch_size=8
        )
        return run(KEY, POOL, Y, TEST, **{**SETTINGS, "learner": learner})

    rates = jnp.array([1e-3, 3e-2])
    both = jax.jit(jax.vmap(with_rate))(rates)
    single = jax.jit(with_rate)(rates[1])
    same_run(jax.tree.map(lambda leaf: leaf[1], both), single, 1e-3)
    assert both.metrics["nll"][0, -1] != both.metrics["nll"][1, -1]


def test_campaign_is_compiled(compiled):
    campaign = Campaign(KEY, LEARNER, QUERY, np.asarray(X), capacity=12, num_classes=CLASSES)
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
    same_run(run_eager(KEY, pool, Y, TEST, over=over, **SETTINGS), compiled)


def test_host_is_dense(tmp_path):
    """Plain Python calls, one round of them, on a pool outside of memory."""
    short = {**SETTINGS, "num_rounds": 1}
    np.save(tmp_path / "x.npy", np.asarray(X))
    pool = POOL._replace(x=np.load(tmp_path / "x.npy", mmap_mode="r"))
    called = LEARNER._replace(**{name: jax.jit(getattr(LEARNER, name)) for name in ("init", "fit", "predict")})
    on_host = run_eager(KEY, pool, Y, TEST, over=host(20), **{**short, "learner": called})
    same_run(on_host, run_eager(KEY, POOL, Y, TEST, **short))


def test_chunked_inside_the_compiled_loop(compiled):
    same_run(jax.jit(partial(run, over=chunked(7), **SETTINGS))(KEY, POOL, Y, TEST), compiled)


def test_funnel_in_every_driver():
    query = Query((Stage(score(predictive_entropy), shortlist(10)), Stage(score(bald), power(2.0))))
    settings = {**SETTINGS, "query": query}
    compiled = jax.jit(partial(run, **settings))(KEY, POOL, Y, TEST)
    assert compiled.log_q is None, "behind a shortlist the probabilities are conditional and must not be stored"
    same_run(run_eager(KEY, POOL, Y, TEST, **settings), compiled)
    same_run(run_eager(KEY, POOL._replace(x=np.asarray(X)), Y, TEST, over=streamed(7), **settings), compiled)


def test_labels_never_acquired_are_never_read(compiled):
    bought = np.zeros(N, bool)
    bought[np.concatenate([compiled.start, compiled.indices.ravel()])] = True
    poisoned = jnp.where(bought, Y, 10**6)
    same_run(jax.jit(partial(run, **SETTINGS))(KEY, POOL, poisoned, TEST), compiled, 0.0)


def test_eager_asks_a_function_for_the_picked_rows_only(compiled):
    asked = []

    def oracle(rows):
        asked.extend(rows.tolist())
        return np.asarray(Y)[rows]

    same_run(run_eager(KEY, POOL, oracle, TEST, **SETTINGS), compiled)
    assert asked == compiled.start.tolist() + compiled.indices.ravel().tolist()


def test_absent_rows_are_never_picked():
    present = jnp.arange(N) < 20
    log = jax.jit(partial(run, **SETTINGS))(KEY, POOL._replace(present=present), Y, TEST)
    assert (log.start < 20).all()
    assert (log.indices < 20).all()


def test_exhausted_pool_is_marked_and_training_goes_on():
    log = jax.jit(partial(run, **SETTINGS))(KEY, POOL._replace(present=jnp.arange(N) < 7), Y, TEST)
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
    seen = []
    context_stage = counting.stages[0]._replace(
        select=lambda key, c, b: best(key, c, b)._replace(info={"memory": c.context})
    )
    query = counting._replace(stages=(context_stage,))
    log = jax.jit(partial(run, **{**SETTINGS, "query": query}))(KEY, POOL, Y, TEST)
    assert log.info["memory"].tolist() == [0, 1, 2, 3]
    eager = run_eager(KEY, POOL, Y, TEST, **{**SETTINGS, "query": query})
    assert eager.info["memory"].tolist() == [0, 1, 2, 3]
    assert not seen


def test_random_runs_store_their_probabilities():
    log = jax.jit(partial(run, **{**SETTINGS, "query": Query((Stage(None, random_uniform),))}))(KEY, POOL, Y, TEST)
    np.testing.assert_allclose(np.exp(log.log_q[0]), [1 / 36, 1 / 35], rtol=1e-5)


def test_whole_loop_lowers_for_every_platform():
    exported = jax.export.export(
        jax.jit(jax.vmap(lambda seed: run(jax.random.key(seed), POOL, Y, TEST, **SETTINGS).metrics)),
        platforms=("cpu", "cuda", "tpu"),
    )(jnp.arange(3))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert "callback" not in exported.mlir_module(), "no host work inside the compiled loop"


def test_a_metric_changes_no_other_number(compiled):
    silent = jax.jit(partial(run, **{**SETTINGS, "evaluate": lambda posterior, test: {}}))(KEY, POOL, Y, TEST)
    assert silent.indices.tolist() == compiled.indices.tolist()


def test_scikit_learn_model_on_the_host():
    """A learner that JAX cannot trace: predict in plain Python, selection still compiled."""
    from sklearn.ensemble import RandomForestClassifier

    from bal.typing import Learner

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
    settings = {**SETTINGS, "learner": learner, "over": host(N)}
    log = run_eager(KEY, POOL._replace(x=np.asarray(X)), Y, TEST, **settings)
    assert len(set(log.indices.ravel().tolist())) == 8
    assert (log.scores >= 0).all()


WARM = ensemble(mlp((8,), num_outputs=CLASSES), 3, num_steps=15, minibatch_size=8, restart=warm)


class Stop(Exception):
    pass


@pytest.mark.parametrize("learner", [LEARNER, WARM], ids=["cold", "warm"])
@pytest.mark.parametrize("stop_after", [0, 2])
def test_resume_is_uninterrupted(tmp_path, learner, stop_after):
    settings = {**SETTINGS, "learner": learner}
    asked = []

    def oracle(rows):
        asked.extend(rows.tolist())
        return np.asarray(Y)[rows]

    def stop(event):
        if event["round"] == stop_after:
            raise Stop

    with open_record(tmp_path, "whole", {}) as record:
        whole = run_eager(KEY, POOL, Y, TEST, record=record, **settings)
        events = (record.path / "events.jsonl").read_bytes()
    with open_record(tmp_path, "stopped", {}) as record, pytest.raises(Stop):
        run_eager(KEY, POOL, oracle, TEST, record=record, on_round=stop, **settings)
    with open_record(tmp_path, "stopped", {}) as record:
        resumed = run_eager(KEY, POOL, oracle, TEST, record=record, **settings)
        resumed_events = (record.path / "events.jsonl").read_bytes()
        assert resumed_events == events, "the log of a resumed run is that of an uninterrupted one, to the last digit"
    same_run(resumed, whole, 0.0)
    assert len(asked) == len(set(asked)), "nobody is asked twice for a label that is on record"


def test_resume_refuses_a_run_that_differs(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        run_eager(KEY, POOL, Y, TEST, record=record, **{**SETTINGS, "num_rounds": 2})
        (record.path / "state.npz").unlink()
        with pytest.raises(ValueError, match=r"round \d of the record acquired"):
            run_eager(jax.random.key(8), POOL, Y, TEST, record=record, **SETTINGS)


def test_killed_process_resumes(tmp_path):
    """SIGKILL in the middle of a run; a second process ends with the log of an uninterrupted one."""
    script = textwrap.dedent("""
        import sys, time
        import jax
        jax.config.update("jax_num_cpu_devices", 2)
        from problem import KEY, POOL, SETTINGS, TEST, Y
        from bal.eager import run_eager
        from bal.records import open_record
        slow = lambda event: (print(event["round"], flush=True), time.sleep(0.3))
        with open_record(sys.argv[1], sys.argv[2], {}) as record:
            run_eager(KEY, POOL, Y, TEST, record=record, on_round=slow, **SETTINGS)
    """)
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    launch = lambda *args: subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *args], env=environment, stdout=subprocess.PIPE, text=True
    )
    victim = launch("killed")
    while victim.stdout.readline().strip() != "1":
        assert victim.poll() is None
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert launch("killed").wait() == 0
    with open_record(tmp_path, "whole", {}) as record:
        run_eager(KEY, POOL, Y, TEST, record=record, **SETTINGS)
    killed, whole = (next((tmp_path / name).glob("*/events.jsonl")).read_bytes() for name in ("killed", "whole"))
    assert killed == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": [0, 0]}, "row 0 is named twice"),
        ({"start": [0, N]}, "row 40 is outside the pool"),
        ({"num_rounds": 30}, "the pool has 40"),
    ],
)
def test_eager_refuses(change, message):
    start = change.pop("start", None)
    with pytest.raises(ValueError, match=message):
        run_eager(KEY, POOL, Y, TEST, start, **{**SETTINGS, **change})


@pytest.mark.parametrize(
    ("start", "change", "message"),
    [
        (jnp.array([[0, 1, 2], [3, 3, 4]]), {}, "row 3 is named twice"),
        (jnp.array([[0, 1, 2], [3, 4, N]]), {}, "row 40 is outside the pool"),
        (None, {"num_rounds": 30}, "the pool has 40"),
    ],
)
def test_run_seeds_refuses(start, change, message):
    with pytest.raises(ValueError, match=message):
        run_seeds(seed_keys(0, 2), POOL, Y, TEST, start, **{**SETTINGS, **change})


def test_oracle_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="asked for 4 labels and returned 1"):
        run_eager(KEY, POOL, lambda rows: [0], TEST, **SETTINGS)


def test_pool_is_shared_not_copied():
    assert make_pool(np.zeros((3, 2))).x.__class__ is np.ndarray
    assert by_score(bald, best).stages[0].rows is score(bald)
