"""Studies on record: whole, grown, cut off, read back; what a record stands for; and seeds recorded by `run_seeds`."""

import sys
from inspect import unwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS, CLASSES, POOL, QUERY, SIZES, TEST, N, X, Y, by_numpy, evaluate
from rich.console import Console

from bal.acquisition import margin
from bal.evaluation import classification, comparison_table, label_budget, learning_curves
from bal.learners import from_functions
from bal.loop import replay, run_eager, run_seeds, seed_keys, study
from bal.loop.seeds import SeedsInterrupted
from bal.loop.stacked import stacked
from bal.pool import make_pool
from bal.query import by_score
from bal.records import open_record, table
from bal.selection import best
from bal.typing import PADDING, Pool, Setup, Task

QUIET = Console(quiet=True)
SETUP = Setup(CENTERS, QUERY, **{**SIZES, "num_rounds": 2}, evaluate=evaluate)
MEASURED = SETUP._replace(evaluate=classification())
SETUPS = {"bald": MEASURED, "margin": MEASURED._replace(query=by_score(margin, best))}
TASK = Task(POOL, Y, TEST)
SEEDS_OF_TWO = TASK._replace(start=np.array([[0, 1, 2, 3], [4, 5, 6, 7]]))


def of_seed(seed):
    """Every seed has its own rows and start set; inputs, labels and test set are shared."""
    rows = np.random.default_rng(seed).permutation(N)[:30]
    return Task(Pool(X, jnp.isin(jnp.arange(N), rows), POOL.cost), Y, TEST, jnp.asarray(rows[:3]))


def numbers(curves):
    return jax.tree.map(np.ndarray.tolist, curves)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, study(folder, {"own": of_seed}, SETUPS, 3, console=QUIET)["own"]


def test_seeds_of_a_study_are_made_again(whole):
    """Round by round, from what the compiled program left on record and the task of the seed."""
    path = lines(whole[0], "bald").parent
    for seed in (0, 2):
        task = of_seed(seed)._replace(oracle=None)
        found = replay(path, task, SETUPS["bald"], seed)
        assert found.agrees
        assert [again.picks.tolist() for again in found.rounds[1:]] == whole[1].acquired["bald"][seed].tolist()
    with pytest.raises(ValueError, match="the rows that are present"):
        replay(path, of_seed(1), SETUPS["bald"], 0)


def lines(folder, name):
    (path,) = [
        path for path in folder.glob("*/*/events.jsonl") if f'"{name}"' in (path.parent / "config.json").read_text()
    ]
    return path


def test_curves_are_those_of_the_seeds(whole):
    """Random is added first; what `run_eager` says of one seed is what the study says of it."""
    curves = whole[1]
    assert list(curves.acquired) == ["random", *SETUPS]
    assert curves.labels.tolist() == [3, 5, 7]
    assert set(curves.metrics) == {"accuracy", "nll", "brier", "ece"}
    setup = SETUPS["margin"]
    alone = run_eager(seed_keys(0, 3)[2], of_seed(2), setup)
    assert curves.acquired["margin"][2].tolist() == alone.indices.tolist()
    assert curves.start["margin"][2].tolist() == alone.start.tolist()
    np.testing.assert_allclose(curves.metrics["nll"]["margin"][2], alone.metrics["nll"], rtol=1e-5)
    assert not np.array_equal(curves.acquired["random"], curves.acquired["margin"])


def test_curves_are_drawn_and_compared_as_they_are(whole, tmp_path):
    curves = whole[1]
    assert comparison_table(curves.labels, curves.metrics["accuracy"]).row_count == 3
    learning_curves(tmp_path / "curves.png", curves.labels, curves.metrics["accuracy"], "accuracy", bounds=(0, 1))
    assert (tmp_path / "curves.png").exists()


