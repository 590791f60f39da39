"""Files of safetensors with one array "x" each: written as a whole or not at all, read without being loaded.

The format: eight bytes with the length of the header, little endian; the header, JSON; the numbers. Numpy is enough.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from bal.datasets import CorruptDataError
from bal.records.files import replace

NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Types of numbers, as numpy and the format name them."""
_TYPES = {name: np.dtype(kind if kind != "bfloat16" else ml_dtypes.bfloat16) for kind, name in NAMES.items()}
_LONGEST = 10**6
_AT_ONCE = 64 * 2**20


def write_shard(path: Path, x: np.ndarray, of: str) -> None:
    """Write rows to a file; it appears as a whole or not at all, and is on disk on return.

    Args:
      path: of the file.
      x: the rows.
      of: what tells the manifest that they belong to.
    """
    data = np.ascontiguousarray(x, x.dtype.newbyteorder("<")).tobytes()
    about = {"dtype": NAMES[x.dtype.name], "shape": [*x.shape], "data_offsets": [0, len(data)]}
    metadata = {"format": "np", "of": of, "sha256": hashlib.sha256(data).hexdigest()}
    header = json.dumps({"__metadata__": metadata, "x": about}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    replace(path, len(header).to_bytes(8, "little") + header + data)


def open_shard(path: Path, of: str, shape: tuple[int, ...], dtype: np.dtype, check: bool) -> np.ndarray:
    """The rows of a file, mapped into memory.

    Args:
      path: of the file.
      of: what tells the manifest that they must belong to.
      shape, dtype: as they must be.
      check: read all and compare it with the digest that was written beside it.

    Raises:
      CorruptDataError: a file that is damaged, cut off, or of other features; it is named.
    """
    damaged = lambda why: CorruptDataError(
        f"{path} is damaged ({why}); delete it and compute the features again, other shards are kept"
    )
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST, size - 8):
            raise damaged("its header is cut off")
        try:
            header: Any = json.loads(file.read(length))
            metadata, about = header["__metadata__"], header["x"]
            held, kind, end = tuple(about["shape"]), _TYPES[about["dtype"]], about["data_offsets"][1]
            known, digest = metadata["of"], metadata["sha256"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise damaged("its header cannot be read") from error
    if known != of:
        raise CorruptDataError(f"{path} belongs to other features; delete it and compute the features again")
    if (held, kind) != (shape, dtype):
        raise damaged(f"it holds {kind} {list(held)}, expected {dtype} {list(shape)}")
    expected = 8 + length + int(np.prod(shape)) * dtype.itemsize
    if (size, 8 + length + end) != (expected, expected):
        raise damaged(f"it has {size} bytes, expected {expected}")
    rows = np.memmap(path, kind, "r", 8 + length, held)
    if check and _digest(rows) != digest:
        raise damaged("its numbers are not those that were written")
    return rows


def _digest(rows: np.ndarray) -> str:
    """SHA-256 of all bytes, a part at a time."""
    seen, flat = hashlib.sha256(), rows.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), _AT_ONCE):
        seen.update(flat[start : start + _AT_ONCE].data)
    return seen.hexdigest()
