"""The command `bal` as it is typed: what it prints, what it refuses, and its exit codes."""

import csv
import os
import signal
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bal import typing
from bal.cli import main, parsing
from bal.cli.commands import COMMANDS, Sweep
from bal.evaluation import overlap, query_overlap
from bal.records import governance, load, open_record
from bal.records.log import LOG
from bal.sweep import store
from bal.sweep.examples import Square
from bal.sweep.studies import PADDING, studies

ROOT = Path(__file__).parents[2]
SQUARE = "bal.sweep.examples:square"


@pytest.fixture
def typed(capsys, monkeypatch, tmp_path):
    """Type a command in an empty folder; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words):
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def test_help_explains_itself(typed):
    code, text, _ = typed("--help")
    assert code == 0
    assert all(f"• {name} " in text for name in COMMANDS)
    assert "Exit codes: 0 done, 1" in text
    for name, (kind, _) in COMMANDS.items():
        code, text, _ = typed(name, "--help")
        assert code == 0
        assert f"\n    bal {name} " in text  # an example
        said = " ".join(line.strip("│ ") for line in text.splitlines())
        assert " ".join(kind.__doc__.split("\n\n")[0].split()) in said
        assert max(map(len, text.splitlines())) <= 80
        assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert typed()[0] == 0


def test_settings_that_a_cell_refuses_are_refused_in_its_sentence(typed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "sweep")
    assert typed("run", "trivial_cells:run", "--what", "exit") == (2, "", "bal: --rounds must be at least 1\n")
    monkeypatch.syspath_prepend(ROOT)
    for name, sentence in (("no-such", "expected a strategy of random, entropy,"), ("no:such", "no installed package")):
        code, text, errors = typed("run", "experiments.study:run", "--strategy", name)
        assert (code, text, len(errors.splitlines())) == (2, "", 1)
        assert errors.startswith(f"bal: {sentence}")


def test_settings_of_a_function_are_options(typed):
    code, text, _ = typed("sweep", SQUARE, "--help")
    assert code == 0
    assert "--number INT" in text
    assert "negative ones are refused" in text
    assert "--engine" in text


def test_a_sweep_with_a_failure_is_listed_and_run_again(typed, tmp_path):
    words = ("sweep", SQUARE, "--grid", "number=-1,2,3", "--engine", "here")
    code, text, errors = typed(*words)
    assert (code, errors) == (1, "")
    assert "3 of 3 cells, 0 running, 1 failed, nothing left" in text
    assert "1 cell failed:\n  number=-1\n    ValueError: expected a number of at least 0, got -1\n" in text
    assert f"bal sweep {SQUARE} --root runs --resume --engine here\n" in text
    assert f"bal run {SQUARE} --root runs --number -1\n" in text
    code, text, _ = typed("sweep", SQUARE, "--root", "runs", "--resume", "--engine", "here")
    assert code == 1
    assert "2 of 3 cells" in text.splitlines()[0]
    code, text, errors = typed("run", SQUARE, "--root", "runs", "--number", "-1")
    assert code == 1
    assert "Traceback" in errors
    assert 'raise ValueError(f"expected a number' in errors
    assert typed("run", SQUARE, "--number", "3")[:2] == (0, "square: 9\ndone in 0 s; records under runs\n")
    assert len(store.cells(tmp_path / "runs")) == 3


def test_status(typed, tmp_path):
    typed("sweep", SQUARE, "--grid", "number=-1,2,3", "--engine", "here")
    store.declare(store.place("runs", SQUARE, {"number": 9}))
    other = store.place("runs", SQUARE, {"number": 10})
    store.declare(other)
    with store.claimed(other):
        store.begin(other)
        code, text, _ = typed("status", "runs")
    assert code == 1
    assert text.splitlines()[1].split() == [SQUARE, "2", "1", "1", "1"]
    assert f"running\n  number=10\n    for 0 s on {os.uname().nodename}:{os.getpid()}" in text
    assert "failed\n  number=-1\n    ValueError: expected" in text
    assert "Traceback" not in text
    assert "Traceback" in typed("status", "runs", "--traceback")[1]
    (file,) = [cell.path / "done.json" for cell in store.cells("runs") if cell.values == {"number": 2}]
    file.write_text(file.read_text().replace("4", "5"))
    assert "does not match its own checksum" in typed("status", "runs")[1]
    (tmp_path / "empty").mkdir()
    assert typed("status", "empty")[:2] == (0, "no sweep under empty; bal report empty reads its records\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sweep trivial", "expected module:function, got 'trivial'"),
        ("sweep nowhere:run", "no module 'nowhere' can be found"),
        (f"sweep {SQUARE} --grid nunber=1", "Square has no field 'nunber'; its fields are number"),
        (f"sweep {SQUARE} --grid number", "--grid number: expected field=value,value with a field of number"),
        (f"sweep {SQUARE} --grid number=1,x", "invalid literal for int"),
        (f"sweep {SQUARE} --grid number=1,1", "number: 1 is there twice"),
        (f"sweep {SQUARE} --resume", "no cells of bal.sweep.examples:square are on record under runs"),
        (f"sweep {SQUARE} --resume --grid number=1", "leave out --grid and --file, or leave out --resume"),
        (f"sweep {SQUARE} --file nowhere.toml", "--file nowhere.toml"),
        (f"sweep {SQUARE} --with a", "--with a: expected name=value"),
        (f"sweep {SQUARE} --engine sun", "sun"),
        (f"sweep {SQUARE} --workers 0", "workers must be at least 1, got 0"),
        (f"sweep {SQUARE} --grid number=1 --grid number=2", "--grid is there twice"),
        (f"sweep {SQUARE} --grid number=1 number=2", "--grid number= is there twice"),
        (f"sweep {SQUARE} --with a=1 --with b=2", "--with is there twice"),
        (f"sweep {SQUARE} --grid number=1 --with a=1 --engine here", "takes no options, got a"),
        (f"sweep {SQUARE} --resume --number 2", "--number"),
        ("run bal.records:load", "must say what its cells are"),
        ("swep", "Unrecognized"),
        (f"run {SQUARE} --nunber 3", "--number"),
        ("status nowhere", "nowhere is not a folder"),
        ("export nowhere a.csv", "nowhere is not a folder"),
        ("export . a.txt", "expected a file that ends in .csv, .parquet or, for labels, .json, got a.txt"),
        ("replay nowhere bal.sweep.examples:square", "nowhere holds no record"),
        ("report nowhere", "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(words, message, typed):
    code, text, errors = typed(*words.split())
    assert code == 2
    assert message in text + errors
    assert "Traceback" not in errors
    assert not Path("runs").exists()


def test_a_file_of_settings(typed, tmp_path):
    (tmp_path / "sweep.toml").write_text("[config]\nnumber = 4\n[grid]\nnumber = [1, 2]\n")
    assert parsing.cells(Square(4), (), tmp_path / "sweep.toml") == [Square(1), Square(2)]
    assert parsing.cells(Square(4), ("number=7",), tmp_path / "sweep.toml") == [Square(7)]
    code, text, _ = typed("sweep", SQUARE, "--file", "sweep.toml", "--engine", "here")
    assert (code, "2 of 2 cells" in text) == (0, True)
    command = parsing.parse(["sweep", SQUARE, "--file", "sweep.toml"])
    assert isinstance(command, Sweep)
    assert command.config == Square(4)
    assert parsing.parse(["sweep", SQUARE, "--file=sweep.toml", "--number", "5"]).config == Square(5)
    (tmp_path / "sweep.toml").write_text("[config]\nnumber = 4.0\n")
    assert "number: expected int, got 4.0" in typed("sweep", SQUARE, "--file", "sweep.toml")[2]
    (tmp_path / "sweep.toml").write_text("[settings]\nnumber = 4\n")
    assert "expected the tables [config] and [grid], got settings" in typed("sweep", SQUARE, "--file", "sweep.toml")[2]


def test_options_of_an_engine():
    found = parsing.options(["timeout_min=60", "slurm_partition=gpu", "processes=false", 'name="a b"', "address=a=b"])
    assert found == {"timeout_min": 60, "slurm_partition": "gpu", "processes": False, "name": "a b", "address": "a=b"}


def record(root, strategy, seeds, options=(), rise=0.1, fingerprint="data"):
    """A study's record as `bal.study` writes it, with accuracies that are known."""
    config = {"strategy": strategy, "query": strategy, "methods": strategy, **dict(options)}
    with open_record(root, "digits", config, fingerprint) as one:
        for seed in range(seeds):
            for number in range(3):
                start = {"acquired": 2, "training": 2 * number + 2, "start": 2, "validation": 0}
                event = {"kind": "round", "seed": seed, "round": number, "acquired": [2 * number, 2 * number + 1]}
                event |= {"scores": [0.5, np.nan], "valid": [True, True], "labels": [0, 1], "counts": start}
                one.append([event | {"metrics": {"accuracy": 0.5 + rise * number + 0.01 * seed}, "seconds": None}])
        one.finish({})