def test_a_study_is_read_back_without_running(whole, monkeypatch, capsys):
    monkeypatch.setattr("bal.progress.LINES", 0.0)
    folder, curves = whole
    monkeypatch.setattr(sys.modules["bal.loop.remaining"], "run_seeds", None)
    told = []
    again = study(folder, {"own": of_seed}, SETUPS, 3, on_progress=lambda *now: told.append(now))["own"]
    assert numbers(again) == numbers(curves)
    assert told[:3] == [("own", name, 0) for name in ("random", "bald", "margin")]
    assert told[3:] == [("own", name, 3) for name in ("random", "bald", "margin")]
    printed = capsys.readouterr().out
    assert "bald: on record, 3 of 3 seeds" in printed
    assert printed.count(", recorded by bal") == 3
    alone = study(folder, {"own": of_seed}, {"bald": SETUPS["bald"]}, 3, console=QUIET, baseline=None)["own"]
    assert list(alone.acquired) == ["bald"]


def test_a_study_grows_and_goes_on_inside_a_setup(whole, tmp_path):
    """One seed, then three; then cut off in the second seed, which is run again and its rounds on record are kept."""
    setups, nll = {"bald": SETUPS["bald"]}, numbers(whole[1].metrics["nll"])
    nll.pop("margin")
    one = study(tmp_path, {"own": of_seed}, setups, 1, console=QUIET)["own"]
    assert numbers(one.metrics["nll"])["bald"] == nll["bald"][:1]
    grown = study(tmp_path, {"own": of_seed}, setups, 3, console=QUIET)["own"]
    assert numbers(grown.metrics["nll"]) == nll
    log = lines(tmp_path, "bald")
    (log.parent / "done.json").unlink()
    events = log.read_bytes().splitlines(True)
    second = next(place for place, line in enumerate(events) if b'"seed":1' in line and b'"round":1' in line)
    log.write_bytes(b"".join(events[: second + 1]))
    assert numbers(study(tmp_path, {"own": of_seed}, setups, 3, console=QUIET)["own"]) == numbers(grown)
    assert len(table(tmp_path)["round"]) == 2 * 3 * 3


def test_curves_end_where_a_rule_stops_a_seed(whole, capsys):
    """Compiled seeds have run on: the same record, and what the rule would not have seen is left out."""
    folder, curves = whole
    last = curves.acquired["margin"][:, :, -1]
    rule = lambda so_far: so_far.rows[-1] in (last[0, 1], last[1, 0])
    cut = study(folder, {"own": of_seed}, SETUPS, 3, stop=rule)["own"]
    printed = " ".join(capsys.readouterr().out.split())
    for name, rows in curves.acquired.items():
        hits = np.isin(rows[:, :, -1], (last[0, 1], last[1, 0]))
        ends = np.where(hits.any(1), hits.argmax(1), 2)
        assert cut.stopped[name].tolist() == ends.tolist()
        ended = np.arange(3) > ends[:, None]
        np.testing.assert_array_equal(cut.metrics["nll"][name], np.where(ended, np.nan, curves.metrics["nll"][name]))
        assert cut.acquired[name].tolist() == np.where(ended[:, 1:, None], PADDING, rows).tolist()
        assert cut.start[name].tolist() == curves.start[name].tolist()
        told = f"{(ends < 2).sum()} of 3 seeds stopped early (the stopping rule says so)"
        assert (told in printed) == ((ends < 2).sum() > 0)
    assert cut.stopped["margin"][:2].tolist() == [1, 0]
    assert numbers(curves.stopped) == {name: [2, 2, 2] for name in curves.acquired}


def remember(x, y):
    return x, np.eye(CLASSES)[y]


def by_closeness(model, x):
    rows, y = model
    votes = np.exp(-((x[:, None] - rows) ** 2).sum(-1)) @ y + 0.1
    return votes / votes.sum(-1, keepdims=True)


