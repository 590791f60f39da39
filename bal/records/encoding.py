"""Values as JSON that reads back exactly: every float bit for bit, NaN and infinities included.

JSON has no NaN and no infinity. They are written as ``{"$float": "nan"}``, ``{"$float": "inf"}`` and
``{"$float": "-inf"}``, which no text can be mistaken for (a label may well be the word "nan"); the key
"$float" is therefore refused in what is written. Finite floats are written by Python's shortest
representation, which reads back to the same double; a float32 is a double exactly.
"""

import hashlib
import json
import math
from typing import Any

import numpy as np

from bal.records.errors import CorruptRecordError

_TAG = "$float"
_MAX_BITS = 13_000  # Python writes and reads integers of up to 4,300 digits
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def plain(value: Any, where: str) -> Any:
    """The value in builtin types: arrays and tuples as lists, numpy scalars as numbers.

    Raises TypeError that names the key path, which starts with `where`, at anything that JSON cannot hold
    exactly.

    >>> plain({"scores": np.float32([0.5, 2.0]), "ids": (1, 2)}, "event")
    {'scores': [0.5, 2.0], 'ids': [1, 2]}
    """
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        if value.bit_length() > _MAX_BITS:
            raise TypeError(f"{where}: expected an integer of up to 3,900 digits, got a longer one; store it as text")
        return value
    if isinstance(value, np.ndarray | np.generic):
        # a wider float does not fit the double that JSON gives back
        if value.dtype.kind in "biufU" and not (value.dtype.kind == "f" and value.dtype.itemsize > 8):
            return value.tolist()
        raise TypeError(
            f"{where}: expected booleans, integers, floats up to 64 bits or text, got dtype {value.dtype}; "
            "convert it with astype first"
        )
    if type(value) in (list, tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if type(value) is dict:
        for key in value:
            if type(key) is not str or key == _TAG:
                raise TypeError(f"{where}: expected text other than {_TAG!r} as key, got {key!r}; rename the key")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(
        f"{where}: expected None, bool, int, float, str, list, tuple, dict or a numpy array, "
        f"got {type(value).__name__}; convert it: np.asarray for a device array, dataclasses.asdict, str"
    )


def _tagged(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: repr(value)}
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, dict):
        return {key: _tagged(item) for key, item in value.items()}
    return value


def _untagged(value: dict[str, Any]) -> Any:
    if _TAG not in value:
        return value
    if len(value) != 1 or value[_TAG] not in _NON_FINITE:
        raise ValueError(f"not a float: {value}")
    return _NON_FINITE[value[_TAG]]


def _refuse(constant: str) -> None:
    raise ValueError(f"bare {constant} is not JSON")


_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_write_indented = json.JSONEncoder(sort_keys=True, separators=(",", ": "), allow_nan=False, indent=1).encode
_read = json.JSONDecoder(parse_constant=_refuse).decode
_read_tagged = json.JSONDecoder(object_hook=_untagged, parse_constant=_refuse).decode


def encode(value: Any, indented: bool = False) -> bytes:
    """Canonical JSON of a `plain` value: sorted keys, ASCII, no white space unless indented."""
    return (_write_indented if indented else _write)(_tagged(value)).encode("ascii")


def decode(data: bytes) -> Any:
    """Inverse of `encode`; raises ValueError at anything it could not have written."""
    try:
        # a tag can only be spelled out or escaped: whatever has neither needs no second look at its dicts
        read = _read_tagged if b"$" in data or b"\\" in data else _read
        return read(data.decode("ascii"))
    except (RecursionError, TypeError) as error:
        raise ValueError(str(error)) from error


def seal(body: Any) -> bytes:
    """An indented JSON document ``{"body": ..., "sha256": digest of the body}``."""
    return encode({"body": body, "sha256": hashlib.sha256(encode(body)).hexdigest()}, indented=True) + b"\n"


def unseal(data: bytes, name: str) -> Any:
    """The body of a sealed document; raises CorruptRecordError if any byte of it has changed."""
    try:
        body = decode(data)["body"]
        sealed = seal(body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRecordError(f"{name} is not a sealed document ({error}); restore it from a copy") from error
    if sealed != data:
        raise CorruptRecordError(f"{name} does not match its own checksum; restore it from a copy")
    return body
