"""Does a learned ranking of training sets pick a better batch than random, margin and BALD, bought in one round?

    python experiments/learning_to_rank.py

A reconstruction of Ding et al. 2023 from its abstract. Two questions on scikit-learn's digits and on Vowel (a table of
the folder BAL_DATA), each with 20 paired seeds.

rank: from 90 labeled rows, 128 sets of 6, 12 and 24 are drawn, a softmax regression is trained on each, and a function
of sets learns to rank them by accuracy on 300 rows set aside. It is asked about new sets of those sizes and of 48, a
size that it never saw: sets of the same rows, and of other ones. Printed: Kendall's tau with the true accuracy, and the
ranking loss at 48 (log 2 = .693 for who knows nothing), of bilevel training, of plain training on all sizes together,
of plain training on the largest size alone, and of bilevel training on shuffled accuracies.

select: 90 labels at the start, balanced over classes, then one batch of 60, and a deep ensemble of 10 small networks
before and after. The learned utility has no labels but these: a third of them is what its accuracies are measured on.

Expected: sets twice as large as any that were learned from are ranked (tau .30 and .28), two levels better than one
size alone and no better than all sizes at once; sets of rows that were never labeled less so (.09 and .17). The batch
is worse than a random one on both sets (.905 to .919 and .568 to .617; margin .940 and .635).

Printed: a table for each set that says in words which strategies beat random. Drawn: the differences to random, in
figures/. Kept: runs/learning-to-rank-<data>/. A study that is stopped goes on when the same command is typed again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

from bal import seed_keys, strategies, use_all_cores
from bal.datasets import Dataset, standardize
from bal.evaluation import classification, comparison_table, mean_interval
from bal.evaluation.plots import canvas, save
from bal.learned import (
    RankingTasks,
    SetFunction,
    bilevel_ranker,
    deep_sets,
    draw_subsets,
    learned_utility,
    ranked_subsets,
    set_scores,
    task_loss,
    trained,
)
from bal.learners import ensemble, linear, mlp
from bal.typing import Data, Learner, Query, Setup
from experiments.common import run_study, start
from experiments.options import at_least, check_pool, picture, positive, recorded
from experiments.study import Study, load, task_of_seed

Sets = Literal["digits", "vowel", "satellite", "vehicle"]
Strategy = Literal["random", "margin", "bald", "learned utility"]
FRACTIONS = (0.125, 0.25, 0.5)
"""Sizes of sets, as shares of what they are drawn from."""


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    data: tuple[Sets, ...] = ("digits", "vowel")
    """Data sets; all but digits are tables in the folder BAL_DATA."""
    parts: tuple[Literal["rank", "select"], ...] = ("rank", "select")
    """What is asked."""
    strategies: tuple[Strategy, ...] = ("random", "margin", "bald", "learned utility")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 20
    """Paired repetitions."""
    start_size: int = 90
    """Labels at the start."""
    batch_size: int = 60
    """Labels of the one batch."""
    test_size: int = 500
    """Rows held out in each seed, at most a third."""
    subsets: int = 128
    """Sets of each size, of which as many models are trained."""
    utility_steps: int = 100
    """Adam steps of each of these models."""
    ranker_steps: int = 100
    """Outer steps of learning to rank."""
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
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def small_model(num_classes: int, config: Config) -> Learner:
    """What is trained on each of the sets."""
    return ensemble(
        linear(num_classes), 1, optimizer=optax.adam(3e-2), num_steps=config.utility_steps, minibatch_size=16
    )


def ranker_of(sets: SetFunction, config: Config, inner_steps: int = 5) -> Callable:
    """Learning to rank; without inner steps it is plain training on all sizes but the first."""
    optimizer = optax.adamw(3e-3, weight_decay=0.1)
    return bilevel_ranker(sets, num_steps=config.ranker_steps, optimizer=optimizer, inner_steps=inner_steps)


def tasks_of_seed(key: Any, x: Any, y: Any, num_classes: int, config: Config) -> RankingTasks:
    """Sets of four sizes, drawn three times: to learn from, to ask about, and of other rows to ask about."""
    key_rows, key_model, *keys = jax.random.split(key, 5)
    num, num_held = config.start_size, min(300, len(y) // 3)
    order = jax.random.permutation(key_rows, len(y))
    sizes = jnp.asarray([*(int(num * share / 2) for share in FRACTIONS), num // 2])
    real = jnp.where(jnp.arange(num + num_held) < num, 1.0, 0.0)

    def tasks_of(some: tuple) -> RankingTasks:
        key, rows = some
        index = jnp.concatenate([rows, order[2 * num : 2 * num + num_held]])
        data = Data(x[index], y[index], jnp.ones(len(index)))
        masks = draw_subsets(key, data.x, real, sizes, config.subsets)
        told = jnp.concatenate([data.x, jax.nn.one_hot(data.y, num_classes)], 1)
        utility = trained(small_model(num_classes, config))
        found = utility(key_model, told, data, masks.reshape(-1, len(index)), 1 - real)
        return RankingTasks(told[:num], masks[..., :num], found.reshape(len(sizes), -1))

    return jax.lax.map(tasks_of, (jnp.stack(keys), jnp.stack([order[:num], order[:num], order[num : 2 * num]])))


def ranked_of_seed(key: Any, tasks: RankingTasks, config: Config) -> dict[str, tuple]:
    """Scores of the sets that are asked about, and the loss at the largest size, by training."""
    sets = deep_sets(16, (32,))
    learned, asked = jax.tree.map(lambda leaf: leaf[0], tasks), jax.tree.map(lambda leaf: leaf[1:], tasks)
    shuffled = jax.random.permutation(key, learned.utility, axis=1, independent=True)

    def told(train: Callable, sizes: Any, utility: Any) -> tuple:
        params = train(key, RankingTasks(learned.rows, learned.masks[sizes], utility[sizes]))
        scores = lambda rows, masks: jax.vmap(lambda masks: set_scores(sets, params, rows, masks))(masks)
        loss = lambda rows, masks, utility: task_loss(sets, params, rows, masks[-1], utility[-1])
        return jax.vmap(scores)(asked.rows, asked.masks), jax.vmap(loss)(*asked)

    upward, last = jnp.arange(len(FRACTIONS)), jnp.full(len(FRACTIONS), len(FRACTIONS) - 1)
    both = lambda some: told(ranker_of(sets, config), upward, some)
    at_once = lambda some: told(ranker_of(sets, config, 0), some, learned.utility)
    two_levels = jax.lax.map(both, jnp.stack([learned.utility, shuffled]))
    plain = jax.lax.map(at_once, jnp.stack([upward, last]))
    part = lambda pair, k: jax.tree.map(lambda leaf: leaf[k], pair)
    return {
        "two levels": part(two_levels, 0),
        "all sizes": part(plain, 0),
        "largest size": part(plain, 1),
        "shuffled": part(two_levels, 1),
    }


def classes_of(dataset: Dataset) -> int:
    """How many classes there are."""
    assert dataset.num_classes is not None
    return dataset.num_classes


def taus(scores: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Kendall's tau of the last axis; 0 where all scores, or all accuracies, are the same."""
    pairs = zip(scores.reshape(-1, scores.shape[-1]), accuracy.reshape(-1, accuracy.shape[-1]), strict=True)
    return np.nan_to_num([kendalltau(*pair)[0] for pair in pairs]).reshape(scores.shape[:-1])


