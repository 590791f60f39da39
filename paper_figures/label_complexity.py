"""Label complexity with a known answer: a threshold on a line, without noise, found by BALD and by random labels.

    python -m paper_figures.label_complexity --scale cpu

Inputs are uniform on [0, 1], the label says whether they lie above a threshold, uniform too. n random labels leave an
interval of about 2/n around the threshold; BALD asks for the middle of what is left, so that every label halves it.
The posterior is K thresholds spread evenly over the interval that the labels leave, drawn anew in every fit, so all of
them agree with all labels. The error is the share of inputs that the middle of the interval puts on the wrong side:
a quarter of the interval on average, which is what the slopes are fitted to; the true error is checked against it.
It is a test of the whole loop: a label that is read late, twice or not at all changes a slope. `smoke` and `cpu` take
seconds, `paper` a minute on two cores. A finished strategy is kept in runs/.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.ticker import MaxNLocator

from bal import strategies
from bal.evaluation import strategy_styles
from bal.loop import run_seeds, seed_keys
from bal.pool import make_pool
from bal.typing import Data, Learner, Posterior, PRNGKey, Setup, Task
from paper_figures.claims import Claim, Judged, Test, interval, touches
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

NUM_DRAWS = 8
QUERIES = {"BALD": strategies.bald(), "random": strategies.random()}


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; sizes follow from the scale."""

    seed: int = 0
    """Root of all randomness."""


class Size(NamedTuple):
    """How much one strategy runs: seeds, inputs in the pool, labels, and labels asked for at a time."""

    num_seeds: int
    num_rows: int
    num_labels: int
    batch_size: int


SIZES = {
    "smoke": {"BALD": Size(4, 2**12, 9, 1), "random": Size(20, 2**11, 128, 16)},
    "cpu": {"BALD": Size(20, 2**14, 11, 1), "random": Size(100, 2**11, 256, 16)},
    "paper": {"BALD": Size(100, 2**18, 15, 1), "random": Size(1000, 2**14, 1024, 16)},
}


class Interval(NamedTuple):
    """What the labels leave: the threshold lies between the two ends."""

    low: Float[Array, ""]
    high: Float[Array, ""]


class Errors(NamedTuple):
    """After each batch: labels so far ``[E]``, and of every seed the posterior's error and the true one ``[S, E]``."""

    labels: np.ndarray
    expected: np.ndarray
    true: np.ndarray


def threshold_learner(num_draws: int) -> Learner:
    """K thresholds, the middles of K equal parts of the interval that the labels leave: a grid posterior."""

    def init(key: PRNGKey, data: Data) -> Interval:
        del key
        return Interval(jnp.zeros((), data.x.dtype), jnp.ones((), data.x.dtype))

    def fit(key: PRNGKey, state: Interval, data: Data) -> Interval:
        del key, state
        below = jnp.where((data.weight > 0) & (data.y == 0), data.x, 0.0)
        above = jnp.where((data.weight > 0) & (data.y == 1), data.x, 1.0)
        return Interval(below.max(), above.min())

    def predict(state: Interval, x: Float[Array, "n"]) -> Float[Array, "n K 2"]:
        share = (jnp.arange(num_draws, dtype=x.dtype) + 0.5) / num_draws
        above = x[:, None] > (state.low + share * (state.high - state.low))[None]
        return jnp.log(jnp.stack([~above, above], -1).astype(x.dtype))

    return Learner(init, fit, predict)


def evaluate(posterior: Posterior, threshold: Float[Array, ""]) -> dict[str, Array]:
    """Share of inputs on the wrong side of the middle: as the posterior expects it, and truly."""
    low, high = posterior.state
    return {"expected": (high - low) / 4, "true": jnp.abs((low + high) / 2 - threshold)}


def run(name: str, size: Size, seed: int) -> Errors:
    """Errors of one strategy; a seed draws its own threshold, the inputs are those of all seeds."""
    random = np.random.default_rng(seed)
    thresholds, x = random.uniform(size=size.num_seeds), random.uniform(size=size.num_rows)
    labels = jnp.asarray(x[None] > thresholds[:, None], jnp.int32)
    setup = Setup(
        threshold_learner(NUM_DRAWS),
        QUERIES[name],
        batch_size=size.batch_size,
        num_rounds=size.num_labels // size.batch_size,
        num_initial=0,  # the learner's prior chooses the first label
        evaluate=evaluate,
    )
    task = Task(make_pool(jnp.asarray(x)), labels, jnp.asarray(thresholds))
    log = run_seeds(seed_keys(seed, size.num_seeds), task, setup, axes=Task(None, 0, 0)).log
    return Errors(*map(np.asarray, (log.num_training[0], log.metrics["expected"], log.metrics["true"])))


