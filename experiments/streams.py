"""Which rule for asking makes the best use of one label in ten on a stream: with drift, and without?

    python experiments/streams.py

Three streams, each row predicted before its label is seen, 20 seeds:

- digits: scikit-learn's 1,797 digits in random order.
- digits, drifting: the same twice, the second time with every class called by the next number. Inputs tell nothing of
  the change, so that a model which is sure of itself does not ask.
- SEA: 2,000 rows of the SEA concepts, two features that matter, four thresholds in turn, 10 % of labels wrong.

A committee of five small networks takes a step of training at each row, on the latest 300 labels. All rules have the
same budget: after t rows at most a tenth of t labels. A seed fixes order, drift, initial weights and minibatches.

- random: rows by chance. (It wants twice what it gets, so that the budget is spent; so do others that are not listed
  with a share.)
- fixed, variable, randomized, split: thresholds of confidence by Zliobaite et al. 2014.
- committee: `query_by_committee`, two members drawn at random differ.
- margin, bald, epig: the tenth of the latest 100 rows with the highest scores; EPIG about the latest 32 rows.
- all labels: what the committee does that is told every label, for comparison.

Printed: labels asked, accuracy over all rows, the difference to random with a 95 % interval over paired seeds, a
verdict after Holm's correction within the stream, and regret: mistakes more than with all labels. Drawn: the faded
accuracy along each stream, in figures/. Kept: runs/streams/. An interrupted run goes on at the rule where it stopped
when the same command is typed again.

Expected on digits: all but committee better than random, by .014 to .030. On drifting digits: until the change most
rules are ahead of random, after it all are behind, and over all rows none is better; a committee that agrees too soon
(committee) leaves more than half of its labels unasked. On SEA split and variable are better than random, by .017
and .015.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bal import open_record, seed_keys, use_all_cores
from bal.acquisition import bald, margin
from bal.datasets import digits
from bal.evaluation import holm, judgment, paired_difference
from bal.evaluation.plots import beside, canvas, draw_curve, save, strategy_styles
from bal.learners import mlp
from bal.loop.fingerprint import rows_digest
from bal.method import brief
from bal.stream import (
    Rule,
    at_random,
    committee,
    concepts,
    from_learner,
    minus_confidence,
    quantile,
    query_by_committee,
    recent_epig,
    relabeled,
    run_stream_seeds,
    sea,
    share_of_rows,
    split,
    stream_rounds,
    threshold,
    unlimited,
    variable_threshold,
)
from experiments.common import ON_RECORD, start
from experiments.options import at_least, picture, positive, recorded

Name = Literal["digits", "digits, drifting", "SEA"]
RuleName = Literal[
    "random", "fixed", "variable", "randomized", "split", "committee", "margin", "bald", "epig", "all labels"
]


@dataclass(frozen=True)
class Config:
    """Options of the study; the defaults are the published run."""

    streams: tuple[Name, ...] = ("digits", "digits, drifting", "SEA")
    """Which streams."""
    strategies: tuple[RuleName, ...] = (
        *("random", "variable", "split", "committee", "margin", "bald", "epig", "all labels"),
    )
    """Rules; random is always among them. There are fixed and randomized thresholds too."""
    seeds: int = 20
    """Paired repetitions."""
    share: float = 0.1
    """Labels a row that are paid for."""
    rows: int = 2_000
    """Rows of SEA."""
    most_digits: int = 1_797
    """Digits that are used."""
    members: int = 5
    """Networks in the committee."""
    hidden: int = 32
    """Units of a network."""
    minibatch_size: int = 16
    """Rows of a step."""
    capacity: int = 300
    """Labels that are remembered."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    stretches: int = 40
    """Points of a curve."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


def stream_of(name: Name, config: Config) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows ``[S, T, D]``, labels ``[S, T]`` and the number of classes: a stream for each seed."""
    if name == "SEA":
        order = concepts(jax.random.key(0), config.rows, (0, 1, 2, 3))
        found = jax.jit(jax.vmap(lambda key: sea(key, order)))(seed_keys(1, config.seeds))
        return np.asarray(found.x) / 5.0 - 1.0, np.asarray(found.y), 2
    data, xs, ys = digits(), [], []
    order = (0,) if name == "digits" else (0, 1)
    for seed in range(config.seeds):
        rng = np.random.default_rng(seed)
        rows = np.concatenate([rng.permutation(len(data.y))[: config.most_digits] for _ in order])
        concept = np.repeat(order, len(rows) // len(order))
        found = relabeled(np.asarray(data.x, np.float32)[rows], np.asarray(data.y, np.int32)[rows], concept, 10)
        xs.append(np.asarray(found.x))
        ys.append(np.asarray(found.y))
    return np.stack(xs), np.stack(ys), 10


def rule_of(name: RuleName, share: float) -> Rule:
    """The rule by its name."""
    return {
        "random": lambda: at_random(min(2 * share, 1.0)),
        "fixed": lambda: threshold(minus_confidence, -0.9),
        "variable": lambda: variable_threshold(minus_confidence, -1.0),
        "randomized": lambda: variable_threshold(minus_confidence, -1.0, spread=1.0),
        "split": lambda: split(variable_threshold(minus_confidence, -1.0), min(2 * share, 1.0)),
        "committee": query_by_committee,
        "margin": lambda: quantile(margin, share),
        "bald": lambda: quantile(bald, share),
        "epig": lambda: quantile(recent_epig(32), share),
        "all labels": lambda: at_random(1.0),
    }[name]()


def run_or_read(name: Name, rule_name: RuleName, data: tuple, config: Config, console: Console) -> list[list[dict]]:
    """The rounds of all seeds, from a record where they are on one."""
    x, y, num_classes = data
    learner = committee(
        mlp((config.hidden,), num_classes),
        config.members,
        optimizer=optax.adam(config.learning_rate),
        minibatch_size=config.minibatch_size,
    )
    method = from_learner(learner, rule_of(rule_name, config.share), num_classes, capacity=config.capacity)
    budget = unlimited() if rule_name == "all labels" else share_of_rows(config.share)
    others = ("streams", "share") if rule_name == "all labels" else ("streams",)
    options = {option: value for option, value in recorded(config).items() if option not in others}
    words = {**options, "stream": name, "strategy": rule_name, "method": brief(method), "budget": brief(budget)}
    words |= {"seeds": config.seeds}
    with open_record(config.runs, "streams", words, rows_digest((x, y)), config.fresh) as record:
        if not record.done:
            runs = run_stream_seeds(seed_keys(0, config.seeds), x, y, method, budget, axes=(0, 0))
            log = jax.tree.map(np.asarray, runs.log)
            for seed in range(config.seeds):
                own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], log)
                record.append(stream_rounds(own, y[seed], config.stretches, seed, fading=0.99))
            record.finish({"compile_seconds": runs.compile_seconds, "run_seconds": runs.run_seconds})
            taken = f"compiled in {runs.compile_seconds:.0f} s, ran in {runs.run_seconds:.0f} s"
        else:
            taken = "on record"
        ON_RECORD[name, rule_name] = config.seeds, config.seeds
        console.print(f"{name}, {rule_name}: {taken}", highlight=False)
        return [record.rounds(seed) for seed in range(config.seeds)]


