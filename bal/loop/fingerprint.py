"""What rows and methods are, in a few digits: so that a resumed run notices that it is handed others.

Rows are told by their bytes. A method of this package is told by its name and settings, a function of one's own by its
code and by everything that its closures, defaults and module-level names hold. Libraries, this one among them, are told
by name: their versions belong to the environment of a run.
"""

import dataclasses
import enum
import functools
import hashlib
import inspect
import sys
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from bal.loop.bytecode import cell_content, code_text, full_name, is_library, is_own, names_read, unchecked
from bal.method import Made, Method, made_by
from bal.typing import Data, Learner, PyTree

_CHUNK_BYTES = 64 * 2**20
_LATER = {Learner: ("unlabeled",), Data: ("unlabeled",)}  # fields that the first records do not know
_LONG = 32  # longer sequences are told by a digest
_PLAIN = bool | int | float | complex | slice | range | np.dtype | enum.Enum


def rows_digest(x: PyTree, stop: int | None = None, start: int = 0) -> str:
    """Digest of the rows from `start` to `stop` (all by default) of a tree of arrays: names, types, shapes and bytes.

    Values are read as JAX would hold them (float64 as float32 unless ``jax_enable_x64``). Arrays outside of memory
    (`numpy.memmap`, HDF5, anything that slices) are read in chunks.

    >>> rows_digest(np.arange(6), 4) == rows_digest(np.arange(4)) != rows_digest(np.arange(4)[::-1])
    True
    """
    seen = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(x):
        end = leaf.shape[0] if stop is None else stop
        dtype, source = jax.dtypes.canonicalize_dtype(leaf.dtype), host_view(leaf)
        seen.update(f"{jax.tree_util.keystr(path)} {dtype} {(end - start, *leaf.shape[1:])}".encode())
        step = max(_CHUNK_BYTES // max(int(np.prod(leaf.shape[1:])) * leaf.dtype.itemsize, 1), 1)
        for first in range(start, end, step):
            seen.update(_bytes(source[first : min(first + step, end)], dtype))
    return seen.hexdigest()[:16]


def row_digests(x: PyTree, rows: Any) -> list[str]:
    """Digest of each of some rows, to tell which of them differ.

    >>> row_digests(np.array([5, 7, 5]), [0, 2]) == 2 * row_digests(np.array([5]), [0])
    True
    """
    leaves = [(host_view(leaf), jax.dtypes.canonicalize_dtype(leaf.dtype)) for leaf in jax.tree.leaves(x)]
    one = lambda row: hashlib.sha256(b"".join(_bytes(leaf[row], dtype) for leaf, dtype in leaves))
    return [one(row).hexdigest()[:16] for row in np.asarray(rows, int).tolist()]


def describe(method: Any) -> str:
    """A text that says what a method is: one line a part, ``path: what``, the same in every process.

    What a factory of `bal.method` made is the factory's name and the settings. Another function is its name and a
    digest of its code (not of comments, docstrings and line numbers), then what it holds: closure, defaults, and the
    module-level names that it reads, but for those of libraries. Arrays are told by a digest, settings by their value,
    and what cannot be looked into by its type. The first line says how all that is told, and names the version of
    Python, because each has its own code: see `comparable`.

    >>> one, two = (functools.partial(max, limit) for limit in (1, 2))
    >>> describe(one) == describe(functools.partial(max, 1))
    True
    >>> difference(describe(one), describe(two))
    'method.args.0 was 1, is 2'
    """
    looked, said, done = _Look({}, {}, set()), set[str](), set[str]()
    lines = [f"told: by names and settings, Python {sys.version_info.major}.{sys.version_info.minor}"]
    lines += _lines("method", _look(looked, method), said)
    while names := looked.names.keys() - done:
        done.add(name := min(names))
        lines += _lines(name, _look(looked, looked.names[name]), said)
    return "\n".join(lines)


def comparable(before: str, after: str) -> bool:
    """Whether two descriptions are of one kind; those of earlier versions, or of another Python, tell of other things.

    >>> comparable(describe(max), describe(min)), comparable("python: 3.11", describe(max))
    (True, False)
    """
    return before.splitlines()[:1] == after.splitlines()[:1]


def difference(before: str, after: str) -> str:
    """The first part in which two descriptions differ, in words; empty if they are equal."""
    old, new = (dict(line.split(": ", 1) for line in text.splitlines()) for text in (before, after))
    for path in [*new, *old]:
        if old.get(path) != new.get(path):
            was, now = (texts.get(path, "absent") for texts in (old, new))
            return f"{path} was {was}, is {now}"
    return ""


class _Node(NamedTuple):
    """A part of a method: itself in words, its parts by name, and a digest of both."""

    head: str
    parts: tuple[tuple[str, "_Node"], ...]
    digest: str


class _Look(NamedTuple):
    """What was looked at so far: nodes by id (with the object, to keep the id), module-level names, open objects."""

    nodes: dict[int, tuple[Any, _Node]]
    names: dict[str, Any]
    open: set[int]


def _lines(path: str, node: _Node, said: set[str]) -> Iterator[str]:
    if node.parts and (node.digest in said or len(node.parts) > _LONG):
        yield f"{path}: {node.head} {node.digest}"
        return
    said.add(node.digest)
    yield f"{path}: {node.head}"
    for name, part in node.parts:
        yield from _lines(f"{path}.{name}", part, said)


def _look(looked: _Look, value: Any) -> _Node:
    """The node of any object; cycles are cut."""
    if id(value) in looked.nodes:
        return looked.nodes[id(value)][1]
    if id(value) in looked.open:
        return _node("itself")
    looked.open.add(id(value))
    head, parts = _tell(looked, value)
    node = _node(head, tuple((str(name), _look(looked, part)) for name, part in parts))
    looked.open.discard(id(value))
    looked.nodes[id(value)] = (value, node)
    return node


def _node(head: str, parts: tuple = ()) -> _Node:
    digest = hashlib.sha256("\n".join([head, *(f"{name} {part.digest}" for name, part in parts)]).encode())
    return _Node(head, parts, digest.hexdigest()[:12])


def _tell(looked: _Look, value: Any) -> tuple[str, Iterable[tuple[Any, Any]]]:
    """An object in words, and what is to be looked at inside."""
    if value is None or value is Ellipsis or isinstance(value, _PLAIN):
        return str(value), ()
    if isinstance(value, str | bytes | PurePath):
        text = str(value)
        return (repr(text) if len(text) <= _LONG else f"text {_digest(text)}"), ()
    made = made_by(value)
    if made is not None:
        return _tell_made(made, "")
    if isinstance(value, Method):
        return _tell_made(value.made, value.part)
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}", ()
    if isinstance(value, type):
        return full_name(value), () if is_library(value) else _class_parts(value)
    if isinstance(value, types.FunctionType):
        return _tell_function(looked, value)
    if isinstance(value, functools.partial):
        return "partial", [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, types.MethodType):
        return "method", [("self", value.__self__), ("function", value.__func__)]
    if isinstance(value, property | staticmethod | classmethod):
        return type(value).__name__, [("function", _behind(value))]
    if isinstance(value, set | frozenset):
        return f"set {sorted(_look(looked, part).digest for part in value)}", ()
    if isinstance(value, Mapping):
        return full_name(type(value)), sorted(
            ((str(key), part) for key, part in value.items()), key=lambda pair: pair[0]
        )
    if isinstance(value, list | tuple):
        parts = list(zip(getattr(value, "_fields", range(len(value))), value, strict=True))
        unset = getattr(value, "_field_defaults", {})
        later = {name for name in _LATER.get(type(value), ()) if getattr(value, name) is unset[name]}
        parts = [(name, part) for name, part in parts if name not in later]
        return f"{full_name(type(value))} of {len(parts)}", [*_type_part(value), *parts]
    if isinstance(value, Tracer):
        return "traced", ()
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        return _tell_array(value)
    return _tell_object(value)


