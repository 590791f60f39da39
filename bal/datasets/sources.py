"""Where arrays come from: a file given by path or found through ``BAL_DATA``, or OpenML when asked."""

import gzip
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


class MissingDataError(FileNotFoundError):
    """A data set that is nowhere to be found; the message says what to do."""


class CorruptDataError(ValueError):
    """A file, or a download, that does not hold what was published."""


def file_arrays(file: str, sha256: str, keys: Iterable[str], path: str | Path | None) -> tuple[Arrays, str] | None:
    """Arrays of an npz file and its source in words; None if no path is given and ``BAL_DATA`` lacks the
    file.

    Pickled arrays are refused. Raises as `file_bytes`.
    """
    found = file_bytes(file, sha256, path)
    return found and (_open(found[0], keys, file if path is None else str(path)), found[1])


def file_json(file: str, sha256: str, path: str | Path | None) -> tuple[Any, str] | None:
    """What a json.gz file holds and its source in words; None if no path is given and ``BAL_DATA`` lacks the file.

    Raises as `file_bytes`.
    """
    found = file_bytes(file, sha256, path)
    if found is None:
        return None
    try:
        return json.loads(gzip.decompress(found[0])), found[1]
    except (OSError, EOFError, zlib.error, ValueError) as error:
        name = file if path is None else str(path)
        raise CorruptDataError(f"{name} is not a readable json.gz file ({error}); fetch it again") from error


def file_bytes(file: str, sha256: str, path: str | Path | None) -> tuple[bytes, str] | None:
    """Bytes of a file and its source in words; None if no path is given and ``BAL_DATA`` lacks the file.

    A file in ``BAL_DATA`` must have the published SHA-256. A file given by `path` may be anyone's copy: its
    contents are checked by the loader, not its bytes.
    Raises MissingDataError (path does not exist) and CorruptDataError.
    """
    if path is not None:
        if not Path(path).is_file():
            raise MissingDataError(f"no file at path {str(path)!r}; give the path of a copy of {file}, or leave it out")
        raw = Path(path).read_bytes()
        return raw, f"file {Path(path).name}, sha256 {_sha256(raw)}"
    folder = os.environ.get("BAL_DATA")
    if not folder or not (Path(folder) / file).is_file():
        return None
    raw = (Path(folder) / file).read_bytes()
    if (digest := _sha256(raw)) != sha256:
        raise CorruptDataError(
            f"{Path(folder) / file} has SHA-256 {digest}, expected {sha256}; fetch the file again, "
            "or pass path=... to read another copy on purpose"
        )
    return raw, f"file {file}, sha256 {digest}"


def openml_arrays(name: str, call: str) -> tuple[Arrays, str]:
    """Features ``x`` and labels ``y`` of version 1 of an OpenML set, through scikit-learn and its cache.

    Raises MissingDataError if OpenML cannot be reached.
    """
    from sklearn.datasets import fetch_openml

    try:
        found: Any = fetch_openml(name, version=1, as_frame=False, parser="liac-arff")
    except OSError as error:
        raise MissingDataError(
            f"{call} could not fetch {name!r} from OpenML ({error}); connect to the network, "
            "or name a folder that holds the file in the environment variable BAL_DATA"
        ) from error
    return {"x": found["data"], "y": found["target"]}, f"OpenML {name} version 1"


def missing(file: str, call: str, openml: str | None) -> MissingDataError:
    """The error for a set found neither by path nor in ``BAL_DATA``, with every way out."""
    folder = os.environ.get("BAL_DATA")
    state = f"is {folder!r}, which holds no such file" if folder else "is not set"
    download = (
        f", or call {call} with download=True to fetch it from OpenML" if openml else " (there is no download for it)"
    )
    return MissingDataError(
        f"{file} was not found for {call}: the environment variable BAL_DATA {state}; "
        f"set it to a folder that holds {file}, or pass path=...{download}"
    )


def check(name: str, what: str, expected: object, got: object) -> None:
    """Raises CorruptDataError unless `got` equals the published `expected`."""
    if expected != got:
        raise CorruptDataError(f"{name} should have {what} {expected}, got {got}; this is not the published set")


def label_counts(y: np.ndarray) -> dict[int, int]:
    """Number of rows of each class that occurs."""
    classes, counts = np.unique(y, return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist()))


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _open(raw: bytes, keys: Iterable[str], file: str) -> Arrays:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            return {key: stored[key] for key in keys}
    except KeyError as error:
        raise CorruptDataError(f"{file} lacks the array {error}; it needs {', '.join(keys)}") from error
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptDataError(
            f"{file} is not a readable npz file without pickles ({error}); fetch it again"
        ) from error
