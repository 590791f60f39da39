"""Every figure at a tiny size, read back from its records; and all of them at smoke scale, as a user runs them."""

import doctest
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problem import CENTERS
from rich.console import Console

from bal.evaluation.plots import save
from experiments.common import ON_RECORD
from paper_figures import (
    acs_fw,
    adapters,
    asvp,
    bald_estimator,
    batch_sizes,
    batchbald_saturation,
    bayesian_gp,
    budget_phase,
    claims,
    common,
    few_samples,
    gp_toys,
    how_many_seeds,
    label_complexity,
    mc_dropout_mnist,
    neuronal,
    pruning,
    regression_kernels,
    repeated_mnist,
    stochastic_batches,
    tagging,
    target_shift,
    two_bells,
)
from paper_figures.claims import Claim, Verdict, interval, report, told
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import main, perform

ROOT = Path(__file__).parent.parent
SMOKE = {
    "acs_fw.py": ["--scale", "smoke"],
    "active_testing.py": ["--scale", "smoke"],
    "adapters.py": ["--scale", "smoke"],
    "asvp.py": ["--scale", "smoke"],
    "bald_estimator.py": ["--scale", "smoke"],
    "batch_sizes.py": ["--scale", "smoke"],
    "batchbald_saturation.py": ["--scale", "smoke"],
    "bayesian_gp.py": ["--scale", "smoke"],
    "bayesian_or_deterministic.py": ["--scale", "smoke"],
    "budget_phase.py": ["--scale", "smoke"],
    "few_samples.py": ["--scale", "smoke"],
    "gp_placement.py": ["--scale", "smoke"],
    "gp_toys.py": ["--scale", "smoke"],
    "how_many_seeds.py": ["--scale", "smoke"],
    "label_complexity.py": ["--scale", "smoke"],
    "mc_dropout_mnist.py": ["--scale", "smoke"],
    "neuronal.py": ["--scale", "smoke"],
    "pruning.py": ["--scale", "smoke"],
    "regression_kernels.py": ["--scale", "smoke"],
    "repeated_mnist.py": ["--scale", "smoke"],
    "stochastic_batches.py": ["--scale", "smoke"],
    "tagging.py": ["--scale", "smoke"],
    "target_shift.py": ["--scale", "smoke"],
    "two_bells.py": ["--scale", "smoke", "--seeds", "3"],
}
DIGIT_CENTERS = CENTERS._replace(init=lambda key, data: jnp.zeros((10, 64)))
TINY = {  # what is handed to `figure` in place of the sizes of a scale, and whether in float64
    "acs_fw": (acs_fw.Sizes(2, 1, 60, 30, 5, 1), False),
    "active_testing": (20, False),
    "adapters": (adapters.SIZES["smoke"], False),
    "asvp": (asvp.Sizes(2, asvp.Plan(24, 20, 6, 3, 2, 2, 2), asvp.Plan(20, 16, 4, 3, 2, 2, 1), (2, 1, 4), True), False),
    "bald_estimator": (bald_estimator.Sizes(3, (1, 10), 200, 32), True),  # the sizes of test_bald_estimator.py
    "batch_sizes": (batch_sizes.Sizes(2, (("random", 5), ("bald", 1)), 5, 0.1, repeated_mnist.Sizes(
        0, 0, 200, 40, 4, 5, (4, 8), 50, 10)), False),
    "batchbald_saturation": (batchbald_saturation.Sizes((4,), 2, 1, 150, 100, 5), False),
    "bayesian_gp": (bayesian_gp.Sizes(("Higdon1d",), 2, 1, 20, 10, 4, 16, ("random", "QB-MGP", "B-ALM")), True),
    "bayesian_or_deterministic": (mc_dropout_mnist.Sizes(2, 1, 200, 30, 0, 8, 0.1, 3, 5, 16, 20), False),
    "budget_phase": (budget_phase.Sizes(2, 1, 60, 2), False),
    "few_samples": (few_samples.Sizes(2, False, few_samples.Spam(24, 12, 8, 8, 8, 2, 2), few_samples.Words(
        30, 8, 1, 4, 1, 2, 6, (2, 2, 2, 2), (5, 1), 2)), False),
    "gp_toys": (gp_toys.Sizes(2, 1, 40, 20), True),
    "gp_placement": (100, True),  # the number of test_gp_placement.py, whose program is compiled already
    "how_many_seeds": (how_many_seeds.Sizes(("random", "margin"), 6, 2, DIGIT_CENTERS), False),
    "label_complexity": ({name: label_complexity.Size(3, 256, *rest) for name, rest in
                          {"BALD": (5, 1), "random": (64, 16)}.items()}, True),
    "mc_dropout_mnist": (mc_dropout_mnist.Sizes(2, 1, 200, 30, 0, 8, 0.1, 3, 5, 16, 20), False),
    "neuronal": (neuronal.Sizes(2, 60, 40, 1, 8, 1e-2), False),
    "pruning": (pruning.Sizes(2, (1.0, 0.5), (10, 20), (10, 20), 60, 20, 20, False), False),
    "regression_kernels": (regression_kernels.Sizes(2, 1, 4, 40, 20, 5, (8, 8), 16, ("Friedman 1",), (),
                           ("MaxDiag", "BAIT", "Frank-Wolfe", "LCMD")), False),
    "repeated_mnist": (repeated_mnist.Sizes(2, 1, 40, 40, 4, 5, (4, 8), 50, 10), False),
    "stochastic_batches": (stochastic_batches.Sizes(2, (("random", 10), ("power-bald", 10)), 10, repeated_mnist.Sizes(
        2, 1, 40, 40, 4, 5, (4, 8), 50, 10), stochastic_batches.Timing(50, 4, 50, (2, 3))), False),
    "tagging": (tagging.Sizes(("WNUT-17",), ("random", "BALD, last layer"), 2, 1, 60, 10, 8, 2, 5, False, 2, 1), False),
    "target_shift": (target_shift.Sizes(("redundant",), 2, 1, 8, 4), False),
    "two_bells": (two_bells.Sizes((40,), 2, 1, 4, 20), True),
}  # fmt: skip
SLOW = (
    "acs_fw",
    "active_testing",
    "batch_sizes",
    "batchbald_saturation",
    "bayesian_gp",
    "bayesian_or_deterministic",
    "budget_phase",
    "gp_placement",  # what it computes is tested in tests/test_gp_placement.py, how a figure is made by bald_estimator
    "gp_toys",
    "how_many_seeds",
    "label_complexity",
    "mc_dropout_mnist",
    "neuronal",
    "regression_kernels",
    "repeated_mnist",
    "stochastic_batches",
    "target_shift",
    "two_bells",
)
FIXED = {
    "active_testing",
    "gp_placement",
    "how_many_seeds",
    "label_complexity",
}  # have no number of seeds, or a least one of their own
DEVIATES = {  # without MNIST the picture is not called after it
    "batch_sizes": "batch_sizes_digits_smoke",
    "repeated_mnist": "repeated_digits_mlp_smoke",
    "stochastic_batches": "stochastic_batches_digits_smoke",
}
STAND_IN = {
    "acs_fw",
    "adapters",
    "asvp",
    "bayesian_or_deterministic",
    "few_samples",
    "mc_dropout_mnist",
    "neuronal",
    "pruning",
    "tagging",
    *DEVIATES,
}


