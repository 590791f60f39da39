"""Answers that are corrected, withdrawn, doubled, soft or told by name: what training sees of them, and what stays."""

import csv
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from campaigns import COUNTING, KEY, Kept, X, Y, open_campaign, same, told
from problem import CLASSES, LEARNER, MOVING, QUERY, SETUP, TASK

from bal.acquisition import bald, epistemic_variance
from bal.learners import ensemble, mlp
from bal.learners.likelihood import categorical
from bal.loop import Campaign, run
from bal.loop.doors import check_answers
from bal.pool import host
from bal.query import by_score
from bal.records import answers, open_record
from bal.selection import best

POINTS = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
SIGNS = (POINTS[:, 0] > 0).astype(int)


def classify(**changes):
    arguments = {"learner": MOVING, "query": QUERY, "x": POINTS, "capacity": 20, "num_classes": CLASSES, **changes}
    return Campaign(KEY, **arguments)


def sum_of_answers(campaign):
    """What the learner saw: its state is the number of fits, and the weighted sum of the labels."""
    return float(campaign.posterior.state - campaign._now.state) - 1


def test_a_corrected_label_is_as_if_it_had_been_told_at_once():
    """In predictions and picks, exactly; both answers are on record, the wrong one with weight 0."""
    right, campaign = classify(), classify()
    wrong = SIGNS[:8].copy()
    wrong[3] = 2
    campaign.tell(np.arange(8), wrong)
    campaign.correct([3], [SIGNS[3]])
    right.tell(np.arange(8), SIGNS[:8])
    np.testing.assert_array_equal(campaign.predict(POINTS), right.predict(POINTS))
    assert campaign.ask(3).tolist() == right.ask(3).tolist()
    assert campaign.num_labeled == 8
    assert campaign.labels.tolist() == SIGNS[:8].tolist()
    log = campaign._now.book.log
    assert (log.indices[8], log.y[8], log.weight[8]) == (3, 2, 0)


def test_a_correction_can_be_corrected_and_keeps_its_weight_and_annotator():
    campaign = open_campaign()
    campaign.tell([4], [1.0], annotator="Ann", weight=0.5)
    campaign.correct([4], [2.0])
    campaign.correct([4], [8.0], annotator="Ann")
    assert campaign.labels.tolist() == [8]
    assert sum_of_answers(campaign) == 4
    log, names = campaign._now.book.log, campaign._now.book.annotators
    assert log.y[:3].tolist() == [8, 1, 2]
    assert {names[number] for number in log.annotator[:3]} == {"Ann"}


def test_a_withdrawn_row_is_as_if_it_had_never_been_asked_for():
    few = {"x": X[:4], "capacity": 9}
    campaign = open_campaign(**few)
    campaign.tell([0, 1, 2], [1.0, 2.0, 4.0])
    campaign.withdraw([1])
    assert (campaign.num_labeled, campaign.indices.tolist(), sum_of_answers(campaign)) == (2, [0, 2], 5)
    assert sorted(campaign.ask(2).tolist()) == [1, 3]
    campaign.skip([1])
    assert campaign.skipped.tolist() == [1]
    campaign.withdraw([0, 2])
    assert campaign.num_labeled == 0
    assert sorted(campaign.ask(2).tolist()) == [0, 2]  # at random, as at the beginning
    campaign.tell([0], [9.0])
    assert campaign.labels.tolist() == [9]


def test_second_opinions_stand_side_by_side():
    campaign = open_campaign()
    campaign.tell([4, 5], [1.0, 2.0], annotator="Ann")
    campaign.tell([4], [3.0], annotator="Bob", weight=0.5)
    campaign.tell([5], [4.0], annotator="Ann", again=True)
    assert campaign.num_labeled == 2
    assert campaign.indices.tolist() == [4, 5, 4, 5]
    assert campaign.labels.tolist() == [1, 2, 3, 4]
    assert sum_of_answers(campaign) == 1 + 2 + 1.5 + 4
    with pytest.raises(ValueError, match=r"row 4 has labels of Ann, Bob; say whose is corrected by annotator="):
        campaign.correct([4], [0.0])
    campaign.correct([4], [7.0], annotator="Bob")
    campaign.withdraw([5], annotator="Ann")  # both of hers
    assert campaign.indices.tolist() == [4, 4]
    assert campaign.labels.tolist() == [1, 7]
    assert 5 in open_campaign(x=X[:6], capacity=9).ask(6)


def test_weights_costs_and_annotators_may_differ_by_row():
    campaign = open_campaign(cost=np.arange(1.0, 301))
    campaign.tell([4, 5], [1.0, 2.0], annotator=["Ann", "Bob"], weight=[1.0, 0.25], cost=[3.0, 5.0])
    campaign.tell([6], [4.0])
    assert sum_of_answers(campaign) == 5.5
    table = campaign._columns()
    assert table["annotator"] == ["Ann", "Bob", None]
    assert table["cost"] == [3, 5, 7]


