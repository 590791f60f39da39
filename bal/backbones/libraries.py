"""Libraries that only who reads pretrained files has."""

import importlib
from typing import Any

_EXTRAS = {"safetensors": "text", "tokenizers": "text", "gguf": "lm", "huggingface_hub": ""}
"""The extra that brings a library; none where it comes by itself."""


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
        extra = _EXTRAS.get(name, "")
        way = f'pip install "bal-jax[{extra}]"' if extra else f"pip install {name}"
        raise ImportError(f"pretrained files are read by {name}, which is not installed; {way}")
    return found
