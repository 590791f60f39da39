"""Rows with several labels: does it pay to count what labels say alike only once?

    python experiments/multilabel.py

Two sets. digits: scikit-learn's 1,797 digits, of which five properties are asked (even, above 4, prime, has a loop, all
strokes straight); these follow from the class and so go together. sentences: English sentences of Universal
Dependencies (EWT; the folder BAL_DATA must have ud_english_ewt_upos.json.gz), of which is asked which of ten parts of
speech occur, from the 300 most frequent words. Whoever labels a row answers for all of its labels.

An ensemble of networks with sigmoid outputs is trained by binary cross entropy. Strategies: entropy, summed over
labels; sum, the BALD of each label, summed; joint, the BALD of the label set, exactly; sampled, an estimate of it that
would do for any number of labels; power-joint, a sample by joint; random. A seed fixes the pool, the test set, the
start set and the initial weights for all strategies, so that differences are paired.

Printed: f1 over all labels of the test set, and by area under its curve which strategies beat random, with 95 %
intervals over seeds. Drawn: learning curves, in figures/. Kept: runs/multilabel-.../. An interrupted study goes on
where it stopped when the same command is typed again, and grows with --seeds.

Expected, of digits: no. Joint, its estimate and the sum have the same area, .01 above that of random, which of 10 seeds
is beyond chance for joint alone; a sample by joint, whose batches differ more, gains .016. Entropy gains nothing.
Of sentences: a little. Sum, joint and its estimate gain .016 to .017 (random .721), all beyond chance, the sample by
joint .005; entropy loses .031.
"""

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import optax
from rich.console import Console

from bal import make_pool, strategies, use_all_cores
from bal.acquisition import joint_labels_bald, labels_bald, over_labels, predictive_entropy, sampled_labels_bald
from bal.datasets import MissingDataError, digits
from bal.evaluation import label_sets
from bal.learners import ensemble, mlp, multi_label
from bal.query import by_score
from bal.selection import power
from bal.typing import Setup, Task
from experiments.common import report, run_study, start
from experiments.options import at_least, check_pool, picture, positive

Sets = Literal["digits", "sentences"]
Strategy = Literal["random", "entropy", "sum", "joint", "sampled", "power-joint"]
STRATEGIES = {
    "random": strategies.random(),
    "entropy": by_score(over_labels(predictive_entropy)),
    "sum": by_score(labels_bald),
    "joint": by_score(joint_labels_bald),
    "sampled": by_score(sampled_labels_bald(16)),
    "power-joint": by_score(joint_labels_bald, power(1.0)),
}
PROPERTIES = ((0, 2, 4, 6, 8), (5, 6, 7, 8, 9), (2, 3, 5, 7), (0, 4, 6, 8, 9), (1, 4, 7))
"""Of digits: even, above 4, prime, with a loop, of straight strokes."""
PARTS = ("ADJ", "ADV", "AUX", "CCONJ", "DET", "NUM", "PART", "PRON", "PROPN", "SCONJ")
"""Of speech that a sentence may have; all but these are in most sentences or in few."""
NUM_WORDS = 300


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    data: tuple[Sets, ...] = ("digits", "sentences")
    """Sets of rows; one whose file is missing is left out."""
    strategies: tuple[Strategy, ...] = ("random", "entropy", "sum", "joint", "sampled", "power-joint")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 10
    """Paired repetitions."""
    rounds: int = 15
    """Acquisition rounds."""
    batch_size: int = 5
    """Rows labeled in a round."""
    start_size: int = 20
    """Rows labeled at the start, drawn at random."""
    pool_size: int = 1_000
    """Rows of the pool; drawn anew in each seed."""
    test_size: int = 500
    """Rows held out in each seed."""
    members: int = 10
    """Networks in the ensemble."""
    hidden: int = 32
    """Hidden units of a network."""
    steps: int = 200
    """Adam steps of a training."""
    minibatch_size: int = 16
    """Rows of a step."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    target: float = 0.8
    """f1 for the column "labels to"."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def load(name: Sets) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``[N, D]`` and labels ``[N, G]``."""
    if name == "digits":
        found = digits()
        return found.x.reshape(len(found.x), -1), np.stack([np.isin(found.y, one) for one in PROPERTIES], 1)
    path = Path(os.environ.get("BAL_DATA", ".")) / "ud_english_ewt_upos.json.gz"
    if not path.is_file():
        raise MissingDataError(f"no file {path.name} in the folder that BAL_DATA names; see the script's first lines")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        sentences = [sentence for sentence in json.load(file)["train"] if len(sentence) >= 4]
    words = [[word.lower() for word, _ in sentence] for sentence in sentences]
    frequent = [word for word, _ in Counter(word for some in words for word in some).most_common(NUM_WORDS)]
    place = {word: number for number, word in enumerate(frequent)}
    x = np.zeros((len(words), NUM_WORDS + 1), np.float32)
    for number, some in enumerate(words):
        known = [place[word] for word in some if word in place]
        x[number, known] = 1.0
        x[number, -1] = np.log(len(some))
    tags = [{tag for _, tag in sentence} for sentence in sentences]
    return x, np.array([[part in some for part in PARTS] for some in tags])


def task_of(x: np.ndarray, y: np.ndarray, config: Config) -> Callable[[int], Task]:
    """The rows of a seed."""

    def of_seed(seed: int) -> Task:
        order = np.random.default_rng(seed).permutation(len(y))
        pool, test = np.split(order[: config.pool_size + config.test_size], [config.pool_size])
        labels = y.astype(np.float32)
        first = np.arange(config.start_size, dtype=np.int32)  # of rows in random order
        return Task(make_pool(x[pool]), labels[pool], (x[test], labels[test]), first)

    return of_seed


def check(config: Config) -> None:
    """Refuse options that cannot be meant, before any work."""
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "pool_size", "test_size")
    at_least(config, 1, "members", "hidden", "steps", "minibatch_size")
    positive(config, "learning_rate", "target")
    check_pool(config.pool_size, config.start_size, config.rounds, config.batch_size)
    if "digits" in config.data and config.pool_size + config.test_size > 1797:
        raise SystemExit(
            f"--pool-size {config.pool_size} and --test-size {config.test_size} need more than the 1,797 digits"
        )


def main(config: Config) -> None:
    console = Console()
    check(config)
    use_all_cores()
    for name in config.data:
        try:
            x, y = load(name)
        except MissingDataError as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True)
            continue
        learner = ensemble(
            mlp((config.hidden,), num_outputs=y.shape[1]),
            config.members,
            optimizer=optax.adam(config.learning_rate),
            num_steps=config.steps,
            minibatch_size=config.minibatch_size,
            likelihood=multi_label,
        )
        setup = Setup(learner, STRATEGIES["random"], config.batch_size, config.rounds, evaluate=label_sets())
        setups = {name: setup._replace(query=STRATEGIES[name]) for name in config.strategies}
        own = replace(config, data=(name,))
        title = f"multilabel {name}"
        curves = run_study(title.replace(" ", "-"), task_of(x, y, config), setups, own, console)
        report(title, curves, config.target, picture(own, f"multilabel-{name}"), console, metric="f1")


if __name__ == "__main__":
    start(main, Config, __doc__)
