"""Many seeds of one experiment in one compiled program, spread over the devices."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from bal.learners.settings import check_count
from bal.loop.checks import check_keys, check_record
from bal.loop.clock import peak_memory
from bal.loop.compiled import Log, run
from bal.loop.constants import large_arrays, with_arrays
from bal.loop.devices import warn_of_one_device
from bal.loop.doors import check_task, seed_axes, warn_of_oddities
from bal.loop.events import known_of, num_draws_of
from bal.loop.finished import identities, num_finished, one_seed, read_back, write_down
from bal.loop.oracles import check_told, check_traced, stored_as
from bal.pool.over import over_of
from bal.records import Record
from bal.typing import Setup, Task


class SeedRuns(NamedTuple):
    """The logs of all seeds, every array leading with the seed, and what they took.

    compile_seconds: tracing and compilation, next to none where an equal set-up has run before on data of these shapes;
    run_seconds: the run itself, all seeds together.
    """

    log: Log
    compile_seconds: float
    run_seconds: float


def device_mesh(num_devices: int | None = None) -> Mesh:
    """A one-axis mesh named "seeds" over the local devices.

    On a CPU the number of devices is a setting, `bal.use_all_cores` before any computation: small trainings then run
    one a core; `experiments/benchmarks/whole_loop.py` shows what that is worth.
    """
    devices = jax.local_devices()[:num_devices]
    return Mesh(np.array(devices), ("seeds",), axis_types=(AxisType.Auto,))


def over_seeds(fn: Callable, args: tuple, in_axes: tuple, mesh: Mesh | None = None) -> "OverSeeds":
    """Map `fn` over the leading axis of some of its arguments, spread over the devices of `mesh`.

    `in_axes` is as for `jax.vmap`: for each argument 0, None or a tree of these. Each device takes its share of the
    seeds, one after the other on a CPU (each training then stays in cache), all at once elsewhere.
    """
    mesh = device_mesh() if mesh is None else mesh
    leaves, tree = jax.tree.flatten(args)
    per_seed = jax.tree.leaves(seed_axes(in_axes, args))
    lengths = {leaf.shape[0] for leaf, own in zip(leaves, per_seed, strict=True) if own}
    if len(lengths) != 1:
        raise ValueError(f"expected one number of seeds in all per-seed arguments, got {sorted(lengths)}")
    try:
        spread = _spread(fn, tree, tuple(per_seed), mesh)
    except TypeError:  # made of functions that cannot be hashed
        spread = _spread.__wrapped__(fn, tree, tuple(per_seed), mesh)
    shared, mapped = (tuple(leaf for leaf, own in zip(leaves, per_seed) if own == each) for each in (False, True))
    return OverSeeds(spread, shared, mapped, lengths.pop(), mesh.size)


@lru_cache(maxsize=16)
def _spread(fn: Callable, tree: Any, per_seed: tuple[bool, ...], mesh: Mesh) -> jax.stages.Wrapped:
    """The map of `fn`; kept, so that a second call with the same settings and shapes compiles nothing."""
    mapped = [number for number, own in enumerate(per_seed) if own]
    shared = [number for number, own in enumerate(per_seed) if not own]

    def one_seed(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        places = dict(zip(shared + mapped, (*shared_leaves, *seed_leaves), strict=True))
        return fn(*tree.unflatten([places[number] for number in range(len(per_seed))]))

    def one_device(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        one = partial(one_seed, shared_leaves)
        if mesh.devices.flat[0].platform == "cpu":
            return jax.lax.map(one, seed_leaves)
        return jax.vmap(one)(seed_leaves)

    return jax.jit(
        jax.shard_map(one_device, mesh=mesh, in_specs=(P(), P("seeds")), out_specs=P("seeds"), check_vma=False)
    )


@dataclass(frozen=True)
class OneSeed:
    """`run` of one set-up, equal to that of an equal set-up; dtypes: those of labels that an oracle tells."""

    setup: Setup
    dtypes: Any = None

    def __call__(self, key: Array, task: Task, arrays: tuple = ()) -> Log:
        """What the seed of this key does; with `arrays` in place of the large ones that the set-up holds."""
        setup = with_arrays(self.setup, large_arrays(self.setup), arrays) if arrays else self.setup
        return run(key, task if self.dtypes is None else stored_as(self.dtypes, task), setup)


class OverSeeds(NamedTuple):
    """A function mapped over seeds: ``fn(shared, per_seed)``, its arguments, and how many seeds fit evenly."""

    fn: jax.stages.Wrapped
    shared: tuple[Array, ...]
    per_seed: tuple[Array, ...]
    num_seeds: int
    num_devices: int


class SeedsInterrupted(KeyboardInterrupt):
    """Ctrl-C between two calls of `run_seeds`; `runs` holds the seeds that were finished, if any.

    They are not lost: on a record the same call goes on behind them, and without one that with
    ``skip=len(error.runs.log.start)``.
    """

    def __init__(self, runs: SeedRuns | None, num_seeds: int, on_record: bool = False):
        num_finished = 0 if runs is None else len(runs.log.start)
        how = "the same call goes on" if on_record else f"go on with skip={num_finished}"
        super().__init__(f"stopped after {num_finished} of {num_seeds} seeds; {how}")
        self.runs = runs


def run_seeds(
    keys: Array,
    task: Task,
    setup: Setup,
    axes: Task | None = None,
    *,
    record: Record | None = None,
    mesh: Mesh | None = None,
    seeds_per_call: int | None = None,
    on_compiled: Callable[[float], None] | None = None,
    on_seeds: Callable[[Log], None] | None = None,
    skip: int = 0,
) -> SeedRuns:
    """`bal.loop.run` for every key, compiled once; compile and run time are reported apart.

    Inputs, labels and settings are checked before the experiment is compiled (`doors`). A warning says later if
    the scores of a query were all equal or not numbers.

    Args:
      keys: one key a seed, see `bal.loop.seed_keys`.
      task, setup: as in `run`.
      axes: a `Task` with 0 for what leads with the seeds and None for what they share, each for a part of the task or
        for the leaves in it: ``Task(Pool(None, present=0, cost=None), None, start=0)``. By default all is shared.
      record: an open `bal.records.Record`. Finished seeds are on disk as soon as they are there; those that are on
        record already, seed 0 first, are read back and not run again.
      mesh: devices to use, by default all local ones.
      seeds_per_call: seeds handed to the compiled program at a time, all by default; rounded up to a multiple of the
        devices. Fewer take less memory and let `on_seeds` report more often.
      on_compiled: called once with the seconds that compiling took, before the first seeds run.
      on_seeds: called with the logs of the seeds finished since the last call, for a progress bar.
      skip: seeds at the front that are not run; the logs begin after them.

    Raises:
      ValueError, TypeError: whatever cannot be right, in one sentence: keys, inputs that are not finite, labels that do
        not fit the pool or the predictions, a start set that repeats a row or leaves the pool, no start set, more rows
        asked for than are present, predictions that are not normalised, an `over` that cannot be compiled; per-seed
        arguments of different lengths; no seed left to run; a record of other seeds: other keys, rows, start sets,
        labels, test sets, batch size, learner, query or evaluate.
      RuntimeError: seeds are left to run, but the record is finished or closed.
      SeedsInterrupted: Ctrl-C; it holds the seeds that were finished.
    """
    check_keys(keys)
    check_count("skip", skip, 0)
    if seeds_per_call is not None:
        check_count("seeds_per_call", seeds_per_call)
    if not 0 <= skip < len(keys):
        raise ValueError(f"expected to skip fewer than the {len(keys)} seeds, got skip={skip}")
    check_record(record)
    if record is not None and skip:
        raise ValueError("a record says which seeds are finished; give a record or skip, not both")
    task = check_task(task, setup, axes)
    place = over_of(setup.learner, setup.over).place
    if place != "device":
        what = "model" if setup.learner.host else "pool"
        raise ValueError(
            f"run_seeds compiles whole experiments, but this {what} cannot be compiled (over={place}); use study, or "
            "run_eager for each seed"
        )
    asked, per_seed = callable(task.oracle), seed_axes(axes, task)
    one, arrays = OneSeed(setup, check_traced(task, setup, axes) if asked else None), large_arrays(setup)
    num_draws, logs, own, mapped = None, [], [], over_seeds(one, (keys, task, arrays), (0, axes, None), mesh)
    if record is not None:
        own = identities(keys, task, setup, per_seed)
        skip = num_finished(record, own, setup.num_rounds)
        if skip:
            like = jax.eval_shape(one, keys[0], one_seed(task, per_seed, 0))
            logs.append(read_back(record, like, task, setup, per_seed, skip))
        if skip == len(keys):
            return SeedRuns(logs[0], 0.0, 0.0)
        record.append([])  # one that is finished or closed says so before anything is run
    if mesh is None:
        warn_of_one_device(len(keys) - skip)
    begun = time.perf_counter()
    wanted = min(seeds_per_call or mapped.num_seeds, mapped.num_seeds)
    size = -(-wanted // mapped.num_devices) * mapped.num_devices
    firsts = range(skip, mapped.num_seeds, size)
    lowered = mapped.fn.lower(mapped.shared, seed_rows(mapped.per_seed, skip, size))
    compiled = lowered.compile()
    ready = time.perf_counter()
    if on_compiled is not None:
        on_compiled(ready - begun)
    together = lambda: SeedRuns(_joined(logs), ready - begun, time.perf_counter() - ready)
    try:
        for first in firsts:
            started = time.perf_counter()
            done = jax.block_until_ready(compiled(mapped.shared, seed_rows(mapped.per_seed, first, size)))
            if mapped.num_seeds - first < size:
                done = jax.tree.map(lambda leaf, first=first: leaf[: mapped.num_seeds - first], done)
            if asked:
                check_told(done, task, setup, axes)
            if record is not None:
                if first == skip:
                    num_draws = num_draws_of(one_seed(task, per_seed, 0), setup, done.y_start[0])
                known = lambda seed, num_draws=num_draws: known_of(one_seed(task, per_seed, seed), setup, num_draws)
                write_down(record, own, done, first, known)
                seeds = list(range(first, first + len(done.start)))
                times = {"compile": ready - begun if first == skip else 0.0, "run": time.perf_counter() - started}
                record.time({"seeds": seeds, "times": times, "memory": peak_memory()})
            logs.append(done)
            if on_seeds is not None:
                on_seeds(done)
    except KeyboardInterrupt:
        num_asked = mapped.num_seeds if own else mapped.num_seeds - skip
        raise SeedsInterrupted(together() if logs else None, num_asked, bool(own)) from None
    runs = together()
    warn_of_oddities(runs.log.info, runs.log.valid)
    return runs


def seed_rows(leaves: tuple, first: int, size: int) -> tuple:
    """A slice of the seeds; past the end the last seed is repeated, to be dropped again."""
    rows = np.arange(first, first + size)
    return tuple(leaf if (first, size) == (0, len(leaf)) else leaf[np.minimum(rows, len(leaf) - 1)] for leaf in leaves)


@jax.jit
def _joined(logs: list[Log]) -> Log:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *logs)