def slopes(errors: Errors, doublings: bool) -> np.ndarray:
    """Least-squares slope of each seed's log error: against labels, or against log labels wherever they double."""
    if not doublings:
        return np.polyfit(errors.labels, np.log(errors.expected).T, 1)[0]
    at = np.searchsorted(errors.labels, [n for n in errors.labels[1] * 2 ** np.arange(20) if n <= errors.labels[-1]])
    return np.polyfit(np.log(errors.labels[at]), np.log(errors.expected[:, at]).T, 1)[0]


def run_all(config: Config, sizes: dict[str, Size]) -> dict[str, Errors]:
    """Run or read back both strategies."""
    found, of = {}, sum(size.num_seeds for size in sizes.values())
    for name, size in sizes.items():
        part = {"strategy": name, **size._asdict(), "seed": config.seed}
        compute = lambda name=name, size=size: run(name, size, config.seed)._asdict()
        found[name] = Errors(**on_record(config, "label-complexity", part, compute, num_seeds=size.num_seeds, of=of))
    return found


def claims(config: Config, sizes: dict[str, Size]) -> list[Claim]:
    """What theory says."""
    few, many = sizes["BALD"].num_labels, sizes["random"].num_labels
    theory = partial(Claim, source="theory")
    return [
        theory("BALD: slope of log error in labels is -log 2, within 2 %", "-0.693",
               measure=lambda found: slopes(found["BALD"], False), test=touches(-math.log(2), 0.02 * math.log(2))),
        theory("random: slope of log error in log labels is -1, within 10 %", "-1",
               measure=lambda found: slopes(found["random"], True), test=touches(-1.0, 0.1)),
        theory("true error over the error that an exact posterior expects, within 5 %, BALD; random", "1; 1",
               measure=lambda found: [(errors.true / errors.expected).mean(1) for errors in found.values()],
               test=touches((1.0, 1.0), 0.05)),
        theory(f"{few} labels of BALD leave less error than {many} random ones (log10)",
               f"{-math.log10(4 * 2.0**few):.2f}; {-math.log10(2 * many):.2f}",
               measure=lambda found: [np.log10(found[name].expected[:, -1]) for name in ("BALD", "random")],
               test=Test("their 95 % intervals are apart", apart)),
    ]  # fmt: skip


def apart(values: list[np.ndarray]) -> Judged:
    """Whether the interval of the first ends below that of the second."""
    low, high = map(interval, values)
    return f"{low}; {high}", None if np.isnan(low.high + high.low) else low.high < high.low


def draw(found: dict[str, Errors], config: Config) -> None:
    """BALD over labels on a linear axis, and both strategies on a log axis."""
    few, many, styles = found["BALD"].labels, found["random"].labels[1:], strategy_styles(found)
    with picture(config.figures, f"label_complexity_{config.scale}", 2, 0.95) as (left, right):
        for name, errors in found.items():
            look = {**styles[name], "marker": ""}
            low, middle, high = np.quantile(errors.expected[:, 1:], (0.25, 0.5, 0.75), axis=0)
            for axis in (left, right) if name == "BALD" else (right,):
                axis.plot(errors.labels[1:], middle, label=name, **look)
                axis.fill_between(errors.labels[1:], low, high, color=look["color"], alpha=0.2, linewidth=0)
        left.plot(few, 0.25 / 2.0**few, "k:", label="theory: halving, $2^{-n} / 4$")
        right.plot(many, 0.5 / many, "--", color="gray", label="theory: $1 / (2 n)$")
        left.set(yscale="log", title="each label of BALD halves it", xlabel="labels $n$", ylabel="expected error")
        left.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        right.set(xscale="log", yscale="log", title="random labels divide by $n$", xlabel="labels $n$")
        right.xaxis.set_major_formatter("{x:g}")
        legend((left, right), 4, "median and quartiles over seeds; error: share of inputs on the wrong side")


def work(sizes: dict[str, Size]) -> float:
    """Inputs that are looked at."""
    return sum(size.num_seeds * size.num_rows * size.num_labels / size.batch_size for size in sizes.values())


FIGURE = Figure(
    "label_complexity", "Label complexity with a known answer", __doc__, "a threshold on a line", Config, SIZES,
    run_all, claims, draw, work, precise=True,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
