"""The scripts as a user meets them: help, options that cannot be meant, tiny runs, Ctrl-C, and the same run again."""

import io
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bal.libraries import installed
from bal.loop import Curves
from bal.records import acquired, read_events, table
from experiments import common, digits
from experiments.annotators import ratio
from experiments.burgers import ratio as error_ratio
from experiments.burgers import verdict
from experiments.posterior_report import Result
from experiments.posterior_report import diverged as diverged_learners
from experiments.posterior_report import table as posterior_table

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
BENCHMARKS = EXPERIMENTS / "benchmarks"
DATA = Path(os.environ.get("BAL_DATA", "."))

STUDIES = {
    "annotators.py": "--policies mixed --seeds 2 --rounds 1 --members 2 --steps 5 --batch-size 3 --test-size 1500",
    "combinations.py": "--parts unsupervised --seeds 2 --rounds 1 --batch-size 2 --members 2 --hidden 4 --steps 5"
    " --test-size 1500",
    "burgers.py": "--strategies lcmd-draws --seeds 2 --rounds 1 --batch-size 4 --start-size 8 --pool-size 40"
    " --test-size 20 --hidden 20 --steps 40 --points 64",
    "bilevel.py": "--learners pool --strategies bilevel --starts typiclust-pca --seeds 2 --rounds 1 --steps 5"
    " --landmarks 10 --batch-size 3 --start-size 11 --hidden 8",
    "digits.py": "--strategies random bald --seeds 2 --rounds 2 --members 2 --steps 5 --test-size 100",
    "multilabel.py": "--data digits --strategies random joint --seeds 2 --rounds 1 --batch-size 2 --pool-size 60"
    " --test-size 50 --members 2 --hidden 4 --steps 5",
    "learning_to_rank.py": "--data digits --strategies random --seeds 2 --start-size 20 --batch-size 3 --test-size 60"
    " --subsets 8 --utility-steps 2 --ranker-steps 2 --members 2 --steps 5",
    "mnist.py": "--scale smoke --strategies random --seeds 1",
    "repeated_digits.py": "--strategies random power-bald --seeds 2 --rounds 2 --batch-size 3 --images 60 --copies 1"
    " --members 2 --steps 5",
    "gp_classification.py": "--strategies random epig --seeds 2 --rounds 2 --pool-size 40 --test-size 50"
    " --num-targets 8",
    "gp_regression.py": "--strategies random alc --seeds 2 --rounds 2 --steps 2 --targets 5 --pool-size 30 --target 5"
    " --kernel rbf",
    "posteriors.py": "--data digits vowel --learners network --strategies random bald --seeds 2 --rounds 1"
    " --batch-size 2 --pool-size 99 --test-size 30 --hidden 8 --steps 99",
    "pretrained.py": "--scale smoke --data digits --learners dropout --strategies random epig",
    "pairs.py": "--strategies random past-aware --seeds 2 --rounds 2 --batch-size 3 --items 20 --features 3 --draws 2",
}
"""Every study, with the options of a run of seconds; each has a test below."""
SMALL = {
    "whole_loop.py": "--seeds 2 --devices 2 --rounds 1 --steps 2 --matrix 64",
    "active.py": "--repetitions 20 --seeds 2 --rounds 3 --splits 1 --labels 2",
    "acquisition.py": "--rows 200 --draws 3 --classes 3 --repetitions 1",
    "backbones.py": "--tiny --sentences 2 --tokens 5 --messages 20 --images 1 --matrix 32 --repeats 1",
    "batch.py": "--parts scaling --methods k_center --steps 1 2",
    "batch_diversity.py": "--num-rows 300 --num-features 4 --num-labeled 9 --batch-size 3 --num-shortlist 50"
    " --rounds 1",
    "batch_information.py": "--num-rows 30 --num-draws 4 --num-classes 3 --batch-size 2 --num-configurations 100"
    " --epig-rows 30 --epig-draws 3 --num-targets 5 --repeats 1",
    "batch_kernels.py": "--rows 99 --features 4 --classes 3 --labeled 9 --batch-size 3 --large-rows 99"
    " --large-features 4 --large-batch-size 3 --rounds 1",
    "batch_sparse.py": "--num-rows 99 --num-projections 4 --wolfe-steps 9 --batch-size 3 --bait-rows 99 --rounds 1",
    "burgers.py": "--seeds 2 --rounds 1 --batch-size 4 --pool-size 50 --hidden 20 --steps 40 --operation-rounds 0",
    "comparison.py": "--rounds 1 --seeds 1 --rows 1000",
    "tanimoto.py": "--rows 500 --picks 3 --scaffolds 20",
    "conv.py": "--num-steps 1 --num-members 2 --minibatch-size 2 --rounds 1",
    "memory.py": "--cases mlp-chunked --rows 2000 --images 100 --budgets 16",
    "posteriors.py": "--learners network --rows 99 --features 4 --labeled 20 --hidden 4 --steps 2 --head-draws 3"
    " --repeats 1",
    "gp.py": "--labeled 9 --pools 50 --steps 2 --batch-size 3 --repeats 1 --capacities 5",
    "stream.py": "--rows 50 --features 3 --hidden 4 --members 2 --minibatch-size 4 --capacity 9 --repeats 1",
    "accelerator.py": "--sizes tiny --only bald k_center digits products float64",
    "labeling.py": "--labels 6 --batch-size 2 --draws 2 --pause 0",
    "pairs.py": "--items 200 --bald-items 60 --brute-items 60 --features 4 --draws 3 --asked 5 --batch-size 3",
}
"""Every benchmark, with options for a run of seconds."""
OTHERS = {
    "fuzz_selectors.py": "--arrays 1 --selectors best --dtypes float32",
    "reliability.py": "--quick",
    "labeling.py": "--labels 9 --batch-size 3 --test-rows 6",
    "external.py": "--exams wdbc --seeds 2 --labels 22 --workers 1",  # its set comes with scikit-learn
    "streams.py": "--streams SEA --strategies bald --seeds 2 --rows 60 --stretches 6 --members 2 --hidden 4",
    "bandit.py": "--data digits --arms margin --seeds 2 --rounds 2 --members 2 --steps 3 --pool-size 60 --test-size 30",
    "policy.py": "--data digits --generations 1 --population 2 --tasks 2 --fresh-tasks 2 --task-rows 30 --seeds 2"
    " --rounds 1 --members 2 --steps 3 --pool-size 60 --test-size 30",
}
"""Scripts that are no study, or that have to compile too many programs for one that is run often."""


