"""Batch rules on kernels: warm time, compile time and temporary memory, beside the passes over memory they consist of.

    python experiments/benchmarks/batch_kernels.py

Takes about two minutes on two cores. Expected where they are quiet: k-center on 10,000 x 128 with 500 labeled rows
and BADGE on 10,000 x 128 with 20 classes pick 100 rows in at most 0.03 s each, BADGE with at most 10 MB above its
inputs, and LCMD on 50,000 x 512 picks 256 in at most 1.5 times the time of 256 matrix-vector products over the same
rows. A rule and its yardstick are timed in turn, round after round, and the least time of each counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console

from bal.kernels import Factors, given_known, linear, noisy, sketch
from bal.selection import badge, k_center, kmeans_pp, lcmd, max_det, transformed
from bal.typing import Candidates
from experiments.benchmarks.timing import at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    rows: int = 10_000
    """Pool rows of the small cases."""
    features: int = 128
    """Their features."""
    classes: int = 20
    """Classes of the gradients."""
    labeled: int = 500
    """Labeled rows."""
    batch_size: int = 100
    """Picks."""
    large_rows: int = 50_000
    """Pool rows of the large case."""
    large_features: int = 512
    """Its features."""
    large_batch_size: int = 256
    """Its picks."""
    rounds: int = 5
    """Times that every program is timed; the least counts."""


class Case(NamedTuple):
    """A selector, its candidates, and the matrices whose products with picked and labeled rows are its yardstick."""

    select: Callable
    candidates: Candidates
    matrices: tuple[jax.Array, ...]
    batch_size: int


def candidates(rows: Any, known: Any = None) -> Candidates:
    """Everything eligible, at unit cost."""
    n = jax.tree.leaves(rows)[0].shape[0]
    weight = None if known is None else jnp.ones(jax.tree.leaves(known)[0].shape[0])
    return Candidates(rows, jnp.arange(n, dtype=jnp.int32), jnp.ones(n, bool), jnp.ones(n), known, weight)


def cases(config: Config) -> dict[str, Case]:
    """Every rule, at the sizes of the configuration."""
    key_rows, key_known, key_outer, key_large = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(key_rows, (config.rows, config.features))
    known = jax.random.normal(key_known, (config.labeled, config.features))
    outer = jax.nn.softmax(jax.random.normal(key_outer, (config.rows, config.classes)))
    large = jax.random.normal(key_large, (config.large_rows, config.large_features))
    small, pool, gradients = candidates(x, known), candidates(x), candidates((Factors(outer, x),))
    noise = noisy(linear, 0.1)
    posterior = transformed(max_det(noise), given_known(0.1))
    b = config.batch_size
    return {
        "k_center, labeled centers": Case(k_center(), small, (x,), b),
        "k_center": Case(k_center(), pool, (x,), b),
        "kmeans_pp": Case(kmeans_pp(), pool, (x,), b),
        "badge": Case(badge, gradients, (outer, x), b),
        "lcmd, labeled centers": Case(lcmd(), small, (x,), b),
        "lcmd of sketched gradients": Case(transformed(lcmd(), sketch(config.features)), gradients, (x,), b),
        "max_det": Case(max_det(noise), pool, (x,), b),
        "max_det given labeled": Case(posterior, small, (x,), b),
        "lcmd, large": Case(lcmd(), candidates(large), (large,), config.large_batch_size),
        "max_det, large": Case(max_det(noise), candidates(large), (large,), config.large_batch_size),
    }


def products(matrices: tuple[jax.Array, ...], known: jax.Array | None, number: int) -> jax.Array:
    """Products over the same rows: with the labeled rows at once, then with one row after the other."""

    def one(total: jax.Array, position: jax.Array) -> tuple[jax.Array, None]:
        return total + sum(matrix @ matrix[position] for matrix in matrices), None

    start = jnp.zeros(matrices[0].shape[0]) if known is None else (known @ matrices[0].T).min(0)
    return jax.lax.scan(one, start, jnp.arange(number))[0]


def main(config: Config) -> None:
    at_least(config, 1, "rows", "features", "classes", "labeled", "batch_size")
    at_least(config, 1, "large_rows", "large_features", "large_batch_size", "rounds")
    key = jax.random.key(1)
    names = ("rule", "picks", "compile\ns", "warm s", "temporary\nMB", "products\ns", "ratio")
    found = table(*names, title="batch rules")
    for name, case in cases(config).items():
        b = case.batch_size
        made = {
            "select": compiled(lambda key, c, case=case: case.select(key, c, case.batch_size), key, case.candidates),
            "products": compiled(lambda m, known, b=b: products(m, known, b), case.matrices, case.candidates.known),
        }
        warm, product = least_seconds(made, config.rounds).values()
        _, compile_time, megabytes = made["select"]
        numbers = (f"{compile_time:.2f}", f"{warm:.4f}", f"{megabytes:.1f}", f"{product:.4f}", f"{warm / product:.2f}")
        found.add_row(name, str(b), *numbers)
    Console().print(found)


if __name__ == "__main__":
    start(main, Config, __doc__)
