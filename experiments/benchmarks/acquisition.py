"""Speed of every acquisition function, as a multiple of `jnp.exp` on the same array in the same process.

    python experiments/benchmarks/acquisition.py

Expected: BALD in its accurate form at most 2.0 times exp. Timings are minima over interleaved repetitions, after a
warm-up; compile time is reported apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.table import Table
from timing import compiled, least_seconds

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


def main(config: Config) -> None:
    shape = (config.rows, config.draws, config.classes)
    log_probs = jax.nn.log_softmax(jax.random.normal(jax.random.key(0), shape))
    mean, variance, noise = jax.random.uniform(jax.random.key(1), (3, config.rows, config.draws), minval=0.1)
    gaussian = Gaussian(mean, variance, noise)
    functions: dict[str, tuple[Callable, tuple]] = {"exp": (jnp.exp, (log_probs,))}
    for name in acquisition.__all__:
        function = getattr(acquisition, name)
        if "epig" in name:
            continue  # joint quantities, with a benchmark of their own: batch_information.py
        functions[name] = (function, (gaussian if name in GAUSSIAN else log_probs,))
    made = {name: compiled(function, *arguments) for name, (function, arguments) in functions.items()}
    seconds = least_seconds(made, config.repetitions)
    table = Table(title=f"[{config.rows}, {config.draws}, {config.classes}] float32 on {jax.default_backend()}")
    for column in ("function", "compile s", "warm ms", "x exp", "million rows/s", "GB/s read"):
        left = column == "function"
        table.add_column(column, justify="left" if left else "right", no_wrap=left)
    for name, warm in sorted(seconds.items(), key=lambda item: item[1]):
        read = sum(leaf.nbytes for leaf in jax.tree.leaves(functions[name][1]))
        ratio = f"{warm / seconds['exp']:.2f}"
        table.add_row(
            name,
            f"{made[name].compile_seconds:.2f}",
            f"{1e3 * warm:.2f}",
            ratio,
            f"{config.rows / warm / 1e6:.1f}",
            f"{read / warm / 1e9:.1f}",
        )
    console = Console()
    console.print(table)
    bald_ratio = seconds["bald"] / seconds["exp"]
    console.print(f"bald / exp = {bald_ratio:.2f} ({'within' if bald_ratio <= 2 else 'ABOVE'} the bound of 2.0)")


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
