"""BALD as an estimator of information: its squared error for a predictive and a parameter information gain.

    python -m paper_figures.bald_estimator --scale cpu

Two conjugate models of the next observation: labels of a fair coin under a Beta(5, 5) prior, and draws of N(1, 1) under
a normal-gamma prior (a = 1, b = 5, k = 1, m = 0). After n of them BALD, which trusts the model, estimates two things
that hang on what generates the data: how far the entropy of the prediction will fall when data go on for ever, and how
far the next observation will let the entropy of the parameters fall. Lines are closed forms; rings are what `bal` finds
from posterior draws spread evenly, by `bald` of class probabilities and by `mixture_bald` of `normal_inverse_gamma`.
`smoke` takes seconds, `cpu` and `paper`, both of the published size (50 seeds), half a minute. What is finished is kept
in runs/.

The data are those of the published code, seed by seed, so its curves are met to the digits of its picture, but only
with two slips of its code, drawn here as published. The entropy of a gamma variable is taken with scale b for 1 / b:
by its own predictions the first observation then tells -0.628 nats, and BALD is 0.599. And the expectation over the
next label of the coin hands both labels to the function at once, whose sum is 1, so that a one stands for either.
Without the slips BALD is the far better estimate of the parameter information gain, and all errors still go to 0.

Found at `cpu`: all is reproduced but the two published curves of the parameter information gain, whose errors are
between 4 and 7,000 times too large.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from scipy.special import digamma, entr, gammaln

from bal.acquisition import bald, mixture_bald
from bal.evaluation.plots import BLUE, ORANGE
from bal.learners.heads import normal_inverse_gamma
from bal.typing import Data, Gaussian, Learner, PyTree
from paper_figures.claims import Claim, Interval, Judged, above, all_hold, interval, told
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

SOURCE = "Bickford Smith et al. 2025, read from the coordinates of the authors' picture"
NUM_SEEDS, COUNTS = 50, (1, 10, 100, 1000)
BETA, NORMAL_GAMMA = (5.0, 5.0), (1.0, 5.0, 1.0)
MODELS = ("coin", "normal")
PUBLISHED = {
    ("coin", "predictive"): (2.2574e-3, 1.6863e-3, 1.0232e-4, 1.2909e-6),
    ("coin", "parameter"): (7.9914e-5, 9.9326e-5, 7.5664e-7, 9.1e-10),
    ("normal", "predictive"): (0.69831, 0.092172, 6.3844e-3, 5.867e-4),
    ("normal", "parameter"): (0.095242, 0.013746, 3.3335e-4, 3.955e-6),
}


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; sizes follow from the scale."""

    seeds: int | None = None
    """Repetitions, if not those of the scale."""


class Sizes(NamedTuple):
    """What a scale means; draws are those of the coin's probability and those of the normal's noise."""

    num_seeds: int
    counts: tuple[int, ...]
    num_draws: int
    num_noises: int


SIZES = {
    "smoke": Sizes(5, (1, 10, 100), 500, 32),
    "cpu": Sizes(NUM_SEEDS, COUNTS, 4000, 128),
    "paper": Sizes(NUM_SEEDS, COUNTS, 4000, 128),
}


class Found(NamedTuple):
    """Information of every seed after n observations, in nats.

    bald: by the model, in closed form; drawn: by `bal` from draws.
    predictive: entropy of the prediction less that of the data; parameter: what the next observation takes off the
    entropy of the parameters, expected over the data; slipped: the same as in the published code; own: the same
    expected over the model's own prediction, which is BALD.
    """

    bald: Float[np.ndarray, "S E"]
    drawn: Float[np.ndarray, "S E"]
    predictive: Float[np.ndarray, "S E"]
    parameter: Float[np.ndarray, "S E"]
    slipped: Float[np.ndarray, "S E"]
    own: Float[np.ndarray, "S E"]


def errors(found: Found, truth: str, estimate: str = "bald") -> Float[np.ndarray, "S E"]:
    """Squared errors of BALD."""
    return (getattr(found, estimate) - getattr(found, truth)) ** 2


def run(model: str, sizes: Sizes) -> Found:
    """All quantities of a model; the seeds are the published ones, from 1."""
    data = scipy.stats.bernoulli(0.5) if model == "coin" else scipy.stats.norm(1, 1)
    y = np.stack([data.rvs(max(sizes.counts), random_state=1 + seed) for seed in range(sizes.num_seeds)])
    observe = coin if model == "coin" else normal
    return observe(y.astype(np.float64), sizes)


