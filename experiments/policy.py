"""Can a policy that was trained on simulated experiments choose rows better than BALD and margin do?

    python experiments/policy.py

A network of 71 parameters scores rows from six signals of the posterior (entropy, margin, least confidence, BALD,
distances to the labels and to the pool) and the share of the budget that is spent. It is trained by evolution
strategies in `bal.learned.environment`: fitness is the mean accuracy over an experiment, of 10 rounds of 2 labels from
4, averaged over tasks that are drawn anew each generation and are the same for the whole population. Half of the tasks
are four classes of scikit-learn's digits in 16 random directions, half are synthetic, of two clusters a class. A
generation is one compiled program, mapped over population and tasks.

Then it is frozen, and is a strategy like any other, `learned_policy`. It is compared on fresh tasks of the kinds it was
trained on, and on tables that it has never seen, of other numbers of inputs, classes and labels, with random, margin
and BALD: the same 20 seeds fix pool, test, start set and initial weights for all, so that differences are paired.

Printed: fitness in training, areas on fresh tasks, tables and verdicts on unseen sets, and in words how the policy
compares with the better of margin and BALD. Drawn: learning curves, in figures/. Kept: runs/, the training too, so that
the same command goes on where it was stopped.

Expected: on fresh tasks of the training kind the policy is above margin (1.4 points of area) and BALD (0.8). That does
not travel: on vowel and satellite it is no better than they, and on vehicle, where BALD is worse than random, so is it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from bal import make_pool, strategies, use_all_cores
from bal.datasets import digits
from bal.evaluation import area_under_curve, classification
from bal.evaluation.statistics import paired_difference
from bal.learned import (
    SIGNALS,
    Environment,
    Evolved,
    Policy,
    environment,
    generation,
    learned_policy,
    new_policy,
    play,
    policy_select,
)
from bal.learners import ensemble, linear
from bal.records import identity
from bal.typing import Learner, Setup, Task
from experiments.common import report, run_study, start
from experiments.options import at_least, picture, positive, recorded
from experiments.small_tables import Sizes, TableName, table_tasks

CLASSES, DIRECTIONS, TRAINING_ROUNDS, TRAINING_BATCH = 4, 16, 10, 2


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    data: tuple[TableName, ...] = ("vehicle", "vowel", "satellite")
    """Tables the policy has not seen; they need a file in the folder BAL_DATA."""
    generations: int = 60
    """Generations of the training."""
    population: int = 16
    """Policies of a generation, even."""
    tasks: int = 8
    """Experiments that each of them plays in a generation."""
    sigma: float = 0.2
    """Standard deviation of the population around its middle."""
    step_size: float = 0.05
    """Adam's learning rate of the training."""
    task_rows: int = 100
    """Rows of a training task's pool, and of its test."""
    fresh_tasks: int = 100
    """Fresh tasks of the training kind that the trained policy is compared on."""
    seeds: int = 20
    """Paired repetitions on unseen tables."""
    rounds: int = 20
    """Acquisition rounds there."""
    batch_size: int = 4
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the start, balanced over classes."""
    pool_size: int = 500
    """Rows of the pool, at most."""
    test_size: int = 500
    """Rows held out in each seed, at most, and at most a third of a table."""
    members: int = 4
    """Softmax regressions in the ensemble."""
    steps: int = 40
    """Adam steps of one of their trainings."""
    minibatch_size: int = 16
    """Rows of a step."""
    learning_rate: float = 5e-2
    """Adam's learning rate there."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Train and run everything anew, whatever is on record; old records are set aside."""


