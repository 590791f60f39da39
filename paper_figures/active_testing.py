"""Active testing (Kossen et al. 2021, Figures 1 to 3): the test loss of a model from few labels that were chosen.

    python -m paper_figures.active_testing --scale cpu

50 inputs evenly on [0, 1], 5 of them to train on and N = 45 to test on, anew in every run; labels without noise. `gp`:
a draw of a Gaussian process (Matern 3/2 of length 1), predicted by that process given the 5 labels; `quadratic`: a
parabola, predicted by a straight line. Test labels are asked for one at a time, in proportion to the true loss (which
nobody knows), to exp of the mean distance from the labels so far, to the loss that a surrogate expects, the Gaussian
process given *all* labels so far, to the variance of the model under test (`gp`), or at random. After M labels the loss
over all 45 is estimated by their plain mean, which is biased, and by LURE.

The published third set, two moons, trains a random forest 50 times in each of 2,500 runs and is left out. `smoke` takes
a second; `cpu` has the published 5,000 runs, as `paper`, and takes a minute. A finished strategy is kept in runs/.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bal.evaluation import strategy_styles
from bal.evaluation.active import lure
from paper_figures.claims import Claim, Judged, told
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

INPUTS = np.linspace(0, 1, 50)
NUM_TRAIN = 5
NUM_TEST = len(INPUTS) - NUM_TRAIN
JITTER = 1e-10
"""On the diagonal of the process, as published: its labels have no noise."""

STRATEGIES = {
    "gp": ("true loss", "random", "distance", "surrogate", "uncertainty"),
    "quadratic": ("true loss", "random", "distance", "surrogate"),
}
SIZES = {"smoke": 60, "cpu": 5000, "paper": 5000}
TOGETHER = 100
"""Runs computed at a time; more do not fit a cache."""


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; the number of runs follows from the scale."""

    seed: int = 0
    """Root of all randomness."""


class Problems(NamedTuple):
    """R runs: rows to train and to test on, labels, and at each input the model's loss and its variance."""

    train: Int[np.ndarray, "R T"]
    test: Int[np.ndarray, "R N"]
    y: Float[np.ndarray, "R X"]
    prediction: Float[np.ndarray, "R X"]
    loss: Float[np.ndarray, "R X"]
    variance: Float[np.ndarray, "R X"]


class Process(NamedTuple):
    """A Gaussian process at all inputs, given the labels so far."""

    mean: Float[np.ndarray, "R X"]
    covariance: Float[np.ndarray, "R X X"]


class Found(NamedTuple):
    """After each of M = 1 ... 44 labels, over the runs: mean error, its standard error, and median squared error.

    naive, naive_error: mean error of the plain mean, and its standard error.
    """

    bias: np.ndarray
    bias_error: np.ndarray
    naive: np.ndarray
    naive_error: np.ndarray
    median: np.ndarray


def matern(x: Float[np.ndarray, "X"]) -> Float[np.ndarray, "X X"]:
    """Matern 3/2 covariance of length 1."""
    distance = np.sqrt(3) * abs(x[:, None] - x)
    return (1 + distance) * np.exp(-distance)


def prior(num_runs: int) -> Process:
    """The process before any label."""
    covariance = np.broadcast_to(matern(INPUTS), (num_runs, len(INPUTS), len(INPUTS)))
    return Process(np.zeros((num_runs, len(INPUTS))), covariance)


def given(process: Process, y: Float[np.ndarray, "R X"], row: Int[np.ndarray, "R"]) -> Process:
    """The process given one more label a run."""
    runs = np.arange(len(row))
    column = process.covariance[runs, row]
    gain = column / (column[runs, row] + JITTER)[:, None]
    mean = process.mean + gain * (y[runs, row] - process.mean[runs, row])[:, None]
    return Process(mean, process.covariance - gain[:, :, None] * column[:, None, :])


def problems(data: str, num_runs: int, rng: np.random.Generator) -> Problems:
    """Splits and labels of every run, and the model under test."""
    order = rng.random((num_runs, len(INPUTS))).argsort(1)
    train, test = order[:, :NUM_TRAIN], order[:, NUM_TRAIN:]
    if data == "gp":
        factor = np.linalg.cholesky(matern(INPUTS) + JITTER * np.eye(len(INPUTS)))
        y = rng.normal(size=(num_runs, len(INPUTS))) @ factor.T
    else:
        y = np.broadcast_to(INPUTS**2 - (INPUTS**2).mean(), (num_runs, len(INPUTS)))
    process = prior(num_runs)
    for row in train.T:
        process = given(process, y, row)
    prediction = process.mean
    if data == "quadratic":
        x, seen = INPUTS[train], np.take_along_axis(y, train, 1)
        center = x.mean(1, keepdims=True)
        slope = ((x - center) * seen).sum(1) / ((x - center) ** 2).sum(1)
        prediction = seen.mean(1, keepdims=True) + slope[:, None] * (INPUTS - center)
    variance = np.maximum(np.diagonal(process.covariance, axis1=1, axis2=2), JITTER)
    return Problems(train, test, y, prediction, (y - prediction) ** 2, variance)