def test_studies_of_records(tmp_path):
    record(tmp_path, "random", 3)
    record(tmp_path, "bald", 2, rise=0.2)
    record(tmp_path, "random", 2, {"width": 8})
    wide, narrow = sorted(studies(tmp_path), key=lambda study: len(study.metrics["accuracy"]))
    assert (wide.title, narrow.title) == ("digits (width=8)", "digits")
    assert narrow.labels.tolist() == [2, 4, 6]
    np.testing.assert_allclose(narrow.metrics["accuracy"]["bald"], [[0.5, 0.7, 0.9], [0.51, 0.71, 0.91]])
    assert narrow.metrics["accuracy"]["random"].shape == (2, 3)  # paired
    assert narrow.acquired["bald"].tolist() == 2 * [[[2, 3], [4, 5]]]
    assert narrow.left_out == [
        "random: 1 of 3 seeds, of which not all strategies have all rounds: not finished, or stopped by a rule"
    ]
    assert wide.left_out == []


def test_titles_tell_studies_apart_and_are_short(tmp_path):
    titles = lambda name: [study.title for study in studies(tmp_path / name)]
    for learner in ("ensemble(members=3)", "laplace(members=3)"):
        record(tmp_path / "brief", "random", 1, {"learner": learner})
        record(tmp_path / "cells", "random", 1, {"learner": learner, "cell": {"learner": learner[:3]}})
    assert titles("brief") == ["digits (learner=ensemble)", "digits (learner=laplace)"]
    assert titles("cells") == ["digits (learner=ens)", "digits (learner=lap)"]
    for members in (3, 4):
        record(tmp_path / "alike", "random", 1, {"learner": f"ensemble(members={members})"})
    assert titles("alike") == ["digits (learner=ensemble(members=3))", "digits (learner=ensemble(members=4))"]
    record(tmp_path / "data", "random", 1)
    record(tmp_path / "data", "random", 1, fingerprint="other")
    assert titles("data") == ["digits (data data)", "digits (data other)"]


