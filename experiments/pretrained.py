"""Few labels, a big frozen encoder and a small Bayesian head, against the same net from raw inputs; 20 paired seeds.

    python experiments/pretrained.py                                 # all sets whose data and models are found
    python experiments/pretrained.py --data digits                   # needs no package and no folder
    python experiments/pretrained.py --scale smoke                   # seconds, tiny encoders with random weights

Three sets: Fashion-MNIST through EfficientNet-Lite0 at 112 pixels, SMS spam through MiniLM, digits through 128 random
convolutions; each as 64 principal components of the pool's features, centered, of mean square 1. The end-to-end net
has pixels or the presence of the 1,000 most frequent words in their place; its layers, training and Monte-Carlo dropout
are those of the head, so that what differs is the inputs. By name, other heads: softmax (Laplace's approximation,
prior by the evidence; minutes a seed with ten classes), laplace (last layer), ensemble.

Each asks at random, by margin, BALD, EPIG about 100 rows of the pool (both drawn with probability proportional to the
score) and TypiClust, 10 labels a round from 20 balanced ones to 100; pools of 1,000 rows, tests of 500. A seed fixes
pool, test and start set for all learners and strategies. Each learner and strategy is one compiled program.

Dropout is the default head by a small measurement, five seeds of digits with labels drawn at random, 32 components:
with 20, 50, 100 labels accuracy .58, .80, .88 (NLL .41 nats at the end), against .51, .76, .85 (.82) of laplace and
.48, .70, .82 (.85) of softmax, which took some hundred times as long.

Claims of Bickford Smith, Foster and Rainforth 2024, "Making Better Use of Unlabelled Data in Bayesian Active Learning"
(arXiv:2404.17249, abstract): semi-supervised models with Bayesian active learning are better than conventional Bayesian
active learning, and than semi-supervised models with random labels. Judged by areas under the accuracy curve: a claim
holds on a set where the paired difference, by Holm's correction over all of them, lies above 0.

Printed: a table a set, and the verdicts. Drawn: learning curves. Kept: runs/, and features in runs/features, where
other scripts find them. On two cores the images take some minutes, once, and the rest about ten.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer

from bal import strategies, use_all_cores
from bal.datasets import MissingDataError
from bal.evaluation import classification
from bal.learners import bayesian_softmax, ensemble, laplace, linear, mc_dropout, mlp
from bal.pool import make_pool
from bal.query import pool_targets
from bal.selection import power
from bal.typing import Learner, Query, Setup, Task
from experiments.common import run_study, start
from experiments.encoded import Encoded, convolved_digits, encoded_fashion, encoded_messages
from experiments.options import at_least, check_pool, picture, positive, start_rows
from experiments.posterior_learners import Sizes, trained_by
from experiments.pretrained_report import Found, drawn, table, verdicts

Sets = Literal["fashion-mnist", "sms-spam", "digits"]
Name = Literal["dropout", "end-to-end", "softmax", "laplace", "ensemble"]
Strategy = Literal["random", "margin", "bald", "epig", "typiclust"]


@dataclass(frozen=True)
class Config(Sizes):
    """Options of the study; the defaults are the published run."""

    scale: Literal["smoke", "cpu"] = "cpu"
    """smoke: everything tiny, whatever else is typed, and weights of encoders random."""
    data: tuple[Sets, ...] = ("fashion-mnist", "sms-spam", "digits")
    """Data sets; those whose file or model is missing are left out."""
    learners: tuple[Name, ...] = ("dropout", "end-to-end")
    """Heads on frozen features, and the net from raw inputs."""
    strategies: tuple[Strategy, ...] = ("random", "margin", "bald", "epig", "typiclust")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 8
    """Acquisition rounds."""
    batch_size: int = 10
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the start, balanced over classes."""
    pool_size: int = 1_000
    """Rows of the pool, drawn anew in each seed."""
    test_size: int = 500
    """Rows held out in each seed."""
    targets: int = 100
    """Rows of the pool that EPIG is about, drawn anew each round."""
    components: int = 64
    """Principal components of the features of the pool."""
    cache: Path = Path("runs/features")
    """Folder of features."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; features are kept."""


SMOKE: dict[str, Any] = {
    **{"seeds": 2, "rounds": 1, "batch_size": 3, "start_size": 10, "pool_size": 100, "test_size": 30, "targets": 5},
    **{"components": 4, "hidden": 4, "draws": 3, "members": 2, "steps": 5},
}


def load(name: Sets, config: Config, console: Console) -> Encoded:
    """A set as it is and as features."""
    tiny = config.scale == "smoke"
    if name == "digits":
        return convolved_digits()
    if name == "sms-spam":
        return encoded_messages(config.cache, 200 if tiny else None, tiny, console)
    few = {"num_train": 150, "num_test": 50} if tiny else {}
    return encoded_fashion(config.cache, **few, tiny=tiny, console=console)