def test_every_figure_has_a_smoke_test():
    files = {file.name for file in (ROOT / "paper_figures").glob("*.py") if "\nFIGURE = " in file.read_text()}
    assert files == set(SMOKE) == {f"{name}.py" for name in TINY}


@pytest.mark.parametrize(
    "name",
    [  # slow ones train networks, or many processes, or compile three programs, and have tests of their own
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in sorted(TINY)
    ],
)
def test_a_figure_is_drawn_and_read_back(name, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("BAL_DATA", raising=False)
    module, (sizes, double) = import_module(f"paper_figures.{name}"), TINY[name]
    monkeypatch.setattr(common, "save", nothing_cut)
    config = module.Config(scale="smoke", runs=tmp_path / "runs", figures=tmp_path / "pictures")
    with jax.enable_x64(True) if double else nullcontext():
        perform(module.FIGURE, config, sizes)
        first = capsys.readouterr().out
        before = {file: file.read_bytes() for file in (tmp_path / "pictures").iterdir()}
        perform(module.FIGURE, config, sizes)
    again = capsys.readouterr().out
    drawn = tmp_path / "pictures" / DEVIATES.get(name, f"{name}_smoke")
    assert set(before) == {drawn.with_suffix(suffix) for suffix in (".png", ".pdf", ".json")}
    for file, content in before.items():
        assert file.suffix == ".json" or file.read_bytes() == content  # byte by byte
    outcome = json.loads(drawn.with_suffix(".json").read_text())
    assert outcome["name"] == name
    assert len(outcome["claims"]) == first.count("judged by")
    assert drawn.with_suffix(".png").stat().st_size > 10_000
    assert b"/Type3" not in drawn.with_suffix(".pdf").read_bytes()
    assert "compiling" in first
    assert "compiling" not in again
    assert blocks(again) == blocks(first)  # the same numbers
    assert "verdict" in first
    assert ("stand-in" in first) == (name in STAND_IN)


def nothing_cut(figure, path, suffix):
    """`save`, which lays panels out, and a look whether all that is drawn lies on the sheet."""
    save(figure, path, suffix)
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02, box


def blocks(text):
    return text[text.index("\n1. ") :]


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(SMOKE))
def test_a_figure_at_smoke_scale(file, tmp_path):
    command = [sys.executable, "-m", f"paper_figures.{file[:-3]}", *SMOKE[file]]
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert max(map(len, blocks(result.stdout).splitlines())) <= 80
    assert len(list((tmp_path / "figures").glob("*_smoke.png"))) == 1
    assert any((tmp_path / "runs").rglob("events.jsonl"))


