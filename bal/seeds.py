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
    computation: one a core runs small trainings two to three times faster than one for all.
    """
    devices = jax.local_devices()[:num_devices]
    return Mesh(np.array(devices), ("seeds",), axis_types=(AxisType.Auto,))


def over_seeds(
    fn: Callable, args: tuple, in_axes: tuple, mesh: Mesh | None = None
) -> tuple[Callable[..., Any], tuple[Array, ...]]:
    """Map `fn` over the leading axis of some of its arguments, spread over the devices of `mesh`.

    `in_axes` is as for `jax.vmap`: for each argument 0, None or a tree of these. Each device takes its share of the
    seeds, one after the other on a CPU (each training then stays in cache), all at once elsewhere. The number of
    seeds need not divide evenly: the last seed is repeated and dropped again.

    Returns the mapped function of flat arrays, and these arrays.
    """
    mesh = device_mesh() if mesh is None else mesh
    leaves, tree = jax.tree.flatten(args)
    axes = _leaf_axes(in_axes, args)
    lengths = {leaf.shape[0] for leaf, axis in zip(leaves, axes, strict=True) if axis == 0}
    if len(lengths) != 1:
        raise ValueError(f"expected one number of seeds in all per-seed arguments, got {sorted(lengths)}")
    num_seeds = lengths.pop()
    mapped = [number for number, axis in enumerate(axes) if axis == 0]
    shared = [number for number, axis in enumerate(axes) if axis is None]
    padding = -num_seeds % mesh.size

    def one_seed(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        places = dict(zip(shared + mapped, (*shared_leaves, *seed_leaves), strict=True))
        return fn(*tree.unflatten([places[number] for number in range(len(leaves))]))

    def one_device(shared_leaves: tuple, seed_leaves: tuple) -> Any:
        one = partial(one_seed, shared_leaves)
        if mesh.devices.flat[0].platform == "cpu":
            return jax.lax.map(one, seed_leaves)
        return jax.vmap(one)(seed_leaves)

    spread = jax.shard_map(one_device, mesh=mesh, in_specs=(P(), P("seeds")), out_specs=P("seeds"), check_vma=False)

    def all_seeds(*flat: Array) -> Any:
        shared_leaves = tuple(flat[number] for number in shared)
        seed_leaves = tuple(jnp.concatenate([flat[n]] + [flat[n][-1:]] * padding) for n in mapped)
        return jax.tree.map(lambda leaf: leaf[:num_seeds], spread(shared_leaves, seed_leaves))

    return all_seeds, tuple(leaves)


def run_seeds(
    keys: Array,
    pool: Pool,
    oracle: PyTree,
    test: PyTree = None,
    start: Array | None = None,
    *,
    in_axes: tuple = (None, None, None, 0),
    mesh: Mesh | None = None,
    **settings: Any,
) -> SeedRuns:
    """`bal.loop.run` for every key, compiled once; compile and run time are reported apart.

    Args:
      keys: one key a seed, see `bal.loop.seed_keys`.
      pool, oracle, test, start: as in `run`; `in_axes` says which of the four (or which of their leaves) lead with
        the seed. By default only `start` does.
      mesh: devices to use, by default all local ones.
      settings: the static arguments of `run`.
    """
    axes = (0, *in_axes[:3], None if start is None else in_axes[3])
    begun = time.perf_counter()
    all_seeds, leaves = over_seeds(partial(run, **settings), (keys, pool, oracle, test, start), axes, mesh)
    compiled = jax.jit(all_seeds).lower(*leaves).compile()
    ready = time.perf_counter()
    log = jax.block_until_ready(compiled(*leaves))
    return SeedRuns(log, ready - begun, time.perf_counter() - ready)


def _leaf_axes(in_axes: Any, args: Any) -> list[int | None]:
    """The axis of every leaf of `args`, from a prefix tree in which None means shared."""
    is_axis = lambda axis: axis is None or axis == 0
    per_part = lambda axis, part: [axis] * len(jax.tree.leaves(part))
    return jax.tree.leaves(jax.tree.map(per_part, in_axes, args, is_leaf=is_axis), is_leaf=lambda axis: axis is None)
