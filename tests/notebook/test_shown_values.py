"""What values print, and how notebooks show them: what is in them, and no text as markup."""

import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from problem import CENTERS, KEY, QUERY, TASK, X

from bal.loop import Campaign, Curves, Log, Study
from bal.markup import facts, table
from bal.query import Query
from bal.records import load, open_record
from bal.records import table as event_table
from bal.strategies import batchbald
from bal.typing import Setup, Task

EVIL = "<script>alert('x')</script> & \"q\""


class Reader(HTMLParser):
    """Tags and the text of cells, as a browser reads them."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        assert not attrs
        self.tags.append(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data):
        self.cells[-1] += data


def cells(value):
    found = Reader(value if isinstance(value, str) else value._repr_html_())
    assert {*found.tags} <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    return found.cells


def test_markup_says_what_it_was_given_and_escapes_it():
    assert cells(table([EVIL, "n"], [[EVIL, 1 / 3]], EVIL)) == [EVIL, EVIL, "n", EVIL, "0.3333"]
    assert cells(facts(EVIL, {EVIL: EVIL, "none": None})) == [EVIL, EVIL, EVIL]
    assert len(cells(table([], [["x" * 5000]]))[0]) == 200


def test_a_setup_names_its_numbers():
    setup = Setup(CENTERS, batchbald(num_configurations=50), 2, 4, num_initial=3)
    assert "batch_size=2, num_rounds=4, num_initial=3" in repr(setup)
    assert "query=batchbald(num_configurations=50" in repr(setup)
    said = cells(setup)
    assert said[said.index("num_rounds") + 1] == "4"
    assert "evaluate" not in said


def test_a_task_shows_shapes_and_no_numbers():
    for shown in (repr(TASK), " ".join(cells(TASK))):
        assert "float32[40,2]" in shown
        assert len(shown) < 200
    assert repr(Task(0, None)) == "Task(0)"


def test_a_query_shows_its_stages_and_a_learner_its_parts():
    query = Query((*batchbald(num_configurations=9).stages, *QUERY.stages))
    said = cells(query)
    assert said[1:5] == ["stage", "rows", "select", "context"]
    assert sum(cell in ("0", "1", "2") for cell in said) == len(query.stages)
    assert {"init", "fit", "predict"} <= {*cells(CENTERS)}
    assert "embed" not in cells(CENTERS)


def test_a_log_says_sizes_and_metrics_of_one_seed_and_of_many():
    accuracy, rows = np.linspace(0.5, 0.7, 5), np.zeros((4, 2), int)
    metrics = {"accuracy": accuracy, "predicted": np.zeros((5, 20))}
    log = Log(rows[:, 0], rows[:, 0], rows, 0.5 * rows, rows == 0, rows, None, {}, metrics, np.arange(4, 13, 2))
    assert repr(log).startswith("Log of 4 rounds of 2: 4 to 12 labels; accuracy 0.5 to 0.7")
    said = cells(log)
    assert said[-3:] == ["accuracy", "0.5", "0.7"]
    assert "predicted" not in said
    two = jax.tree.map(lambda leaf: np.stack([leaf, 0 * leaf]), log)
    assert "Log of 2 seeds, 4 rounds of 2" in repr(two)
    assert "accuracy 0.25 to 0.35" in repr(two)
    shapes = jax.eval_shape(lambda: log)
    assert repr(shapes).startswith("Log(")
    assert repr(Log(*[0] * 10)).startswith("Log(")


def test_a_study_is_a_dictionary_that_prints_tables():
    values = {"random": np.array([[0.1, 0.5, 0.7], [0.1, 0.3, np.nan]]), EVIL: np.array([[0.2, 0.8, 0.9]] * 2)}
    rows = {name: np.zeros((2, 2, 1), int) for name in values}
    start = {name: np.zeros((2, 2), int) for name in values}
    stopped = {"random": np.array([2, 1]), EVIL: np.array([2, 2])}
    found = Study({"digits": Curves(np.array([2, 3, 4]), {"accuracy": values}, rows, start, stopped)})
    assert isinstance(found, dict)
    assert "digits: Curves of 2 seeds, 2 to 4 labels" in repr(found)
    assert re.search(r"random +0\.5 ± 0\.28", repr(found))  # (0.7 + 0.3) / 2, where each seed ended
    assert cells(found)[1:] == ["at the end, ± s.d. of seeds", "accuracy", "random", "0.5 ± 0.28", EVIL, "0.9 ± 0"]
    assert cells(found["digits"])[1:] == cells(found)[1:]
    assert repr(Study()) == "Study of no task"


def test_a_campaign_shows_counts_and_its_latest_answers():
    names = [f"{EVIL} {number}" for number in range(len(X))]
    campaign = Campaign(KEY, CENTERS, QUERY, X, capacity=12, classes=["a", "b", EVIL], ids=names)
    assert "0 labeled" in cells(campaign)[0]
    campaign.tell([3, 4, 5, 6, 7, 8], ["a", "b", EVIL, "a", "b", "a"], annotator=EVIL)
    said = cells(campaign)
    assert "6 labeled, 0 pending" in said[0]
    assert "query" in said
    assert f"{EVIL} 8" in said
    assert f"{EVIL} 3" not in said  # the latest five
    assert said.count(EVIL) == 6  # five times the annotator, once the class


@pytest.mark.parametrize("read", [load, event_table])
def test_frames_of_records_show_their_first_lines(read, tmp_path):
    with open_record(tmp_path, "campaign", {"told": EVIL}) as record:
        record.append([{"kind": "ask", "rows": [row], "scores": [0.5], "queries": row} for row in range(1, 12)])
    frame = read(tmp_path)
    assert repr(frame).startswith(f"{11} lines of {len(frame)} columns: name, sha")
    said = cells(frame)
    assert said[0] == "11 lines, of which the first 8"
    assert said[said.index("config.told") + 1] == EVIL
    assert isinstance(frame, dict)
    assert repr(read(tmp_path / "campaign")).startswith("0 lines")
