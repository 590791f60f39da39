"""The pages of docs/: programs run as written within their lengths, print what the page says, and name what exists."""

import re
from pathlib import Path

import jax
import pytest

from bal import strategies

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LIMITS = {
    "own-network": 10,
    "own-model": 8,
    "own-acquisition": 4,
    "own-rule": 10,
    "study": 12,
    "laboratory": 10,
    "targets": 2,
    "resume": 4,
    "own-table": 8,
    "labels": 4,
    "label-files": 21,
    "active-testing": 8,
    "sweeps": 26,
    "stopping": 8,
    "few-samples": 7,
    "annotators": 4,
    "bilevel": 8,
    "bridges": 8,
    "pairs": 8,
    "extend": 6,
    "simulators": 6,
    "streams": 3,
    "learned-selection": 6,
    "row-wise": 9,
    "statistics": 18,
    "errors": 12,
    "reproduce": 9,
    "notebook": 8,
    "reliability": 17,
    "gaussian-processes": 6,
    "methods": 2,
    "pretrained": 10,
}
"""Lines of the program under one heading, imports included; ``python around`` is what a reader has or wants to see."""

SLOW = {
    "active-testing",
    "annotators",
    "bilevel",
    "bridges",
    "errors",
    "laboratory",
    "label-files",
    "learned-selection",
    "notebook",
    "own-model",
    "own-network",
    "own-table",
    "resume",
    "simulators",
    "pairs",
    "study",
    "sweeps",
    "stopping",
    "few-samples",
    "streams",
    "targets",
    "row-wise",
    "own-acquisition",
    "reliability",
    "gaussian-processes",
    "pretrained",
}
"""A process and its proposals; models scored operation by operation; two studies to compile, of twelve programs and of
two; runs to their stop; a thousand trainings; a crowd; a solver; other
libraries; encoders; a campaign; checks; sentences that tests/test_doors.py holds."""

NEEDS = {"bridges": ("modAL", "skactiveml", "datasets", "safetensors")}
"""What a page wants installed beyond the tests' own libraries."""


def blocks(text):
    """Info string and content of every fenced block, and the heading it stands under."""
    heading, found = "", []
    for title, info, body in re.findall(r"^(#+ [^\n]*)$|^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        heading = title or heading
        if not title:
            found.append((heading, info, body))
    return found


def masked(text):
    """Words as they are, numbers as a sign."""
    return [re.sub(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan", "#", line).split() for line in text.strip().splitlines()]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in LIMITS])
def test_program(name, tmp_path, monkeypatch, capsys):
    for library in NEEDS.get(name, ()):
        pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.chdir(tmp_path)
    page, lengths, precise = blocks((ROOT / "docs" / f"{name}.md").read_text()), {}, jax.config.jax_enable_x64
    names = {"__name__": "__main__"}
    try:
        for heading, info, body in page:
            match info.split():
                case ["csv", file]:
                    (tmp_path / file).write_text(body)
                case ["python", "in", file]:
                    (tmp_path / file).write_text(body)
                    monkeypatch.syspath_prepend(tmp_path)
                    lengths[heading] = sum(map(bool, map(str.strip, body.splitlines())))
                case ["python", *kind]:
                    exec(compile(body, f"{name}.md, {heading}", "exec"), names)
                    if not kind:
                        lengths[heading] = lengths.get(heading, 0) + sum(map(bool, map(str.strip, body.splitlines())))
                case ["text"]:
                    assert masked(capsys.readouterr().out) == masked(body)
                case other:
                    raise AssertionError(f"a block of {other}")
    finally:
        jax.config.update("jax_enable_x64", precise)
    assert lengths
    assert max(lengths.values()) <= LIMITS[name], lengths


def test_every_page_with_python_is_run_and_held_to_a_length():
    """That of the index is the README's (tests/test_readme.py)."""
    programs = {page.stem for page in PAGES if "```python" in page.read_text()}
    assert programs == {"index"} | set(LIMITS)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_whatever_a_page_names_exists(page):
    text = page.read_text()
    for name in re.findall(r"`((?:bal|experiments|tests|paper_figures|docs)/[\w/.-]*)`", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (page.parent / link).exists(), link
    for name in re.findall(r"`(bal(?:\.\w+)+)[`(]", text):
        found = __import__("bal")
        for part in name.split(".")[1:]:
            found = getattr(found, part, None) or __import__(f"{found.__name__}.{part}", fromlist=[part])


def test_every_study_is_on_its_page():
    text = (ROOT / "docs" / "studies.md").read_text()
    programs = {file.stem for file in (ROOT / "experiments").glob("*.py") if '"__main__"' in file.read_text()}
    assert programs
    assert programs <= set(re.findall(r"experiments[/.](\w+)", text))


def test_every_recipe_is_on_the_page_of_methods():
    text = (ROOT / "docs" / "methods.md").read_text()
    assert set(re.findall(r"^\| `(\w+)\(.*?\)` \|", text, re.MULTILINE)) == set(strategies.__all__)