def test_classes_have_names(tmp_path):
    names = ["cat", "dog", "emu"]
    with open_record(tmp_path, "names", {}) as record:
        campaign = classify(num_classes=None, classes=names, record=record)
        campaign.tell([0, 1, 2], np.array(["dog", "emu", "cat"]))
        campaign.correct([1], ["dog"])
        for bad in ("dgo", 1, None):
            with pytest.raises(ValueError, match=r"of row 7 is none of the classes \['cat', 'dog', 'emu'\]"):
                campaign.tell([7], [bad])
    assert campaign.labels.tolist() == ["dog", "dog", "cat"]
    assert answers(record.path)["label"] == ["dog", "dog", "cat", "emu"]
    with open_record(tmp_path, "names", {}) as record:
        assert classify(num_classes=None, classes=names, record=record).labels.tolist() == ["dog", "dog", "cat"]
        with pytest.raises(ValueError, match="the record is of classes"):
            classify(num_classes=None, classes=["dog", "cat", "emu"], record=record)
    numbered = classify()
    numbered.tell([0, 1, 2], [1, 1, 0])
    np.testing.assert_array_equal(campaign.predict(POINTS[:4]), numbered.predict(POINTS[:4]))


def test_names_come_to_a_record_that_had_numbers():
    record = Kept()
    campaign = classify(record=record)
    campaign.tell([0, 1], [2, 0])
    assert classify(num_classes=None, classes=["a", "b", "c"], record=record).labels.tolist() == ["c", "a"]


def test_the_loss_of_a_soft_label_is_the_mean_loss_of_its_classes():
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    soft = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(3), 4), jnp.float32)
    hard = jnp.stack([categorical.loss(outputs, jnp.full(4, c)) for c in range(3)], 1)
    np.testing.assert_allclose(categorical.loss(outputs, soft), (soft * hard).sum(1), rtol=1e-6)


def test_soft_labels_teach_what_they_say(tmp_path):
    learner = ensemble(mlp((), num_outputs=2), 2, num_steps=200, minibatch_size=8, optimizer=optax.adam(0.05))
    with open_record(tmp_path, "soft", {}) as record:
        campaign = classify(learner=learner, classes=["no", "yes"], num_classes=None, soft=True, record=record)
        campaign.tell([0, 1], [[0.3, 0.7], [0.3, 0.7]])
        campaign.tell([2], ["yes"])
        campaign.correct([2], [[0.3, 0.7]])
    assert campaign.labels.tolist() == [[pytest.approx(0.3), pytest.approx(0.7)]] * 3
    assert answers(record.path)["label"][:2] == [[0.3, 0.7]] * 2
    found = np.exp(campaign.predict(POINTS[:3])).mean(1)
    np.testing.assert_allclose(found, [[0.3, 0.7]] * 3, atol=0.05)
    assert campaign._columns()["label.yes"][3] == 1  # the answer that was corrected
    for bad, message in (([[0.3, 0.8]], "no distribution"), ([[1.0]], "1 distributions over 2 classes")):
        with pytest.raises(ValueError, match=message):
            campaign.tell([9], bad)


def centers_of_soft_labels(key, state, data):
    """Means of the inputs of each class, to which a row belongs as much as its label says."""
    belongs = data.y if data.y.ndim == 2 else jax.nn.one_hot(data.y, CLASSES)
    belongs = belongs.T * data.weight[None]
    return belongs @ data.x / (1 + belongs.sum(1, keepdims=True))


def test_soft_labels_pass_the_doors_of_runs():
    """Classes as distributions that are certain: the picks of the classes; what is no distribution is named."""
    soft = np.eye(CLASSES, dtype=np.float32)[TASK.oracle]
    learner = MOVING._replace(fit=centers_of_soft_labels)
    once = jax.jit(partial(run, setup=SETUP._replace(learner=learner, num_rounds=1, evaluate=None)))
    found = [once(KEY, TASK._replace(oracle=y)) for y in (TASK.oracle, soft)]
    assert found[0].indices.tolist() == found[1].indices.tolist()
    check = lambda y: check_answers(jax.ShapeDtypeStruct((2, 3, CLASSES), "float32"), y, np.arange(2))
    assert check(soft[:2]) is not None
    with pytest.raises(ValueError, match=r"the label of row 1.* is no distribution"):
        check(np.array([[1.0, 0, 0], [0.5, 0.4, 0]]))


def test_a_learner_that_takes_no_soft_labels_says_so_at_the_door():
    with pytest.raises(ValueError, match="expected one label for each"):
        classify(learner=LEARNER._replace(fit=lambda key, state, data: COUNTING.fit(key, 0.0, hard(data))), soft=True)


def hard(data):
    if data.y.ndim != 1:
        raise ValueError("expected one label for each row")
    return data


def test_one_fit_between_two_events():
    """Predictions, posterior and the next ask share it."""
    fits = []
    learner = COUNTING._replace(fit=lambda *given: fits.append(1) or COUNTING.fit(*given))
    campaign = open_campaign(learner=learner, over=host(), query=by_score(epistemic_variance, best))
    campaign.tell([0, 1], [1.0, 2.0])
    campaign.predict(X[:3])
    assert float(campaign.posterior.state) == float(campaign.posterior.state) == 4
    campaign.ask(1)
    assert len(fits) == 1
    campaign.tell([9], [0.5])
    campaign.predict(X[:3])
    assert len(fits) == 2


