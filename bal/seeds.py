"""Many seeds of one experiment in one compiled program, spread over the devices."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from bal.checks import check_budget
from bal.loop import Log, run
from bal.typing import Pool, PyTree


class SeedRuns(NamedTuple):
    """The logs of all seeds, every array leading with the seed, and what they took.

    compile_seconds: tracing and compilation; run_seconds: the run itself, all seeds together.
    """

    log: Log
    compile_seconds: float
    run_seconds: float


def device_mesh(num_devices: int | None = None) -> Mesh:
    """A one-axis mesh named "seeds" over the local devices.

    On a CPU the number of devices is a setting, ``jax.config.update("jax_num_cpu_devices", 2)`` before any
    computation: small trainings then run one a core; `experiments/benchmarks/whole_loop.py` shows what that is worth.
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
    axes = _leaf_axes(in_axes, args)
    lengths = {leaf.shape[0] for leaf, axis in zip(leaves, axes, strict=True) if axis == 0}
    if len(lengths) != 1:
        raise ValueError(f"expected one number of seeds in all per-seed arguments, got {sorted(lengths)}")
    mapped = [number for number, axis in enumerate(axes) if axis == 0]
    shared = [number for number, axis in enumerate(axes) if axis is None]

    def one_seed(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        places = dict(zip(shared + mapped, (*shared_leaves, *seed_leaves), strict=True))
        return fn(*tree.unflatten([places[number] for number in range(len(leaves))]))

    def one_device(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        one = partial(one_seed, shared_leaves)
        if mesh.devices.flat[0].platform == "cpu":
            return jax.lax.map(one, seed_leaves)
        return jax.vmap(one)(seed_leaves)

    spread = jax.shard_map(one_device, mesh=mesh, in_specs=(P(), P("seeds")), out_specs=P("seeds"), check_vma=False)
    return OverSeeds(
        spread, tuple(leaves[n] for n in shared), tuple(leaves[n] for n in mapped), lengths.pop(), mesh.size
    )


class OverSeeds(NamedTuple):
    """A function mapped over seeds: ``fn(shared, per_seed)``, its arguments, and how many seeds fit evenly."""

    fn: Callable[[tuple, tuple], Any]
    shared: tuple[Array, ...]
    per_seed: tuple[Array, ...]
    num_seeds: int
    num_devices: int


def run_seeds(
    keys: Array,
    pool: Pool,
    oracle: PyTree,
    test: PyTree = None,
    start: Array | None = None,
    *,
    in_axes: tuple = (None, None, None, 0),
    mesh: Mesh | None = None,
    seeds_per_call: int | None = None,
    on_compiled: Callable[[float], None] | None = None,
    on_seeds: Callable[[Log], None] | None = None,
    skip: int = 0,
    **settings: Any,
) -> SeedRuns:
    """`bal.loop.run` for every key, compiled once; compile and run time are reported apart.

    Args:
      keys: one key a seed, see `bal.loop.seed_keys`.
      pool, oracle, test, start: as in `run`; `in_axes` says which of the four (or which of their leaves) lead with
        the seed. By default only `start` does.
      mesh: devices to use, by default all local ones.
      seeds_per_call: seeds handed to the compiled program at a time, all by default; rounded up to a multiple of the
        devices. Fewer take less memory and let `on_seeds` report more often.
      on_compiled: called with the seconds that compiling took, before the first seed runs.
      on_seeds: called with the logs of the seeds finished since the last call, for a record or a progress bar.
      skip: seeds at the front that are not run, say because they are on record; the logs begin after them.
      settings: the static arguments of `run`.

    Raises:
      ValueError: a seed's start set repeats a row or leaves the pool, or the rounds ask for more rows than are present;
        per-seed arguments of different lengths; no seed left to run.
    """
    if not 0 <= skip < len(keys):
        raise ValueError(f"expected to skip fewer than the {len(keys)} seeds, got skip={skip}")
    chosen = np.zeros((1, 0), np.int32) if start is None else np.asarray(start)
    asked = settings["num_rounds"] * settings["batch_size"] + (settings.get("num_initial", 0) if start is None else 0)
    check_budget(pool.present, chosen, asked)
    axes = (0, *in_axes[:3], None if start is None else in_axes[3])
    begun = time.perf_counter()
    mapped = over_seeds(partial(run, **settings), (keys, pool, oracle, test, start), axes, mesh)
    wanted = min(seeds_per_call or mapped.num_seeds, mapped.num_seeds)
    size = -(-wanted // mapped.num_devices) * mapped.num_devices
    firsts = range(skip, mapped.num_seeds, size)
    compiled = jax.jit(mapped.fn).lower(mapped.shared, _rows(mapped.per_seed, skip, size)).compile()
    ready = time.perf_counter()
    if on_compiled is not None:
        on_compiled(ready - begun)
    logs = []
    for first in firsts:
        done = jax.block_until_ready(compiled(mapped.shared, _rows(mapped.per_seed, first, size)))
        logs.append(jax.tree.map(lambda leaf, first=first: leaf[: mapped.num_seeds - first], done))
        if on_seeds is not None:
            on_seeds(logs[-1])
    log = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *logs)
    return SeedRuns(log, ready - begun, time.perf_counter() - ready)


def _rows(leaves: tuple, first: int, size: int) -> tuple:
    """A slice of the seeds; past the end the last seed is repeated, to be dropped again."""
    return tuple(leaf[jnp.minimum(jnp.arange(first, first + size), len(leaf) - 1)] for leaf in leaves)


def _leaf_axes(in_axes: Any, args: Any) -> list[int | None]:
    """The axis of every leaf of `args`, from a prefix tree in which None means shared."""
    is_axis = lambda axis: axis is None or axis == 0
    per_part = lambda axis, part: [axis] * len(jax.tree.leaves(part))
    return jax.tree.leaves(jax.tree.map(per_part, in_axes, args, is_leaf=is_axis), is_leaf=lambda axis: axis is None)
