"""The answers of a campaign as a table, and records of the first format, stored as they were written then."""

import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from record_cases import CONFIG, make_round

from bal.records import CorruptRecordError, acquired, answers, load, open_record, table

STORED = Path(__file__).parent / "schemas" / "1"


def leave(root, events, name="campaign"):
    with open_record(root, name, {}) as record:
        record.append(events)
    return record.path


def test_answers_are_one_entry_a_row_in_the_order_of_asking(tmp_path):
    path = leave(
        tmp_path,
        [
            {"kind": "open", "pool": "abc", "capacity": 9},
            {"kind": "ask", "rows": [4, 9, 2], "scores": [math.nan] * 3, "queries": 0},
            {"kind": "tell", "rows": [9, 30], "labels": [1, 0], "by": "Ann"},
            {"kind": "skip", "rows": [2]},
            {"kind": "note", "rows": "what others write"},
            {"kind": "add", "rows": [40, 41]},
            {"kind": "ask", "rows": [41, 7], "scores": [0.75, 0.5], "queries": 1},
            {"kind": "tell", "rows": [2, 7], "labels": [1, 2]},
        ],
    )
    columns = answers(path)
    assert list(columns) == ["order", "row", "score", "label", "annotator", "weight", "cost", "at", "state"]
    assert columns["order"].tolist() == [0, 1, 2, 3, 4, 5]
    assert columns["row"].tolist() == [4, 9, 2, 30, 41, 7]
    np.testing.assert_array_equal(columns["score"], [math.nan] * 4 + [0.75, 0.5])
    assert columns["label"] == [None, 1, 1, 0, None, 2]
    assert columns["state"].tolist() == ["pending", "answered", "answered", "answered", "pending", "answered"]


def test_labels_of_any_kind_read_back_as_they_were_told(tmp_path):
    labels = [[0.1, -2.0], [1 / 3, 4.0]]
    path = leave(tmp_path, [{"kind": "tell", "rows": [1, 0], "labels": np.array(labels)}])
    assert answers(path)["label"] == labels
    assert math.isnan(answers(path)["score"][0])


def test_a_frame_takes_the_answers(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = leave(
        tmp_path, [{"kind": "ask", "rows": [1], "scores": [0.5]}, {"kind": "tell", "rows": [0], "labels": [1]}]
    )
    frame = pandas.DataFrame(answers(path))
    assert frame.loc[frame["state"] == "pending", "row"].tolist() == [1]


def test_what_holds_no_campaign_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no campaign; read it with bal\.records\.table"):
        answers(leave(tmp_path, [{"kind": "open", "seed": 0}, make_round(0)], "study"))
    assert len(answers(leave(tmp_path, [{"kind": "note"}]))["row"]) == 0
    with pytest.raises(FileNotFoundError, match="holds no record"):
        answers(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "ask", "rows": [1, 2], "scores": [0.5]},
        {"kind": "ask", "rows": [1], "scores": ["a"]},
        {"kind": "ask", "rows": [10**30], "scores": [0.5]},
        {"kind": "ask", "rows": [-1], "scores": [0.5]},
        {"kind": "tell", "rows": [1]},
        {"kind": "tell", "rows": [1.5], "labels": [0]},
        {"kind": "skip"},
        {"kind": "correct", "rows": [1], "labels": [0]},
        {"kind": "withdraw", "rows": [1]},
    ],
)
def test_events_that_no_campaign_writes_are_damage(tmp_path, event):
    with pytest.raises(CorruptRecordError, match=r"event 1 in .*restore"):
        answers(leave(tmp_path, [{"kind": "note"}, event]))


CORRECTED = [
    {"kind": "open", "pool": "abc", "classes": ["cat", "dog"]},
    {"kind": "ask", "rows": [4, 9], "scores": [0.5, 0.25], "queries": 1, "ids": ["d", "i"]},
    {"kind": "tell", "rows": [4, 9], "labels": [1, 0], "annotator": "Ann", "at": 5.0, "ids": ["d", "i"]},
    {"kind": "tell", "rows": [9], "labels": [1], "annotator": "Bob", "weight": 0.5, "at": 6.0, "ids": ["i"]},
    {"kind": "correct", "rows": [4], "labels": [0], "at": 7.0, "ids": ["d"]},
    {"kind": "withdraw", "rows": [9], "annotator": "Ann", "at": 8.0, "ids": ["i"]},
]


