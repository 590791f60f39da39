"""Gaussian processes on this machine: seconds a round against labeled and pool size, and a batch from a large pool.

    python experiments/benchmarks/gp.py

Takes about two minutes on two cores, in float64. First table: fitting with given hyper-parameters and by maximum
likelihood, and predicting a pool. Second table: a round (fit, prediction of 1,000 rows, the largest variance) with 10
labels in capacities up to 1,000, and its ratio to the smallest: expected within 3. A capacity of 1,000 compiles four
branches, of 16, 64, 256 and 1,000 rows. Third table: 100 rows picked by log-determinant (batch BALD) from 100,000 with
500 labeled rows in 5 dimensions, expected within 2.5 s and 500 MB of temporaries; its ratio is to what it cannot avoid,
the covariances of all rows with the labeled ones and their product with the inverse factor, timed in turn (1.1
expected).
"""

from dataclasses import dataclass
from typing import Any

import jax

jax.config.update("jax_enable_x64", True)

# ruff: noqa: E402
import jax.numpy as jnp
import tyro
from gpjax.kernels import RBF
from gpjax.parameters import PositiveReal
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from bal.kernels import posterior_covariance
from bal.learners.gp import GPState, Process, given, gp_regression, maximum_likelihood, process
from bal.numerics import in_row_blocks
from bal.selection import max_det
from bal.typing import Candidates, Data, Learner, Posterior, Selection
from experiments.benchmarks.timing import compiled, least_seconds

FEATURES, NOISE = 5, 0.01


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    labeled: tuple[int, ...] = (50, 100, 200, 500)
    """Labeled rows of the rounds."""
    pools: tuple[int, ...] = (1_000, 10_000, 100_000)
    """Pool rows of the rounds; the last is that of the batch."""
    capacities: tuple[int, ...] = (20, 200, 1_000)
    """Capacities of the rounds with few labels."""
    steps: int = 20
    """L-BFGS steps of a fit by maximum likelihood, at most."""
    batch_size: int = 100
    """Picks of the batch, with the largest labeled set."""
    repeats: int = 3
    """Times that every program is timed; the least counts."""


def data(size: int) -> Data:
    """A smooth function with noise."""
    key_x, key_y = jax.random.split(jax.random.key(0))
    x = jax.random.uniform(key_x, (size, FEATURES))
    y = jnp.sin(6 * x[:, 0]) * x[:, 1] + 0.1 * jax.random.normal(key_y, (size,))
    return Data(x, y, jnp.ones(size))


def model() -> Process:
    """RBF with one length a feature."""
    return process(RBF(lengthscale=PositiveReal(jnp.full(FEATURES, 0.5))), NOISE)


def rounds(config: Config) -> Table:
    """Fit and predict."""
    table = Table(title="a round, float64: warm seconds (compile seconds)")
    names = ("fit, given", f"fit, {config.steps} L-BFGS steps", *(f"predict {pool:,}" for pool in config.pools))
    for column in ("labeled", *names):
        table.add_column(column, justify="right")
    key = jax.random.key(1)
    for size in config.labeled:
        some = data(size)
        known, fitted = gp_regression(model()), gp_regression(model(), maximum_likelihood(config.steps))
        made = [compiled(lambda d, one=one: one.fit(key, one.init(key, d), d), some) for one in (known, fitted)]
        state = made[0].call()
        for pool in config.pools:
            made.append(compiled(known.predict, state, data(pool).x))
        programs = dict(zip(names, made, strict=True))
        warm = least_seconds(programs, config.repeats)
        cells = (f"{warm[name]:.4f} ({programs[name].compile_seconds:.1f})" for name in names)
        table.add_row(str(size), *cells)
    return table


def few_labels(config: Config) -> Table:
    """Ten labels in capacities of many sizes: the algebra is that of the labels."""
    table = Table(title="a round with 10 labels, float64: warm ms (compile seconds), ratio")
    names = ("given", f"{config.steps} L-BFGS steps")
    for column in ("capacity", *names):
        table.add_column(column, justify="right")
    key, pool, programs = jax.random.key(1), data(config.pools[0]).x, {}

    def one_round(learner: Learner, state: GPState, some: Data) -> tuple[GPState, jax.Array]:
        state = learner.fit(key, state, some)
        return state, jnp.argmax(learner.predict(state, pool).variance[:, 0])

    for capacity in config.capacities:
        some = data(capacity)._replace(weight=(jnp.arange(capacity) < 10).astype(float))
        for name, how in zip(names, (given, maximum_likelihood(config.steps)), strict=True):
            learner = gp_regression(model(), how)
            state = learner.init(key, some)
            programs[capacity, name] = compiled(lambda s, d, one=learner: one_round(one, s, d), state, some)
    warm: Any = least_seconds(programs, 10 * config.repeats)
    for capacity in config.capacities:
        cells = []
        for name in names:
            seconds, ratio = warm[capacity, name], warm[capacity, name] / warm[config.capacities[0], name]
            cells.append(f"{1e3 * seconds:.2f} ({programs[capacity, name].compile_seconds:.1f}), {ratio:.2f}")
        table.add_row(f"{capacity:,}", *cells)
    return table


def pick(learner: Learner, state: GPState, x: jax.Array, batch_size: int) -> Selection:
    """A greedy batch by log-determinant, embedding included."""
    n = len(x)
    context = Posterior(state, learner)
    every = Candidates(context.embed(x), jnp.arange(n), jnp.ones(n, bool), jnp.ones(n), context=context)
    select = max_det(posterior_covariance)
    return select(jax.random.key(2), every, batch_size)


def batch(config: Config) -> Table:
    """The batch, beside what it cannot avoid."""
    size, pool = config.labeled[-1], config.pools[-1]
    learner, some, x = gp_regression(model()), data(size), jax.random.uniform(jax.random.key(3), (pool, FEATURES))
    state = jax.jit(lambda d: learner.fit(jax.random.key(1), learner.init(jax.random.key(1), d), d))(some)

    def unavoidable(state: GPState, x: jax.Array) -> jax.Array:
        prior = model()
        whiten = lambda rows: prior.covariance(rows, state.x) @ state.whiten[0].T
        return in_row_blocks(lambda rows: jnp.sum(whiten(rows) ** 2, 1), x)

    programs = {
        f"{config.batch_size} of {pool:,} rows, {size} labeled": compiled(
            lambda state, x: pick(learner, state, x, config.batch_size), state, x
        ),
        "covariances and their product": compiled(unavoidable, state, x),
    }
    warm = least_seconds(programs, config.repeats)
    least = warm["covariances and their product"]
    table = Table("program", "compile s", "warm s", "temporary MB", "ratio", title="greedy batch, float64")
    for name, program in programs.items():
        numbers = f"{program.compile_seconds:.2f}", f"{warm[name]:.3f}", f"{program.megabytes:.1f}"
        table.add_row(name, *numbers, f"{warm[name] / least:.2f}")
    return table


def main(config: Config) -> None:
    threadpool_limits(1, "blas")  # as in the experiments
    console = Console()
    console.print(rounds(config))
    console.print(few_labels(config))
    console.print(batch(config))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
