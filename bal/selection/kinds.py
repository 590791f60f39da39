"""What kind of rows a rule works on, checked when it is traced: another kind is named, with what to do instead."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from bal.typing import Candidates, PRNGKey, PyTree, Selection


def check_scores(rule: str, rows: PyTree) -> None:
    """Rows are one score each."""
    _check_axes(rule, rows, 1, "ranks one score a row, [n]", "use by_score(acquisition, rule)")


def check_features(rule: str, rows: PyTree) -> None:
    """Rows are one vector of features each."""
    _check_axes(rule, rows, 2, "compares features, [n, F]", "give the stage a row function that makes one vector a row")


def check_draws(rule: str, rows: PyTree) -> None:
    """Rows are the class probabilities of each draw."""
    advice = f"use Stage(predictions, {rule}(...)) with a classifier"
    _check_axes(rule, rows, 3, "works on log probabilities of posterior draws, [n, K, C]", advice)


def check_type(rule: str, rows: PyTree, expected: type) -> None:
    """Rows are of one structure."""
    if not isinstance(rows, expected):
        fields = ", ".join(expected._fields)
        raise ValueError(
            f"{rule} works on {expected.__name__}({fields}), got {_named(rows)}: give the stage a row function that "
            f"returns {expected.__name__}"
        )


def selector(select: Callable[[PRNGKey, Candidates, int], Selection]) -> Callable[..., Selection]:
    """Mark a selector that is used as it is, so that a call without arguments, as of a factory, is explained."""

    @wraps(select)
    def marked(*args: Any, **kwargs: Any) -> Selection:
        if not args and not kwargs:
            name = select.__name__
            raise TypeError(f"{name} is a selector itself, not a function that makes one: write {name}, not {name}()")
        return select(*args, **kwargs)

    return marked


def _check_axes(rule: str, rows: PyTree, num_axes: int, expected: str, advice: str) -> None:
    if getattr(rows, "ndim", None) != num_axes:
        raise ValueError(f"{rule} {expected}, got {_named(rows)}: {advice}")


def _named(rows: PyTree) -> str:
    if rows is None:
        return "no rows"
    if not hasattr(rows, "shape"):
        return f"rows of type {type(rows).__name__}"
    return f"one number a row, {list(rows.shape)}" if rows.ndim == 1 else f"rows of shape {list(rows.shape)}"
