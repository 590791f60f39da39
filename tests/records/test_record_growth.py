"""Growing, threads, interrupts: what is in memory and what is on disk stay one."""

import sys
import threading
import time
import warnings
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from record_cases import CONFIG, as_log, make_round

import bal.records
from bal.records import CorruptRecordError, RecordLockedError, acquired, files, open_record, read_events
from bal.records.log import parse


def finished(root):
    with open_record(root, "run", CONFIG) as record:
        record.append([make_round(0), make_round(0, seed=1)])
        record.save_state(0, {"w": np.arange(3.0)})
        record.finish({"seeds": 2})
    return record


def test_a_finished_record_grows_and_keeps_everything(tmp_path):
    before = (finished(tmp_path).path / "events.jsonl").read_bytes()
    with open_record(tmp_path, "run", CONFIG) as record:
        record.reopen()
        assert not record.done
        assert not (record.path / "done.json").exists()
        assert len(record.events) == 2
        record.append([make_round(0, seed=2)])
        with pytest.raises(ValueError, match="already in the record"):
            record.append([make_round(0, seed=1)])
        record.finish({"seeds": 3})
    assert (record.path / "events.jsonl").read_bytes().startswith(before)
    again = open_record(tmp_path, "run", CONFIG)
    assert again.summary == {"seeds": 3}
    assert sorted(acquired(again.path)) == [0, 1, 2]
    loaded = again.load_state()
    assert loaded is not None
    assert loaded[1]["w"].tolist() == [0, 1, 2]


def test_reopened_and_left_it_is_unfinished(tmp_path):
    finished(tmp_path)
    with open_record(tmp_path, "run", CONFIG) as record:
        record.reopen()
        with pytest.raises(RuntimeError, match="not finished"):
            record.reopen()
    with open_record(tmp_path, "run", CONFIG) as record:
        assert not record.done
        assert len(record.events) == 2


def test_reopening_takes_the_lock_and_verifies(tmp_path):
    path = finished(tmp_path).path
    one, two = open_record(tmp_path, "run", CONFIG), open_record(tmp_path, "run", CONFIG)
    with one:
        one.reopen()
        with pytest.raises(RecordLockedError, match="this very process"):
            two.reopen()
        one.append([make_round(0, seed=2)])
    with two:  # what the other has added is there
        two.reopen()
        assert len(two.events) == 3
        two.finish({"seeds": 3})
    third = open_record(tmp_path, "run", CONFIG)
    (path / "events.jsonl").write_bytes((path / "events.jsonl").read_bytes()[:-1])
    with pytest.raises(CorruptRecordError, match="changed since the run finished"):
        third.reopen()
    assert (path / "done.json").exists()


def test_threads_write_one_after_another(tmp_path):
    failures = []

    def write(thread):
        try:
            for number in range(15):
                record.append([{"kind": "note", "thread": thread, "number": number}])
                record.save_state(number, {"thread": np.array(thread)})
                assert record.load_state() is not None
        except Exception as error:
            failures.append(error)

    with open_record(tmp_path, "run", {}) as record:
        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        record.finish({})
    events, report = read_events(record.path)
    assert report.dropped_bytes == 0
    assert events == record.events
    for thread in range(3):
        assert [event["number"] for event in events if event["thread"] == thread] == list(range(15))


def interrupted(act, line):
    """Run `act` and press Ctrl-C at the given line of what writes; whether it came to that."""
    lines = count()
    writing = {str(Path(bal.records.__path__[0]) / f"{name}.py") for name in ("record", "recovery", "files", "writers")}

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in writing:
            return None
        if event == "line" and next(lines) == line:
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


ACTS = {
    "append": lambda record: record.append([make_round(1), make_round(2)]),
    "save_state": lambda record: record.save_state(1, {"w": np.arange(3.0)}),
    "finish": lambda record: record.finish({"seeds": 1}),
    "reopen": lambda record: record.reopen(),
}


@pytest.mark.parametrize("name", ACTS)
def test_interrupted_at_any_line_the_record_is_closed_or_equal_to_its_files(tmp_path, name, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # a hundred records; nobody pulls the plug
    for module in ("record", "opening"):
        monkeypatch.setattr(f"bal.records.{module}.environment", lambda: {"python": "3", "source": "0"})
    for line in count():
        record = open_record(tmp_path / str(line), "run", CONFIG)
        record.append([make_round(0)])
        if name == "reopen":
            record.finish({})
            record.close()
            record = open_record(tmp_path / str(line), "run", CONFIG)
        assert record.written_by  # the environment is known before the clock starts
        assert record._now
        going_on = interrupted(lambda record=record: ACTS[name](record), line)
        numbers = [line.event["round"] for line in parse((record.path / "events.jsonl").read_bytes())[0]]
        assert numbers in ([0], [0, 1, 2])
        if record.done:
            with pytest.raises(RuntimeError, match="read only"):
                record.append([{"kind": "note"}])
        elif record._lock is None:
            with pytest.raises(RuntimeError, match="closed"):
                record.append([{"kind": "note"}])
        else:
            assert not (record.path / "done.json").exists()
            record.append([{"kind": "note"}])
            assert read_events(record.path)[0] == record.events
        record.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = open_record(tmp_path / str(line), "run", CONFIG)
        with again:
            assert [event["round"] for event in again.rounds()] == numbers
            again.load_state()
            if not again.done:
                again.append([make_round(len(numbers))])
        if not going_on:
            break
    assert line > 20


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_a_replacement_that_fails_half_way_leaves_the_old_bytes(tmp_path, monkeypatch, error):
    """Half a file is written to another name: at the one that readers know there are old bytes or new ones."""
    file = tmp_path / "state.npz"
    files.replace(file, b"old bytes")
    write = files._write_all

    def fail(descriptor, data):
        write(descriptor, data[: len(data) // 2])
        assert file.read_bytes() == b"old bytes"
        raise error

    monkeypatch.setattr(files, "_write_all", fail)
    with pytest.raises(type(error)):
        files.replace(file, b"new bytes, and more of them")
    assert file.read_bytes() == b"old bytes"
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_ten_thousand_events_open_in_little_time(tmp_path):
    with open_record(tmp_path, "run", {}) as record:
        pass
    ask = {"kind": "ask", "rows": [1, 2], "scores": [0.5, 0.25], "queries": 1}
    (record.path / "events.jsonl").write_bytes(as_log(record.path, [ask] * 10_000))
    before = time.process_time()
    with open_record(tmp_path, "run", {}) as record:
        assert len(record.events) == 10_000
    assert time.process_time() - before < 2
