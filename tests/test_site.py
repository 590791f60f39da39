"""The site: every link and anchor leads somewhere, every page is in the contents, and it builds without a warning."""

import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
EXTERNAL = {"https://keepachangelog.com/en/1.1.0/"}
"""Addresses that pages may lead to; nobody fetches them here."""
CONF = runpy.run_path(str(DOCS / "conf.py"))
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def anchors(page):
    """Of all headings, as code hosts and MyST make them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))


ABOVE = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")]


@pytest.mark.parametrize("page", [*PAGES, *ABOVE], ids=lambda page: page.stem)
def test_every_link_and_anchor_leads_somewhere(page):
    for link in links(page):
        if link.startswith("http"):
            assert link in EXTERNAL, f"{link} is new: list it"
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_anchors_and_links_are_seen():
    assert "made-again" in anchors(DOCS / "resume.md")
    assert "resume.md#made-again" in links(DOCS / "reproduce.md")


def test_every_page_is_in_the_contents_once():
    lists = CONF["contents"]((DOCS / "index.md").read_text())
    assert list(lists) == ["Tutorials", "How to", "Explanations", "Reference", "Gallery"]
    names = [re.search(r"<(.*)>", row)[1] for rows in lists.values() for row in rows]
    assert sorted(names) == sorted({*names}), "a page leads two rows"
    assert {page.stem for page in PAGES} - {"index"} <= {*names}
    assert "project/changelog" in names


def test_a_page_becomes_a_notebook():
    pytest.importorskip("nbformat", reason="nbformat is not installed")
    sys.path.insert(0, str(DOCS))
    try:
        from cells import notebook
    finally:
        sys.path.remove(str(DOCS))
    files = "# A\n\n```csv a.csv\n1,2\n```\n\n```python around\nx = 1\n```\n\n"
    found = notebook(files + "```text\nout\n```\n\nB\n\n```text\nkept\n```\n")
    assert [cell.cell_type for cell in found.cells] == ["markdown", "code", "code", "markdown"]
    assert [line + 1 for line in found.metadata.source_map] == [1, 3, 7, 14]
    assert found.cells[1].source.endswith("Path('a.csv').write_text('1,2\\n')")
    assert found.cells[2].source == "x = 1"
    assert "out" not in found.cells[3].source
    assert "kept" in found.cells[3].source
    assert "off" in str(notebook("# A\n\n```text\nkept\n```\n").metadata.mystnb)


NEEDED = (
    "sphinx",
    "furo",
    "myst_nb",
    "sphinx_copybutton",
    "ipykernel",
    "modAL",
    "skactiveml",
    "datasets",
    "safetensors",
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_site_builds(tmp_path):
    """Every cell of every page runs in a fresh process; a warning, an error, or a word on stderr fails the build."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        pytest.skip(f"the site needs {', '.join(missing)}: pip install -e '.[docs]'")
    out, kept = tmp_path / "html", f"nb_execution_cache_path={tmp_path / 'executed'}"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-D", kept, "docs", str(out)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    for page in PAGES:
        html = (out / f"{page.stem}.html").read_text()
        loaded = re.findall(r"<(?:script|img|link)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*", html)
        assert not loaded, f"{page.stem} loads {loaded}"
    assert "accuracy:" in (out / "index.html").read_text()
