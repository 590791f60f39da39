"""Files of safetensors as named arrays, and errors that name the file."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from bal.backbones.libraries import library
from bal.datasets import CorruptDataError


class Tensors:
    """The arrays of one file, each asked for once by its name and shape: float32, whatever they are stored as.

    Args:
      path: of the file.
      renamed: name in the file -> name that is asked for.

    Raises:
      CorruptDataError: a file that cannot be read.
      ImportError: safetensors is not installed.
    """

    def __init__(self, path: Path, renamed: Callable[[str], str]) -> None:
        self.path, self.places = path, {}
        open_file, error = library("safetensors").safe_open, library("safetensors").SafetensorError
        try:
            self.file = open_file(str(path), "flax")  # which knows bfloat16
            self.places = {renamed(name): name for name in self.file.keys()}  # noqa: SIM118 - it is no dictionary
        except (error, OSError) as reason:
            raise CorruptDataError(f"{path} is not a readable file of safetensors ({reason}); fetch it again") from None

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array, without reading it."""
        return tuple(self.file.get_slice(self._place(name)).get_shape())

    def get(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of this shape.

        Raises:
          ValueError: the file lacks it, or has it in another shape, or as integers, which are packed weights.
        """
        if self.shape(name) != shape:
            raise ValueError(
                f"expected tensor {self._place(name)!r} of {self.path} to have shape {list(shape)}, as config.json "
                f"says, but it has {list(self.shape(name))}; take both files from the same model"
            )
        held = self.file.get_tensor(self._place(name))
        if not jnp.issubdtype(held.dtype, jnp.floating):
            raise ValueError(
                f"expected tensor {self._place(name)!r} of {self.path} in floating point, got {held.dtype}; packed "
                "weights are not unpacked here: take the model in float16 or float32"
            )
        return np.asarray(held, np.float32)

    def _place(self, name: str) -> str:
        if name not in self.places:
            raise ValueError(f"{self.path} lacks tensor {name!r}; it is no whole checkpoint: save or fetch it again")
        return self.places[name]
