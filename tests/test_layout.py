"""Who may import whom, what stays light, and what may not be written anywhere."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bal"

LAYERS = [
    {"typing"},
    {"arrays", "bytecode", "numerics"},
    {"acquisition", "asked", "fingerprint", "kernels", "labeled", "rows", "learners"},
    {"selection"},
    {"query"},
    {"candidate_sampler", "targets"},
    {"covariance_scores", "probit_scores"},
    {"loop"},
    {"checkpoint", "checks", "doors", "events", "identity", "opening", "seeds"},
    {"eager", "growing"},
    {"campaign", "propose"},
]
LEAVES = {"evaluation", "records", "datasets"}
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
SIBLINGS = {
    ("labeled", "rows"),
    ("acquisition", "rows"),
}  # a pool is read through `rows` everywhere


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    me = part(path)
    for name in imports(path):
        if not name.startswith("bal."):
            continue
        other = name.split(".")[1]
        if other == me or other.startswith("__"):
            continue
        if me in LEAVES or other in LEAVES:
            assert me == other, (
                f"{path.name}: {me} and {other} are apart: a leaf imports nothing of bal, nor bal a leaf"
            )
        elif me != "__init__":
            below = (
                LEVEL[other] < LEVEL[me] or (me, other) in SIBLINGS or (LEVEL[me] == LEVEL[other] == LEVEL["checks"])
            )
            assert below, f"{path.name}: {me} may not import {other}"


@pytest.mark.parametrize("library", ["flax", "numpyro", "gpjax", "sklearn"])
def test_heavy_libraries_stay_in_their_places(library):
    allowed = {"sklearn": {"datasets", "selection"}}.get(library, {"learners"})
    for path in modules():
        if any(name.split(".")[0] == library for name in imports(path)):
            assert part(path) in allowed, f"{path} imports {library}"


@pytest.mark.parametrize("name", ["bal", "bal.records", "bal.datasets", "bal.evaluation"])
def test_light_parts_do_not_import_jax(name):
    code = f"import sys, {name}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_nothing_is_unpickled_or_evaluated():
    forbidden = re.compile(r"import pickle|pickle\.load|yaml\.load|allow_pickle=True|(?<![\w.])(eval|exec)\(")
    for path in modules():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not forbidden.search(line), f"{path}:{number}: {line}"


def test_no_addresses_of_package_registries():
    pattern = re.compile(r"(pypi|files\.pythonhosted|npmjs|conda)\.(org|com|io)")
    for path in [*modules(), *ROOT.glob("*.toml"), *ROOT.glob("*.txt"), *ROOT.glob("*.md")]:
        assert not pattern.search(path.read_text()), path


def test_every_constraint_is_name_and_version():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line) for line in lines)


def test_public_names_exist_and_are_documented():
    packages = ("acquisition", "kernels", "selection", "learners", "learners.gp", "evaluation", "records", "datasets")
    for package in packages:
        module = __import__(f"bal.{package}", fromlist=["__all__"])
        for name in module.__all__:
            if name in ("Select", "Link", "Transform", "KernelOf"):
                continue  # types
            thing = getattr(module, name)
            made = isinstance(thing, type) and (thing.__doc__ or "").startswith(f"{name}(")  # by Python, for a tuple
            assert thing.__doc__, f"bal.{package}.{name} has no docstring"
            assert not made, f"bal.{package}.{name} has no docstring of its own"
