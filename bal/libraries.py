"""Libraries that only who asks for them has."""

import importlib
from typing import Any


class MissingLibraryError(ImportError):
    """A library is not installed; the message says what needs it and what to type."""


def installed(module: str, needs: str, install: str, package: str | None = None) -> Any:
    """A module of another library.

    Args:
      module: to import, such as "safetensors.numpy".
      needs: who asks, as the message begins: "this bridge needs".
      install: what to type after "pip install".
      package: what is installed, if not called like the module.

    Raises:
      MissingLibraryError: it is not installed. A library that is there, and itself lacks another, raises its own error.

    >>> installed("json.decoder", "this page needs", "json").__name__
    'json.decoder'
    """
    name = module.split(".")[0]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        found = None
    if getattr(found, "__file__", None) is None:  # a folder of that name is a module, too
        raise MissingLibraryError(f"{needs} {package or name}, which is not installed; pip install {install}")
    return found
