"""A table as a Parquet file, for programs that read no logs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bal.libraries import installed
from bal.records.files import sync_folder


def write_parquet(columns: Mapping[str, Any], path: str | Path) -> None:
    """Write columns, as `load`, `table` and `answers` give them, to a Parquet file.

    The file appears as a whole or not at all, in place of one that was there. Types are kept: whole numbers, floats
    with their NaN, truth values, text.

    Use it to hand results to a database, R or a colleague; within Python `load` is all there is to it.

    Args:
      columns: by name, of one length.
      path: of the file, by custom ``.parquet``.

    Raises:
      MissingLibraryError: polars is not installed.
      OSError: the folder is not there, or the disk refuses.
    """
    polars = installed("polars", "a Parquet file needs", '"bal-jax[frames]"')
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        polars.DataFrame(dict(columns)).write_parquet(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
