"""The README's examples run as printed, but for steps of a fit, and its commands are the tested ones."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_examples_run(server):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    assert len(blocks[0].strip().splitlines()) <= 30
    fewer = [block.replace("num_steps=200", "num_steps=20") for block in blocks]
    code = "\n".join(fewer) + "\nassert runs.log.metrics['accuracy'].shape == (4, 9)\nassert len(rows) == 5\n"
    result = server.run(["-c", code], ROOT)
    assert result.returncode == 0, result.stderr


def test_both_commands_are_written_down():
    setup = 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[test]" -c constraints.txt && .venv/bin/python'
    assert f"{setup} experiments/digits.py" in README
    assert f"{setup} -m pytest" in README
    assert f"{setup} -m pytest" in (ROOT / ".ci" / "run").read_text()


def test_it_is_short_and_leads_to_every_page():
    assert len(README.splitlines()) <= 110
    assert "(docs/index.md)" in README
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"({page.name})" in index or page.stem == "index", page.name


def test_the_first_page_of_the_site_shows_the_same_example():
    """With what it prints in place of the seconds, and the cores left to the site."""
    same = lambda line: line and not re.match(r"print|rows = campaign.ask\(5\)|use_all_cores|from bal import", line)
    index = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), re.DOTALL)
    readme = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert [line for line in "".join(readme).splitlines() if same(line)] == [
        line for line in "".join(index).splitlines() if same(line)
    ]
