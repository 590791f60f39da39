"""The page `map.md` beside this: every recipe by its category, made from the recipes themselves.

python docs/map.py > docs/map.md
python docs/map.py --readme            # the short table between the marks of README.md
"""

import inspect
import re
import sys
from collections.abc import Callable

from bal import bilevel, learned, strategies
from bal.strategies.categories import CATEGORIES

WRAPPERS = {"remembered"}
"""Recipes around another one, whose category is that of the other."""

ELSEWHERE = {
    "bilevel": bilevel.bilevel,
    "bandit": learned.bandit,
    "learned_policy": learned.learned_policy,
    "learned_utility": learned.learned_utility,
}
"""Queries of packages above, of whose home the page tells."""

HEAD = """# Map of methods

Recipes of `bal.strategies`, and queries of `bal.bilevel` and `bal.learned`, by what they ask by; each carries its mark
in code, `bal.strategies.badge.category`. This page is made from them: `python docs/map.py > docs/map.md`. What each is
for, and its parts, are on the page of [methods](methods.md).
"""
TAIL = """
Learning that needs no label goes with any of them, each in `experiments/combinations.py`: semi-supervised
(`bal.learners.fixmatch` in place of an ensemble), transfer (softmax regressions on a frozen network's features) and
unsupervised (a start set chosen on principal components).
"""


def marked() -> dict[str, Callable]:
    """Every recipe by its name."""
    return {name: getattr(strategies, name) for name in strategies.__all__ if name not in WRAPPERS} | ELSEWHERE


def by_category() -> dict[str, list[str]]:
    """Names of recipes by category."""
    found = marked()
    return {one: sorted(name for name in found if getattr(found[name], "category", "") == one) for one in CATEGORIES}


def source(name: str) -> str:
    """The papers at the end of a recipe's docstring, without their titles."""
    last = " ".join(re.split(r"\n\s*\n", inspect.cleandoc(marked()[name].__doc__ or ""))[-1].split())
    papers = re.findall(r"(?:^|[;.]\s+|, as in |, and )?(?<!\w)((?:[A-Z][^\W\d_][^;\"\d]*?)\s\d{4})\b", last)
    return "; ".join(papers) if re.match(r"[A-Z].* \d{4}", last) else ""


def called(name: str) -> str:
    """The name, with the package of one that is no recipe of `bal.strategies`."""
    home = ".".join(marked()[name].__module__.split(".")[:2])
    return f"{home}.{name}" if name in ELSEWHERE else name


def page() -> str:
    """The whole page."""
    tables = []
    for one, names in by_category().items():
        rows = [f"| `{called(name)}` | {source(name) or '-'} |" for name in names]
        body = "\n".join(["| recipe | paper |", "|---|---|", *rows])
        tables.append(f"\n## {one.capitalize()}: {CATEGORIES[one]}\n\n{body}\n")
    return HEAD + "".join(tables) + TAIL


def short(most: int = 10) -> str:
    """One row a category, for the README: the first recipes of each."""
    rows = []
    for one, names in by_category().items():
        more = f" and {len(names) - most} more" if len(names) > most else ""
        rows.append(f"| {one} | {CATEGORIES[one]} | {', '.join(f'`{name}`' for name in names[:most])}{more} |")
    return "\n".join(["| category | asks | recipes |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(short() if "--readme" in sys.argv[1:] else page().rstrip())