def test_corrected_and_withdrawn_answers_stay_and_are_marked(tmp_path):
    columns = answers(leave(tmp_path, CORRECTED))
    assert columns["row"].tolist() == [4, 9, 9, 4]
    assert columns["id"] == ["d", "i", "i", "d"]
    assert columns["label"] == ["cat", "cat", "dog", "dog"]
    assert columns["annotator"] == ["Ann", "Ann", "Bob", "Ann"]
    assert columns["state"].tolist() == ["answered", "withdrawn", "answered", "corrected"]
    assert columns["weight"].tolist() == [1, 0, 0.5, 0]
    assert columns["at"].tolist() == [7, 5, 6, 5]
    assert columns["score"].tolist() == [0.5, 0.25, 0.25, 0.5]


def test_the_table_has_what_happened_in_a_campaign(tmp_path):
    leave(tmp_path, CORRECTED)
    leave(
        tmp_path, [{"kind": "open", "seed": 0}, make_round(0, info={"num_nan": 2, "log_q": [-1.5, -0.5, 0.0]})], "study"
    )
    columns = table(tmp_path)
    assert columns["kind"].tolist() == ["ask", "tell", "tell", "correct", "withdraw", "round"]
    assert columns["rows"].tolist() == ["[4,9]", "[4,9]", "[9]", "[4]", "[9]", "[0,1,2]"]
    assert columns["scores"][0] == "[0.5,0.25]"
    assert columns["labels"].tolist()[:4] == ["", "[1,0]", "[1]", "[0]"]
    assert columns["annotator"].tolist() == ["", "Ann", "Bob", "", "Ann", ""]
    assert columns["info.num_nan"][-1] == 2
    assert columns["info.log_q"][-1] == "[-1.5,-0.5,0.0]"
    np.testing.assert_array_equal(columns["at"], [math.nan, 5, 6, 7, 8, math.nan])


def test_every_pick_has_a_line(tmp_path):
    leave(tmp_path, CORRECTED)
    leave(
        tmp_path, [make_round(0, valid=[True, False, True], info={"log_q": [-1.5, -0.5, 0.0], "num_nan": 2})], "study"
    )
    columns = load(tmp_path)
    assert columns["name"].tolist() == ["campaign"] * 4 + ["study"] * 2
    assert columns["row"].tolist() == [4, 9, 9, 4, 0, 2]
    event = make_round(0)
    assert columns["score"][-2:].tolist() == [event["scores"][0], event["scores"][2]]
    assert columns["label"].tolist() == ['"cat"', '"cat"', '"dog"', '"dog"', *(str(event["labels"][n]) for n in (0, 2))]
    assert columns["state"].tolist()[-3:] == ["corrected", "answered", "answered"]
    np.testing.assert_array_equal(columns["log_q"], [math.nan] * 4 + [-1.5, 0.0])
    np.testing.assert_array_equal(columns["info.num_nan"], [math.nan] * 4 + [2, 2])
    np.testing.assert_array_equal(columns["metrics.nll"], [math.nan] * 4 + [event["metrics"]["nll"]] * 2)
    assert columns["annotator"].tolist() == ["Ann", "Ann", "Bob", "Ann", "", ""]
    assert "info.log_q" not in columns
    np.testing.assert_array_equal(columns["round"], [math.nan] * 4 + [0, 0])


def test_the_probability_of_an_ask_goes_with_its_rows(tmp_path):
    told = {"labels": 2, "spent": 2.0, "log_q": [-1.5, -0.5], "metrics": {}}
    asks = [{"kind": "ask", "rows": [4, 9], "scores": [0.5, 0.25], "told": told}]
    asks += [{"kind": "ask", "rows": [2], "scores": [1.0], "told": told | {"log_q": None}}]
    leave(tmp_path, [*asks, {"kind": "tell", "rows": [9], "labels": [1]}])
    np.testing.assert_array_equal(load(tmp_path)["log_q"], [-1.5, -0.5, math.nan])


