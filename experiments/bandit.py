"""Does a bandit over strategies find the best of them? Against each of its arms, on three tables.

    python experiments/bandit.py

ALBL (Hsu and Lin 2015) draws, for each label, one of its arms by EXP4.P: entropy, margin, BALD, BADGE or a uniform
draw, and learns from the accuracy of the next model, weighted by the law of the picks. Twice: with the paper's
importance-weighted accuracy for a reward, and with LURE, which is less noisy. An ensemble of softmax regressions is
retrained every round of 5 labels, from 20 labels to 170; a seed fixes pool, test, start set and initial weights for all
strategies, so that differences are paired. Each strategy is one compiled program over all seeds.

Printed, for every table: area under the accuracy curve of each strategy, the difference of each bandit to the arm that
turned out best (chosen in hindsight on the same seeds, to the bandit's disadvantage), whether it is shown, by one-sided
tests at 5 %, to be within 2 points, and what share of the picks each arm had in the last rounds. Drawn: learning
curves, in figures/. Kept: runs/. An interrupted study goes on where it stopped when the same command is typed again,
and grows with --seeds.

Expected: the bandit is shown to be within 2 points of the best arm's area on all three tables, and of its last accuracy
but for vowel (2.2 points). It does not find that arm: each keeps a fifth of the picks to the end, the same picks with
either reward. Rewards differ little from round to round, and 30 rounds at EXP4.P's pace move weights by a tenth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import open_record, strategies, use_all_cores
from bal.evaluation import area_under_curve, classification
from bal.evaluation.equivalence import equivalence_test
from bal.learned import bandit, importance_weighted, lure_weighted
from bal.learners import ensemble, linear
from bal.loop import Curves
from bal.loop.stacked import stacked, task_digest
from bal.loop.study import in_words
from bal.typing import Query, Setup, Task
from experiments.common import report, run_study, start
from experiments.options import at_least, picture, positive, recorded
from experiments.small_tables import Sizes, TableName, table_tasks

ARMS: dict[str, Query] = {
    "entropy": strategies.entropy(),
    "margin": strategies.margin(),
    "bald": strategies.bald(),
    "badge": strategies.badge(),
}
Arm = Literal["entropy", "margin", "bald", "badge"]
REWARDS = {"albl": importance_weighted, "albl-lure": lure_weighted}


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    data: tuple[TableName, ...] = ("digits", "vowel", "satellite")
    """Tables; all but digits need a file in the folder BAL_DATA."""
    arms: tuple[Arm, ...] = ("entropy", "margin", "bald", "badge")
    """Arms of the bandit beside the uniform draw, which is always there."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 30
    """Acquisition rounds."""
    batch_size: int = 5
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the start, balanced over classes."""
    pool_size: int = 600
    """Rows of the pool, at most."""
    test_size: int = 500
    """Rows held out in each seed, at most, and at most a third of a table."""
    members: int = 5
    """Softmax regressions in the ensemble."""
    steps: int = 100
    """Adam steps of a training."""
    minibatch_size: int = 32
    """Rows of a step."""
    learning_rate: float = 3e-2
    """Adam's learning rate."""
    within: float = 0.02
    """How much less than the best arm would not matter."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def words_of(config: Config) -> dict[str, object]:
    """Options that name a record."""
    return {name: value for name, value in recorded(config).items() if name not in ("data", "arms", "within")}


def shares(folder: str, name: str, setup: Setup, tasks: Callable[[int], Task], config: Config) -> np.ndarray:
    """Share of the picks of each arm in the last third of the rounds, the uniform one last."""
    digest = task_digest(*stacked(tasks, config.seeds))
    with open_record(config.runs, folder, in_words(name, setup, 0, words_of(config)), digest, False) as record:
        events = [event for seed in range(config.seeds) for event in record.rounds(seed)]
    last = [event for event in events if event["round"] > config.rounds * 2 // 3]
    arms = np.concatenate([np.asarray(event["info"]["arm"]) for event in last])
    return np.bincount(arms, minlength=len(config.arms) + 1) / len(arms)


def compared(name: str, curves: Curves, drawn: dict[str, np.ndarray], config: Config, console: Console) -> None:
    """Print each bandit against the best single arm of a table, and say in words what is shown."""
    areas = {one: area_under_curve(curves.labels, values) for one, values in curves.metrics["accuracy"].items()}
    finals = {one: values[:, -1] for one, values in curves.metrics["accuracy"].items()}
    singles = [one for one in ("random", *config.arms) if one in areas]
    points = f"{100 * config.within:g} points"
    table = Table(title=f"{name}: bandits against the best arm, points of accuracy", box=SIMPLE_HEAD)
    for column in ("bandit", "measure", "best arm", "minus\nbest", "90 %", f"within {points}"):
        table.add_column(column, justify="right" if column in ("minus\nbest", "90 %") else "left")
    for bandit_name in REWARDS:
        for measure, values in (("area", areas), ("final", finals)):
            best = max(singles, key=lambda one, values=values: values[one].mean())
            apart = 100 * (values[bandit_name] - values[best]).mean()
            bounds, words = "", "one seed"
            if config.seeds > 1:
                found = equivalence_test(values[bandit_name], values[best], config.within)
                bounds = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
                on_average = "on average, not shown" if found.mean > -config.within else "no"
                words = "shown" if found.low > -config.within else on_average
            table.add_row(bandit_name, measure, best, f"{apart:+.1f}", bounds, words)
    console.print(table)
    for bandit_name, share in drawn.items():
        parts = ", ".join(f"{arm} {one:.0%}" for arm, one in zip((*config.arms, "uniform"), share, strict=True))
        console.print(f"{name}, {bandit_name}: picks of the last third of rounds: {parts}", soft_wrap=True)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "pool_size", "test_size")
    at_least(config, 1, "members", "steps", "minibatch_size")
    positive(config, "learning_rate", "within")
    if not config.arms or not config.data:
        raise SystemExit("--arms and --data must be at least one each")
    sizes = Sizes(config.pool_size, config.test_size, config.start_size, config.rounds, config.batch_size)
    tables = {name: table_tasks(name, sizes) for name in config.data}
    use_all_cores()
    arms = [ARMS[name] for name in config.arms]
    bandits = {name: bandit(*arms, num_rounds=config.rounds, estimate=reward) for name, reward in REWARDS.items()}
    queries = {"random": strategies.random(), **{name: ARMS[name] for name in config.arms}, **bandits}
    for name, (num_classes, tasks) in tables.items():
        learner = ensemble(
            linear(num_classes),
            config.members,
            optimizer=optax.adam(config.learning_rate),
            num_steps=config.steps,
            minibatch_size=config.minibatch_size,
        )
        setup = Setup(learner, queries["random"], config.batch_size, config.rounds, evaluate=classification())
        setups = {one: setup._replace(query=query) for one, query in queries.items()}
        folder = f"bandit-{name}"
        curves = run_study(folder, tasks, setups, config, console, options=words_of(config))
        report(folder, curves, None, picture(config, folder), console)
        drawn = {one: shares(folder, one, setups[one], tasks, config) for one in REWARDS}
        compared(name, curves, drawn, config, console)


if __name__ == "__main__":
    start(main, Config, __doc__)
