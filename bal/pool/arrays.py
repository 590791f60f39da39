"""What people hand in, as arrays: tables, lists and tensors of other libraries become numpy arrays at the door."""

from functools import partial
from typing import Any

import jax
import numpy as np

from bal.typing import PyTree


def as_rows(x: Any, name: str = "inputs") -> PyTree:
    """Rows as arrays: a data frame, a list of rows, or anything that numpy can read becomes a `numpy.ndarray`.

    Tuples, dicts and other trees are read part by part; a list is a list of rows. Arrays of numpy and JAX,
    memory maps and other sources that slice (HDF5) are handed on as they are, unread.

    Raises:
      ValueError: text, dates, objects, complex numbers, rows of different lengths.

    >>> as_rows([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    if not isinstance(x, list) and not jax.tree_util.all_leaves([x]):
        return jax.tree.map(partial(as_rows, name=name), x, is_leaf=lambda part: isinstance(part, list))
    array: Any = x if _is_array(x) else _read(x, name)
    if not (isinstance(array, jax.Array) or _is_numeric(array.dtype)):
        raise ValueError(
            f"expected the {name} as numbers, got {_described(array)}; encode text and categories first, for classes "
            "np.unique(y, return_inverse=True)[1]"
        )
    return array


def _is_array(x: Any) -> bool:
    """Arrays that this program or a file holds, as opposed to columns of a table, which only look like arrays."""
    if isinstance(x, np.ndarray | jax.Array):
        return True
    slices = all(hasattr(x, part) for part in ("shape", "ndim", "__getitem__"))
    return slices and isinstance(getattr(x, "dtype", None), np.dtype) and not hasattr(x, "to_numpy")


def _read(x: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(x)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"expected {name} that are an array, or a list of rows of one length, got {type(x).__name__} that numpy "
            f"cannot read ({error}); use np.asarray"
        ) from error


def _is_numeric(dtype: Any) -> bool:
    return dtype.kind in "biuf" or (dtype.kind == "V" and str(dtype) in ("bfloat16", "float8_e4m3fn", "float8_e5m2"))


def _described(array: Any) -> str:
    if array.dtype.kind in "OUS" and getattr(array, "size", 0) and isinstance(array, np.ndarray):
        return f"{array.dtype} such as {array.flat[0]!r}"
    return str(array.dtype)