def scripts(folder):
    return sorted(path.name for path in folder.glob("*.py") if "__main__" in path.read_text())


def test_every_script_is_in_a_table():
    assert set(scripts(EXPERIMENTS)) == {*STUDIES, *OTHERS}
    assert set(scripts(BENCHMARKS)) == set(SMALL)


@pytest.fixture
def run(server, tmp_path):
    """Run a Python process in an empty folder, in a terminal of 80 columns."""
    return lambda *command, **environment: server.run(command, tmp_path, COLUMNS="80", **environment)


@pytest.fixture
def study(run):
    """Run a script with options."""
    return lambda name, options, **environment: run(EXPERIMENTS / name, *options.split(), **environment)


def fits(text):
    """No line is wider than the terminal and no word is cut; lines of paths, which are not wrapped, aside."""
    lines = [line for line in text.splitlines() if "runs/" not in line and "figures/" not in line]
    return "…" not in text and max(map(len, lines)) <= 80


@pytest.mark.parametrize("path", [*(EXPERIMENTS / name for name in STUDIES), *(BENCHMARKS / name for name in SMALL)])
def test_the_docstring_names_the_command(path):
    assert f"\n    python {path.relative_to(ROOT)}" in path.read_text()


EACH = """
import json, pathlib, runpy, sys
for command in json.loads(sys.argv[1]):
    sys.argv, sys.path[0] = command, str(pathlib.Path(command[0]).parent)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        assert not end.code
    print("finished", "/".join(pathlib.Path(command[0]).parts[-2:]), flush=True)
"""


@pytest.fixture
def each(run):
    """Run scripts one after the other in one process; what each of them printed, by folder and name."""

    def run_all(*commands):
        result = run("-c", EACH, json.dumps([list(map(str, command)) for command in commands]))
        assert result.returncode == 0, result.stderr
        return finished(result.stdout)

    return run_all


