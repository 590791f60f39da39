"""The page `dossier.md` beside this: every public method, its oracle, and the error measured against it.

python docs/dossier.py               # runs the tests that `held.txt` names, and measures: many minutes
python docs/dossier.py bal.kernels   # measures one package anew
python docs/dossier.py --read        # the numbers as they stand in the page, all else anew
"""

import importlib
import inspect
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
TESTS = DOCS.parent / "tests"
TABLES = dict(re.findall(r"^# (\S+)\n(.*?)(?=\n\n|\Z)", (DOCS / "held.txt").read_text(), re.MULTILINE | re.DOTALL))
MEASURE = runpy.run_path(str(DOCS / "deviations.py"))["measure"]
TWICE = {"bal.acquisition", "bal.kernels"}
"""Packages whose tests run in double precision, too; others choose the precision that they need."""
SOURCE = re.compile(r"(?:^|[;.]\s+|, as in |, and )?(?<!\w)((?:[A-Z][^\W\d_][^;\"\d]*?)\s\d{4})\b")
KINDS = {"draws": "by standard errors", "none": "no oracle", "parts": "by its parts"}

HEAD = """# Correctness dossier

For every public method: what it computes, as its docstring says it, the independent oracle it is held by, the test that
does so, and how far the two are apart. Made by `python docs/dossier.py` from the docstrings, the [table of
oracles](held.txt) and a run of the tests named here, in which every comparison of two numbers is recorded; a test
compares this page with the code, another one measures again.

Deviations are ``|ours - oracle| / max(1, |oracle|)``, the largest in all the tests of a row, doubled and rounded up to
a power of ten; a row with several methods has one number where its test does not tell them apart. The first is of
float32, the second of float64, a dash where a test does not reach that precision; a number that a test has taken out of
JAX counts as of the precision JAX ran in. Numbers of 1e-2 and more come from tests that compare sampled moments, too.
*same* means picks, sets or bits as those of a slow version. Methods that draw are held within 3 to 5 standard errors.
*no oracle* is said of what only the contract tests hold: mostly functions that hand on what they were given. *not
measured*: the tests hold it, and their numbers are not on this page yet. Sources say where a method is reconstructed or
departs from its paper; more is on the page of [methods](methods.md).
"""


class Row(NamedTuple):
    """A line of the table of oracles."""

    names: list[str]
    oracle: str
    kind: str
    tests: list[str]


def rows(package: str) -> list[Row]:
    """The lines of a package."""
    parts = ([part.strip() for part in line.split("|")] for line in TABLES[package].strip().splitlines())
    return [
        Row(names.split(", "), oracle, kind, [node(t) for t in tests.split()]) for names, oracle, kind, tests in parts
    ]


def node(short: str) -> str:
    """What pytest calls a test that is written short."""
    file, function = short.split("::")
    path = Path(file)
    return f"{path.with_name(f'test_{path.name}.py')}::test_{function}"


def public(package: str) -> dict[str, Callable]:
    """Functions and methods that a package lists, without structures and types."""
    module = importlib.import_module(package)
    listed = {name: getattr(module, name) for name in module.__all__}
    return {name: one for name, one in listed.items() if callable(one) and name[0].islower()}


def listed(package: str) -> list[str]:
    """All that a package lists."""
    return list(importlib.import_module(package).__all__)


def docstring(package: str, name: str) -> list[str]:
    """Paragraphs of a docstring; of a value, those of the comment behind it are none."""
    one = getattr(importlib.import_module(package), name)
    text = inspect.getdoc(one) if callable(one) else ""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text or "")]


def quantity(paragraphs: list[str]) -> str:
    """The first sentence, and the equation that the next paragraph begins with where the sentence has none."""
    first, then = [*paragraphs, "", ""][:2]
    text = re.split(r"(?<=[.:;])\s(?=[A-Z`])", first, maxsplit=1)[0].rstrip(":;.")
    equation = re.match(r"``(.+?)``", then)
    text += f": ``{equation[1]}``" if equation and "``" not in text else ""
    return text.replace("``", "`").replace("|", "\\|")


def source(package: str, name: str, methods: dict[str, str]) -> str:
    """Paper and deviation: of the page of methods, or the docstring's own reference."""
    last = docstring(package, name)[-1]
    own = "; ".join(SOURCE.findall(last)) if re.match(r"[A-Z].* \d{4}", last) else ""
    return methods.get(name, own) or "-"


def methods() -> dict[str, str]:
    """Papers by method, of the second table of `methods.md`."""
    lines = re.findall(
        r"^\| (.*?`.*?) \| (.*?) \| [UDH]?.*\|$", (DOCS / "methods.md").read_text().split("## Parts")[1], re.M
    )
    return {name: paper for names, paper in lines for name in re.findall(r"`(?:[\w.]+\.)?(\w+)`", names)}