def test_the_posterior_is_that_of_the_next_ask():
    campaign = classify()
    with pytest.raises(ValueError, match="nothing is labeled yet"):
        campaign.posterior  # noqa: B018
    campaign.tell(np.arange(6), SIGNS[:6])
    posterior = campaign.posterior
    np.testing.assert_array_equal(jax.jit(posterior.learner.predict)(posterior.state, POINTS), campaign.predict(POINTS))
    campaign.ask(1)
    for one, two in zip(jax.tree.leaves(posterior.state), jax.tree.leaves(campaign._now.state), strict=True):
        np.testing.assert_array_equal(one, two)


def test_repr_says_where_it_stands():
    campaign = open_campaign(capacity=20)
    told(campaign)
    campaign.skip(campaign.ask(3)[:1])
    first, learner, query = repr(campaign).splitlines()
    assert first == "Campaign of 300 rows: 2 labeled, 2 pending, 1 skipped; 5 of 20 places taken"
    assert learner.startswith("  learner: Learner(")
    assert query.startswith("  query: ")


class Frame:
    """As much of a data frame as the door looks at."""

    columns = ("a", "b")

    def __init__(self, rows, index):
        self.rows, self.index = rows, index

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.rows, dtype)


EVENTS = [
    lambda c: c.tell([4, 9], [1.0, 2.0], annotator="Ann"),
    lambda c: c.tell([4], [3.0], annotator="Bob", weight=0.5),
    lambda c: c.correct([9], [2.5]),
    lambda c: c.withdraw([4], annotator="Bob"),
    lambda c: c.skip(c.ask(2)[:1]),
    lambda c: c.tell([4], [7.0], again=True),
]


def test_what_is_exported_is_what_is_on_record(tmp_path, monkeypatch):
    """Two ways to the same lines: from the log, and from the events on record."""
    names = [f"row {number}" for number in range(len(X))]
    with open_record(tmp_path, "export", {}) as record:
        campaign = open_campaign(record, x=Frame(X, names))
        for event in EVENTS:
            event(campaign)
        again = open_campaign(record, x=Frame(X, names))
    recorded = answers(record.path)
    monkeypatch.setitem(sys.modules, "polars", type("polars", (), {"DataFrame": staticmethod(dict)}))
    for table in (campaign.to_frame(), again.to_frame()):
        for name in ("row", "id", "label", "annotator", "weight", "state"):
            assert list(table[name]) == list(recorded[name]), name
    assert table["state"].count("pending") == 1
    assert table["id"][0] == "row 4"
    campaign.to_csv(tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["row", "id", "label", "annotator", "weight", "cost", "time", "state"]
    assert [line["label"] for line in lines] == ["" if label is None else str(label) for label in recorded["label"]]
    assert campaign.ids[campaign.indices].tolist()[:2] == ["row 4", "row 9"]


def test_without_a_library_of_frames_the_way_out_is_named(monkeypatch):
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"needs polars or pandas.*to_csv"):
        open_campaign().to_frame()


def test_a_real_frame_takes_all_answers():
    polars = pytest.importorskip("polars")
    campaign = open_campaign()
    for event in EVENTS:
        event(campaign)
    frame = campaign.to_frame()
    assert frame.filter(polars.col("state") == "answered")["label"].to_list() == campaign.labels.tolist()


def test_added_rows_bring_their_names():
    campaign = open_campaign(x=X[:3], pool_capacity=6, ids=["a", "b", "c"], capacity=6)
    campaign.add(X[3:4], ids=["d"])
    campaign.add(X[4:5])
    assert campaign.ids.tolist() == ["a", "b", "c", "d", "4"]
    with pytest.raises(ValueError, match="ids of new rows that no other row has"):
        campaign.add(X[5:6], ids=["a"])
    with pytest.raises(ValueError, match="a different one for each of 3 rows"):
        open_campaign(x=X[:3], ids=["a", "a", "c"])


@pytest.mark.parametrize("stop", range(1, len(EVENTS) + 1))
def test_opened_again_behind_any_event(stop):
    record = Kept()
    campaign = open_campaign(record)
    for event in EVENTS[:stop]:
        event(campaign)
    again = open_campaign(record)
    assert same(again, campaign)
    assert again.predict(X[:3]).variance.tolist() == campaign.predict(X[:3]).variance.tolist()


def test_fix_a_wrong_label_and_export_all(tmp_path):
    campaign = classify(num_classes=None, classes=["cat", "dog", "emu"], query=by_score(bald, best))
    campaign.tell([0, 1], ["dog", "emu"])
    campaign.correct([1], ["cat"])
    campaign.to_csv(tmp_path / "labels.csv")
    assert "0,dog,,1.0,1.0,0,answered" in (tmp_path / "labels.csv").read_text().splitlines()
    assert Y.shape == (300,)