def _tell_made(made: Made, part: str) -> tuple[str, Iterable[tuple[str, Any]]]:
    code = [] if is_own(made.factory) else [("factory", made.factory)]
    return f"{full_name(made.factory)}{part}", [*made.settings.items(), *code]


def _tell_function(looked: _Look, function: types.FunctionType) -> tuple[str, Iterable[tuple[str, Any]]]:
    if is_own(function) and "<locals>" not in function.__qualname__:
        return full_name(function), ()
    function = unchecked(function)
    if not is_library(function):
        for name in sorted(names_read(function.__code__) & function.__globals__.keys()):
            part = function.__globals__[name]
            if isinstance(part, types.FunctionType | type):
                name = full_name(part)
            elif not isinstance(part, types.ModuleType):
                name = f"{function.__module__}.{name}"
            if not is_library(part):
                looked.names.setdefault(name, part)
    code = function.__code__
    cells = [
        (name, cell_content(cell)) for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    ]
    defaults = [("defaults", function.__defaults__), ("defaults", function.__kwdefaults__)]
    return f"{full_name(function)} {_digest(code_text(code))}", [*cells, *(pair for pair in defaults if pair[1])]


def _tell_array(value: Any) -> tuple[str, Iterable[tuple[int, Any]]]:
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype == object:
        return f"objects {array.shape}", enumerate(array.ravel().tolist())
    if array.ndim == 0:
        return f"{array.dtype} {array.item()!r}", ()
    return f"{array.dtype} {array.shape} {_digest(np.ascontiguousarray(array).tobytes())}", ()