def finished(printed):
    """What each script printed, by folder and name."""
    return {name: text for text, name in re.findall(r"(.*?)finished (\S+)\n", printed, re.DOTALL)}


WITH_HELP = [*(EXPERIMENTS / name for name in STUDIES), *(BENCHMARKS / name for name in SMALL)]


def test_help_explains_itself(imported):
    """Every script can be imported and says what it takes."""
    helps = finished(imported[0].split("helped\n")[1])
    assert list(helps) == ["/".join(path.parts[-2:]) for path in WITH_HELP]
    for said, options in zip(helps.values(), (*STUDIES.values(), *SMALL.values()), strict=True):
        assert all(option in said for option in re.findall(r"--[\w-]+", options))
    for name in STUDIES:
        said = helps[f"experiments/{name}"]
        assert f"python experiments/{name}" in said
        assert "Folder of records" in said
        assert "--fresh" in said


@pytest.mark.parametrize(
    "name",
    [  # the others compile for long, or want a process of their own; that all start is tested above
        pytest.param(name, marks=[pytest.mark.slow] * (name != "batch.py")) for name in SMALL
    ],
)
def test_benchmarks(name, each):
    printed = each([BENCHMARKS / name, *SMALL[name].split()])
    assert list(printed) == [f"benchmarks/{name}"]
    (text,) = printed.values()
    assert text
    assert fits(text), text


@pytest.mark.slow
def test_all_parts_of_the_accelerator(run):
    result = run(BENCHMARKS / "accelerator.py", "--sizes", "tiny")
    assert result.returncode == 0, result.stdout + result.stderr
    assert fits(result.stdout), result.stdout
    assert "not run" not in result.stdout
    assert " 0 wrong" in result.stdout


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in OTHERS])
def test_other_scripts(name, study):
    """By default the loop of fuzz_selectors goes over every selector in tests/contracts/test_selectors.py."""
    result = study(name, OTHERS[name])
    assert result.returncode == 0, result.stdout + result.stderr


def having(field):
    """Studies with an option of this name, of their own."""
    return [name for name in STUDIES if f"    {field}: " in (EXPERIMENTS / name).read_text()]