def simulated(rng: np.random.Generator, images: tuple[np.ndarray, np.ndarray], rows: int) -> Task:
    """A training task: four digits in random directions, or clusters; standardized, one label a class at the start."""
    if rng.random() < 0.5:
        x, y = images
        chosen = rng.permutation(10)[:CLASSES]
        some = rng.permutation(np.flatnonzero(np.isin(y, chosen)))[: 2 * rows]
        y = np.argsort(chosen)[np.searchsorted(np.sort(chosen), y[some])]
        x = x[some] @ rng.normal(size=(x.shape[1], DIRECTIONS))
    else:
        y = rng.integers(CLASSES, size=2 * rows)
        centers = rng.normal(size=(CLASSES, 2, DIRECTIONS)) * rng.uniform(0.5, 1.5)
        x = centers[y, rng.integers(2, size=2 * rows)] + rng.normal(size=(2 * rows, DIRECTIONS))
    x = ((x - x[:rows].mean(0)) / x[:rows].std(0)).astype(np.float32)
    y = y.astype(np.int32)
    first = np.array([next(iter(np.flatnonzero(y[:rows] == c)), c) for c in range(CLASSES)], np.int32)
    return Task(make_pool(x[:rows]), y[:rows], (x[rows:], y[rows:]), first)


def drawn(seed: int, number: int, rows: int, images: tuple[np.ndarray, np.ndarray]) -> tuple[jax.Array, Task]:
    """Keys and tasks, stacked."""
    rng = np.random.default_rng([7, seed])
    tasks = [simulated(rng, images, rows) for _ in range(number)]
    return jax.random.split(jax.random.key(seed), number), jax.tree.map(lambda *parts: np.stack(parts), *tasks)


def areas(game: Environment, policies: Policy, keys: jax.Array, tasks: Task) -> jax.Array:
    """Mean accuracy over an experiment, of each policy on each task ``[P, T]``."""

    def one(policy: Policy, key: jax.Array, task: Task) -> jax.Array:
        return play(key, task, game, policy_select(policy)).values.mean()

    return jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))(policies, keys, tasks)


def learner_of(num_classes: int, config: Config) -> Learner:
    """What is trained on labels, in training tasks and on unseen tables alike."""
    optimizer, size = optax.adam(config.learning_rate), config.minibatch_size
    return ensemble(
        linear(num_classes), config.members, optimizer=optimizer, num_steps=config.steps, minibatch_size=size
    )


def trained(game: Environment, images: tuple[np.ndarray, np.ndarray], config: Config, console: Console) -> Policy:
    """The policy, trained; goes on where a training with the same options was stopped."""
    optimizer, begun = optax.adam(config.step_size), new_policy(jax.random.key(0))
    now, done = Evolved(begun, optimizer.init(begun)), 0
    names = ("population", "tasks", "sigma", "step_size", "task_rows", "members", "steps", "minibatch_size")
    words = {name: recorded(config)[name] for name in (*names, "learning_rate")}
    path = config.runs / "policy-training" / f"{identity(words)[:12]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves, tree = jax.tree.flatten(now)
    history: list[float] = []
    if path.exists() and not config.fresh:
        with np.load(path) as kept:
            if len(kept["history"]) <= config.generations:
                history = kept["history"].tolist()
                now = tree.unflatten([jnp.asarray(kept[f"leaf{place}"]) for place in range(len(leaves))])
    done = len(history)

    @jax.jit
    def advance(key: jax.Array, now: Evolved, keys: jax.Array, tasks: Task) -> tuple[Evolved, jax.Array]:
        fitness = lambda policies: areas(game, policies, keys, tasks).mean(1)
        return generation(key, now, fitness, optimizer, config.population, config.sigma)

    for number in range(done, config.generations):
        keys, tasks = drawn(number, config.tasks, config.task_rows, images)
        now, found = advance(jax.random.fold_in(jax.random.key(1), number), now, keys, tasks)
        history.append(float(found.mean()))
        if (number + 1) % 10 == 0 or number + 1 == config.generations:
            console.print(f"generation {number + 1}: fitness {np.mean(history[-10:]):.3f}, mean of the last ten")
            kept = {f"leaf{place}": np.asarray(leaf) for place, leaf in enumerate(jax.tree.leaves(now))}
            np.savez(path.with_suffix(".tmp.npz"), allow_pickle=False, history=np.array(history), **kept)
            os.replace(path.with_suffix(".tmp.npz"), path)
    console.print(f"policy: {path}", soft_wrap=True)
    return now.params


