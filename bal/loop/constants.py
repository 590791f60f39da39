"""Large arrays that methods hold, as arguments of a compiled program in place of constants in it.

A constant is copied into each program that is compiled, and the compiler looks through it. What a factory of
`bal.method` was given can be told from what it made: so a program is made of methods whose arrays are arguments, and
those that somebody holds are the only copy, however many programs, seeds and members read them.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.core import Tracer

from bal.method import Made, Method, made_by

LARGE = 2**20
"""Bytes from which on an array is an argument."""


def large_arrays(value: Any) -> tuple[jax.Array, ...]:
    """Arrays of `LARGE` bytes and more among the settings of methods, each once.

    >>> large_arrays((1.0, jax.numpy.ones(3)))
    ()
    """
    found = {id(leaf): leaf for leaf in _walk(value)}
    return tuple(found.values())


def with_arrays(value: Any, old: tuple[jax.Array, ...], new: tuple[Any, ...]) -> Any:
    """The same, made anew of `new` in place of `old`: by the same factories, with the same other settings."""
    return _replaced(value, dict(zip(map(id, old), new, strict=True))) if old else value


def jitted(part: Callable[[Any], Callable], held: Any, static_argnums: tuple[int, ...] = ()) -> Callable:
    """``part(held)``, compiled; large arrays among `held`, which is made of methods, are arguments of the program.

    >>> jitted(lambda numbers: lambda x: x + numbers[0], (1.0, 2.0))(2.0).item()
    3.0
    """
    arrays = large_arrays(held)
    if not arrays:
        return jax.jit(part(held), static_argnums=static_argnums)

    def with_held(new: tuple, *args: Any) -> Any:
        return part(with_arrays(held, arrays, new))(*args)

    program = jax.jit(with_held, static_argnums=tuple(1 + number for number in static_argnums))
    return lambda *args: program(arrays, *args)


def _call_of(value: Any) -> Made | None:
    return value.made if isinstance(value, Method) else made_by(value) if isinstance(value, tuple) else None


def _walk(value: Any) -> Iterator[jax.Array]:
    made = _call_of(value)
    if made is not None:
        yield from _walk(tuple(made.settings.values()))
    elif isinstance(value, jax.Array):
        if not isinstance(value, Tracer) and value.nbytes >= LARGE:
            yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _walk(part)
    elif isinstance(value, dict):
        yield from _walk(tuple(value.values()))
    elif _is_data(value):
        yield from _walk(_fields(value))


def _replaced(value: Any, places: dict[int, Any]) -> Any:
    if not any(id(leaf) in places for leaf in _walk(value)):
        return value  # what holds none of them is what it was
    made = _call_of(value)
    if made is not None:
        settings = {name: _replaced(part, places) for name, part in made.settings.items()}
        again = _made_again(made, settings)
        return again if isinstance(value, tuple) else _part(again, value.part)
    if isinstance(value, jax.Array):
        return places[id(value)]
    if isinstance(value, dict):
        return {name: _replaced(part, places) for name, part in value.items()}
    if _is_data(value):
        return dataclasses.replace(value, **_replaced(_fields(value), places))
    parts = [_replaced(part, places) for part in value]
    return value._make(parts) if hasattr(value, "_make") else type(value)(parts)  # type: ignore[attr-defined]


def _is_data(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _made_again(made: Made, settings: dict[str, Any]) -> Any:
    given = inspect.BoundArguments(inspect.signature(made.make), settings)  # type: ignore[arg-type]
    return made.make(*given.args, **given.kwargs)


def _part(made: Any, part: str) -> Any:
    """The function of that name among what a factory returned."""
    if isinstance(made, Method):
        return made if made.part == part else None
    found = (_part(leaf, part) for leaf in made) if isinstance(made, tuple) else ()
    return next((leaf for leaf in found if leaf is not None), None)
