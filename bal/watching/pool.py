"""The pool of a record, from the function that made it: so that its rows can be seen, and where they lie."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bal.pages import png
from bal.records.reading import read_record
from bal.sweep.functions import function_of

MOST_FITTED = 2_000
"""Rows from which the directions of a map are taken."""


class Projected(NamedTuple):
    """Every row of a pool in two dimensions, and which share of the variance each of them holds."""

    points: Float[np.ndarray, "N 2"]
    explained: tuple[float, float]


def pool_of(function: str, path: Path, seed: int) -> Any:
    """The inputs of the pool of one seed of a record, as arrays of numpy.

    The function is called as `bal replay` does, with the settings on record and the number of the seed, and returns the
    task and the set-up. JAX is told to stay on the CPU, so that an accelerator is left to the runs.

    Args:
      function: ``module:function``.
      path: folder of the record.
      seed: which seed.

    Raises:
      ValueError: another pool than that of the record, or a record that does not say which it was.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    contents = read_record(path)
    opened = [one for one in contents.events if one["kind"] == "open" and one.get("seed") == seed]
    if not opened:
        raise ValueError(f"the record does not say which pool seed {seed} had; run it anew with this version")
    problem: Callable[..., Any] = function_of(function)
    task, _ = problem(contents.config, seed)
    import jax

    from bal.loop.fingerprint import rows_digest

    x = jax.tree.map(np.asarray, task.pool.x)
    if rows_digest(x) != opened[-1]["run"]["rows"]:
        raise ValueError(
            f"{function} makes another pool for seed {seed} than the record has; name the one that made it"
        )
    return x


def projected(x: Any) -> Projected | None:
    """First two principal components of the rows; None where they are no numbers, or less than two each.

    >>> x = np.array([[0.0, 0.0, 1.0], [2.0, 0.1, 1.0], [4.0, 0.0, 1.0]])
    >>> found = projected(x)
    >>> np.abs(found.points[:, 0]).round(2).tolist(), round(found.explained[0], 2)
    ([2.0, 0.0, 2.0], 1.0)
    """
    rows = _flat(x)
    if rows is None or rows.shape[1] < 2 or len(rows) < 2:
        return None
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_FITTED)).astype(int)]
    mean = some.mean(axis=0)
    _, sizes, directions = np.linalg.svd(some - mean, full_matrices=False)
    shares = np.square(sizes) / max(np.square(sizes).sum(), 1e-300)
    return Projected((rows - mean) @ directions[:2].T, (float(shares[0]), float(shares[1])))


def picture(x: Any, row: int, shape: tuple[int, ...] | None = None) -> str | None:
    """One row as the address of a PNG that holds itself; None of what is no picture.

    Rows ``[H, W]``, ``[H, W, 1]`` and ``[H, W, 3]`` are pictures, and so is what has the `shape` of one.

    >>> picture(np.eye(4).reshape(1, 16), 0, (4, 4))[:22], picture(np.eye(4), 0)
    ('data:image/png;base64,', None)
    """
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "biuf" or row >= len(x):
        return None
    pixels = np.asarray(x[row], np.float64)
    if shape is not None and pixels.size == np.prod(shape):
        pixels = pixels.reshape(shape)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[-1] == 3):
        return None
    low, high = np.nanmin(pixels), np.nanmax(pixels)
    scaled = np.nan_to_num((pixels - low) / (high - low if high > low else 1.0)) * 255
    return png(scaled.round().astype(np.uint8))


def numbers(x: Any, row: int, most: int = 6) -> str:
    """The first numbers of a row, or the row as text.

    >>> numbers(np.arange(16.0).reshape(2, 8), 1), numbers(np.array([0.25, 0.5]), 0)
    ('8, 9, 10, 11, 12, 13 … 2 more', '0.25')
    """
    if not isinstance(x, np.ndarray) or row >= len(x):
        return ""
    found = np.ravel(x[row])
    if found.dtype.kind not in "biuf":
        return " ".join(map(str, found.tolist()))[:120]
    more = f" … {len(found) - most} more" if len(found) > most else ""
    return ", ".join(f"{value:.3g}" for value in found[:most].tolist()) + more


def _flat(x: Any) -> np.ndarray | None:
    """Rows of numbers ``[N, D]``, finite; None of what has no single array of them."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "biuf" or x.ndim < 2:
        return None
    rows = x.reshape(len(x), -1).astype(np.float64)
    return np.where(np.isfinite(rows), rows, 0.0)
