"""Which question should a Gaussian process classifier ask? Five strategies on two bells, in about two minutes.

    python experiments/gp_classification.py

Two classes of points in the plane on either side of a curve, drawn from a distribution with heavy tails (Bickford Smith
et al. 2023). A pool of 1,000 points, 4 labeled at the start (two a class) and one a round for 50 rounds, by a Gaussian
process classifier with fixed hyper-parameters (Laplace, probit). Each strategy runs with the same 20 seeds: a seed
fixes pool, test points and start set for all strategies, so that differences are paired. All scores are exact up to
quadrature, except that of houlsby, an approximation of bald in closed form.

Printed: a table that says in words which strategies beat random, by the area under the accuracy curve with a 95 %
interval over seeds. Drawn: learning curves, in figures/. Kept: runs/gp_classification/, every acquired row, score and
metric. An interrupted study goes on where it stopped when the same command is typed again.

Expected: entropy and epig above random, epig the first to reach 0.9; bald and houlsby, which agree, below it: they ask
about remote points, the more so the larger the pool (`paper_figures/two_bells.py`).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
from rich.console import Console

from bal import strategies, use_all_cores
from bal.acquisition import houlsby_bald
from bal.datasets import two_bells
from bal.evaluation import classification
from bal.pool import make_pool
from bal.query import Query, by_score
from bal.selection import best
from bal.typing import Learner, Setup, Task
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, positive, start_rows

Strategy = Literal["random", "entropy", "bald", "houlsby", "epig"]
TARGET_SEED = 20  # whatever the number of seeds, so that a study can grow


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    strategies: tuple[Strategy, ...] = ("random", "entropy", "bald", "houlsby", "epig")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 50
    """Labels acquired, one a round."""
    pool_size: int = 1_000
    """Points to choose from; bald gets worse as there are more."""
    start_size: int = 4
    """Labels at the start, balanced over classes."""
    test_size: int = 2_000
    """Test points of each seed."""
    num_targets: int = 1_000
    """Points that epig is about, drawn as the pool is, the same for all seeds."""
    lengthscale: float = 1.0
    """Length of the squared exponential kernel."""
    variance: float = 10.0
    """Prior variance of the latent function."""
    target: float = 0.9
    """Accuracy for the column "labels to"."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def queries(config: Config) -> dict[str, Query]:
    x_target = jnp.asarray(two_bells(config.num_targets, seed=TARGET_SEED).x, jnp.float64)
    return {
        "random": strategies.random(),
        "entropy": strategies.entropy(),
        "bald": strategies.bald(),
        "houlsby": by_score(houlsby_bald, best),
        "epig": strategies.epig(x_target),
    }


def learner(config: Config) -> Learner:
    from gpjax.kernels import RBF  # here, for to import it starts the devices
    from gpjax.parameters import PositiveReal

    from bal.learners.gp import gp_classification, process

    kernel = RBF(lengthscale=PositiveReal(config.lengthscale), variance=PositiveReal(config.variance))
    return gp_classification(process(kernel, fixed=True))


def task(config: Config, seed: int) -> Task:
    """The pool, test points and start rows of a seed."""
    data = two_bells(config.pool_size, config.test_size, seed)
    x, x_test = (jnp.asarray(part, jnp.float64) for part in (data.x, data.x_test))
    first = jnp.asarray(start_rows(data.y, config.start_size, seed), jnp.int32)
    return Task(make_pool(x), jnp.asarray(data.y), (x_test, jnp.asarray(data.y_test)), first)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "pool_size", "start_size", "test_size", "num_targets")
    positive(config, "lengthscale", "variance", "target")
    check_pool(config.pool_size, config.start_size, config.rounds, 1)
    jax.config.update("jax_enable_x64", True)  # before any array is made
    use_all_cores()
    every = queries(config)
    setup = Setup(learner(config), every["random"], 1, config.rounds, evaluate=classification())
    setups = {name: setup._replace(query=every[name]) for name in config.strategies}
    curves = run_study("gp_classification", partial(task, config), setups, config, console)
    report("gp_classification", curves, config.target, picture(config, "gp_classification"), console)


if __name__ == "__main__":
    start(main, Config, __doc__)