NONSENSE = [
    *((name, option) for name in STUDIES for option in ("--seeds 0", "--seeds -1")),
    *((name, "--rounds 0") for name in having("rounds") if name != "mnist.py"),
    *((name, "--batch-size 0") for name in having("batch_size")),
    *((name, "--target nan") for name in having("target")),
    ("bilevel.py", "--rounds 500"),
    ("bilevel.py", "--start-size 1500"),
    ("bilevel.py", "--ridge 0"),
    ("bilevel.py", "--threshold -1"),
    ("digits.py", "--rounds 500"),
    ("digits.py", "--hidden 0"),
    ("digits.py", "--members 0"),
    ("digits.py", "--steps 0"),
    ("digits.py", "--minibatch-size 0"),
    ("digits.py", "--learning-rate -1"),
    ("digits.py", "--learning-rate nan"),
    ("digits.py", "--learning-rate inf"),
    ("digits.py", "--start-size 0"),
    ("digits.py", "--start-size 1296 --rounds 1"),
    ("digits.py", "--start-size 1290 --rounds 1"),
    ("digits.py", "--test-size 0"),
    ("digits.py", "--test-size 1797"),
    ("digits.py", "--test-size 9999"),
    ("combinations.py", "--noise -1"),
    ("combinations.py", "--test-size 890"),
    ("multilabel.py", "--pool-size 10"),
    ("multilabel.py", "--pool-size 1700 --test-size 500"),
    ("mnist.py", "--weight-decay -1"),
    ("mnist.py", "--batch-size 999"),
    ("repeated_digits.py", "--noise -0.1"),
    ("repeated_digits.py", "--copies 0"),
    ("repeated_digits.py", "--images 0"),
    ("repeated_digits.py", "--images 1201"),
    ("repeated_digits.py", "--members 0"),
    ("repeated_digits.py", "--steps 0"),
    ("repeated_digits.py", "--rounds 500"),
    ("repeated_digits.py", "--strategies random nonsense"),
    ("gp_classification.py", "--pool-size 10"),
    ("gp_classification.py", "--start-size 0"),
    ("gp_classification.py", "--test-size 0"),
    ("gp_classification.py", "--num-targets 0"),
    ("gp_classification.py", "--lengthscale 0"),
    ("gp_classification.py", "--variance -1"),
    ("gp_regression.py", "--start-size 0"),
    ("gp_regression.py", "--pool-size 0"),
    ("gp_regression.py", "--test-size 442"),
    ("gp_regression.py", "--targets 0"),
    ("gp_regression.py", "--steps 0"),
    ("gp_regression.py", "--rounds 500"),
    ("pretrained.py", "--rounds 500"),
    ("pretrained.py", "--components 2000"),
    ("pretrained.py", "--hidden 0"),
    ("pretrained.py", "--weight-decay -1"),
    ("posteriors.py", "--data digits --rounds 500"),
    ("posteriors.py", "--data digits --start-size 9999"),
    ("posteriors.py", "--pool-size 0"),
    ("posteriors.py", "--hidden 0"),
    ("posteriors.py", "--learning-rate 0"),
    ("posteriors.py", "--weight-decay -1"),
    ("acquisition.py", "--rows 0"),
    ("batch.py", "--steps 0"),
    ("batch_diversity.py", "--batch-size 0"),
    ("batch_information.py", "--num-classes 1"),
    ("batch_information.py", "--num-configurations 99"),
    ("batch_kernels.py", "--rounds 0"),
    ("batch_sparse.py", "--num-projections 0"),
    ("conv.py", "--num-members 0"),
    ("benchmarks.posteriors", "--rows 0"),
    ("whole_loop.py", "--seeds 0"),
    ("streams.py", "--seeds 0"),
    ("streams.py", "--share 2"),
    ("streams.py", "--stretches 9999"),
    ("stream.py", "--rows 0"),
    ("external.py", "--seeds 1"),
    ("external.py", "--labels 20"),
    ("reliability.py", "--kills 0"),
]
REFUSE = """
import importlib, json, sys
import tyro
from jax._src import xla_bridge
for name, options in json.loads(sys.argv[1]):
    script = importlib.import_module(name)
    config = tyro.cli(script.Config, args=options)
    started = xla_bridge.backends_are_initialized()  # gpjax starts them when it is imported
    try:
        script.main(config)
    except SystemExit as error:
        said = error.code
    print(json.dumps([name, options, said, not started and xla_bridge.backends_are_initialized()]), flush=True)
"""


@pytest.fixture(scope="module")
def imported(server, tmp_path_factory):
    """What all scripts say of options that cannot be meant, then of --help, in one process that imports them once; and
    the folder in which they said it."""
    folder = tmp_path_factory.mktemp("imported")
    cases = [(name.removesuffix(".py"), options.split()) for name, options in NONSENSE]
    helps = [[str(path), "--help"] for path in WITH_HELP]
    path = os.pathsep.join(map(str, (EXPERIMENTS, BENCHMARKS, ROOT)))
    code = REFUSE + "print('helped', flush=True)\n" + EACH.replace("argv[1]", "argv[2]")
    result = server.run(["-c", code, json.dumps(cases), json.dumps(helps)], folder, COLUMNS="80", PYTHONPATH=path)
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr
    return result.stdout, folder


def test_options_that_cannot_be_meant_are_refused_before_any_work(imported):
    said_of_options, folder = imported
    answers = [json.loads(line) for line in said_of_options.split("helped\n")[0].splitlines()]
    assert len(answers) == len(NONSENSE)
    for name, options, said, worked in answers:
        assert isinstance(said, str), (name, options, said)
        assert "\n" not in said
        assert not worked, (name, options)
        option = options[0].removeprefix("--").split("-")[0]
        assert option in said or "need" in said or "no start set" in said, (name, options, said)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sede 3", "Unrecognized options"),
        pytest.param("--seeds x", "invalid", marks=pytest.mark.slow),  # refused by the same library as the first
        ("--seeds 0", "--seeds must be at least 1, got 0"),
    ],
)
def test_wrong_options_are_errors(options, message, study):
    result = study("digits.py", options)
    assert result.returncode not in (0, 130)
    assert message in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


