"""Tensors of a file in the oldest format of torch, without torch and without running what the file says.

Such a file is a sequence of pickles: a magic number, a version, facts about the machine, the dictionary of tensors, and
the names of its storages; the raw numbers follow, storage by storage, each after its length. A pickle is a program, and
loading one freely runs whatever its author wished. Here only what a dictionary of tensors needs is admitted: an ordered
dictionary, the types of storages, and the function that puts a shape on one. Anything else is refused by name, before
anything is called.
"""

from collections import OrderedDict
from pathlib import Path
from pickle import Unpickler, UnpicklingError
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
"""Admitted classes of the module torch, as types of numbers."""


def read_old_torch(path: str | Path) -> dict[str, np.ndarray]:
    """Named tensors of a ``.pth`` file that torch wrote before its version 1.6, or in that format since.

    The file is read by a parser that admits a dictionary of tensors and nothing else, so that one from an unknown
    source can do no more than be refused. Tensors are copies in memory order, of the type they have in the file.

    Args:
      path: of the file.

    Returns:
      Arrays by name, in the order of the file.

    Raises:
      ValueError: a file of another format (a zip archive, as torch writes since 1.6), one that asks for a class or a
        function other than those of tensors, one that holds other things than tensors, or one that is cut short.
      FileNotFoundError: there is none.
    """
    with open(path, "rb") as file:
        if file.read(2) == b"PK":
            raise ValueError(
                f"expected the oldest format of torch, but {path} is a zip archive, which torch writes since 1.6; save "
                "the tensors as safetensors"
            )
        file.seek(0)
        try:
            return _read(file, Path(path))
        except (AttributeError, EOFError, LookupError, OverflowError, TypeError, UnpicklingError, ValueError) as error:
            raise ValueError(f"{path} is no file of tensors in the oldest format of torch: {error}") from None


class _Storage(NamedTuple):
    """A run of numbers that lies somewhere behind the pickles."""

    key: str
    dtype: Any
    size: int


class _Tensor(NamedTuple):
    """A view of a storage: offset, shape and steps count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


def _tensor(storage: Any, offset: Any, shape: Any, steps: Any, *rest: Any) -> _Tensor:
    """What stands for torch's own function; gradients and hooks, the rest, are of no use here."""
    numbers = (offset, *shape, *steps)
    if not isinstance(storage, _Storage) or len(shape) != len(steps):
        raise UnpicklingError("a tensor without a storage, or whose shape and steps differ in length")
    if any(type(number) is not int or number < 0 for number in numbers):
        raise UnpicklingError(f"a tensor of shape {shape}, steps {steps} at {offset}")
    return _Tensor(storage, offset, tuple(shape), tuple(steps))


class _Admitting(Unpickler):
    """A parser of pickles that knows four kinds of things."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        known = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _tensor}
        if (module, name) not in known:
            raise UnpicklingError(f"it asks for {module}.{name}, which no tensor needs and which is not called")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or view is not None or dtype not in _TYPES.values():
            raise UnpicklingError(f"a reference of kind {kind!r}, or a storage that is part of another")
        return _Storage(str(key), np.dtype(dtype), int(size))


def _read(file: IO[bytes], path: Path) -> dict[str, np.ndarray]:
    if (found := _Admitting(file).load()) != MAGIC:
        raise UnpicklingError(f"it begins with {str(found)[:40]!r}, not with the magic number")
    if (version := _Admitting(file).load()) != VERSION:
        raise UnpicklingError(f"version {version}, not {VERSION}")
    _Admitting(file).load()
    tensors, keys = _Admitting(file).load(), _Admitting(file).load()
    other = [name for name, value in tensors.items() if not isinstance(value, _Tensor)]
    if other:
        raise UnpicklingError(f"{other[0]!r} is no tensor; save the weights alone (a state_dict)")
    storages, numbers = {tensor.storage.key: tensor.storage for tensor in tensors.values()}, {}
    for key in keys:
        dtype, size = storages[key].dtype, storages[key].size
        if (length := int.from_bytes(file.read(8), "little")) != size:
            raise UnpicklingError(f"storage {key} has {length} numbers, not {size}")
        raw = file.read(size * dtype.itemsize)
        if len(raw) != size * dtype.itemsize:
            raise UnpicklingError(f"it ends within storage {key}")
        numbers[key] = np.frombuffer(raw, dtype)
    return {name: _view(numbers[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _view(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.steps))
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    if last >= len(numbers):
        raise UnpicklingError(f"a tensor that ends at number {last} of a storage that has {len(numbers)}")
    steps = [step * numbers.itemsize for step in tensor.steps]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, steps).copy()
