"""Where to measure a field: sensors on a 15 x 15 grid by entropy, ALC, mutual information, or at random.

    python -m paper_figures.gp_placement --scale cpu

The field is a Gaussian process with a squared exponential kernel of length 0.15 or 0.3 on the unit square and noise
variance 0.01. Since its hyper-parameters are given, the posterior variance depends on where sensors stand and not on
what they measure: the twenty places of a rule are one batch, chosen before anything is measured, and the root of the
mean posterior variance over the grid is the expected error. Nothing is random but the random places. Entropy (greedy
log-determinant) puts sensors on the border, where they see little of the square; ALC and mutual information do not.
The published data sets (temperatures of a laboratory, precipitation) are replaced by the process itself, on which
their claims about borders and order are judged; the numbers beside ours are from an implementation apart from this
one. All scales take seconds; finished parts are kept in runs/.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bal import strategies
from bal.evaluation import strategy_styles
from bal.loop.round import acquire, begin, fit
from bal.pool import make_pool
from bal.query import Query
from bal.typing import Data, Learner, Setup
from paper_figures.claims import Claim, Judged, Test, told
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

SOURCE = "Krause et al. 2008, Seo et al. 2000; numbers: another implementation"
LENGTHS = (0.15, 0.3)
NOISE = 0.01
SIDE, NUM_PICKS = 15, 20
COUNTS = (5, 10, 20)
PUBLISHED = {
    "entropy": (0.684, 0.380, 0.161),
    "ALC": (0.497, 0.306, 0.135),
    "mutual information": (0.591, 0.287, 0.128),
    "random": (0.639, 0.429, 0.246),
}
SIZES = {"smoke": 20, "cpu": 200, "paper": 5_000}
EVERY = ("smoke", "cpu", "paper")
GUARANTEE = 1 - 1 / np.e


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure: 20, 200 or 5,000 random placements by scale; the rest is the same."""

    seed: int = 0
    """Root of the random placements."""


class Placement(NamedTuple):
    """Places in order, and the expected error after 1, 2, ... of them; a leading axis for several placements."""

    picks: np.ndarray
    error: np.ndarray


class Found(NamedTuple):
    """Placements by length and rule, and the greedy ratios of `greedy_ratio`."""

    placements: dict[float, dict[str, Placement]]
    ratios: np.ndarray


def grid() -> np.ndarray:
    """All places ``[225, 2]``."""
    side = np.linspace(0.0, 1.0, SIDE)
    return np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)


def field() -> Learner:
    """The process of unit variance, for places in units of its length."""
    from gpjax.kernels import RBF  # here, for to import it starts the devices

    from bal.learners.gp import gp_regression, process

    return gp_regression(process(RBF(), noise=NOISE))


def queries(x: Float[Array, "N 2"]) -> dict[str, Query]:
    """One stage a rule; ALC cares for all places of the grid alike."""
    return {
        "entropy": strategies.gp_batch_bald(),
        "ALC": strategies.batch_alc(x),
        "mutual information": strategies.mutual_information(),
    }


def choose(query: Query, x: Float[Array, "N 2"], num_picks: int) -> Int[Array, "B"]:
    """The places that a rule chooses before anything is measured."""
    learner, key, pool = field(), jax.random.key(0), make_pool(x)
    carry = begin(key, learner, query, pool, jnp.zeros(len(x)), num_picks)
    carry = carry._replace(state=fit(key, learner, pool, carry.labeled, carry.state))
    return acquire(key, Setup(learner, query, num_picks, num_rounds=1), pool, carry)[0].indices


def expected_errors(x: Float[Array, "N 2"], picks: Int[Array, "B"]) -> Float[Array, "B"]:
    """Root of the mean posterior variance after each pick."""

    def after(count: Array) -> Array:
        weight = (jnp.arange(len(picks)) < count).astype(x.dtype)
        data = Data(x[picks], jnp.zeros(len(picks), x.dtype), weight)
        learner, key = field(), jax.random.key(0)
        state = learner.fit(key, learner.init(key, data), data)
        return jnp.sqrt(learner.predict(state, x).variance.mean())

    return jax.lax.map(after, jnp.arange(1, len(picks) + 1))