def _tell_object(value: Any) -> tuple[str, Iterable[tuple[str, Any]]]:
    kind = type(value)
    if hasattr(value, "get_params"):  # an estimator is its settings, whether it is fitted or not
        return full_name(kind), [*_type_part(value), *sorted(value.get_params(deep=False).items())]
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType | np.ufunc):
        return f"{getattr(value, '__module__', None)}.{value.__name__}", ()
    wrapped = getattr(value, "__wrapped__", None)
    if wrapped is not None and kind.__module__.split(".")[0] in {"functools", "jaxlib", "jax"} and callable(value):
        rules = [(name, part) for name, part in _fields(value) if isinstance(part, types.FunctionType)]
        return full_name(kind), [("wrapped", wrapped), *(pair for pair in rules if not is_library(pair[1]))]
    return full_name(kind), [*_type_part(value), *_fields(value)]


def _fields(value: Any) -> list[tuple[str, Any]]:
    """Attributes of an object; not what it remembers of its own: hashes, cached properties, weak references."""
    found = dict(getattr(value, "__dict__", {}))
    if any(kind.__module__.startswith("flax.linen") for kind in type(value).__mro__):  # which counts its modules
        found = {field.name: found.get(field.name) for field in dataclasses.fields(value)}
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            found.setdefault(name, getattr(value, name, None))
    made = lambda name: (
        isinstance(found[name], weakref.ReferenceType)
        or isinstance(getattr(type(value), name, None), functools.cached_property)
    )
    return [(name, found[name]) for name in sorted(found) if name[:2] != "__" and "hash" not in name and not made(name)]


def _class_parts(kind: type) -> list[tuple[str, Any]]:
    """Methods and constants of a class as they were written, not those that a decorator or base made; and its bases."""
    found = []
    for name, part in sorted(vars(kind).items()):
        function = getattr(part, "fget", None) or getattr(part, "__func__", part)
        if isinstance(function, types.FunctionType):
            function = inspect.unwrap(function)
            written = (
                function.__globals__.get("__name__") == kind.__module__ and function.__code__.co_filename[0] != "<"
            )
            found += [(name, part)] if written else []
        elif isinstance(part, bool | int | float | str | tuple) and not name.startswith("_"):
            found.append((name, part))
    return [*found, *((f"base {number}", base) for number, base in enumerate(kind.__bases__) if not is_library(base))]


def _behind(value: Any) -> Any:
    """The function of a property, a static or a class method."""
    return getattr(value, "fget", None) or value.__func__


def _type_part(value: Any) -> list[tuple[str, Any]]:
    return [] if is_library(type(value)) or type(value) in (list, tuple) else [("type", type(value))]


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:12]


def host_view(leaf: Any) -> Any:
    """An array of the CPU as numpy sees it, without a copy; others are sliced where they are."""
    on_cpu = isinstance(leaf, jax.Array) and all(device.platform == "cpu" for device in leaf.devices())
    return np.asarray(leaf) if on_cpu else leaf


def _bytes(values: Any, dtype: Any) -> bytes:
    return np.ascontiguousarray(np.asarray(values), dtype).tobytes()