def errors(strategy: str, task: Problems, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of LURE and of the plain mean, the error after each of M = 1 ... 44 labels of every run."""
    num_runs = len(task.y)
    runs, process, distances = np.arange(num_runs), prior(num_runs), np.zeros(task.y.shape)
    left = np.zeros(task.y.shape)
    np.put_along_axis(left, task.test, 1.0, 1)
    if strategy == "surrogate":
        for row in task.train.T:
            process = given(process, task.y, row)
    losses, log_q = np.zeros((num_runs, NUM_TEST - 1)), np.zeros((num_runs, NUM_TEST - 1))
    for number in range(NUM_TEST - 1):
        if strategy == "surrogate":
            spread = np.maximum(np.diagonal(process.covariance, axis1=1, axis2=2), JITTER)
            weight = (process.mean - task.prediction) ** 2 + spread
        elif strategy == "distance":
            weight = np.exp(distances / max(number, 1))
        else:
            weight = {"true loss": task.loss, "uncertainty": task.variance}.get(strategy, left)
        weight = weight * left
        reached = weight.cumsum(1)
        row = (reached <= rng.random((num_runs, 1)) * reached[:, -1:]).sum(1)
        losses[:, number] = task.loss[runs, row]
        log_q[:, number] = np.log(weight[runs, row] / weight.sum(1))
        left[runs, row] = 0
        distances += abs(INPUTS - INPUTS[row][:, None])
        if strategy == "surrogate":
            process = given(process, task.y, row)
    truth = np.take_along_axis(task.loss, task.test, 1).mean(1, keepdims=True)
    plain = losses.cumsum(1) / np.arange(1, NUM_TEST)
    return lure(log_q, losses, NUM_TEST).mean - truth, plain - truth


def run(data: str, strategy: str, num_runs: int, seed: int) -> Found:
    """One strategy; all strategies meet the same splits and labels."""
    parts = []
    for first in range(0, num_runs, TOGETHER):
        size = min(TOGETHER, num_runs - first)
        task = problems(data, size, np.random.default_rng((seed, first)))
        parts.append(errors(strategy, task, np.random.default_rng((seed, first, STRATEGIES["gp"].index(strategy)))))
    weighted, plain = (np.concatenate(part) for part in zip(*parts))
    moments = [moment for error in (weighted, plain) for moment in (error.mean(0), error.std(0, ddof=1))]
    scale = np.sqrt(num_runs)
    return Found(moments[0], moments[1] / scale, moments[2], moments[3] / scale, np.median(weighted**2, 0))


def largest(bias: np.ndarray, error: np.ndarray) -> float:
    """Largest of the biases in standard errors; what is rounding is no bias."""
    return float((abs(bias) / np.maximum(error, 1e-12)).max())


def run_all(config: Config, num_runs: int) -> dict[str, dict[str, Found]]:
    """Run or read back every strategy on both problems."""
    found: dict[str, dict[str, Found]] = {}
    of = num_runs * sum(map(len, STRATEGIES.values()))
    for data, strategies in STRATEGIES.items():
        for strategy in strategies:
            part = {"data": data, "strategy": strategy, "runs": num_runs, "seed": config.seed}
            compute = lambda data=data, strategy=strategy: run(data, strategy, num_runs, config.seed)._asdict()
            arrays = on_record(config, "active-testing", part, compute, num_seeds=num_runs, of=of)
            found.setdefault(data, {})[strategy] = Found(**arrays)
    return found


def claims(config: Config, num_runs: int) -> list[Claim]:
    """What was published of both problems."""
    source, rows = "Kossen et al. 2021, Figures 1 to 3", []
    for data in STRATEGIES:
        of = lambda measure, data=data: lambda found: measure(found[data]) if data in found else None
        rows += [
            Claim(f"{data}: LURE's mean error is within 3 s.e. of 0 for every M and strategy", "< 3", source,
                  of(weighted), told("largest of the mean errors below 3 of its standard errors")),
            Claim(f"{data}: the plain mean is biased, by more than 5 s.e.", "> 5", source, of(plain),
                  told("largest mean error of every strategy but random above 5 of its standard errors")),
            Claim(f"{data}: median squared error of the surrogate below that of random picks, M = 5 to 20", "< 1",
                  source, of(ratio), told("ratio of the medians below 1 at each M")),
        ]  # fmt: skip
    return rows


def weighted(found: dict[str, Found]) -> Judged:
    """Bias of LURE, in standard errors."""
    ours = {name: largest(one.bias, one.bias_error) for name, one in found.items()}
    return said(ours), max(ours.values()) < 3


def plain(found: dict[str, Found]) -> Judged:
    """Bias of the plain mean, in standard errors."""
    ours = {name: largest(one.naive, one.naive_error) for name, one in found.items() if name != "random"}
    return said(ours), min(ours.values()) > 5


def ratio(found: dict[str, Found]) -> Judged:
    """Median squared errors of the surrogate over those of random picks."""
    ours = (found["surrogate"].median / found["random"].median)[4:20]
    return said({"ratio, least": ours.min(), "largest": ours.max()}), ours.max() < 1


def said(ours: dict[str, float]) -> str:
    """Numbers and whose they are."""
    return "; ".join(f"{name} {value:.2f}" for name, value in ours.items())


def draw(every: dict[str, dict[str, Found]], config: Config) -> None:
    """Mean error of both estimators, and LURE's median squared error, for the Gaussian process."""
    found, labels = every["gp"], np.arange(1, NUM_TEST)
    styles = strategy_styles(found)
    with picture(config.figures, f"active_testing_{config.scale}", 2, 0.95) as (left, right):
        for name, one in found.items():
            look = {**styles[name], "marker": ""}
            left.plot(labels, one.naive, label=name, **look)
            left.plot(labels, one.bias, **{**look, "linewidth": 0.7})
            if name != "true loss":  # which has no error but rounding
                right.plot(labels, one.median, label=name, **look)
        left.set(title="bias", xlabel="labels $M$", ylabel="mean error")
        right.set(title="error of LURE", yscale="log", xlabel="labels $M$", ylabel="median squared error")
        legend((left, right), 3, "on the left, thick: the plain mean; thin: LURE")


FIGURE = Figure(
    "active_testing", "Active testing", __doc__, "draws of a Gaussian process, and a parabola", Config, SIZES, run_all,
    claims, draw, float,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
