"""BatchBALD saturates at log K: what the picks of a batch still tell, for K = 10, 100, 1000 posterior draws.

    python -m paper_figures.batchbald_saturation --scale cpu

BatchBALD is the information of a batch about the *index of a draw*, so log K is its ceiling. Left: information over
log K after each pick, median over rounds and seeds. Right: share of batches whose score falls at some pick, which the
true quantity cannot do: with the usual estimate, joint entropies from labelings drawn anew at every pick, and with
log K less the entropy that labels leave of the draw. `smoke` takes half a minute, `cpu` eight minutes on two cores;
both use the 8 x 8 digits and an MLP with dropout, and `cpu`, where ``BAL_DATA`` holds MNIST, for K = 10 also 2,500 of
its images three times with noise and a LeNet of half the width. `paper` uses all images and the whole LeNet, as
published, and is meant for an accelerator. Finished seeds are kept in runs/: the same command goes on after an
interruption.

Found at `cpu`: on the published data the score climbs to its ceiling as in the published logs, a little sooner, and
after four picks a batch is nearly free; with an MLP on digits it takes ten, so that the last claim, which is held to
digits, fails. No score exceeds log K, as some logged ones do. Estimates from new labelings at every pick fall in seven
of ten batches for K = 10 and in none for K = 100.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from bal.acquisition import expected_entropy
from bal.datasets import digits, mnist, repeated, start_set
from bal.evaluation.plots import COLORS
from bal.learners import lenet, mc_dropout, mlp
from bal.loop import run_seeds, seed_keys
from bal.loop.round import acquire, begin, fit, given_start, record_answers
from bal.loop.stacked import stacked
from bal.numerics import logmeanexp
from bal.pool import make_pool
from bal.query import Query, Stage, predictions
from bal.selection import batch_information, batchbald
from bal.typing import Learner, Pool, Setup
from paper_figures import repeated_mnist
from paper_figures.claims import Claim, Judged, Scale, Test, exceeds, interval, told, touches
from paper_figures.common import Options, legend, on_record, picture
from paper_figures.figure import Figure, launch

SOURCE = "Kirsch et al. 2019, run logs published by the authors"
PICKS = (1, 2, 3, 4, 5, 10)
PUBLISHED = {10: (0.48, 0.77, 0.91, 0.96, 0.99, 1.00), 100: (0.22, 0.42, 0.59, 0.72, 0.82, 0.98)}
PUBLISHED_FALLING = {10: 0.97, 100: 0.09}
PUBLISHED_DATA = {10: "Repeated MNIST", 100: "MNIST"}


@dataclass(frozen=True)
class Config(Options):
    """Options of the figure; sizes follow from the scale."""

    seed: int = 0
    """The first seed; the others follow it."""
    seeds: int | None = None
    """Repetitions, if not those of the scale."""


class Sizes(NamedTuple):
    """What a scale means."""

    num_draws: tuple[int, ...]
    num_seeds: int
    num_rounds: int
    num_pool: int | None
    num_configurations: int
    num_steps: int


SIZES = {
    "smoke": Sizes((10, 100), 2, 2, 200, 1_000, 100),
    "cpu": Sizes((10, 100, 1000), 5, 4, 400, 4_000, 400),
    "paper": Sizes((10, 100), 6, 28, None, 40_000, 2_000),
}


class Found(NamedTuple):
    """Batches by the number of draws, and what `published_data` returns."""

    batches: dict[int, "Batches"]
    published: Float[np.ndarray, "S R B"] | None


class Batches(NamedTuple):
    """Every batch of every seed; scores are information in nats after each pick ``[seeds, rounds, B]``."""

    score: np.ndarray
    fresh_score: np.ndarray


def fresh_scores(
    key: Array, log_probs: Float[Array, "B K C"], exact: Float[Array, "B"], num_configurations: int
) -> Float[Array, "B"]:
    """Scores as usually estimated: enumerated while that fits, then joint entropies of labelings drawn anew a pick."""
    size, num_draws, num_classes = log_probs.shape
    conditional = jnp.cumsum(expected_entropy(log_probs))

    def after(number: Array) -> Array:
        draw = jnp.arange(num_configurations) % num_draws
        keys = jax.random.split(jax.random.fold_in(key, number), size)

        def add(total: Array, row: tuple) -> tuple[Array, None]:
            key_row, log_p, place = row
            label = jax.random.categorical(key_row, log_p[draw])
            return total + jnp.where(place <= number, 1.0, 0.0) * log_p.T[label], None

        start = jnp.zeros((num_configurations, num_draws))
        joint, _ = jax.lax.scan(add, start, (keys, log_probs, jnp.arange(size)))
        return -logmeanexp(joint, 1).mean() - conditional[number]

    enumerated = num_classes ** np.arange(1.0, size + 1) <= num_configurations
    return jnp.where(enumerated, exact, jax.lax.map(after, jnp.arange(size)))


def load(scale: Scale, num_pool: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of the pool."""
    data = digits()
    if scale == "paper":
        data = mnist()
        data, _ = repeated(data, 3, noise=0.1, seed=seed)
    rows = np.random.default_rng(seed).permutation(len(data.y))[:num_pool]
    return data.x[rows], data.y[rows]


