"""Which source runs: digests of the package and of the script, and the package's commit.

Git is asked where the package lies, not where the user stands, and only for what it knows of a commit: no query used
here runs a program that a repository's own configuration names (file monitors, filters, hooks, transports).
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]

_SAFE = ("--no-pager", "-c", "core.fsmonitor=false", "--no-optional-locks")
_first_seen: dict[Path, str] = {}


def fingerprint(files: Mapping[str, Path]) -> str:
    """SHA-256 over names and contents of source files, in the order of their names.

    A process runs what a file held when it was imported. A file that has changed since counts as neither its old nor
    its new content, because nobody can tell which of them runs.
    """
    total = hashlib.sha256()
    for name in sorted(files):
        now = hashlib.sha256(_read(files[name])).hexdigest()
        first = _first_seen.setdefault(files[name], now)
        total.update(f"{name}\0{first if first == now else f'{first} then {now}'}\n".encode())
    return total.hexdigest()


def package_files() -> dict[str, Path]:
    """The package's source, by name below its folder."""
    return {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}


@cache
def script() -> dict[str, str] | None:
    """Name and fingerprint of the running script with the modules it imported from its own folder and below.

    Read once a process, when records are first imported: what is imported later does not count, so that one script is
    one. None where there is none: in a notebook, an interpreter, or under an installed tool.

    >>> script() is None or sorted(script()) == ["name", "sha256"]
    True
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is None or not Path(main).is_file():
        return None
    path = Path(main).resolve()
    if _name_below(path.parent, main) is None:
        return None
    files = {path.name: path}
    for module in list(sys.modules.values()):
        file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
        if isinstance(file, str) and (name := _name_below(path.parent, file)):
            files[name] = Path(file).resolve()
    return {"name": path.name, "sha256": fingerprint(files)}


@cache
def commit() -> dict[str, Any] | None:
    """Commit of the checkout in which the package lies, and whether the package's source differs from it.

    None: not tracked by any, or git does not say.
    """
    head = _git("rev-parse", "--verify", "HEAD")
    listed = _git("ls-tree", "-r", "-z", head) if head else None
    if not head or not listed:
        return None
    tracked = {}
    for entry in listed.rstrip("\0").split("\0"):
        about, _, name = entry.partition("\t")
        if name.endswith(".py"):
            tracked[name] = about.split()[-1]
    now = package_files()
    same = now.keys() == tracked.keys() and all(tracked[name] in _blobs(path) for name, path in now.items())
    return {"commit": head, "dirty": not same}


@cache
def _name_below(folder: Path, file: str) -> str | None:
    """Name of a source file below a folder; None for one elsewhere, and for the package and what is installed."""
    path = Path(file).resolve()
    if path.suffix != ".py" or not path.is_relative_to(folder) or path.is_relative_to(PACKAGE):
        return None
    installed = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib", "scripts"))
    return None if any(map(path.is_relative_to, installed)) else path.relative_to(folder).as_posix()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b"gone"


def _blobs(path: Path) -> set[str]:
    """Git's names for a file's content, with line ends as they are or as git may have stored them."""
    digests = set()
    for data in {_read(path), _read(path).replace(b"\r\n", b"\n")}:
        framed = b"blob %d\0%s" % (len(data), data)
        digests |= {hashlib.sha1(framed, usedforsecurity=False).hexdigest(), hashlib.sha256(framed).hexdigest()}
    return digests


def _git(*arguments: str) -> str | None:
    # variables of git would lead it elsewhere; missing objects are not fetched
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    command = ["git", "-C", str(PACKAGE), *_SAFE, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=10, env=environment
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip("\n")


# remember what was imported, should a file be edited while a study runs
fingerprint(package_files())
script()
