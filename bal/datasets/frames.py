"""Columns of files, frames, dicts and arrays, as plain numpy arrays: what people keep their tables in."""

import csv
from collections.abc import Mapping
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}
"""How files write that a value is missing, whatever the case."""


def columns_of(x: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns by name as they come, and what the rows are called."""
    if isinstance(x, str | Path):
        columns = {name: _parsed(texts) for name, texts in texts_of(Path(x)).items()}
    elif isinstance(x, Mapping):
        columns = {str(name): _plain(column) for name, column in x.items()}
    elif hasattr(x, "columns"):
        names = [str(name) for name in x.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected columns of different names, got {twice[0]!r} twice; rename one")
        columns = {str(name): _plain(x[name]) for name in x.columns}
    else:
        array = np.asarray(x, None if hasattr(x, "dtype") else object)  # numbers beside text stay numbers
        if array.ndim != 2:
            raise ValueError(f"expected a table, rows by columns, got an array of shape {array.shape}; use reshape")
        columns = {f"x{number}": column for number, column in enumerate(array.T)}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ValueError(f"expected columns of one length, at least 1 row, got {lengths or 'no columns'}")
    num_rows = next(iter(lengths.values()))
    index = getattr(x, "index", None)
    return columns, np.arange(num_rows) if index is None or callable(index) else np.asarray(index)


def texts_of(path: Path) -> dict[str, list[str]]:
    """Columns of a CSV file as they are written, but for blanks around a text: "007" stays that, and "none" is a word.

    Raises:
      ValueError: no such file, one that is no CSV in UTF-8, or whose rows do not fit its header.
    """
    if not path.is_file():
        raise ValueError(f"expected the path of a CSV file, but there is no file {str(path)!r}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} cannot be read as CSV in UTF-8 ({error}); save it as that") from None
    if len(lines) < 2:
        raise ValueError(f"expected a header and at least one line below it in {path.name}, got {len(lines)} lines")
    header, *rows = [name.strip() for name in lines[0]], *lines[1:]
    for number, line in enumerate(rows, 1):
        if len(line) != len(header):
            raise ValueError(
                f"row {number} of {path.name} has {len(line)} values, but the header has {len(header)} names; quote "
                "texts that hold a comma"
            )
    if len(set(header)) != len(header):
        raise ValueError(f"expected columns of different names in {path.name}, got {header}; rename one")
    return {name: [text.strip() for text in column] for name, column in zip(header, zip(*rows))}


def _parsed(texts: list[str]) -> np.ndarray:
    """Texts with None where missing; numbers where every text of a column is one."""
    values = [None if text.lower() in MISSING else text for text in texts]
    for number in () if any("_" in text for text in texts) else (int, float):  # python reads 1_2 as 12
        try:
            found = [value if value is None else number(value) for value in values]
        except ValueError:
            continue
        return np.array(found, object)
    return np.array(values, object)


def _plain(column: Any) -> np.ndarray:
    """A column of a frame, or a list, as numpy has it."""
    array = column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column, getattr(column, "dtype", object))
    return np.asarray(array)


def values_of(name: str, column: np.ndarray) -> tuple[list, np.ndarray]:
    """Values that are not missing, and where these are."""
    if column.dtype.kind in "mMcV":
        raise ValueError(f"column {name!r} holds {column.dtype}; make numbers of it, such as days or real parts")
    found = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    here = np.array(
        [value is not None and type(value).__name__ not in ("NAType", "NaTType") and value == value for value in found]
    )
    if not here.any():
        raise ValueError(f"column {name!r} holds no value at all; drop it")
    values = [value for value, present in zip(found, here) if present]
    unknown = [value for value in values if not isinstance(value, str | bool | int | float | Number)]
    if unknown:
        raise ValueError(f"column {name!r} holds {type(unknown[0]).__name__}; expected numbers, text or truth values")
    return values, here