def learner(scale: Scale, num_draws: int, num_steps: int) -> Learner:
    """Monte-Carlo dropout."""
    network = lenet() if scale == "paper" else mlp((128,), num_outputs=10, dropout=0.5)
    rate = 1e-3 if scale == "paper" else 1e-2  # the small sets are trained briefly, but until they fit
    return mc_dropout(network, num_draws, optimizer=optax.adam(rate), num_steps=num_steps)


def one_round(key: Array, pool: Pool, y: Array, carry: Any, *, model: Learner, num_configurations: int) -> tuple:
    """Fit, pick ten by BatchBALD, learn their labels; and the batch's scores by either estimate."""
    query = Query((Stage(predictions, batchbald(num_configurations)),))
    carry = carry._replace(state=fit(key, model, pool, carry.labeled, carry.state))
    picks, _ = acquire(key, Setup(model, query, batch_size=10, num_rounds=1), pool, carry)
    log_probs = model.predict(carry.state, pool.x[picks.indices])
    key_score, key_fresh = jax.random.split(jax.random.fold_in(key, 7))
    score = batch_information(key_score, log_probs, num_configurations)
    fresh = fresh_scores(key_fresh, log_probs, score.total, num_configurations)
    return carry._replace(labeled=record_answers(carry.labeled, pool, picks, y[picks.indices], 0)), (score, fresh)


def run_draws(config: Config, sizes: Sizes, num_draws: int) -> Batches:
    """All batches for one K, those of a finished seed from its record."""
    model = learner(config.scale, num_draws, sizes.num_steps)
    advance = jax.jit(partial(one_round, model=model, num_configurations=sizes.num_configurations))
    part = {"scale": config.scale, "K": num_draws, "sizes": sizes._replace(num_draws=(), num_seeds=0)._asdict()}
    seeds = range(config.seed, config.seed + sizes.num_seeds)
    compute = lambda seed: run_seed(config, sizes, seed, model, advance)._asdict()
    of = len(seeds) * len(sizes.num_draws)
    found = [on_record(config, "batchbald-saturation", {**part, "seed": s}, partial(compute, s), of=of) for s in seeds]
    return Batches(*(np.stack([one[name] for one in found]) for name in Batches._fields))


def run_seed(config: Config, sizes: Sizes, seed: int, model: Learner, advance: Callable) -> Batches:
    """The batches of one seed, ``[rounds, B]``."""
    x, y = load(config.scale, sizes.num_pool, seed)
    pool, labels, key = make_pool(jnp.asarray(x)), jnp.asarray(y), jax.random.key(seed)
    given = given_start(jnp.asarray(start_set(y, 20, seed), jnp.int32))
    carry = begin(key, model, Query(()), pool, labels, 20 + 10 * sizes.num_rounds)
    carry = carry._replace(labeled=record_answers(carry.labeled, pool, given, labels[given.indices], 0))
    scores, fresh = [], []
    for number in range(sizes.num_rounds):
        carry, (found, usual) = advance(jax.random.fold_in(key, number), pool, labels, carry)
        scores.append(np.asarray(found.total))
        fresh.append(np.asarray(usual))
    return Batches(np.stack(scores), np.stack(fresh))


