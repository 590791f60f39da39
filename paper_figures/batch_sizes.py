"""Acquisition size: what BALD loses when it asks for many labels at once, and BatchBALD does not.

    python -m paper_figures.batch_sizes --scale cpu                  # the MLP
    python -m paper_figures.batch_sizes --scale cpu --network conv   # half-width LeNet: hours, not minutes

MNIST, Monte-Carlo dropout, 20 balanced labels to start from, then batches of 1, 5, 10 or 40. BALD asks for the best
rows one by one, BatchBALD for those whose labels tell most together. Left: accuracy against the labels in the training
set. Right: accuracy, averaged over the numbers of labels that all of them were evaluated at, against acquisition size.
`smoke` takes seconds; `cpu` is an MLP on a pool of 2,500 images to 140 labels, 20 seeds; `paper` has the published
size, for an accelerator. Finished seeds are kept in runs/.

The published logs count labels before the batch of a round is added, so that what a network was trained on is larger
than their number by the acquisition size. Labels to a target are given in both ways.

Not as published: at `cpu` an MLP of 128 units and not their convolutional network, 400 training steps, and 30 draws,
which hold log 30 = 3.4 nats, so that later picks of BatchBALD in a batch of 40 are nearly free choices. An MLP is not
expected to reach 0.9 with 140 labels: all numbers in print are left to `paper`, and labels are counted to 0.75. There:
a fixed number of training steps instead of early stopping on 1,024 validation labels, start labels of each seed's own,
6 seeds where batches of 10 and 40 have 12 in print, and BatchBALD behind a shortlist of 2,000 by BALD. Without MNIST in
``BAL_DATA`` the 8 x 8 digits stand in, and no claim is judged.

Found at `cpu`: what is said of batches holds for an MLP too, but smaller: with batches of 10 BALD loses .015 [.006,
.023] in accuracy against single labels and BatchBALD nothing, with 40 BatchBALD is ahead by .025 [.014, .036]. In
labels to 0.75 the two are not told apart with batches of 10 (fewer in 13, more in 5 of 20 seeds).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.stats

from bal.datasets import Dataset, start_set
from bal.evaluation import censored_quantile, classification, labels_to_target, strategy_styles
from bal.evaluation.plots import band_title, draw_curve
from bal.pool import make_pool
from bal.query import Query
from bal.typing import Learner, Setup, Task
from paper_figures import repeated_mnist
from paper_figures.claims import Claim, Judged, exceeds, told, touches, within
from paper_figures.common import Options, legend, picture, run_study
from paper_figures.figure import Figure, launch
from paper_figures.repeated_mnist import START, few_rows, learner, load, queries

SOURCE = "Kirsch et al. 2019, run logs published by the authors"
Setting = tuple[str, int]
"""A strategy, and its acquisition size."""

LABELS_TO = {  # median labels by target, as in print: before the batch is added
    0.9: {("batchbald", 5): 85, ("batchbald", 10): 90, ("batchbald", 40): 100, ("bald", 1): 96, ("bald", 10): 120},
    0.95: {("batchbald", 5): 170, ("batchbald", 10): 200, ("batchbald", 40): 260, ("bald", 1): 206, ("bald", 10): 250},
}
ACCURACY = {  # median at 100 and at 200 labels in the training set
    ("batchbald", 10): (0.896, 0.947),
    ("bald", 10): (0.860, 0.920),
    ("bald", 1): (0.891, 0.938),
}
SETTINGS = (
    ("random", 10), ("bald", 1), ("bald", 5), ("bald", 10), ("bald", 40), ("batchbald", 5), ("batchbald", 10),
    ("batchbald", 40),
)  # fmt: skip
MLP, LENET = 784 * 128 + 1_280, 24**2 * 25 * 32 + 8**2 * 25 * 32 * 64 + 1_024 * 128 + 1_280
"""Multiply-adds of one image through either network."""
LINES = {1: "solid", 5: "dashdot", 10: "dashed", 20: "dashdot", 40: "dotted"}


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; sizes follow from the scale."""

    network: Literal["mlp", "conv"] = "mlp"
    """784-128-10 with dropout, or BatchBALD's convolutional network, which `paper` always has."""
    seeds: int | None = None
    """Paired repetitions, if not those of the scale."""


