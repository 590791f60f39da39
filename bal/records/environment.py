"""What a run ran on: versions, machine, code and the variables that change bits."""

import os
import platform
import subprocess
from importlib import metadata
from typing import Any

_PACKAGES = ("bal", "numpy", "scipy", "jax", "jaxlib", "flax", "optax")
_VARIABLES = ("NPROC", "OPENBLAS_NUM_THREADS", "XLA_FLAGS")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        # without optional locks, looking at a checkout never writes to it
        command = ["git", "--no-optional-locks", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def environment() -> dict[str, Any]:
    """Versions, platform, cores, git commit of the working directory and relevant environment variables.

    ``git`` is None outside of a checkout, otherwise the commit and whether tracked files differ from it
    (None: git did not say). A package that is not installed has version None. Nothing is imported to find
    out.

    >>> sorted(environment())
    ['cpus', 'git', 'packages', 'platform', 'python', 'variables']
    """
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "git": {"commit": commit, "dirty": None if status is None else bool(status)} if commit else None,
        "variables": {k: v for k, v in os.environ.items() if k in _VARIABLES or k.startswith("JAX_")},
    }
