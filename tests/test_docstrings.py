"""One order of sections in every public docstring: prose, Args, Returns, Raises, an example, references."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bal"
NAMES = r"([A-Z][^\W\d_][-\w.]*|and|et al\.|van|von|de|der)"
SECTIONS = ("Args:", "Returns:|Yields:", "Raises:", "(.*\n)*>>> ", rf"{NAMES}(,?\s{NAMES})*,?\s\d{{4}}\b")
ORDER = [re.compile(section) for section in SECTIONS]
"""How each section begins: the last one is a reference, names and a year."""


def kind(paragraph: str) -> int:
    """Place of a paragraph in the order; 0 for prose."""
    return next((place for place, pattern in enumerate(ORDER, 1) if pattern.match(paragraph)), 0)


def documented(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and docstrings of what is public in a module."""
    for node in getattr(tree, "body", ()):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if ast.get_docstring(node):
                yield prefix + node.name, inspect.cleandoc(ast.get_docstring(node))
            yield from documented(node, f"{prefix}{node.name}.") if isinstance(node, ast.ClassDef) else ()


def kinds(docstring: str) -> list[int]:
    return [kind(paragraph) for paragraph in re.split(r"\n\s*\n", docstring)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sections_stand_in_one_order(path):
    for name, docstring in documented(ast.parse(path.read_text())):
        assert kinds(docstring) == sorted(kinds(docstring)), f"{name}: {kinds(docstring)}"


def test_sections_are_told_apart():
    docstring = """What it is.

    Gal et al. say more.

    Args:
      x: a number.

    Returns:
      A number.

    Raises:
      ValueError: never.

    >>> 1
    1

    Gal, van der Wilk and Ghahramani 2017, "A Title".
    """
    assert kinds(inspect.cleandoc(docstring)) == [0, 0, 1, 2, 3, 4, 5]
    assert kinds("Freeman 1965; Gal et al. 2017") == kinds("Kirsch et al. 2019, section 2.") == [5]
