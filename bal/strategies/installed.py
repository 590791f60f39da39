"""Strategies that other packages bring: found by name among what is installed, never imported from a path."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from bal.typing import Query

GROUP = "bal.strategies"


def installed() -> tuple[str, ...]:
    """Names ``package:strategy`` of all strategies that installed packages bring, in order.

    A package brings one by an entry point in its pyproject.toml, whose value is a function without arguments that
    returns a `Query`:

        [project.entry-points."bal.strategies"]
        brier_gain = "bal_brier:brier_gain_query"

    >>> isinstance(installed(), tuple)
    True
    """
    return tuple(sorted(map(_name, entry_points(group=GROUP))))


def plug_in(name: str, among: Iterable[EntryPoint] | None = None) -> Query:
    """The query of an installed package by its name ``package:strategy``, as `installed` lists them.

    Args:
      name: the distribution's name, a colon, and the name of the entry point.
      among: entry points, by default those of what is installed.

    Raises:
      ValueError: no such strategy; it says which there are.
      TypeError: an entry point that does not return a `Query`.

    >>> try:
    ...     plug_in("nobody:nothing", [])
    ... except ValueError as error:
    ...     print(str(error).split(";")[0])
    no installed package brings the strategy 'nobody:nothing'
    """
    found = list(entry_points(group=GROUP) if among is None else among)
    for point in found:
        if _name(point) == name:
            query = point.load()()
            if not isinstance(query, Query):
                raise TypeError(
                    f"expected {point.value} of {name!r} to return a Query, got {type(query).__name__}; return "
                    "bal.query.by_score(acquisition), say"
                )
            return query
    there = ", ".join(sorted(map(_name, found))) or f"none at all (entry points of group {GROUP})"
    raise ValueError(f"no installed package brings the strategy {name!r}; there is {there}")


def _name(point: EntryPoint) -> str:
    package = point.dist.name if point.dist is not None else point.value.split(":")[0].split(".")[0]
    return f"{package}:{point.name}"
