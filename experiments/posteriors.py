"""What is a posterior worth for active learning? Every learner, three strategies, seven data sets, ten paired seeds.

    python experiments/posteriors.py --data digits                      # no folder needed
    python experiments/posteriors.py                                    # all sets that are found in BAL_DATA

Each learner asks at random, by BALD (regressions: by the variance of the function) and by EPIG about 100 rows of the
pool, for 10 labels a round, drawn with probability proportional to the score. From 20 labels to 100, pools of at most
1,000 rows, tests of at most 500. A seed fixes pool, test and start set for all learners and strategies, so that
differences are paired. Each learner and strategy is one compiled program over all seeds. A single network has no
posterior: in place of BALD it asks by the entropy of its prediction, and not by EPIG.

Images, of MNIST and Fashion-MNIST 10,000, are averaged down to 8 x 8 pixels, the size of digits; features of tables are
standardized on the pool, and so are the targets of regressions, by two numbers that no learner could know: for all
alike. All networks have one hidden layer and one training (AdamW, the same for all); no setting is tuned to a learner.
To digits and MNIST, clothes (Fashion-MNIST) are out of distribution, to clothes MNIST, told by the predictive entropy.

Printed, for every set, after the last label of the random strategy: accuracy, NLL (nats), joint NLL of ten rows, ECE by
bins of equal content, AUROC of what is out of distribution; for regressions RMSE, CRPS and coverage of 90 % intervals.
Then areas under the accuracy (RMSE) curve minus random, in points of a hundredth, with 95 % intervals over seeds; a
star where Holm's correction over the strategies of a learner leaves a difference. Milliseconds to fit 100 labels and to
score the pool, of one seed by itself, compiled ahead of time, and what compiling the two took without any cache, are on
record from when a learner first ran (--time-again). Drawn: all sets in one picture. Kept: runs/, so that the same
command goes on where it stopped, and learners and sets that are named later join what is there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from rich.console import Console

from bal import strategies, use_all_cores
from bal.acquisition import predictive_entropy
from bal.datasets import (
    Dataset,
    MissingDataError,
    digits,
    fashion_mnist,
    mnist,
    split,
    standardize,
    uci_classification,
    uci_regression,
)
from bal.evaluation import auroc, classification_report, regression_report
from bal.method import brief
from bal.pool import make_pool
from bal.query import pool_targets
from bal.records import open_record
from bal.selection import power
from bal.typing import Data, Learner, Posterior, Query, Setup, Task
from experiments.benchmarks.timing import compiled, least_seconds
from experiments.common import run_study, start
from experiments.options import at_least, check_pool, picture, positive, start_rows
from experiments.posterior_learners import Name, Sizes, learners
from experiments.posterior_report import Result, drawn, table

Sets = Literal["digits", "mnist", "fashion-mnist", "vowel", "satellite", "concrete", "energy"]
Strategy = Literal["random", "bald", "epig"]
OUTSIDE: dict[Sets, Sets] = {"digits": "fashion-mnist", "mnist": "fashion-mnist", "fashion-mnist": "mnist"}
"""Sets of images, and what is out of distribution for each."""
SLOW: tuple[Name, ...] = ("gp-softmax", "mile", "mcmc-softmax")


@dataclass(frozen=True)
class Config(Sizes):
    """Options of the study; the defaults are the published run."""

    data: tuple[Sets, ...] = get_args(Sets)
    """Data sets; all but digits need files in the folder BAL_DATA, and those that are missing are left out."""
    learners: tuple[Name, ...] = tuple(name for name in get_args(Name) if name not in SLOW)
    """Learners; those that do not fit a set are left out there. By name alone, for they take long: gp-softmax, mile and
    mcmc-softmax, minutes for each set and strategy."""
    strategies: tuple[Strategy, ...] = ("random", "bald", "epig")
    """Acquisition strategies; random, the baseline, is always among them."""
    seeds: int = 10
    """Paired repetitions."""
    rounds: int = 8
    """Acquisition rounds."""
    batch_size: int = 10
    """Labels acquired in a round."""
    start_size: int = 20
    """Labels at the start, balanced over classes."""
    pool_size: int = 1_000
    """Rows of the pool at most; drawn anew in each seed."""
    test_size: int = 500
    """Rows held out in each seed, at most and at most a third of a table."""
    targets: int = 100
    """Rows of the pool that EPIG is about, drawn anew each round."""
    time_again: bool = False
    """Measure seconds to fit, score and compile anew, whatever is on record."""
    runs: Path = Path("runs")
    """Folder of records."""
    figures: Path = Path("figures")
    """Folder of pictures."""
    fresh: bool = False
    """Run everything anew, whatever is on record; old records are set aside."""


class Problem(NamedTuple):
    """A data set and its tasks.

    num_classes: None for a regression; of_seed: the task of a seed.
    """

    name: str
    num_classes: int | None
    of_seed: Callable[[int], Task]


def small(x: np.ndarray) -> np.ndarray:
    """Images of 28 x 28 pixels, padded to 32 x 32 and averaged over 4 x 4."""
    padded = np.pad(x[..., 0], ((0, 0), (2, 2), (2, 2)))
    return padded.reshape(len(x), 8, 4, 8, 4).mean((2, 4)).reshape(len(x), 64)


def load(name: Sets) -> Dataset:
    """All rows of a set, without a test set; of the images, 10,000 that the published test set has."""
    if name == "digits":
        return digits()
    if name in ("mnist", "fashion-mnist"):
        images = mnist() if name == "mnist" else fashion_mnist()
        assert images.x_test is not None
        return images._replace(x=small(images.x_test), y=images.y_test, x_test=None, y_test=None)
    if name in ("vowel", "satellite"):
        return uci_classification(name.capitalize())
    parts = uci_regression(name)
    assert parts.x_test is not None
    assert parts.y_test is not None
    x, y = np.concatenate([parts.x, parts.x_test]), np.concatenate([parts.y, parts.y_test])
    return parts._replace(x=x, y=y, x_test=None, y_test=None)


def problem(name: Sets, config: Config) -> Problem:
    """The tasks of a set: every seed has its own pool, test and start set, and rows that are out of distribution."""
    dataset = load(name)
    try:
        outside = load(OUTSIDE[name]).x if name in OUTSIDE else dataset.x[:0]
    except MissingDataError:
        outside = dataset.x[:0]
    num_test = min(config.test_size, len(dataset.y) // 3)
    pool_size = min(config.pool_size, len(dataset.y) - num_test)
    check_pool(pool_size, config.start_size, config.rounds, config.batch_size)

    def of_seed(seed: int) -> Task:
        parts, draw = split(dataset, seed, num_test), np.random.default_rng(seed)
        rows = draw.permutation(len(parts.y))[:pool_size]
        order, some = (
            draw.permutation(num_test),
            draw.permutation(len(outside))[:num_test],
        )  # a joint NLL: in random order
        assert parts.x_test is not None
        assert parts.y_test is not None
        test = {"x_test": np.concatenate([parts.x_test[order], outside[some]])}
        parts = parts._replace(x=parts.x[rows], y=parts.y[rows], y_test=parts.y_test[order], **test)
        first = np.arange(config.start_size)
        if dataset.num_classes is not None:
            first = start_rows(parts.y, config.start_size, seed)
        scaled = parts if name in OUTSIDE else standardize(parts)[0]
        pool = make_pool(jnp.asarray(scaled.x))
        return Task(pool, jnp.asarray(scaled.y), (scaled.x_test, scaled.y_test), jnp.asarray(first, jnp.int32))

    return Problem(name, dataset.num_classes, of_seed)


def evaluate_classes(posterior: Posterior, test: tuple) -> dict[str, Any]:
    """The report on the test rows that have labels, and how well entropy tells the rows behind them, if there are any.

    All rows are predicted at once.
    """
    x, y = test
    found = posterior.predict(x)
    inside, outside = found[: len(y)], found[len(y) :]
    report = classification_report()(SimpleNamespace(predict=lambda x: inside), (x, y))
    if not len(outside):
        return report
    return {**report, "auroc": auroc(predictive_entropy(inside), predictive_entropy(outside))}


def queries(name: Name, is_regression: bool, num_targets: int) -> dict[str, Query]:
    """What a learner can ask by, by name."""
    if name == "network":
        entropy = {} if is_regression else {"bald": strategies.entropy(power())}
        return {"random": strategies.random(), **entropy}
    uncertain = strategies.variance(power()) if is_regression else strategies.bald(power())
    about = strategies.epig(pool_targets(num_targets), power())
    return {"random": strategies.random(), "bald": uncertain, "epig": about}


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Programs are compiled anew, whatever was compiled in other processes."""
    kept = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", kept)
        reset_cache()


