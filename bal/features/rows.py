"""Rows of several files as one array, of which only what is asked for is read."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class ShardedRows:
    """Arrays one after the other as one array ``[N, ...]``: what `bal.make_pool` and a streamed pool take.

    ``rows[3:9]``, ``rows[[7, 2]]`` and ``rows[mask]`` give numpy arrays; ``np.asarray(rows)`` reads all. All arrays
    but the last have the same number of rows.

    Args:
      parts: the arrays, such as `numpy.memmap`.

    Raises:
      ValueError: no rows, rows of different shapes or types, parts of different lengths.

    >>> rows = ShardedRows([np.arange(4).reshape(2, 2), np.arange(4, 6).reshape(1, 2)])
    >>> rows.shape, rows[[2, 0]].tolist()
    ((3, 2), [[4, 5], [0, 1]])
    """

    def __init__(self, parts: Sequence[np.ndarray]):
        kinds = {(part.shape[1:], part.dtype) for part in parts}
        lengths = [len(part) for part in parts]
        if len(kinds) != 1 or min(lengths) < 1:
            raise ValueError(f"expected parts with rows of one shape and type, got {sorted(map(str, kinds)) or 'none'}")
        if len(set(lengths[:-1])) > 1 or lengths[-1] > lengths[0]:
            raise ValueError(f"expected parts of one length, but for a shorter last one, got {lengths}")
        (tail, self.dtype), self._parts, self._length = kinds.pop(), tuple(parts), lengths[0]
        self.shape = (sum(lengths), *tail)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"ShardedRows({self.dtype} {list(self.shape)}, {len(self._parts)} files)"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows of several files are no array without a copy; leave copy=False out")
        return np.concatenate(self._parts, dtype=dtype or self.dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Some of the rows ``[n, ...]``: by a slice, positions or a mask; one row by its number."""
        if isinstance(rows, slice):
            places = np.arange(*rows.indices(len(self)))
        else:
            places = np.arange(len(self))[rows if isinstance(rows, int | np.integer) else np.asarray(rows)]
        if np.ndim(places) == 0:
            return self[places : places + 1][0]
        found = np.empty((*places.shape, *self.shape[1:]), self.dtype)
        if (
            len(places)
            and places.ndim == 1
            and places[-1] - places[0] == len(places) - 1
            and (np.diff(places) == 1).all()
        ):
            return self._stretch(found, int(places[0]))
        numbers, inside = np.divmod(places, self._length)
        for number in np.unique(numbers):
            here = numbers == number
            found[here] = self._parts[number][inside[here]]
        return found

    def _stretch(self, found: np.ndarray, start: int) -> np.ndarray:
        """Rows from `start` on, in the files' order, written into `found`."""
        filled = 0
        while filled < len(found):
            number, first = divmod(start + filled, self._length)
            piece = self._parts[number][first : first + len(found) - filled]
            found[filled : filled + len(piece)] = piece
            filled += len(piece)
        return found
