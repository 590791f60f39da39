"""Peak memory of a query: what a byte budget asks for beside what the process takes.

    python experiments/benchmarks/memory.py

Every row is a fresh process. `compiling` is the peak of resident memory in the first call, above what was there before
it (pool, learner, libraries): programs are traced and compiled then. `peak` is that of later calls, above what was
there before them. Expected of `peak`, in units of 2^20 bytes: for scores by BALD at most 1.3 times the budget and the
results; for k-center and BADGE on 10^6 rows of 64 features at most 1,500; for LCMD on their sketched gradients (256
numbers a row) at most 2,000. A stream has two chunks in work, a compiled program one; the batch rules hold the rows
they compare. The processes hand freed memory back at once (MALLOC_MMAP_THRESHOLD_); left to itself glibc keeps some
20 units more. Takes about ten minutes on two quiet cores. Linux only.

For a glance: ``--rows 2000 --images 100 --budgets 16``.
"""

import ctypes
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bal.acquisition import bald
from bal.kernels import linear
from bal.learners import ensemble, lenet, mc_dropout, mlp, tapped_members
from bal.loop.eager import run_parts
from bal.loop.round import begin, given_start, record_answers
from bal.pool import chunked, make_pool, streamed
from bal.query import Query, Stage, key_context, last_layer_gradients, layer_gradients, score, sketched
from bal.selection import badge, k_center, lcmd
from bal.typing import Data, Learner, Posterior, PyTree

MB = 2**20
Name = Literal["mlp-streamed", "mlp-chunked", "lenet-streamed", "lenet-chunked", "k-center", "badge", "lcmd"]
NET = mlp((64,), num_outputs=10)
LIMITS = {"k-center": 1_500, "badge": 1_500, "lcmd": 2_000}


class Case(NamedTuple):
    """One program: a call, and the bytes of what it returns, or of the rows that a batch rule holds."""

    call: Callable[[], Any]
    result_bytes: int


@dataclass(frozen=True)
class Config:
    """What to measure."""

    cases: tuple[Name, ...] = get_args(Name)
    """Programs: scores by BALD of ten MLPs or two LeNets, streamed or in chunks, and batch rules in chunks."""
    budgets: tuple[int, ...] = (16, 64, 256)
    """Budgets of the scores, in units of 2^20 bytes; batch rules are measured at the first alone."""
    rows: int = 1_000_000
    """Pool rows of 64 features."""
    images: int = 20_000
    """Pool rows of 28 x 28 pixels."""
    alone: bool = False
    """Measure the first program at the first budget in this very process, and print three numbers."""


def main(config: Config) -> None:
    if config.alone:
        print(json.dumps(measured(config.cases[0], config.budgets[0] * MB, config)))
        return
    console = Console()
    todo = [(name, budget) for name in config.cases for budget in config.budgets[: 1 if name in LIMITS else None]]
    table = Table(title=f"{config.rows} rows of 64 features, {config.images} images; 2^20 bytes", caption="budget: MB")
    for column in ("program", "budget", "results", "compiling", "peak", "at most"):
        table.add_column(column, justify="left" if column == "program" else "right", no_wrap=True)
    above = 0
    for name, budget in track(todo, description="fresh processes", console=console):
        results, compiling, peak = in_a_process(name, budget, config)
        limit = LIMITS.get(name, 1.3 * budget + results)
        above += peak > limit
        table.add_row(name, *(f"{number:,.0f}" for number in (budget, results, compiling, peak, limit)))
    console.print(table)
    console.print("all within their bounds" if above == 0 else f"{above} of {len(todo)} ABOVE their bounds")


def in_a_process(name: str, budget: int, config: Config) -> tuple[float, float, float]:
    """Results, peak of the first call and of later ones."""
    sizes = ["--rows", str(config.rows), "--images", str(config.images), "--budgets", str(budget), "--alone"]
    command = [sys.executable, __file__, "--cases", name, *sizes]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "200000"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def measured(name: Name, budget: int, config: Config) -> tuple[float, float, float]:
    """Results, peak of the first call and of later ones, in this process."""
    case = scores(name, budget, config) if name not in LIMITS else picks(name, budget, config)
    peaks = []
    for _ in range(3):
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        jax.block_until_ready(case.call())
        peaks.append((memory("VmHWM") - before) / MB)
    return case.result_bytes / MB, peaks[0], max(peaks[1:])


def memory(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Resident bytes of this process, now or at their peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def scores(name: Name, budget: int, config: Config) -> Case:
    """BALD of every row, by an ensemble that has been initialised only."""
    images = name.startswith("lenet")
    shape = (config.images, 28, 28, 1) if images else (config.rows, 64)
    learner = ensemble(lenet(), 2) if images else ensemble(NET, 10)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    posterior = initial(learner, x)
    over = (streamed if name.endswith("streamed") else chunked)(budget=budget)
    call = lambda posterior, x: over.map(score(bald), (posterior, None), x)
    if over.place == "stream":
        return Case(partial(call, posterior, x), 4 * len(x))
    return Case(partial(jax.jit(call), posterior, jax.block_until_ready(jnp.asarray(x))), 4 * len(x))


def picks(name: Name, budget: int, config: Config) -> Case:
    """Ten picks by a batch rule, with 20 labels, mapped in chunks."""
    learner = mc_dropout(mlp((64,), num_outputs=10, dropout=0.5), 10) if name == "badge" else ensemble(NET, 10)
    stage = {
        "k-center": Stage(mean_features, k_center()),
        "badge": Stage(last_layer_gradients, badge),
        "lcmd": Stage(sketched(layer_gradients(tapped_members(NET)), 256), lcmd(linear), key_context),
    }[name]
    numbers = {"k-center": 64, "badge": 64 + 10, "lcmd": 256}[name]
    key, query = jax.random.key(0), Query((stage,))
    parts = run_parts(learner, query, Posterior.predict, chunked(budget=budget))
    labeled = jnp.arange(20, dtype=jnp.int32)

    pool = make_pool(jax.random.normal(key, (config.rows, 64)))
    carry = begin(key, learner, query, pool, labeled % 10, capacity=40)
    carry = carry._replace(labeled=record_answers(carry.labeled, pool, given_start(labeled), labeled % 10, 0))
    run = partial(parts.acquire, key, jax.block_until_ready(pool), carry, 10)
    return Case(run, 4 * numbers * config.rows)


def mean_features(posterior: Posterior, context: PyTree, x: jax.Array) -> jax.Array:
    """Rows that are the features ``[n, 64]`` of all members, averaged."""
    del context
    return posterior.embed(x).mean(1)


def initial(learner: Learner, x: np.ndarray) -> Posterior:
    """The posterior of a learner that has seen no label."""
    data = Data(jnp.asarray(x[:1]), jnp.zeros(1, jnp.int32), jnp.ones(1))
    return Posterior(jax.jit(learner.init)(jax.random.key(0), data), learner)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