SAME_AGAIN = """
import dataclasses, pathlib
import tyro
from experiments import digits
from bal.acquisition import bald
from bal.query import by_score
from bal.selection import best

def run(what, **changed):
    print(f"run: {what}")
    digits.main(dataclasses.replace(config, **changed))

config = tyro.cli(digits.Config)
run("one seed", seeds=1)
run("two seeds")
run("the same")
for log in pathlib.Path("runs/digits").iterdir():  # as if stopped after the first of two seeds
    if '"bald"' in (log / "config.json").read_text():
        (log / "done.json").unlink()
        (log / "events.jsonl").write_bytes(b"".join((log / "events.jsonl").read_bytes().splitlines(True)[:4]))
run("stopped")
run("fresh", fresh=True)
digits.STRATEGIES["bald"] = by_score(lambda log_probs: -bald(log_probs), best)
run("other query")
"""


def test_digits_is_run_and_read_back(study, tmp_path):
    """The README's first command, tiny."""
    result = study("digits.py", STUDIES["digits.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    assert "bald: compiling, 0 of 2 seeds" in result.stdout
    again = study("digits.py", STUDIES["digits.py"])
    assert "bald: on record, 2 of 2 seeds" in again.stdout
    numbers, same = (text[text.index("test accuracy") :] for text in (result.stdout, again.stdout))
    assert numbers == same
    assert "baseline" in numbers
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [10, 15, 20]
    assert ((rows["metrics.accuracy"] >= 0) & (rows["metrics.accuracy"] <= 1)).all()
    assert len(list((tmp_path / "figures").iterdir())) == 1


@pytest.mark.slow
def test_digits_grow_go_on_are_read_back_and_run_anew(run, tmp_path):
    path = os.pathsep.join(map(str, (EXPERIMENTS, ROOT)))
    result = run("-c", SAME_AGAIN, *STUDIES["digits.py"].split(), PYTHONPATH=path)
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    one, grown, same, stopped, fresh, other = re.split(r"run: .*\n", result.stdout)[1:]
    assert "one seed: no intervals and no verdicts" in one
    assert "baseline" not in one
    assert "baseline" in grown
    assert "random: compiling, 1 of 2 seeds" in grown
    assert "compiling" not in same
    assert "bald: on record, 2 of 2 seeds" in same
    assert same.count(", recorded by bal") == 2
    assert "changed" not in grown + same + stopped + other
    assert "bald: compiling, 1 of 2 seeds" in stopped
    assert "bald: compiling, 0 of 2 seeds" in fresh
    numbers = [text[text.index("test accuracy") :] for text in (grown, same, stopped, fresh, other)]
    assert numbers[:4] == 4 * numbers[:1]
    assert "random: on record, 2 of 2 seeds" in other
    assert "bald: compiling, 0 of 2 seeds" in other  # what is called bald is another query: the old record stays
    assert numbers[4] != numbers[0]
    pictures = [re.findall(r"learning curves: figures/(.*)", text) for text in (one, grown)]
    assert sorted(pictures[0] + pictures[1]) == sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert len(pictures[0] + pictures[1]) == 2  # another number of seeds is another picture
    assert all(re.fullmatch(r"digits-[0-9a-f]{6}\.png", name) for (name,) in pictures)  # the defaults: digits.png
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["seed"])) == [0, 1]
    assert len(rows["round"]) == 3 * 2 * 3
    assert sorted(set(rows["counts.training"])) == [10, 15, 20]
    assert ((rows["metrics.accuracy"] >= 0) & (rows["metrics.accuracy"] <= 1)).all()
    logs = list((tmp_path / "runs" / "digits").glob("[!.]*"))  # hidden: what --fresh has set aside
    assert len(logs) == 3
    for log in logs:
        assert all(len(set(ids.tolist())) == 20 for ids in acquired(log).values())
        assert f"{log.relative_to(tmp_path)}" in grown + other


