"""Settings of rules, budgets and drifts, checked when they are made: one sentence each."""

import math
from typing import Any

import numpy as np

from bal.learners.settings import named


def check_number(name: str, value: Any) -> None:
    """A number, not NaN.

    >>> check_number("above", "high")
    Traceback (most recent call last):
    TypeError: expected a number as above, got 'high'
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"expected a number as {name}, got {value!r}")
    if math.isnan(value):
        raise ValueError(f"expected a number as {name}, got NaN: nothing compares with it")


def check_share(name: str, value: Any, above_zero: bool = False) -> None:
    """A share or probability in [0, 1], or in (0, 1].

    >>> check_share("share", 10)
    Traceback (most recent call last):
    ValueError: expected share in [0, 1], got 10; 0.1 is one row in ten
    """
    check_number(name, value)
    if not 0 <= value <= 1 or (above_zero and not value):
        raise ValueError(f"expected {name} in {'(' if above_zero else '['}0, 1], got {value}; 0.1 is one row in ten")


def check_scoring(scoring: Any) -> None:
    """An acquisition or one about the latest rows.

    >>> check_scoring("bald")
    Traceback (most recent call last):
    TypeError: expected an acquisition such as bald, or recent_epig(64), got an object of type str
    """
    if not callable(scoring) and not callable(getattr(scoring, "score", None)):
        raise TypeError(f"expected an acquisition such as bald, or recent_epig(64), got {named(scoring)}")
