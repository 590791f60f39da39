"""Reads a page of plain Markdown as a notebook, so that the site runs every block of Python and shows what it prints.

The pages stay what a code host shows and what `tests/test_docs.py` runs. A block of the page becomes

- ```` ```python ```` and ```` ```python around ````: a cell;
- ```` ```python in mine.py ```` and ```` ```csv data.csv ````: the text of a file, and a hidden cell that writes it;
- ```` ```text ```` after a cell: nothing, for what is really printed stands there;
- any other: itself.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import nbformat.v4 as notebooks
from nbformat import NotebookNode

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)
SOURCE = Path(__file__).parent.parent / "bal"


@cache
def digest_of_code() -> str:
    """Of all source of the package: what a cell once printed says nothing of other code."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.py")):
        digest.update(path.relative_to(SOURCE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def notebook(text: str) -> NotebookNode:
    """The page as a notebook; one without Python is not run."""
    cells, lines, position = [], [], 0

    def add(cell: NotebookNode, at: int) -> None:
        cells.append(cell)
        lines.append(text.count("\n", 0, at))

    def prose(upto: int, more: str = "") -> None:
        if (source := text[position:upto] + more).strip():
            add(notebooks.new_markdown_cell(source.rstrip()), position)

    for block in FENCE.finditer(text):
        begin, end, body = block.start(), block.end(), block[2]
        match block[1].split():
            case ["python"] | ["python", "around"]:
                prose(begin)
                add(notebooks.new_code_cell(body.rstrip(), metadata={"tags": block[1].split()[1:]}), begin)
            case ["python", "in", file] | ["csv", file]:
                language = "python" if block[1].startswith("python") else "text"
                prose(begin, f"```{{code-block}} {language}\n:caption: {file}\n\n{body}```\n")
                write = f"from pathlib import Path\n\nPath({file!r}).write_text({body!r})"
                add(notebooks.new_code_cell(write, metadata={"tags": ["remove-cell"]}), begin)
            case ["text"] if cells and cells[-1].cell_type == "code" and not text[position:begin].strip():
                pass
            case _:
                continue
        position = end
    prose(len(text))
    runs = any(cell.cell_type == "code" for cell in cells)
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "code": digest_of_code()},
        "language_info": {"name": "python", "pygments_lexer": "python"},
        "mystnb": {} if runs else {"execution_mode": "off"},
        "source_map": lines,
    }
    return notebooks.new_notebook(cells=cells, metadata=metadata)