@pytest.mark.parametrize(
    ("moment", "kept"), [("random: compiling, 0 of 6 seeds", "0 of 6"), ("random: running, 4 of 6 seeds", "4 of 6")]
)
def test_ctrl_c_says_how_to_go_on(moment, kept, server, tmp_path):
    """Where Python sees no signal: while XLA compiles, and while it runs the rest of the seeds."""
    options = ["--strategies", "random", "--seeds", "6", "--rounds", "1", "--members", "1", "--hidden", "9"]
    process = server.start([EXPERIMENTS / "digits.py", *options, "--steps", "4000"], tmp_path)
    process.wait_for(moment)  # written as it happens, though no terminal
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    begun = time.monotonic()
    result = process.wait()
    assert result.returncode == 130
    assert result.stderr == f"stopped; type the same command again to go on: {kept} seeds are on record\n"
    assert time.monotonic() - begun < 5
    rows = table(tmp_path / "runs")
    assert len(rows["round"]) == int(kept[0]) * 2


def test_a_library_that_is_not_installed_ends_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    monkeypatch.setattr("warnings.formatwarning", None)  # which `start` sets: undone after the test
    with pytest.raises(SystemExit, match=r'^this script needs nothing_such, which is not installed; pip install "it"$'):
        common.start(lambda config: installed("nothing_such", "this script needs", '"it"'), digits.Config, "")


@pytest.mark.slow
def test_a_record_that_is_being_written_ends_in_one_line(run):
    code = "import sys; from experiments import common, digits; common.start(digits.main, digits.Config, '')"
    held = f"""
import filelock, pathlib
(folder,) = pathlib.Path("runs/digits").iterdir()
(folder / "done.json").unlink()
lock = filelock.FileLock(folder / "lock")
lock.acquire()
{code}
"""
    options = ["--strategies", "random", "--seeds", "1", "--rounds", "1", "--members", "1", "--steps", "1"]
    path = os.pathsep.join(map(str, (EXPERIMENTS, ROOT)))
    assert run("-c", code, *options, PYTHONPATH=path).returncode == 0
    result = run("-c", held, *options, PYTHONPATH=path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "being written" in result.stderr


@pytest.mark.parametrize(
    ("name", "options", "way_out"),
    [  # that a table which is not there names BAL_DATA is tested in tests/datasets
        ("mnist.py", "", "--download"),
        pytest.param("gp_regression.py", "--data yacht", "BAL_DATA", marks=pytest.mark.slow),
    ],
)
def test_missing_data_says_how_to_get_it(name, options, way_out, study, tmp_path):
    result = study(name, options, BAL_DATA=str(tmp_path))
    assert result.returncode == 1
    assert "BAL_DATA" in result.stderr
    assert way_out in result.stderr
    assert "download=True" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "mnist.npz").exists(), reason="needs mnist.npz in BAL_DATA")
