"""Which acquisition function beats random on handwritten digits? A finished study in about two minutes.

    python experiments/digits.py

Five strategies label scikit-learn's 1,797 digits (8x8 pixels), 10 at the start (one a class) and 5 a round for 20
rounds, with a deep ensemble of 10 small networks retrained every round. Each strategy runs with the same 20 seeds: a
seed fixes the test set of 500 rows, the start set and the initial weights for all strategies, so that differences are
paired. Each strategy is one compiled program.

Printed: a table that says in words which strategies beat random, by the area under the accuracy curve with a 95 %
interval over seeds. Drawn: learning curves, in figures/. Kept: runs/digits/, every acquired row, score and metric.
An interrupted study goes on where it stopped when the same command is typed again, and grows with --seeds.

Expected: margin, BALD and power-BALD above random; entropy, which asks for ambiguous digits, is not told from it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import optax
from rich.console import Console

from bal import use_all_cores
from bal.datasets import digits
from bal.evaluation import classification
from bal.learners import ensemble, mlp
from bal.typing import Setup
from experiments.classification import STRATEGIES, Split, own_pools
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, positive, start_rows

Strategy = Literal["random", "entropy", "margin", "bald", "power-bald", "variation-ratio", "mean-std"]


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    strategies: tuple[Strategy, ...] = ("random", "entropy", "margin", "bald", "power-bald")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 20
    """Acquisition rounds."""
    batch_size: int = 5
    """Labels acquired in a round."""
    start_size: int = 10
    """Labels at the start, balanced over classes."""
    test_size: int = 500
    """Rows held out in each seed."""
    members: int = 10
    """Networks in the ensemble."""
    hidden: int = 64
    """Hidden units of a network."""
    steps: int = 300
    """Adam steps of a training."""
    minibatch_size: int = 16
    """Rows of a step."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    target: float = 0.9
    """Accuracy for the column "labels to"."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def split(y: np.ndarray, config: Config, seed: int) -> Split:
    """The rows of a seed."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, pool = order[: config.test_size], np.sort(order[config.test_size :])
    first = pool[start_rows(y[pool], config.start_size, seed)]
    return Split(np.isin(np.arange(len(y)), pool), np.sort(test), first)


def check(config: Config, num_rows: int) -> None:
    """Refuse options that cannot be meant, before any work."""
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "test_size")
    at_least(config, 1, "members", "hidden", "steps", "minibatch_size")
    positive(config, "learning_rate", "target")
    check_pool(num_rows - config.test_size, config.start_size, config.rounds, config.batch_size)


def main(config: Config) -> None:
    console, dataset = Console(), digits()
    check(config, len(dataset.y))
    splits = [split(dataset.y, config, seed) for seed in range(config.seeds)]
    use_all_cores()
    learner = ensemble(
        mlp((config.hidden,), num_outputs=10),
        config.members,
        optimizer=optax.adam(config.learning_rate),
        num_steps=config.steps,
        minibatch_size=config.minibatch_size,
    )
    setup = Setup(learner, STRATEGIES["random"], config.batch_size, config.rounds, evaluate=classification())
    setups = {name: setup._replace(query=STRATEGIES[name]) for name in config.strategies}
    curves = run_study("digits", own_pools(dataset.x, dataset.y, splits), setups, config, console)
    report("digits", curves, config.target, picture(config, "digits"), console)


if __name__ == "__main__":
    start(main, Config, __doc__)
