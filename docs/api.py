"""One page a package in `api/`, which autodoc fills: written when the site is built, kept out of git.

python docs/api.py   # where they are to be looked at
"""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import bal

FOLDER = Path(__file__).resolve().parent / "api"
HIDDEN = {"bal.cli", "bal.numerics"}
"""The command, whose reference is its `--help`; tricks that no page needs."""
INSIDE = ("bal.method", "bal.typing", "bal.learners.gp", "bal.evaluation.active", "bal.evaluation.figures")
"""What lists names of its own beside the packages."""

PAGE = """# {name}

```{{eval-rst}}
.. default-role:: py:obj

.. automodule:: {name}
   :members:
```
"""


def packages() -> list[str]:
    """Every package with public names, and what lies inside of one and has names that it does not list."""
    found = [f"bal.{one.name}" for one in pkgutil.iter_modules(bal.__path__) if one.ispkg]
    listed = lambda name: getattr(importlib.import_module(name), "__all__", ())
    return [*(name for name in found if name not in HIDDEN and listed(name)), *INSIDE, "bal.evaluation.protocol"]


def write(*_: Any) -> None:
    """All pages, of which only those that have changed are touched."""
    FOLDER.mkdir(exist_ok=True)
    pages = {FOLDER / f"{name}.md": PAGE.format(name=name) for name in packages()}
    for old in set(FOLDER.glob("*.md")) - set(pages):
        old.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def tidy(text: str) -> str:
    """A docstring as reStructuredText reads it: the fields of a structure as a list, tables in spaces as they stand.

    >>> print(tidy("Data.\\n\\nx: inputs,\\n    one a row.\\ny: labels."))
    Data.
    <BLANKLINE>
    - **x**: inputs,
      one a row.
    - **y**: labels.
    """
    prose, _, sections = re.sub(
        r"\n(?=(?:Args|Returns|Yields|Raises|Example):\n|>>>)", "\n\0", text, count=1
    ).partition("\0")
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n[ \t]*\n", prose)) + sections


def _paragraph(part: str) -> str:
    lines = part.splitlines()
    if part.startswith("    "):
        return f"::\n\n{part}"
    if not part.strip() or part.startswith((" ", ">>>", "Args:", "Returns:", "Raises:")):
        return part
    starts = [line for line in lines if not line.startswith(" ")]
    field = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): ")
    if field.match(starts[0]) and sum(bool(field.match(line)) for line in starts) > len(starts) / 2:
        items = [field.sub(r"- **\1**: ", line) if field.match(line) else "  " + line.lstrip() for line in lines]
        return "\n".join(items)
    if any(line.startswith("    ") for line in lines):
        found: list[str] = []
        for line in lines:
            inside, before = line.startswith("    "), found and found[-1].startswith("    ")
            found += ["", "::", ""] * (inside and not before) + [""] * bool(before and not inside) + [line]
        return "\n".join(found)
    return part


def tidied(app: Any, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
    """`tidy` as autodoc calls it, before napoleon."""
    lines[:] = tidy("\n".join(lines)).splitlines()


def setup(app: Any) -> None:
    """What the site connects."""
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", tidied, priority=400)


if __name__ == "__main__":
    write()