def accuracies(rounds: list[list[dict]], num_rows: int) -> np.ndarray:
    """Accuracy over all rows of each seed ``[S]``."""
    sizes = [len(part) for part in np.array_split(np.arange(num_rows), len(rounds[0]))]
    each = np.array([[event["metrics"]["accuracy"] for event in seed] for seed in rounds])
    return each @ np.array(sizes) / num_rows


def report(name: Name, found: dict[RuleName, list[list[dict]]], num_rows: int, console: Console) -> None:
    """The table of a stream."""
    accuracy = {rule: accuracies(rounds, num_rows) for rule, rounds in found.items()}
    ours = [rule for rule in found if rule not in ("random", "all labels")]
    several = len(accuracy["random"]) > 1
    differences = {rule: paired_difference(accuracy[rule], accuracy["random"]) for rule in ours} if several else {}
    adjusted = holm(np.array([one.p_value for one in differences.values()])) if differences else []
    verdicts = {rule: judgment(one, p, len(ours)) for (rule, one), p in zip(differences.items(), adjusted, strict=True)}
    title = f"{name}: {num_rows} rows, {len(accuracy['random'])} seeds"
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in ("rule", "labels", "accuracy", "less\nrandom", "95 %", "regret", "against\nrandom"):
        table.add_column(column, justify="left" if column in ("rule", "against\nrandom") else "right", no_wrap=True)
    for rule, rounds in found.items():
        labels = np.mean([seed[-1]["counts"]["acquired"] for seed in rounds])
        mean, less, interval = f"{accuracy[rule].mean():.3f}", "", ""
        if rule in differences:
            one = differences[rule]
            less, interval = f"{one.mean:+.3f}", f"{one.low:+.3f} {one.high:+.3f}"
        lost = ""
        if "all labels" in accuracy:
            lost = f"{num_rows * (accuracy['all labels'] - accuracy[rule]).mean():.0f}"
        table.add_row(
            rule,
            f"{labels:.0f}",
            mean,
            less,
            interval,
            lost,
            verdicts.get(rule, "")
            .replace(" from random", "")
            .replace(" than random", "")
            .replace("not dis", "not\ndis"),
        )
    console.print(table)