def test_mnist(study, tmp_path):
    result = study("mnist.py", STUDIES["mnist.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [20, 30, 40]


@pytest.mark.slow
def test_repeated_digits(study, tmp_path):
    result = study("repeated_digits.py", STUDIES["repeated_digits.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    shares = re.findall(r"(random|power-bald) +(\d\.\d\d) +(\d\.\d\d)\s", result.stdout)  # of two seeds no interval
    assert shares == [("random", "1.00", "0.00"), ("power-bald", "1.00", "0.00")]  # no digit has a copy


@pytest.mark.slow
def test_posteriors(study, tmp_path):
    result = study("posteriors.py", STUDIES["posteriors.py"], BAL_DATA=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "vowel is left out" in result.stdout
    text = result.stdout[result.stdout.index("digits: 20 to 22 labels") :]
    assert fits(text), text
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [20, 22]
    asked = np.asarray(rows["config.strategy"]) == "random"
    last = np.asarray(rows["counts.training"]) == 22
    accuracy, nll, joint = (np.asarray(rows[f"metrics.{name}"]) for name in ("accuracy", "nll", "joint_nll"))
    assert f"network {accuracy[asked & last].mean():.3f} {nll[asked & last].mean():.3f}" in re.sub(" +", " ", text)
    np.testing.assert_allclose(nll, joint, rtol=1e-5)  # one draw: rows tell nothing about each other
    assert (tmp_path / re.findall(r"picture: (\S+)", text)[0]).exists()
    again = study("posteriors.py", STUDIES["posteriors.py"], BAL_DATA=str(tmp_path))
    assert "compiling" not in again.stdout
    assert again.stdout[again.stdout.index("digits: 20 to 22 labels") :] == text


def test_the_table_of_posteriors_fits_a_terminal():
    labels, around = np.array([20, 60, 100]), np.linspace(-0.2, 0.2, 30).reshape(10, 3)
    curves = {"random": 0.5 + around, "bald": 0.7 - around, "epig": 0.3 + around**2}
    metrics = {name: curves for name in ("accuracy", "nll", "joint_nll", "adaptive_ece", "auroc")}
    result = Result(Curves(labels, metrics, {}, {}), {"fit": 1.5, "score": 0.01, "compile": 173.5})
    console = Console(width=80, record=True, file=io.StringIO())
    far = {name: value * 1e12 for name, value in curves.items()}
    diverged = result._replace(curves=Curves(labels, dict.fromkeys(metrics, far), {}, {}))
    console.print(posterior_table("digits", {"batch-ensemble": result, "neural-linear": result, "swag": diverged}))
    text = console.export_text()
    assert fits(text), text
    assert "5e11" in text
    assert "+2e13" in text
    assert "1,500.0" in text
    assert "+20.0* " in text
    errors = {"gp": 0.1, "network": 0.3, "swag": 1e6, "vbll": float("nan")}
    one = {name: {"random": np.full((10, 3), error)} for name, error in errors.items()}
    regressions = {name: result._replace(curves=Curves(labels, {"rmse": found}, {}, {})) for name, found in one.items()}
    assert diverged_learners(regressions | {"epinet": regressions["network"]}) == {"swag", "vbll"}
    assert f"{100 * (0.3 + (around**2 @ [0.25, 0.5, 0.25]).mean() - 0.5):+.1f}*" in text  # a trapezoid, less a half


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "uci_regression.npz").exists(), reason="needs uci_regression.npz in BAL_DATA")
def test_posteriors_of_a_regression(study, tmp_path):
    options = STUDIES["posteriors.py"].replace("digits vowel", "concrete").replace("network", "linear gp")
    result = study("posteriors.py", options + " --targets 5")
    assert result.returncode == 0, result.stderr
    text = result.stdout[result.stdout.index("concrete: 20 to 22 labels") :]
    assert fits(text), text
    rows = table(tmp_path / "runs")
    assert ((rows["metrics.rmse"] > 0.3) & (rows["metrics.rmse"] < 2)).all()
    assert ((rows["metrics.coverage"] > 0.3) & (rows["metrics.coverage"] <= 1)).all()


@pytest.mark.slow
def test_annotators(study, tmp_path):
    result = study("annotators.py", STUDIES["annotators.py"])
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert fits(result.stdout[result.stdout.index("annotators: cost") :]), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [10, 13]
    assert (tmp_path / re.findall(r"accuracy against cost: (\S+)", result.stdout)[0]).exists()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        pytest.param("unsupervised", "margin, typical start", marks=pytest.mark.slow),
        pytest.param("transfer", "margin, transfer", marks=pytest.mark.slow),
        pytest.param("semi-supervised", "margin, FixMatch", marks=pytest.mark.slow),
    ],
)
def test_combinations(part, name, study, tmp_path):
    options = STUDIES["combinations.py"].replace("unsupervised", part)
    result = study("combinations.py", options.replace("1500", "800") if part == "transfer" else options)
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout[result.stdout.index("test accuracy") :]), result.stdout
    assert name in re.sub(r"\s+", " ", result.stdout)
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [10, 12]
    assert len(rows["round"]) == 4 * 2 * 2  # two ways of asking, plain and combined, two seeds


