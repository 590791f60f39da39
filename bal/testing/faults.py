"""What a check raises: one sentence with what was expected, on which input it failed, and how to mend it."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bal.learners.settings import named
from bal.method import brief
from bal.typing import PyTree


class Fault(AssertionError):
    """A promise that does not hold."""


def expect(holds: Any, sentence: str) -> None:
    """Raise `Fault` unless it holds.

    >>> expect(1 + 1 == 2, "arithmetic holds")
    >>> try:
    ...     expect(False, "expected a score a row, got none; return an array [n]")
    ... except Fault as fault:
    ...     print(fault)
    expected a score a row, got none; return an array [n]
    """
    if not holds:
        raise Fault(sentence)


def check_handed(thing: Any, kind: type | None, what: str, example: str) -> None:
    """What is handed to a check is of its kind, or a function where that is None.

    >>> check_handed(3, None, "an acquisition", "bal.acquisition.bald")
    Traceback (most recent call last):
    TypeError: expected an acquisition, got an object of type int; bal.acquisition.bald, say
    """
    if not (callable(thing) if kind is None else isinstance(thing, kind)):
        raise TypeError(f"expected {what}, got {named(thing)}; {example}, say")


def traced(function: Callable, *arguments: Any, what: str) -> Any:
    """``function(*arguments)``, which must be something that JAX can trace."""
    try:
        return function(*arguments)
    except jax.errors.JAXTypeError as error:
        first = str(error).strip().splitlines()[0]
        raise Fault(
            f"{what} cannot be traced by jax.jit ({type(error).__name__}: {first[:160]}); compute with jax.numpy, and "
            "branch by jnp.where in place of if"
        ) from error


def rows_of(tree: PyTree, positions: Any) -> PyTree:
    """Some rows of every leaf."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[positions], tree)


def differ(a: PyTree, b: PyTree, tolerance: float = 1e-5) -> np.ndarray:
    """Leading positions at which two trees are not the same but for rounding; NaN equals NaN."""
    wrong: Any = False
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
        near = np.isclose(p, q, rtol=tolerance, atol=tolerance, equal_nan=True)
        wrong = wrong | ~near.reshape(len(near), -1).all(1)
    return np.flatnonzero(wrong)


def name_of(thing: Any) -> str:
    """How a sentence calls it.

    >>> from bal.acquisition import bald
    >>> name_of(bald)
    'bald'
    """
    return brief(thing)


def check_lowers(function: Callable, arguments: tuple, what: str) -> None:
    """It compiles for every platform; nothing is run."""
    for platform in ("cpu", "cuda", "tpu"):
        try:
            jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,))
        except NotImplementedError as error:
            raise Fault(
                f"{what} has no translation for {platform} ({str(error).splitlines()[0][:160]}); use operations of "
                "jax.numpy and jax.lax, or jax.lax.platform_dependent with another way for that platform"
            ) from error


def check_value(make: Callable[[], Any]) -> None:
    """What ``make()`` returns is a value: made alike twice, equal and of one hash, so that nothing compiles twice.

    Use it for a factory with settings: ``check_value(lambda: power(2.0))``.

    Raises:
      Fault: two that are made alike are not equal.

    >>> from bal.selection import power
    >>> check_value(lambda: power(2.0))
    """
    first, second = make(), make()
    name = name_of(first)
    try:
        same = hash(first) == hash(second) and first == second
    except TypeError as error:
        raise Fault(
            f"{name} cannot be hashed ({error}); take settings that can: numbers, texts, tuples, arrays"
        ) from error
    expect(
        same,
        f"expected two of {name} made alike to be equal, got two that are not, so that every new one is compiled anew; "
        "decorate its factory by @bal.method.method",
    )
