"""Libraries that only who asks for them has."""

from typing import Any

from bal.libraries import installed

_PACKAGES = {"modAL": "modAL-python", "skactiveml": "scikit-activeml"}
"""What is installed, where its name is not that of the module."""


def library(module: str) -> Any:
    """A module of another library.

    Raises:
      MissingLibraryError: it is not installed.

    >>> library("json.decoder").__name__
    'json.decoder'
    """
    return installed(module, "this bridge needs", '"bal-jax[bridges]"', _PACKAGES.get(module.split(".")[0]))
