"""Inference from chosen labels at full counts: bias, coverage, what a surrogate saves, conformal sets under feedback.

    python experiments/benchmarks/active.py

Takes two minutes on two quiet cores. Five parts: `bias`: 10,000 repetitions of 50 picks from 200 rows, in a few
seconds, all biases below 3 standard errors; `coverage`: 95 % intervals for values with light and with heavy tails, by
laws that fit and that do not, 93 to 97 % but for the mean of heavy tails by a law that does not fit; `digits`: the
error rate of a small network on 1,000 test digits from 50 labels, its ensemble as the surrogate, squared error at most
half of that of uniform picks; `conformal`: 50 rounds of power-BALD by `run_seeds`, with rows set aside for
calibration, 500 seeds: weighted sets cover 90 +- 2 %, plain ones do not; `models`: which of 8 networks, trained on 60
to 200 labels, is best on 300 digits, from labels chosen by information or at random.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from bal.acquisition import bald
from bal.datasets import digits
from bal.evaluation.active import (
    MeanEstimate,
    conformal_threshold,
    consensus_beliefs,
    draw,
    information_about_best,
    lure,
    lure_weights,
    probability_best,
    residual_lure,
    told,
)
from bal.learners import ensemble, mlp
from bal.loop import run_seeds, seed_keys
from bal.query import score
from bal.selection import power
from bal.typing import Candidates, Data, Learner, Pool, Posterior, PRNGKey, Query, Selection, Setup, Stage, Task
from experiments.benchmarks.timing import at_least, start, table

Part = Literal["bias", "coverage", "digits", "conformal", "models"]
Row = tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """Sizes of the benchmark."""

    parts: tuple[Part, ...] = ("bias", "coverage", "digits", "conformal", "models")
    """What to run."""
    repetitions: int = 10_000
    """Repetitions of picking."""
    seeds: int = 500
    """Seeds of conformal sets."""
    rounds: int = 50
    """Rounds of power-BALD."""
    splits: int = 5
    """Splits of the digits."""
    labels: int = 40
    """Labels that tell which model is best."""


def z_score(found: MeanEstimate, truth: float) -> str:
    last = found.mean[:, -1]
    return f"{(last.mean() - truth) / last.std() * len(last) ** 0.5:+.2f}"


def covered(found: MeanEstimate, truth: float) -> str:
    return f"{100 * ((found.low[:, -1] <= truth) & (truth <= found.high[:, -1])).mean():.1f} %"


def picks_of(values: np.ndarray, predictions: np.ndarray, weights: np.ndarray, num_picks: int, config: Config):
    picks = draw(np.broadcast_to(weights, (config.repetitions, len(values))), num_picks)
    at = values[picks.indices]
    return lure(picks.log_q, at, len(values)), residual_lure(picks.log_q, at, predictions, picks.indices)


def bias(config: Config) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    predictions = rng.gamma(2.0, size=200)
    values = predictions + 0.5 * rng.normal(size=200)
    laws = {"uniform": np.ones(200), "fitting": predictions + 0.3, "wrong": 1 / (1 + predictions)}
    for law, weights in laws.items():
        begun = time.perf_counter()
        each = picks_of(values, predictions, weights, 50, config)
        seconds = time.perf_counter() - begun
        yield f"bias in s.e., {law} law, {seconds:.1f} s", *(z_score(found, values.mean()) for found in each)


def coverage(config: Config) -> Iterator[Row]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=1000)
    chance = 1 / (1 + np.exp(1 - 2 * x))
    cases = {
        "normal": (x + rng.normal(size=1000) / 2, x),
        "errors": ((rng.random(1000) < chance).astype(float), chance),
        "gamma": (rng.gamma(2.0, size=1000) * np.exp(x / 2), 2 * np.exp(x / 2)),
        "log-normal": (np.exp(x + 0.3 * rng.normal(size=1000)), np.exp(x)),
    }
    for name, (values, predictions) in cases.items():
        size = abs(predictions)
        laws = {"uniform": np.ones(1000), "fitting": size + 0.2 * size.mean(), "unrelated": np.roll(chance, 1) + 0.1}
        for law, weights in laws.items():
            plain, residual = picks_of(values, predictions, weights, 100, config)
            yield f"coverage, {name}, {law} law", covered(plain, values.mean()), covered(residual, values.mean())


SMALL = ensemble(mlp((32,), num_outputs=10), 1, num_steps=300)
SURROGATE = ensemble(mlp((64,), num_outputs=10), 10, num_steps=300)


@partial(jax.jit, static_argnums=0)
def log_probs(learner: Learner, key: PRNGKey, data: Data, x: jax.Array) -> jax.Array:
    """Predictions by a learner trained anew."""
    return learner.predict(learner.fit(key, learner.init(key, data), data), x)


def predicted(learner: Learner, seed: int, data: Data, x: np.ndarray) -> np.ndarray:
    """Predictive probabilities, draws averaged."""
    return np.exp(np.asarray(log_probs(learner, jax.random.key(seed), data, jnp.asarray(x)), np.float64)).mean(1)


def splits(config: Config) -> Iterator[tuple[int, Data, np.ndarray, np.ndarray]]:
    """Number, 200 digits to train on, and 1,000 to test on."""
    x, y = np.asarray(digits().x, np.float32), np.asarray(digits().y)
    for number in range(config.splits):
        order = np.random.default_rng(number).permutation(len(x))
        train, test = order[:200], order[-1000:]
        yield number, Data(jnp.asarray(x[train]), jnp.asarray(y[train]), jnp.ones(200)), x[test], y[test]


def on_digits(config: Config) -> Iterator[Row]:
    ratios = []
    for number, data, x, y in splits(config):
        said = predicted(SMALL, number, data, x).argmax(-1)
        chance = 1 - predicted(SURROGATE, 100 + number, data, x)[np.arange(1000), said]
        errors, spread = (said != y).astype(float), np.sqrt(chance * (1 - chance))
        plain, residual = picks_of(errors, chance, spread + 0.1 * spread.mean(), 50, config)
        uniform = errors.var(ddof=1) / 50 * (1 - 50 / 1000)
        against = [((found.mean[:, -1] - errors.mean()) ** 2).mean() / uniform for found in (plain, residual)]
        ratios.append(against)
        yield f"digits, split {number}: error rate {errors.mean():.3f}", *(f"{ratio:.2f}" for ratio in against)
        yield "  coverage", covered(plain, errors.mean()), covered(residual, errors.mean())
    yield "digits: squared error over uniform's, mean", *(f"{ratio:.2f}" for ratio in np.mean(ratios, 0))


def class_means(key: PRNGKey, state: jax.Array, data: Data) -> jax.Array:
    """Draws of the means of three classes, by the start set and every other pick: the rest is set aside."""
    place = jnp.arange(len(data.weight))
    own = jax.nn.one_hot(data.y, 3, axis=0) * (data.weight * ((place < 6) | (place % 2 == 0)))[None]
    count = own.sum(1)[:, None]
    return (own @ data.x / (1 + count))[None] + 0.7 / jnp.sqrt(1 + count)[None] * jax.random.normal(key, state.shape)


def by_distance(means: jax.Array, x: jax.Array) -> jax.Array:
    return jax.nn.log_softmax(-0.5 * jnp.square(x[:, None, None] - means[None]).sum(-1), -1)


MEANS = Learner(lambda key, data: jnp.zeros((8, 3, 2)), class_means, by_distance)


def from_each_half(key: PRNGKey, candidates: Candidates, batch_size: int) -> Selection:
    """A row to train on among the even ones, and one for calibration among the odd ones, both by power-BALD."""
    del batch_size
    odd = candidates.index % 2 == 1
    halves = [
        power()(jax.random.fold_in(key, half), candidates._replace(eligible=candidates.eligible & (odd == half)), 1)
        for half in (0, 1)
    ]
    join = lambda name: jnp.concatenate([getattr(half, name) for half in halves])
    return Selection(join("indices"), join("scores"), join("valid"), join("log_q"))


def own_scores(posterior: Posterior, test: tuple[jax.Array, jax.Array]) -> dict[str, jax.Array]:
    """What the model leaves for other answers than the true one, of every row."""
    x, y = test
    return {"score": 1 - jnp.exp(posterior.predict(x)).mean(1)[jnp.arange(len(y)), y]}


def conformal(config: Config) -> Iterator[Row]:
    num_rows, num_fresh, rng = 400, 100, np.random.default_rng(2)
    y = rng.integers(0, 3, (config.seeds, num_rows + num_fresh))
    wide = np.where(rng.random(y.shape) < 0.3, 1.2, 0.5)[..., None]
    x = 1.5 * np.array([[0, 1.2], [1, -0.6], [-1, -0.6]])[y] + wide * rng.normal(size=(*y.shape, 2))
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)
    pool = Pool(x[:, :num_rows], jnp.ones(num_rows, bool), jnp.ones(num_rows))
    start_set = jnp.broadcast_to(jnp.arange(0, 12, 2), (config.seeds, 6))
    query = Query((Stage(score(bald), from_each_half),))
    setup = Setup(MEANS, query, batch_size=2, num_rounds=config.rounds, evaluate=own_scores)
    task, shared = Task(pool, y[:, :num_rows], (x, y), start_set), cast(Any, None)
    log = run_seeds(seed_keys(0, config.seeds), task, setup, axes=Task(Pool(0, shared, shared), 0, 0, 0)).log
    scores, law = np.asarray(log.metrics["score"])[:, -1], np.asarray(log.log_q)[..., 1]
    own = np.take_along_axis(scores, np.asarray(log.indices)[..., 1], 1)
    uniform = np.broadcast_to(-np.log(num_rows // 2 - np.arange(config.rounds)), law.shape)
    cover = [
        (scores[:, num_rows:] <= conformal_threshold(q, own, num_rows // 2)[:, None]).mean(1) for q in (uniform, law)
    ]
    say = lambda share: f"{100 * share.mean():.1f} ± {100 * share.std() / len(share) ** 0.5:.1f} %"
    yield f"conformal, {config.seeds} seeds: plain, weighted", say(cover[0]), say(cover[1])
    weights = lure_weights(law, num_rows // 2)
    worth = (weights.sum(-1) ** 2 / (weights**2).sum(-1)).mean()
    yield f"  {config.rounds} picks are worth uniform ones", "", f"{worth:.0f}"


def models(config: Config) -> Iterator[Row]:
    found = {"random": [], "information": []}
    for number, data, x, y in splits(config):
        x, y = x[:300], y[:300]
        few = [data._replace(weight=(jnp.arange(200) < size) * data.weight) for size in range(60, 220, 20)]
        probs = np.stack([predicted(SMALL, 200 + seed, each, x) for seed, each in enumerate(few)])
        accuracy = (probs.argmax(-1) == y).mean(1)
        at_random = np.random.default_rng(number).permutation(300)[: config.labels].tolist()
        for name in found:
            beliefs, asked = consensus_beliefs(probs), []
            for place in range(config.labels):
                scores = information_about_best(beliefs) if name == "information" else np.eye(300)[at_random[place]]
                scores[asked] = -np.inf
                asked.append(int(scores.argmax()))
                beliefs = told(beliefs, asked[-1], int(y[asked[-1]]), rate=1.0)
            found[name].append(accuracy.max() - accuracy[probability_best(beliefs).argmax()])
    yield f"models, {config.labels} labels: accuracy lost, random", "", f"{np.mean(found['random']):.3f}"
    yield "  by information", "", f"{np.mean(found['information']):.3f}"


RUN: dict[str, Callable[[Config], Iterator[Row]]] = {
    "bias": bias, "coverage": coverage, "digits": on_digits, "conformal": conformal, "models": models,
}  # fmt: skip


def main(config: Config) -> None:
    at_least(config, 2, "repetitions", "seeds")
    at_least(config, 1, "rounds", "splits", "labels")
    made = table("", "LURE or plain", "residuals or weighted", title="inference from chosen labels")
    for part in config.parts:
        for row in RUN[part](config):
            made.add_row(*row)
    Console().print(made)


if __name__ == "__main__":
    start(main, Config, __doc__)
