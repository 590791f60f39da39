"""What do batch methods do with near duplicates? Repeated digits, 20 paired seeds, every batch method.

    python experiments/repeated_digits.py                                          # all methods, 15 minutes
    python experiments/repeated_digits.py --strategies random bald acs-fw k-center

The pool holds four copies of 600 digits with a little noise. Batches of 20 are picked for 8 rounds, from 10 labels to
170, by an ensemble of 16 small networks with Bayesian-bootstrap weights, retrained every round. A seed fixes pool,
test set of 597 other digits, start set and initial weights for all methods.

Printed: accuracy against random in words, and the share of distinct digits in a batch. A method that ranks rows one by
one fills its batches with copies (BALD: under 0.55 distinct), a batch method does not (Frank-Wolfe: above 0.9). The
table says too where random, k-center or power sampling beat the sparse approximations.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optax
import scipy.stats
from batch_strategies import Prepared, batch_strategies, prepare
from classification import evaluate, make_data
from common import report, run_study, start
from options import at_least, check_pool, picture, recorded, start_rows, with_random
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import use_all_cores
from bal.datasets import digits, repeated
from bal.learners import ensemble, mlp

TEST = 597


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    strategies: tuple[str, ...] = ()
    """Methods by name; all of them if none is given. random, the baseline, must be among them."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 8
    """Acquisition rounds."""
    batch_size: int = 20
    """Labels acquired in a round."""
    images: int = 600
    """Distinct digits in the pool of a seed."""
    copies: int = 4
    """Copies of each; 1 is the study without duplicates."""
    noise: float = 0.02
    """Standard deviation of the noise on every copy, pixels being in [0, 1]."""
    members: int = 16
    """Networks in the ensemble."""
    steps: int = 150
    """Adam steps of a training."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def split(y: np.ndarray, original: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pool rows (as flags), test rows and start rows of every seed; tests are other digits than the pool's."""
    pools, tests, starts = [], [], []
    num_images = original.max() + 1
    for seed in range(config.seeds):
        order = np.random.default_rng(seed).permutation(num_images)
        tests.append(np.sort(order[:TEST]))  # the first copy of each
        pool = np.flatnonzero(np.isin(original, order[TEST : TEST + config.images]))
        pools.append(np.isin(np.arange(len(y)), pool))
        starts.append(pool[start_rows(y[pool], 10, seed)])
    return np.stack(pools), np.stack(tests), np.stack(starts)


class Distinct(NamedTuple):
    """Share of distinct originals in a batch, with its interval over seeds, and of picks already labeled in a copy.

    A single seed has no interval: NaN.
    """

    mean: float
    low: float
    high: float
    repeats: float


def distinct_share(acquired: np.ndarray, start: np.ndarray) -> Distinct:
    """From the originals of all picks ``[S, R, B]`` and of the start set ``[S, S0]``."""
    per_seed = np.array([[len(set(batch)) / len(batch) for batch in seed] for seed in acquired.tolist()]).mean(1)
    if len(per_seed) > 1:
        sem = scipy.stats.sem(per_seed)
        low, high = per_seed.mean() + sem * np.array([-1, 1]) * scipy.stats.t.ppf(0.975, len(per_seed) - 1)
    else:
        low = high = np.nan
    flat = np.concatenate([start, acquired.reshape(len(acquired), -1)], 1)
    new = np.array([len(set(seed)) for seed in flat.tolist()]) - np.array([len(set(s)) for s in start.tolist()])
    return Distinct(per_seed.mean(), low, high, 1 - (new / acquired[0].size).mean())


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "images", "copies", "members", "steps")
    at_least(config, 0, "noise")
    check_pool(config.images * config.copies, 10, config.rounds, config.batch_size)
    if config.strategies:
        with_random(config.strategies)
    single = digits()
    if config.images + TEST > len(single.y):
        raise SystemExit(f"--images must leave {TEST} digits for the test: at most {len(single.y) - TEST}")
    network = mlp((48,), num_outputs=10)
    blank: Any = np.zeros(1, np.int32)  # names only; no device is started before `use_all_cores`
    known = batch_strategies(Prepared(blank, 1.0), network)
    unknown = set(config.strategies) - set(known)
    if unknown:
        raise SystemExit(f"unknown strategies {sorted(unknown)}; known are {', '.join(known)}")
    dataset, original = repeated(single, config.copies, config.noise)
    rows = split(dataset.y, original, config)
    use_all_cores()
    queries = batch_strategies(prepare(dataset.x, 10), network)
    chosen = {name: queries[name] for name in config.strategies or queries}
    data, in_axes = make_data(dataset.x, dataset.y, *rows)
    learner = ensemble(
        network,
        config.members,
        optimizer=optax.adam(1e-2),
        num_steps=config.steps,
        minibatch_size=32,
        bootstrap=True,
    )
    curves = run_study(
        "repeated-digits",
        recorded(config),
        dataset.fingerprint,
        chosen,
        config.seeds,
        data,
        in_axes,
        config.runs,
        console,
        fresh=config.fresh,
        seeds_per_call=10,
        learner=learner,
        batch_size=config.batch_size,
        num_rounds=config.rounds,
        evaluate=evaluate,
    )
    report("repeated-digits", curves, 0.85, picture(config, "repeated-digits"), console)
    table = Table(
        title="distinct digits in a batch: mean over rounds and seeds, 95 % t interval over seeds", box=SIMPLE_HEAD
    )
    for column in ("strategy", "distinct\nshare", "interval", "repeats of a labeled\ndigit, of all picks"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name, values in curves.items():
        share = distinct_share(original[values["acquired"]], original[values["start"]])
        interval = "" if np.isnan(share.low) else f"[{share.low:.2f}, {share.high:.2f}]"
        table.add_row(name, f"{share.mean:.2f}", interval, f"{share.repeats:.2f}")
    console.print(table)


if __name__ == "__main__":
    start(main, Config, __doc__)
