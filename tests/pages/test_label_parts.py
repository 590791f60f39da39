"""What the page of labels makes of data, without a browser or its library."""

import base64
import io
import json

import numpy as np
import pytest

from bal.labeling import Agreement, Labeling, Number, Progress, Quality, Reveal, series
from bal.labeling.page.answers import in_words, read
from bal.labeling.page.drawing import placed, thinned
from bal.labeling.page.panels import facts_in_words, state_in_words, thought_in_words
from bal.pages import png

KINDS = {
    "one": Labeling(None, None, None, None, classes=["cat", "dog", "eel"]),  # type: ignore[arg-type]
    "soft": Labeling(None, None, None, None, classes=["cat", "dog", "eel"], soft=True),  # type: ignore[arg-type]
    "several": Labeling(None, None, None, None, several=["red", "big"]),  # type: ignore[arg-type]
    "number": Labeling(None, None, None, None, number=Number(0, 9, "mm")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(
    ("kind", "given", "answer"),
    [
        ("one", {"index": 2}, "eel"),
        ("soft", {"index": 0}, "cat"),
        ("soft", {"weights": [50, 0, 150 / 2]}, {"cat": 0.4, "dog": 0.0, "eel": 0.6}),
        ("several", {"indices": [1, 0, 1]}, ["red", "big"]),
        ("several", {"indices": []}, []),
        ("number", {"value": "1.5"}, 1.5),
    ],
)
def test_answers_of_the_page(kind, given, answer):
    assert read(KINDS[kind], json.loads(json.dumps(given))) == answer


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("one", {"index": 3}),
        ("one", {"index": -1}),
        ("one", {"index": "0"}),
        ("one", {"weights": [1, 1, 1]}),
        ("one", "cat"),
        ("one", None),
        ("soft", {"weights": [0, 0, 0]}),
        ("soft", {"weights": [1, 1]}),
        ("soft", {"weights": [1, 1, -1]}),
        ("soft", {"weights": [1, 1, float("nan")]}),
        ("soft", {"weights": [1, 1, 1e300]}),
        ("soft", {"weights": [1, 1, "1"]}),
        ("several", {"indices": [2]}),
        ("several", {"indices": [[0]]}),
        ("several", {"indices": "01"}),
        ("number", {"value": "nan"}),
        ("number", {"value": "many"}),
        ("number", {"value": "1" * 50}),
        ("number", {"value": 3}),
    ],
)
def test_what_is_no_answer_is_refused(kind, given):
    with pytest.raises(ValueError, match=r"reload the page|could not convert"):
        read(KINDS[kind], given)


def test_answers_in_words():
    assert in_words(KINDS["one"], None) == "cannot tell"
    assert in_words(KINDS["one"], "cat") == "cat"
    assert in_words(KINDS["soft"], {"cat": 0.25, "dog": 0.75, "eel": 0.0}) == "dog 75%, cat 25%"
    assert in_words(KINDS["several"], ("red", "big")) == "red, big"
    assert in_words(KINDS["several"], ()) == "none of them"
    assert in_words(KINDS["number"], 2.50) == "2.5 mm"


@pytest.mark.parametrize("shape", [(5, 3), (4, 6, 3)])
def test_a_picture_arrives_as_it_is(shape):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    kind, _, content = png(pixels).partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), pixels)


def test_a_long_series_is_thinned_and_loses_nothing_that_sticks_out():
    y = np.random.default_rng(0).normal(size=20_000)
    y[[7, 12_345]] = 50, -60
    x, kept = thinned(series(y))
    assert len(kept) <= 2_400
    assert np.array_equal(kept, y[x.astype(int)])
    assert (np.diff(x) > 0).all()
    assert {50, -60} <= set(kept)
    short = thinned(series(y[:2_400]))
    assert np.array_equal(short[1], y[:2_400])


def test_places():
    assert placed(np.array([1.0, 2.0, 3.0]), 100, 0, 1.0, 3.0).tolist() == [100, 50, 0]
    assert placed(np.array([7.0]), 0, 10, 7.0, 7.0).tolist() == [5]


def test_where_labeling_stands_in_words():
    progress = Progress(12, 15, 1, 85, 88, 310.4, None, 3, True, None, None, {"ada": 15})
    facts = dict(facts_in_words(progress, None))
    assert facts == {"Labels": "12", "To go": "88", "Skipped": "1", "Labels an hour": "310", "Fits": "3"}
    assert state_in_words(progress) == "The model is being refitted; go on meanwhile."
    found = Quality("accuracy", 0.9123, 0.85, 0.951, 40, 100)
    progress = progress._replace(quality=found, budget_left=None, refitting=False, by_annotator={"ada": 9, "ben": 6})
    facts = dict(facts_in_words(progress, Agreement(8, 0.875, 0.71, None)))
    assert facts["Accuracy"] == "0.91"
    assert facts["95 % interval"] == "0.85 to 0.95"
    assert facts["Test labels"] == "40 of 100"
    assert (facts["Agreement"], facts["Kappa"]) == ("88% of 8", "0.71")
    assert (facts["ada"], facts["ben"]) == ("9", "6")
    assert "To go" not in facts
    assert state_in_words(progress._replace(stopped="Stop: nothing changes.", fault="A fit failed.")) == (
        "A fit failed. Stop: nothing changes."
    )


def test_what_the_model_thought_in_words():
    assert "no fit had looked" in thought_in_words(Reveal(None, None, 0))
    thought = thought_in_words(Reveal(0.3123, {"cat": 0.1, "dog": 0.7, "eel": 0.15, "fox": 0.05}, 2))
    assert thought == "dog 70%, eel 15%, cat 10%; score 0.312 (fit 2)"
    assert thought_in_words(Reveal(None, {"mean": 1.23456, "sd": 0.21}, 4)) == "1.235 ± 0.21 (fit 4)"
