"""Batch rules of density and diversity on a pool of random clusters: time, memory, and time against a matrix product.

    python experiments/benchmarks/batch_diversity.py

Takes about two minutes on two quiet cores at 10,000 rows. All programs are timed in turn, round after round, and the
least time of each counts; compiling is timed apart. Every time is also given as a multiple of the rule's dominant
part, measured in the same process: the product of all pairs of rows in blocks (TypiClust, ProbCover, k-medoids: one
pass of pairs a pick, on its shortlist), or one pass over the features for every pick (ranked batch). Expected on a
CPU: TypiClust at most 5 and ProbCover at most 2 passes of pairs, k-medoids at most 2 a pick, ranked batch at most 8
passes over the features a pick, and temporary memory that grows with the rows, not with their square.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from rich.console import Console

from bal.numerics import in_row_blocks
from bal.selection import ScoredFeatures, cluster_margin, k_means, k_medoids, probcover, ranked_batch, typiclust
from bal.typing import Candidates
from experiments.benchmarks.timing import at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    num_rows: int = 10_000
    """Rows of the pool, N."""
    num_features: int = 128
    """Features of a row, F."""
    num_labeled: int = 500
    """Rows labeled already, L."""
    batch_size: int = 100
    """Picks, B."""
    num_shortlist: int = 1000
    """Rows that k-medoids chooses from."""
    rounds: int = 3
    """Times that every program is timed; the least counts."""


def problem(config: Config) -> tuple[Candidates, Candidates, Candidates]:
    """Candidates as features, as scores with features, and as scores with clusters."""
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (config.num_rows + config.num_labeled, config.num_features)
    mode = jax.random.randint(keys[0], shape[:1], 0, 200)
    x = 2 * jax.random.normal(keys[1], (200, config.num_features))[mode] + jax.random.normal(keys[2], shape)
    rows, known = x[: config.num_rows], x[config.num_rows :]
    scores = jax.random.uniform(keys[3], (config.num_rows,))
    one = jnp.ones(config.num_rows)
    features = Candidates(rows, jnp.arange(config.num_rows), one > 0, one, known, jnp.ones(config.num_labeled))
    scored = features._replace(rows=ScoredFeatures(scores, rows), known=ScoredFeatures(jnp.ones(len(known)), known))
    clustered = features._replace(rows=scores, known=None, context=mode[: config.num_rows])
    return features, scored, clustered


def all_pairs(x: jax.Array) -> jax.Array:
    """Every product of two rows, in blocks, and the largest of each row."""
    return in_row_blocks(lambda rows: jnp.matmul(rows, x.T, precision="highest").max(1), x, 400)


def passes(x: jax.Array, count: int) -> jax.Array:
    """`count` passes over the features, each one matrix-vector product."""
    one = lambda total, number: (total + x @ x[number], None)
    return jax.lax.scan(one, jnp.zeros(len(x)), jnp.arange(count))[0]


def main(config: Config) -> None:
    at_least(config, 1, "num_rows", "num_features", "num_labeled", "batch_size", "num_shortlist", "rounds")
    features, scored, clustered = problem(config)
    key, size, n = jax.random.key(1), config.batch_size, config.num_shortlist
    few = features._replace(
        rows=features.rows[:n], index=features.index[:n], eligible=features.eligible[:n], cost=features.cost[:n]
    )
    radius = 1.06 * (2 * config.num_features) ** 0.5  # five of six rows of a cluster
    batch = lambda select: lambda candidates: select(key, candidates, size)
    count = min(500, config.num_labeled + size)
    centers = lambda candidates: k_means(key, candidates.rows, jnp.ones(config.num_rows), count)
    programs = {
        "all pairs": (all_pairs, (features.rows,)),
        "all pairs of the shortlist": (all_pairs, (few.rows,)),
        "a pass over the features a pick": (lambda x: passes(x, size), (features.rows,)),
        "typiclust": (batch(typiclust()), (features,)),
        "  of which k-means": (centers, (features,)),
        "probcover": (batch(probcover(radius)), (features,)),
        "k_medoids of the shortlist": (batch(k_medoids()), (few,)),
        "ranked_batch": (batch(ranked_batch), (scored,)),
        "cluster_margin": (batch(cluster_margin(10 * size)), (clustered,)),
    }
    made = {name: compiled(function, *args) for name, (function, args) in programs.items()}
    seconds = least_seconds(made, config.rounds)
    pairs, short, memory_pass = list(seconds.values())[:3]
    unit = dict(zip(programs, (pairs, short, memory_pass, pairs, pairs, pairs, short * size, memory_pass, memory_pass)))
    title = f"{config.num_rows} rows, {config.num_features} features, {config.num_labeled} labeled, {size} picks"
    found = table("program", "compile s", "run ms", "of its unit", "temporary MB", title=title)
    for name, (_, compile_seconds, megabytes) in made.items():
        ratio = f"{seconds[name] / unit[name]:.2f}"
        found.add_row(name, f"{compile_seconds:.1f}", f"{seconds[name] * 1e3:.1f}", ratio, f"{megabytes:.1f}")
    Console().print(found)


if __name__ == "__main__":
    start(main, Config, __doc__)
