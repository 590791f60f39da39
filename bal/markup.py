"""Values as a small table for notebooks. All text is escaped here, and nowhere else."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

LONGEST = 200
"""Letters of a cell that are shown."""


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table: a line of names, then the rows.

    >>> table(["row", "label"], [[7, "<b>"]])
    '<table><thead><tr><th>row</th><th>label</th></tr></thead><tbody><tr><td>7</td><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = f"<thead><tr>{''.join(_cell('th', name) for name in header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{''.join(_cell('td', value) for value in row)}</tr>" for row in rows)
    return f"<table>{_caption(caption)}{head}<tbody>{body}</tbody></table>"


def facts(caption: str, said: Mapping[str, Any]) -> str:
    """A table of names and what is said of them; what is None is left out.

    >>> facts("Task", {"rows": 3, "test": None})
    '<table><caption>Task</caption><tbody><tr><th>rows</th><td>3</td></tr></tbody></table>'
    """
    kept = {name: value for name, value in said.items() if value is not None}
    body = "".join(f"<tr>{_cell('th', name)}{_cell('td', value)}</tr>" for name, value in kept.items())
    return f"<table>{_caption(caption)}<tbody>{body}</tbody></table>"


def _cell(kind: str, value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"<{kind}>{escape(text if len(text) <= LONGEST else text[: LONGEST - 1] + '…')}</{kind}>"


def _caption(text: str) -> str:
    return f"<caption>{escape(text)}</caption>" if text else ""
