"""Cells of a sweep: settings in a frozen dataclass, of which every field is checked; as plain values, and back."""

import dataclasses
import itertools
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

C = TypeVar("C")
_CLASS = "class"
"""Which dataclass a nested group of values belongs to: a word of Python that no field can be named."""


def grid(config: C, /, **fields: Any) -> list[C]:
    """Every combination of the values of some fields, the others as they are in `config`; the last varies fastest.

    Cells that are no product are lists of such: ``grid(Config(), ...) + grid(Config(width=2), ...)``.

    Args:
      config: an instance of a frozen dataclass.
      fields: the values of a field, a list by its name.

    Raises:
      TypeError: no frozen dataclass; a value that is not of the field's kind (a whole number will do for a float).
      ValueError: no such field; no values, or the same twice.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     data: str = "digits"
    ...     width: int = 1
    >>> grid(Config(), data=["iris", "wine"], width=[1, 2])[1]
    Config(data='iris', width=2)
    """
    kind = type(config)
    check_config(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    values: dict[str, list[Any]] = {}
    for name, told in fields.items():
        if name not in known:
            raise ValueError(f"{kind.__name__} has no field {name!r}; its fields are {', '.join(known)}")
        if isinstance(told, str | Mapping) or not isinstance(told, Iterable):
            raise TypeError(f"{name}: expected a list of values, got {told!r}; write [{told!r}]")
        values[name] = [of_kind(get_type_hints(kind)[name], value, name) for value in told]
        if not values[name]:
            raise ValueError(f"{name}: expected at least one value, got none; leave the field out to keep its default")
        for place, value in enumerate(values[name]):
            if value in values[name][:place]:
                raise ValueError(f"{name}: {value!r} is there twice; name each value once")
    combined = itertools.product(*values.values())
    cells = [dataclasses.replace(config, **dict(zip(values, told))) for told in combined]  # type: ignore[type-var]
    for cell in cells:
        as_values(cell)
    return cells


def check_config(kind: type) -> None:
    """Refuse what is no frozen dataclass."""
    frozen = dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen:
        raise TypeError(f"expected a frozen dataclass, got {kind.__name__}; write @dataclass(frozen=True) above it")


def as_values(config: Any) -> dict[str, Any]:
    """The fields as plain values: what names a cell, and what `of_values` makes it of again.

    Raises:
      TypeError: a field that does not hold what it is annotated with, or that does not come back the same.
    """
    check_config(type(config))
    back = of_values(type(config), _fields(config))
    if back != config:
        raise TypeError(
            f"{config} does not come back from its fields; use plain values, tuples, and no __post_init__ that changes"
        )
    return _fields(back)


def _fields(config: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_CLASS: type(value).__name__, **_fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.as_posix() if isinstance(value, Path) else value


def of_values(kind: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """An instance of a frozen dataclass from plain values, as JSON and TOML hold them; strictly by kind.

    Raises:
      TypeError: no frozen dataclass; a value of another kind than its field.
      ValueError: no such field; a field without a default that is missing.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     rate: float
    ...     names: tuple[str, ...] = ()
    >>> of_values(Config, {"rate": 1, "names": ["a"]})
    Config(rate=1.0, names=('a',))
    >>> of_values(Config, {"rate": "1"})
    Traceback (most recent call last):
    TypeError: rate: expected float, got '1'
    """
    check_config(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    told = {name: value for name, value in values.items() if name != _CLASS}
    for name in told:
        if name not in fields:
            raise ValueError(f"{kind.__name__} has no field {where + name!r}; its fields are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in told and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{kind.__name__} needs a value for {where + name!r}, which has no default")
    hints = get_type_hints(kind)
    return kind(**{name: of_kind(hints[name], value, where + name) for name, value in told.items()})


def of_kind(hint: Any, value: Any, where: str) -> Any:
    """The value as the annotation `hint` says; nothing is converted but lists, whole numbers and paths."""
    value = value.item() if isinstance(value, np.generic) else value
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return of_kind(args[0], value, where)
    if origin in (Union, types.UnionType):
        return _one_of(args, value, where)
    if origin is Literal:
        if any(value == one and type(value) is type(one) for one in args):
            return value
        raise TypeError(f"{where}: expected one of {', '.join(map(repr, args))}, got {value!r}")
    if origin is tuple and isinstance(value, tuple | list):
        kinds = args[:1] * len(value) if args[1:] == (...,) else args
        if len(kinds) == len(value):
            return tuple(of_kind(one, item, f"{where}[{i}]") for i, (one, item) in enumerate(zip(kinds, value)))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if type(value) is hint:
            return value
        if isinstance(value, Mapping) and value.get(_CLASS, hint.__name__) == hint.__name__:
            return of_values(hint, value, f"{where}.")
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint in (bool, int, float, str, type(None)) and type(value) is hint:
        return value
    known = hint in (bool, int, float, str, type(None), Path) or origin is tuple or dataclasses.is_dataclass(hint)
    words = hint.__name__ if isinstance(hint, type) else str(hint)
    if not known:
        raise TypeError(
            f"{where}: fields may be bool, int, float, str, Path, None, Literal, tuples, unions and frozen dataclasses "
            f"of these, not {words}"
        )
    raise TypeError(f"{where}: expected {words}, got {value!r}")


def _one_of(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    found, refused = [], []
    for hint in hints:
        try:
            found.append(of_kind(hint, value, where))
        except (TypeError, ValueError) as error:
            refused.append(str(error))
    exact = [one for one in found if type(one) is type(value)]  # int before float for 1
    if found:
        return (exact or found)[0]
    raise TypeError("; or ".join(refused))
