"""The labeling loop of a notebook without a browser: messages in, answers on record, what is shown out."""

import base64
import json
import sys

import numpy as np
import pytest
from cell_desks import CLASSES, LABELING, NUMBERS, open_desk
from sklearn.naive_bayes import GaussianNB

from bal.labeling import image, scatter, series, table, text
from bal.learners import from_sklearn
from bal.notebook import label
from bal.notebook.clerk import Clerk, plain
from bal.notebook.widget import _kind


def said(clerk, do, **more):
    return {"do": do, "number": clerk.shown["number"], "seconds": 1.5, **more}


def settled(clerk, desk):
    """Wait for the model, then for what it asks for."""
    while clerk.shown["waiting"]:
        desk.settle()
        clerk.take(said(clerk, "next"))


def test_messages_become_answers_on_record(tmp_path):
    with open_desk(tmp_path) as desk:
        clerk, rows = Clerk(desk, "ada"), []
        assert json.loads(json.dumps(clerk.shown)) == clerk.shown  # nothing but what a browser can be sent
        assert clerk.shown["classes"] == [[name, desk.keys[name]] for name in CLASSES]
        assert (clerk.shown["question"], clerk.shown["kind"], clerk.shown["can_undo"]) == ("Which?", "class", False)
        for name in CLASSES:
            settled(clerk, desk)
            rows.append(int(clerk.shown["item"]["view"]["content"][0][1]))
            assert clerk.take(said(clerk, "answer", answer=name))
            assert clerk.shown["fresh"]
        told = [(entry.row, entry.answer, entry.seconds) for entry in reversed(desk.history("ada"))]
        assert told == [(row, name, 1.5) for row, name in zip(rows, CLASSES)]
        assert clerk.shown["words"].startswith("3 labels")
        assert clerk.take(said(clerk, "undo"))
        assert int(clerk.shown["item"]["view"]["content"][0][1]) == rows[-1]
        assert clerk.take(said(clerk, "skip"))
        last = [(entry.row, entry.answer, entry.state) for entry in desk.history("ada")][:2]
        assert last == [(rows[-1], None, "stands"), (rows[-1], CLASSES[-1], "withdrawn")]


def test_a_message_counts_once_and_a_refusal_keeps_the_row(tmp_path):
    with open_desk(tmp_path) as desk:
        clerk = Clerk(desk, "ada")
        once = said(clerk, "answer", answer="red")
        assert clerk.take(once)
        shown = clerk.shown
        assert not clerk.take(once)  # a key that was hit twice
        assert not clerk.take({})
        assert clerk.shown is shown
        assert len(desk.history("ada")) == 1
        settled(clerk, desk)
        row = clerk.shown["item"]
        assert clerk.take(said(clerk, "answer", answer="purple"))
        assert "purple" in clerk.shown["fault"]
        assert (clerk.shown["item"], clerk.shown["fresh"]) == (row, False)
        assert clerk.take(said(clerk, "answer", answer="green"))
        assert clerk.shown["fault"] is None
        assert len(desk.history("ada")) == 2


def test_a_row_that_cannot_be_shown_can_be_skipped(tmp_path):
    def ill(row):
        raise OSError(f"no file for {row}")

    with open_desk(tmp_path, LABELING._replace(render=ill)) as desk:
        clerk = Clerk(desk, "ada")
        assert clerk.shown["item"]["view"] is None
        assert "OSError: no file for" in clerk.shown["item"]["error"]
        assert clerk.take(said(clerk, "skip"))
        assert desk.history("ada")[0].answer is None


def test_numbers_have_a_range(tmp_path):
    with open_desk(tmp_path, NUMBERS) as desk:
        clerk = Clerk(desk, "ada")
        assert (clerk.shown["kind"], clerk.shown["range"]) == ("number", {"low": 0.0, "high": 10.0, "unit": "mm"})
        assert clerk.take(said(clerk, "answer", answer=11))
        assert "10" in clerk.shown["fault"]
        assert clerk.take(said(clerk, "answer", answer=4))
        assert [entry.answer for entry in desk.history("ada")] == [4.0]


def test_views_are_plain_and_whole():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    sent = json.loads(json.dumps(plain(image(pixels))))["content"]
    there = np.frombuffer(base64.b64decode(sent["rgba"]), np.uint8).reshape(sent["height"], sent["width"], 4)
    assert (there[..., :3] == pixels).all()
    assert (there[..., 3] == 255).all()
    assert plain(text("<i>")) == {"kind": "text", "content": "<i>", "alt": "text"}
    assert plain(table({"a": 1}))["content"] == [["a", "1"]]
    for view in (series([3.0, 1.0]), scatter([0, 1], [3, 1])):
        assert json.loads(json.dumps(plain(view)))["content"] == {"x": [0.0, 1.0], "y": [3.0, 1.0]}


def test_without_anywidget_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    _kind.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with open_desk(tmp_path) as desk, pytest.raises(ImportError, match=r"anywidget.*pip install 'bal-jax\[notebook\]'"):
        label(desk)
    with pytest.raises(TypeError, match=r"expected an open bal\.labeling\.Desk, got str"):
        label("desk")


def test_the_widget_speaks_by_its_traits(tmp_path):
    pytest.importorskip("anywidget", reason="needs anywidget: pip install 'bal-jax[notebook]'")
    _kind.cache_clear()
    with open_desk(tmp_path) as desk:
        widget = label(desk, "ada")
        first = widget.shown
        widget.told = {"do": "answer", "number": first["number"], "answer": "red", "seconds": 0.5}
        assert widget.shown["number"] == first["number"] + 1
        assert [(entry.answer, entry.seconds) for entry in desk.history("ada")] == [("red", 0.5)]
        assert "export default" in widget._esm
        held = desk.next("ada")
        widget.close()
        assert desk.next("bob").row == held.row


def test_more_classes_than_keys(tmp_path):
    names = [f"class {number}" for number in range(40)]
    learner = from_sklearn(GaussianNB(), num_classes=40)
    with open_desk(tmp_path, LABELING._replace(classes=names, learner=learner)) as desk:
        shown = Clerk(desk, "ada").shown["classes"]
    assert [name for name, _ in shown] == names
    assert shown[-1][1] is None


def test_what_could_not_be_stored_is_said_and_the_row_stays(tmp_path, monkeypatch):
    def full(*told):
        raise OSError("no space left on device")

    with open_desk(tmp_path) as desk:
        clerk = Clerk(desk, "ada")
        row = clerk.shown["item"]
        with monkeypatch.context() as patch:
            patch.setattr(desk, "answer", full)
            assert clerk.take(said(clerk, "answer", answer="red"))
        assert clerk.shown["fault"] == "Not stored: no space left on device"
        assert (clerk.shown["item"], clerk.shown["fresh"]) == (row, False)
        assert clerk.take(said(clerk, "answer", answer="red"))
        assert clerk.shown["fault"] is None
        assert len(desk.history("ada")) == 1
