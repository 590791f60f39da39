"""Monte-Carlo dropout on MNIST: the protocol of Gal, Islam and Ghahramani (2017), on one command.

    python experiments/mnist.py --scale smoke     # under two minutes: does it run
    python experiments/mnist.py --scale cpu       # estimated at an hour on two cores: half the width
    python experiments/mnist.py --scale paper     # the published size: for an accelerator

A convolutional network with dropout is retrained from 20 balanced labels on, 10 more a round, scoring 2,000 random
pool images by Monte-Carlo dropout each round. Random, BALD, variation ratio (votes), max entropy and mean standard
deviation share their seeds. The network trains inside the compiled loop, on a CPU too.

Needs mnist.npz in the folder named by BAL_DATA, or --download. Labels counted: those in the training set when
evaluated, the start set included; no validation labels are used, the weight decay is fixed, where the paper tunes it
on 100 more labels. The paper's own counts are of acquired labels only, see paper_figures.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import optax
from rich.console import Console

from bal import use_all_cores
from bal.datasets import MissingDataError, fashion_mnist, mnist, start_set
from bal.evaluation import classification
from bal.learners import gal_cnn, mc_dropout
from bal.pool import chunked
from bal.query import Query, Stage
from bal.selection import random_uniform, shortlist
from bal.typing import Setup
from experiments.classification import STRATEGIES, Split, own_pools
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, positive

Strategy = Literal["random", "bald", "variation-ratio", "entropy", "mean-std"]


class Size(NamedTuple):
    """What a scale means."""

    seeds: int
    rounds: int
    pool: int
    test: int
    channels: tuple[int, int]
    hidden: int
    draws: int
    steps: int
    candidates: int


SIZES = {
    "smoke": Size(2, 2, 500, 200, (4, 4), 16, 5, 20, 100),
    "cpu": Size(5, 28, 20_000, 1_000, (16, 16), 64, 20, 300, 2_000),
    "paper": Size(3, 100, 59_000, 10_000, (32, 32), 128, 100, 1_000, 2_000),
}


@dataclass(frozen=True)
class Config:
    """Options of the study."""

    scale: Literal["smoke", "cpu", "paper"] = "smoke"
    """Size of everything: seeds, rounds, pool, network, draws. Here cpu takes an hour, so that smoke is the default."""
    data: Literal["mnist", "fashion-mnist"] = "mnist"
    """Which images."""
    download: bool = False
    """Fetch the images from OpenML if they are not found locally."""
    strategies: tuple[Strategy, ...] = ("random", "bald", "variation-ratio", "entropy", "mean-std")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int | None = None
    """Paired repetitions, if not those of the scale."""
    batch_size: int = 10
    """Labels acquired in a round."""
    weight_decay: float = 1e-3
    """AdamW's weight decay, the prior of the method."""
    target: float = 0.9
    """Accuracy for the column "labels to"; the paper gives 0.9 and 0.95."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def candidates_first(query: Query, size: int) -> Query:
    """Score only `size` random rows a round, as a visible stage of the funnel."""
    return query._replace(stages=(Stage(None, shortlist(size, random_uniform)), *query.stages))


def images(config: Config, size: Size, num_seeds: int) -> tuple[np.ndarray, np.ndarray, list[Split]]:
    """Inputs and labels of pool and test rows together, and the rows of every seed."""
    load, file = (mnist, "mnist.npz") if config.data == "mnist" else (fashion_mnist, "fashion_mnist.npz")
    try:
        dataset = load(download=config.download)
    except MissingDataError as error:
        if config.download:  # which says itself what went wrong
            raise
        folder = os.environ.get("BAL_DATA")
        where = f"is {folder!r}, which holds no such file" if folder else "is not set"
        raise MissingDataError(
            f"{file} was not found: the environment variable BAL_DATA {where}; set it to a folder that holds the file, "
            "or add --download to fetch the images from OpenML"
        ) from error
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    keep = np.random.default_rng(0).permutation(len(dataset.x))[: size.pool]
    test = np.random.default_rng(1).permutation(len(dataset.x_test))[: size.test]
    x = np.concatenate([dataset.x[keep], dataset.x_test[test]])
    y = np.concatenate([dataset.y[keep], dataset.y_test[test]])
    pool, held_out = np.arange(len(x)) < size.pool, np.arange(size.pool, len(x))
    return x, y, [Split(pool, held_out, start_set(y[: size.pool], 20, seed)) for seed in range(num_seeds)]


def main(config: Config) -> None:
    console, size = Console(), SIZES[config.scale]
    at_least(config, 0, "weight_decay")
    at_least(config, 1, "batch_size", "seeds")
    positive(config, "target")
    check_pool(size.pool, 20, size.rounds, config.batch_size)
    use_all_cores()
    num_seeds = config.seeds or size.seeds
    x, y, splits = images(config, size, num_seeds)
    learner = mc_dropout(
        gal_cnn(10, size.channels, hidden=size.hidden),
        size.draws,
        optimizer=optax.adamw(1e-3, weight_decay=config.weight_decay),
        num_steps=size.steps,
        minibatch_size=64,
    )
    sizes = {name: value for name, value in size._asdict().items() if name != "seeds"}
    options = {name: getattr(config, name) for name in ("scale", "data", "batch_size", "weight_decay")}
    name = f"{config.data}-{config.scale}"
    query = lambda strategy: candidates_first(STRATEGIES[strategy], size.candidates)
    measure = classification(chunked(200))
    setup = Setup(learner, query("random"), config.batch_size, size.rounds, evaluate=measure)
    setups = {strategy: setup._replace(query=query(strategy)) for strategy in config.strategies}
    options = {**options, **sizes}
    curves = run_study(name, own_pools(x, y, splits), setups, config, console, num_seeds, 2, options)
    unnamed = replace(config, scale=Config.scale, data=Config.data, download=False)  # as `name` has them, or no matter
    report(name, curves, config.target, picture(unnamed, name), console)


if __name__ == "__main__":
    start(main, Config, __doc__)
