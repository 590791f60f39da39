"""EPIG under target shift: a pool full of classes that nobody will ask about, and BALD, which asks about them all.

    python -m paper_figures.target_shift --scale cpu

The 8 x 8 digits in three settings, one label at a time, Bayesian softmax regression on the pixels:

- redundant: all ten in the pool, the classes are 1, 7 and another, and only ones and sevens are to be predicted;
- unbalanced: 0 to 4 are a tenth as frequent in the pool as 5 to 9, and as frequent where predictions are due;
- curated: all equally frequent in both, so no shift.

EPIG is told inputs, without labels, of the digits to be predicted; BALD and random labels are not. Drawn: test accuracy
against labels, and the share of picks that are ones and sevens, a fifth of the redundant pool. `smoke` takes half a
minute, `cpu` about four on two cores (20 seeds). Finished seeds are kept in runs/: the same command goes on after an
interruption.

Not as published: scikit-learn's digits and not MNIST, 100 rows of a frequent digit in the pool and not 4,000, 40 labels
asked for and not about 300, softmax regression with prior variance 1 and 64 draws of Laplace's approximation and not a
convolutional network with dropout, and all target inputs (30 of each digit to be predicted, or 10 of each of ten) in
every round and not 100 drawn from 1,000 of each. Start sets, shares of digits in pool and targets, and classes are
those of the published code. The published size is not built.

Found at `cpu`: in the redundant setting EPIG takes 0.82 of its picks from ones and sevens, BALD 0.23, and ends at an
accuracy of 0.97 against 0.50. BALD and random labels fall below where they start: a linear model, we think, is drawn
towards "another" by each label of another digit, and an accuracy on ones and sevens alone counts nothing else. In the
other two settings EPIG is not told from BALD with 20 seeds; both beat random.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal import strategies
from bal.datasets import digits
from bal.evaluation import area_under_curve, classification, strategy_styles
from bal.evaluation.plots import band_title, draw_curve
from bal.learners.heads import bayesian_softmax
from bal.pool import make_pool
from bal.query import Query
from bal.typing import Setup, Task
from paper_figures.claims import Claim, Judged, above, interval, told
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, picture, run_study
from paper_figures.figure import Figure, launch

SOURCE = "Bickford Smith et al. 2023"
ALL = tuple(range(10))
TARGET_SEED = 0


class Setting(NamedTuple):
    """A shift: digits to be predicted, digits that are rare in the pool, and target inputs of each to be predicted."""

    predicted: tuple[int, ...]
    rare: tuple[int, ...]
    num_targets: int

    @property
    def num_classes(self) -> int:
        """One for each class that is predicted, and one for the rest, if there is any."""
        return len(self.predicted) + (self.predicted != ALL)


SETTINGS = {
    "redundant": Setting((1, 7), (), 30),
    "unbalanced": Setting(ALL, (0, 1, 2, 3, 4), 10),
    "curated": Setting(ALL, (), 10),
}


class Sizes(NamedTuple):
    """What a scale means; rows are those of a class in the pool."""

    settings: tuple[str, ...]
    num_seeds: int
    num_rounds: int
    num_rows: int
    num_draws: int


SIZES = {
    "smoke": Sizes(("redundant",), 3, 5, 20, 8),
    "cpu": Sizes(tuple(SETTINGS), 20, 40, 100, 64),
}


class Rows(NamedTuple):
    """Of the digits: the pool and the test set of a seed; and the places in the pool of its start set."""

    pool: Int[np.ndarray, "N"]
    test: Int[np.ndarray, "M"]
    start: Int[np.ndarray, "S"]


class Found(NamedTuple):
    """Labels before each round and after the last; accuracy then; whether each pick is of a digit to be predicted."""

    labels: Int[np.ndarray, "E"]
    accuracy: Float[np.ndarray, "S E"]
    asked_for: Float[np.ndarray, "S R"]


load = cache(digits)


def of_class(number: int) -> Int[np.ndarray, "rows"]:
    """Rows of the digits that show this one."""
    return np.flatnonzero(load().y == number)


@cache
def target_rows(setting: str) -> Int[np.ndarray, "M"]:
    """Rows of the digits whose inputs EPIG is told: the same in all seeds, in no pool and in no test set."""
    random, of = np.random.default_rng(TARGET_SEED), SETTINGS[setting]
    return np.concatenate([random.permutation(of_class(number))[: of.num_targets] for number in of.predicted])


def rows_of_seed(setting: str, num_rows: int, seed: int) -> Rows:
    """A pool, 44 test rows of each class to be predicted, and two rows of each such class to start from.

    Where there is a rest, it has two more, of two of its digits.
    """
    random, of, told = np.random.default_rng(seed), SETTINGS[setting], target_rows(setting)
    pool, test = {}, []
    for number in ALL:
        rows = random.permutation(np.setdiff1d(of_class(number), told))
        pool[number] = rows[: max(num_rows // 10, 2) if number in of.rare else num_rows]
        test += [rows[-44:]] * (number in of.predicted)
    rest = random.permutation(np.setdiff1d(ALL, of.predicted))[:2]
    first = np.concatenate([*(pool[number][:2] for number in of.predicted), *(pool[number][:1] for number in rest)])
    every = np.concatenate(list(pool.values()))
    return Rows(every, np.concatenate(test), np.flatnonzero(np.isin(every, first)))


def labels(setting: str) -> Int[np.ndarray, "N"]:
    """The classes of a task: the digits to be predicted, in order, and the rest."""
    of, y = SETTINGS[setting], load().y
    place = {number: place for place, number in enumerate(of.predicted)}
    return np.array([place.get(number, len(place)) for number in y.tolist()], np.int32)


def of_seed(setting: str, num_rows: int, seed: int) -> Task:
    """The task of a seed."""
    rows, x, y = rows_of_seed(setting, num_rows, seed), load().x, labels(setting)
    return Task(make_pool(x[rows.pool]), y[rows.pool], (x[rows.test], y[rows.test]), rows.start.astype(np.int32))


def queries(setting: str) -> dict[str, Query]:
    """The three strategies of the figure."""
    about = load().x[target_rows(setting)]
    return {"random": strategies.random(), "bald": strategies.bald(), "epig": strategies.epig(about)}


def run_setting(config: Config, setting: str, sizes: Sizes) -> dict[str, Found]:
    """All seeds of all strategies."""
    model = bayesian_softmax(SETTINGS[setting].num_classes, sizes.num_draws, prior=1.0)
    every = queries(setting)
    setup = Setup(model, every["random"], 1, sizes.num_rounds, evaluate=classification())
    setups = {name: setup._replace(query=query) for name, query in every.items()}
    task, options = partial(of_seed, setting, sizes.num_rows), {"setting": setting, "rows of a class": sizes.num_rows}
    curves = run_study(f"target-shift-{setting}", task, setups, config, sizes.num_seeds, options=options)
    pools = [rows_of_seed(setting, sizes.num_rows, seed).pool for seed in range(sizes.num_seeds)]
    return {
        name: Found(curves.labels, curves.metrics["accuracy"][name], is_asked_for(setting, pools, acquired))
        for name, acquired in curves.acquired.items()
    }


def is_asked_for(
    setting: str, pools: list[Int[np.ndarray, "N"]], acquired: Int[np.ndarray, "S R one"]
) -> Float[np.ndarray, "S R"]:
    """1 where a pick is of a digit to be predicted, else 0."""
    picks = np.stack([pool[places.ravel()] for pool, places in zip(pools, acquired, strict=True)])
    return np.isin(load().y[picks], SETTINGS[setting].predicted).astype(np.float64)


def area(found: Found) -> Float[np.ndarray, "S"]:
    """Area under each seed's accuracy curve, an average over the budget."""
    return area_under_curve(found.labels, found.accuracy)


