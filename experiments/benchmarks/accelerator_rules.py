"""The scores and batch rules that `accelerator.py` measures, each with the least that it has to read or multiply.

A rule that compares every row with each pick reads all its rows once a pick. EPIG and BatchBALD are products of the
draws of rows with those of targets, or of labelings; what follows a product (a logarithm for each of its entries) is
not counted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.acquisition import bald, epig
from bal.kernels import Factors, linear, noisy
from bal.selection import SparseRows, badge, batchbald, frank_wolfe, k_center, lcmd, max_det, sum_rows
from bal.typing import Candidates, Select
from experiments.benchmarks.accelerator_timing import Work


class Sizes(NamedTuple):
    """rows, features, picks: of the batch rules; scored: rows of BALD; joint: rows of EPIG and BatchBALD."""

    rows: int
    features: int
    picks: int
    scored: int
    joint: int
    draws: int = 20
    classes: int = 10
    targets: int = 256
    labelings: int = 10_000
    joint_picks: int = 5


def candidates(rows: Any, context: Any = None) -> Candidates:
    """Everything eligible, at unit cost, nothing labeled."""
    n = jax.tree.leaves(rows)[0].shape[0]
    return Candidates(rows, jnp.arange(n, dtype=jnp.int32), jnp.ones(n, bool), jnp.ones(n), context=context)


def log_probs(n: int, sizes: Sizes, seed: int = 0) -> jax.Array:
    """Random draws of class probabilities."""
    logits = 2 * jax.random.normal(jax.random.key(seed), (n, sizes.draws, sizes.classes))
    return jax.nn.log_softmax(logits, -1)


def works(sizes: Sizes) -> list[Work]:
    """Every score and rule."""
    n, width, b = sizes.rows, sizes.features, sizes.picks
    k, c, m = sizes.draws, sizes.classes, sizes.targets
    x = lambda: jax.random.normal(jax.random.key(1), (n, width))
    outer = lambda: jax.nn.softmax(jax.random.normal(jax.random.key(2), (n, c)))

    def rule(name: str, select: Select, make: Callable[[], Candidates], passes: float, model: str) -> Work:
        call = lambda key, some: select(key, some, b)
        return Work(name, call, lambda: (jax.random.key(0), make()), n * b, "rows", model, bytes=passes)

    def sparse() -> Candidates:
        rows = SparseRows(x() * jax.random.uniform(jax.random.key(3), (n, 1), minval=0.1), jnp.ones(n))
        return candidates(rows, sum_rows(rows, jnp.ones(n)))

    labelings = [min(c**picked, sizes.labelings) for picked in range(sizes.joint_picks)]
    joint = 2.0 * sizes.joint * c * k
    return [
        Work(
            "bald",
            bald,
            lambda: (log_probs(sizes.scored, sizes),),
            sizes.scored,
            "rows",
            "4 N (K C + 1) bytes",
            bytes=4.0 * sizes.scored * (k * c + 1),
        ),
        Work(
            "epig",
            epig,
            lambda: (log_probs(sizes.joint, sizes), log_probs(m, sizes, 1)),
            sizes.joint,
            "rows",
            "2 N C M C K flops",
            flops=joint * m * c,
        ),
        Work(
            "batchbald",
            lambda key, some: batchbald(sizes.labelings)(key, some, sizes.joint_picks),
            lambda: (jax.random.key(0), candidates(log_probs(sizes.joint, sizes))),
            sizes.joint * sizes.joint_picks,
            "rows",
            "Σ over picks of 2 N C S K flops",
            flops=joint * sum(labelings),
        ),
        rule("k_center", k_center(), lambda: candidates(x()), 4.0 * n * width * b, "4 N F bytes a pick"),
        rule(
            "badge",
            badge,
            lambda: candidates((Factors(outer(), x()),)),
            4.0 * n * (width + c) * b,
            "4 N (F + C) bytes a pick",
        ),
        rule("lcmd", lcmd(), lambda: candidates(x()), 4.0 * n * width * b, "4 N F bytes a pick"),
        rule(
            "max_det",
            max_det(noisy(linear, 1.0)),
            lambda: candidates(x()),
            4.0 * n * (width + b / 2) * b,
            "4 N (F + b) bytes a pick after b",
        ),
        rule("frank_wolfe", frank_wolfe(b), sparse, 4.0 * n * width * b, "4 N J bytes a step"),
    ]