def within(values: np.ndarray, digits: int = 2) -> str:
    """Mean over seeds and its 95 % interval, which takes three seeds."""
    mean, low, high = mean_interval(values)
    mean, low, high = (f"{number:.{digits}f}" for number in (mean, low, high))
    return mean if low == "nan" else f"{mean} ({low}, {high})"


def rank(name: str, dataset: Dataset, config: Config, console: Console) -> None:
    """Print how well sets are ranked."""
    num_held = min(300, len(dataset.y) // 3)
    if 2 * config.start_size + num_held > len(dataset.y):
        raise SystemExit(f"{name} has {len(dataset.y)} rows, too few to rank sets of two times {config.start_size}")
    x, y = jnp.asarray(dataset.x if name == "digits" else standardize(dataset)[0].x), jnp.asarray(dataset.y)
    keys = seed_keys(0, config.seeds)
    drawn = jax.vmap(partial(tasks_of_seed, num_classes=classes_of(dataset), config=config), (0, None, None))
    begin = time.perf_counter()
    draw = jax.jit(drawn).lower(keys, x, y).compile()
    learn = jax.jit(jax.vmap(partial(ranked_of_seed, config=config)))
    learn = learn.lower(keys, jax.eval_shape(drawn, keys, x, y)).compile()
    compiled = time.perf_counter()
    tasks = jax.block_until_ready(draw(keys, x, y))
    measured = time.perf_counter()
    found = jax.tree.map(np.asarray, learn(keys, tasks))
    models = config.seeds * 3 * (len(FRACTIONS) + 1) * config.subsets
    console.print(
        f"{name}: compiled in {compiled - begin:.0f} s, {models:,} models in {measured - compiled:.0f} s, ranked in "
        f"{time.perf_counter() - measured:.0f} s"
    )
    accuracy = np.asarray(tasks.utility)[:, 1:]
    spread = accuracy.std(-1).mean((0, 1))
    console.print("spread of accuracy among sets of a size:", *(f"{one:.3f}" for one in spread))
    table = Table(title=f"{name}: ranking sets, {config.seeds} seeds", box=SIMPLE_HEAD)
    columns = ("training", "tau, sizes\nlearned", "tau, twice\nas large", "tau, other\nrows", "loss, twice\nas large")
    for column in columns:
        table.add_column(column, justify="left" if column == "training" else "right")
    for training in ("two levels", "all sizes", "largest size", "shuffled"):
        scores, loss = found[training]
        tau = taus(scores, accuracy)
        cells = tau[:, 0, :-1].mean(-1), tau[:, 0, -1], tau[:, 1].mean(-1), loss[:, 0]
        table.add_row(training, *(within(cell).replace(" (", "\n(") for cell in cells))
    console.print(table)
    for other in ("largest size", "all sizes"):
        difference = found["two levels"][1][:, 0] - found[other][1][:, 0]
        _, low, high = mean_interval(difference)
        says = "lower" if high < 0 else "higher" if low > 0 else "no verdict" if np.isnan(low) else "not told from it"
        console.print(f"loss of two levels less that of {other}: {within(difference, 3)}: {says}")


def query_of(strategy: Strategy, num_classes: int, config: Config) -> Query:
    """How a strategy asks."""
    sets = deep_sets(16, (32,))
    learn = ranked_subsets(
        trained(small_model(num_classes, config)),
        ranker_of(sets, config),
        fractions=FRACTIONS,
        num_subsets=config.subsets,
    )
    return {
        "random": strategies.random(),
        "margin": strategies.margin(),
        "bald": strategies.bald(),
        "learned utility": learned_utility(sets, learn),
    }[strategy]


def select(name: Any, dataset: Dataset, config: Config, console: Console) -> dict[str, np.ndarray]:
    """Print the table of one round; accuracy after it, by strategy."""
    cell = Study(data=name, start_size=config.start_size, pool_size=len(dataset.y), test_size=config.test_size)
    num_test = min(config.test_size, len(dataset.y) // 3)
    check_pool(len(dataset.y) - num_test, config.start_size, 1, config.batch_size)
    classes = classes_of(dataset)
    learner = ensemble(
        mlp((config.hidden,), num_outputs=classes),
        config.members,
        optimizer=optax.adam(config.learning_rate),
        num_steps=config.steps,
        minibatch_size=config.minibatch_size,
    )
    of_strategy = lambda strategy: Setup(
        learner, query_of(strategy, classes, config), config.batch_size, 1, evaluate=classification()
    )
    setups = {strategy: of_strategy(strategy) for strategy in config.strategies}
    task, others = partial(task_of_seed, cell, dataset), ("data", "parts")
    options = {key: value for key, value in recorded(config).items() if key not in others}
    study = f"learning-to-rank-{name}"
    curves = run_study(study, task, setups, config, console, options=options)
    after = {strategy: values[:, 1:] for strategy, values in curves.metrics["accuracy"].items()}
    before = curves.metrics["accuracy"]["random"][:, 0].mean()
    labels = curves.labels[1:]
    title = f"{name}: accuracy with {labels[0]} labels, {before:.3f} with {curves.labels[0]}"
    if config.seeds > 1:
        console.print(comparison_table(curves.labels, curves.metrics["accuracy"], metric="accuracy", title=title))
    for strategy, values in after.items():
        console.print(f"{name}, {strategy}: {within(values[:, 0], 3)} with {labels[0]} labels", soft_wrap=True)
    return {strategy: values[:, 0] - after["random"][:, 0] for strategy, values in after.items()}


def draw(differences: dict[str, dict[str, np.ndarray]], config: Config, console: Console) -> None:
    """Differences to random of the same seed, their mean and its 95 % interval, by strategy and data set."""
    path = picture(config, "learning_to_rank")
    path.parent.mkdir(parents=True, exist_ok=True)
    with canvas(len(differences), 0.9) as figure:
        for number, (name, of_strategy) in enumerate(differences.items()):
            axis = figure.add_subplot(1, len(differences), number + 1, title=name)
            others = {strategy: values for strategy, values in of_strategy.items() if strategy != "random"}
            for place, values in enumerate(others.values()):
                axis.plot(np.full(len(values), place), values, ".", color=f"C{place}", alpha=0.3)
                mean, low, high = mean_interval(values)
                axis.errorbar(place, mean, [[mean - low], [high - mean]], fmt="o", color=f"C{place}", capsize=3)
            axis.axhline(0.0, color="0.5", linewidth=0.8)
            axis.set_xticks(range(len(others)), labels=[strategy.replace(" ", "\n") for strategy in others])
            axis.set_xlim(-0.5, max(len(others), 1) - 0.5)
            axis.set_ylabel("accuracy less random's" if number == 0 else "")
    save(figure, path)
    console.print(f"differences to random: {path}", soft_wrap=True)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "batch_size", "test_size", "subsets", "utility_steps", "ranker_steps")
    at_least(config, 1, "members", "hidden", "steps", "minibatch_size")
    at_least(config, 16, "start_size")
    positive(config, "learning_rate")
    use_all_cores()
    datasets = {name: load(name) for name in config.data}
    if "rank" in config.parts:
        for name, dataset in datasets.items():
            rank(name, dataset, config, console)
    if "select" in config.parts:
        found = {name: select(name, dataset, config, console) for name, dataset in datasets.items()}
        draw(found, config, console)


if __name__ == "__main__":
    start(main, Config, __doc__)
