"""Speed of every acquisition function, as a multiple of `jnp.exp` on the same array in the same process.

    python experiments/benchmarks/acquisition.py

Expected: BALD in its accurate form at most 2.0 times exp. Timings are minima over interleaved repetitions, after a
warm-up that is reported apart as compile time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.table import Table

from bal import acquisition
from bal.typing import Gaussian

GAUSSIAN = {"epistemic_variance", "gaussian_bald", "gaussian_entropy", "total_variance"}


@dataclass(frozen=True)
class Config:
    """Size of the array of log probabilities ``[rows, draws, classes]``, float32."""

    rows: int = 100_000
    """Pool rows N."""
    draws: int = 20
    """Posterior draws K."""
    classes: int = 10
    """Classes C."""
    repetitions: int = 15
    """Interleaved repetitions, of which the fastest counts."""


def measure(functions: dict[str, tuple[Callable, tuple]], repetitions: int) -> dict[str, tuple[float, float]]:
    """First call and fastest later call of every function, in seconds."""
    first, fastest = {}, {}
    for name, (function, arguments) in functions.items():
        begun = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        first[name], fastest[name] = time.perf_counter() - begun, float("inf")
    for _ in range(repetitions):
        for name, (function, arguments) in functions.items():
            begun = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            fastest[name] = min(fastest[name], time.perf_counter() - begun)
    return {name: (first[name], fastest[name]) for name in functions}


def main(config: Config) -> None:
    shape = (config.rows, config.draws, config.classes)
    log_probs = jax.nn.log_softmax(jax.random.normal(jax.random.key(0), shape))
    mean, variance, noise = jax.random.uniform(jax.random.key(1), (3, config.rows, config.draws), minval=0.1)
    gaussian = Gaussian(mean, variance, noise)
    functions: dict[str, tuple[Callable, tuple]] = {"exp": (jax.jit(jnp.exp), (log_probs,))}
    for name in acquisition.__all__:
        function = getattr(acquisition, name)
        if "epig" in name:
            continue  # joint quantities, with a benchmark of their own: batch_information.py
        functions[name] = (jax.jit(function), (gaussian if name in GAUSSIAN else log_probs,))
    times = measure(functions, config.repetitions)
    table = Table(title=f"[{config.rows}, {config.draws}, {config.classes}] float32 on {jax.default_backend()}")
    for column in ("function", "first call s", "warm ms", "x exp", "million rows/s", "GB/s read"):
        left = column == "function"
        table.add_column(column, justify="left" if left else "right", no_wrap=left)
    for name, (first, warm) in sorted(times.items(), key=lambda item: item[1][1]):
        read = sum(leaf.nbytes for leaf in jax.tree.leaves(functions[name][1]))
        ratio = f"{warm / times['exp'][1]:.2f}"
        table.add_row(
            name,
            f"{first:.2f}",
            f"{1e3 * warm:.2f}",
            ratio,
            f"{config.rows / warm / 1e6:.1f}",
            f"{read / warm / 1e9:.1f}",
        )
    console = Console()
    console.print(table)
    bald_ratio = times["bald"][1] / times["exp"][1]
    console.print(f"bald / exp = {bald_ratio:.2f} ({'within' if bald_ratio <= 2 else 'ABOVE'} the bound of 2.0)")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
