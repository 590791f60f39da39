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

import numpy as np
import optax
from batch_strategies import batch_strategies, prepare
from common import distinct_share, evaluate, make_data, report, run_study, start, use_all_cores
from rich.console import Console
from rich.table import Table

from bal.datasets import digits, repeated, start_set
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


def split(y: np.ndarray, original: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pool rows (as flags), test rows and start rows of every seed; tests are other digits than the pool's."""
    pools, tests, starts = [], [], []
    num_images = original.max() + 1
    for seed in range(config.seeds):
        order = np.random.default_rng(seed).permutation(num_images)
        tests.append(np.sort(order[:TEST]))  # the first copy of each
        pool = np.flatnonzero(np.isin(original, order[TEST : TEST + config.images]))
        pools.append(np.isin(np.arange(len(y)), pool))
        starts.append(pool[start_set(y[pool], 10, seed)])
    return np.stack(pools), np.stack(tests), np.stack(starts)


def main(config: Config) -> None:
    console = Console()
    use_all_cores()
    dataset, original = repeated(digits(), config.copies, config.noise)
    if config.images + TEST > original.max() + 1:
        raise SystemExit(f"--images must leave {TEST} digits for the test: at most {original.max() + 1 - TEST}")
    network = mlp((48,), num_outputs=10)
    queries = batch_strategies(prepare(dataset.x, 10), network)
    unknown = set(config.strategies) - set(queries)
    if unknown:
        raise SystemExit(f"unknown strategies {sorted(unknown)}; known are {', '.join(queries)}")
    chosen = {name: queries[name] for name in config.strategies or queries}
    if "random" not in chosen:
        raise SystemExit("--strategies must name random: every other strategy is compared with it")
    data, in_axes = make_data(dataset.x, dataset.y, *split(dataset.y, original, config))
    learner = ensemble(
        network,
        config.members,
        optimizer=optax.adam(1e-2),
        num_steps=config.steps,
        minibatch_size=32,
        bootstrap=True,
    )
    names = ("seeds", "rounds", "batch_size", "images", "copies", "noise", "members", "steps")
    curves = run_study(
        "repeated-digits",
        {name: getattr(config, name) for name in names},
        dataset.fingerprint,
        chosen,
        config.seeds,
        data,
        in_axes,
        config.runs,
        console,
        seeds_per_call=10,
        learner=learner,
        batch_size=config.batch_size,
        num_rounds=config.rounds,
        evaluate=evaluate,
    )
    report("repeated-digits", curves, 0.85, config.figures, console)
    table = Table(title="distinct digits in a batch: mean over rounds and seeds, 95 % t interval over seeds")
    for column in ("strategy", "distinct share", "interval", "copies of a digit already labeled, of all picks"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name, values in curves.items():
        share = distinct_share(original[values["acquired"]], original[values["start"]])
        table.add_row(name, f"{share.mean:.2f}", f"[{share.low:.2f}, {share.high:.2f}]", f"{share.repeats:.2f}")
    console.print(table)


if __name__ == "__main__":
    start(main, Config, __doc__)