def test_a_round_without_a_pick_has_a_line_for_its_metrics(tmp_path):
    none = make_round(1, valid=[False] * 3, metrics={"accuracy": 0.75})
    leave(tmp_path, [make_round(0, acquired=[], scores=[], valid=[], labels=[]), none, make_round(2)])
    columns = load(tmp_path)
    assert columns["round"].tolist() == [0, 1, 2, 2, 2]
    assert columns["row"].tolist() == [-1, -1, 6, 7, 8]
    assert columns["state"].tolist() == ["nothing"] * 2 + ["answered"] * 3
    assert columns["metrics.accuracy"][1] == 0.75
    assert columns["counts.training"].tolist() == [3, 6, 9, 9, 9]


def test_what_an_answer_cost_stays_with_it_when_it_is_corrected(tmp_path):
    tell = {"kind": "tell", "rows": [4, 9], "labels": [1, 0], "annotator": ["Ann", "Bob"], "cost": [2.0, 3.0]}
    path = leave(tmp_path, [tell, {"kind": "correct", "rows": [9], "labels": [1]}])
    columns = load(tmp_path)
    assert (columns["label"].tolist(), columns["cost"].tolist()) == ([1, 1, 0], [2, 0, 3])
    assert answers(path)["cost"].sum() == 5


@pytest.fixture
def stored(tmp_path):
    return shutil.copytree(STORED, tmp_path / "stored")


def test_a_study_of_the_first_format_reads_back(stored):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = open_record(stored, "study", CONFIG, "data")
    assert record.done
    assert record.summary == {"num_seeds": 2, "worst": math.inf}
    assert record.written_by == "bal 0.1.0 at 1306246"
    assert record.changes
    assert [event["kind"] for event in record.events] == ["note"] + ["round"] * 4
    assert record.rounds(1)[1] == make_round(1, seed=1, valid=[True, True, False])
    assert record.rounds(0)[0]["info"] == {"log_q": [-1.5, -0.5, 0.0]}
    rows = [[0, 1, 2, 3, 4]] * 2  # of each seed; the last pick of round 1 is not valid
    assert [ids.tolist() for ids in acquired(record.path).values()] == rows
    loaded = record.load_state()
    assert loaded is not None
    number, arrays = loaded
    assert number == 1
    assert arrays["seed"] == 1
    np.testing.assert_array_equal(arrays["leaf.0"], np.arange(4, dtype=np.float32).reshape(2, 2), strict=True)
    columns = table(stored)
    study = columns["name"] == "study"
    assert columns["counts.training"][study].tolist() == [3, 6, 3, 6]
    assert columns["metrics.nll"][study][3] == make_round(1, seed=1)["metrics"]["nll"]


def test_a_study_of_the_first_format_grows(stored):
    record = open_record(stored, "study", CONFIG, "data")
    with pytest.warns(UserWarning, match="recorded by bal 0.1.0 at 1306246; going on with"):
        record.reopen()
    with record:
        record.append([make_round(0, seed=2)])
        record.save_state(0, {})
        record.finish({"num_seeds": 3})
    assert sorted(acquired(open_record(stored, "study", CONFIG, "data").path)) == [0, 1, 2]


def test_a_campaign_of_the_first_format_goes_on(stored):
    with pytest.warns(UserWarning, match="recorded by bal 0.1.0 at 1306246; going on with"):
        record = open_record(stored, "campaign", {"pool": "pictures"})
    with record:
        loaded = record.load_state()
        assert loaded is not None
        assert loaded[1]["leaf.0"].tolist() == [0.5, 1.5]
        record.append([{"kind": "tell", "rows": [21], "labels": [0]}])
    columns = answers(record.path)
    assert columns["row"].tolist() == [4, 9, 2, 21, 7, 3]
    assert columns["label"] == [1, 0, None, 0, 2, 1]
    assert columns["state"].tolist() == ["answered", "answered", "skipped", "answered", "answered", "answered"]
