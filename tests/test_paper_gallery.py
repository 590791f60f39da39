"""The gallery says what the figures said of themselves; what a figure writes down; and two processes at once."""

import json
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest

from bal.records import RecordLockedError, open_record
from paper_figures import cell
from paper_figures.__main__ import caption, figures, outcomes, pages, take_up
from paper_figures.claims import Claim, exceeds, judge, told, touches
from paper_figures.common import Options, on_record, picture, undisturbed
from paper_figures.figure import GALLERY, Figure, built, command, cost, perform


class Sizes(NamedTuple):
    num_seeds: int


def run(config, sizes):
    arrays = on_record(config, "demo", {"seeds": sizes.num_seeds}, lambda: {"gap": 1 + np.arange(sizes.num_seeds)})
    return arrays["gap"]


def draw(found, config):
    with picture(config.figures, f"demo_{config.scale}", 1) as (axis,):
        axis.plot(found)


CLAIMS = [
    Claim("it is | above", "1 < 2", "theory", lambda found: found, exceeds()),
    Claim("it is 0", "0", "theory", lambda found: found, touches(0.0, 0.1)),
    Claim("not run", "3", "theory", lambda found: None, told("nothing")),
]
DEMO = Figure(
    "demo", "A demo", "A demo.\n\n    python -m paper_figures.demo\n\nWhat ``it`` shows.", "counts", Options,
    {"smoke": Sizes(3), "cpu": Sizes(4), "paper": Sizes(40)}, run, lambda config, sizes: CLAIMS, draw,
    lambda sizes: float(sizes.num_seeds),
)  # fmt: skip


def test_the_pages_are_made_of_what_lies_there():
    docs = GALLERY.parent
    written = {str(path.relative_to(docs)): path.read_text() for path in (docs / "figures.md", *GALLERY.glob("*.md"))}
    assert written == pages(outcomes(), figures()), "run: python -m paper_figures"


def test_every_outcome_has_its_picture_and_is_small():
    found, known = outcomes(), figures()
    assert found
    for name, told_of in found.items():
        assert told_of["name"] in known
        assert told_of["scale"] == "cpu"
        assert 10_000 < (GALLERY / f"{name}.png").stat().st_size < 150_000
        assert {claim["verdict"] for claim in told_of["claims"]} <= {
            "reproduced", "not reproduced", "not testable at this scale"
        }  # fmt: skip


def test_a_figure_writes_down_what_came_of_it_and_the_gallery_takes_it_up(tmp_path, capsys):
    options = {"runs": tmp_path / "runs", "figures": tmp_path / "figures"}
    perform(DEMO, Options(scale="cpu", **options), DEMO.sizes["cpu"])
    perform(DEMO, Options(scale="smoke", **options), DEMO.sizes["smoke"])
    stand_in = DEMO._replace(stand_in=lambda found: "digits", called=lambda found, config: "other")
    verdicts = perform(stand_in._replace(draw=lambda found, config: None), Options(**options), DEMO.sizes["cpu"])
    assert [verdict.holds for verdict in verdicts] == [None] * 3
    assert "A demo (stand-in: digits), scale cpu" in capsys.readouterr().out
    (tmp_path / "figures" / "other_cpu.png").write_bytes(b"")
    assert take_up(tmp_path / "figures", tmp_path / "gallery") == ["demo"]
    found = outcomes(tmp_path / "gallery")
    assert [claim["verdict"] for claim in found["demo"]["claims"]] == [
        "reproduced", "not reproduced", "not testable at this scale"
    ]  # fmt: skip
    found_pages = pages(found, {"demo": "A demo.\n\nWhat ``it`` shows now.", "another": "Another one.\n\nMore."})
    assert list(found_pages) == ["figures.md", "figures/demo.md"]
    gallery, text = found_pages.values()
    told_of_it = "1 reproduced, 1 not reproduced, 1 not testable at this scale"
    assert f"a verdict: {told_of_it}." in gallery.replace("\n", " ")
    assert "is reproduced in 0 of 1 figures." in gallery
    held = {**found["demo"], "claims": found["demo"]["claims"][::2]}  # without the one that was not reproduced
    both = pages(found | {"held": held}, {"demo": "A demo.\n\nMore."})["figures.md"]
    assert "is reproduced in 1 of 2 figures (A demo)." in both
    assert f"| [![A demo](figures/demo.png)](figures/demo.md) | [A demo](figures/demo.md) | {told_of_it} |" in gallery
    assert "| `python -m paper_figures.another --scale cpu` | Another one. |" in gallery
    assert "| it is \\| above | 1 &lt; 2 (theory) | 2.500 [0.446, 4.554] |" in text
    assert "`python -m paper_figures.demo --scale cpu`: " in text
    assert text.startswith("# A demo\n\n![A demo](demo.png)\n\nWhat `it` shows now.\n\n| claim")