@pytest.mark.slow
def test_multilabel(study, tmp_path):
    result = study("multilabel.py", STUDIES["multilabel.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [20, 22]
    f1, exact = (np.asarray(rows[f"metrics.{name}"]) for name in ("f1", "exact"))
    assert ((f1 >= 0) & (f1 <= 1) & (exact <= np.asarray(rows["metrics.accuracy"]))).all()
    assert (tmp_path / re.findall(r"learning curves: (\S+)", result.stdout)[0]).exists()


@pytest.mark.slow
def test_burgers(study, tmp_path):
    result = study("burgers.py", STUDIES["burgers.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [8, 12]
    last = np.asarray(rows["counts.training"]) == 12
    rmse, asked = np.asarray(rows["metrics.rmse"]), np.asarray(rows["config.strategy"])
    whole = rmse[last & (asked == "lcmd-draws")].mean() / rmse[last & (asked == "random")].mean()
    assert f"all together lcmd-draws {whole:.2f}" in re.sub(" +", " ", result.stdout)
    assert (tmp_path / re.findall(r"learning curves: (\S+)", result.stdout)[0]).exists()


def test_a_lower_error_is_shown_by_an_interval_over_paired_seeds():
    errors = np.array([1.0, 2.0, 3.0, 4.0])
    assert error_ratio(0.5 * errors, errors) == (0.5, 0.5, 0.5)
    assert [verdict(*ends) for ends in ((0.5, 0.69), (0.6, 0.8), (0.71, 0.9))] == ["shown", "not settled", "refuted"]
    whole, low, high = error_ratio(errors[::-1], errors)
    assert low < whole == 1 < high


@pytest.mark.slow
def test_bilevel(study, tmp_path):
    result = study("bilevel.py", STUDIES["bilevel.py"])
    assert result.returncode == 0, result.stderr
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [0, 10, 11, 13]
    assert set(rows["config.strategy"]) == {"random", "bilevel", "typiclust-pca"}
    assert len(list((tmp_path / "figures").iterdir())) == 2


@pytest.mark.slow
def test_learning_to_rank(study, tmp_path):
    result = study("learning_to_rank.py", STUDIES["learning_to_rank.py"])
    assert result.returncode == 0, result.stderr
    assert "two levels" in result.stdout
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [20, 23]
    assert (tmp_path / re.findall(r"differences to random: (\S+)", result.stdout)[0]).exists()


@pytest.mark.slow
def test_pairs(study, tmp_path):
    result = study("pairs.py", STUDIES["pairs.py"])
    assert result.returncode == 0, result.stderr
    text = result.stdout[result.stdout.index("pairs: test tau") :]
    assert fits(text), text
    assert "of random's labels to τ 0.9" in " ".join(text.split())
    for folder in (tmp_path / "runs" / "pairs").iterdir():
        events = [event for event in read_events(folder)[0] if event["kind"] == "pairs"]
        assert [event["seed"] for event in events] == [0, 1]
        assert all(len({tuple(pair) for pair in event["pairs"]}) == 16 for event in events)


def test_ratios_of_costs_are_those_of_medians_over_paired_seeds():
    costs = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ratio(costs, 2 * costs) == (0.5, 0.5, 0.5)
    late = np.where(costs > 3, np.inf, costs)
    whole, low, high = ratio(late, costs)
    assert (whole, high) == (1.0, np.inf)
    assert low == 1.0
    never = np.full(5, np.inf)
    assert ratio(never, costs) == (np.inf, np.inf, np.inf)
    assert ratio(costs, never) == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_gp_classification(study, tmp_path):
    result = study("gp_classification.py", STUDIES["gp_classification.py"])
    assert result.returncode == 0, result.stderr
    assert "epig" in result.stdout
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [4, 5, 6]
    assert ((rows["metrics.accuracy"] >= 0) & (rows["metrics.accuracy"] <= 1)).all()
    assert (rows["metrics.nll"] > 0).all()


@pytest.mark.slow
def test_gp_regression(study, tmp_path):
    result = study("gp_regression.py", STUDIES["gp_regression.py"])
    assert result.returncode == 0, result.stderr
    assert "> 12" not in result.stdout  # an error below 5 standard deviations is reached, since lower is better
    assert fits(result.stdout), result.stdout
    rows = table(tmp_path / "runs")
    assert sorted(set(rows["counts.training"])) == [10, 11, 12]
    assert ((rows["metrics.rmse"] > 0.5) & (rows["metrics.rmse"] < 3)).all()
    assert ((rows["metrics.coverage"] > 0.2) & (rows["metrics.coverage"] <= 1)).all()
    again = study("gp_regression.py", STUDIES["gp_regression.py"])
    assert again.returncode == 0, again.stderr
    assert "on record" in again.stdout
    assert "changed" not in again.stdout
