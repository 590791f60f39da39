"""Batch selection: all benchmarks of its parts, and how time grows with the pool, the batch and the draws.

    python experiments/benchmarks/batch.py                   # everything, about ten minutes on two cores
    python experiments/benchmarks/batch.py --parts scaling   # the scaling curves alone

The parts are also scripts of their own with options for their sizes: batch_information.py (BatchBALD, EPIG),
batch_kernels.py (k-center, BADGE, LCMD, MaxDet), batch_sparse.py (Frank-Wolfe, greedy, IHT, BAIT) and
batch_diversity.py (TypiClust, ProbCover, k-medoids, ranked batch, Cluster-Margin). Scaling doubles one size at a time
from a base and prints the time relative to the base, warm; 2 a step is linear.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import batch_diversity
import batch_information
import batch_kernels
import batch_sparse
import jax
import jax.numpy as jnp
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from bal.acquisition import epig
from bal.kernels import Factors
from bal.selection import SparseRows, badge, batchbald, frank_wolfe, k_center, lcmd, sum_rows
from bal.typing import Candidates
from experiments.benchmarks.timing import Program, at_least, compiled, least_seconds, picture, start

Part = Literal["information", "kernels", "sparse", "diversity", "scaling"]
Method = Literal["batchbald", "epig", "k_center", "badge", "lcmd", "frank_wolfe"]
BASE = {"N": 1_000, "B": 5, "K": 10}


@dataclass(frozen=True)
class Config:
    """What to run."""

    parts: tuple[Part, ...] = ("information", "kernels", "sparse", "diversity", "scaling")
    """Parts of the benchmark."""
    methods: tuple[Method, ...] = ("batchbald", "epig", "k_center", "badge", "lcmd", "frank_wolfe")
    """Methods of the scaling curves."""
    steps: tuple[int, ...] = (1, 2, 4, 8)
    """Multiples of the base size; times are relative to the first."""
    figures: Path = Path("figures")
    """Folder of pictures."""


def candidates(rows: object, n: int) -> Candidates:
    """All rows eligible at unit cost, nothing labeled."""
    return Candidates(rows, jnp.arange(n, dtype=jnp.int32), jnp.ones(n, bool), jnp.ones(n))


def draws(n: int, k: int) -> jax.Array:
    """Log probabilities of ten classes."""
    return jax.nn.log_softmax(2 * jax.random.normal(jax.random.key(0), (n, k, 10)), -1)


def program(method: str, n: int, b: int, k: int) -> Program:
    """One compiled call of a method at a size; K is draws, or features for methods on features."""
    key = jax.random.key(1)
    x = jax.random.normal(key, (n, 8 * k))
    if method == "batchbald":
        return compiled(lambda c: batchbald(2_000)(key, c, b), candidates(draws(n, k), n))
    if method == "epig":
        return compiled(lambda rows: epig(rows, draws(128, k)), draws(n, k))
    if method == "badge":
        rows = (Factors(jax.random.normal(key, (n, 10)), x),)
        return compiled(lambda c: badge(key, c, b), candidates(rows, n))
    if method == "frank_wolfe":
        rows = SparseRows(x - x.mean(1, keepdims=True), jnp.ones(n))
        some = candidates(rows, n)._replace(context=sum_rows(rows, jnp.ones(n)))
        return compiled(lambda c: frank_wolfe()(key, c, b), some)
    select = {"k_center": k_center(), "lcmd": lcmd()}[method]
    return compiled(lambda c: select(key, c, b), candidates(x, n))


def scaling(console: Console, config: Config) -> None:
    """Times relative to the base size, as a table and a picture."""
    table = Table(
        "method", "grows", "ms at base", *(f"x{step}" for step in config.steps[1:]), title=f"scaling from {BASE}"
    )
    figure = Figure(figsize=(9, 3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = dict(zip(BASE, figure.subplots(1, len(BASE), sharey=True), strict=True))
    for method in config.methods:
        for size, axis in panels.items():
            if method == "epig" and size == "B":
                continue  # scores rows, has no batch
            sizes = [{**BASE, size: BASE[size] * step} for step in config.steps]
            programs = {
                str(step): program(method, s["N"], s["B"], s["K"]) for step, s in zip(config.steps, sizes, strict=True)
            }
            times = list(least_seconds(programs, 7).values())
            table.add_row(method, size, f"{1e3 * times[0]:.2f}", *(f"{t / times[0]:.1f}" for t in times[1:]))
            axis.loglog([s[size] for s in sizes], [1e3 * t for t in times], marker="o", label=method)
            axis.set(xlabel={"N": "pool rows N", "B": "batch B", "K": "draws K (8K features)"}[size])
    next(iter(panels.values())).set(ylabel="ms, warm")
    figure.legend(loc="outside right center")
    config.figures.mkdir(parents=True, exist_ok=True)
    drawn = picture(replace(config, parts=Config.parts), "batch_scaling")
    figure.savefig(drawn, dpi=150)
    console.print(table)
    console.print(f"picture: {drawn}")


def main(config: Config) -> None:
    at_least(config, 1, "steps")
    console = Console()
    modules = {
        "information": batch_information,
        "kernels": batch_kernels,
        "sparse": batch_sparse,
        "diversity": batch_diversity,
    }
    for part in config.parts:
        console.rule(part)
        if part == "scaling":
            scaling(console, config)
        else:
            modules[part].main(modules[part].Config())


if __name__ == "__main__":
    start(main, Config, __doc__)
