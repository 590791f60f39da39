"""The page about notebooks, and what cells show, in a real kernel."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python(?: around| in \S+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BARS = """
import time
for name in ("a", "b"):
    with progress() as (update, _, bars):
        for step in range(40):
            update(name, step, 39, f"[{step}]")
            time.sleep(0.01)
bars
"""
LINES = """
from bal import open_record
from bal.learners import bayesian_softmax
learner = bayesian_softmax(2, num_draws=3, prior=1.0)
"""
TOLD = """
w = Out[max(Out)]
desk.settle()
for what in ("next", "answer"):
    w.told = {"do": what, "number": w.shown["number"], "answer": "low", "seconds": 1.0}
desk.history("ada")
"""


def test_the_page_in_a_kernel(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient, ipykernel and anywidget")
    nbclient, _, _ = (pytest.importorskip(name) for name in ("nbclient", "ipykernel", "anywidget"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    around, values, loop, cell = BLOCK.findall((ROOT / "docs" / "notebook.md").read_text())
    shown = ["setup", "task", "setup.query", "setup.learner", "found", "campaign", "load('runs')"]
    codes = [around, values, "from bal import load", *shown, loop, BARS, LINES, cell, TOLD, "desk.close()"]
    made = [nbformat.v4.new_code_cell(code) for code in codes]
    notebook = nbformat.v4.new_notebook(cells=made)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    first = codes.index("setup")
    for place in range(first, first + len(shown)):
        (output,) = outputs[place]
        assert output.data["text/html"].startswith("<table>")
        assert "Array(" not in output.data["text/plain"]
    bars, last = outputs[codes.index(BARS)][:2], outputs[codes.index(BARS)][-1]
    assert ["[39]" in output.data["text/plain"] for output in bars] == [True, True]  # the last picture of each stays
    assert last.data["text/plain"] == "True"
    (widget,) = outputs[codes.index(cell)]
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert "answer='low'" in outputs[codes.index(TOLD)][0].data["text/plain"]
    warned = [output.text for part in outputs for output in part if output.get("name") == "stderr"]
    assert not [text for text in warned if "ipywidgets" in text]
