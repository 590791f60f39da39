"""Sparse approximations of a large pool and BAIT: time, and time as a multiple of passes over the rows.

    python experiments/benchmarks/batch_sparse.py

Takes about two minutes on two quiet cores. Expected on a CPU at the default sizes: Frank-Wolfe with a cap of 1,000
steps within 0.4 s, greedy and hard thresholding within 0.25 s each. Frank-Wolfe picks a new row at almost every step
until its residual is 1e-6 of the pool sum, after about two steps a projection, and then stops: the count of distinct
picks is printed. A pass is one product of the float32 features with a vector, measured in the same process; all
programs are timed in turn, round after round, and the least time of each counts. Compilation is apart.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from bal.selection import (
    SparseRows,
    bait,
    frank_wolfe,
    regression_fisher,
    sparse_greedy,
    sparse_iht,
    sum_fisher,
    sum_rows,
)
from bal.typing import Candidates
from experiments.benchmarks.timing import at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    num_rows: int = 50_000
    """Rows of the pool."""
    num_projections: int = 100
    """Posterior draws, or projections."""
    wolfe_steps: int = 1_000
    """Batch size and step cap of Frank-Wolfe."""
    batch_size: int = 100
    """Rows picked by greedy and by hard thresholding."""
    bait_rows: int = 10_000
    """Rows of the pool for BAIT, which has 64 features and B = 20."""
    rounds: int = 7
    """Times that every program is timed; the least counts."""


PASSES = 50


def passes(features: jax.Array) -> jax.Array:
    """Products with a vector, each depending on the one before: by columns, the faster layout for a vector."""
    columns = features.T

    def step(r: jax.Array, _: None) -> tuple[jax.Array, None]:
        return r + 1e-9 * (r @ columns).max(), None

    return jax.lax.scan(step, jnp.ones(features.shape[1]), None, length=PASSES)[0]


def sparse_candidates(config: Config) -> Candidates:
    """Isotropic vectors of varied length."""
    key_direction, key_length, key_spread = jax.random.split(jax.random.key(0), 3)
    features = jax.random.normal(key_direction, (config.num_rows, config.num_projections))
    features *= jax.random.uniform(key_length, (config.num_rows, 1), minval=0.1)
    rows, one = SparseRows(features, jax.random.uniform(key_spread, (config.num_rows,))), jnp.ones(config.num_rows)
    return Candidates(rows, jnp.arange(config.num_rows), one > 0, one, context=sum_rows(rows, one))


def fisher_candidates(config: Config) -> Candidates:
    """Isotropic features of a regression."""
    rows = regression_fisher(jax.random.normal(jax.random.key(1), (config.bait_rows, 64)), 1.0)
    one = jnp.ones(config.bait_rows)
    return Candidates(rows, jnp.arange(config.bait_rows), one > 0, one, context=sum_fisher(rows, one))


def describe(selection: Any) -> str:
    """What a selection says about itself."""
    names = {"num_steps": "steps", "num_distinct": "distinct", "residual": "residual"}
    return "\n".join(f"{word} {selection.info[name]:.3g}" for name, word in names.items() if name in selection.info)


def main(config: Config) -> None:
    """Measure and print."""
    at_least(config, 1, "num_rows", "num_projections", "wolfe_steps", "batch_size", "bait_rows", "rounds")
    sparse, fisher = sparse_candidates(config), fisher_candidates(config)
    key, size = jax.random.key(0), config.batch_size
    rules = {
        "frank_wolfe": (frank_wolfe(config.wolfe_steps), sparse, config.wolfe_steps),
        "sparse_greedy": (sparse_greedy(), sparse, size),
        "sparse_greedy(refit)": (sparse_greedy(refit=True), sparse, size),
        "sparse_iht": (sparse_iht(), sparse, size),
        "bait forward": (bait(backward=False), fisher, 20),
        "bait forward-backward": (bait(), fisher, 20),
    }
    made = {"pass": compiled(passes, sparse.rows.features), "bait pass": compiled(passes, fisher.rows.features)}
    for name, (select, some, count) in rules.items():
        made[name] = compiled(lambda some, select=select, count=count: select(key, some, count), some)
    least = least_seconds(made, config.rounds)
    found = table("method", "picks", "seconds", "passes", "compile\ns", "temp.\nMB", "outcome")
    for name in rules:
        call, compile_seconds, memory = made[name]
        one_pass = least["bait pass" if name.startswith("bait") else "pass"] / PASSES
        numbers = (f"{least[name]:.3f}", f"{least[name] / one_pass:.0f}", f"{compile_seconds:.1f}", f"{memory:.0f}")
        found.add_row(name, str(rules[name][2]), *numbers, describe(call()))
    console = Console()
    console.print(found)
    console.print(f"one pass: {1e3 * least['pass'] / PASSES:.2f} ms over {sparse.rows.features.nbytes / 2**20:.0f} MB")


if __name__ == "__main__":
    start(main, Config, __doc__)
