"""Few labels, many rows: does a batch that summarizes the pool beat uncertainty, and what is the pool worth?

    python experiments/bilevel.py
    python experiments/bilevel.py --data vowel

Scikit-learn's 1,797 digits of 8x8 pixels, or 990 spoken vowels (Vowel of UCI, ten coefficients, eleven vowels, the file
in BAL_DATA). Two learners, one network each: *labels* is trained on them alone, *pool* is FixMatch, which also learns
from the rows of the pool; strong changes are shifts by a pixel and a little noise for digits, noise for vowels.

- batches: from one label a class on, each strategy asks for ten labels a round, with either learner: random, entropy,
  k-center on the network's features, BADGE, and bilevel, whose pseudo-labels are what the learner predicts.
- cold: the first labels of all, chosen with none: at random, by TypiClust or k-center on whitened principal components,
  by TypiClust on contrastive features. Components and features are of all rows, whose labels nobody has seen.

All run with the same seeds, so that differences are paired. Printed: for each part and learner a table against random,
which says in words what beats it by the area under the accuracy curve, and one of pool against labels. Drawn: learning
curves, in figures/. Kept: runs/bilevel-.../. An interrupted study goes on where it stopped when the same command is
typed again, and grows with --seeds.

Expected: bilevel above random on both tables and with both learners, k-center near it, entropy below random. The pool
teaches the network nothing in 200 steps, which are enough for labels alone; with --steps 1000 it does on digits, and on
vowels, where noise is all that may be changed, it is worse than labels alone. A start by TypiClust is far above a
random one on digits and no better on vowels, where k-center is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optax
from rich.console import Console

from bal import strategies, use_all_cores
from bal.bilevel import bilevel, contrastive, embedded_by, principal_components, softmax_coreset
from bal.datasets import digits, uci_classification
from bal.evaluation import classification
from bal.learners import ensemble, fixmatch, in_turn, jitter, mlp, shift
from bal.loop import Curves
from bal.selection import k_center, typiclust
from bal.typing import Learner, Query, Setup, Stage, Task
from experiments.classification import Split, own_pools
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, positive, recorded, start_rows

Strategy = Literal["random", "entropy", "k-center", "badge", "bilevel"]
Trained = Literal["labels", "pool"]
Start = Literal["random", "typiclust-pca", "k-center-pca", "typiclust-contrastive"]


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    data: Literal["digits", "vowel"] = "digits"
    """Which table."""
    learners: tuple[Trained, ...] = ("labels", "pool")
    """What the network learns from."""
    strategies: tuple[Strategy, ...] = ("random", "entropy", "k-center", "badge", "bilevel")
    """Of the batches; random, the baseline, is always among them."""
    starts: tuple[Start, ...] = ("random", "typiclust-pca", "k-center-pca", "typiclust-contrastive")
    """Of the cold start; none leaves that part out."""
    seeds: int = 10
    """Paired repetitions."""
    rounds: int = 4
    """Acquisition rounds."""
    batch_size: int = 10
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the cold start."""
    test_size: int = 400
    """Rows held out in each seed."""
    hidden: int = 64
    """Hidden units of the network."""
    steps: int = 200
    """Adam steps of a training."""
    minibatch_size: int = 16
    """Labeled rows of a step; three times as many are without labels."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    threshold: float = 0.8
    """How sure a pseudo-label must be."""
    landmarks: int = 100
    """Of the features that bilevel trains on."""
    ridge: float = 1e-2
    """Penalty of the model that bilevel trains."""
    contrastive_steps: int = 500
    """Adam steps of the training without labels."""
    components: int = 10
    """Principal components."""
    target: float = 0.8
    """Accuracy for the column "labels to"."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def read(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, images or standardized coefficients, and class numbers."""
    if config.data == "digits":
        dataset = digits()
        return np.asarray(dataset.x, np.float32).reshape(-1, 8, 8), np.asarray(dataset.y)
    dataset = uci_classification("Vowel")
    x = np.asarray(dataset.x, np.float32)
    return (x - x.mean(0)) / x.std(0), np.asarray(dataset.y)


def changes(config: Config) -> Callable[..., Any]:
    """What may be done to an input, its label being what it was."""
    return in_turn(shift(1), jitter(0.1)) if config.data == "digits" else jitter(0.2)


