"""Python's functions and classes from the inside: names, what code does, and whose it is."""

import dis
import sys
import types
from typing import Any

_CHECKERS = {"jaxtyping", "beartype"}  # whether shapes are checked is no part of a method
_PACKAGE = __name__.split(".")[0]
_FLAGS = 0x3FF  # arguments, generators and coroutines; not whether there is a docstring


def full_name(value: Any) -> str:
    """Module and qualified name of a function or class; without the module where it is Python's own, or of here."""
    module = _PACKAGE if is_own(value) else getattr(value, "__module__", "")
    return value.__qualname__ if module == "builtins" else f"{module}.{value.__qualname__}"


def is_own(value: Any) -> bool:
    """Whether a function or class is part of this package: told by its name, whatever file it is in."""
    return (getattr(value, "__module__", None) or "").split(".")[0] == _PACKAGE


def is_library(value: Any) -> bool:
    """Whether a function, a class or an object is part of Python or of an installed package, this one included."""
    if hasattr(value, "__wrapped__"):  # compiled or remembered
        return is_library(value.__wrapped__)
    if not isinstance(value, types.FunctionType | type | types.ModuleType):
        return callable(value) and is_library(type(value))
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__ or ""
    top = name.split(".")[0]
    if top == _PACKAGE:
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return top != "__main__" and (top in sys.stdlib_module_names or top == "builtins" or "-packages" in file)


def unchecked(function: Any) -> Any:
    """The function behind a check of shapes."""
    while function.__globals__.get("__name__", "").split(".")[0] in _CHECKERS and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


def names_read(code: types.CodeType) -> set[str]:
    """Module-level names that a code reads, that of inner functions included."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(names_read(part) for part in code.co_consts if isinstance(part, types.CodeType)))


def code_text(code: types.CodeType) -> str:
    """What a code does, as text without docstrings, names of files and numbers of lines."""
    consts = list(code.co_consts)
    if consts and isinstance(consts[0], str) and not code.co_name.startswith("<"):
        consts[0] = None  # a docstring
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {counts} {[_constant(part) for part in consts]}"


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return code_text(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_constant, value)))}}}"
    return repr(value)


def cell_content(cell: Any) -> Any:
    """What a closure holds in one of its cells; None where it is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
