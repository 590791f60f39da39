"""What a method asks by: the categories in which surveys of deep active learning sort methods.

>>> from bal.strategies import badge
>>> badge.category
'hybrid'
"""

from collections.abc import Callable
from typing import TypeVar

Recipe = TypeVar("Recipe", bound=Callable)

CATEGORIES = {
    "baseline": "by chance",
    "uncertainty": "rows whose label the model knows least, or would learn most from, one by one",
    "distribution": "rows that stand for the pool or cover it, whatever the model thinks of their labels",
    "hybrid": "batches by both: uncertain, or informative, and different from each other",
    "learned": "by what was found, in other rounds or on other tasks, to help",
}
"""Categories, after Zhan et al. 2022, "A Comparative Survey of Deep Active Learning"; learned are their designs by
"automated" search, and rankers, bandits and policies."""


def category(name: str) -> Callable[[Recipe], Recipe]:
    """Mark a recipe, which then has the attribute `category`.

    Raises:
      ValueError: a category that is none.

    >>> category("learned")(lambda: None).category
    'learned'
    """
    if name not in CATEGORIES:
        raise ValueError(f"expected a category among {', '.join(CATEGORIES)}, got {name!r}")

    def mark(recipe: Recipe) -> Recipe:
        setattr(recipe, "category", name)  # noqa: B010 - functions declare no attributes
        return recipe

    return mark
