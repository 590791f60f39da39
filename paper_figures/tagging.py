"""Sequence tagging: which score of sentences, which dropout, and may a small model ask for a large one?

    BAL_DATA=folder python -m paper_figures.tagging --scale cpu

Named entities of WNUT-17 (span F1; few of them, one word in twenty, and in the test part other names than in training,
so that scores are low) and parts of speech of UD-EWT (accuracy of words). A frozen MiniLM says what it says of every
word once; a layer on it, trained anew every round, is the tagger. Rounds are budgets of words: 2 % of those of the pool
at random to start with, and 2 % a round, with the sentence that crosses the budget. Scores are means over the words of
a sentence: MNLP, variation ratio (VR) and BALD of ten draws of dropout, in the last layer (the states that the tagger
sees), in all layers (of the encoder, too), or by masks of a determinantal point process (DPP); the last is of the
group's later code, not of the paper. *One layer asks*: BALD by a tagger on the first layer of the encoder, the labels
of which train the tagger on three. Means over rounds of what is measured after each (AUBC), paired seeds, one pool for
all; seeds are start sets, trainings and masks. Left, middle: learning curves. Right: AUBC less that of random.

`smoke`: a tiny encoder of random weights and made-up sentences, in a minute. `cpu`: half an hour on two cores that do
other work, too, of which a minute is the encoder's, once; needs the weights of MiniLM and both corpora. States and
finished strategies are kept in runs/.

*Not as published*: CoNLL-2003 and OntoNotes cannot be had here; a frozen MiniLM, which knows no upper case, in place of
BERT and ELECTRA that are trained on; three of its layers and one in place of BERT and DistilBERT; 1,200 sentences of 5
to 32 words for the pool. Three layers of six, since the last ones of an encoder of sentences forget words: with 800
sentences of the pool to learn from and 400 to test on, F1 is .49 after three layers and .25 after six, accuracy of
parts of speech .82 after six. No published number is at hand: claims are the orderings of the two abstracts.

*Found at `cpu`*, 20 seeds: choosing saves labels, by MNLP on both corpora, by BALD on parts of speech; on entities, of
which a pool of 1,200 sentences holds few, BALD's +.010 [-.001, +.022] is not told from random. The last layer alone is
no worse than all layers or DPP masks, at 2 % of the price of a pass; but it is not the best score: VR leads on
entities, MNLP on parts of speech, and BALD lies .013 [.007, .018] and .003 [.002, .003] below the best. What one layer
asks for loses .002 or less, yet more than a standard error. Not tried: more seeds, and adapters in the encoder.
"""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from time import perf_counter
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float, Int

from bal.acquisition import bald, vote_variation_ratio
from bal.backbones import TextEncoder, minilm, tiny_text_encoder
from bal.datasets import ud_ewt, wnut17
from bal.evaluation import strategy_styles
from bal.evaluation.plots import draw_curve
from bal.loop import run_seeds, seed_keys
from bal.loop.fingerprint import rows_digest
from bal.pool import make_pool
from bal.tagging import (
    Pair,
    Sentences,
    by_words,
    dpp_masks,
    encoded,
    mean_over_words,
    mnlp,
    most_rows,
    of_successor,
    padded_tags,
    tagger,
    tagging,
    with_successor,
)
from bal.typing import Acquisition, Data, Learner, PyTree, Setup, Task
from paper_figures.claims import Claim, exceeds, interval, not_below, told
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, on_record, picture, say
from paper_figures.figure import Figure, launch

FIRST, SECOND = ("abstract", "arXiv 2101.08133, version 1"), ("abstract", "Shelmanov et al. 2021")
SHARE, FEWEST_WORDS, RATE = 0.02, 5, 0.1
BALD, VR = mean_over_words(bald), mean_over_words(vote_variation_ratio)
ADAM = optax.adam(5e-3)
METRICS = {"WNUT-17": "f1", "UD-EWT": "accuracy"}
LAST, ALL, DPP, HALF = "BALD, last layer", "BALD, all layers", "BALD, DPP masks", "BALD, one layer asks"
SCORES: dict[str, Acquisition | None] = {
    "random": None, "MNLP": mnlp, "VR, last layer": VR, LAST: BALD, ALL: BALD, DPP: BALD, HALF: BALD,
}  # fmt: skip
SHORT = {"VR, last layer": "VR", LAST: "BALD", ALL: "all layers", DPP: "DPP masks", HALF: "one asks"}