def test_settings_without_a_default_may_be_of_the_grid(typed, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "sweep")
    code, text, errors = typed("sweep", "trivial_cells:needing", "--grid", "number=3,-1", "--engine", "here")
    assert (code, errors) == (1, "")
    assert "2 of 2 cells, 0 running, 1 failed" in text
    again = next(line for line in text.splitlines() if line.startswith("Run them again: bal "))
    code, text, errors = typed(*again.removeprefix("Run them again: bal ").split())
    assert (code, errors) == (1, "")
    assert "number=-1" in text
    assert "--number" in typed("sweep", "trivial_cells:needing", "--grid", "what=a", "--engine", "here")[2]


@pytest.mark.slow
def test_report(typed):
    """Figures take seconds."""
    for strategy, rise in (("random", 0.1), ("bald", 0.2)):
        record("runs", strategy, 3, rise=rise)
    record("runs", "random", 1, {"width": 8})
    code, text, errors = typed("report", "runs", "--target", "0.8")
    assert (code, errors) == (0, "")
    assert "bald" in text
    assert "page: report/report.html\npage: report/report.md\n" in text
    assert text.endswith("digits (width=8): not on the page, for one seed can be compared with nothing\n")
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert "bald" in Path("report/report.html").read_text(encoding="utf-8")