def raw_inputs(encoded: Encoded) -> np.ndarray:
    """Pixels, or which of the 1,000 most frequent words a text has."""
    if encoded.raw.dtype.kind == "U":
        present: Any = CountVectorizer(max_features=1_000, binary=True).fit_transform(encoded.raw)
        return present.toarray().astype(np.float32)
    return encoded.raw.reshape(len(encoded.raw), -1)


def scaled(pool: np.ndarray, test: np.ndarray, components: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Both centered on the pool, as principal components of the pool if told, and divided by its one mean square."""
    if components is None:
        center = pool.mean(0)
        parts = pool - center, test - center
    else:
        found = PCA(components, svd_solver="full").fit(pool)
        parts = found.transform(pool), found.transform(test)
    size = np.sqrt(np.mean(parts[0] ** 2))
    return (parts[0] / size).astype(np.float32), (parts[1] / size).astype(np.float32)


def task_of_seed(config: Config, x: np.ndarray, y: np.ndarray, components: int | None, seed: int) -> Task:
    """Pool, test and start set of a seed, the same rows whatever the inputs."""
    order = np.random.default_rng(seed).permutation(len(y))
    test, rows = order[: config.test_size], order[config.test_size :][: config.pool_size]
    first = jnp.asarray(start_rows(y[rows], config.start_size, seed), jnp.int32)
    inputs, held_out = scaled(x[rows], x[test], components)
    return Task(make_pool(jnp.asarray(inputs)), jnp.asarray(y[rows]), (held_out, y[test]), first)


def learner_of(name: Name, num_classes: int, config: Config) -> Learner:
    """A head; the end-to-end net is the default one, on other inputs."""
    trained, draws = trained_by(config), config.draws
    network = mlp((config.hidden,), num_classes)
    return {
        "softmax": lambda: bayesian_softmax(num_classes, draws),
        "laplace": lambda: laplace(linear(num_classes), draws, "last_kfac", **trained),
        "ensemble": lambda: ensemble(network, config.members, **trained),
    }.get(name, lambda: mc_dropout(mlp((config.hidden,), num_classes, dropout=0.25), draws, **trained))()


def queries(num_targets: int) -> dict[str, Query]:
    """Every strategy by name."""
    return {
        "random": strategies.random(),
        "margin": strategies.margin(),
        "bald": strategies.bald(power()),
        "epig": strategies.epig(pool_targets(num_targets), power()),
        "typiclust": strategies.typiclust(),
    }


def study_of(name: Sets, encoded: Encoded, config: Config, console: Console) -> Found:
    """All learners and strategies on a set: curves by learner."""
    known, found, raw = queries(config.targets), {}, raw_inputs(encoded)
    chosen = [strategy for strategy in known if strategy in ("random", *config.strategies)]
    together = 2 if jax.default_backend() == "cpu" else config.seeds
    for learner in config.learners:
        x, components = (raw, None) if learner == "end-to-end" else (encoded.features, config.components)
        made = learner_of(learner, encoded.num_classes, config)
        setup = Setup(made, known["random"], config.batch_size, config.rounds, evaluate=classification())
        setups = {strategy: setup._replace(query=known[strategy]) for strategy in chosen}
        console.print(f"{name}, {learner}: {'raw inputs' if components is None else encoded.encoder}", highlight=False)
        of_seed = lambda seed, x=x, k=components: task_of_seed(config, x, encoded.y, k, seed)
        options = {"data": name, "inputs": learner, "encoder": encoded.encoder}
        record = f"pretrained-{name}-{learner}"
        found[learner] = run_study(record, of_seed, setups, config, console, None, together, options)
    return found


def check(config: Config) -> None:
    """Refuse options that cannot be meant, before any work."""
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "pool_size", "test_size", "targets")
    at_least(config, 1, "components", "hidden", "members", "draws", "steps", "minibatch_size")
    positive(config, "learning_rate")
    at_least(config, 0, "weight_decay")
    check_pool(config.pool_size, config.start_size, config.rounds, config.batch_size)
    if config.components > config.pool_size:
        raise SystemExit(f"--components must be at most the {config.pool_size} rows of the pool")


def main(config: Config) -> None:
    console = Console()
    if config.scale == "smoke":
        config = replace(config, **SMOKE)
        console.print("smoke: tiny sizes, encoders with random weights; the numbers mean nothing")
    check(config)
    use_all_cores()
    results: dict[str, Found] = {}
    for name in config.data:
        try:
            encoded = load(name, config, console)
        except (MissingDataError, ImportError) as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True, highlight=False)
            continue
        num_rows = config.test_size + config.pool_size
        if num_rows > len(encoded.y):
            raise SystemExit(f"{name} has {len(encoded.y)} rows, but pool and test need {num_rows}; lower --pool-size")
        results[name] = study_of(name, encoded, config, console)
        console.print(table(name, results[name]))
    if results:
        if any(learner != "end-to-end" for learner in config.learners):
            console.print(verdicts(results))
        path = picture(config, "pretrained")
        drawn(path, results)
        console.print(f"picture: {path}", soft_wrap=True)


if __name__ == "__main__":
    start(main, Config, __doc__)