def coin(y: Float[np.ndarray, "S n"], sizes: Sizes) -> Found:
    """θ ~ Beta(a, b), y ~ Bernoulli(θ), and truly Bernoulli(1/2)."""
    ones, n = np.cumsum(y, 1)[:, np.array(sizes.counts) - 1], np.array(sizes.counts)
    a, b = BETA[0] + ones, BETA[1] + n - ones
    p = a / (a + b)
    of_labels = lambda p: entr(p) + entr(1 - p)
    given = digamma(a + b + 1) - p * digamma(a + 1) - (1 - p) * digamma(b + 1)
    entropy = lambda a, b: scipy.stats.beta(a, b).entropy()
    after = lambda q: q * entropy(a + 1, b) + (1 - q) * entropy(a, b + 1)
    draws = scipy.stats.beta(a[..., None], b[..., None]).ppf(even(sizes.num_draws))
    log_probs = jnp.log(jnp.stack([draws, 1 - draws], -1)).reshape(-1, sizes.num_draws, 2)
    return Found(
        bald=of_labels(p) - given,
        drawn=np.asarray(bald(log_probs)).reshape(a.shape),
        predictive=of_labels(p) - of_labels(0.5),
        parameter=entropy(a, b) - after(0.5),
        slipped=entropy(a, b) - after(1.0),
        own=entropy(a, b) - after(p),
    )


def normal(y: Float[np.ndarray, "S n"], sizes: Sizes) -> Found:
    """y ~ N(μ, 1/λ), λ ~ Gamma(a, rate b), μ ~ N(m, 1/(k λ)), and truly N(1, 1); a, b, m by the learner of `bal`."""
    shape, scale, precision = NORMAL_GAMMA
    learner = normal_inverse_gamma(
        sizes.num_noises, prior=1 / precision, shape=shape, scale=scale, standardize=False
    )  # of no features: the bias is all there is
    n = np.array(sizes.counts)
    state = posteriors(learner, y, np.where(np.arange(y.shape[1]) < n[:, None], 1.0, 0.0))
    a, b, k, m = np.asarray(state.shape), np.asarray(state.scale), precision + n, np.asarray(state.mean)[..., 0]
    noise = scipy.stats.invgamma(a[..., None], scale=b[..., None]).ppf(even(sizes.num_noises))
    drawn = information(learner, state._replace(noise=noise))
    return normal_gains(a, b, np.broadcast_to(k, a.shape), m)._replace(drawn=np.asarray(drawn))


@partial(jax.jit, static_argnames="learner")
def posteriors(learner: Learner, y: Float[Array, "S n"], weight: Float[Array, "E n"]) -> PyTree:
    """Of every seed and every number of observations."""

    def fit(y: Array, weight: Array) -> PyTree:
        data, key = Data(jnp.zeros((len(y), 0)), y, weight), jax.random.key(0)
        return learner.fit(key, learner.init(key, data), data)

    return jax.vmap(jax.vmap(fit, (None, 0)), (0, None))(y, weight)


@partial(jax.jit, static_argnames="learner")
def information(learner: Learner, state: PyTree) -> Float[Array, "S E"]:
    """BALD of one row without features, by every posterior."""
    predict = jax.vmap(jax.vmap(lambda state: learner.predict(state, jnp.zeros((1, 0)))))
    moments = predict(state)
    rows = Gaussian(*(leaf.reshape(-1, leaf.shape[-1]) for leaf in moments))
    return mixture_bald(rows).reshape(moments.mean.shape[:2])


def normal_gains(a: np.ndarray, b: np.ndarray, k: np.ndarray, m: np.ndarray) -> Found:
    """All but `drawn`, of posteriors with these parameters."""
    truth, prediction = scipy.stats.norm(1, 1), scipy.stats.t(2 * a, m, np.sqrt(b * (k + 1) / (a * k)))
    log_precision = digamma(a) - np.log(b)
    given = 0.5 * (np.log(2 * np.pi) + 1 - log_precision)
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    far = k[..., None] * (truth.mean() + truth.std() * nodes - m[..., None]) ** 2 / (2 * (k[..., None] + 1))
    log_after = np.log(b[..., None] + far) @ (weights / weights.sum())  # of the next b, expected over the data
    log_own = np.log(b) + digamma(a + 0.5) - digamma(a)  # and over the prediction, a Student t
    drop = lambda log_next: normal_gamma_entropy(a, np.log(b), k) - normal_gamma_entropy(a + 0.5, log_next, k + 1)
    return Found(
        bald=prediction.entropy() - given,
        drawn=np.full(a.shape, np.nan),
        predictive=prediction.entropy() - truth.entropy(),
        parameter=drop(log_after),
        slipped=drop(log_after) + 2 * (np.log(b) - log_after),  # a scale of b for 1 / b turns -log b into +log b
        own=drop(log_own),
    )


