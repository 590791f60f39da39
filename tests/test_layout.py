"""Who may import whom, what stays light, and what may not be written anywhere."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bal

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bal"

LAYERS = [
    {"method"},
    {"typing"},
    {"numerics"},
    {"acquisition", "kernels", "learners", "pool"},
    {"backbones"},
    {"selection"},
    {"query"},
    {"loop", "strategies"},
    {
        *("adapters", "bilevel", "bridges", "features", "learned", "pairs", "proxies", "simulators", "stream"),
        *("tagging", "testing"),
    },
    {"sweep"},
    {"pages"},
    {"labeling", "watching"},
    {"notebook"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
GROUND = {"datasets", "evaluation", "records"}  # import nothing of bal
BELOW = {"libraries", "markup", "progress"}  # import nothing of bal, and anybody may import them
ABOVE = {
    "adapters",
    "backbones",
    "bilevel",
    "bridges",
    "features",
    "labeling",
    "learned",
    "loop",
    "notebook",
    "pages",
    "pairs",
    "proxies",
    "simulators",
    "stream",
    "sweep",
    "tagging",
    "testing",
    "watching",
    "cli",
}  # import them


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
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
        other = name.split(".")[1] if name.startswith("bal.") else me
        if other == me or other.startswith("__") or me == "__init__":
            continue
        if other in BELOW:
            below = me not in BELOW
        elif me in BELOW:
            below = False
        else:
            below = me in ABOVE if other in GROUND else me not in GROUND and LEVEL[other] < LEVEL[me]
        assert below, f"{path.name}: {me} may not import {other}"


def test_every_part_has_a_layer():
    assert {part(path) for path in modules()} == {"__init__", *BELOW, *GROUND, *LEVEL}


@pytest.mark.parametrize("name", ["acquisition", "kernels", "selection"])
def test_what_sees_no_model(name):
    seen = {"bal.typing.Learner", "bal.typing.Round", "bal.typing.Labeled", "bal.typing.Pool"}
    for path in (PACKAGE / name).rglob("*.py"):
        assert not imports(path) & seen, path


@pytest.mark.parametrize("library", ["blackjax", "flax", "numpyro", "gpjax", "sklearn"])
def test_heavy_libraries_stay_in_their_places(library):
    networks = {"learners", "backbones", "adapters", "tagging", "proxies"}
    places = {"sklearn": {"datasets", "selection", "learners"}, "flax": networks}
    allowed = places.get(library, {"learners"})
    for path in modules():
        if any(name.split(".")[0] == library for name in imports(path)):
            assert part(path) in allowed, f"{path} imports {library}"


def test_libraries_of_extras_are_imported_where_they_are_needed():
    """By name, inside of functions, so that a missing one is told of in a sentence."""
    for path in modules():
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & {"gguf", "huggingface_hub", "safetensors", "tokenizers"}, path


LIGHT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "jax" in sys.modules:
        sys.exit(f"{name} imports jax")
"""


def test_light_parts_do_not_import_jax():
    """One process: what has not brought it by the last did not by the first."""
    names = ["bal", "bal.records", "bal.datasets", "bal.evaluation", "bal.sweep", "bal.cli.parsing"]
    done = subprocess.run([sys.executable, "-c", LIGHT, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


def test_every_part_is_found_by_import_bal():
    parts = re.findall(r"^(\w+) {2,}", bal.__doc__ or "", re.MULTILINE)
    assert set(parts) >= {path.parent.name for path in Path(bal.__file__).parent.glob("*/__init__.py")}
    assert [bal.__getattr__(name).__name__ for name in parts] == [f"bal.{name}" for name in parts]


def test_public_names_exist_and_are_documented():
    packages = [part(path) for path in PACKAGE.glob("*/__init__.py")]
    for package in [*packages, "learners.gp", "learners.networks"]:
        module = __import__(f"bal.{package}", fromlist=["__all__"])
        for name in module.__all__:
            if name in ("Link", "Select"):
                continue  # types
            thing = getattr(module, name)
            made = isinstance(thing, type) and (thing.__doc__ or "").startswith(f"{name}(")  # by Python, for a tuple
            assert thing.__doc__, f"bal.{package}.{name} has no docstring"
            assert not made, f"bal.{package}.{name} has no docstring of its own"
