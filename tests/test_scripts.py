"""The scripts as a user meets them: help, wrong options, a tiny study, and the same study again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bal.records import acquired, table

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
TINY = [
    "--strategies",
    "random",
    "bald",
    "--seeds",
    "2",
    "--rounds",
    "2",
    "--members",
    "2",
    "--steps",
    "5",
    "--test-size",
    "100",
]


def run(script, *options, folder, **environment):
    command = [sys.executable, str(EXPERIMENTS / script), *options]
    environment = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


SCRIPTS = sorted(path.name for path in EXPERIMENTS.glob("*.py") if "__main__" in path.read_text())


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_explains_itself(script, tmp_path):
    result = run(script, "--help", folder=tmp_path)
    assert result.returncode == 0
    assert f"python experiments/{script}" in result.stdout
    assert "Folder of records" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--sede", "3"], "Unrecognized options"), (["--seeds", "x"], "invalid"), (["--strategies", "bald"], "random")],
)
def test_wrong_options_are_errors(options, message, tmp_path):
    result = run("digits.py", *options, folder=tmp_path)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_digits_tiny(tmp_path):
    first = run("digits.py", *TINY, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "random" in first.stdout
    assert "baseline" in first.stdout
    assert (tmp_path / "figures" / "digits.png").stat().st_size > 10_000
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["seed"])) == [0, 1]
    assert len(rows["round"]) == 2 * 2 * 3
    assert sorted(set(rows["counts.training"])) == [10, 15, 20]
    assert ((rows["metrics.accuracy"] >= 0) & (rows["metrics.accuracy"] <= 1)).all()
    for log in (tmp_path / "runs" / "digits").iterdir():
        assert all(len(set(ids.tolist())) == 20 for ids in acquired(log).values())
    (log / "done.json").unlink()  # as if stopped after the first of two seeds
    (log / "events.jsonl").write_bytes(b"".join((log / "events.jsonl").read_bytes().splitlines(True)[:3]))
    again = run("digits.py", *TINY, folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "on record" in again.stdout
    for name, column in table(tmp_path / "runs").items():
        np.testing.assert_array_equal(column, rows[name], name)


@pytest.mark.parametrize(
    ("moment", "kept"), [("random: compiling, 0 of 6 seeds", "0 of 6"), ("random: running, 4 of 6 seeds", "4 of 6")]
)
def test_ctrl_c_says_how_to_go_on(moment, kept, tmp_path):
    """Where Python sees no signal: while XLA compiles, and while it runs the rest of the seeds."""
    options = [
        "--strategies",
        "random",
        "--seeds",
        "6",
        "--rounds",
        "1",
        "--members",
        "1",
        "--hidden",
        "9",
        "--steps",
        "4000",
    ]
    process = subprocess.Popen(
        [sys.executable, str(EXPERIMENTS / "digits.py"), *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert any(moment in line for line in process.stdout)  # written as it happens, though no terminal
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == f"stopped; type the same command again to go on: {kept} seeds are on record\n"
    assert time.monotonic() - begun < 5
    rows = table(tmp_path / "runs")
    assert len(rows["round"]) == int(kept[0]) * 2


def test_missing_data_says_how_to_get_it(tmp_path):
    result = run("mnist.py", folder=tmp_path, BAL_DATA=str(tmp_path))
    assert result.returncode != 0
    assert "BAL_DATA" in result.stderr
    assert "download" in result.stderr
    assert "Traceback" not in result.stderr


def test_gp_classification_tiny(tmp_path):
    options = ["--strategies", "random", "epig", "--seeds", "2", "--rounds", "2", "--pool-size", "40"]
    result = run("gp_classification.py", *options, "--test-size", "50", "--num-targets", "8", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "epig" in result.stdout
    assert (tmp_path / "figures" / "gp_classification.png").stat().st_size > 10_000
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [4, 5, 6]
    assert ((rows["metrics.accuracy"] >= 0) & (rows["metrics.accuracy"] <= 1)).all()
    assert (rows["metrics.nll"] > 0).all()


@pytest.mark.slow
def test_two_bells_at_the_smallest_scale(tmp_path):
    command = [sys.executable, "-m", "paper_figures.two_bells", "--scale", "smoke"]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(EXPERIMENTS.parent)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("compiled in") == 7
    assert "not testable at this scale" in result.stdout
    assert (tmp_path / "figures" / "two_bells_smoke.png").stat().st_size > 10_000


def test_gp_regression_tiny(tmp_path):
    options = ["--strategies", "random", "alc", "--seeds", "2", "--rounds", "2", "--steps", "2", "--targets", "5"]
    options += ["--pool-size", "30", "--target", "5", "--kernel", "rbf"]
    result = run("gp_regression.py", *options, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "> 12" not in result.stdout  # an error below 5 standard deviations is reached, since lower is better
    assert (tmp_path / "figures" / "gp-diabetes.png").stat().st_size > 10_000
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [10, 11, 12]
    assert ((rows["metrics.rmse"] > 0.5) & (rows["metrics.rmse"] < 3)).all()
    assert ((rows["metrics.coverage"] > 0.2) & (rows["metrics.coverage"] <= 1)).all()
    again = run("gp_regression.py", *options, folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "on record" in again.stdout


def test_gp_regression_says_which_data_are_missing(tmp_path):
    result = run("gp_regression.py", "--data", "yacht", folder=tmp_path, BAL_DATA=str(tmp_path))
    assert result.returncode != 0
    assert "BAL_DATA" in result.stderr
    assert "Traceback" not in result.stderr