class Sizes(NamedTuple):
    """What a scale means: sentences of at most `num_words` words, `num_rounds` rounds after the start; `layers` of the
    encoder below the tagger, `lower` of them below one that asks for it."""

    data: tuple[str, ...]
    strategies: tuple[str, ...]
    num_seeds: int
    num_rounds: int
    num_pool: int
    num_test: int
    num_words: int
    num_draws: int
    num_steps: int
    pretrained: bool
    layers: int
    lower: int


SIZES = {
    "smoke": Sizes(("WNUT-17",), ("random", LAST, HALF), 2, 2, 80, 30, 12, 4, 100, False, 2, 1),
    "cpu": Sizes(tuple(METRICS), tuple(SCORES), 20, 10, 1_200, 800, 32, 10, 200, True, 3, 1),
}


class Part(NamedTuple):
    """Sentences of a data set, and their tags ``[N, T]``."""

    words: list[tuple[str, ...]]
    tags: Int[np.ndarray, "N T"]


class Corpus(NamedTuple):
    """Pool, test, and names of the tags; those of spans are BIO."""

    pool: Part
    test: Part
    names: tuple[str, ...]


class Runs(NamedTuple):
    """What is measured after each round by data set and strategy ``[S, E]``, words of each round, seconds of a pass of
    the encoder and of scoring by all draws of the last layer; whether the encoder was pretrained."""

    measured: dict[str, dict[str, Float[np.ndarray, "S E"]]]
    spent: dict[str, dict[str, Float[np.ndarray, "S R"]]]
    seconds: tuple[float, float]
    pretrained: bool


def corpus(name: str, sizes: Sizes) -> Corpus:
    """Sentences of a data set that are neither short nor long, in random order; or made-up ones."""
    if not sizes.pretrained:
        return made_up(name, sizes)
    data = wnut17() if name == "WNUT-17" else ud_ewt()

    def part(sentences: Any, num: int, seed: int) -> Part:
        fits = [FEWEST_WORDS <= len(one) <= sizes.num_words for one in sentences.words]
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(fits))[:num]
        tags = padded_tags([sentences.tags[row] for row in rows], sizes.num_words)
        return Part([sentences.words[row] for row in rows], tags)

    return Corpus(part(data.train, sizes.num_pool, 0), part(data.test, sizes.num_test, 1), data.names)


def made_up(name: str, sizes: Sizes) -> Corpus:
    """Sentences of random words, whose tags hang on the word: names of one or two words, or three kinds of words."""
    names = ("O", "B-x", "I-x") if name == "WNUT-17" else ("A", "B", "C")
    draw = np.random.default_rng(len(name))

    def part(num: int) -> Part:
        lengths = draw.integers(FEWEST_WORDS, sizes.num_words + 1, num)
        kinds = [draw.choice(3, length, p=(0.7, 0.2, 0.1)) for length in lengths]
        if name == "WNUT-17":
            kinds = [np.where((own == 2) & (np.roll(own, 1) != 1), 0, own) for own in kinds]
        words = [tuple(f"{'abc'[kind]}{draw.integers(20)}" for kind in own) for own in kinds]
        return Part(words, padded_tags(kinds, sizes.num_words))

    return Corpus(part(sizes.num_pool), part(sizes.num_test), names)


def states(
    config: Config,
    encoder: TextEncoder,
    name: str,
    data: Corpus,
    sizes: Sizes,
    which: str,
    lower: bool = False,
    drawn: bool = False,
) -> Sentences:
    """What the encoder, or its lower part, says of the words of a part, as `states` or `drawn`; kept in a folder."""
    part, module = getattr(data, which), encoder.module
    width, stop = module.config.width, sizes.lower if lower else sizes.layers  # type: ignore[attr-defined]
    settings = {"draws": jax.random.key(7), "num_draws": sizes.num_draws, "rate": RATE} if drawn else {}
    compute = lambda words: encoded(encoder, words, sizes.num_words, stop=stop, **settings)
    if not sizes.pretrained:
        return compute(part.words)
    from bal.features import cache_features  # needs safetensors, as the weights do

    def encode(lines: list[str]) -> np.ndarray:
        found = compute([tuple(line.split(" ")) for line in lines])
        return np.asarray(found.drawn if drawn else found.states).reshape(len(lines), -1)

    kind = f"{stop} layers{f', {sizes.num_draws} draws at rate {RATE}' if drawn else ''}"
    source = encoder.source._replace(preprocessing=f"first pieces of up to {sizes.num_words} words, {kind}, float16")
    called = f"{name}-{which}-{stop}{'-drawn' if drawn else ''}".lower()
    items = [" ".join(one) for one in part.words]
    rows = cache_features(config.runs / "tagging-states" / called, items, encode, source, batch_size=128).x
    found = np.asarray(rows).reshape(len(items), -1, sizes.num_words, width)
    return Sentences(found[:, 0], part.tags >= 0, found if drawn else None)


