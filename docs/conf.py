"""The documentation site: the pages of this folder, executed, with the tables of `index.md` as its contents.

    pip install -e ".[docs,test]" -c constraints.txt
    sphinx-build -W --keep-going -b html docs docs/_build/html

The result needs no server and loads nothing from elsewhere. Every block of Python runs in a folder of its own that is
thrown away; what a page printed is kept in `docs/_build/` until the page or the package changes.
"""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
for folder in (ROOT, HERE):
    sys.path.insert(0, str(folder))

import api  # noqa: E402 - beside this

import bal  # noqa: E402 - this tree, not another that may be installed

KERNEL = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(os.cpu_count()),  # as `bal.use_all_cores` does
    "JAX_COMPILATION_CACHE_DIR": str(HERE / "_build" / "xla"),
    "JAX_TRACEBACK_IN_LOCATIONS_LIMIT": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
}
"""What cells find in their environment: small programs that are run once, so compiled in haste, as in the tests."""

project = "bal"
author = "the authors of bal"
version = release = bal.__version__
extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "skeletons"]

nb_custom_formats = {".md": ["cells.notebook", {}, False]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "executed")
nb_execution_in_temp = True
nb_execution_timeout = 1200  # of a cell
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "warn"
nb_ipywidgets_js = {}  # nothing is loaded from elsewhere
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"bal {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

OUTSIDE = {"CONTRIBUTING": "contributing", "CHANGELOG": "changelog"}
"""Pages that lie above this folder, and their names on the site."""


def copy_pages_from_above(app) -> None:
    """Writes `project/`, where what has changed is all that Sphinx reads again."""
    (HERE / "project").mkdir(exist_ok=True)
    for name, page in OUTSIDE.items():
        text = re.sub(r"\]\(docs/", "](../", (ROOT / f"{name}.md").read_text())
        copy = HERE / "project" / f"{page}.md"
        if not copy.exists() or copy.read_text() != text:
            copy.write_text(text)


def contents(text: str) -> dict[str, list[str]]:
    """What the side bar lists under each heading of the index: the pages that lead the rows of its table."""
    heading, lists = "", {}
    for line in text.splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        if found := re.match(r"\| \[([^\]]*)\]\(([\w/-]+)\.md\)", inside(line)):
            lists.setdefault(heading, []).append(f"{found[1]} <{found[2]}>")
    return lists


def inside(text: str) -> str:
    """Links to pages above this folder lead to their copies."""
    for name, copy in OUTSIDE.items():
        text = text.replace(f"](../{name}.md)", f"](project/{copy}.md)")
    return text


def read(app, page: str, source: list[str]) -> None:
    text = inside(source[0])
    if page == "index":
        for heading, rows in contents(text).items():
            text += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *rows, "```", ""])
    if page == "figures":
        text += "\n```{toctree}\n:hidden:\n:glob:\n\nfigures/*\n```\n"
    source[0] = text


def setup(app) -> None:
    os.environ.update(KERNEL)
    os.environ.pop("BAL_DATA", None)  # no page may need a folder of data
    app.connect("builder-inited", copy_pages_from_above)
    api.setup(app)
    app.connect("source-read", read)