class Sizes(NamedTuple):
    """What a scale means: settings, labels acquired by each, the accuracy to reach, and the sizes of an experiment.

    image: multiply-adds of a pass.
    """

    num_seeds: int
    settings: tuple[Setting, ...]
    num_picks: int
    target: float
    each: repeated_mnist.Sizes
    image: int = MLP


SIZES = {
    "smoke": Sizes(2, (("bald", 1), ("batchbald", 10)), 10, 0.5,
                   repeated_mnist.Sizes(0, 0, 200, 200, 10, 50, (4, 8), 500, 50)),
    "cpu": Sizes(20, SETTINGS, 120, 0.75, repeated_mnist.Sizes(0, 0, 2_500, 1_000, 30, 400, (16, 32), 4_000, 500)),
    "paper": Sizes(6, SETTINGS, 280, 0.9,
                   repeated_mnist.Sizes(0, 0, 58_976, 10_000, 100, 2_000, (32, 64), 40_000, 2_000), LENET),
}  # fmt: skip


class Run(NamedTuple):
    """labels in the training set ``[E]``, accuracy ``[S, E]``, start set ``[S, S0]`` and picks ``[S, R, B]``."""

    labels: np.ndarray
    accuracy: np.ndarray
    start: np.ndarray
    acquired: np.ndarray


class Runs(NamedTuple):
    """What was found, by setting, and whether the images are those of MNIST."""

    of: dict[Setting, Run]
    is_mnist: bool


def by_size(
    name: str,
    task: Callable[[int], Task],
    model: Learner,
    strategies: Mapping[str, Query],
    settings: Sequence[Setting],
    num_picks: int,
    config: Options,
    num_seeds: int,
    options: Mapping[str, Any],
) -> dict[Setting, Run]:
    """Every strategy with every acquisition size that it is asked for, each up to the same number of labels."""
    found = {}
    for size in sorted({size for _, size in settings}):
        rounds = num_picks // size
        of_size = {strategy: strategies[strategy] for strategy, other in settings if other == size}
        setups = {
            strategy: Setup(model, query, size, rounds, evaluate=classification(few_rows()), over=few_rows())
            for strategy, query in of_size.items()
        }
        rest = {**options, "num_rounds": rounds}
        curves = run_study(name, task, setups, config, num_seeds, 2, rest, baseline=None)
        for strategy in setups:
            accuracy = curves.metrics["accuracy"][strategy]
            found[strategy, size] = Run(curves.labels, accuracy, curves.start[strategy], curves.acquired[strategy])
    return found


def of_seed(data: Dataset, num_images: int, num_test: int, seed: int) -> Task:
    """Images of a seed for a pool, others for a test, and a start set."""
    assert data.x_test is not None
    assert data.y_test is not None
    random = np.random.default_rng(seed)
    images = random.permutation(len(data.x))[:num_images]
    test = random.permutation(len(data.x_test))[:num_test]
    y = data.y[images].astype(np.int32)
    held_out = data.x_test[test], data.y_test[test].astype(np.int32)
    return Task(make_pool(data.x[images]), y, held_out, np.asarray(start_set(y, START, seed), np.int32))


def network(config: Config) -> str:
    """The network that is trained."""
    return "conv" if config.scale == "paper" else config.network


def run(config: Config, sizes: Sizes) -> Runs:
    """All settings over all seeds."""
    data, is_mnist = load()
    if network(config) == "conv" and not is_mnist:
        raise SystemExit("the conv net needs MNIST: 8 x 8 digits are too small for two 5 x 5 convolutions")
    task = partial(of_seed, data, sizes.each.num_images, sizes.each.num_test)
    common = learner(network(config), sizes.each), queries(sizes.each), sizes.settings, sizes.num_picks
    name = f"batch-sizes-{network(config)}"
    return Runs(by_size(name, task, *common, config, sizes.num_seeds, sizes.each._asdict()), is_mnist)


