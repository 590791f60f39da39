"""What a run ran on: versions, machine, source and the variables that change bits."""

import os
import platform
import re
from functools import cache
from importlib import metadata
from typing import Any

import bal
from bal.records.source import commit, fingerprint, package_files, script

_PACKAGES = (
    "numpy",
    "scipy",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "equinox",
    "numpyro",
    "blackjax",
    "gpjax",
    "scikit-learn",
)
VARIABLES = (
    "JAX_CPU_COLLECTIVES_IMPLEMENTATION",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_X64",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_NUM_CPU_DEVICES",
    "JAX_PLATFORMS",
    "JAX_THREEFRY_PARTITIONABLE",
    "MKL_NUM_THREADS",
    "NPROC",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "XLA_FLAGS",
)


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _without_paths(flags: str) -> str:
    """Flags of XLA that name no file: records are published, and where somebody's dumps lie is nobody's business.

    >>> _without_paths("--xla_dump_to=/home/me --xla_cpu_enable_fast_math=true --xla_dump_hlo_as_text=out")
    '--xla_cpu_enable_fast_math=true'
    """
    named = re.compile(r"dump|dir|path|file|cache")
    parts = (flag.partition("=") for flag in flags.split())
    return " ".join(
        name + equals + value
        for name, equals, value in parts
        if name.startswith("--") and not named.search(name) and not re.search(r"[/\\:@~]", value)
    )


def variables(environ: Any) -> dict[str, str]:
    """Those variables that change bits; nothing else of the environment is kept."""
    found = {name: environ[name] for name in VARIABLES if name in environ}
    if "XLA_FLAGS" in found:
        found["XLA_FLAGS"] = _without_paths(found["XLA_FLAGS"])
    return found


def environment() -> dict[str, Any]:
    """Versions, platform, cores, source of the package and of the script, and the variables that change bits.

    ``source`` is the SHA-256 of the package's source, ``script`` name and SHA-256 of the running script with the
    modules from its own folder (None in a notebook). ``git`` is the commit of the checkout in which the package lies
    and whether the package's source differs from it, None outside of one. A package that is not installed has version
    None. Nothing is imported to find out.

    >>> sorted(environment())
    ['cpus', 'git', 'packages', 'platform', 'python', 'script', 'source', 'variables']
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": {"bal": getattr(bal, "__version__", None), **{package: _version(package) for package in _PACKAGES}},
        "git": commit(),
        "source": fingerprint(package_files()),
        "script": script(),
        "variables": variables(os.environ),
    }
