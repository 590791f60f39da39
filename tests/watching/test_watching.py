"""A folder of records followed: nothing missed, twice or touched; the words are those of bal.evaluation."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from bal.evaluation import accuracy, compare, ece
from bal.records import open_record
from bal.sweep import store
from bal.sweep.studies import grouped, paired, studies
from bal.watching import Folder, curve, people, picks, rows
from bal.watching import logs as logs_module
from bal.watching.reliability import judge, reliability, so_far


def event(seed, number, value=None, batch=2, **more):
    """A round with an accuracy that is known."""
    counts = {"acquired": batch, "training": batch * (number + 1), "start": batch, "validation": 0}
    found = {"kind": "round", "seed": seed, "round": number, "seconds": None, "counts": counts}
    found |= {"acquired": [batch * number + i for i in range(batch)], "valid": [True] * batch}
    value = 0.5 + 0.1 * number + 0.01 * seed if value is None else value
    return (
        found
        | {"scores": [0.5 + 0.1 * i for i in range(batch)], "labels": [1, 0], "metrics": {"accuracy": value}}
        | more
    )


def contents(root):
    """Every file under a root, and when it was last written."""
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in Path(root).rglob("*") if file.is_file()}


def seen(folder):
    return {log.told.run.strategy: log.told.run.rounds for log in folder.logs.values()}


def test_what_is_appended_is_read_once_and_half_a_line_waits(tmp_path):
    folder = Folder(tmp_path)
    assert not folder.refresh()
    with open_record(tmp_path, "digits", {"strategy": "bald"}) as record:
        for number in range(4):
            record.append([event(0, number)])
            assert folder.refresh()
            assert not folder.refresh()
            assert len(seen(folder)["bald"][0]) == number + 1
        (log,) = folder.logs.values()
        assert log.whole == 1
        record.append([event(0, 4), event(1, 0)])
    file = record.path / "events.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    folder.refresh()
    assert (len(seen(folder)["bald"][0]), 1 in seen(folder)["bald"], folder.damaged) == (5, False, {})
    file.write_bytes(whole)
    assert folder.refresh()
    again = Folder(tmp_path)
    again.refresh()
    assert seen(folder) == seen(again)
    assert seen(folder)["bald"][1][0].labels == 2


def test_only_the_tail_of_what_changed_is_read(tmp_path, monkeypatch):
    for strategy in ("random", "bald", "margin"):
        with open_record(tmp_path, "digits", {"strategy": strategy}) as record:
            record.append([event(0, number) for number in range(20)])
    folder = Folder(tmp_path)
    folder.refresh()
    read = []
    monkeypatch.setattr(logs_module, "parse", lambda data: read.append(len(data)) or logs_module_parse(data))
    monkeypatch.setattr(logs_module, "read_record", lambda path: pytest.fail("all of it was read"))
    with open_record(tmp_path, "digits", {"strategy": "bald"}) as record:
        before = (record.path / "events.jsonl").stat().st_size
        record.append([event(1, 0)])
        assert folder.refresh()
        assert read == [(record.path / "events.jsonl").stat().st_size - before]


logs_module_parse = logs_module.parse


def test_started_over_finished_and_reopened(tmp_path):
    folder = Folder(tmp_path)
    with open_record(tmp_path, "digits", {"strategy": "bald"}) as record:
        record.append([event(0, 0), event(0, 1)])
        folder.refresh()
        record.finish({"seeds": 1})
    assert folder.refresh()
    assert [log.told.done for log in folder.logs.values()] == [{"seeds": 1}]
    with open_record(tmp_path, "digits", {"strategy": "bald"}, fresh=True) as record:
        record.append([event(0, number, 0.25) for number in range(3)])
    folder.refresh()
    assert [one.metrics["accuracy"] for one in seen(folder)["bald"][0].values()] == [0.25] * 3
    assert [log.told.done for log in folder.logs.values()] == [None]


def test_a_run_that_is_watched_is_the_same_byte_by_byte_and_nothing_is_left_in_its_folder(tmp_path):
    def write(root):
        with open_record(root, "digits", {"strategy": "bald"}) as record:
            for seed in range(3):
                for number in range(10):
                    record.append([event(seed, number)])
            record.finish({})
        return record.path

    (tmp_path / "alone").mkdir()
    (tmp_path / "watched").mkdir()
    alone, folder = write(tmp_path / "alone"), Folder(tmp_path / "watched")
    writer = threading.Thread(target=write, args=(tmp_path / "watched",))
    writer.start()
    steps = 0
    while writer.is_alive():
        steps += folder.refresh()
    writer.join()
    folder.refresh()
    assert steps > 1
    watched = tmp_path / "watched" / alone.relative_to(tmp_path / "alone")
    assert {file.name for file in watched.iterdir()} == {file.name for file in alone.iterdir()}
    for name in ("config.json", "events.jsonl", "done.json"):
        assert (watched / name).read_bytes() == (alone / name).read_bytes()
    assert sum(len(rounds) for rounds in seen(folder)["bald"].values()) == 30
    before = contents(tmp_path)
    Folder(tmp_path / "watched").refresh()
    assert contents(tmp_path) == before


def test_a_damaged_record_is_named_and_the_others_go_on(tmp_path):
    for strategy in ("random", "bald"):
        with open_record(tmp_path, "digits", {"strategy": strategy}) as record:
            record.append([event(0, 0), event(0, 1)])
    file = record.path / "events.jsonl"
    intact = file.read_bytes()
    file.write_bytes(intact.replace(b'"seed":0', b'"seed":7', 1))
    folder = Folder(tmp_path)
    folder.refresh()
    ((name, sentence),) = folder.damaged.items()
    assert name == f"digits/{record.path.name}"
    assert "is damaged at byte" in sentence
    assert [list(group.runs) for group in folder.groups] == [["random"]]
    assert folder.summary() == "2 records, 1 seed, 1 damaged"
    file.write_bytes(intact)
    folder.refresh()
    assert folder.damaged == {}
    file.write_bytes(intact.replace(b'"round":1', b'"round":3'))  # as long as before, and read already
    folder.refresh()
    assert list(folder.damaged) == [name]
    file.write_bytes(intact)
    folder.refresh()
    assert sorted(folder.groups[0].runs) == ["bald", "random"]
    (record.path / "config.json").unlink()
    folder.refresh()
    assert "is gone; restore it" in next(iter(folder.damaged.values()))


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; pass the folder of records"):
        Folder(tmp_path / "nowhere")


def cell(root, number):
    found = store.place(root, "module:run", {"number": number})
    store.declare(found)
    return found


def test_cells_are_told_from_their_files_and_no_lock_is_touched(tmp_path):
    done, failed, running, killed, elsewhere, again = (cell(tmp_path, number) for number in range(6))
    cell(tmp_path, 6)
    for one in (done, failed, running, again):
        store.begin(one)
    store.finish(done, {"accuracy": 0.5}, 1.0)
    for one in (failed, again):
        store.fail(one, "ValueError: no", "Traceback", 1.0)
    store.begin(again)
    ended = 2**22 + 1  # above the largest number of a process
    store._put(killed.path / store.CLAIM, store.seal({"who": f"{socket.gethostname()}:{ended}", "at": 1.0}))
    store._put(elsewhere.path / store.CLAIM, store.seal({"who": "elsewhere:1", "at": 1.0}))
    folder, before = Folder(tmp_path), contents(tmp_path)
    assert folder.refresh()
    assert not folder.refresh()
    states = {one.words: one.outcome.state for one in folder.cells}
    expected = ("done", "failed", "running", "missing", "running", "running", "missing")
    assert states == {f"number={number}": state for number, state in enumerate(expected)}
    assert folder.states() == {"module:run": {"done": 1, "running": 3, "failed": 1, "missing": 2}}
    assert folder.commands() == [f"bal sweep module:run --root {tmp_path} --resume"]
    assert contents(tmp_path) == before
    assert not list(tmp_path.rglob("lock"))
    with store.claimed(running), store.claimed(again):  # what the lock says is what the claims say
        assert all(store.known(one).state == states[f"number={number}"] for number, one in ((2, running), (5, again)))
    store.finish(running, {}, 1.0)
    assert folder.refresh()
    assert folder.states()["module:run"]["done"] == 2
    (failed.path / store.FAILED).write_bytes(b"nonsense")
    folder.refresh()
    assert any(one.outcome.state == "failed" and str(failed.path) in one.outcome.error for one in folder.cells)


def grown(root, strategies, seeds, rounds=3, rise=0.1, start=0):
    rng = np.random.default_rng(seeds)
    for strategy in strategies:
        with open_record(root, "digits", {"strategy": strategy}) as record:
            for seed in range(start, seeds):
                noise = 0.02 * rng.standard_normal(rounds)
                record.append(
                    [event(seed, n, float(0.5 + rise * n * (strategy != "random") + noise[n])) for n in range(rounds)]
                )
    return record


def test_the_words_on_a_finished_study_are_those_of_compare(tmp_path):
    grown(tmp_path, ("random", "bald", "margin"), 12)
    folder = Folder(tmp_path)
    folder.refresh()
    (group,), (study,) = folder.groups, studies(tmp_path)
    assert study._replace(metrics={}, acquired={}, labels=None) == paired(group)._replace(
        metrics={}, acquired={}, labels=None
    )
    found = rows(group, "accuracy", "random")
    expected = compare(study.labels, study.metrics["accuracy"])
    assert {name: row.comparison for name, row in found.items() if name != "random"} == {
        name: row for name, row in expected.items() if name != "random"
    }
    assert found["bald"].words == "better than random"
    band = found["bald"].band
    difference = (study.metrics["accuracy"]["bald"] - study.metrics["accuracy"]["random"]).mean(0)
    np.testing.assert_allclose(band.mean, difference)
    np.testing.assert_allclose(found["bald"].difference, difference)
    assert (band.low <= difference).all()
    assert (band.low[1:] < band.high[1:]).all()


def test_a_study_that_is_not_finished_is_compared_over_what_both_have(tmp_path):
    grown(tmp_path, ("random", "bald"), 8)
    grown(tmp_path, ("margin",), 5)
    with open_record(tmp_path, "digits", {"strategy": "entropy"}) as slow:
        slow.append([event(0, 0), event(0, 1)])
    with open_record(tmp_path, "digits", {"strategy": "margin"}) as record:
        record.append([event(5, 0, 0.4), event(5, 1, 0.45)])
    folder = Folder(tmp_path)
    folder.refresh()
    (group,) = folder.groups
    found = rows(group, "accuracy", "random")
    assert {name: row.seeds for name, row in found.items()} == {"random": 8, "bald": 8, "margin": 5, "entropy": 0}
    assert found["entropy"].words.startswith("not yet: 0 seeds that both have finished")
    assert found["margin"].words == "too few seeds to tell"  # two tests
    assert found["random"].words == "baseline"
    alone = compare(
        np.array([2, 4, 6]), paired(grouped([group.runs["random"], group.runs["bald"]])[0]).metrics["accuracy"]
    )
    assert found["bald"].comparison.difference == alone["bald"].difference
    assert found["bald"].comparison.adjusted_p >= alone["bald"].adjusted_p
    told = curve(group.runs["margin"], "accuracy")
    assert told.seeds == list(range(5))
    assert {seed: values.tolist() for seed, (_, values) in told.behind.items()} == {5: [0.4, 0.45]}
    assert curve(group.runs["entropy"], "accuracy").labels.tolist() == [2, 4]
    assert np.isnan(curve(group.runs["entropy"], "accuracy").low).all()  # one seed
    assert curve(group.runs["margin"], "nll") is None


def test_picks_say_what_is_on_record_of_each(tmp_path):
    with open_record(tmp_path, "digits", {"strategy": "bald"}) as record:
        info = {"predicted": [[0.25, 0.75], [1.0, 0.0]], "num_nan": 0, "measured": {"predicted": [1, 2]}}
        record.append([event(0, 0), event(0, 1, log_q=[-1.0, -2.0], valid=[True, False], info=info, scored=40)])
    start, second = picks(record.path, 0)
    assert (start.number, start.rows, start.whole) == (0, [0, 1], {})
    assert second.columns == {"row": [2], "score": [0.5], "label": [1], "log_q": [-1.0], "predicted": [[0.25, 0.75]]}
    assert list(second.columns)[:4] == ["row", "score", "predicted", "label"]
    assert second.whole == {"scored": 40, "num_nan": 0}


def test_people(tmp_path):
    with open_record(tmp_path, "campaign", {}) as record:
        record.append([{"kind": "open", "classes": ["cat", "dog"]}])
        record.append([{"kind": "ask", "rows": [1, 2, 3, 4], "scores": [0.1] * 4, "queries": 1}])
        for row, at in ((1, 100.0), (2, 110.0), (3, 5000.0)):
            record.append([{"kind": "tell", "rows": [row], "labels": [row % 2], "annotator": "ada", "at": at}])
        record.append([{"kind": "tell", "rows": [1], "labels": [0], "annotator": "<b>bob</b>", "at": 5020.0}])
        record.append([{"kind": "correct", "rows": [2], "labels": [1], "annotator": "ada", "at": 5030.0}])
    folder = Folder(tmp_path)
    folder.refresh()
    ((name, events),) = folder.campaigns.items()
    found = people(events, name)
    assert found.states == {"answered": 4, "pending": 1, "corrected": 1}
    assert found.annotators == {"ada": 4, "<b>bob</b>": 1}
    assert found.labels == {"dog": 3, "cat": 1}
    assert found.an_hour == pytest.approx(3600 / np.mean([10, 20, 10]))  # without the pause
    assert folder.groups == []
    for place in (record.path.parent, record.path):  # what `bal label --root` was given, and the record itself
        there = Folder(place)
        there.refresh()
        assert there.campaigns == folder.campaigns


def test_what_people_say_of_rows_that_train_nothing_is_counted(tmp_path):
    """Rows held out for a test and rows seen again: answers and work, and no label of the campaign."""
    desk = {"kind": "desk", "act": "tell", "label": 0, "annotator": "ada", "id": "x"}
    with open_record(tmp_path, "campaign", {}) as record:
        record.append([{"kind": "tell", "rows": [1], "labels": [0], "annotator": "ada", "at": 0.0}])
        record.append([desk | {"row": 7, "what": "test", "at": 10.0}, desk | {"row": 8, "what": "test", "at": 20.0}])
        record.append([desk | {"row": 1, "what": "again", "at": 30.0}])
        record.append([desk | {"row": 8, "what": "test", "act": "withdraw", "at": 35.0}])
        record.append([desk | {"row": 9, "what": "test", "act": "skip", "at": 40.0}])
    folder = Folder(tmp_path)
    folder.refresh()
    ((name, events),) = folder.campaigns.items()
    found = people(events, name)
    assert found.states == {"answered": 1}
    assert found.beside == {"to test rows": 1, "to rows seen again": 1}
    assert found.annotators == {"ada": 4}
    assert found.labels == {"0": 1}
    assert found.an_hour == pytest.approx(360)


def test_answers_that_were_foreseen(tmp_path):
    """Bins and counts are those that the expected calibration error is made of; a record that grows is read once."""
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3) / 2, 400), rng.integers(0, 3, 400)
    folder = Folder(tmp_path)
    with open_record(tmp_path, "digits", {"strategy": "bald"}) as record:
        for number in range(200):
            own = slice(2 * number, 2 * number + 2)
            told = {"info": {"predicted": probs[own]}, "labels": labels[own]}
            record.append([event(0, number, **told)])
            if number == 99:
                folder.refresh()
        folder.refresh()
    ((name, judged),) = folder.judged(folder.groups[0]).items()
    assert (name, len(judged), next(iter(folder.logs.values())).whole) == ("bald", 400, 1)
    found = reliability(judged, 15)
    assert found.number.sum() == 400
    gaps = np.nan_to_num(found.number * abs(found.right - found.confidence))
    assert gaps.sum() / 400 == pytest.approx(float(ece(probs, labels)))
    number, sure, right = so_far(found)
    assert (number, sure, right) == (400, pytest.approx(probs.max(1).mean()), float(accuracy(probs, labels)))


def test_only_class_probabilities_with_an_answer_are_judged():
    for predicted, label in (
        (3, 1),
        ([0.5, 0.5], -(2**31)),
        ([0.5, 0.5], [1.0, 0.0]),
        ([np.nan, np.nan], 1),
        (None, 1),
    ):
        assert judge(predicted, label) is None
    assert judge([0.5, 0.5], 0) == (0.5, True)
    asked = {"kind": "ask", "rows": [4, 9], "scores": [0.1] * 2, "told": {"predicted": [[0.25, 0.75], [1.0, 0.0]]}}
    tell = lambda row, label: {"kind": "tell", "rows": [row], "labels": [label]}
    found = people([asked, tell(9, 1), tell(9, 0), tell(2, 0), tell(4, 1)])  # the first answer to what was asked for
    assert found.judged == [(1.0, False), (0.75, True)]