@pytest.mark.slow
def test_models_that_cannot_be_traced_are_studied_too(tmp_path):
    """Seed by seed, as `run_eager` says of each; cut off in the second seed and grown, beside compiled set-ups."""
    setup = SETUPS["margin"]._replace(learner=from_functions(remember, by_closeness), evaluate=by_numpy)
    curves = study(tmp_path, {"own": of_seed}, {"nearest": setup, "bald": SETUP}, 2, console=QUIET)["own"]
    for seed in (0, 1):
        alone = run_eager(seed_keys(0, 2)[seed], of_seed(seed), setup)
        assert curves.acquired["nearest"][seed].tolist() == alone.indices.tolist()
        np.testing.assert_allclose(curves.metrics["nll"]["nearest"][seed], alone.metrics["nll"], rtol=1e-6)
    log = lines(tmp_path, "nearest")
    (log.parent / "done.json").unlink()
    events = log.read_bytes().splitlines(True)
    second = next(place for place, line in enumerate(events) if b'"seed":1' in line and b'"round":1' in line)
    log.write_bytes(b"".join(events[: second + 1]))
    told = []
    shown = lambda task, name, finished: told.append(finished) if name == "nearest" else None
    grown = study(tmp_path, {"own": of_seed}, {"nearest": setup}, 3, console=QUIET, on_progress=shown)["own"]
    assert told == [0, 1, 2, 3]
    assert grown.acquired["nearest"][:2].tolist() == curves.acquired["nearest"].tolist()
    assert numbers(curves.metrics["nll"])["nearest"] == numbers(grown.metrics["nll"])["nearest"][:2]
    for root in ("stopped", "stopped"):  # stops, and is read back
        cut = study(tmp_path / root, {"own": of_seed}, {"nearest": setup}, 2, console=QUIET, stop=label_budget(5))[
            "own"
        ]
        assert cut.stopped["nearest"].tolist() == cut.stopped["random"].tolist() == [1, 1]
        assert cut.acquired["nearest"].tolist() == curves.acquired["nearest"][:, :1].tolist()
    assert lines(tmp_path / "stopped", "nearest").read_text().count('"kind":"stop"') == 2
    assert '"round":2' not in lines(tmp_path / "stopped", "nearest").read_text()
    whole = study(tmp_path / "stopped", {"own": of_seed}, {"nearest": setup}, 2, console=QUIET)["own"]
    assert numbers(whole.metrics["nll"])["nearest"] == numbers(curves.metrics["nll"])["nearest"]


OTHERS = [
    (TASK, SETUP._replace(query=by_score(lambda log_probs: -margin(log_probs), best))),
    (TASK._replace(pool=POOL._replace(present=jnp.arange(N) < 39)), SETUP),
]
SETTINGS = [  # that none of them goes on with the record of another is tested below, on seeds
    (TASK, SETUP._replace(batch_size=3)),
    (TASK, SETUP._replace(num_initial=5)),
    (TASK._replace(test=(X[1::2], Y[1::2])), SETUP),
    (TASK._replace(oracle=(Y + 1) % CLASSES), SETUP),
]


@pytest.mark.parametrize(
    "others", [OTHERS, pytest.param(SETTINGS, marks=pytest.mark.slow)], ids=["method or data", "settings"]
)
def test_another_method_or_data_is_another_record(others, tmp_path):
    """The numbers of one query are never read back as those of another, whatever the set-up is called."""
    first = study(tmp_path, {"t": TASK}, {"random": SETUP}, 1, console=QUIET)["t"]
    for task, setup in others:
        before = len(list(tmp_path.glob("t/*")))
        study(tmp_path, {"t": task}, {"random": setup}, 1, console=QUIET)
        assert len(list(tmp_path.glob("t/*"))) == before + 1
    before = len(list(tmp_path.glob("t/*")))
    again = study(tmp_path, {"t": TASK}, {"random": SETUP}, 1, console=QUIET)["t"]
    assert numbers(again) == numbers(first)
    assert len(list(tmp_path.glob("t/*"))) == before
    study(tmp_path, {"t": TASK}, {"random": SETUP}, 1, console=QUIET, fresh=True)
    assert len(list(tmp_path.glob("t/.replaced/*"))) == 1


def test_seeds_share_what_is_equal():
    task, axes = stacked(of_seed, 2)
    assert axes == Task(Pool(None, 0, None), None, (None, None), 0)
    assert task.pool.x.shape == X.shape
    assert task.pool.present.shape == (2, N)
    assert task.start.shape == (2, 3)


