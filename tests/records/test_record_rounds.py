"""What is told of a round beside its picks: diagnostics, costs, who answered, what it took."""

import math

import numpy as np
import pytest
from record_cases import CONFIG, make_round
from scipy import stats

from bal.records import answers, diagnostics, load, open_record, table, timings

TOLD = {
    "log_q": [-1.5, -0.5, -0.25],
    "annotator": ["Ann", None, "Bob"],
    "cost": [1.0, 2.0, 0.5],
    "scored": 37,
    "diagnostics": {"tied": 2, "entropy": 0.5, "classes": {"0": 1, "7": 2}},
}


def test_what_is_told_of_a_round_is_a_column(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0), make_round(1, **TOLD)])
        assert record.rounds()[1] == make_round(1, **TOLD)
    found = load(tmp_path)
    np.testing.assert_array_equal(found["log_q"], [math.nan] * 3 + TOLD["log_q"])
    np.testing.assert_array_equal(found["cost"], [math.nan] * 3 + TOLD["cost"])
    assert found["annotator"].tolist() == ["", "", "", "Ann", "", "Bob"]
    assert found["scored"][3:].tolist() == [37] * 3
    assert found["diagnostics.classes.7"][3:].tolist() == [2] * 3
    assert found["diagnostics.entropy"][3:].tolist() == [0.5] * 3
    lines = table(tmp_path)
    assert lines["log_q"].tolist() == ["", "[-1.5,-0.5,-0.25]"]
    assert lines["annotator"].tolist() == ["", '["Ann",null,"Bob"]']
    assert lines["diagnostics.tied"][1] == 2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"log_q": [0.0]}, ValueError, "one entry a pick in each list"),
        ({"log_q": ["a", "b", "c"]}, TypeError, r"\.log_q: expected a list of numbers"),
        ({"cost": [1.0, -1.0, 1.0]}, TypeError, r"\.cost: expected a list of numbers of at least 0"),
        ({"cost": [1.0, math.nan, 1.0]}, TypeError, r"\.cost: expected a list of numbers of at least 0"),
        ({"annotator": ["Ann"]}, ValueError, "one entry a pick in each list"),
        ({"annotator": [1, 2, 3]}, TypeError, r"\.annotator: expected a list of names"),
        ({"scored": -1}, TypeError, r"\.scored: expected an integer"),
        ({"diagnostics": {"classes": {"0": 0.5}}}, TypeError, r"\.diagnostics: expected a dict"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, changes, error, message):
    with open_record(tmp_path, "run", CONFIG) as record:
        with pytest.raises(error, match=message):
            record.append([make_round(0, **changes)])
        assert record.events == []


def test_diagnostics_are_those_of_the_batch():
    scores = np.array([0.7, 0.2, 0.2, math.nan, 0.9, math.inf])
    valid = np.array([True, True, True, True, False, True])
    labels = np.array([3, 1, 3, 3, 0, 1], np.int32)
    rows = np.array([[1, 2], [3, 4], [1, 2], [1, 2], [5, 6], [-0.0, 0]], np.float32)
    info = {"num_nan": np.int32(3), "num_eligible": np.int32(12), "num_tied": np.int32(4), "gap": np.zeros(2)}
    found = diagnostics(scores, valid, labels, rows, 5, info)
    real = [0.7, 0.2, 0.2]
    for name, q in (("min", 0), ("q25", 25), ("median", 50), ("q75", 75), ("max", 100)):
        assert found[f"score_{name}"] == pytest.approx(stats.scoreatpercentile(real, q))
    assert (found["tied"], found["pool_tied"], found["nan_share"]) == (2, 4, 0.25)
    assert found["score_over_log_draws"] == pytest.approx(np.mean(real) / math.log(5))
    assert found["duplicates"] == 2
    assert found["classes"] == {"1": 2, "3": 3}
    assert found["entropy"] == pytest.approx(stats.entropy([2, 3]))


def test_what_cannot_be_known_is_left_out():
    start = diagnostics(np.full(2, math.nan), np.array([True, True]), np.array([0.5, 1.5]))
    assert start == {}
    assert diagnostics(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.zeros((0, 3))) == {"duplicates": 0}
    assert "score_over_log_draws" not in diagnostics(np.ones(2), np.ones(2, bool), num_draws=1)
    one = diagnostics(np.ones(2), np.ones(2, bool), np.array([4, 4]))
    assert math.copysign(1, one["entropy"]) == 1.0
    assert one["entropy"] == 0


def test_times_stand_beside_the_log_and_join_their_rounds(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0), make_round(1), make_round(0, seed=1)])
        log = (record.path / "events.jsonl").read_bytes()
        record.time({"seed": 0, "round": 1, "times": {"compile": 2.0, "fit": 0.5}, "memory": 1000})
        record.time({"seeds": [1, 2], "times": {"run": np.float32(3.0)}, "memory": None})
        assert (record.path / "events.jsonl").read_bytes() == log
        with pytest.raises(TypeError, match=r"entry\.times: .*got set"):
            record.time({"seed": 0, "times": {1}})
        record.finish({})
    with pytest.raises(RuntimeError, match="finished and read only"):
        record.time({"seed": 0})
    found = load(tmp_path)
    np.testing.assert_array_equal(found["times.fit"], [math.nan] * 3 + [0.5] * 3 + [math.nan] * 3)
    np.testing.assert_array_equal(found["memory"], [math.nan] * 3 + [1000] * 3 + [math.nan] * 3)
    np.testing.assert_array_equal(found["call.run"], [math.nan] * 6 + [3] * 3)
    np.testing.assert_array_equal(found["call.seeds"], [math.nan] * 6 + [2] * 3)
    assert open_record(tmp_path, "run", CONFIG).done, "measurements are not sealed"


def test_times_that_were_torn_or_damaged_are_passed_over(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        assert timings(record.path) == []
        for number in range(3):
            record.time({"seed": 0, "round": number, "times": {}})
    file = record.path / "timings.jsonl"
    data = file.read_bytes()
    lines = data.splitlines(True)
    for position in range(len(lines[0]), len(lines[0]) + len(lines[1])):
        changed = bytearray(data)
        changed[position] ^= 1
        file.write_bytes(changed)
        with pytest.warns(UserWarning, match=r"timings\.jsonl: passed over [12] lines"):
            found = timings(record.path)
        assert [entry["round"] for entry in found][::2] in ([0, 2], [0])
    file.write_bytes(data[:-5])  # a kill
    with open_record(tmp_path, "run", CONFIG) as record:
        record.time({"seed": 0, "round": 2, "times": {}})
    with pytest.warns(UserWarning, match="passed over 1 lines"):
        assert [entry["round"] for entry in timings(record.path)] == [0, 1, 2]


def test_rounds_have_no_answers_of_a_campaign(tmp_path):
    with open_record(tmp_path, "run", CONFIG) as record:
        record.append([make_round(0, **TOLD)])
    with pytest.raises(ValueError, match="holds the rounds of an experiment"):
        answers(record.path)