@pytest.mark.parametrize("name", sorted(TINY.keys() - FIXED))
@pytest.mark.parametrize("seeds", [-1, 0, 1])
def test_too_few_seeds_are_refused_before_any_work(name, seeds):
    module = import_module(f"paper_figures.{name}")
    with pytest.raises(SystemExit, match=f"--seeds must be at least 2, got {seeds}"):
        main(module.FIGURE, module.Config(seeds=seeds))


@pytest.mark.parametrize("name", ["batchbald_saturation", "gp_placement", "label_complexity"])
def test_a_negative_seed_is_refused_before_any_work(name):
    module = import_module(f"paper_figures.{name}")
    with pytest.raises(SystemExit, match="--seed must be at least 0, got -1"):
        main(module.FIGURE, module.Config(seed=-1))


def test_a_stopped_figure_goes_on_after_its_finished_parts(tmp_path):
    options, computed = Options(runs=tmp_path), []

    def compute(seed):
        if seed == 2 and computed == [0, 1]:
            raise KeyboardInterrupt
        computed.append(seed)
        return {"score": np.array([seed, 0.1], np.float32), "picks": np.arange(3), "none": np.array([np.nan])}

    def figure(options):
        parts = [({"K": 3, "seed": seed}, lambda seed=seed: compute(seed)) for seed in range(3)]
        return [on_record(options, "demo", *part, of=3) for part in parts]

    with pytest.raises(KeyboardInterrupt):
        figure(options)
    assert ON_RECORD["demo", ""] == (2, 3)  # what is said when it is stopped
    computed_first = list(computed)
    computed.append("again")
    found = figure(options)
    assert (computed_first, computed) == ([0, 1], [0, 1, "again", 2])
    np.testing.assert_array_equal(found[1]["score"], np.array([1, 0.1], np.float32))
    assert np.isnan(found[2]["none"]).all()
    figure(Options(runs=tmp_path, fresh=True))
    assert computed[4:] == [0, 1, 2]


def test_another_part_is_not_read_back(tmp_path):
    options = Options(runs=tmp_path)
    for part, data in (({"K": 3}, ""), ({"K": 4}, ""), ({"K": 3}, "other images")):
        value = len(str(part)) + len(data)
        assert on_record(options, "demo", part, lambda value=value: {"x": value}, data)["x"] == value


RULE = told("a rule [with markup] that is longer than a line of a terminal, which has eighty columns and no more")
VERDICTS = [
    Verdict(Claim("a statement that is longer than a line of a terminal, which has eighty columns and no more of them",
                  "0.5", "Somebody et al. 2020; numbers: anotherimplementationwithaverylongname", None, RULE),
            "0.5 [0.4, 0.6]", True),
    Verdict(Claim("short", "0.5", "theory", None, RULE), "0.900 (no interval)", None),
    Verdict(Claim("wrong [markup]", "[bold]1", "theory", None, RULE), "0.1 [0.0, 0.2]", False),
]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_report_fits_the_terminal_and_cuts_no_word(width):
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        report(VERDICTS, "A figure, scale cpu", console)
    text = captured.get()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    said = " ".join(text.split())
    for verdict in VERDICTS:
        claim = verdict.claim
        for words in (claim.statement, claim.published, *claim.source.split(), verdict.ours, claim.test.rule):
            assert words in said
        assert f"verdict {verdict.word}" in said
    assert "1 reproduced, 1 not testable at this scale, 1 not reproduced" in said
    assert "fewer than 3 seeds" in said


def test_a_proportion_has_no_interval_outside_its_range():
    assert interval([0.8, 0.9, 1.0])[2] > 1
    assert interval([0.8, 0.9, 1.0], (0, 1))[2] == 1
    assert np.isnan(interval([0.8, 1.0], (0, 1))[1:]).all()
    with pytest.raises(ValueError, match="within the bounds"):
        interval([0.8, 1.2], (0, 1))


def test_without_an_interval_no_claim_is_judged():
    few, many = interval([0.5, 0.5]), interval([0.5, 0.5, 0.6])
    assert [claims.near(few, 0.5, 0.1), claims.above(few), claims.all_hold([None, True])] == [None, None, None]
    assert [claims.near(many, 0.9, 0.1), claims.above(many, 0.6), claims.all_hold([None, False])] == [False] * 3
    assert [claims.near(many, 0.5, 0.1), claims.above(many), claims.all_hold([True, True])] == [True] * 3


def test_examples_in_docstrings():
    outcome = doctest.testmod(claims)
    assert outcome.attempted >= 5
    assert outcome.failed == 0


def test_a_legend_lies_off_the_data(tmp_path):
    with picture(tmp_path / "new" / "folder", "demo", 2) as panels:
        for axis in panels:
            axis.plot([0, 1], [0, 1], label="bald")
        legend(panels, 1)
        figure = panels[0].figure
        figure.canvas.draw()
        (box,) = (one.get_window_extent() for one in figure.legends)
        assert len(figure.legends[0].get_texts()) == 1
        assert not any(axis.get_window_extent().overlaps(box) for axis in panels)
    assert (tmp_path / "new" / "folder" / "demo.png").exists()