def run_all(config: Config, sizes: Sizes) -> dict[str, dict[str, Found]]:
    """Run or read back every setting."""
    return {setting: run_setting(config, setting, sizes) for setting in sizes.settings}


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """What the paper says, which is that EPIG is ahead of BALD across data sets, and draws."""
    redundant = [
        _more(
            "EPIG takes a larger share of its picks from ones and sevens than BALD", lambda one: one.asked_for.mean(1)
        ),
        _more("EPIG above BALD in accuracy after the last label", lambda one: one.accuracy[:, -1]),
        _more("EPIG above random in area under the accuracy curve", area, than="random"),
    ]
    rows = redundant if "redundant" in sizes.settings else []
    rows += [_more("EPIG above BALD in area", area, setting) for setting in sizes.settings]
    if {"redundant", "curated"} <= set(sizes.settings):
        statement = "EPIG is further above BALD in area in the redundant setting than without a shift"
        ahead = lambda every: area(every["epig"]) - area(every["bald"])
        measure = lambda found: _gap(ahead(found["redundant"]), ahead(found["curated"]), "redundant", "curated")
        rows.append(Claim(statement, "not in numbers", SOURCE, measure, PAIRED))
    return rows


PAIRED = told("95 % interval of the paired difference above 0")


def _more(statement: str, of: Callable, setting: str = "redundant", than: str = "bald") -> Claim:
    """A claim that one number of each seed is larger for EPIG, paired."""
    name = "BALD" if than == "bald" else than
    measure = lambda found: _gap(of(found[setting]["epig"]), of(found[setting][than]), "EPIG", name)
    return Claim(f"{setting}: {statement}", "not in numbers", SOURCE, measure, PAIRED)


def _gap(one: np.ndarray, other: np.ndarray, name: str, than: str) -> Judged:
    """Both means, and whether the difference is above 0."""
    gap = interval(one - other, (-2, 2))
    return f"{name} {one.mean():.3f}, {than} {other.mean():.3f}, difference {gap}", above(gap)


def draw(found: dict[str, dict[str, Found]], config: Config) -> None:
    """Accuracy in every setting, and the share of picks that count in the first."""
    setting, every = next(iter(found.items()))
    styles = strategy_styles(every)
    with picture(config.figures, f"target_shift_{config.scale}", len(found) + 1, 1.5) as panels:
        for axis, (title, curves) in zip(panels, found.items()):
            for name, one in curves.items():
                draw_curve(axis, one.labels, one.accuracy, name, styles[name], (0, 1))
            axis.set(xlabel="labels", title=title)
        for name, one in every.items():
            share = np.cumsum(one.asked_for, 1) / (1 + np.arange(one.asked_for.shape[1]))
            draw_curve(panels[-1], one.labels[1:], share, name, styles[name], (0, 1))
        panels[0].set(ylabel="test accuracy")
        panels[-1].set(xlabel="labels", ylabel="share of picks", title=f"{setting}: 1 or 7", ylim=(0, 1))
        legend(panels, 3, band_title({name: one.accuracy for name, one in every.items()}).replace("\n", " "))


def work(sizes: Sizes) -> float:
    """Labels that are asked for."""
    return float(len(sizes.settings) * sizes.num_seeds * sizes.num_rounds)


FIGURE = Figure(
    "target_shift", "Target shift on the digits", __doc__, "8 x 8 digits (scikit-learn)", Config, SIZES, run_all,
    claims, draw, work,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