def shared(runs: Mapping[Setting, Run]) -> np.ndarray:
    """Numbers of labels that all runs were evaluated at, but for the start set."""
    return reduce(np.intersect1d, [run.labels for run in runs.values()])[1:]


def level(run: Run, labels: np.ndarray) -> np.ndarray:
    """Mean accuracy over some numbers of labels, of every seed."""
    return run.accuracy[:, np.isin(run.labels, labels)].mean(1)


def gap(runs: Mapping[Setting, Run], one: Setting, other: Setting) -> np.ndarray | None:
    """Accuracy less another, averaged over the numbers of labels both have; None where one was not run."""
    if one not in runs or other not in runs:
        return None
    both = {name: runs[name] for name in (one, other)}
    return level(runs[one], shared(both)) - level(runs[other], shared(both))


def counts(run: Run, target: float) -> np.ndarray:
    """Labels in the training set when the target is reached first, of every seed; inf = never."""
    return labels_to_target(run.labels, run.accuracy, target)


def fewer(runs: Mapping[Setting, Run], one: Setting, other: Setting, target: float) -> Judged | None:
    """Whether one needs fewer labels than another, by the exact sign test over seeds; seeds that never arrive count."""
    if one not in runs or other not in runs:
        return None
    ours, theirs = counts(runs[one], target), counts(runs[other], target)
    less, more = int((ours < theirs).sum()), int((ours > theirs).sum())
    p = float(scipy.stats.binomtest(less, less + more).pvalue) if less + more else 1.0
    words = f"fewer in {less}, more in {more} of {len(ours)} seeds; p = {p:.3f}"
    few = 0.5 ** (len(ours) - 1) >= 0.05  # no outcome could tell
    return words, None if few or less + more == 0 else p < 0.05 and less > more


def quartiles(run: Run, size: int, target: float, published: int | None) -> Judged:
    """Quartiles of the labels to a target, counted in both ways; whether the median is within 20 of the published."""
    found = [censored_quantile(counts(run, target), share) for share in (0.25, 0.5, 0.75)]
    words = lambda off: "/".join(
        f"{count - off:g}" if np.isfinite(count) else f"> {run.labels[-1] - off}" for count in found
    )
    ours = f"{words(0)} in the training set, {words(size)} before the batch"
    return ours, None if published is None else bool(abs(found[1] - size - published) <= 20)


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """What acquisition size does, then numbers, which only the published size is held to."""
    drawn, bounds = ("curves and labels to 90 %", SOURCE), (-1, 1)
    less = lambda one, other: lambda runs: gap(runs.of, one, other)
    rows = [
        Claim("BALD: batches of 10 are worse than single labels (accuracy, averaged over labels)", *drawn,
              less(("bald", 1), ("bald", 10)), exceeds(0.0, bounds)),
        Claim("BALD: batches of 40 are worse than batches of 10", "drawn", "Kirsch et al. 2019",
              less(("bald", 10), ("bald", 40)), exceeds(0.0, bounds)),
        Claim("BatchBALD with batches of 10 is as good as BALD with single labels", "0.896 against 0.891 at 100 labels",
              SOURCE, less(("batchbald", 10), ("bald", 1)), within(0.02, bounds)),
        Claim("BatchBALD above BALD with batches of 10", "0.896 against 0.860 at 100 labels", SOURCE,
              less(("batchbald", 10), ("bald", 10)), exceeds(0.0, bounds)),
        Claim("BatchBALD above BALD with batches of 40", "drawn", "Kirsch et al. 2019",
              less(("batchbald", 40), ("bald", 40)), exceeds(0.0, bounds)),
        Claim(f"BatchBALD needs fewer labels to {sizes.target:g} than BALD, batches of 10",
              "100 against 130, to 0.9", f"{SOURCE}, there 90 against 120: before the batch",
              lambda runs: fewer(runs.of, ("batchbald", 10), ("bald", 10), sizes.target),
              told("two-sided sign test over seeds, p below 0.05")),
    ]  # fmt: skip
    for target in LABELS_TO if config.scale == "paper" else (sizes.target,):
        rows += [_labels_to(setting, target) for setting in LABELS_TO[0.9] if setting in sizes.settings]
    for setting, values in ACCURACY.items():
        for at, value in zip((100, 200), values, strict=True):
            if setting in sizes.settings and at <= START + sizes.num_picks:
                measure = lambda runs, setting=setting, at=at: level(runs.of[setting], np.array([at]))
                statement = f"{title(setting)}: accuracy at {at} labels (theirs a median, ours a mean), within 0.02"
                rows.append(Claim(statement, f"{value:.3f}", SOURCE, measure, touches(value, 0.02, (0, 1)), ("paper",)))
    return rows


