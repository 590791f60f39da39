"""Libraries that only who reads pretrained files has."""

from typing import Any

from bal.libraries import installed

_EXTRAS = {"safetensors": "text", "tokenizers": "text", "gguf": "lm"}
"""The extra that brings a library; the others come by themselves."""


def library(module: str) -> Any:
    """A module of another library.

    Raises:
      MissingLibraryError: it is not installed.

    >>> library("json.decoder").__name__
    'json.decoder'
    """
    name = module.split(".")[0]
    install = f'"bal-jax[{_EXTRAS[name]}]"' if name in _EXTRAS else name
    return installed(module, "pretrained files are read by", install)
