"""The desk as people use it, one after the other and several at once, without any page."""

import threading
import time

import numpy as np
import pytest
from desks import LABELING, NAMES, TRUTH, label_some, opened
from problem import CENTERS, CLASSES, POOL, QUERY, Y

from bal.evaluation import label_budget
from bal.labeling import Desk, Finished, Item, Waiting, text
from bal.learners import from_functions
from bal.loop import replay
from bal.records import RecordLockedError, answers, open_record
from bal.typing import Setup, Task


@pytest.fixture
def record(tmp_path):
    with open_record(tmp_path, "label", {}) as opened_record:
        yield opened_record


def test_answers_are_on_record_with_who_and_how_long_and_the_query_asks(record):
    with opened(record) as desk:
        rows = label_some(desk, "ada", 10)
        desk.settle()
        assert desk.progress().round >= 2
    assert len(set(rows)) == 10
    found = answers(record.path)
    answered = found["state"] == "answered"
    assert sorted(found["row"][answered].tolist()) == sorted(rows)
    for place in np.flatnonzero(answered):
        assert found["label"][place] == TRUTH[found["row"][place]]
    assert found["seconds"][answered].tolist() == [0.5] * 10
    assert [found["annotator"][place] for place in np.flatnonzero(answered)] == ["ada"] * 10
    # rows asked for by a fit are those that the query picks: made again from the record
    again = replay(record.path, Task(POOL, Y), Setup(CENTERS, QUERY, 4, 1, 0))
    assert again.agrees
    assert len(again.rounds) >= 3


def test_the_same_item_until_it_is_answered(record):
    with opened(record) as desk:
        item = desk.next("ada")
        assert desk.next("ada") == item
        desk.answer("ada", item, TRUTH[item.row])
        for again in (item, item.row):  # a double press, another tab
            with pytest.raises(ValueError, match=f"ada has answered row {item.row} already"):
                desk.answer("ada", again, "red")
        assert desk.next("ada").row != item.row
        assert desk.progress().labels == 1


def test_two_annotators_have_rows_of_their_own(record):
    with opened(record) as desk:
        rows = {"ada": [], "bob": []}
        work = lambda name: rows[name].extend(label_some(desk, name, 12))
        threads = [threading.Thread(target=work, args=(name,)) for name in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(rows["ada"] + rows["bob"])) == 24
        assert desk.progress().by_annotator == {"ada": 12, "bob": 12}


def test_who_leaves_gives_rows_back(record):
    with opened(record, patience=0.05) as desk:
        one, two = desk.next("ada"), desk.next("bob")
        desk.release("ada")
        assert desk.next("cy").row == one.row
        time.sleep(0.1)
        assert desk.next("dan").row in (one.row, two.row)  # bob and cy have been silent
        desk.answer("bob", two, TRUTH[two.row])  # late, and not lost
        assert desk.progress().labels == 1


def test_undo_and_correct_stay_on_record(record):
    with opened(record) as desk:
        first = desk.next("ada")
        desk.answer("ada", first, "red")
        second = desk.next("ada")
        desk.answer("ada", second, "green", seconds=2.0)
        held = desk.next("ada")
        back = desk.undo("ada")
        assert (back.row, desk.next("ada").row) == (second.row, second.row)
        desk.answer("ada", back, "blue")
        assert desk.next("ada") == held  # what was on the table is still there
        desk.correct("ada", first.row, "green")
        states = [(entry.row, entry.answer, entry.state) for entry in reversed(desk.history("ada"))]
        assert states == [
            (first.row, "red", "corrected"),
            (second.row, "green", "withdrawn"),
            (second.row, "blue", "stands"),
            (first.row, "green", "stands"),
        ]
        with pytest.raises(ValueError, match="bob has given no answer"):
            desk.undo("bob")
        with pytest.raises(ValueError, match="bob has no answer to row"):
            desk.correct("bob", first.row, "red")
    found = answers(record.path)
    states = sorted(found["state"][found["state"] != "pending"].tolist())
    assert states == ["answered", "answered", "corrected", "withdrawn"]


def test_skips_are_kept_undone_and_answered_after_all(record):
    with opened(record) as desk:
        item = desk.next("ada")
        desk.skip("ada", item, seconds=3.0)
        assert desk.progress().skipped == 1
        back = desk.undo("ada")
        assert back.row == item.row
        desk.skip("ada", back)
        desk.correct("ada", item.row, "red")
        assert (desk.progress().skipped, desk.progress().labels) == (0, 1)
        desk.undo("ada")  # the answer is withdrawn ...
        desk.skip("ada", item.row)  # ... and the row given up although it is not pending
        rows = label_some(desk, "ada", 30)
        assert item.row not in rows
        assert desk.history("ada")[-1].seconds == 3.0


