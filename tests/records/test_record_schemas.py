"""Records of every schema there was, stored as they were written then: read, resumed, and made into tables.

In each folder of `schemas` a campaign of 6 labels, a skipped row, two rows added and two pending, and a run of two
rounds: "1" without events of kind "open", "1_opened" with them, "2" also with second opinions and compiled seeds.
"""

import json
import shutil
import warnings
from itertools import chain
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from campaigns import COUNTING, KEY, N, X, Y, open_campaign

from bal.acquisition import epistemic_variance
from bal.loop import run_eager
from bal.pool import make_pool
from bal.query import by_score
from bal.records import acquired, answers, load, open_record, table
from bal.records import chain as last_digest
from bal.selection import best
from bal.typing import Setup, Task

SCHEMAS = sorted(path.name for path in (Path(__file__).parent / "schemas").iterdir())
ROWS, LABELS = (
    [227, 150, 32, 157, 101, 299, 300, 2, 211],
    [*Y[[227, 150, 32, 157]].tolist(), None, 0.25, -0.5, None, None],
)
STATES = ["answered"] * 4 + ["skipped"] + ["answered"] * 2 + ["pending"] * 2
ROUNDS = [[27, 20, 0], [12, 30], [19, 23]]


def state(posterior, test):
    return {"state": posterior.state}


@pytest.fixture(params=SCHEMAS)
def root(request, tmp_path):
    return shutil.copytree(Path(__file__).parent / "schemas" / request.param, tmp_path / request.param)


def test_a_campaign_is_read(root):
    (path,) = (root / "labels").iterdir()
    columns = answers(path)
    assert columns["row"].tolist() == ROWS
    assert columns["label"] == LABELS
    assert columns["state"].tolist() == STATES
    assert columns["annotator"] == [None] * 9
    assert len(last_digest(path)) == 64
    assert json.loads((path / "config.json").read_text())["schema"] == int(root.name[0])


def test_a_campaign_is_resumed(root):
    """And takes the calls that its schema did not have."""
    options = {"x": np.concatenate([X, X[:2] + 1]), "capacity": 20, "pool_capacity": N + 2}
    with warnings.catch_warnings():  # of other code, which began anew
        warnings.simplefilter("ignore")
        with open_record(root, "labels", {"pool": "squares"}) as record:
            campaign = open_campaign(record, **options)
            assert campaign.indices.tolist() == [row for row, state in zip(ROWS, STATES) if state == "answered"]
            assert campaign.labels.tolist() == [label for label in LABELS if label is not None]
            assert (campaign.pending.tolist(), campaign.skipped.tolist()) == ([2, 211], [101])
            campaign.correct([150], [0.0])
            campaign.withdraw([32])
            campaign.tell(campaign.pending, [1.0, 2.0])
        with open_record(root, "labels", {"pool": "squares"}) as record:
            again = open_campaign(record, **options)
    assert again.indices.tolist() == [227, 150, 157, 299, 300, 2, 211]
    np.testing.assert_array_equal(again.labels, np.float32([Y[227], 0, Y[157], 0.25, -0.5, 1, 2]))
    assert [path.name for path in (root / "labels").iterdir()] == [record.path.name]
    assert answers(record.path)["state"].tolist()[1:3] == ["answered", "withdrawn"]


def test_a_run_is_read_and_resumed(root):
    setup = Setup(COUNTING, by_score(epistemic_variance, best), 2, num_rounds=3, num_initial=3, evaluate=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_record(root, "rounds", {"acquisition": "variance"}, "squares") as record:
            assert [ids.tolist() for ids in acquired(record.path).values()] == [[*chain(*ROUNDS)]]
            log = run_eager(KEY, Task(make_pool(X[:40]), jnp.asarray(Y[:40])), setup, record)
    assert [log.start.tolist(), *log.indices[:2].tolist()] == ROUNDS
    assert len(record.rounds()) == 4
    lines = (record.path / "events.jsonl").read_bytes().splitlines()
    assert {line[9:10] for line in lines} == {b"{"}, "no line of an older schema carries a digest, old or new"


def test_tables(root):
    columns = table(root)
    mine = (columns["name"] == "labels") & (columns["kind"] != "round")
    assert columns["kind"][mine].tolist() == ["ask", "tell", "ask", "tell", "skip", "add", "tell", "ask"]
    assert columns["rows"][mine].tolist()[:2] == ["[227,150]"] * 2
    rounds = columns["name"] == "rounds"
    assert columns["rows"][rounds].tolist() == [json.dumps(ids, separators=(",", ":")) for ids in ROUNDS]
    assert columns["counts.training"][rounds].tolist() == [3, 5, 7]
    found = load(root)
    assert found["row"][found["name"] == "labels"].tolist() == ROWS
    rounds = found["name"] == "rounds"
    assert found["row"][rounds].tolist() == [*chain(*ROUNDS)]
    assert found["round"][rounds].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert np.isnan(found["score"][rounds][:3]).all()
    assert (found["score"][rounds][3:] > 2.8).all()


def test_a_run_of_compiled_seeds_is_read():
    """What schema 2 wrote of them, with log_q among what the selector told."""
    columns = load(Path(__file__).parent / "schemas" / "2")
    seeds = {name: values[columns["name"] == "seeds"] for name, values in columns.items()}
    assert seeds["row"].tolist() == [30, 14, 8, 32, 2, 1, 0, 4, 2, 26, 23, 7, 20, 16]
    assert seeds["seed"].tolist() == [0] * 7 + [1] * 7
    assert np.isnan(seeds["log_q"]).tolist() == ([True] * 3 + [False] * 4) * 2
    assert seeds["log_q"][3] == -2.8376944065093994
    assert seeds["metrics.state"][-1] == 6.081796646118164
    assert seeds["done"].all()


def test_second_opinions_and_corrections_are_read():
    columns = load(Path(__file__).parent / "schemas" / "2")
    mine = columns["name"] == "opinions"
    assert columns["row"][mine].tolist() == [227, 150, 227, 227]
    assert columns["label"][mine].tolist() == [4.0, 2.0, 3.0, 1.0]
    assert columns["annotator"][mine].tolist() == ["Ann", "Ann", "Bob", "Ann"]
    assert columns["state"][mine].tolist() == ["answered", "withdrawn", "answered", "corrected"]
    assert columns["weight"][mine].tolist() == [1, 0, 0.5, 0]
    np.testing.assert_array_equal(columns["cost"][mine], [0, 3, np.nan, 2])


def test_a_record_begun_anew_is_of_the_last_schema(root):
    with open_record(root, "labels", {"pool": "squares"}, fresh=True) as record:
        assert record.events == []
    assert json.loads((record.path / "config.json").read_text())["schema"] == 3
    assert len(list((root / "labels" / ".replaced").iterdir())) == 1
    assert "labels" not in load(root)["name"]