def test_tasks_of_seeds_may_hold_lists():
    task, axes = stacked(lambda seed: Task(POOL, np.asarray(Y).tolist(), TEST, [seed, 7]), 2)
    assert axes == Task(Pool(None, None, None), None, (None, None), 0)
    assert task.oracle.tolist() == Y.tolist()
    assert task.start.tolist() == [[0, 7], [1, 7]]


def look_up(labels, key, indices, x):
    return labels[indices]


@pytest.mark.slow
def test_an_oracle_may_be_a_function_of_the_seed(tmp_path):
    shifted = lambda seed: Task(POOL, jax.tree_util.Partial(look_up, (Y + seed) % CLASSES), TEST)
    curves = study(tmp_path, {"t": shifted}, {"bald": SETUP}, 2, console=QUIET)["t"]
    expected = [run_eager(seed_keys(0, 2)[1], shifted(1), SETUP).indices.tolist()]
    assert curves.acquired["bald"][1:].tolist() == expected
    with pytest.raises(ValueError, match="another function in every seed; make it once"):
        stacked(lambda seed: Task(POOL, lambda key, indices, x: Y[indices]), 2)


@pytest.mark.parametrize(
    ("tasks", "setups", "message"),
    [
        ({}, SETUPS, "at least one task and one set-up"),
        ({"t": POOL}, SETUPS, "expected a Task, got Pool"),
        ({"t": lambda seed: None}, {"margin": SETUP.query}, "expected a Setup, got Query"),
        ({"t": lambda seed: POOL}, SETUPS, "expected a Task, got Pool"),
        (
            {"t": lambda seed: TASK._replace(start=np.arange(2 + seed))},
            SETUPS,
            "arrays of all seeds must have one shape",
        ),
        ({"t": lambda seed: TASK if seed else Task(POOL, Y)}, SETUPS, "must have one structure"),
        ({"t": TASK}, {"random": SETUP, "more": SETUP._replace(batch_size=3)}, "one batch_size and one num_rounds"),
        ({"t": TASK}, {"random": SETUP, "more": SETUP._replace(num_initial=5)}, "other numbers of labels"),
        ({"a/b": TASK}, SETUPS, "makes one folder"),
        ({"t": TASK}, {"random": SETUP._replace(num_initial="few")}, "num_initial"),
    ],
)
def test_what_makes_no_study_is_refused(tasks, setups, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        unwrap(study)(tmp_path, tasks, setups, 2, console=QUIET)


@pytest.mark.slow
def test_seeds_on_record_are_those_without_one(tmp_path):
    keys, done = seed_keys(0, 3), []
    alone = run_seeds(keys, TASK, SETUP, seeds_per_call=2).log
    with open_record(tmp_path, "seeds", {}) as record:
        run_seeds(keys[:2], TASK, SETUP, record=record)
        runs = run_seeds(keys, TASK, SETUP, record=record, seeds_per_call=2, on_seeds=done.append)
        assert [len(log.start) for log in done] == [1]
        jax.tree.map(np.testing.assert_array_equal, runs.log, alone)
        assert jax.tree.map(jnp.result_type, runs.log) == jax.tree.map(jnp.result_type, alone)
        again = run_seeds(keys, TASK, SETUP, record=record)
        assert (again.compile_seconds, again.run_seconds) == (0.0, 0.0)
        jax.tree.map(np.testing.assert_array_equal, again.log, alone)
        longer = run_seeds(keys, TASK, SETUP._replace(num_rounds=3), record=record, seeds_per_call=2)
        np.testing.assert_array_equal(longer.log.indices[:, :2], alone.indices)
        assert [len(record.rounds(seed)) for seed in range(3)] == [4, 4, 4]
        eager = run_eager(keys[1], TASK, SETUP, record, seed=1)
        assert eager.indices.tolist() == alone.indices[1].tolist()
        record.finish({})
        with pytest.raises(RuntimeError, match="finished and read only"):  # not once they have been run
            run_seeds(seed_keys(0, 4), TASK, SETUP, record=record, on_compiled=pytest.fail)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": seed_keys(1, 2)}, "made with another key"),
        ({"task": TASK._replace(pool=make_pool(X[::-1]))}, "inputs of the pool are not those of the record"),
        ({"task": TASK._replace(oracle=(Y + 1) % CLASSES)}, r"round 0 of the record has label \d for row \d+"),
        ({"task": TASK._replace(start=jnp.arange(4))}, "the start set is not that of the record"),
        ({"setup": SETUP._replace(batch_size=3)}, "another batch_size"),
        ({"setup": SETUPS["margin"]}, "another query .*bald.*margin"),
        ({"setup": SETUP._replace(evaluate=lambda posterior, test: {"accuracy": jnp.ones(())})}, "another evaluate"),
        ({"task": TASK._replace(test=tuple(leaf[1:] for leaf in TASK.test))}, r"another test set \(method.0 was"),
        (
            {"keys": seed_keys(0, 3), "task": SEEDS_OF_TWO, "axes": Task(None, None, start=0)},
            r"in all .*, got \[2, 3\]",
        ),
        ({"skip": 1}, "a record or skip, not both"),
        ({"record": "runs"}, "expected an open record, got str"),
    ],
)
def test_seeds_of_another_experiment_are_refused(change, message, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "seeds"
    given = {"keys": seed_keys(0, 2), "task": TASK, "setup": SETUP}
    with open_record(folder, "seeds", {}) as record:
        if not record.events:
            run_seeds(**given, record=record)
        with pytest.raises((ValueError, TypeError), match=message):
            unwrap(run_seeds)(**{**given, "record": record, **change})


def test_metrics_that_are_arrays_are_recorded_and_read_back(tmp_path):
    setup = SETUP._replace(
        evaluate=lambda posterior, test: {"two": posterior.state[:2, 0], **evaluate(posterior, test)}
    )
    with open_record(tmp_path, "seeds", {}) as record:
        whole = run_seeds(seed_keys(0, 2), TASK, setup, record=record).log
        again = run_seeds(seed_keys(0, 2), TASK, setup, record=record, on_compiled=pytest.fail).log
    assert whole.metrics["two"].shape == (2, 3, 2)
    jax.tree.map(np.testing.assert_array_equal, again.metrics, whole.metrics)


def test_the_test_set_of_every_seed_is_that_of_the_record(tmp_path):
    """A record stands for what seed 0 sees; the others are compared one by one."""
    turned = lambda seed: TASK._replace(test=jax.tree.map(lambda leaf: leaf[::-1], TEST)) if seed else TASK
    study(tmp_path, {"own": TASK}, {"random": SETUP}, 2, console=QUIET)
    with pytest.raises(ValueError, match="another test set"):
        study(tmp_path, {"own": turned}, {"random": SETUP}, 2, console=QUIET)


def test_options_do_not_hide_what_a_study_says_itself(tmp_path):
    with pytest.raises(ValueError, match=r"says \['query', 'root'\] of every record by itself; .* other names"):
        study(
            tmp_path,
            {"t": TASK},
            {"random": SETUP},
            1,
            console=QUIET,
            options={"root": 1, "query": 2, "mine": 3, "batch_size": 2},
        )


def test_seeds_that_are_stopped_are_on_record(tmp_path):
    def stop(log):
        raise KeyboardInterrupt

    with open_record(tmp_path, "seeds", {}) as record:
        with pytest.raises(SeedsInterrupted, match="stopped after 2 of 3 seeds; the same call goes on") as caught:
            run_seeds(seed_keys(0, 3), TASK, SETUP, record=record, seeds_per_call=2, on_seeds=stop)
        assert len(record.rounds(1)) == 3
        assert caught.value.runs.log.indices.shape == (2, 2, 2)


def test_a_tracker_hears_what_is_run_and_nothing_of_what_is_read_back(tmp_path):
    told = []

    class Sink:
        def on_start(self, config):
            told.append(config["strategy"])

        def on_round(self, event):
            told.append((event["seed"], event["round"]))

        def on_end(self, summary):
            told.append(summary)

    again = lambda: study(tmp_path, {"t": TASK}, {"random": SETUP}, 2, console=QUIET, tracker=lambda record: Sink())
    again()
    assert told == ["random", *((seed, number) for seed in (0, 1) for number in (0, 1, 2)), {"num_seeds": 2}]
    again()
    assert len(told) == 8