def measured(learner: Learner, query: Query, task: Task, num_labels: int) -> dict[str, float]:
    """Least seconds of five calls to fit `num_labels` rows and to score the pool; of compiling both."""
    key, score = jax.random.key(0), query.stages[0].rows
    data = Data(task.pool.x[:num_labels], task.oracle[:num_labels], jnp.ones(num_labels))
    with nothing_kept():
        fit = compiled(lambda key, data: learner.fit(key, learner.init(key, data), data), key, data)
        state = fit.call()
        predict = lambda state, x: (
            learner.predict(state, x) if score is None else score(Posterior(state, learner), None, x)
        )
        programs = {"fit": fit, "score": compiled(predict, state, task.pool.x)}
    warm = least_seconds(programs, 5)
    return {**warm, "compile": sum(program.compile_seconds for program in programs.values())}


def seconds_of(name: Name, setups: dict[str, Setup], task: Task, config: Config) -> dict[str, float]:
    """Seconds of a learner as they are on record, or measured now: once for all sets of one shape."""
    setup = setups.get("bald", setups["random"])
    num_labels = config.start_size + config.rounds * config.batch_size
    about = {"learner": name, "settings": brief(setup.learner), "labels": num_labels, "pool": [*task.pool.x.shape]}
    with open_record(config.runs, "posteriors-seconds", about, fresh=config.fresh or config.time_again) as record:
        if not record.done:
            found = measured(setup.learner, setup.query, task, num_labels)
            record.append([{"kind": "timing", **found}])
            record.finish(found)
        return {name: record.events[-1][name] for name in ("fit", "score", "compile")}


