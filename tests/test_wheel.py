"""What is handed out: the wheel and the source archive, built as a release builds them."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import bal

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = f"bal_jax-{bal.__version__}"


@pytest.fixture(scope="module")
def backend():
    """Hatchling, with the project as its folder."""
    build = pytest.importorskip("hatchling.build", reason="needs hatchling: pip install -e '.[test]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield build


@pytest.fixture(scope="module")
def wheel(backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    return folder / backend.build_wheel(str(folder))


def test_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path for path in (ROOT / "bal").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert found == {path.relative_to(ROOT).as_posix() for path in files}
    assert "bal/py.typed" in found  # type checkers read the signatures of an installed bal


def test_wheel_says_what_the_project_says(wheel):
    archive, project = zipfile.ZipFile(wheel), PROJECT["project"]
    told = message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))
    assert (told["Name"], told["Version"]) == ("bal-jax", bal.__version__)
    assert told["Requires-Python"] == project["requires-python"]
    assert set(told.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    core = [line for line in told.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(core) == len(project["dependencies"])
    assert told.get_payload(decode=True).decode() == (ROOT / "README.md").read_text()
    assert archive.read(f"{NAME}.dist-info/licenses/LICENSE").decode() == (ROOT / "LICENSE").read_text()
    assert "bal = bal.cli:main" in archive.read(f"{NAME}.dist-info/entry_points.txt").decode()


@pytest.mark.slow
def test_source_archive_can_be_tested(backend, tmp_path):
    with tarfile.open(tmp_path / backend.build_sdist(str(tmp_path))) as archive:
        found = {tuple(Path(name).parts[1:3]) for name in archive.getnames()}
    tops = {parts[0] for parts in found}
    include = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert include <= tops
    # what a package needs, and what belongs to a checkout alone
    checkout = {
        ".git",
        ".github",
        ".gitignore",
        ".venv",
        ".dev",
        ".ruff_cache",
        "dist",
        "runs",
        "figures",
        "__pycache__",
    }
    assert {path.name for path in ROOT.iterdir()} - checkout <= tops
    assert {("tests", "conftest.py"), (".ci", "run"), ("PKG-INFO",), ("LICENSE",)} <= found


@pytest.mark.slow
def test_main_job_runs_from_the_wheel_far_from_the_sources(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")  # pure Python: that is what installing it does
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "experiments").symlink_to(ROOT / "experiments")

    def typed(*words):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
        command, folder = [sys.executable, *words], tmp_path / "elsewhere"
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert typed("-c", "import bal; print(bal.__file__)").startswith(str(tmp_path / "site"))
    assert "sweep" in typed("-m", "bal", "--help")
    tiny = "experiments.digits --strategies random bald --seeds 2 --rounds 2 --members 2 --steps 5 --test-size 100"
    assert "too few seeds" in typed("-m", *tiny.split())
    assert (tmp_path / "elsewhere" / "runs" / "digits").is_dir()
