"""Features computed once: batch by batch, file by file, going on where a process was stopped."""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bal.backbones.nouns import Source
from bal.features.manifest import Manifest, ids_written, items_sha256, read_manifest, write_manifest
from bal.features.reading import Features, missing_shards, open_features, parts
from bal.features.shards import NAMES, write_shard
from bal.learners.settings import check_count
from bal.progress import progress, time_left
from bal.records import RecordLockedError
from bal.records.lock import acquire

Encode = Callable[[Any], Any]


def cache_features(
    folder: str | Path,
    items: Any,
    encode: Encode,
    source: Source,
    *,
    ids: Iterable[Any] | None = None,
    batch_size: int = 256,
    rows_per_shard: int = 1024,
    console: Any = None,
) -> Features:
    """Features of items, computed once and kept in a folder; what is there already is not computed again.

    Files appear as a whole, so that a process that is killed loses at most the file it was at: the same call goes on
    from there. A folder with features of another encoder, other items or other ids is refused. One process fills a
    folder at a time, any number may read it.

    Use it when an encoder is frozen: rounds, seeds and studies then cost what a head costs.

    Args:
      folder: of these features alone; it is made.
      items: N texts, paths of files, or arrays; whatever has a length and slices.
      encode: items ``[n]`` -> features ``[n, D]``, row-wise, as ``partial(sentence_features, encoder)``.
      source: what a manifest says of the encoder, as ``encoder.source``.
      ids: what the rows are called; 0, 1, ... by default.
      batch_size: items that `encode` gets at a time.
      rows_per_shard: rows of a file; a folder that was begun with another number keeps that.
      console: a `rich.console.Console` for progress, see `bal.progress`. Standard output by default.

    Returns:
      The features, mapped into memory.

    Raises:
      ValueError: no items, ids that do not fit, features that are not one finite vector an item, a folder of others, a
        file in its place.
      RecordLockedError: another process is filling the folder.
      CorruptDataError: a file that is damaged, by its name.

    >>> import tempfile
    >>> from rich.console import Console
    >>> source = Source("letters", "1", "", "none")
    >>> encode = lambda words: np.array([[len(word), word.count("a")] for word in words], np.float32)
    >>> quiet = Console(quiet=True)
    >>> features = cache_features(tempfile.mkdtemp(), ["a", "banana", "pear"], encode, source, console=quiet)
    >>> features.x, features.x[1:].tolist()
    (ShardedRows(float32 [3, 2], 1 files), [[6.0, 3.0], [4.0, 1.0]])
    """
    check_count("batch_size", batch_size)
    check_count("rows_per_shard", rows_per_shard)
    folder, num = Path(folder), len(items)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"expected a folder for the features, but {folder} is a file; choose another name")
    if not num:
        raise ValueError("expected items to encode, got none; look where they are read")
    names: list = list(range(num)) if ids is None else list(ids)
    names = [name.item() if isinstance(name, np.integer) else name for name in names]
    if any(not isinstance(name, str | int) for name in names):
        raise ValueError(f"expected ids that are texts or whole numbers, got {names[:3]}; use str")
    if len(names) != num or len(set(names)) != num:
        raise ValueError(
            f"expected an id of its own for each item, got {num} items and {len(names)} ids, {len(set(names))} of "
            "them different; leave ids out for numbers"
        )
    ids_sha256 = hashlib.sha256(ids_written(names)).hexdigest()
    asked = Manifest(source, items_sha256(items), ids_sha256, (num,), "", rows_per_shard)
    known = _known(folder, asked)
    if known is None or missing_shards(folder, known):
        folder.mkdir(parents=True, exist_ok=True)
        with _only_writer(folder):
            _fill(folder, items, encode, names, asked, _known(folder, asked), batch_size, console)
    return open_features(folder)


def _known(folder: Path, asked: Manifest) -> Manifest | None:
    """The manifest of the folder, if it has one; another one than is asked for is refused."""
    known = read_manifest(folder)
    if known is None:
        return None
    told = {"items_sha256": "items (SHA-256)", "ids_sha256": "ids (SHA-256)"}
    both = [(told[name], getattr(known, name), getattr(asked, name)) for name in told]
    of_encoder = [(f"encoder ({name})", *two) for name, *two in zip(Source._fields, known.source, asked.source)]
    for what, there, wanted in [*of_encoder, ("number of items", known.shape[0], asked.shape[0]), *both]:
        if there != wanted:
            raise ValueError(
                f"{folder} holds features of another {what}: {there!r}, not {wanted!r}; choose another folder, or "
                "delete that one"
            )
    return known


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    try:
        lock = acquire(folder)
    except RecordLockedError:
        raise RecordLockedError(f"{folder} is being filled by somebody else; wait, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()


def _fill(
    folder: Path,
    items: Any,
    encode: Encode,
    names: list,
    asked: Manifest,
    known: Manifest | None,
    batch_size: int,
    console: Any,
) -> None:
    """Compute every file that is missing; the manifest is written before the first one."""
    there = set() if known is None else {name for name, *_ in known.shards()} - set(missing_shards(folder, known))
    if known is not None:
        parts(folder, known, check=True)  # what is kept is sound, before hours are spent on the rest
    size = (known or asked).rows_per_shard
    todo = [shard for shard in (known or asked).shards() if shard[0] not in there]
    num, title = asked.shape[0], f"features of {asked.source.name}"
    kept, begun, own = num - sum(end - start for _, start, end in todo), time.monotonic(), 0
    with progress(console) as (update, _, _):
        for name, start, end in todo:
            pieces = []
            for first in range(start, end, batch_size):
                stop = min(first + batch_size, end)
                pieces.append(_checked(encode(items[first:stop]), names[first:stop], pieces[:1]))
                own += stop - first
                seconds = time.monotonic() - begun
                left = time_left(seconds, own, num - kept - own)
                words = f"{kept + own} of {num} rows, {own / max(seconds, 1e-9):.3g} a second, {left}"
                update(title, kept + own, num, words, urgent=kept + own == num)
            rows = np.concatenate(pieces)
            if known is None:
                known = asked._replace(shape=(num, *rows.shape[1:]), dtype=rows.dtype.name, rows_per_shard=size)
                write_manifest(folder, known, names)
            if (rows.shape[1:], rows.dtype.name) != (known.shape[1:], known.dtype):
                raise ValueError(
                    f"expected features of shape {list(known.shape[1:])} and type {known.dtype} as those in {folder}, "
                    f"got {list(rows.shape[1:])} and {rows.dtype}; give the encoder that they are of"
                )
            write_shard(folder / name, rows, known.digest)


def _checked(found: Any, names: list, before: list[np.ndarray]) -> np.ndarray:
    """What an encoder returned for a batch, as finite vectors, one an item."""
    rows = np.asarray(found)
    is_good = rows.ndim >= 2 and len(rows) == len(names) and math.prod(rows.shape) and rows.dtype.name in NAMES
    if not is_good or any((rows.shape[1:], rows.dtype) != (one.shape[1:], one.dtype) for one in before):
        raise ValueError(
            f"expected features [{len(names)}, D] of floating point for {len(names)} items, and alike for all, got "
            f"{rows.dtype} {list(rows.shape)}; mend `encode`"
        )
    finite = np.isfinite(rows.reshape(len(rows), -1)).all(1)
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise ValueError(f"the features of item {name!r} are not finite; mend the item or leave it out")
    return rows
