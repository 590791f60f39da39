"""Streams: what deciding, paying and remembering cost beside the training of the same steps.

    python experiments/benchmarks/stream.py

A committee of five networks of 64 units sees 100,000 rows of 64 features in one compiled scan and takes a step of
training at each. "Training alone" takes the same steps with the same keys on a memory that stays as it is: no row is
predicted, decided about, paid for or remembered. Both run in turn in one process, and what they take is the CPU time of
the process, since a machine may be busy with other things; wall-clock time is printed beside it.

Expected: a stream that asks by BALD takes at most 1.5 times as long as its training alone; EPIG
about the latest 32 rows, which are predicted again at each row, more.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from rich.console import Console

from bal.acquisition import bald
from bal.learners import mlp
from bal.stream import (
    Rule,
    at_random,
    committee,
    from_learner,
    minus_confidence,
    quantile,
    recent_epig,
    run_stream,
    share_of_rows,
    split,
    variable_threshold,
)
from bal.stream.replay import empty
from bal.typing import Learner
from experiments.benchmarks.timing import at_least, start, table

CLASSES = 10
RuleName = Literal["random", "bald", "split", "epig"]
RULES: dict[RuleName, Rule] = {
    "random": at_random(0.3),
    "bald": quantile(bald, 0.3),
    "split": split(variable_threshold(minus_confidence, -1.0), 0.3),
    "epig": quantile(recent_epig(32), 0.3),
}


@dataclass(frozen=True)
class Config:
    """Sizes."""

    rules: tuple[RuleName, ...] = ("random", "bald", "split", "epig")
    """Rules that are timed beside training alone."""
    rows: int = 100_000
    """Rows of the stream."""
    features: int = 64
    """Features of a row."""
    hidden: int = 64
    """Units of a network."""
    members: int = 5
    """Networks in the committee."""
    minibatch_size: int = 32
    """Rows of a step."""
    capacity: int = 256
    """Labels that are remembered."""
    repeats: int = 2
    """Runs of each, of which the shortest counts."""


def training_alone(learner: Learner, config: Config, x: jax.Array, y: jax.Array) -> Callable:
    """The same steps on a memory that stays as it is."""
    full = empty(x[0], config.capacity)
    rows = jnp.arange(config.capacity) % len(y)
    data = full._replace(x=x[rows], y=y[rows], weight=jnp.ones(config.capacity)).data

    def run(key: jax.Array) -> Any:
        key_init, key_rows = jax.random.split(key)

        def step(model: Any, time: jax.Array) -> tuple[Any, None]:
            return learner.fit(jax.random.split(jax.random.fold_in(key_rows, time))[1], model, data), None

        return jax.lax.scan(step, learner.init(key_init, data), jnp.arange(len(y)))[0]

    return run


def main(config: Config) -> None:
    at_least(config, 1, "rows", "features", "hidden", "members", "minibatch_size", "capacity", "repeats")
    key_x, key_y, key = jax.random.split(jax.random.key(0), 3)
    y = jax.random.randint(key_y, (config.rows,), 0, CLASSES)
    centers = jax.random.normal(key_x, (CLASSES, config.features))
    x = centers[y] + 2.0 * jax.random.normal(key_x, (config.rows, config.features))
    learner = committee(mlp((config.hidden,), CLASSES), config.members, minibatch_size=config.minibatch_size)
    runs: dict[str, Callable] = {"training alone": training_alone(learner, config, x, y)}
    for name in config.rules:
        method = from_learner(learner, RULES[name], CLASSES, capacity=config.capacity)
        runs[name] = lambda key, method=method: run_stream(key, x, y, method, share_of_rows(0.3)).log
    programs, compiling = {}, {}
    for name, run in runs.items():
        begun = time.perf_counter()
        programs[name] = jax.jit(run).lower(key).compile()
        compiling[name] = time.perf_counter() - begun
    cpu, wall = (dict.fromkeys(programs, float("inf")) for _ in range(2))
    for _ in range(config.repeats):
        for name, program in programs.items():
            begun = time.process_time(), time.perf_counter()
            jax.block_until_ready(program(key))
            cpu[name] = min(cpu[name], time.process_time() - begun[0])
            wall[name] = min(wall[name], time.perf_counter() - begun[1])
    shown = table("program", "compile s", "µs a row, CPU", "wall", "to training", title=f"{config.rows} rows")
    per_row = 1e6 / config.rows
    for name in programs:
        ratio = f"{cpu[name] / cpu['training alone']:.2f}"
        shown.add_row(
            name, f"{compiling[name]:.1f}", f"{cpu[name] * per_row:.0f}", f"{wall[name] * per_row:.0f}", ratio
        )
    console = Console()
    console.print(shown)
    if "bald" in config.rules:
        ratio = cpu["bald"] / cpu["training alone"]
        console.print(f"a stream that asks by BALD / its training alone: {ratio:.2f} (at most 1.5)", highlight=False)


if __name__ == "__main__":
    start(main, Config, __doc__)
