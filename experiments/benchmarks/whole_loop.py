"""The reference race: a whole deep-ensemble experiment on digits, in seconds a seed and as a share of matmul speed.

    python experiments/benchmarks/whole_loop.py

Ten members of 64-128-10, 300 Adam steps of minibatch 64, 10 start labels, 20 rounds of 5 by BALD, evaluated on all
rows. Nominal work is 6 x weights x rows trained on. Its rate is divided by the best of plain 2048^3 float32 matmuls
timed before and after in the same process. Many seeds are spread over the host devices; of a single seed the members
are. Expected: a ratio of at least 0.45 at 1, 20 and 50 seeds, and a time per seed at 50 seeds at most 1.2 times that
at 4.
"""

import os
import time
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import optax
from rich.console import Console
from rich.table import Table

from bal.acquisition import bald
from bal.datasets import digits
from bal.learners import ensemble, mlp
from bal.loop import run, run_seeds, seed_keys
from bal.loop.seeds import device_mesh
from bal.pool import make_pool
from bal.query import by_score
from bal.selection import best
from bal.typing import Posterior, Setup, Task
from experiments.benchmarks.timing import at_least, start

MEMBERS, MINIBATCH, WEIGHTS = 10, 64, 64 * 128 + 128 * 10
QUERY = by_score(bald, best)


@dataclass(frozen=True)
class Config:
    """What to race."""

    seeds: tuple[int, ...] = (1, 4, 20, 50)
    """Numbers of seeds."""
    devices: int = len(os.sched_getaffinity(0))
    """Host devices."""
    rounds: int = 20
    """Acquisition rounds."""
    steps: int = 300
    """Adam steps of a training."""
    matrix: int = 2048
    """Rows of the square matrices that the rate is compared with."""


def gflop_per_seed(config: Config) -> float:
    """Nominal work."""
    return 6 * WEIGHTS * MINIBATCH * config.steps * MEMBERS * (config.rounds + 1) / 1e9


def matmul_rate(size: int, repetitions: int = 5) -> float:
    """GFLOP/s of the fastest of several float32 matmuls, size^3."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    multiply = jax.jit(lambda a: a @ a)
    jax.block_until_ready(multiply(a))
    fastest = float("inf")
    for _ in range(repetitions):
        begun = time.perf_counter()
        jax.block_until_ready(multiply(a))
        fastest = min(fastest, time.perf_counter() - begun)
    return 2 * size**3 / fastest / 1e9


def accuracy(posterior: Posterior, test: tuple) -> dict[str, jax.Array]:
    x, y = test
    return {"accuracy": jnp.mean(jnp.exp(posterior.predict(x)).mean(1).argmax(-1) == y)}


def race(num_seeds: int, config: Config, task: Task) -> tuple[float, float, float]:
    """Compile seconds, run seconds and mean final accuracy."""
    mesh = device_mesh(config.devices)
    spread = mesh if num_seeds == 1 and config.devices > 1 else None
    learner = ensemble(
        mlp((128,), num_outputs=10),
        MEMBERS,
        optimizer=optax.adam(1e-3),
        num_steps=config.steps,
        minibatch_size=MINIBATCH,
        mesh=spread,
    )
    setup = Setup(learner, QUERY, batch_size=5, num_rounds=config.rounds, num_initial=10, evaluate=accuracy)
    keys = seed_keys(0, num_seeds)
    if spread is None:
        runs = run_seeds(keys, task, setup, mesh=mesh)
        return runs.compile_seconds, runs.run_seconds, float(runs.log.metrics["accuracy"][:, -1].mean())
    begun = time.perf_counter()
    compiled = jax.jit(partial(run, setup=setup)).lower(keys[0], task).compile()
    ready = time.perf_counter()
    log = jax.block_until_ready(compiled(keys[0], task))
    return ready - begun, time.perf_counter() - ready, float(log.metrics["accuracy"][-1])


def main(config: Config) -> None:
    at_least(config, 1, "seeds", "devices", "rounds", "steps", "matrix")
    jax.config.update("jax_num_cpu_devices", config.devices)
    dataset = digits()
    y = jnp.asarray(dataset.y, jnp.int32)
    pool = make_pool(jnp.asarray(dataset.x))
    task = Task(pool, y, (pool.x, y))
    work = gflop_per_seed(config)
    table = Table(title=f"{work:.0f} GFLOP a seed, {config.devices} host devices")
    names = ("seeds", "compile s", "run s", "s / seed", "GFLOP/s", "matmul\nGFLOP/s", "ratio", "final\naccuracy")
    for column in names:
        table.add_column(column, justify="right")
    per_seed, ratios = {}, {}
    for num_seeds in config.seeds:
        before = matmul_rate(config.matrix)
        compile_seconds, run_seconds, final = race(num_seeds, config, task)
        matmul = max(before, matmul_rate(config.matrix))
        rate = work * num_seeds / run_seconds
        per_seed[num_seeds], ratios[num_seeds] = run_seconds / num_seeds, rate / matmul
        numbers = (compile_seconds, run_seconds, per_seed[num_seeds], rate, matmul, ratios[num_seeds], final)
        table.add_row(str(num_seeds), *(f"{number:.3g}" for number in numbers))
    console = Console()
    console.print(table)
    console.print(f"lowest ratio {min(ratios.values()):.2f} (bound: at least 0.45)")
    if 4 in per_seed and 50 in per_seed:
        console.print(f"time per seed at 50 seeds / at 4: {per_seed[50] / per_seed[4]:.2f} (bound: at most 1.2)")


if __name__ == "__main__":
    start(main, Config, __doc__)
