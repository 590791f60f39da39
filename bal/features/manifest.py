"""What a folder of features says of itself: the encoder, the items, and the shape of it all."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.backbones.nouns import Source
from bal.datasets import CorruptDataError
from bal.features.shards import NAMES
from bal.records.files import replace

MANIFEST, IDS = "manifest.json", "ids.json"


class Manifest(NamedTuple):
    """What made the features, and of what.

    source: the encoder: name, revision, SHA-256 of its weights, preprocessing.
    items_sha256: of all items in their order: texts, numbers, contents of files.
    ids_sha256: of what the rows are called.
    shape: of all rows, ``(N, D)``.
    dtype: of the numbers, as "float32".
    rows_per_shard: of every file but the last.
    """

    source: Source
    items_sha256: str
    ids_sha256: str
    shape: tuple[int, ...]
    dtype: str
    rows_per_shard: int

    @property
    def digest(self) -> str:
        """Hexadecimal digits that every file carries, so that none of another folder is taken for one of this."""
        return hashlib.sha256(_written(self)).hexdigest()

    def shards(self) -> list[tuple[str, int, int]]:
        """Name, first row and end of every file."""
        starts = range(0, self.shape[0], self.rows_per_shard)
        ends = (min(start + self.rows_per_shard, self.shape[0]) for start in starts)
        return [(f"features-{i:05d}.safetensors", start, end) for i, (start, end) in enumerate(zip(starts, ends))]


def write_manifest(folder: Path, manifest: Manifest, ids: Sequence[Any]) -> None:
    """Write both files, the manifest last: where it is, the ids are."""
    replace(folder / IDS, ids_written(ids))
    replace(folder / MANIFEST, _written(manifest))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
      CorruptDataError: a manifest that is not readable.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        held = json.loads(path.read_bytes())
        fields = {name: held[name] for name in Manifest._fields}
        fields |= {"source": Source(**held["source"]), "shape": tuple(map(int, held["shape"]))}
        manifest = Manifest(**fields)
        if len(manifest.shape) < 2 or min(manifest.shape) < 1 or manifest.dtype not in NAMES:
            raise ValueError(f"features of shape {manifest.shape} and type {manifest.dtype}")
        return manifest._replace(rows_per_shard=max(int(manifest.rows_per_shard), 1))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptDataError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete {folder} and compute the features again"
        ) from error


def read_ids(folder: Path, manifest: Manifest) -> tuple[Any, ...]:
    """What the rows are called.

    Raises:
      CorruptDataError: a file that is missing or not the one that was written.
    """
    path = folder / IDS
    raw = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(raw).hexdigest() != manifest.ids_sha256:
        raise CorruptDataError(f"{path} is damaged or missing; delete {folder} and compute the features again")
    return tuple(json.loads(raw))


def ids_written(ids: Sequence[Any]) -> bytes:
    """The file of ids."""
    return json.dumps(list(ids), ensure_ascii=False).encode() + b"\n"


def items_sha256(items: Iterable[Any]) -> str:
    """SHA-256 of items in their order: texts, contents of files given by `Path`, arrays and numbers.

    Raises:
      ValueError: an item that is none of them.

    >>> items_sha256(["a", "b"]) == items_sha256(np.array(["a", "b"])) != items_sha256(["ab"])
    True
    """
    seen = hashlib.sha256()
    for item in items:
        kind, data = _bytes(item)
        seen.update(f"{kind} {len(data)};".encode())
        seen.update(data)
    return seen.hexdigest()


def _bytes(item: Any) -> tuple[str, bytes]:
    if isinstance(item, str):
        return "text", item.encode("utf-8", "surrogatepass")
    if isinstance(item, Path):
        return "file", hashlib.sha256(item.read_bytes()).digest()
    array = np.asarray(item)
    if array.dtype.kind not in "biuf" and array.dtype.name not in NAMES:
        raise ValueError(f"expected items that are texts, paths of files or numbers, got a {type(item).__name__}")
    return f"{array.dtype.name} {list(array.shape)}", array.astype(array.dtype.newbyteorder("<")).tobytes()


def _written(manifest: Manifest) -> bytes:
    held = {**manifest._asdict(), "source": manifest.source._asdict(), "shape": [*manifest.shape]}
    return json.dumps(held, indent=1, ensure_ascii=False).encode() + b"\n"