def test_seconds_are_those_of_the_longest_run(tmp_path):
    config = Options(scale="smoke", runs=tmp_path, figures=tmp_path)
    fast = DEMO._replace(draw=lambda found, config: None)
    slow = fast._replace(run=lambda config, sizes: time.sleep(0.3) or run(config, sizes))
    perform(slow, config, DEMO.sizes["smoke"])
    perform(fast, config, DEMO.sizes["smoke"])
    assert json.loads((tmp_path / "demo_smoke.json").read_text())["seconds"] >= 0.3  # and not those of the second
    told = json.loads((tmp_path / "demo_smoke.json").read_text())
    (tmp_path / "demo_smoke.json").write_text(json.dumps(told | {"command": "another", "seconds": 99.0}))
    perform(fast, config, DEMO.sizes["smoke"])
    assert json.loads((tmp_path / "demo_smoke.json").read_text())["seconds"] < 99


def test_the_published_size_says_its_cost_from_what_cpu_took(tmp_path):
    config = Options(scale="paper", figures=tmp_path)
    assert "10 times the work of cpu; run that first" in cost(DEMO, config)
    (tmp_path / "demo_cpu.json").write_text(json.dumps({"seconds": 7200.0, "cores": 2, "load": 20.0}))
    assert "took 7,200 s on 2 cores at a load of 20: about 2 hours" in cost(DEMO, config)
    told = {"seconds": 720.0, "cores": 16, "load": 2.0, "device": "NVIDIA H100"}
    (tmp_path / "demo_cpu.json").write_text(json.dumps(told))
    assert cost(DEMO, config).endswith(
        "took 720 s on one NVIDIA H100 and 16 cores at a load of 2: about 2 hours of such a machine alone"
    )
    with pytest.raises(ValueError, match="scale is one of cpu, got paper: the published size is not built"):
        built(DEMO._replace(sizes={"cpu": Sizes(4)}), "paper")


def test_a_command_has_the_options_that_are_not_the_defaults():
    from paper_figures.two_bells import FIGURE, Config

    assert command(FIGURE, Config(seeds=3)) == "python -m paper_figures.two_bells --scale cpu --seeds 3"


def test_a_claim_is_judged_where_it_can_be_told():
    values = np.array([1.0, 2.0, 1.5])
    everywhere = CLAIMS[0]._replace(scales=("smoke", "cpu"))
    assert [verdict.holds for verdict in judge([CLAIMS[0], everywhere], values, "smoke")] == [None, True]
    assert [verdict.holds for verdict in judge([everywhere], values[:2], "cpu")] == [None]  # no interval
    assert judge([CLAIMS[0]], values, "cpu", stand_in="digits")[0].holds is None


def test_a_cell_of_a_sweep_counts_verdicts(tmp_path, monkeypatch):
    module = type(sys)("paper_figures.demo")
    module.FIGURE = DEMO
    monkeypatch.setitem(sys.modules, "paper_figures.demo", module)
    summary = cell.run(cell.Cell("demo", "cpu"), tmp_path)
    assert list(summary.values()) == [1, 1, 1]
    assert (tmp_path / "figures" / "demo_cpu.png").exists()
    assert any((tmp_path / "demo").glob("*/events.jsonl"))


def test_captions_have_neither_title_nor_command():
    text = "Title.\n\n    python -m paper_figures.x\n\nOne ``two``\nthree.\n\nFour."
    assert caption(text) == "One `two`\nthree.\n\nFour."


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(0.5)
"""


def test_what_another_process_computes_is_waited_for(tmp_path, capsys):
    """A process that holds the lock of the part, as one that computes it does, and then lets go."""
    options, part = Options(runs=tmp_path), {"K": 3}
    with open_record(tmp_path, "demo", part) as record:
        path = record.path
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path / "lock")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert on_record(options, "demo", part, lambda: {"x": 5})["x"] == 5
    assert capsys.readouterr().out.count("waiting") == 1


def test_a_record_that_this_very_process_holds_is_not_waited_for(tmp_path):
    with open_record(tmp_path, "demo", {"K": 3}), pytest.raises(RecordLockedError, match="this very process"):
        on_record(Options(runs=tmp_path), "demo", {"K": 3}, dict)


def test_other_errors_pass():
    def wrong():
        raise KeyError("x")

    with pytest.raises(KeyError):
        undisturbed(wrong)