def published_data(config: Config, num_seeds: int) -> Float[np.ndarray, "S R B"] | None:
    """Information over log K after each pick for K = 10 on Repeated MNIST with the conv net; None without MNIST."""
    data, is_mnist = repeated_mnist.load()
    if not is_mnist:
        return None
    sizes = repeated_mnist.SIZES["cpu"]._replace(num_draws=10)
    keys = seed_keys(config.seed, num_seeds)

    def two_seeds(place: int) -> dict[str, np.ndarray]:
        both = keys[place : place + 2]
        task, axes = stacked(lambda seed: repeated_mnist.of_seed(data, sizes, config.seed + place + seed), len(both))
        model, query = repeated_mnist.learner("conv", sizes), repeated_mnist.queries(sizes)["batchbald"]
        setup = Setup(model, query, batch_size=10, num_rounds=sizes.num_rounds, over=repeated_mnist.few_rows())
        runs = run_seeds(both, task, setup, axes)
        return {"saturation": np.asarray(runs.log.info["saturation"])}

    part = {"data": "Repeated MNIST", "K": 10, "sizes": sizes._replace(num_seeds=0)._asdict(), "root": config.seed}
    found = []
    for place in range(0, num_seeds, 2):
        seeds = {**part, "seed": place}
        size = {"num_seeds": min(2, num_seeds - place), "of": num_seeds}
        compute = partial(two_seeds, place)
        found.append(on_record(config, "batchbald-saturation-mnist", seeds, compute, data.fingerprint, **size))
    return np.concatenate([one["saturation"] for one in found])


def falling(scores: np.ndarray) -> np.ndarray:
    """Share of each seed's batches whose score falls at some pick by more than float32 rounding."""
    return (np.diff(scores, axis=-1) < -1e-5).any(-1).mean(1)


def run_all(config: Config, sizes: Sizes) -> Found:
    """Run or read back all seeds for every number of draws."""
    found = {k: run_draws(config, sizes, k) for k in sizes.num_draws}
    return Found(found, published_data(config, 4) if config.scale == "cpu" else None)


def on_curve(k: int, data: str, measure: Callable[[Found], Any], scales: tuple[Scale, ...]) -> Claim:
    """Information over log K at the picks of the published curve, median over the rounds of each seed."""

    def at_picks(found: Found) -> list[np.ndarray] | None:
        share = measure(found)
        return None if share is None else [share[:, pick - 1] for pick in PICKS]

    statement = f"score / log K at picks {PICKS}, K={k} (theirs {PUBLISHED_DATA[k]}, ours {data}), within 0.05"
    published = " ".join(f"{value:.2f}" for value in PUBLISHED[k])
    return Claim(statement, published, SOURCE, at_picks, touches(PUBLISHED[k], 0.05, (0.0, np.inf)), scales)


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """The ceiling, the published curves, and how often a score falls."""
    median = lambda share: None if share is None else np.median(share, axis=1)
    over = "some logged scores exceed it (2.393 > log 10)"
    rows = [
        Claim("no score exceeds log K", over, SOURCE, highest, told("by no more than 1e-5"), ("smoke", "cpu", "paper")),
    ]
    if config.scale == "cpu":
        measure = lambda found: median(found.published)
        rows.append(on_curve(10, "2,500 images of it, half-width LeNet", measure, ("cpu",)))
    for k in sorted(set(PUBLISHED) & set(sizes.num_draws)):
        scales: tuple[Scale, ...] = ("paper",) if k == 10 else ()  # where the data are the published ones
        data = "Repeated MNIST" if config.scale == "paper" else "digits, MLP"
        share = lambda found, k=k: median(found.batches[k].score) / math.log(k)
        usual = lambda found, k=k: falling(found.batches[k].fresh_score)
        statement = f"share of batches whose estimated score falls at some pick, K={k}"
        rows += [
            on_curve(k, data, share, scales),
            Claim(statement, f"{PUBLISHED_FALLING[k]:.2f}", SOURCE, usual,
                  touches(PUBLISHED_FALLING[k], 0.1, (0, 1)), scales),
        ]  # fmt: skip
    if {10, 100} <= set(sizes.num_draws):
        rows += [
            Claim("scores fall more often for K=10 than K=100", "0.97 - 0.09", SOURCE,
                  lambda found: falling(found.batches[10].fresh_score) - falling(found.batches[100].fresh_score),
                  exceeds(0.0, (-1, 1))),
            Claim("K=10: at least 95 % of the ceiling after 4 of 10 picks, on the data of this scale", "0.96", SOURCE,
                  lambda found: median(found.batches[10].score)[:, 3] / math.log(10),
                  Test("mean over seeds at least 0.95", lambda early: (str(interval(early)), early.mean() >= 0.95))),
        ]  # fmt: skip
    return rows


