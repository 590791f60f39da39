"""Information-theoretic batches and EPIG on this machine: time, temporary memory, and picks.

    python experiments/benchmarks/batch_information.py

Takes about two minutes on two quiet cores. Every program is also given as a multiple of its yardstick, timed in turn
with it in the same process, so that the figures hold on a busy machine. Expected at the sizes below: BatchBALD at most
1.5 s and 64 MiB of temporaries; EPIG at most half of the dense matrix product plus one pass of logarithms over the
whole joint, and 32 MiB.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from rich.console import Console

from bal.acquisition import epig, epig_by_entropies
from bal.selection import batchbald, epig_batch, gaussian_batch
from bal.typing import Candidates
from experiments.benchmarks.timing import Program, at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    num_rows: int = 2_000
    """Pool rows of the batch rules."""
    num_draws: int = 50
    """Posterior draws of the batch rules."""
    num_classes: int = 10
    """Classes everywhere."""
    batch_size: int = 10
    """Picks."""
    num_configurations: int = 10_000
    """Labelings of a batch in BatchBALD."""
    epig_rows: int = 10_000
    """Pool rows of EPIG."""
    epig_draws: int = 20
    """Posterior draws of EPIG."""
    num_targets: int = 256
    """Target rows of EPIG."""
    repeats: int = 6
    """Times that every program is timed; the least counts."""


BLOCKS = 20
"""Parts in which a yardstick multiplies."""
YARDSTICKS = {
    "batchbald": ("matmul of one pick",),
    "batchbald, 1,000 labelings": ("matmul of one pick",),
    "gaussian_batch": ("matmul of one pick",),
    "epig": ("dense matmul", "log pass"),
    "epig_by_entropies": ("dense matmul", "log pass"),
}
"""The programs whose summed time a program is compared with."""


def log_probs(seed: int, *shape: int) -> jax.Array:
    """Predictions whose draws disagree."""
    return jax.nn.log_softmax(2 * jax.random.normal(jax.random.key(seed), shape), -1)


def batch_programs(config: Config) -> dict[str, Program]:
    """BatchBALD and its kin; yardstick: one product of all labelings with all rows and classes, a pick's matmul."""
    n, classes, size = config.num_rows, config.num_classes, config.batch_size
    rows = log_probs(0, n, config.num_draws, classes)
    pool = Candidates(rows, jnp.arange(n), jnp.ones(n, bool), jnp.ones(n))
    flat = jnp.exp(rows).transpose(1, 0, 2).reshape(config.num_draws, -1)
    labelings = jax.random.uniform(jax.random.key(1), (config.num_configurations, config.num_draws))
    blocks = labelings.reshape(-1, config.num_configurations // BLOCKS, config.num_draws)
    # Reduced at once: the whole product, 10,000 x 20,000 numbers, is never written to memory.
    product = lambda a, b: jax.lax.map(lambda some: jnp.matmul(some, b, precision="highest").sum(0), a).sum(0)
    targeted = pool._replace(
        rows=rows[:200], index=pool.index[:200], eligible=pool.eligible[:200], cost=pool.cost[:200]
    )
    targeted = targeted._replace(context=(log_probs(2, 64, config.num_draws, classes), jnp.ones(64)))
    key = jax.random.key(0)
    run = lambda select: compiled(partial(select, batch_size=size), key, pool)
    return {
        "matmul of one pick": compiled(product, blocks, flat),
        "batchbald": run(batchbald(config.num_configurations)),
        "batchbald, 1,000 labelings": run(batchbald(1_000)),
        "gaussian_batch": run(gaussian_batch()),
        "epig_batch, 200 rows, 64 targets": compiled(lambda key, c: epig_batch()(key, c, size), key, targeted),
    }


def epig_programs(config: Config) -> dict[str, Program]:
    """EPIG; yardstick: the dense joint of all rows and targets, and one pass of logarithms over it."""
    rows = log_probs(3, config.epig_rows, config.epig_draws, config.num_classes)
    targets = log_probs(4, config.num_targets, config.epig_draws, config.num_classes)
    flat = lambda x: jnp.exp(x).transpose(0, 2, 1).reshape(-1, config.epig_draws)
    a, b = flat(rows), flat(targets).T
    joint = jnp.matmul(a, b)
    return {
        "dense matmul": compiled(partial(jnp.matmul, precision="highest"), a, b),
        "log pass": compiled(lambda x: jnp.log(x).sum(), joint),
        "epig": compiled(epig, rows, targets),
        "epig_by_entropies": compiled(epig_by_entropies, rows, targets),
    }


def report(console: Console, title: str, programs: dict[str, Program], repeats: int) -> dict[str, float]:
    seconds = least_seconds(programs, repeats)
    found = table("program", "compile s", "seconds", "x yardstick", "temporary\nMiB", title=title)
    for name, program in programs.items():
        yardstick = sum(seconds[other] for other in YARDSTICKS.get(name, ()))
        times = f"{seconds[name] / yardstick:.2f}" if yardstick else ""
        found.add_row(name, f"{program.compile_seconds:.1f}", f"{seconds[name]:.3f}", times, f"{program.megabytes:.1f}")
    console.print(found)
    return seconds


def main(config: Config) -> None:
    at_least(config, 1, "num_rows", "num_draws", "batch_size", "num_configurations")
    at_least(config, 1, "epig_rows", "epig_draws", "num_targets", "repeats")
    at_least(config, 2, "num_classes")
    if config.num_configurations % BLOCKS:
        raise SystemExit(f"--num-configurations must be a multiple of {BLOCKS}, got {config.num_configurations}")
    console = Console()
    programs = epig_programs(config)
    title = f"EPIG, N={config.epig_rows:,} M={config.num_targets} K={config.epig_draws} C={config.num_classes}"
    seconds = report(console, title, programs, config.repeats)
    ratio = seconds["epig"] / (seconds["dense matmul"] + seconds["log pass"])
    console.print(
        f"epig / (dense matmul + log pass): {ratio:.2f} (at most 0.5), {programs['epig'].megabytes:.0f} MiB (32)"
    )
    programs = batch_programs(config)
    title = f"Batches, N={config.num_rows:,} K={config.num_draws} C={config.num_classes} B={config.batch_size}"
    seconds = report(console, title, programs, config.repeats)
    heavy = sum(config.num_classes**b >= config.num_configurations for b in range(config.batch_size))
    megabytes = programs["batchbald"].megabytes
    console.print(f"batchbald: {seconds['batchbald']:.2f} s (at most 1.5), {megabytes:.0f} MiB (64)")
    if heavy:
        ratio = seconds["batchbald"] / (heavy * seconds["matmul of one pick"])
        console.print(f"batchbald / matmuls of its {heavy} picks with all labelings: {ratio:.2f}")
    picks = programs["batchbald"].call()
    console.print(f"picks {picks.indices.tolist()}, saturated at pick {int(picks.info['saturated_at'])}")
    console.print(f"information / log K {[round(value, 3) for value in picks.info['saturation'].tolist()]}")


if __name__ == "__main__":
    start(main, Config, __doc__)