def normal_gamma_entropy(a: np.ndarray, log_b: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Entropy of λ plus that of μ given λ; linear in the logarithm of b, so an expected one serves."""
    of_precision = a - log_b + gammaln(a) + (1 - a) * digamma(a)
    return of_precision + 0.5 * (np.log(2 * np.pi) + 1 - np.log(k) - digamma(a) + log_b)


def even(num: int) -> Float[np.ndarray, "num"]:
    """The middles of equal parts of the unit interval."""
    return (np.arange(num) + 0.5) / num


def run_all(config: Config, sizes: Sizes) -> dict[str, Found]:
    """Run or read back both models."""
    found, of = {}, len(MODELS) * sizes.num_seeds
    for model in MODELS:
        part = {"model": model, **sizes._asdict()}
        compute = lambda model=model: run(model, sizes)._asdict()
        found[model] = Found(**on_record(config, "bald-estimator", part, compute, num_seeds=sizes.num_seeds, of=of))
    return found


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """The published curves, as published and as defined; then what holds of BALD."""
    same = sizes.counts == COUNTS and sizes.num_seeds == NUM_SEEDS
    rows = []
    for model in MODELS:
        slip = "one label for both" if model == "coin" else "gamma scale b"
        versions = (("predictive", "predictive", ""), ("parameter", "parameter", ", as defined"))
        for kind, truth, words in (*versions, ("parameter", "slipped", f", as published ({slip})")):
            published = PUBLISHED[model, kind]
            text = f"{model}: mean squared error, {kind} information gain, n = {numbers(sizes.counts)}{words}, to 1 %"
            measure = lambda found, model=model, truth=truth, published=published: met(found[model], truth, published)
            rule = told("each number within 1 % of the published, which has the same seeds")
            rows.append(Claim(text, numbers(published), SOURCE, measure, rule, ("cpu", "paper") if same else ()))
    statement = (
        "errors go to 0: each falls from n = 10 on with every tenfold n (95 %), to less than a hundredth; "
        f"at n = {sizes.counts[-1]}"
    )
    return [
        *rows,
        Claim(statement, "0", "Bickford Smith et al. 2025", goes_to_zero,
              told("95 % intervals of the paired differences above 0, and the ratio of the ends")),
        Claim("normal: entropy that the first observation takes off the prior, by the prior's own prediction",
              "0.599; -0.628 with gamma scale b", "published code", lambda found: at_the_prior(),
              told("both within 5e-4"), ("smoke", "cpu", "paper")),
        Claim("BALD is what the next observation takes off the posterior's entropy, by the model's own prediction",
              "the same", "theory", own_drop, told("within 1e-9 nats"), ("smoke", "cpu", "paper")),
        Claim(f"BALD from {sizes.num_draws} and {sizes.num_noises} draws is its closed form, within 2 %", "the same",
              "theory", by_draws, told("largest relative difference below 0.02")),
    ]  # fmt: skip


def met(found: Found, truth: str, published: tuple[float, ...]) -> Judged:
    """Whether the mean squared errors are the published ones."""
    ours = errors(found, truth).mean(0)
    return numbers(ours), len(ours) == len(published) and np.allclose(ours, published, rtol=0.01, atol=0)


def goes_to_zero(found: dict[str, Found]) -> Judged:
    """Every error falls with every tenfold of n from 10 on, paired over seeds, and ends below a hundredth."""
    holds, words = [], []
    for model in MODELS:
        for truth in ("predictive", "parameter"):
            values = errors(found[model], truth)
            falls = [above(interval(values[:, i] - values[:, i + 1])) for i in range(1, values.shape[1] - 1)]
            holds += [*falls, bool(values[:, -1].mean() < 0.01 * values[:, 0].mean())]
            words.append(f"{model}, {truth} {scientific(interval(values[:, -1], (0, np.inf)))}")
    return "; ".join(words), all_hold(holds)


def at_the_prior() -> Judged:
    """Information of the first observation by the normal model's own prediction, with the right scale and the wrong."""
    a, b, k = (np.array([value]) for value in NORMAL_GAMMA)
    found = normal_gains(a, b, k, np.zeros(1))
    slipped = found.own - 2 * (digamma(a + 0.5) - digamma(a))
    text = f"BALD {found.bald[0]:.3f}, drop {found.own[0]:.3f}, with the slip {slipped[0]:.3f}"
    return text, abs(found.own[0] - 0.599) < 5e-4 and abs(slipped[0] + 0.628) < 5e-4


def own_drop(found: dict[str, Found]) -> Judged:
    """How far BALD is from the drop that the model itself expects."""
    apart = max(np.abs(one.own - one.bald).max() for one in found.values())
    return f"within {apart:.1e} nats", apart < 1e-9


def by_draws(found: dict[str, Found]) -> Judged:
    """How far BALD from draws is from its closed form."""
    apart = max(np.abs(one.drawn / one.bald - 1).max() for one in found.values())
    return f"within {100 * apart:.2f} %", apart < 0.02


def numbers(values: tuple | np.ndarray) -> str:
    """Five digits each."""
    return " ".join(f"{value:.5g}" for value in values)


def scientific(ours: Interval) -> str:
    """An interval of a number of any size."""
    if np.isnan(ours.low):
        return f"{ours.mean:.1e} (no interval)"
    return f"{ours.mean:.1e} [{ours.low:.1e}, {ours.high:.1e}]"


def draw(found: dict[str, Found], config: Config) -> None:
    """The coin as defined and as published, then the normal as defined and, beside it, as published."""
    counts = COUNTS[: found["coin"].bald.shape[1]]
    with picture(config.figures, f"bald_estimator_{config.scale}", 3, 1.2) as panels:
        versions = ("coin", "parameter"), ("normal", "parameter"), ("normal", "slipped")
        for axis, (model, parameter) in zip(panels, versions, strict=True):
            for truth, kind, color in (("predictive", "predictive", BLUE), (parameter, "parameter", ORANGE)):
                one_curve(axis, counts, found[model], truth, {"color": color, "label": f"{kind} information gain"})
                if truth != "parameter":
                    axis.plot(COUNTS, PUBLISHED[model, kind], "x", color=color, markersize=5)
            axis.set(xscale="log", yscale="log", xlabel="observations $n$")
            axis.minorticks_off()
        coin, defined, slipped = panels
        coin.plot(counts, errors(found["coin"], "slipped").mean(0), ":", color=ORANGE, label="coin as published")
        coin.plot(COUNTS, PUBLISHED["coin", "parameter"], "x", color=ORANGE, markersize=5)
        coin.plot([], [], "x", color="gray", markersize=5, label="values published")
        coin.plot([], [], "o", color="gray", markersize=5, fillstyle="none", label="BALD by draws")
        coin.set(ylabel="squared error of BALD", title="coin")
        defined.set(title="normal as defined")
        slipped.set(title="normal as published", ylim=defined.get_ylim())  # side by side, to be compared
        seeds = f"mean of {len(found['coin'].bald)} seeds, band: 95% t interval"
        legend(panels, 3, seeds)


def one_curve(axis: Axes, counts: tuple[int, ...], found: Found, truth: str, look: dict[str, str]) -> None:
    """Mean squared errors by the closed form, with their interval, and by draws."""
    points = [interval(values, (0, np.inf)) for values in errors(found, truth).T]
    axis.plot(counts, [point.mean for point in points], **look)
    low, high = ([getattr(point, end) for point in points] for end in ("low", "high"))
    least = 0.1 * min(point.mean for point in points)  # an interval that ends at 0 has no end on a log axis
    axis.fill_between(counts, np.maximum(low, least), high, color=look["color"], alpha=0.2, linewidth=0)
    rings = {"color": look["color"], "markersize": 5, "fillstyle": "none"}
    axis.plot(counts, errors(found, truth, "drawn").mean(0), "o", **rings)


def work(sizes: Sizes) -> float:
    """Posteriors times draws."""
    return float(sizes.num_seeds * len(sizes.counts) * (sizes.num_draws + sizes.num_noises))


FIGURE = Figure(
    "bald_estimator", "BALD as an estimator", __doc__, "a coin and a normal, by the seeds of the published code",
    Config, SIZES, run_all, claims, draw, work, precise=True,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
