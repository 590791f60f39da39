"""Fully Bayesian Gaussian processes: asking where draws of the hyper-parameters disagree, and where each is unsure.

    python -m paper_figures.bayesian_gp --scale cpu

Six simulators with the published noise, three points of a Latin hypercube to start from, one label at a time. The
process (squared exponential, a length an input) is a mixture over draws of lengths, variance and noise, drawn anew
after every label from their posterior under the log-normal priors of the paper, in standardized units. B-ALM asks where
the variance is large on average over draws, B-QBC where their means disagree, QB-MGP where the sum of both is, BALD
where the label tells most about which draw is right. Left: RMSE in standard deviations of the simulator, geometric mean
over the six. Middle and right: mean rank over simulators, by the area under the curves of RMSE and of the negative log
likelihood of test labels, 1 being the best; small dots are simulators. `smoke` (one simulator, three strategies) takes
half a minute, `cpu` 22 minutes on two cores that did other work, too (20 seeds). Finished seeds are kept in runs/.

Not as published: draws come from importance sampling on quasi-random points around the mode and not from a no-U-turn
sampler, and repeat where few of the 640 points count, as in six dimensions (the record says how often); 30 labels for
every simulator in place of 40 to 200; a pool of 300 points (a grid in one dimension, else a Latin hypercube) in place
of a grid of 100 an axis; BALD is the mutual information and not the formula of the published code, which leaves a term
out; ALM with one set of hyper-parameters is not run, so that B-ALM stands for both; the motorcycle data, a seventh, are
left out. The published size is not built.

Found at `cpu`: QB-MGP predicts best, as published, ahead of B-ALM in 76 of 120 pairs. It has the best log likelihood,
too, .525 [.225, .825] ranks before B-QBC, which was published to have it; with 30 labels and not up to 200, and draws
that repeat, B-QBC's disagreement of means may be too coarse. BALD is behind random here. Not tried: more labels, a
sampler in place of the weights.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Float
from matplotlib.axes import Axes

from bal import strategies
from bal.acquisition import b_alm, b_qbc, hyperparameter_bald, qb_mgp
from bal.evaluation import regression, strategy_styles
from bal.evaluation.plots import band_title, draw_curve
from bal.pool import make_pool
from bal.query import by_score
from bal.typing import Learner, Setup, Task
from paper_figures.claims import Claim, Judged, exceeds, interval, not_below, told
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, picture, run_study
from paper_figures.figure import Figure, launch
from paper_figures.formulas import SIMULATORS

SOURCE = "Riis et al. 2022; labels in the training set"
START = 3
QUERIES = {
    "random": strategies.random(),
    "B-ALM": by_score(b_alm),
    "B-QBC": by_score(b_qbc),
    "QB-MGP": by_score(qb_mgp),
    "BALD": by_score(hyperparameter_bald),
}
METRICS = {"rmse": "RMSE", "nll": "log likelihood"}


class Sizes(NamedTuple):
    """What a scale means."""

    simulators: tuple[str, ...]
    num_seeds: int
    num_rounds: int
    num_pool: int
    num_test: int
    num_draws: int
    num_points: int
    strategies: tuple[str, ...] = tuple(QUERIES)


SIZES = {
    "smoke": Sizes(("Higdon1d",), 2, 4, 60, 40, 8, 32, ("random", "B-ALM", "QB-MGP")),
    "cpu": Sizes(tuple(SIMULATORS), 20, 30, 300, 300, 20, 640),
}

Values = dict[str, dict[str, Float[np.ndarray, "S E"]]]


class Found(NamedTuple):
    """By simulator and strategy: RMSE in standard deviations of the labels, and negative log likelihood in nats."""

    rmse: Values
    nll: Values


def of_seed(name: str, sizes: Sizes, seed: int) -> Task:
    """Pool, of which the first three rows are the start, noisy labels, and test rows."""
    formula, dimension = SIMULATORS[name], len(SIMULATORS[name].low)
    random = np.random.default_rng([seed, list(SIMULATORS).index(name)])
    spread = lambda num: scipy.stats.qmc.LatinHypercube(dimension, rng=random).random(num)
    first, grid = spread(START), np.linspace(0, 1, sizes.num_pool - START)[:, None]
    rest = grid if dimension == 1 else spread(sizes.num_pool - START)
    x, x_test = (
        formula.rows(np.concatenate([first, rest])),
        formula.rows(random.uniform(size=(sizes.num_test, dimension))),
    )
    label = lambda x: jnp.asarray(formula.function(x) + formula.noise * random.standard_normal(len(x)))
    y, test = label(x), (jnp.asarray(x_test), label(x_test))
    return Task(make_pool(jnp.asarray(x)), y, test, jnp.arange(START, dtype=jnp.int32))


def learner(dimension: int, sizes: Sizes) -> Learner:
    """The mixture over draws of hyper-parameters."""
    from gpjax.kernels import RBF  # starts the devices, so that it waits for their number
    from gpjax.parameters import PositiveReal

    from bal.learners.gp import gp_regression, laplace_draws, lognormal_prior, process

    kernel = RBF(lengthscale=PositiveReal(jnp.ones(dimension)), n_dims=dimension)
    draws = laplace_draws(sizes.num_draws, sizes.num_points, 20)
    return gp_regression(process(kernel, noise=0.1), draws, log_prior=lognormal_prior())


def run(config: Config, sizes: Sizes) -> Found:
    """Run or read back all simulators; those of as many inputs share programs."""
    setups, found = {}, Found({}, {})
    for name in sizes.simulators:
        dimension = len(SIMULATORS[name].low)
        if dimension not in setups:
            plain = Setup(learner(dimension, sizes), QUERIES["random"], 1, sizes.num_rounds, evaluate=regression())
            setups[dimension] = {strategy: plain._replace(query=QUERIES[strategy]) for strategy in sizes.strategies}
        task, options = partial(of_seed, name, sizes), {"pool": sizes.num_pool, "test": sizes.num_test}
        curves = run_study(f"bayesian-gp-{name}", task, setups[dimension], config, sizes.num_seeds, 10, options)
        deviation = np.array([np.std(task(seed).test[1]) for seed in range(sizes.num_seeds)])[:, None]
        found.rmse[name] = {strategy: values / deviation for strategy, values in curves.metrics["rmse"].items()}
        found.nll[name] = curves.metrics["nll"]
    return found


def area(found: Found, metric: str, strategy: str) -> Float[np.ndarray, "D S"]:
    """Mean of a metric over the budget, by simulator and seed."""
    return np.stack([every[strategy].mean(1) for every in getattr(found, metric).values()])


def ranks(found: Found, metric: str) -> dict[str, Float[np.ndarray, "D S"]]:
    """Of every strategy by simulator and seed: 1 is the lowest."""
    strategies = next(iter(found.rmse.values()))
    areas = np.stack([area(found, metric, strategy) for strategy in strategies])
    return dict(zip(strategies, scipy.stats.rankdata(areas, axis=0)))


def ahead(found: Found, metric: str, strategy: str) -> Float[np.ndarray, "S"] | None:
    """By how much the best of the others ranks behind, by seed, mean over simulators; None where it was not run."""
    by_seed = {name: values.mean(0) for name, values in ranks(found, metric).items()}
    own = by_seed.pop(strategy, None)
    if own is None:
        return None
    return min(by_seed.values(), key=np.mean) - own


def before_alm(found: Found) -> Judged:
    """Ranks of QB-MGP and B-ALM, and the sign test of their areas under RMSE over simulators and seeds."""
    mean = {name: values.mean() for name, values in ranks(found, "rmse").items()}
    below = (area(found, "rmse", "QB-MGP") - area(found, "rmse", "B-ALM")).ravel()
    wins, num = int((below < 0).sum()), int((below != 0).sum())
    p = float(scipy.stats.binomtest(wins, num, alternative="greater").pvalue) if num else 1.0
    words = f"ranks {mean['QB-MGP']:.2f} and {mean['B-ALM']:.2f}; below in {wins} of {num} (p = {p:.2g})"
    return words, bool(mean["QB-MGP"] <= mean["B-ALM"] and p < 0.05)


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """What the abstract says, and that asking pays."""
    areas = lambda found: (area(found, "rmse", strategy) for strategy in ("random", "QB-MGP"))
    gain = lambda found: np.subtract(*map(np.log, areas(found))).mean(0)
    rule = "mean rank at most that of B-ALM, and one-sided sign test over simulators and seeds below 0.05"
    return [
        Claim("QB-MGP ranks no worse than B-ALM in area under relative RMSE", "in words", SOURCE,
              before_alm, told(rule)),
        Claim("QB-MGP predicts best: no other has a lower mean rank in RMSE", "in words", SOURCE,
              lambda found: ahead(found, "rmse", "QB-MGP"), not_below()),
        Claim("B-QBC has the best marginal likelihood: no other has a lower mean rank in it", "in words", SOURCE,
              lambda found: ahead(found, "nll", "B-QBC"), not_below()),
        Claim("QB-MGP is below random in RMSE: mean over simulators of the log ratio of areas", "drawn, not in numbers",
              SOURCE, gain, exceeds()),
    ]  # fmt: skip


def draw(found: Found, config: Config) -> None:
    """RMSE over all simulators, and ranks."""
    styles = strategy_styles(QUERIES)
    with picture(config.figures, f"bayesian_gp_{config.scale}", 3, 1.2) as panels:
        average = lambda strategy: np.exp(np.mean([np.log(every[strategy]) for every in found.rmse.values()], axis=0))
        means = {strategy: average(strategy) for strategy in next(iter(found.rmse.values()))}
        for strategy, values in means.items():
            labels = START + np.arange(values.shape[1])
            draw_curve(panels[0], labels, values, strategy, styles[strategy], (0, np.inf))
        title = "six simulators" if len(found.rmse) == 6 else ", ".join(found.rmse)
        panels[0].set(xlabel="labels", ylabel="relative RMSE", ylim=(0, None), title=title)
        for axis, (metric, title) in zip(panels[1:], METRICS.items()):
            draw_ranks(axis, ranks(found, metric), styles)
            axis.set(title=title, xlabel="mean rank")
        legend(panels[:1], 5, band_title(means).replace("\n", " "))


def draw_ranks(axis: Axes, every: dict[str, Float[np.ndarray, "D S"]], styles: dict[str, dict]) -> None:
    """Mean rank and its interval over seeds; a small dot a simulator."""
    for place, (strategy, values) in enumerate(every.items()):
        color, ours = styles[strategy]["color"], interval(values.mean(0), (1, len(every)))
        axis.plot(values.mean(1), np.full(len(values), place + 0.2), ".", color=color, alpha=0.5, markersize=3)
        if not np.isnan(ours.low):
            axis.plot([ours.low, ours.high], [place, place], "-", color=color)
        axis.plot(ours.mean, place, marker=styles[strategy]["marker"], color=color, markersize=4)
    axis.set_yticks(range(len(every)), list(every), fontsize="x-small")
    axis.set(xlim=(0.8, len(every) + 0.2), ylim=(len(every) - 0.5, -0.5))


def work(sizes: Sizes) -> float:
    """Fits of the hyper-parameters."""
    return float(sizes.num_seeds * sizes.num_rounds * len(sizes.simulators) * sizes.num_points)


FIGURE = Figure(
    "bayesian_gp", "Fully Bayesian Gaussian processes", __doc__, "six simulators, drawn anew in each seed", Config,
    SIZES, run, claims, draw, work, precise=True,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