def _labels_to(setting: Setting, target: float) -> Claim:
    """Labels to a target, counted in both ways, held to the published median where there is one."""
    published = LABELS_TO.get(target, {}).get(setting)
    there = "not in print" if published is None else f"{published + setting[1]} in the training set"
    source = SOURCE if published is None else f"{SOURCE}, there {published}: before the batch"
    measure = lambda runs: quartiles(runs.of[setting], setting[1], target, published)
    rule = told("held to no number" if published is None else "median within 20 labels of the published one")
    return Claim(f"{title(setting)}: labels to {target:g} (quartiles)", there, source, measure, rule, ("paper",))


def title(setting: Setting) -> str:
    """A strategy and its acquisition size, for a legend."""
    return f"{setting[0]}, {setting[1]}"


def draw(runs: Runs, config: Config) -> None:
    """Learning curves, and accuracy by acquisition size."""
    styles = strategy_styles({name for name, _ in runs.of})
    at = shared(runs.of)
    with picture(config.figures, f"{called(runs, config)}_{config.scale}", 2, 0.95) as (left, right):
        for (name, size), run in runs.of.items():
            style = {**styles[name], "linestyle": LINES[size]}
            draw_curve(left, run.labels, run.accuracy, title((name, size)), style, (0, 1))
        draw_by_size(right, runs.of, lambda run: level(run, at), styles)
        left.set(xlabel="labels in the training set", ylabel="test accuracy")
        left.set_title("MNIST" if runs.is_mnist else "8 x 8 digits (stand-in)")
        right.set(ylabel="accuracy", title=f"mean at {', '.join(map(str, at[:3]))}{' ...' if len(at) > 3 else ''}")
        handles = left.get_legend_handles_labels()[0]
        legend((left, right), 4, band_title({"": next(iter(runs.of.values())).accuracy}).replace("\n", " "), handles)


def draw_by_size(axis: Any, runs: Mapping[Setting, Run], measure: Callable[[Run], np.ndarray], styles: Mapping) -> None:
    """A quantity between 0 and 1 against acquisition size, a line a strategy; one with a single size goes across."""
    every = sorted({size for _, size in runs})
    axis.set_xscale("log")
    for name in dict.fromkeys(name for name, _ in runs):
        at = [size for size in every if (name, size) in runs]
        values = np.stack([measure(runs[name, size]) for size in at], 1)
        if len(at) == 1 and len(every) > 1 and name == "random":
            at, values = every, np.repeat(values, len(every), 1)
        draw_curve(axis, np.array(at), values, name, styles[name], (0, 1))
    axis.set_xticks(every, map(str, every))
    axis.minorticks_off()
    axis.set_xlabel("labels in a batch")


def called(runs: Runs, config: Config) -> str:
    """The picture is named after the network and the images."""
    conv = "_conv" if config.network == "conv" and config.scale != "paper" else ""
    return f"batch_sizes{conv}{'' if runs.is_mnist else '_digits'}"


def work(sizes: Sizes) -> float:
    """Multiply-adds of images that are trained on, as three passes, and scored."""
    rounds = sum(sizes.num_picks / size for _, size in sizes.settings)
    each = sizes.each
    return sizes.image * sizes.num_seeds * rounds * (3.0 * 64 * each.num_steps + each.num_images * each.num_draws)


FIGURE = Figure(
    "batch_sizes", "BALD and BatchBALD by acquisition size", __doc__, "MNIST", Config, SIZES, run, claims, draw, work,
    stand_in=lambda runs: "" if runs.is_mnist else "8 x 8 digits", called=called,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