def test_places_where_nothing_was_picked_are_no_rows(tmp_path):
    record(tmp_path, "random", 2)
    with open_record(tmp_path, "digits", {"strategy": "bald", "query": "bald", "methods": "bald"}, "data") as one:
        for seed in range(2):
            for number in range(3):
                event = {
                    "kind": "round",
                    "seed": seed,
                    "round": number,
                    "acquired": [5 + number, 0],
                    "scores": [0.5, np.nan],
                }
                event |= {"valid": [True, False], "labels": [0, 1], "metrics": {"accuracy": 0.5}, "seconds": None}
                counts = {"acquired": 2, "training": 2 * number + 2, "start": 2, "validation": 0}
                one.append([event | {"counts": counts}])
        one.finish({})
    assert typing.PADDING == overlap.PADDING == PADDING  # where JAX may not be imported
    (study,) = studies(tmp_path)
    assert study.acquired["bald"].tolist() == 2 * [[[6, PADDING], [7, PADDING]]]
    assert query_overlap(study.acquired).shares.tolist() == [[1, 0], [0, 1]]  # random asked for 2, 3, 4 and 5
    with pytest.raises(ValueError, match="a row twice"):
        query_overlap({"a": np.full((1, 1, 2), 5)})


def test_a_study_that_no_seed_can_be_paired_in_is_named(typed):
    """Beside another one, and alone."""
    record("runs", "random", 1, {"width": "one"})
    for root in ("runs", "few"):
        record(root, "bald", 2, {"width": "two"})
        record(root, "random", 1, {"width": "two"})
        (path,) = [path for path in Path(root, "digits").iterdir() if _is(path, "random", "two")]
        lines = (path / LOG).read_bytes().splitlines(keepends=True)
        (path / LOG).write_bytes(b"".join(lines[:2]))  # killed in the second round of its first seed
        (path / "done.json").unlink()
    code, text, errors = typed("report", "runs")
    why = "no seed has all rounds in every strategy (finished seeds: bald 2, random 0)"
    assert (code, errors) == (1, "")
    assert f"digits (width=two): {why}\n" in text
    code, _, errors = typed("report", "few")
    assert (code, errors) == (
        2, f"bal: nothing under few can be compared yet: digits: {why}; finish those seeds\n"
    )  # fmt: skip


def _is(path, strategy, width):
    text = (path / "config.json").read_text()
    return f'"strategy":"{strategy}"' in text.replace(" ", "") and f'"{width}"' in text


def test_a_value_that_is_no_number_is_named_and_ends_no_page(typed):
    record("runs", "random", 2)
    record("runs", "bald", 2, rise=np.inf)
    code, text, errors = typed("report", "runs")
    assert (code, errors) == (1, "")
    assert text == "digits: not on the page, for accuracy of bald is not finite in seeds 0, 1\n"


def test_a_report_of_what_cannot_be_compared(typed):
    record("runs", "random", 1)
    code, text, _ = typed("report", "runs")
    assert (code, text) == (1, "digits: not on the page, for one seed can be compared with nothing\n")
    code, text, _ = typed("report", "runs", "--baseline", "bald")
    why = "not on the page, for accuracy of bald was not measured; --baseline may be random"
    assert (code, text) == (1, f"digits: {why}\n")
    code, _, errors = typed("report", "runs", "--metric", "luck")
    assert (code, errors) == (2, "bal: no study under runs has the metric luck; on record are accuracy\n")


