"""The function that runs a cell, by a name that any process can import: ``module:function``."""

import sys
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from bal.sweep.cells import check_config

Run = Callable[[Any, Path], dict[str, Any] | None]
"""``config, root -> summary``: runs one cell and writes its records under root; what it returns is kept with it."""


def name_of(run: Run) -> str:
    """``module:function``, also of a script that is being run.

    Raises:
      TypeError: another process could not import it.
    """
    module, name = getattr(run, "__module__", None), getattr(run, "__qualname__", "")
    if module == "__main__":
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec is not None else Path(file).stem if file else None
    if not module or not name.isidentifier():
        raise TypeError(
            f"other processes must be able to import the function that runs a cell, and cannot import {run!r}; write "
            "it with def at the top of a module or a script"
        )
    return f"{module}:{name}"


def function_of(name: str) -> Run:
    """The function of a name ``module:function``; modules are looked for where Python does, and in this folder.

    Raises:
      ValueError: no such module or function, or no name of that form.
    """
    module, colon, function = name.partition(":")
    if not (colon and module and function.isidentifier()):
        raise ValueError(f"expected module:function, got {name!r}; for example experiments.study:run")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"no module {error.name!r} can be found; start in the folder that holds it, or install it"
        ) from error
    if not callable(getattr(found, function, None)):
        raise ValueError(f"module {module!r} has no function {function!r}; see {found.__file__}")
    return getattr(found, function)


def config_of(run: Callable) -> type:
    """The frozen dataclass that the first argument of a function is annotated with.

    Raises:
      TypeError: there is none.
    """
    first = next(iter(signature(run).parameters), None)
    kind = get_type_hints(run).get(first or "")
    if not isinstance(kind, type):
        raise TypeError(
            f"{run.__module__}:{run.__qualname__} must say what its cells are: def run(config: Config, root: Path)"
        )
    check_config(kind)
    return kind
