"""Arrays of one round as the bytes of an npz file that notices every changed bit.

The file is an ordinary npz (a zip); its comment, the last 64 bytes, is the SHA-256 of everything before it
and is checked before anything is parsed.
"""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from bal.records.errors import CorruptRecordError

_DIGITS = 64
_PREFIX = "array/"


def pack(round: int, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The file's bytes; raises TypeError at an array whose dtype would not read back as it is."""
    named: dict[str, Any] = {_PREFIX + name: np.asarray(array) for name, array in arrays.items()}
    for name, array in named.items():
        if array.dtype.kind in "OV":
            raise TypeError(
                f"{name}: expected numbers, booleans or text, got dtype {array.dtype}; "
                "convert it with astype, or store it field by field"
            )
    buffer = io.BytesIO()
    np.savez(buffer, round=np.int64(round), **named)
    # a zip ends with the length of its comment, in two bytes: numpy writes none
    body = buffer.getvalue()[:-2] + _DIGITS.to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def unpack(data: bytes, name: str) -> tuple[int, dict[str, np.ndarray]]:
    """Inverse of `pack`; raises CorruptRecordError if the checksum differs."""
    body, digest = data[:-_DIGITS], data[-_DIGITS:]
    if hashlib.sha256(body).hexdigest().encode("ascii") != digest:
        raise CorruptRecordError(f"{name} does not match its own checksum; delete it to resume from the log alone")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {key.removeprefix(_PREFIX): file[key] for key in file.files if key != "round"}
        return int(file["round"]), arrays