def draw(found: dict[Name, dict[RuleName, list[list[dict]]]], lengths: dict[Name, int], config: Config) -> Path:
    """Faded accuracy along each stream."""
    path = picture(config, "streams")
    path.parent.mkdir(parents=True, exist_ok=True)
    styles = strategy_styles([rule for rule in config.strategies if rule != "all labels"] + ["random"])
    styles["all labels"] = {"color": "gray", "linestyle": ":", "marker": "x"}
    with canvas(len(found), 0.5 * len(found)) as figure:  # as high for three streams as for one
        for place, (name, rules) in enumerate(found.items()):
            axis = figure.add_subplot(1, len(found), place + 1, title=name, xlabel="rows")
            if not place:
                axis.set_ylabel("accuracy of late, before labels")
            ends = np.cumsum([len(part) for part in np.array_split(np.arange(lengths[name]), config.stretches)])
            for rule, rounds in rules.items():
                faded = np.array([[event["metrics"]["prequential"] for event in seed] for seed in rounds])
                draw_curve(axis, ends, faded, rule, styles[rule], (0, 1))
            axis.grid(alpha=0.3)
        beside(figure, f"{config.seeds} seeds")
    save(figure, path)
    return path


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rows", "most_digits", "members", "hidden", "minibatch_size", "capacity", "stretches")
    positive(config, "share", "learning_rate")
    if config.share > 1:
        raise SystemExit(f"--share must be at most 1, got {config.share:g}")
    least = min(config.rows, config.most_digits)
    if config.stretches > least:
        raise SystemExit(f"--stretches must be at most {least}, the rows of a stream, got {config.stretches}")
    use_all_cores()
    names: list[RuleName] = ["random", *(rule for rule in config.strategies if rule != "random")]
    found, lengths = {}, {}
    for name in config.streams:
        data = stream_of(name, config)
        lengths[name] = data[1].shape[1]
        found[name] = {rule: run_or_read(name, rule, data, config, console) for rule in names}
    for name, rules in found.items():
        report(name, rules, lengths[name], console)
    console.print(f"accuracy along the streams: {draw(found, lengths, config)}", soft_wrap=True)


if __name__ == "__main__":
    start(main, Config, __doc__)