def test_the_score_is_hidden_until_the_answer(record):
    with opened(record) as desk:
        label_some(desk, "ada", 8)
        desk.settle()
        item = desk.next("ada")
        assert item.from_round > 0
        assert "score" not in item._fields
        with pytest.raises(ValueError, match="is shown once ada has answered"):
            desk.reveal("ada", item)
        desk.answer("ada", item, TRUTH[item.row])
        seen = desk.reveal("ada", item)
        with pytest.raises(ValueError, match="is shown once bob has answered"):
            desk.reveal("bob", item)
        assert seen.score is not None
        assert sum(seen.prediction.values()) == pytest.approx(1)
        assert set(seen.prediction) == set(NAMES)


def test_it_goes_on_where_it_was(record, tmp_path):
    with opened(record, repeat=0.5, test_rows=6) as desk:
        label_some(desk, "ada", 12)
        desk.skip("ada", desk.next("ada"))
        desk.settle()
        before, history = desk.progress(), desk.history("ada")
    with opened(record, repeat=0.5, test_rows=6) as desk:
        after = desk.progress()
        assert desk.history("ada") == history
        assert after._replace(labels_per_hour=0, quality=None) == before._replace(labels_per_hour=0, quality=None)
        desk.undo("ada")
        rows = label_some(desk, "ada", 10)
        assert not set(rows) & {entry.row for entry in history if entry.answer is not None and entry.what != "first"}
    with pytest.raises(ValueError, match="another labeling: its test_rows differ"):
        Desk(LABELING, record)
    with pytest.raises(RecordLockedError, match="open in this very process"):
        open_record(tmp_path, "label", {})


def slowly(started, go_on):
    """A learner whose fit waits for a sign: class means on the host."""

    def fit(x, y):
        started.set()
        assert go_on.wait(60)
        return np.stack([x[y == label].mean(0) if (y == label).any() else np.zeros(2) for label in range(CLASSES)])

    def predict(means, x):
        chance = np.exp(-np.square(x[:, None] - means[None]).sum(-1)) + 1e-6
        return chance / chance.sum(-1, keepdims=True)

    return from_functions(fit, predict)


def test_nobody_waits_for_a_fit(record):
    """While a fit hangs, answers are taken and rows of the round before are shown; afterwards those of the fit."""
    started, go_on = threading.Event(), threading.Event()
    with opened(record, learner=slowly(started, go_on)) as desk:
        label_some(desk, "ada", 4)
        assert started.wait(60)
        for _ in range(4):  # would hang for ever
            item = desk.next("ada")
            desk.answer("ada", item, TRUTH[item.row])
            assert item.from_round == 0
            assert desk.progress().refitting
        assert isinstance(desk.next("ada"), Waiting)
        assert not go_on.is_set()
        go_on.set()
        desk.settle()
        assert desk.next("ada").from_round >= 1
    asks = [event for event in record.events if event["kind"] == "ask"]
    assert asks[1]["late"] >= 4  # the first fit did not see what was answered meanwhile


def test_a_failed_fit_is_said_and_the_next_answer_tries_again(record):
    broken = [True]

    def fit(x, y):
        if broken[0]:
            raise RuntimeError("out of\nluck")
        return np.zeros(1)

    learner = from_functions(fit, lambda model, x: np.full((len(x), 3), 1 / 3))
    with opened(record, learner=learner) as desk:
        label_some(desk, "ada", 8)
        desk.settle()
        assert desk.progress().fault == "RuntimeError: out of luck"
        assert isinstance(found := desk.next("ada"), Waiting)
        assert "out of luck" in found.reason
        broken[0] = False
        desk.correct("ada", desk.history("ada")[0].row, "red")
        desk.settle()
        assert desk.progress().fault is None
        assert isinstance(desk.next("ada"), Item)


def test_labeling_ends_and_says_why(record):
    with opened(record, budget=9) as desk:
        label_some(desk, "ada", 9)
        assert desk.next("ada") == Finished("the budget of 9 labels is reached")
        assert desk.progress().budget_left == 0
    with opened(record, stop=label_budget(10)) as desk:
        for _ in range(12):
            if isinstance(item := desk.next("ada"), Item):
                desk.answer("ada", item, TRUTH[item.row])
            desk.settle()
        assert "would exceed the budget of 10" in desk.next("ada").reason
    with opened(record) as desk:
        label_some(desk, "ada", 40 - desk.progress().labels)
        assert desk.next("ada") == Finished("every row has been asked for")


def test_second_opinions_on_demand_and_by_share(record):
    with opened(record, repeat=0.4) as desk:
        rows = label_some(desk, "ada", 10)
        seen = []
        for _ in range(12):
            item = desk.next("bob")
            seen.append((item.what, item.row))
            desk.answer("bob", item, "red")
            desk.settle()
        second = [row for what, row in seen if what == "second"]
        assert second
        assert set(second) < set(rows)
        assert desk.agreement().num_rows == len(second)
        quiet = next(row for row in rows if row not in second)
        stranger = next(row for row in range(40) if row not in rows and ("first", row) not in seen)
        with pytest.raises(ValueError, match=f"row {stranger} has no first answer"):
            desk.second_opinion("bob", stranger)
        desk.release("bob")
        desk.second_opinion("ada", quiet)
        shown = [desk.next("cy")]
        while shown[-1].row != quiet:
            assert shown[-1].what == "second"
            desk.answer("cy", shown[-1], "green")
            shown.append(desk.next("cy"))
        assert shown[-1].what == "second"