def run(config: Config, sizes: Sizes) -> Runs:
    """All strategies on both data sets; a strategy that is on record is read back, and the encoder not asked."""
    encoder = minilm() if sizes.pretrained else tiny_text_encoder(jax.random.key(0))
    if not sizes.pretrained:
        say("tagging: a tiny encoder with random weights, made-up sentences")
    measured, spent = {}, {}
    keep = partial(
        on_record,
        config,
        "tagging",
        num_seeds=sizes.num_seeds,
        of=len(sizes.data) * len(sizes.strategies) * sizes.num_seeds,
    )
    for name in sizes.data:
        data, found = corpus(name, sizes), {}
        of = cache(partial(states, config, encoder, name, data, sizes))
        told_of = fingerprint(data)
        for strategy in sizes.strategies:
            part = {"data": name, "strategy": strategy, **sizes._asdict(), "encoder": encoder.source.name}
            part = {key: value for key, value in part.items() if key != "strategies"}
            found[strategy] = keep(part, partial(run_strategy, strategy, name, data, sizes, of), told_of)
        measured[name] = {strategy: one["measured"] for strategy, one in found.items()}
        spent[name] = {strategy: one["spent"] for strategy, one in found.items()}
    part = {"part": "seconds", "encoder": encoder.source.name, "draws": sizes.num_draws}
    first, second = on_record(config, "tagging", part, lambda: {"seconds": cost(encoder, sizes)})["seconds"]
    return Runs(measured, spent, (float(first), float(second)), sizes.pretrained)


def fingerprint(data: Corpus) -> str:
    """Of the words and tags."""
    words = "\n".join(" ".join(one) for part in (data.pool, data.test) for one in part.words)
    return f"{rows_digest((data.pool.tags, data.test.tags))}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def run_strategy(
    strategy: str, name: str, data: Corpus, sizes: Sizes, of: Callable[..., Sentences]
) -> dict[str, np.ndarray]:
    """Every seed of one strategy; ``of(part, layers, drawn)`` is what the encoder says."""
    learner, x, measure = learner_of(strategy, name, data, sizes, of)
    words = (data.pool.tags >= 0).sum(1).astype(np.float32)
    budget = SHARE * float(words.sum())
    query = by_words(SCORES[strategy], budget)
    setup = Setup(learner, query, most_rows(words, budget), sizes.num_rounds + 1, 0, measure)  # the start is a round
    task = Task(make_pool(x, cost=words), data.pool.tags, (of("test"), data.test.tags))
    log = run_seeds(seed_keys(0, sizes.num_seeds), task, setup, seeds_per_call=4).log
    spent = np.where(log.valid, words[np.minimum(log.indices, len(words) - 1)], 0.0).sum(-1)
    return {"measured": np.asarray(log.metrics[METRICS[name]])[:, 1:], "spent": spent}


def learner_of(
    strategy: str, name: str, data: Corpus, sizes: Sizes, of: Callable[..., Sentences]
) -> tuple[Learner, PyTree, Callable]:
    """The learner of a strategy, rows of its pool, and what is measured."""
    x, measure = of("pool"), tagging(data.names if METRICS[name] == "f1" else ())
    made = partial(tagger, len(data.names), sizes.num_draws, rate=RATE, optimizer=ADAM, num_steps=sizes.num_steps)
    if strategy == ALL:
        return made(), x._replace(drawn=of("pool", drawn=True).drawn), measure
    if strategy == DPP:
        words = x.states[x.mask].astype(np.float32)
        some = words[np.random.default_rng(0).permutation(len(words))[:2_000]]
        return made(masks=dpp_masks(some, sizes.num_draws, pool_size=5 * sizes.num_draws)), x, measure
    if strategy == HALF:
        return with_successor(made(), made()), Pair(of("pool", lower=True), x), of_successor(made(), measure)
    return made(), x, measure


def cost(encoder: TextEncoder, sizes: Sizes) -> Float[np.ndarray, "2"]:
    """Seconds of one pass of the encoder over some sentences, and of BALD by all draws of the last layer on them."""
    data = corpus("WNUT-17", sizes)
    words = data.pool.words[:256]
    learner = tagger(len(data.names), sizes.num_draws, rate=RATE)

    def best_of(compute: Callable[[], Any]) -> float:
        compute()
        times = []
        for _ in range(3):
            began = perf_counter()
            jax.block_until_ready(compute())
            times.append(perf_counter() - began)
        return min(times)

    x = encoded(encoder, words, sizes.num_words, stop=sizes.layers)
    on_device = jax.tree.map(jax.device_put, x)
    state = learner.init(jax.random.key(0), Data(on_device, None, jax.numpy.zeros(len(words))))
    scored = jax.jit(lambda state, x: BALD(learner.predict(state, x)))
    return np.array(
        [
            best_of(lambda: encoded(encoder, words, sizes.num_words, stop=sizes.layers)),
            best_of(lambda: scored(state, on_device)),
        ]
    )