def learner_of(trained: Trained, num_classes: int, config: Config) -> Learner:
    """One network."""
    network = mlp((config.hidden,), num_outputs=num_classes)
    sizes: dict[str, Any] = {"num_steps": config.steps, "minibatch_size": config.minibatch_size}
    optimizer = optax.adam(config.learning_rate)
    if trained == "labels":
        return ensemble(network, 1, optimizer=optimizer, **sizes)
    return fixmatch(network, 1, strong=changes(config), threshold=config.threshold, optimizer=optimizer, **sizes)


def queries(config: Config) -> dict[str, Query]:
    """Strategies of the batches."""
    return {
        "random": strategies.random(),
        "entropy": strategies.entropy(),
        "k-center": strategies.k_center(),
        "badge": strategies.badge(),
        "bilevel": bilevel(softmax_coreset(config.ridge), num_landmarks=config.landmarks),
    }


def starts(x: np.ndarray, config: Config) -> dict[str, Query]:
    """Strategies of the cold start, on features without labels."""
    components = embedded_by(principal_components(x, config.components))
    found = {
        "random": strategies.random(),
        "typiclust-pca": Query((Stage(components, typiclust()),)),
        "k-center-pca": Query((Stage(components, k_center()),)),
    }
    if "typiclust-contrastive" in config.starts:
        network = mlp((config.hidden, 32), num_outputs=16)
        learned = contrastive(x, network, changes(config), num_steps=config.contrastive_steps)
        found["typiclust-contrastive"] = Query((Stage(embedded_by(learned), typiclust()),))
    return {name: found[name] for name in dict.fromkeys(("random", *config.starts))}


def split(y: np.ndarray, config: Config, seed: int) -> Split:
    """The rows of a seed; one label a class at the start."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, pool = order[: config.test_size], np.sort(order[config.test_size :])
    first = pool[start_rows(y[pool], len(np.unique(y)), seed)]
    return Split(np.isin(np.arange(len(y)), pool), np.sort(test), first)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "test_size", "hidden", "steps")
    at_least(config, 1, "minibatch_size", "landmarks", "contrastive_steps", "components")
    at_least(config, 0, "threshold")
    positive(config, "learning_rate", "ridge", "target")
    x, y = read(config)
    num_classes = int(y.max()) + 1
    check_pool(len(y) - config.test_size, num_classes, config.rounds, config.batch_size)
    check_pool(len(y) - config.test_size, 0, 1, config.start_size)
    splits = [split(y, config, seed) for seed in range(config.seeds)]
    use_all_cores()
    task = own_pools(x, y, splits)
    curves: dict[str, Curves] = {}
    for trained in config.learners:
        learner = learner_of(trained, num_classes, config)
        setup = Setup(learner, strategies.random(), config.batch_size, config.rounds, evaluate=classification())
        wanted = {name: setup._replace(query=queries(config)[name]) for name in config.strategies}
        name = f"bilevel-{config.data}-{trained}"
        curves[trained] = run_study(name, task, wanted, config, console)
        report(name, curves[trained], config.target, picture(config, name), console)
    if len(curves) == 2:
        both = {"random": curves["labels"], "pool": curves["pool"]}
        accuracy = {name: found.metrics["accuracy"]["random"] for name, found in both.items()}
        name = f"bilevel-{config.data}-pool-or-labels"
        shown = curves["labels"]._replace(metrics={"accuracy": accuracy})
        report(name, shown, config.target, picture(config, name), console)
    if config.starts:
        name = f"bilevel-{config.data}-cold"
        setup = Setup(learner_of("labels", num_classes, config), strategies.random(), config.start_size, 1, 0)
        wanted = {
            kind: setup._replace(query=query, evaluate=classification()) for kind, query in starts(x, config).items()
        }
        options = {name: value for name, value in recorded(config).items() if name != "batch_size"}
        found = run_study(name, lambda seed: cold(task(seed)), wanted, config, console, options=options)
        report(name, found, None, picture(config, name), console)


def cold(task: Task) -> Task:
    """The same, with no label."""
    return task._replace(start=None)


if __name__ == "__main__":
    start(main, Config, __doc__)