@jax.jit
def place(x: Float[Array, "N 2"], anywhere: Int[Array, "S B"]) -> tuple[Int[Array, "T B"], Float[Array, "T B"]]:
    """Picks and errors of every rule, then errors of given placements."""
    chosen = [choose(query, x, anywhere.shape[1]) for query in queries(x).values()]
    picks = jnp.concatenate([jnp.stack(chosen), anywhere])
    return picks, jax.lax.map(lambda picked: expected_errors(x, picked), picks)


def run(length: float, num_random: int, seed: int) -> dict[str, np.ndarray]:
    """Picks and errors ``[T, B]``: a line a rule, then those of random placements."""
    x, random = grid() / length, np.random.default_rng(seed)
    anywhere = np.stack([random.permutation(len(x))[:NUM_PICKS] for _ in range(num_random)]).astype(np.int32)
    picks, errors = map(np.asarray, place(jnp.asarray(x), jnp.asarray(anywhere)))
    return {"picks": picks, "errors": errors}


def placements(picks: np.ndarray, errors: np.ndarray) -> dict[str, Placement]:
    """Those of every rule by its name, and all random ones."""
    rules = [name for name in PUBLISHED if name != "random"]
    found = {name: Placement(picks[number], errors[number]) for number, name in enumerate(rules)}
    return {**found, "random": Placement(picks[len(rules) :], errors[len(rules) :])}


def border_share(picks: np.ndarray, count: int) -> float:
    """Share of the first places that lie on the border."""
    rows, columns = np.divmod(picks[..., :count], SIDE)
    return float((np.isin(rows, (0, SIDE - 1)) | np.isin(columns, (0, SIDE - 1))).mean())


def greedy_ratio(num_places: int, num_picks: int, num_instances: int, seed: int) -> np.ndarray:
    """Information of the greedy picks over that of the best subset, on fields of few random places ``[instances]``."""
    greedily = jax.jit(lambda x: choose(queries(x)["mutual information"], x, num_picks))
    ratios = []
    for x in np.random.default_rng(seed).uniform(size=(num_instances, num_places, 2)) / max(LENGTHS):
        covariance = np.exp(-0.5 * ((x[:, None] - x[None]) ** 2).sum(-1))
        covariance += NOISE * np.eye(num_places)
        best = max(_information(covariance, some) for some in itertools.combinations(range(num_places), num_picks))
        ratios.append(_information(covariance, np.asarray(greedily(jnp.asarray(x))).tolist()) / best)
    return np.array(ratios)


def _information(covariance: np.ndarray, some: tuple | list) -> float:
    """``I(y_some; y_rest)`` in nats."""
    rest = [place for place in range(len(covariance)) if place not in some]
    log_det = lambda rows: np.linalg.slogdet(covariance[np.ix_(rows, rows)])[1]
    return 0.5 * (log_det(list(some)) + log_det(rest) - np.linalg.slogdet(covariance)[1])


def run_all(config: Config, num_random: int) -> Found:
    """Run or read back both lengths, and the ratios."""
    found = {}
    for length in LENGTHS:
        part = {"length": length, "random placements": num_random, "seed": config.seed}
        compute = lambda length=length: run(length, num_random, config.seed)
        found[length] = placements(**on_record(config, "gp-placement", part, compute, of=3))
    subsets = {"fields against all subsets": 20, "places": 12, "picks": 3, "seed": config.seed}
    compute = lambda: {"ratios": greedy_ratio(12, 3, 20, config.seed)}
    return Found(found, on_record(config, "gp-placement", subsets, compute, of=3)["ratios"])


