"""Kinds of answers, and labelings, answers and views that make no sense."""

import jax.numpy as jnp
import numpy as np
import pytest
from desks import LABELING, opened
from problem import CENTERS, POOL, Y

from bal.labeling import Desk, Number, image, text
from bal.records import open_record
from bal.strategies import random
from bal.typing import Gaussian, Learner, MultiLabel


@pytest.fixture
def record(tmp_path):
    with open_record(tmp_path, "label", {}) as opened_record:
        yield opened_record


TWO = Learner(
    lambda key, data: jnp.zeros((2, 2)),
    lambda key, state, data: (data.y * data.weight[:, None]).T @ data.x,
    lambda state, x: MultiLabel((x @ state.T)[:, None]),
)
MEAN = Learner(
    lambda key, data: jnp.zeros(()),
    lambda key, state, data: (data.y * data.weight).sum() / (1 + data.weight.sum()),
    lambda state, x: Gaussian(*(state + 0 * x[:, :1] + extra for extra in (0.0, 1.0, 1.0))),
)
SEVERAL = {"several": ("cute", "big"), "learner": TWO}


@pytest.mark.parametrize(
    ("changes", "answer", "kept", "bad"),
    [
        (SEVERAL, ["big"], ("big",), (["small"], "none of")),
        (SEVERAL, [], (), ("big", "a collection of names")),
        ({"number": Number(0, 10, "cm"), "learner": MEAN}, 2.5, 2.5, (11, "from 0 to 10 cm, got 11")),
        ({"number": Number(0, 10), "learner": MEAN}, 10, 10.0, (float("nan"), "from 0 to 10, got nan")),
    ],
)
def test_kinds_of_answers(record, changes, answer, kept, bad):
    with opened(record, classes=None, query=random(), **changes) as desk:
        for _ in range(5):
            desk.answer("ada", desk.next("ada"), answer)
            desk.settle()
        item = desk.next("ada")
        with pytest.raises(ValueError, match=bad[1]):
            desk.answer("ada", item, bad[0])
        assert [entry.answer for entry in desk.history("ada")] == [kept] * 5
        assert desk.progress().round >= 1
        desk.answer("ada", item, answer)
        names = ("mean", "sd") if "number" in changes else ("cute", "big")
        assert tuple(desk.reveal("ada", item).prediction) == names
    with Desk(LABELING._replace(classes=None, query=random(), **changes), record) as again:
        assert [entry.answer for entry in again.history("ada")] == [kept] * 6


def test_soft_answers_are_distributions(record):
    centers = CENTERS._replace(fit=lambda key, state, data: (data.y * data.weight[:, None]).T @ data.x)
    with opened(record, soft=True, learner=centers) as desk:
        for answer in ("red", {"red": 0.25, "blue": 0.75}, [0.0, 0.5, 0.5]):
            desk.answer("ada", desk.next("ada"), answer)
        kept = [entry.answer for entry in reversed(desk.history("ada"))]
        assert kept == ["red", {"red": 0.25, "green": 0, "blue": 0.75}, {"red": 0, "green": 0.5, "blue": 0.5}]
        for bad in ([0.5, 0.5], {"red": 0.5}, {"pink": 1.0}, [2.0, -1.0, 0.0], "pink", None, ["red", "x", 1]):
            with pytest.raises(ValueError, match=r"probabilities that add up to 1|none of"):
                desk.answer("ada", desk.next("ada"), bad)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"classes": None}, "one of classes, several and number, got none of them"),
        ({"number": Number(0, 1)}, "got classes and number"),
        ({"classes": []}, "distinct names of classes"),
        ({"classes": ["a", "a"]}, "distinct names of classes"),
        ({"classes": "ab"}, "distinct names of classes"),
        ({"classes": ["a", "b\x07"]}, "distinct names of classes"),
        ({"keys": {"red": "x", "blue": "X"}}, "'red' and 'blue' have one key"),
        ({"keys": {"red": "s"}}, "is taken: s skips"),
        ({"keys": {"pink": "x"}}, "none of the classes"),
        ({"keys": {"red": "xy"}}, "one letter or digit"),
        ({"classes": None, "number": Number(2, 1)}, "low < high"),
        ({"classes": None, "number": Number(0, float("inf"))}, "both finite"),
        ({"classes": None, "several": ["a"], "soft": True}, "soft answers are distributions"),
        ({"repeat": 1.5}, "repeat as a share"),
        ({"patience": 0.0}, "patience"),
        ({"batch_size": 0}, "batch_size"),
        ({"budget": 0}, "budget"),
        ({"test_rows": [40]}, "test_rows among the 40 rows"),
        ({"test_rows": 3, "test": (POOL.x, Y)}, "test or test_rows, got both"),
        ({"ids": ["a"]}, "expected ids"),
    ],
)
def test_a_labeling_that_makes_no_sense_is_refused(record, changes, match):
    with pytest.raises(ValueError, match=match):
        Desk(LABELING._replace(**changes), record)
    assert not record.events


def test_other_things_are_refused(record):
    with pytest.raises(TypeError, match="render as a function"):
        Desk(LABELING._replace(render="x"), record)
    with opened(record) as desk:
        for name in ("", "  ", "x" * 201, "a\nb"):
            with pytest.raises(ValueError, match="annotator's name"):
                desk.next(name)
        for row in (-1, 40):
            with pytest.raises(ValueError, match="a row from 0 to 39"):
                desk.answer("ada", row, "red")
        with pytest.raises(ValueError, match="none of"):
            desk.answer("ada", desk.next("ada"), "pink")


def test_views_refuse_what_they_cannot_show():
    for pixels in (np.zeros(3), np.zeros((2, 2, 4)), np.full((2, 2), np.nan), np.zeros((3000, 3000)), np.zeros((0, 2))):
        with pytest.raises(ValueError, match="pixels"):
            image(pixels)
    assert image(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).content.dtype == np.uint8
    with pytest.raises(ValueError, match="at most 100000 letters"):
        text("x" * 100_001)
