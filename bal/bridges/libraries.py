"""Libraries that only who asks for them has."""

import importlib
from typing import Any

_PACKAGES = {"modAL": "modAL-python", "skactiveml": "scikit-activeml"}
"""What is installed, where its name is not that of the module."""


def library(module: str) -> Any:
    """A module of another library.

    Raises:
      ImportError: it is not installed.

    >>> library("json.decoder").__name__
    'json.decoder'
    """
    name = module.split(".")[0]
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise  # it is there, and lacks something itself
        found = None
    if getattr(found, "__file__", None) is None:  # a folder of that name is a module, too
        package = _PACKAGES.get(name, name)
        raise ImportError(f'this bridge needs {package}, which is not installed; pip install "bal-jax[bridges]"')
    return found
