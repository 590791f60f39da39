"""Engines: whatever has ``submit(function, *arguments) -> future``; here those that go by a name."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from threading import local
from typing import Any, NamedTuple

from bal.sweep.work import die_with, environment, variables


class Engine(NamedTuple):
    """Where cells are run.

    submit: ``function, *arguments -> future``, which has ``done()`` and ``result()``.
    at_once: how many futures it is given at a time; None = all.
    batch: a context in which jobs are gathered and handed over together.
    """

    submit: Callable[..., Any]
    at_once: int | None = None
    batch: Callable[[], Any] = contextlib.nullcontext


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def opened(engine: Any, workers: int | None, folder: Path, options: Mapping[str, Any]) -> Iterator[Engine]:
    """An engine by its name, started and stopped; anything that has `submit` as it is.

    Raises:
      ValueError: no such name; options of an engine that takes none.
      TypeError: neither a name nor something with `submit`.
      ImportError: its library is not installed.
    """
    if not isinstance(engine, str):
        if not callable(getattr(engine, "submit", None)):
            raise TypeError(f"an engine is one of {', '.join(ENGINES)} or has a method submit, got {engine!r}")
        yield Engine(engine.submit, None, getattr(engine, "batch", contextlib.nullcontext))
        return
    if engine not in ENGINES:
        raise ValueError(f"no engine {engine!r}; choose one of {', '.join(ENGINES)}, or pass what has a method submit")
    with ENGINES[engine](workers, folder, dict(options)) as found:
        yield found


@contextlib.contextmanager
def _here(workers: int | None, folder: Path, options: dict[str, Any]) -> Iterator[Engine]:
    _none(options, "here")

    def submit(function: Callable, *arguments: Any) -> Future:
        future: Future = Future()
        future.set_result(function(*arguments))
        return future

    yield Engine(submit, 1)


@contextlib.contextmanager
def _local(workers: int | None, folder: Path, options: dict[str, Any]) -> Iterator[Engine]:
    """Processes that are spawned (JAX does not survive a fork), each in a pool of its own: a dead one ends no other."""
    _none(options, "local")
    spawn, number = get_context("spawn"), workers or num_cores()
    theirs, ours = spawn.Pipe(duplex=False)
    threads, own, pools = ThreadPoolExecutor(number), local(), []

    def run(function: Callable, arguments: tuple) -> Any:
        if getattr(own, "pool", None) is None:
            own.pool = ProcessPoolExecutor(1, spawn, initializer=die_with, initargs=(theirs,))
            pools.append(own.pool)
        try:
            return own.pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            own.pool = None
            raise

    with environment():
        try:
            yield Engine(lambda function, *arguments: threads.submit(run, function, arguments), number)
        finally:
            ours.close()  # ends the processes, whatever they are at
            threads.shutdown(cancel_futures=True)
            for pool in pools:
                pool.shutdown()
            theirs.close()


@contextlib.contextmanager
def _slurm(workers: int | None, folder: Path, options: dict[str, Any]) -> Iterator[Engine]:
    """An array of jobs, `workers` of them at a time; `options` are parameters of submitit (and ``cluster``)."""
    submitit = _extra("submitit", "slurm")
    cluster = options.pop("cluster", "slurm")
    executor = submitit.AutoExecutor(folder / "slurm", cluster=cluster)
    parallel = {} if workers is None else {"slurm_array_parallelism": workers}
    executor.update_parameters(**{"name": "bal", **parallel, **options})
    with environment():
        yield Engine(executor.submit, workers if cluster == "local" else None, executor.batch)


@contextlib.contextmanager
def _ray(workers: int | None, folder: Path, options: dict[str, Any]) -> Iterator[Engine]:
    """Tasks of one core; `options` are those of ``ray.init`` (``address`` of a cluster ...)."""
    ray = _extra("ray", "ray")
    begun = not ray.is_initialized()
    if begun:
        own = {} if "address" in options else {"num_cpus": workers or num_cores(), "include_dashboard": False}
        ray.init(**{"log_to_driver": False, "runtime_env": {"env_vars": variables()}, **own, **options})
    try:
        task = lambda function: ray.remote(function).options(num_cpus=1, max_retries=0)
        yield Engine(lambda function, *arguments: task(function).remote(*arguments).future())
    finally:
        if begun:
            ray.shutdown()


@contextlib.contextmanager
def _dask(workers: int | None, folder: Path, options: dict[str, Any]) -> Iterator[Engine]:
    """A Dask client; `options` are those of ``distributed.Client`` (``address`` of a scheduler ...)."""
    distributed = _extra("distributed", "dask")
    own: dict[str, Any] = {} if "address" in options else {"n_workers": workers or num_cores(), "threads_per_worker": 1}
    with environment(), distributed.Client(**{**own, "dashboard_address": None, **options}) as client:
        yield Engine(client.get_executor().submit)


def _extra(library: str, extra: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise ImportError(
            f"the engine {extra!r} needs {library}: pip install bal-jax[{extra}], or use the engine 'local'"
        ) from error


def _none(options: Mapping[str, Any], engine: str) -> None:
    if options:
        raise ValueError(f"the engine {engine!r} takes no options, got {', '.join(options)}")


ENGINES = {"local": _local, "here": _here, "slurm": _slurm, "ray": _ray, "dask": _dask}