def test_alone_one_is_asked_again_and_the_campaign_does_not_learn_it(record):
    with opened(record, repeat=1.0) as desk:
        what = []
        for _ in range(16):
            desk.settle()
            item = desk.next("ada")
            what.append(item.what)
            desk.answer("ada", item, TRUTH[item.row])
        assert what[:10] == ["first"] * 10
        again = what.count("again")
        assert again
        assert desk.agreement(with_self=True)[:2] == (again, 1.0)
        assert desk.agreement().num_rows == 0
        assert desk.progress().labels == 16 - again
    assert (answers(record.path)["state"] == "answered").sum() == 16 - again


def test_test_rows_are_held_out_and_give_an_honest_accuracy(record):
    with opened(record, test_rows=[3, 5, 8, 13, 21, 34], test_share=0.5) as desk:
        what = {}
        for _ in range(20):
            desk.settle()
            item = desk.next("ada")
            what.setdefault(item.what, []).append(item.row)
            desk.answer("ada", item, TRUTH[item.row])
        assert sorted(what["test"]) == [3, 5, 8, 13, 21, 34]
        assert not set(what["first"]) & set(what["test"])
        assert desk.progress().labels == len(what["first"]) == 14
        desk.settle()
        found = desk.progress().quality
    # by hand: class means of what the last ask saw, on the six rows
    events = [event for event in record.events if event["kind"] in ("ask", "tell")]
    last = max(place for place, event in enumerate(events) if event["kind"] == "ask")
    told = [event for event in events[: last - events[last].get("late", 0)] if event["kind"] == "tell"]
    pool = np.setdiff1d(np.arange(40), what["test"])
    rows, y = pool[[event["rows"][0] for event in told]], np.array([event["labels"][0] for event in told])
    x = LABELING.x
    means = np.stack([x[rows[y == label]].sum(0) / (1 + (y == label).sum()) for label in range(CLASSES)])
    nearest = np.square(x[what["test"]][:, None] - means).sum(-1).argmin(-1)
    right = (nearest == np.asarray(Y)[what["test"]]).mean()
    assert (found.name, found.num_labels, found.num_rows) == ("accuracy", 6, 6)
    assert found.value == pytest.approx(right, abs=1e-3)
    assert found.low < found.value <= found.high
    assert set(answers(record.path)["id"]) <= set(pool.tolist())  # rows are named by their numbers among all


def test_what_render_raises_is_said_and_the_row_can_be_skipped(record):
    def render(row):
        if row % 2:
            raise KeyError(f"no picture of row {row}")
        return "a text" if row % 4 else text("fine")

    with opened(record, render=render) as desk:
        seen = set()
        for _ in range(20):
            desk.settle()
            item = desk.next("ada")
            wrong = "KeyError" if item.row % 2 else "render must return a View, got str" if item.row % 4 else None
            assert (item.view is None) == (item.error is not None) == (wrong is not None)
            assert wrong is None or wrong in item.error
            seen.add(wrong)
            desk.skip("ada", item)
        assert len(seen) == 3


def test_an_answer_becomes_cannot_tell(record):
    with opened(record, test_rows=[3, 5, 8, 13], test_share=0.5) as desk:
        items = {}
        while set(items) != {"first", "test"}:
            item = desk.next("ada")
            items[item.what] = item.row
            desk.answer("ada", item, TRUTH[item.row])
        labels = desk.progress().labels
        for row in items.values():
            desk.correct("ada", row, None)
        assert [(entry.row, entry.answer) for entry in desk.history("ada") if entry.state == "stands"][:2] == [
            (row, None) for row in reversed(items.values())
        ]
        assert (desk.progress().labels, desk.progress().skipped) == (labels - 1, 1)
        desk.correct("ada", items["first"], None)  # it is that already
        history = desk.history("ada")
    with opened(record, test_rows=[3, 5, 8, 13], test_share=0.5) as desk:
        assert desk.history("ada") == history
        desk.correct("ada", items["first"], "blue")
        assert (desk.progress().labels, desk.progress().skipped) == (labels, 0)


def test_a_row_that_was_taken_back_is_shown_after_a_kill(record):
    with opened(record) as desk:
        label_some(desk, "ada", 3)
        back = desk.undo("ada")
        skipped = desk.next("bob")
        desk.skip("bob", skipped)
        desk.undo("bob")
        assert desk.progress().skipped == 0
    with opened(record) as desk:
        assert {desk.next("ada").row, desk.next("bob").row} == {back.row, skipped.row}
