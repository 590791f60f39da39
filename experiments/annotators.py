"""Whom to ask: a dear annotator who never errs, or a cheap one who confuses digits that look alike?

    python experiments/annotators.py

Scikit-learn's 1,797 digits. The dear annotator takes 1 for a label; the cheap one takes .05 and answers one time in
five with the digit that looks most like it (0 and 6, 1 and 7, 2 and 3, 4 and 9, 5 and 8). A round has a budget of 1,
which buys one label or twenty. Each policy starts with one row a class and runs with the same 20 seeds: a seed fixes
the test set of 500 rows, the start set, the answers and the initial weights, so that differences are paired.

- dear, cheap: one annotator, taken at their word; rows of most BALD, six labels a round of the dear one.
- cheap, errors known: the same one, but the ensemble is fitted through their confusion, and asks by the information
  that gets through it.
- mixed: both, whoever tells most per price, errors known.
- mixed, errors learned: both, what they err in learned by Dawid and Skene; both answer for the start set, and the
  cheap one is believed right four times in five beforehand, wrong anyhow.

Printed: who was asked how often, the cost to 90 % accuracy (start set included; inf = not within the budget of all
rounds), and the ratio of medians to the better of dear and cheap, with a 95 % interval over paired seeds. Drawn:
accuracy against cost, in figures/. Kept: runs/annotators/. An interrupted run goes on where it stopped when the same
command is typed again, and grows with --seeds.

Expected: mixed needs 0.7 of what the cheap one taken at their word does, and a seventh of the dear one. All of
that is knowing the errors: it never asks the dear one, who tells less per price about every row, and so is what the
cheap one with their errors known is. Learning them from answers of both to the start set costs more than it saves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import make_pool, open_record, seed_keys, use_all_cores
from bal.datasets import digits
from bal.evaluation import censored_quantile, classification, values_at
from bal.evaluation.bootstrap import percentile_interval, stratified_distribution
from bal.evaluation.plots import beside, canvas, draw_curve, save
from bal.learners import by_evidence, dawid_skene, ensemble, evidence, linear
from bal.loop.remaining import run_remaining
from bal.loop.stacked import stacked, task_digest
from bal.loop.study import in_words
from bal.progress import progress
from bal.query import Annotator, ask_whom, questions
from bal.typing import Learner, Setup, Task
from experiments.common import ON_RECORD, start
from experiments.options import at_least, check_pool, picture, positive, recorded, start_rows

Policy = Literal["dear", "cheap", "cheap, errors known", "mixed", "mixed, errors learned"]
CLASSES, DEAR, CHEAP = 10, 0, 1
ALIKE = np.array([6, 7, 3, 2, 9, 8, 0, 1, 5, 4])
"""The digit that looks most like each."""
MOST = 1e6
"""A ratio that stands for an infinite one."""


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    policies: tuple[Policy, ...] = ("dear", "cheap", "cheap, errors known", "mixed", "mixed, errors learned")
    """Who is asked, and how they are taken; ratios are to the better of dear and cheap."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 25
    """Acquisition rounds."""
    batch_size: int = 20
    """Most questions of a round."""
    dear_batch_size: int = 6
    """Labels of a round where only the dear annotator is asked."""
    price: float = 0.05
    """Of an answer of the cheap annotator; the dear one takes 1."""
    error: float = 0.2
    """How often the cheap one says the digit that looks alike."""
    start_size: int = 10
    """Labels at the start, balanced over classes."""
    test_size: int = 500
    """Rows held out in each seed."""
    members: int = 10
    """Softmax regressions in the ensemble."""
    steps: int = 200
    """Adam steps of a training."""
    minibatch_size: int = 16
    """Rows of a step."""
    learning_rate: float = 3e-2
    """Adam's learning rate."""
    target: float = 0.9
    """Accuracy to reach."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


class Found(NamedTuple):
    """Of S seeds: what was spent ``[S, E]``, start set included, accuracy ``[S, E]``, questions by annotator."""

    spent: np.ndarray
    accuracy: np.ndarray
    asked: np.ndarray

    def cost_to(self, target: float) -> np.ndarray:
        """Cost of the first evaluation that reaches a target ``[S]``; inf where none does."""
        reached = self.accuracy >= target
        first = self.spent[np.arange(len(reached)), reached.argmax(1)]
        return np.where(reached.any(1), first, np.inf)


def confusions(error: float) -> np.ndarray:
    """Of the dear and of the cheap annotator ``[2, C, C]``."""
    right = np.eye(CLASSES)
    return np.stack([right, (1 - error) * right + error * right[ALIKE]])


def at_random(error: float) -> np.ndarray:
    """What is believed of the two by who does not know which digits look alike."""
    right = np.eye(CLASSES)
    return np.stack([right, (1 - error) * right + error / (CLASSES - 1) * (1 - right)])


def task_of(x: np.ndarray, y: np.ndarray, policy: Policy, config: Config) -> Callable[[int], Task]:
    """The questions of a seed; those of annotators whom the policy does not know are absent."""

    def of_seed(seed: int) -> Task:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(y))
        test, pool = np.sort(order[: config.test_size]), np.sort(order[config.test_size :])
        heard = np.where(rng.random(len(y)) < config.error, ALIKE[y], y)
        first = start_rows(y[pool], config.start_size, seed)
        rows = Task(make_pool(x[pool]), None, (x[test], y[test]))
        asked = questions(rows, [Annotator(1.0, y[pool]), Annotator(config.price, heard[pool])])
        numbers = {"dear": first, "mixed, errors learned": np.concatenate([first, first + len(pool)])}
        present = np.repeat([policy != "cheap" and "cheap," not in policy, policy != "dear"], len(pool))
        return asked._replace(
            pool=asked.pool._replace(present=jax.device_put(present)),
            start=numbers.get(policy, first + len(pool)).astype(np.int32),
        )

    return of_seed


def learner_of(policy: Policy, config: Config) -> Learner:
    """The ensemble, and what it makes of answers."""
    network = ensemble(
        linear(CLASSES),
        config.members,
        optimizer=optax.adam(config.learning_rate),
        num_steps=config.steps,
        minibatch_size=config.minibatch_size,
        likelihood=evidence,
    )
    if policy in ("dear", "cheap"):
        return by_evidence(network, dawid_skene(confusions(0.0), np.inf, 1))
    if policy == "mixed, errors learned":
        return by_evidence(network, dawid_skene(at_random(config.error), [np.inf, 3.0], 20))
    return by_evidence(network, dawid_skene(confusions(config.error), np.inf, 1))


def found_of(policy: Policy, x: np.ndarray, y: np.ndarray, config: Config, console: Console) -> Found:
    """Run a policy, or read it back."""
    task, axes = stacked(task_of(x, y, policy, config), config.seeds)
    size, dear = len(y) - config.test_size, policy == "dear"
    batch_size = config.dear_batch_size if dear else config.batch_size
    query = ask_whom(size, float(batch_size) if dear else 1.0, 2)
    setup = Setup(learner_of(policy, config), query, batch_size, config.rounds, evaluate=classification())
    options = {name: value for name, value in recorded(config).items() if name not in ("policies", "batch_size")}
    words = in_words(policy, setup, 0, options)
    with progress(console) as (show, say, _):

        def shown(finished: int, doing: str) -> None:
            ON_RECORD["annotators", policy] = finished, config.seeds
            show(policy, finished, config.seeds, f"{doing}, {finished} of {config.seeds} seeds")

        with open_record(config.runs, "annotators", words, task_digest(task, axes), config.fresh) as record:
            run_remaining(record, seed_keys(0, config.seeds), task, setup, axes, 4, shown)
            seeds = [record.rounds(number)[: config.rounds + 1] for number in range(config.seeds)]
        say(f"{policy}: {record.path}")
    cost = np.where(np.arange(2 * size) < size, 1.0, config.price)
    bought = [[np.asarray(event["acquired"])[np.asarray(event["valid"])] for event in events] for events in seeds]
    spent = np.array([[cost[rows].sum() for rows in rounds] for rounds in bought]).cumsum(1)
    asked = np.array([[(np.concatenate(rounds) // size == who).sum() for who in (DEAR, CHEAP)] for rounds in bought])
    return Found(spent, np.array([[event["metrics"]["accuracy"] for event in events] for events in seeds]), asked)


def ratio(costs: np.ndarray, baseline: np.ndarray) -> tuple[float, float, float]:
    """Median cost over that of a baseline, and its 95 % interval by a bootstrap over paired seeds; inf where the
    baseline alone arrives or neither does, and no interval for one seed."""
    place = (len(costs) + 1) // 2 - 1
    median = lambda values: np.sort(values, axis=-1)[..., place]

    def of(rows: np.ndarray) -> np.ndarray:
        ours, theirs = median(costs[rows]), median(baseline[rows])
        return np.where(np.isinf(ours), MOST, ours / theirs)

    low = high = whole = float(of(np.arange(len(costs))))
    if len(costs) > 1:
        drawn = stratified_distribution(len(costs), 1, lambda rows: of(rows[..., 0]))
        low, high = (float(end) for end in percentile_interval(drawn, 0.95))
    capped = lambda one: one if one < MOST else np.inf
    return capped(whole), capped(low), capped(high)


def report(found: dict[str, Found], config: Config, console: Console) -> None:
    """Print the table and draw accuracy against cost."""
    costs = {name: one.cost_to(config.target) for name, one in found.items()}
    singles = {name: censored_quantile(costs[name], 0.5) for name in ("dear", "cheap") if name in costs}
    better = min(singles, key=lambda name: singles[name]) if singles else None
    table = Table(title=f"annotators: cost to {config.target:.0%} accuracy, {config.seeds} seeds", box=SIMPLE_HEAD)
    for column in (
        "policy",
        "asked\ndear",
        "asked\ncheap",
        "median\ncost",
        "quartiles",
        f"ratio to\n{better or 'one'}",
        "95 %",
    ):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, one in found.items():
        low, middle, high = (censored_quantile(costs[name], quantile) for quantile in (0.25, 0.5, 0.75))
        shares = ("", "")
        if better is not None and name != better:
            whole, least, most = ratio(costs[name], costs[better])
            shares = f"{whole:.2f}", f"{least:.2f}-{most:.2f}" if config.seeds > 1 else ""
        asked = [f"{count:.0f}" for count in one.asked.mean(0)]
        table.add_row(name, *asked, f"{middle:.1f}", f"{low:.1f}-{high:.1f}", *shares)
    console.print(table)
    path = picture(config, "annotators")
    path.parent.mkdir(parents=True, exist_ok=True)
    with canvas() as figure:
        axis = figure.add_subplot(xlabel="cost", ylabel="test accuracy", title="", xscale="log")
        for number, (name, one) in enumerate(found.items()):
            style = {"color": f"C{number}", "linestyle": ("-", "--", ":")[number % 3]}
            budgets = np.geomspace(one.spent[:, 0].max() * 1.0001, one.spent[:, -1].min() * 0.9999, 60)
            draw_curve(axis, budgets, values_at(one.spent, one.accuracy, budgets), name, style, (0, 1))
        axis.axhline(config.target, color="0.5", linewidth=0.8)
        axis.set_xticks([1, 2, 5, 10, 20, 50, 100], labels=["1", "2", "5", "10", "20", "50", "100"])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
        beside(figure, f"mean of {config.seeds} seeds")
    save(figure, path)
    console.print(f"accuracy against cost: {path}", soft_wrap=True)


def main(config: Config) -> None:
    console, dataset = Console(), digits()
    at_least(config, 1, "seeds", "rounds", "batch_size", "dear_batch_size", "start_size", "test_size")
    at_least(config, 1, "members", "steps", "minibatch_size")
    at_least(config, 0, "error")
    positive(config, "price", "learning_rate", "target")
    if config.error >= 1 or not config.policies:
        raise SystemExit(f"--error must be below 1, and --policies at least one, got {config.error:g}")
    most = max(config.batch_size, config.dear_batch_size)
    check_pool(len(dataset.y) - config.test_size, config.start_size, config.rounds, most)
    x, y = np.asarray(dataset.x, np.float32), np.asarray(dataset.y, np.int32)
    use_all_cores()
    found = {name: found_of(name, x, y, config, console) for name in config.policies}
    report(found, config, console)


if __name__ == "__main__":
    start(main, Config, __doc__)
