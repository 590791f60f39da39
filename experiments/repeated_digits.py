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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import strategies, use_all_cores
from bal.datasets import digits, repeated
from bal.evaluation import classification, mean_interval
from bal.learners import Network, ensemble, mlp, tapped_members
from bal.query import layer_gradients, pool_targets
from bal.selection import average_linkage, k_means, purity_radius
from bal.typing import Query, Setup
from experiments.classification import STRATEGIES, Split, own_pools
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, start_rows

TEST = 597


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    strategies: tuple[str, ...] = ()
    """Methods by name; all of them if none is given. random, the baseline, is always among them."""
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


def split(y: np.ndarray, original: np.ndarray, config: Config, seed: int) -> Split:
    """The rows of a seed; tests are other digits than the pool's."""
    order = np.random.default_rng(seed).permutation(original.max() + 1)
    pool = np.flatnonzero(np.isin(original, order[TEST : TEST + config.images]))
    tests = np.sort(order[:TEST])  # the first copy of each
    return Split(np.isin(np.arange(len(y)), pool), tests, pool[start_rows(y[pool], 10, seed)])


def methods(x: np.ndarray, network: Network) -> dict[str, Callable[[], Query]]:
    """Every published batch method for an ensemble of such networks, by name; called, it is prepared and made."""
    return {
        **{name: lambda name=name: STRATEGIES[name] for name in ("random", "entropy", "margin", "bald", "power-bald")},
        "softmax-bald": strategies.softmax_bald,
        "softrank-bald": strategies.softrank_bald,
        "batchbald": strategies.batchbald,
        "gaussian-batch": strategies.gaussian_batch,
        "epig": lambda: strategies.epig(pool_targets(200)),
        "epig-batch": lambda: strategies.epig_batch(pool_targets(200), 16, x_target_batch=pool_targets(50)),
        "acs-fw": strategies.acs_fw,
        "sparse-greedy": strategies.sparse_greedy,
        "sparse-iht": strategies.sparse_iht,
        "max-det": strategies.max_det,
        "k-center": strategies.k_center,
        "kmeans-pp": strategies.kmeans_pp,
        "badge": strategies.badge,
        "bait": strategies.bait,
        "lcmd": lambda: strategies.lcmd(256),
        "lcmd-all-layers": lambda: strategies.lcmd(512, layer_gradients(tapped_members(network))),
        "k-medoids": strategies.k_medoids,
        "typiclust": strategies.typiclust,
        "probcover": lambda: strategies.probcover(pure_radius(x, 10)),
        "cluster-margin": lambda: strategies.cluster_margin(clusters(x)),
        "confident-coreset": strategies.confident_coreset,
        "ranked-batch": strategies.ranked_batch,
        "remembered-bald": lambda: strategies.remembered(STRATEGIES["power-bald"], 300),
    }


def pure_radius(x: np.ndarray, num_classes: int) -> float:
    """The radius at which 95 % of balls are pure for k-means pseudo-labels: no label is read."""
    some = jnp.asarray(x.reshape(len(x), -1)[np.random.default_rng(0).permutation(len(x))[:2000]])
    pseudo = k_means(jax.random.key(0), some, jnp.ones(len(some)), num_classes).assignment
    return float(purity_radius(some, pseudo))


def clusters(x: np.ndarray, num_clusters: int = 100) -> jax.Array:
    """Average-linkage clusters of all pool rows; all pairs of them while they fit."""
    return average_linkage(x.reshape(len(x), -1), num_clusters, None if len(x) <= 10_000 else 10)


class Distinct(NamedTuple):
    """Share of distinct originals in a batch, with its interval over seeds, and of picks already labeled in a copy.

    One or two seeds have no interval: NaN.
    """

    mean: float
    low: float
    high: float
    repeats: float


def distinct_share(acquired: np.ndarray, start: np.ndarray) -> Distinct:
    """From the originals of all picks ``[S, R, B]`` and of the start set ``[S, S0]``."""
    per_seed = np.array([[len(set(batch)) / len(batch) for batch in seed] for seed in acquired.tolist()]).mean(1)
    _, low, high = mean_interval(per_seed, (0, 1))
    flat = np.concatenate([start, acquired.reshape(len(acquired), -1)], 1)
    new = np.array([len(set(seed)) for seed in flat.tolist()]) - np.array([len(set(s)) for s in start.tolist()])
    return Distinct(per_seed.mean(), float(low), float(high), 1 - (new / acquired[0].size).mean())


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "images", "copies", "members", "steps")
    at_least(config, 0, "noise")
    check_pool(config.images * config.copies, 10, config.rounds, config.batch_size)
    single = digits()
    if config.images + TEST > len(single.y):
        raise SystemExit(f"--images must leave {TEST} digits for the test: at most {len(single.y) - TEST}")
    network = mlp((48,), num_outputs=10)
    dataset, original = repeated(single, config.copies, config.noise)
    known = methods(dataset.x, network)
    unknown = set(config.strategies) - set(known)
    if unknown:
        raise SystemExit(f"unknown strategies {sorted(unknown)}; known are {', '.join(known)}")
    splits = [split(dataset.y, original, config, seed) for seed in range(config.seeds)]
    use_all_cores()
    learner = ensemble(
        network,
        config.members,
        optimizer=optax.adam(1e-2),
        num_steps=config.steps,
        minibatch_size=32,
        bootstrap=True,
    )
    setup = Setup(learner, known["random"](), config.batch_size, config.rounds, evaluate=classification())
    setups = {name: setup._replace(query=known[name]()) for name in config.strategies or known}
    pools = own_pools(dataset.x, dataset.y, splits)
    curves = run_study("repeated-digits", pools, setups, config, console, seeds_per_call=10)
    report("repeated-digits", curves, 0.85, picture(config, "repeated-digits"), console)
    table = Table(
        title="distinct digits in a batch: mean over rounds and seeds, 95 % t interval over seeds", box=SIMPLE_HEAD
    )
    for column in ("strategy", "distinct\nshare", "interval", "repeats of a labeled\ndigit, of all picks"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for name, acquired in curves.acquired.items():
        share = distinct_share(original[acquired], original[curves.start[name]])
        interval = "" if np.isnan(share.low) else f"[{share.low:.2f}, {share.high:.2f}]"
        table.add_row(name, f"{share.mean:.2f}", interval, f"{share.repeats:.2f}")
    console.print(table)


if __name__ == "__main__":
    start(main, Config, __doc__)