def table(package: str, measured: dict[tuple[str, str], str]) -> str:
    """The table of a package."""
    papers, lines = methods(), []
    for row in rows(package):
        held = "<br>".join(f"`{test}`" for test in row.tests) or "`contracts/`"
        for name in row.names:
            deviation = KINDS.get(row.kind, row.kind if "below" in row.kind else "") or measured.get(
                (package, name), "not measured"
            )
            what = quantity(docstring(package, name)), row.oracle, deviation, source(package, name, papers), held
            lines.append(f"| `{name}` | " + " | ".join(what) + " |")
    head = "| method | what | oracle | deviation | source | held by |\n|---|---|---|---|---|---|"
    return f"\n## `{package}`\n\n{head}\n" + "\n".join(lines) + "\n"


def recipes() -> str:
    """What the recipes are made of."""
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    from factories import recipes as made

    lines = []
    for name, query in sorted(made().items()):
        stages = " then ".join(f"`{said(stage.rows)}` by `{said(stage.select)}`" for stage in query.stages)
        lines.append(f"| `{name}` | {stages} |")
    words = "Recipes have no numbers of their own: a stage scores or describes rows, a rule picks. Both stand above;\n"
    words += "that a recipe is these stages, compiled, is held by `test_batch_strategies.py` and `test_loop.py`.\n"
    return f"\n## `bal.strategies`\n\n{words}\n| recipe | made of |\n|---|---|\n" + "\n".join(lines) + "\n"


def said(part: Any) -> str:
    """A part of a stage in words, without the arrays in it."""
    return re.sub(r"\s+", " ", re.sub(r"\(.*\)", "(...)", getattr(part, "__name__", None) or repr(part)))


def without() -> list[str]:
    """Methods that no oracle holds."""
    return [
        f"`{package}.{name}`" for package in TABLES for row in rows(package) if row.kind == "none" for name in row.names
    ]


def page(measured: dict[tuple[str, str], str]) -> str:
    """The whole page."""
    count = sum(len(row.names) for package in TABLES for row in rows(package))
    none = without()
    said = f"\n{count} methods; {len(none)} without an independent oracle: {', '.join(none)}.\n"
    return HEAD + said + "".join(table(package, measured) for package in TABLES) + recipes()


def printed(text: str) -> dict[tuple[str, str], str]:
    """The deviations in a page, by package and method."""
    found, package = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            package = line.strip("#` ")
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("| `") and len(cells) == 8:
            found[package, cells[1].strip(" `")] = cells[4].strip()
    return found


def deviations(package: str) -> Iterator[tuple[tuple[str, str], str]]:
    """What the tests of a package measure, in the words of the page."""
    held = [row for row in rows(package) if row.kind in {"numbers", "picks"}]
    found = MEASURE(sorted({test for row in held for test in row.tests}), package in TWICE)
    for row in held:
        for name in row.names:
            yield (package, name), worded(row, [largest(found, test, name) for test in row.tests])


def largest(found: dict[str, dict[str, float]], test: str, name: str) -> dict[str, float]:
    """The largest deviation by precision: of the method's own cases, where a test has such, or of all its cases."""
    cases = {case: values for case, values in found.items() if case.split("[")[0] == test}
    own = {case: values for case, values in cases.items() if name in re.split(r"[\[\]-]", case)[1:]}
    kinds = ("float32", "float64")
    chosen = (own or cases).values()
    return {
        kind: max(values[kind] for values in chosen if kind in values)
        for kind in kinds
        if any(kind in v for v in chosen)
    }


def worded(row: Row, found: list[dict[str, float]]) -> str:
    """Two powers of ten, or "same" where nothing but picks were compared."""
    from math import ceil, log10

    words = []
    for kind, least in (("float32", 1e-7), ("float64", 1e-15)):
        values = [one[kind] for one in found if kind in one]
        words.append(f"1e{ceil(log10(max(2 * max(values), least)) - 1e-9)}" if values else "-")
    numbers = ", ".join(words) if words != ["-", "-"] else ""
    return ", ".join(filter(None, ["same" if row.kind == "picks" else "", numbers])) or "same"


if __name__ == "__main__":
    path, again = DOCS / "dossier.md", sys.argv[1:] or list(TABLES)
    told = printed(path.read_text()) if path.exists() else {}
    for one in () if again == ["--read"] else again:
        told |= dict(deviations(one))
        path.write_text(page(told))
        print(one, file=sys.stderr, flush=True)
    path.write_text(page(told))