def test_governance(typed):
    record("runs", "random", 1)
    code, text, _ = typed("report", "runs", "--governance")
    (path,) = Path("runs/digits").iterdir()
    assert (code, text) == (0, f"page: report/governance-digits-{path.name}.md\n")
    assert Path(f"report/governance-digits-{path.name}.md").read_text(encoding="utf-8") == governance(path)
    Path("empty").mkdir()
    assert "no record under empty" in typed("report", "empty", "--governance")[2]


def test_export(typed, tmp_path):
    record("runs", "random", 1)
    code, text, _ = typed("export", "runs", "picks.csv")
    columns = load("runs")
    assert (code, text) == (0, f"6 picks in {len(columns)} columns: picks.csv\n")
    with open("picks.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(columns)
    assert [int(line["row"]) for line in lines] == columns["row"].tolist()
    assert [float(line["metrics.accuracy"]) for line in lines] == columns["metrics.accuracy"].tolist()
    assert "nowhere is no folder; make it" in typed("export", "runs", "nowhere/picks.csv")[2]
    Path("empty").mkdir()
    assert "no picks are on record under empty" in typed("export", "empty", "picks.csv")[2]
    if find_spec("polars") is None:
        assert typed("export", "runs", "picks.parquet")[0] == 2
        assert not Path("picks.parquet").exists()


@pytest.mark.slow
def test_the_ready_cell_is_run_and_replayed(typed, monkeypatch):
    """A program to compile, and its rounds once more."""
    monkeypatch.syspath_prepend(str(ROOT))
    sizes = "--members 2 --hidden 4 --steps 3 --rounds 1 --seeds 2 --pool-size 60 --test-size 30 --batch-size 3"
    code, text, errors = typed("run", "experiments.study:run", "--strategy", "bald", *sizes.split())
    assert (code, errors) == (0, "")
    assert "labels: 23\n" in text
    (path,) = Path("runs/digits").iterdir()
    code, text, _ = typed("replay", path, "experiments.study:problem", "--seed", "1")
    picks = load("runs")
    own = picks["row"][(picks["seed"] == 1) & (picks["round"] == 1)].tolist()
    assert code == 0
    assert f"round   1: picks {own}\n" in text
    code, text, _ = typed("replay", path, "experiments.study:problem", "--query", "entropy")
    assert code == 0
    assert "recorded" in text


SLOW = """
import pathlib, time
from bal.sweep.examples import Square
def run(config: Square, root: pathlib.Path):
    print("at work on", config.number, flush=True)
    time.sleep(60 * (config.number - 1))
"""
HEARS = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it starts with `&`
runpy.run_module("bal", run_name="__main__")
"""


def test_ctrl_c_ends_with_130(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-uc", HEARS, "sweep", "slow:run", "--grid", "number=1,2", "--engine", "here"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=tmp_path, **pipes) as process:
        assert "at work on 1\n" in list(iter(process.stdout.readline, "at work on 2\n"))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "stopped; type the same command again to go on: 1 of 2 cells have ended\n"


def test_the_command_is_light_and_nothing_imports_it(tmp_path):
    """`bal --help` needs neither JAX nor the evaluation, `import bal` no command line."""
    code = (
        "import sys, bal; assert not {'bal.cli', 'tyro'} & set(sys.modules)\n"
        "from bal.cli import main; main(['--help'])\n"
        "assert not {'jax', 'sklearn', 'scipy', 'matplotlib', 'bal.evaluation'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    result = subprocess.run(
        [sys.executable, "-m", "bal", "status", tmp_path / "no"], env=environment, capture_output=True
    )
    assert result.returncode == 2
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"bal": f"{main.__module__}:{main.__name__}"}