def highest(found: Found) -> Judged:
    """The highest score, less its ceiling."""
    top = max(float(batches.score.max() - math.log(k)) for k, batches in found.batches.items())
    return f"highest score - log K = {top:.1e}", top <= 1e-5


def draw(every: Found, config: Config) -> None:
    """Two panels."""
    found, published, picks = every.batches, every.published, np.arange(1, 11)
    with picture(config.figures, f"batchbald_saturation_{config.scale}", 2, 0.95) as (left, right):
        data = "Repeated MNIST" if config.scale == "paper" else "digits"
        for color, (k, batches) in zip(COLORS, found.items()):
            share = batches.score.reshape(-1, 10) / math.log(k)
            low, middle, high = np.quantile(share, (0.25, 0.5, 0.75), axis=0)
            left.plot(picks, middle, color=color, label=f"K = {k}, {data}")
            left.fill_between(picks, low, high, color=color, alpha=0.2, linewidth=0)
            if k in PUBLISHED:
                left.plot(PICKS, PUBLISHED[k], "x", color=color, markersize=4)
        left.plot([], [], "x", color="gray", markersize=4, label="published, same color")
        if published is not None:
            left.plot(picks, np.median(published, axis=(0, 1)), "k--", label="K = 10, Repeated MNIST")
        left.axhline(1.0, color="black", linewidth=0.5)
        left.set(xlabel="pick", ylabel="information / log K", title="median and quartiles of batches", ylim=(0, 1.05))
        left.set_xticks((1, 2, 4, 6, 8, 10))
        usual = {"labelings anew each pick": (-0.2, "0.75", [falling(b.fresh_score).mean() for b in found.values()])}
        ours = {"log K less entropy left": (0.2, "0.35", [falling(b.score).mean() for b in found.values()])}
        for name, (shift, gray, shares) in {**usual, **ours}.items():
            bars = right.bar(np.arange(len(found)) + shift, shares, 0.4, color=gray, label=name)
            right.bar_label(bars, [f"{share:.2f}" for share in shares], fontsize="x-small", padding=1)
        right.set_xticks(np.arange(len(found)), [f"K = {k}" for k in found])
        right.set(ylabel="share of batches", title="score falls at some pick", ylim=(0, 1.12))
        legend((left, right), 3)


def work(sizes: Sizes) -> float:
    """Rows that are trained on and scored, by all draws."""
    rows = 64 * sizes.num_steps + (sizes.num_pool or 180_000)
    return float(sizes.num_seeds * sizes.num_rounds * rows * sum(sizes.num_draws))


FIGURE = Figure(
    "batchbald_saturation", "BatchBALD saturation", __doc__, "8 x 8 digits; MNIST with copies where it is there",
    Config, SIZES, run_all, claims, draw, work, fewest=2,
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