def area(found: Runs, name: str, strategy: str, other: str = "") -> Float[np.ndarray, "S"] | None:
    """Mean over rounds of what is measured after each, less that of another strategy; None where one was not run."""
    every = found.measured.get(name, {})
    if strategy not in every or (other and other not in every):
        return None
    return every[strategy].mean(1) - (every[other].mean(1) if other else 0.0)


def best_other(found: Runs, name: str) -> str:
    """The best of the strategies that the paper compares with BALD by the last layer."""
    others = [one for one in found.measured.get(name, {}) if one not in (LAST, DPP, HALF)]
    return max(others, key=lambda one: found.measured[name][one].mean(), default="random")


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """What the two abstracts say, as orderings."""
    bounds = (-1, 1)
    every = [
        Claim(f"{name}: {strategy} above random in AUBC of {metric}", "active learning saves labels", ": ".join(SECOND),
              partial(area, name=name, strategy=strategy, other="random"), exceeds(0.0, bounds))
        for name, metric in METRICS.items() for strategy in ("MNLP", LAST)
    ]  # fmt: skip
    for name, metric in METRICS.items():
        every += [
            Claim(f"{name}: BALD with dropout in the last layer is no worse in AUBC of {metric} than the best of "
                  "random, MNLP, VR and BALD with dropout in all layers", "the best quality", ": ".join(FIRST),
                  lambda found, name=name: area(found, name, LAST, best_other(found, name)), not_below(bounds)),
            Claim(f"{name}: labels that one layer of the encoder asks for are no worse for three in AUBC of "
                  f"{metric} than their own", "a distilled model can acquire for the full one", ": ".join(SECOND),
                  partial(area, name=name, strategy=HALF, other=LAST), not_below(bounds)),
        ]  # fmt: skip
    return [
        *every,
        Claim("seconds of scoring by ten draws of the last layer, as a share of one pass of the encoder",
              "little overhead", ": ".join(FIRST), lambda found: share(found.seconds), told("less than a tenth")),
    ]  # fmt: skip


def share(seconds: tuple[float, float]) -> tuple[str, bool]:
    """What the draws cost beside the encoder."""
    return f"{seconds[1] / seconds[0]:.3f}", seconds[1] < 0.1 * seconds[0]


def draw(found: Runs, config: Config) -> None:
    """Learning curves over words, and AUBC less that of random."""
    styles = strategy_styles(SCORES)
    with picture(config.figures, f"tagging_{config.scale}", 3, 1.1) as panels:
        for axis, (name, every) in zip(panels, found.measured.items()):
            for strategy, values in every.items():
                words = found.spent[name][strategy].cumsum(1).mean(0)
                draw_curve(axis, words, values, strategy, styles[strategy], (0, 1))
            label = "span F1" if METRICS[name] == "f1" else "accuracy"
            axis.set(xlabel="labeled words", ylabel=label, title=name)
        last, names = panels[-1], [one for one in SCORES if one != "random"]
        for number, name in enumerate(found.measured):
            for place, one in enumerate(names):
                gain = area(found, name, one, "random")
                if gain is not None:
                    ours = interval(gain, (-1, 1))
                    ends = np.nan_to_num([[ours.mean - ours.low], [ours.high - ours.mean]])
                    look = {"fmt": "os"[number], "color": ("black", "gray")[number], "markersize": 3}
                    last.errorbar(ours.mean, place + 0.2 * (number - 0.5), xerr=ends, label=name, **look)
        last.axvline(0.0, color="black", linewidth=0.5)
        last.set(
            yticks=range(len(names)),
            yticklabels=[SHORT.get(one, one) for one in names],
            xlabel="AUBC",
            title="minus random",
        )
        legend(panels, 4, "mean and 95 % interval over paired seeds")


def work(sizes: Sizes) -> float:
    """Sentences that are scored."""
    return float(sizes.num_seeds * sizes.num_rounds * sizes.num_pool)


FIGURE = Figure(
    "tagging", "Sequence tagging", __doc__, "WNUT-17 and UD-EWT", Config, SIZES, run, claims, draw, work,
    stand_in=lambda found: "" if found.pretrained else "random weights, made-up sentences",
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
