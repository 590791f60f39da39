"""Settings of learners and networks, checked when they are made: one sentence each, before anything is traced."""

import math
from typing import Any

import numpy as np


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A whole number that is at least `least`; True and 2.0 are none.

    >>> check_count("num_steps", -1, least=0)
    Traceback (most recent call last):
    ValueError: num_steps must be at least 0, got -1
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, got {value!r}; give an int of at least {least}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def check_rate(value: Any) -> None:
    """A dropout rate in [0, 1).

    >>> check_rate(1.0)
    Traceback (most recent call last):
    ValueError: a dropout rate lies in [0, 1), but is 1.0; it is the share that is dropped
    """
    if not 0.0 <= value < 1.0:
        raise ValueError(f"a dropout rate lies in [0, 1), but is {value}; it is the share that is dropped")


def check_factor(name: str, value: Any) -> None:
    """A finite number, not below 0.

    >>> check_factor("shrink", float("nan"))
    Traceback (most recent call last):
    ValueError: shrink must be finite and at least 0, got nan
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"expected a number as {name}, got {type(value).__name__}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")


def named(value: Any) -> str:
    """What a thing is called in an error.

    >>> named(dict), named({}), named(None)
    ('dict', 'an object of type dict', 'None')
    """
    return "None" if value is None else getattr(value, "__name__", f"an object of type {type(value).__name__}")
