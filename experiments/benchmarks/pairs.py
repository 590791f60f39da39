"""Batches of pairs: seconds, memory, and how much of the matrix of pairs is looked at.

    python experiments/benchmarks/pairs.py

Takes about half a minute on two quiet cores. Rewards are linear in standard normal features, and 200 pairs were asked
before. Brute force writes down the whole matrix of pairs for each pick; it is timed in turn with the same query on
fewer items, and should pick the same pairs, ties in float32 aside. MB: temporary memory of a program. The largest
memory is that of the whole process, libraries and compiler included, whatever program took it.

Expected: past-aware D-optimal picks 100 of 5 x 10^7 pairs within 5 s and 500 MB, and so does BALD; it takes several
times as long where draws of a difference vary by more than 2, for then its bounds leave most pairs.
"""

import resource
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from bal.pairs import Items, PairLog, PairRound, bradley_terry, d_optimal, pair_bald, past_aware_d_optimal
from bal.pairs.designs import design_rule
from bal.pairs.nouns import PairQuery
from bal.typing import Learner, Posterior
from experiments.benchmarks.timing import Program, at_least, compiled, least_seconds, start, table


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    items: int = 10_000
    """Items; they make items (items - 1) / 2 pairs."""
    features: int = 32
    """Features of an item."""
    draws: int = 10
    """Posterior draws, for BALD."""
    asked: int = 200
    """Pairs asked before."""
    batch_size: int = 100
    """Pairs picked."""
    bald_items: int = 10_000
    """Items for BALD, which evaluates every draw of a pair, but only of items that may hold the best."""
    brute_items: int = 1_000
    """Items where the bounds are compared with brute force."""
    repeats: int = 1
    """Times that every program is timed; the least counts."""


def round_of(num_items: int, config: Config) -> PairRound:
    """Draws of a linear reward, and pairs asked at random."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(num_items, config.features)), jnp.float32)
    weights = rng.normal(size=config.features) + 0.3 * rng.normal(size=(config.draws, config.features))
    weights = jnp.asarray(weights / np.sqrt(config.features), jnp.float32)
    other = rng.integers(num_items // 2, num_items, config.asked)
    pairs = np.stack([rng.integers(0, num_items // 2, config.asked), other], 1)
    one = jnp.ones(config.asked)
    log = PairLog(jnp.asarray(pairs, jnp.int32), jnp.ones(config.asked, jnp.int32), one, jnp.int32(config.asked))
    difference = lambda pairs: pairs[:, 0] - pairs[:, 1]
    learner = Learner(
        init=lambda key, data: weights,
        fit=lambda key, state, data: state,
        predict=lambda state, pairs: bradley_terry.log_probs(difference(pairs) @ state.T),
        embed=lambda state, pairs: difference(pairs)[:, None],
    )
    return PairRound(Posterior(weights, learner), Items(x), log)


def by_brute_force(round: PairRound, batch_size: int) -> jax.Array:
    """Picks of `past_aware_d_optimal` from the whole matrix of pairs, written down anew for every pick."""
    x, n, pairs = round.items.x, len(round.items.x), round.log.pairs
    mean = (x @ round.posterior.state.T).mean(1)
    z = x[pairs[:, 0]] - x[pairs[:, 1]]
    weight = bradley_terry.information(mean[pairs[:, 0]] - mean[pairs[:, 1]])
    matrix = (z * weight[:, None]).T @ z + jnp.eye(x.shape[1])
    rule = design_rule(jnp.linalg.solve(jnp.linalg.cholesky(matrix), x.T).T, mean, bradley_terry)
    free = jnp.triu(jnp.ones((n, n), bool), 1).at[pairs[:, 0], pairs[:, 1]].set(False)

    def pick(carry: tuple, _: None) -> tuple:
        state, free = carry
        scores = jnp.where(free, rule.score(state, jnp.arange(n)), -jnp.inf)
        first, second = jnp.divmod(jnp.argmax(scores), n)
        return (rule.update(state, first, second), free.at[first, second].set(False)), jnp.stack([first, second])

    return jax.lax.scan(pick, (rule.state, free), length=batch_size)[1]


def main(config: Config) -> None:
    at_least(config, 1, "features", "batch_size", "repeats", "asked")
    at_least(config, 4, "items", "bald_items", "brute_items")
    at_least(config, 2, "draws")
    console, key, size = Console(), jax.random.key(0), config.batch_size
    report = table("query", "items", "pairs", "seconds", "compile", "MB")

    def program(query: PairQuery, num_items: int) -> Program:
        like = round_of(num_items, config)
        ask = lambda x, log: query(key, like._replace(items=Items(x), log=log), size)
        return compiled(ask, like.items.x, like.log)

    small = round_of(config.brute_items, config)
    brute = lambda x, log: by_brute_force(small._replace(items=Items(x), log=log), size)
    versus = {
        "past-aware D-optimal": program(past_aware_d_optimal(), config.brute_items),
        "by brute force": compiled(brute, small.items.x, small.log),
    }
    large = {
        "past-aware D-optimal": program(past_aware_d_optimal(), config.items),
        "D-optimal": program(d_optimal(), config.items),
    }
    bald = {"BALD": program(pair_bald(), config.bald_items)}
    seconds = {}
    for number, some in ((config.items, large), (config.bald_items, bald), (config.brute_items, versus)):
        seconds = least_seconds(some, config.repeats)
        for name, one in some.items():
            found = f"{seconds[name]:.2f}", f"{one.compile_seconds:.1f}", f"{one.megabytes:.0f}"
            report.add_row(name, f"{number:,}", f"{number * (number - 1) // 2:,}", *found)
    console.print(report)
    ours, theirs = versus["past-aware D-optimal"].call().pairs, versus["by brute force"].call()
    agreed = int((ours == theirs).all(1).sum())
    longer = seconds["by brute force"] / seconds["past-aware D-optimal"]
    console.print(f"{agreed} of {size} picks are those of brute force, which takes {longer:.1f} times as long")
    console.print(f"largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MB")


if __name__ == "__main__":
    start(main, Config, __doc__)