def claims(config: Config, num_random: int) -> list[Claim]:
    """The published errors, borders and order, and the guarantee of greedy picks; only random places hang on a seed."""
    rows = []
    for name, published in PUBLISHED.items():
        tolerance = 0.01 if name == "random" else 0.001  # random places differ, the others may not
        text = f"expected error after 5, 10, 20 picks by {name}, length 0.3, within {tolerance}"
        rule = told(f"each of the three within {tolerance} of the published")
        measure = lambda found, name=name, tolerance=tolerance: agrees(errors_at(found)[name], name, tolerance)
        scales = ("cpu", "paper") if name == "random" else EVERY
        rows.append(Claim(text, _numbers(published), SOURCE, measure, rule, scales))
    return [
        *rows,
        Claim("entropy: more than half of 5 picks on the border, lengths 0.15, 0.3", "0.60 0.80", SOURCE,
              lambda found: borders(found, "entropy"),
              Test("above 0.5 at both lengths", lambda shares: (_numbers(shares), min(shares) > 0.5)), EVERY),
        Claim("ALC and mutual information: none of them", "0", SOURCE,
              lambda found: borders(found, "ALC", "mutual information"),
              Test("exactly 0 at both lengths", lambda shares: (_numbers(shares), max(shares) == 0)), EVERY),
        Claim("order of the errors after 5 picks, length 0.3", "ALC, mutual information < random <= entropy", SOURCE,
              ordered, told("this order of the numbers"), EVERY),
        Claim("greedy mutual information over the best of all subsets, 20 fields of 12 places", ">= 0.63",
              "Krause et al. 2008, theorem 7",
              lambda found: (f"at least {found.ratios.min():.3f}", found.ratios.min() >= GUARANTEE),
              told("every field at least 1 - 1 / e"), EVERY),
    ]  # fmt: skip


def errors_at(found: Found) -> dict[str, np.ndarray]:
    """Expected error of every rule after 5, 10 and 20 picks, for the longer length."""
    long = found.placements[max(LENGTHS)]
    return {name: np.atleast_2d(placement.error).mean(0)[np.array(COUNTS) - 1] for name, placement in long.items()}


def agrees(errors: np.ndarray, name: str, tolerance: float) -> Judged:
    """Whether all are as published."""
    return _numbers(errors), bool(np.abs(errors - PUBLISHED[name]).max() < tolerance)


def borders(found: Found, *names: str) -> list[float]:
    """Shares of the first five picks on the border, by length."""
    return [border_share(found.placements[length][name].picks, 5) for length in LENGTHS for name in names]


def ordered(found: Found) -> Judged:
    """Whether errors after 5 picks have the published order."""
    first = {name: float(value[0]) for name, value in errors_at(found).items()}
    ours = ", ".join(f"{name} {value:.3f}" for name, value in sorted(first.items(), key=lambda item: item[1]))
    return ours, max(first["ALC"], first["mutual information"]) < first["random"] <= first["entropy"]


def _numbers(values: tuple | list | np.ndarray) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def draw(every: Found, config: Config) -> None:
    """Errors against sensors for both lengths, and where the first ten sensors stand for the longer one."""
    found, longest, styles = every.placements, max(LENGTHS), strategy_styles(PUBLISHED)
    with picture(config.figures, f"gp_placement_{config.scale}", 3, 1.3) as panels:
        for axis, (length, rules) in zip(panels, found.items()):
            for name, placement in rules.items():
                errors = np.atleast_2d(placement.error).mean(0)
                every_third = {"markevery": 3, "markersize": 3}
                axis.plot(np.arange(1, NUM_PICKS + 1), errors, label=name, **styles[name], **every_third)
            if length == longest:
                for name, published in PUBLISHED.items():
                    axis.plot(COUNTS, published, "x", color=styles[name]["color"], markersize=7)
                axis.plot([], [], "x", color="gray", markersize=7, label=f"published, length {longest}")
            axis.set(xlabel="sensors", title=f"length {length}", ylim=(0, 1), xticks=(1, 5, 10, 15, 20))
        panels[0].set(ylabel="expected error / prior s.d.")
        for name, size in zip(
            (name for name in PUBLISHED if name != "random"), (7, 5, 3)
        ):  # one inside the other where places agree
            places = grid()[found[longest][name].picks[:10]]
            look = {**styles[name], "linestyle": "none", "fillstyle": "none", "markersize": size, "clip_on": False}
            panels[2].plot(*places.T, **look)
        panels[2].set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
        panels[2].set_title(f"first ten, length {longest}", pad=10)
        panels[2].set(xlabel="east", ylabel="north", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        legend(panels, 5)


FIGURE = Figure(
    "gp_placement", "Sensors in a Gaussian field", __doc__, "the process itself", Config, SIZES, run_all, claims, draw,
    lambda num_random: 3.0 + num_random, precise=True,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
