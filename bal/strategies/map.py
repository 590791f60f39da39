"""The page `docs/map.md`: every recipe by its category, made from the recipes themselves.

python -m bal.strategies.map > docs/map.md
"""

import inspect
import re

from bal import strategies
from bal.strategies.categories import CATEGORIES

WRAPPERS = {"remembered"}
"""Recipes around another one, whose category is that of the other."""

HEAD = """# Map of methods

Recipes of `bal.strategies` by what they ask by; each carries its mark in code, `bal.strategies.badge.category`. This
page is made from them: `python -m bal.strategies.map > docs/map.md`. What each is for, and its parts, are on the page
of [methods](methods.md).
"""
LEARNED = """No recipe: what was learned comes with the method, as in `bal.learned` (rankers, bandits, policies)."""
TAIL = """
Learning that needs no label goes with any of them, each in `experiments/combinations.py`: semi-supervised
(`bal.learners.fixmatch` in place of an ensemble), transfer (a frozen network's features under
`bal.learners.bayesian_softmax`) and unsupervised (a start set chosen on principal components).
"""


def by_category() -> dict[str, list[str]]:
    """Names of recipes by category.

    >>> by_category()["distribution"]
    ['k_center', 'kmeans_pp', 'probcover', 'typiclust']
    """
    names = [name for name in strategies.__all__ if name not in WRAPPERS]
    return {one: [name for name in names if getattr(strategies, name).category == one] for one in CATEGORIES}


def source(name: str) -> str:
    """The papers at the end of a recipe's docstring, without their titles.

    >>> source("margin")
    'Scheffer, Decomain and Wrobel 2001'
    """
    last = re.split(r"\n\s*\n", inspect.cleandoc(getattr(strategies, name).__doc__ or ""))[-1]
    papers = re.findall(r"(?:^|[;.]\s+|, as in |, and )?((?:[A-Z][^\W\d_][^;\"\d]*?)\s\d{4})\b", " ".join(last.split()))
    return "; ".join(papers) if re.match(r"[A-Z].* \d{4}", " ".join(last.split())) else ""


def page() -> str:
    """The whole page."""
    tables = []
    for one, names in by_category().items():
        rows = [f"| `{name}` | {source(name) or '-'} |" for name in names]
        body = "\n".join(["| recipe | paper |", "|---|---|", *rows]) if rows else LEARNED
        tables.append(f"\n## {one.capitalize()}: {CATEGORIES[one]}\n\n{body}\n")
    return HEAD + "".join(tables) + TAIL


if __name__ == "__main__":
    print(page(), end="")
