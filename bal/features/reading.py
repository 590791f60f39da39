"""A folder of features as a pool that stays on disk."""

from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from bal.datasets import MissingDataError
from bal.features.manifest import Manifest, read_ids, read_manifest
from bal.features.rows import ShardedRows
from bal.features.shards import open_shard


class Features(NamedTuple):
    """Features of N items.

    x: ``[N, D]``, mapped into memory: rows are read when they are used. ``make_pool(features.x)`` with
      ``Setup(..., over=bal.streamed())`` leaves them on disk, ``jnp.asarray(features.x)`` reads all.
    ids: what the rows are called.
    manifest: what made them, and of what.
    """

    x: ShardedRows
    ids: tuple[Any, ...]
    manifest: Manifest

    def __repr__(self) -> str:
        return f"Features({self.x!r}, of {self.manifest.source.name})"


def open_features(folder: str | Path, *, check: bool = True) -> Features:
    """The features in a folder that `cache_features` or ``bal features`` has filled, mapped into memory.

    Use it when the encoder is not at hand, or not needed: nothing of it is loaded.

    Args:
      folder: as it was filled.
      check: read every file once and compare it with the digest that was written beside it; False = sizes alone, for
        what is too large to be read twice.

    Raises:
      MissingDataError: no features there, or not all of them yet.
      CorruptDataError: a file that is damaged, cut off or of other features, by its name.

    >>> open_features("no/such/folder")
    Traceback (most recent call last):
    bal.datasets.sources.MissingDataError: no features in no/such/folder; compute them by cache_features or bal features
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise MissingDataError(f"no features in {folder}; compute them by cache_features or bal features")
    left = missing_shards(folder, manifest)
    if left:
        raise MissingDataError(
            f"{len(left)} of {len(manifest.shards())} files of features are not in {folder} yet, {left[0]} the first "
            "of them; compute them as they were begun, what is there is kept"
        )
    return Features(ShardedRows(parts(folder, manifest, check)), read_ids(folder, manifest), manifest)


def missing_shards(folder: Path, manifest: Manifest) -> list[str]:
    """Names of files that are not there."""
    return [name for name, *_ in manifest.shards() if not (folder / name).is_file()]


def parts(folder: Path, manifest: Manifest, check: bool) -> list[np.ndarray]:
    """The rows of every file that is there."""
    dtype, digest = np.dtype(getattr(ml_dtypes, manifest.dtype, manifest.dtype)), manifest.digest
    return [
        open_shard(folder / name, digest, (end - start, *manifest.shape[1:]), dtype, check)
        for name, start, end in manifest.shards()
        if (folder / name).is_file()
    ]
