"""What the page of `bal watch` is made of, without a browser: colors, charts as data, pools, the command's refusals."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bal.pages
from bal.cli import main
from bal.evaluation.plots import COLORS
from bal.loop.fingerprint import rows_digest
from bal.records import open_record
from bal.watching import picks
from bal.watching.curves import Curve, Row
from bal.watching.page.charts import curves_chart, difference_chart, reliability_chart, times_chart
from bal.watching.page.colors import DARK, LIGHT, contrast, readable
from bal.watching.page.map_chart import MOST_DRAWN, map_chart
from bal.watching.page.studies import bins
from bal.watching.picks import Picks, predicted_in_words
from bal.watching.pool import pool_of, projected
from bal.watching.reliability import reliability

X = np.random.default_rng(0).standard_normal((40, 3)) * [3.0, 1.0, 0.1]


def problem(config, seed):
    """As for bal replay."""
    return SimpleNamespace(pool=SimpleNamespace(x=X + config["shift"])), seed


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_colors_stand_out_in_light_and_dark(scheme):
    assert min(contrast(text, scheme.card) for text in (scheme.ink, scheme.quiet)) >= 4.5
    found = [readable(color, scheme) for color in [*COLORS, "black", "gray"]]
    assert min(contrast(color, scheme.card) for color in found) >= 3
    assert len(set(found)) == len(found)
    style = (Path(bal.pages.__file__).parent / "look.css").read_text()
    assert all(f": {color};" in style for color in scheme)  # the colors of the page


def test_a_curve_and_its_band_as_data():
    labels, mean = np.array([10, 20]), np.array([0.5, 0.75])
    told = Curve(labels, mean, mean - 0.1, mean + 0.2, [0, 1, 2], {3: (labels[:1], mean[:1])})
    chart = curves_chart({"<b>": told}, LIGHT)
    line, low, width, behind = chart["series"]
    assert [point["value"] for point in line["data"]] == [[10, 0.5], [20, 0.75]]
    assert line["data"][1]["said"] == "<b>: 0.750 [0.650, 0.950] at 20 labels, 3 seeds"
    np.testing.assert_allclose([point["value"][1] for point in low["data"]], mean - 0.1)
    np.testing.assert_allclose([point["value"][1] for point in width["data"]], [0.3, 0.3])
    assert (low["stack"], low["stackStrategy"]) == (width["stack"], "all")  # also below zero
    assert (len(behind["data"]), behind["lineStyle"]["width"]) == (1, 1.0)
    assert chart["tooltip"]["renderMode"] == "richText"  # a name is text there
    assert json.dumps(chart)
    alone = curves_chart({"bald": told._replace(low=mean * np.nan, high=mean * np.nan, behind={})}, DARK)
    assert len(alone["series"]) == 1
    waiting = Row(3, 0, labels[:0], mean[:0], None, None, "not yet")
    assert difference_chart({"bald": waiting}, "random", LIGHT)["series"] == []
    bars = times_chart({"bald": {"fit": 2.0}, "random": {"fit": 1.0, "select": 0.5}}, LIGHT)
    assert [[one["value"] for one in part["data"]] for part in bars["series"]] == [[2.0, 1.0], [0.0, 0.5]]


def test_reliability_as_data():
    """A point for each bin that holds a pick, its count in words, beside the diagonal."""
    found = {
        "<b>": reliability([(0.95, True)] * 3 + [(0.91, False), (0.5, True)], 4),
        "random": reliability([(1.0, True)], 4),
    }
    chart = reliability_chart(found, DARK)
    points = chart["series"][0]["data"]
    np.testing.assert_allclose([point["value"] for point in points], [[0.5, 1.0], [0.94, 0.75]])
    assert points[1]["said"] == "<b>: 75% of 4 picks foreseen, 94% sure"
    assert chart["series"][0]["markLine"]["data"] == [[{"coord": [0, 0]}, {"coord": [1, 1]}]]
    assert "markLine" not in chart["series"][1]
    assert json.dumps(chart)
    header, rows = bins(found)
    assert header == ["confidence", "<b>", "random"]
    assert [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows] == [
        ["25% to 50%", "100% of 1", ""],
        ["75% to 100%", "75% of 4", "100% of 1"],
    ]
    assert bins({}) == (["confidence"], [])


def test_predictions_in_words():
    assert predicted_in_words([0.2, 0.8], label=[0, 1]) == "20%, 80%"  # of a set of labels each
    assert predicted_in_words([1.0, 2.0], [0.25, 4.0]) == "1 ± 0.5, 2 ± 2"
    assert predicted_in_words(None) == "–"


def test_principal_components_and_a_map_that_stays_small():
    found = projected(X)
    values, vectors = np.linalg.eigh(np.cov(X.T))
    expected = (X - X.mean(0)) @ vectors[:, [2, 1]]
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-10)
    np.testing.assert_allclose(found.explained, (values / values.sum())[[2, 1]])
    assert projected(X[:, :1]) is None
    assert projected(np.array([["a", "b"]])) is None
    rounds = [Picks(number, {"row": [2 * number, 2 * number + 1]}, {}) for number in range(3)]
    pool, before, now = map_chart(found, rounds, 1, LIGHT)["series"]
    assert [len(one["data"]) for one in (pool, before, now)] == [36, 2, 2]
    assert now["data"][1] == {"value": found.points[3].tolist(), "said": "2. pick: row 3"}
    many = projected(np.random.default_rng(1).standard_normal((20_000, 2)))
    pool, *_ = map_chart(many, [], 0, LIGHT)["series"]
    assert len(pool["data"]) == MOST_DRAWN
    assert pool == map_chart(many, [], 0, LIGHT)["series"][0]  # the same rows each time


def test_a_pool_is_drawn_only_if_it_is_that_of_the_record(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # what it sets is not to outlast the test
    with open_record(tmp_path, "toy", {"shift": 1.0}) as record:
        record.append([{"kind": "open", "seed": 0, "run": {"rows": rows_digest(X + 1.0)}}])
        record.append([{"kind": "open", "seed": 1, "run": {"rows": rows_digest(X)}}])
    np.testing.assert_array_equal(pool_of(f"{__name__}:problem", record.path, 0), X + 1.0)
    with pytest.raises(ValueError, match="makes another pool for seed 1 than the record has"):
        pool_of(f"{__name__}:problem", record.path, 1)
    with pytest.raises(ValueError, match="does not say which pool seed 2 had"):
        pool_of(f"{__name__}:problem", record.path, 2)
    assert picks(record.path, 0) == []


def test_refusals_of_the_command_are_one_sentence(tmp_path, monkeypatch, capsys):
    assert main(["watch", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"bal: {tmp_path / 'nowhere'} is not a folder; pass the folder of records\n"
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert main(["watch", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "bal: a page needs nicegui, which is not installed; pip install 'bal-jax[ui]'\n"
