"""What it is worth that solver, training and selection are one program: against the same loop called from Python.

    python experiments/benchmarks/burgers.py

The set-up of `experiments/burgers.py`, one strategy, in one process and on one core's device. Seconds a seed, without
compiling:

- one program: all seeds by `bal.run_seeds`.
- compiled pieces: a seed at a time by `bal.run_eager`, a Python loop over compiled functions (fit, evaluate, query,
  solve).
- operations: the same loop where every operation is called from Python, as where nothing is compiled
  (`jax.disable_jit`); of one seed and as many rounds as `--operation-rounds`, scaled to all rounds.

Expected, on a CPU: no difference between the program and compiled pieces, which do the same work in milliseconds each
and pick the same rows; 5 times the program and more where operations are called one by one (14.6 on two busy cores,
2 rounds, a pool of 1,000).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import make_pool, run_eager, run_seeds, seed_keys
from bal.loop.seeds import device_mesh
from bal.typing import Task
from experiments.burgers import Config as Study
from experiments.burgers import Name, oracle_of, problems, setup_of, test_of


@dataclass(frozen=True)
class Config:
    """What to measure."""

    strategy: Name = "sbal"
    """How problems are picked."""
    seeds: int = 10
    """Seeds of the program."""
    rounds: int = 8
    """Acquisition rounds."""
    batch_size: int = 48
    """Problems solved in a round."""
    pool_size: int = 2000
    """Problems to choose from."""
    hidden: int = 400
    """Random features of a network."""
    steps: int = 400
    """Steps of the solver."""
    operation_rounds: int = 1
    """Rounds of the loop whose operations are called one by one; 0 = leave it out."""


def seconds(call: Callable[[], Any]) -> float:
    """What a call takes."""
    begun = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begun


def main(config: Config) -> None:
    study = Study(
        rounds=config.rounds,
        batch_size=config.batch_size,
        pool_size=config.pool_size,
        hidden=config.hidden,
        steps=config.steps,
        test_size=100,
    )
    setup, keys = setup_of(config.strategy, study), seed_keys(0, config.seeds)
    task = Task(make_pool(problems(0, study.pool_size, study)), oracle_of(study), test_of(study))
    runs, again = (run_seeds(keys, task, setup, mesh=device_mesh(1)) for _ in range(2))
    whole = min(runs.run_seconds, again.run_seconds) / config.seeds
    run_eager(keys[0], task, setup)
    pieces = min(seconds(lambda seed=seed: run_eager(keys[seed], task, setup)) for seed in range(2))
    same = np.array_equal(run_eager(keys[0], task, setup).indices, again.log.indices[0])
    found = {"one program": whole, "compiled pieces": pieces}
    if config.operation_rounds:
        few = setup._replace(num_rounds=config.operation_rounds)
        with jax.disable_jit():
            taken = seconds(lambda: run_eager(keys[0], task, few))
        found["operations"] = taken * (config.rounds + 1) / (config.operation_rounds + 1)
    table = Table(title=f"{config.strategy}, {config.rounds} rounds of {config.batch_size}", box=SIMPLE_HEAD)
    for column in ("the loop", "seconds a seed", "times the program"):
        table.add_column(column, justify="left" if column == "the loop" else "right")
    for name, value in found.items():
        table.add_row(name, f"{value:.3g}", f"{value / whole:.1f}")
    console = Console()
    console.print(table)
    console.print(
        f"compiling the program took {runs.compile_seconds:.1f} s; picks of both: {'equal' if same else 'OTHER'}"
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