def alone(signal: str | None) -> Policy:
    """The policy that ranks by one signal; without one all rows tie, and the first of a shuffled pool are picked."""
    blank = jax.tree.map(jnp.zeros_like, new_policy(jax.random.key(0)))
    return blank if signal is None else blank._replace(skip=blank.skip.at[SIGNALS.index(signal)].set(1.0))


def on_fresh_tasks(policy: Policy, game: Environment, images: tuple, config: Config, console: Console) -> None:
    """Print how the policy does on new tasks of the training kind, paired."""
    others = {"random": alone(None), "margin": alone("margin"), "bald": alone("bald")}
    policies = jax.tree.map(lambda *parts: jnp.stack(parts), policy, *others.values())
    keys, tasks = drawn(10**6, config.fresh_tasks, config.task_rows, images)
    found = np.asarray(jax.jit(partial(areas, game))(policies, keys, tasks), float)
    console.print(f"fresh tasks of the training kind, mean accuracy over an experiment: policy {found[0].mean():.3f}")
    for name, values in zip(others, found[1:], strict=True):
        words = f"  {name} {values.mean():.3f}"
        if config.fresh_tasks > 1:
            apart = paired_difference(found[0], values)
            words += f": policy {100 * apart.mean:+.1f} points, {100 * apart.low:+.1f} to {100 * apart.high:+.1f}"
        console.print(words, soft_wrap=True)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "generations", "tasks", "task_rows", "fresh_tasks", "seeds", "rounds", "batch_size")
    at_least(config, 1, "start_size", "pool_size", "test_size", "members", "steps", "minibatch_size")
    at_least(config, 2, "population")
    positive(config, "sigma", "step_size", "learning_rate")
    if config.population % 2:
        raise SystemExit(f"--population must be even, got {config.population}")
    sizes = Sizes(config.pool_size, config.test_size, config.start_size, config.rounds, config.batch_size)
    tables: dict[str, tuple[int, Callable[[int], Task]]] = {name: table_tasks(name, sizes) for name in config.data}
    use_all_cores()
    images = digits().x.astype(np.float32), digits().y
    rule = learned_policy(new_policy(jax.random.key(0)))  # what is seen of a row; its own selector is not used
    played = Setup(learner_of(CLASSES, config), rule, TRAINING_BATCH, TRAINING_ROUNDS, evaluate=classification())
    game = environment(played)
    policy = trained(game, images, config, console)
    weights = ", ".join(f"{name} {value:+.2f}" for name, value in zip(SIGNALS, np.asarray(policy.skip), strict=False))
    console.print(f"linear part: {weights}", soft_wrap=True)
    on_fresh_tasks(policy, game, images, config, console)
    queries = {"random": strategies.random(), "margin": strategies.margin(), "bald": strategies.bald()}
    queries["policy"] = learned_policy(policy)
    told = {name: value for name, value in recorded(config).items() if name not in ("data", "fresh_tasks")}
    for name, (num_classes, tasks) in tables.items():
        learner = learner_of(num_classes, config)
        setup = Setup(learner, queries["random"], config.batch_size, config.rounds, evaluate=classification())
        setups = {one: setup._replace(query=query) for one, query in queries.items()}
        folder = f"policy-{name}"
        curves = run_study(folder, tasks, setups, config, console, options=told)
        report(folder, curves, None, picture(config, folder), console)
        values = {one: area_under_curve(curves.labels, curve) for one, curve in curves.metrics["accuracy"].items()}
        best = max(("margin", "bald"), key=lambda one, values=values: values[one].mean())
        apart = 100 * (values["policy"].mean() - values[best].mean())
        words = f"{name}: the policy is {apart:+.1f} points of area from {best}, the better of margin and BALD"
        if config.seeds > 1:
            found = paired_difference(values["policy"], values[best])
            words += f", 95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}"
        console.print(words, soft_wrap=True)


if __name__ == "__main__":
    start(main, Config, __doc__)
