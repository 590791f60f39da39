"""The cores of a CPU as devices, and compiled programs that are kept: to be said before anything is computed."""

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import jax

CACHE = Path.home() / ".cache" / "bal" / "xla"


def use_all_cores(num_cores: int | None = None, *, keep_compiled: bool = True) -> int:
    """Let `run_seeds` use every core: one host device a core, and programs that are compiled once and for all.

    Say it first in a script: JAX counts its devices once, when it first computes (and when gpjax is imported). Where
    there is an accelerator, `run_seeds` uses that and this does no harm. LAPACK gets one thread: its own threads would
    make the small factorizations of many seeds wait for one another.

    Args:
      num_cores: devices, all cores of this process by default.
      keep_compiled: keep compiled programs in ``JAX_COMPILATION_CACHE_DIR``, or in ``~/.cache/bal/xla``, so that the
        next process with the same program and shapes does not compile it again.

    Returns:
      The number of host devices.

    Raises:
      ValueError: less than one core.
      RuntimeError: JAX has counted its devices already, and they are others.
    """
    from threadpoolctl import threadpool_limits

    wanted = num_available() if num_cores is None else num_cores
    if wanted < 1:
        raise ValueError(f"expected at least 1 core, got {num_cores}")
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:
        counted = jax.local_device_count("cpu")
        if counted != wanted:
            raise RuntimeError(
                f"JAX has started with {counted} host devices, too late for {wanted}: call bal.use_all_cores() first "
                "in the script, before anything is computed and before gpjax is imported"
            ) from None
    threadpool_limits(1, "blas")
    kept_at: Any = jax.config
    if keep_compiled and kept_at.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(CACHE))
    return wanted


def num_available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warn_of_one_device(num_seeds: int) -> None:
    """Say once that seeds will run one after the other on one core of several."""
    if num_seeds > 1 and jax.default_backend() == "cpu" and jax.local_device_count() == 1 and num_available() > 1:
        _warn(num_available())


@cache
def _warn(cores: int) -> None:
    warnings.warn(
        f"run_seeds uses one of {cores} cores, since JAX has one host device: call bal.use_all_cores() first in the "
        "script, before anything is computed",
        stacklevel=4,
    )
