"""Arrays of one round as the bytes of an npz file that notices every changed bit.

The file is an ordinary npz (a zip) without compression; its comment, the last 64 bytes, is the SHA-256 of everything
before it and is checked before anything is parsed. Besides the arrays it says how long the log was when they were
saved, and the log's digest: a log that has lost what it then held is noticed.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bal.records.errors import CorruptRecordError

_DIGITS = 64
_PREFIX = "array/"


class Saved(NamedTuple):
    """What a state file holds.

    round: the number it was saved under.
    arrays: by name.
    log_size, log_sha256: length and digest of the log at that time; None in files of before they were kept.
    """

    round: int
    arrays: dict[str, np.ndarray]
    log_size: int | None
    log_sha256: str | None


def pack(round: int, arrays: Mapping[str, np.ndarray], log_size: int, log_sha256: str) -> bytes:
    """The file's bytes; raises TypeError at an array whose dtype would not read back as it is."""
    named: dict[str, Any] = {_PREFIX + name: np.asarray(array) for name, array in arrays.items()}
    for name, array in named.items():
        if array.dtype.kind in "OV":
            raise TypeError(
                f"{name}: expected numbers, booleans or text, got dtype {array.dtype}; "
                "convert it with astype, or store it field by field"
            )
    named |= {"round": np.int64(round), "log_size": np.int64(log_size), "log_sha256": np.str_(log_sha256)}
    buffer = io.BytesIO()
    np.savez(buffer, **named)
    # a zip ends with the length of its comment, in two bytes: numpy writes none
    body = buffer.getvalue()[:-2] + _DIGITS.to_bytes(2, "little")
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def unpack(data: bytes, name: str) -> Saved:
    """Inverse of `pack`; raises CorruptRecordError if the checksum differs or no `pack` wrote this."""
    body, digest = data[:-_DIGITS], data[-_DIGITS:]
    if hashlib.sha256(body).hexdigest().encode("ascii") != digest:
        raise CorruptRecordError(f"{name} does not match its own checksum; delete it to resume from the log alone")
    try:
        return _read(data)
    except Exception as error:  # a forged file may fail in any of the ways in which zip and npy can be wrong
        raise CorruptRecordError(
            f"{name} holds what no record has written ({error}); delete it to resume from the log alone"
        ) from error


def _read(data: bytes) -> Saved:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("a compressed entry")
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("entries larger than the file")
        for entry in entries:
            _check_size(archive, entry)
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {key.removeprefix(_PREFIX): file[key] for key in file.files if key.startswith(_PREFIX)}
        known = "log_size" in file
        log_size, log_sha256 = (int(file["log_size"]), str(file["log_sha256"])) if known else (None, None)
        return Saved(int(file["round"]), arrays, log_size, log_sha256)


def _check_size(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Refuse a header that claims more than follows it, before numpy makes room for what it claims."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(entry) as stream:
        shape, _, dtype = readers[np.lib.format.read_magic(stream)](stream)
        held = entry.file_size - stream.tell()
    claimed = math.prod(shape) * dtype.itemsize  # Python's integers do not overflow
    if claimed != held:
        raise ValueError(f"{entry.filename} claims {claimed} bytes and has {held}")