def study_of(name: Name, about: Problem, config: Config, console: Console) -> Result:
    """All strategies of a learner on a set."""
    first = about.of_seed(0)
    made = learners(first.pool.x.shape[1], about.num_classes, config)[name]()
    known = queries(name, about.num_classes is None, config.targets)
    evaluate = regression_report() if about.num_classes is None else evaluate_classes
    setup = Setup(made, known["random"], config.batch_size, config.rounds, evaluate=evaluate)
    chosen = [strategy for strategy in ("random", *config.strategies) if strategy in known]
    setups = {strategy: setup._replace(query=known[strategy]) for strategy in dict.fromkeys(chosen)}
    record, together = f"posteriors-{about.name}-{name}", 2 if jax.default_backend() == "cpu" else config.seeds
    seconds = seconds_of(name, setups, first, config)
    options = {"data": about.name, "name": name}
    return Result(run_study(record, about.of_seed, setups, config, console, None, together, options), seconds)


def main(config: Config) -> None:
    console = Console()
    at_least(config, 1, "seeds", "rounds", "batch_size", "start_size", "pool_size", "test_size", "targets")
    at_least(config, 1, "hidden", "members", "draws", "steps", "minibatch_size")
    positive(config, "learning_rate")
    at_least(config, 0, "weight_decay")
    use_all_cores()
    problems = []
    for name in config.data:
        try:
            problems.append(problem(name, config))
        except MissingDataError as error:
            console.print(f"{name} is left out: {error}", soft_wrap=True)
    wanted = [name for name in config.learners if name != "mile" or find_spec("blackjax")]
    if len(wanted) < len(config.learners):
        console.print('mile is left out: it samples by blackjax, pip install "bal-jax[mcmc]"', highlight=False)
    found: dict[str, dict[str, Result]] = {}
    for about in problems:
        known = learners(1, about.num_classes, Sizes())
        found[about.name] = {name: study_of(name, about, config, console) for name in wanted if name in known}
        console.print(table(about.name, found[about.name]))
    if found:
        path = picture(config, "posteriors")
        drawn(path, found)
        console.print(f"picture: {path}", soft_wrap=True)


if __name__ == "__main__":
    start(main, Config, __doc__)
