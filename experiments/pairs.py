"""Which pairs to compare: an order of items from people's preferences, with as few questions as can be.

    python experiments/pairs.py

200 items with 16 standard normal features have rewards that are linear in them, with weights of a seed's own, so that
differences of rewards have a standard deviation of 2.8: a random pair is won by its better item five times in six.
Answers are drawn by Bradley and Terry's model. A linear reward of the right prior is fitted to ten random pairs, then
to ten more a round, which are random, or

- past-aware and d-optimal: D-optimal batches, with and without regard for what was asked before;
- bald: the ten pairs of most information, one by one;
- thompson: double Thompson sampling, which looks for the best item.

All queries see all 19,900 pairs, and all run with the same 20 seeds, which fix features, rewards and the start set, so
that differences are paired. Measured is Kendall's τ of posterior mean rewards with the true ones, over all items.

Printed: τ and labels to reach .9, and the ratio of the median number of labels to that of random, with a 95 % interval
over paired seeds, and whether it is at most .6. Drawn: τ against labels, in figures/. Kept: runs/pairs/. Seeds on
record are not run again when the same command is typed, and a study of few seeds grows with --seeds.

Expected: random needs 620 labels, past-aware 220 (.35 of them, interval .26 to .48), d-optimal 210 (.34), bald 250
(.40); thompson, which does not care for the order of bad items, does worse than random.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from bal import open_record, seed_keys, use_all_cores
from bal.loop import Curves
from bal.pairs import (
    Items,
    PairSetup,
    d_optimal,
    double_thompson,
    linear_reward,
    pair_bald,
    past_aware_d_optimal,
    random_pairs,
    rank_agreement,
    run_pairs,
    simulated_answers,
)
from bal.typing import PRNGKey, Task
from experiments.annotators import ratio
from experiments.common import ON_RECORD, report, start
from experiments.options import at_least, picture, positive, recorded

Strategy = Literal["random", "past-aware", "d-optimal", "bald", "thompson"]
CLAIM = 0.6
"""The share of random's labels that the study asks about."""


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    strategies: tuple[Strategy, ...] = ("random", "past-aware", "d-optimal", "bald", "thompson")
    """How pairs are chosen; ratios are to random."""
    seeds: int = 20
    """Paired repetitions."""
    rounds: int = 80
    """Rounds of questions."""
    batch_size: int = 10
    """Pairs of a round."""
    start_size: int = 10
    """Random pairs before the first round."""
    items: int = 200
    """Items to be put in order."""
    features: int = 16
    """Features of an item."""
    spread: float = 2.0
    """Standard deviation of rewards."""
    draws: int = 32
    """Posterior draws."""
    target: float = 0.9
    """Kendall's τ to reach."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def experiment(strategy: Strategy, config: Config) -> Callable[[PRNGKey], dict[str, Any]]:
    """A run of one seed, as a function of its key."""
    prior = config.spread**2 / config.features
    queries: dict[str, Any] = {
        "random": random_pairs(),
        "past-aware": past_aware_d_optimal(ridge=1 / prior),
        "d-optimal": d_optimal(ridge=1 / prior),
        "bald": pair_bald(),
        "thompson": double_thompson(),
    }
    learner = linear_reward(config.draws, prior=prior)
    sizes = config.batch_size, config.rounds, config.start_size
    setup = PairSetup(learner, queries[strategy], *sizes, rank_agreement())

    def run(key: PRNGKey) -> dict[str, Any]:
        key_x, key_weights, key_run = jax.random.split(key, 3)
        x = jax.random.normal(key_x, (config.items, config.features))
        rewards = x @ (jnp.sqrt(prior) * jax.random.normal(key_weights, (config.features,)))
        found = run_pairs(key_run, Task(Items(x), simulated_answers(rewards), (x, rewards)), setup)
        return {"tau": found.metrics["tau"], "pairs": found.log.pairs, "answers": found.log.y}

    return run


def found_of(strategy: Strategy, config: Config, console: Console) -> np.ndarray:
    """τ ``[seeds, rounds + 1]`` of one strategy: run the seeds that are not on record, all in one program."""
    settings = {"strategy": strategy, **recorded(config)}
    with open_record(config.runs, "pairs", settings, fresh=config.fresh) as record:
        known = {event["seed"]: event["tau"] for event in record.events if event["kind"] == "pairs"}
        left = [seed for seed in range(config.seeds) if seed not in known]
        ON_RECORD["pairs", strategy] = config.seeds - len(left), config.seeds
        if left:
            keys, begun = seed_keys(0, config.seeds)[np.array(left)], time.perf_counter()
            program = jax.jit(jax.vmap(experiment(strategy, config))).lower(keys).compile()
            compiled = time.perf_counter()
            found = jax.tree.map(np.asarray, program(keys))
            ran = time.perf_counter()
            events = [
                {"kind": "pairs", "seed": seed, **{name: leaf[place] for name, leaf in found.items()}}
                for place, seed in enumerate(left)
            ]
            record.append(events)
            known |= {event["seed"]: event["tau"] for event in events}
            ON_RECORD["pairs", strategy] = config.seeds, config.seeds
            spent = f"{compiled - begun:.0f} s compiling, {ran - compiled:.0f} s running"
            console.print(f"{strategy}: {len(left)} seeds, {spent}")
        else:
            console.print(f"{strategy}: {config.seeds} seeds on record")
    return np.array([known[seed] for seed in range(config.seeds)])


def labels_to(target: float, labels: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Labels of the first evaluation that reaches a target ``[S]``; inf where none does."""
    reached = tau >= target
    return np.where(reached.any(1), labels[reached.argmax(1)], np.inf)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "draws", "features")
    at_least(config, 2, "items", "draws")
    at_least(config, 0, "start_size")
    positive(config, "spread", "target")
    if not config.strategies:
        raise SystemExit("--strategies must name at least one")
    asked, pairs = config.start_size + config.rounds * config.batch_size, config.items * (config.items - 1) // 2
    if asked > pairs:
        raise SystemExit(f"{asked} questions were wanted, but {config.items} items make {pairs} pairs; ask for fewer")
    use_all_cores()
    found = {strategy: found_of(strategy, config, console) for strategy in config.strategies}
    labels = config.start_size + config.batch_size * np.arange(config.rounds + 1)
    curves = Curves(labels, {"tau": found}, {}, {})
    report("pairs", curves, config.target, picture(config, "pairs"), console, metric="tau")
    costs = {name: labels_to(config.target, labels, tau) for name, tau in found.items()}
    for name in costs:
        if "random" not in costs or name == "random":
            continue
        whole, low, high = ratio(costs[name], costs["random"])
        interval = f", 95 % {low:.2f} to {high:.2f}" if config.seeds > 1 else ""
        verdict = "at most" if high <= CLAIM else "more than" if low > CLAIM else "not told apart from"
        console.print(f"{name}: {whole:.2f} of random's labels to τ {config.target:g}{interval}: {verdict} {CLAIM:g}")


if __name__ == "__main__":
    start(main, Config, __doc__)
