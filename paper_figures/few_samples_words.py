"""Numbers in words, written by a language model with (IA)³ in its last blocks: many small trainings as one program.

Blocks below the adapters are frozen, so their states are computed once for all trainings. Answers are made of some
forty tokens, and the softmax is over those: what is learned is which of them comes next, not to leave out all others.
"""

from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from bal.adapters import init_ia3, places_of
from bal.backbones import Answered, LanguageModel, answer_log_probs, answered
from bal.typing import PyTree

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NOISE = 0.02
"""Scale of the normal noise around the ones that (IA)³ starts from; without it an initialisation is no source."""
DROPOUT = 0.1
RATE = 3e-2
TOGETHER = 8
"""Trainings that share each matrix product."""


def in_words(number: int) -> str:
    """A number below 1000.

    >>> in_words(7), in_words(90), in_words(347)
    ('seven', 'ninety', 'three hundred forty-seven')
    """
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10 - 2] + (f"-{ONES[number % 10]}" if number % 10 else "")
    return f"{ONES[number // 100]} hundred" + (f" {in_words(number % 100)}" if number % 100 else "")


def prompt_of(number: int) -> str:
    """What the model is asked."""
    return f"{number} in words:"


class Rows(NamedTuple):
    """Numbers as the last blocks see them: states of the frozen ones, and places and targets of the answers."""

    hidden: Float[Array, "n T D"]
    answers: Answered


class Prepared(NamedTuple):
    """module: of the last blocks, with the answers' tokens as `vocabulary`; params: its own; ones: no adapter."""

    module: Any
    params: PyTree
    ones: PyTree
    start: int
    pool: Rows
    test: Rows
    vocabulary: Any = None


def prepare(lm: LanguageModel, numbers: Int[np.ndarray, "n"], num_test: int, last: int) -> Prepared:
    """States below the last blocks of a pool and a test of numbers, and the model that goes on from them."""
    rows = answered(lm, [prompt_of(number) for number in numbers], [f" {in_words(number)}\n" for number in numbers])
    used = int(rows.mask.sum(1).max())
    rows = rows._replace(tokens=rows.tokens[:, :used], mask=rows.mask[:, :used])
    vocabulary = np.unique(rows.targets[rows.counts])
    rows = rows._replace(
        targets=np.searchsorted(vocabulary, rows.targets).clip(0, len(vocabulary) - 1).astype(np.int32)
    )
    config = lm.module.config
    module, start = lm.module.clone(config=config._replace(vocabulary=len(vocabulary))), config.num_layers - last
    whole = lm.variables["params"]
    params = {name: whole[name] for name in ("norm", *(f"layers_{place}" for place in range(start, config.num_layers)))}
    params |= {"embedding": whole["embedding"][vocabulary]}
    below = jax.jit(partial(_below, lm.module, start))
    hidden = np.concatenate(
        [below(lm.variables, rows.tokens[part], rows.mask[part]) for part in np.array_split(np.arange(len(numbers)), 8)]
    )
    rows = Rows(jnp.asarray(hidden), jax.tree.map(jnp.asarray, rows))
    pool, test = (
        jax.tree.map(lambda leaf, part=part: leaf[part], rows) for part in (slice(num_test, None), slice(num_test))
    )
    ones = init_ia3(places_of(lm.module, lm.variables, last))["ia3"]
    return Prepared(module, params, ones, start, pool, test, vocabulary)


def _below(module: Any, start: int, variables: PyTree, tokens: Array, mask: Array) -> Array:
    hidden = module.apply(variables, tokens, method="embed")
    return module.apply(variables, hidden, mask, 0, start, method="blocks")


def passed(ready: Prepared, ia3: PyTree, rows: Rows, key: Any = None) -> tuple[PyTree, Float[Array, "n T D"]]:
    """Variables with an adapter, and states behind the last block."""
    variables, module = {"params": ready.params, "ia3": ia3}, ready.module
    if key is not None:
        module = module.clone(rate=DROPOUT)
    streams = None if key is None else {"dropout": key}
    stop = module.config.num_layers
    hidden = module.apply(variables, rows.hidden, rows.answers.mask, ready.start, stop, method="blocks", rngs=streams)
    return variables, hidden


def token_scores(ready: Prepared, ia3: PyTree, rows: Rows, key: Any = None) -> Float[Array, "n A"]:
    """``log p`` of each answer token."""
    return answer_log_probs(ready.module, *passed(ready, ia3, rows, key), rows.answers)


def measured(ready: Prepared, ia3: PyTree, rows: Rows) -> dict[str, Float[Array, "n"]]:
    """Of each row: mean log probability and entropy of its answer's tokens, and whether greedy writing gives it.

    Greedy writing gives an answer if and only if each of its tokens is the most likely one behind those before it.
    """
    variables, hidden = passed(ready, ia3, rows)
    there = jnp.take_along_axis(hidden, rows.answers.at[..., None], 1)
    every = jax.nn.log_softmax(ready.module.apply(variables, there, method="logits"), -1)
    right = jnp.take_along_axis(every, rows.answers.targets[..., None], -1)[..., 0]
    counts = rows.answers.counts
    mean = lambda values: jnp.where(counts, values, 0.0).sum(1) / counts.sum(1)
    exact = ((every.argmax(-1) == rows.answers.targets) | ~counts).all(1)
    entropy = -(jnp.exp(every) * every).sum(-1)
    return {"log_prob": mean(right), "entropy": mean(entropy), "exact": exact.astype(jnp.float32)}


class Keys(NamedTuple):
    """What one training draws on, each by a key of its own."""

    order: Any
    init: Any
    dropout: Any


def tuned(ready: Prepared, subset: Int[Array, "s"], keys: Keys, num_epochs: int, size: int) -> PyTree:
    """(IA)³ after some passes over a subset of the pool, in minibatches of `size`, by Adam."""
    leaves, tree = jax.tree.flatten(ready.ones)
    noise = jax.random.split(keys.init, len(leaves))
    drawn = [leaf + NOISE * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, noise, strict=True)]
    passes = jax.vmap(lambda key: jax.random.permutation(key, subset))(jax.random.split(keys.order, num_epochs))
    optimizer = optax.adam(RATE)

    def step(carry: tuple, batch: tuple) -> tuple:
        ia3, moments = carry
        number, places = batch
        rows = jax.tree.map(lambda leaf: leaf[places], ready.pool)
        key = jax.random.fold_in(keys.dropout, number)
        loss = lambda ia3: -token_scores(ready, ia3, rows, key).sum() / rows.answers.counts.sum()
        updates, moments = optimizer.update(jax.grad(loss)(ia3), moments, ia3)
        return (optax.apply_updates(ia3, updates), moments), None

    batches = passes.reshape(-1, size)
    begin = tree.unflatten(drawn)
    (ia3, _), _ = jax.lax.scan(step, (begin, optimizer.init(begin)), (jnp.arange(len(batches)), batches))
    return ia3


@partial(jax.jit, static_argnums=(0, 1, 5, 6))
def _trainings(module: Any, start: int, arrays: tuple, subsets: Array, keys: Keys, num_epochs: int, size: int) -> Any:
    ready = Prepared(module, arrays[0], arrays[1], start, *arrays[2:])

    def one(subset: Array, keys: Keys) -> dict[str, Array]:
        found = measured(ready, tuned(ready, subset, keys, num_epochs, size), ready.test)
        return {name: values.mean() for name, values in found.items()}

    return jax.vmap(one)(subsets, keys)


def trainings(
    ready: Prepared, subsets: Int[np.ndarray, "r s"], keys: Keys, num_epochs: int, size: int
) -> dict[str, Float[np.ndarray, "r"]]:
    """Scores on the test after training on each subset, by the keys of each; some at a time."""
    arrays, found = (ready.params, ready.ones, ready.pool, ready.test), []
    for begin in range(0, len(subsets), TOGETHER):
        places = np.minimum(np.arange(begin, begin + TOGETHER), len(subsets) - 1)
        some = Keys(*(key[places] for key in keys))
        scores = _trainings(ready.module, ready.start, arrays, jnp.asarray(subsets[places]), some, num_epochs, size)
        found.append(jax.tree.map(np.asarray, scores))
    return {name: np.concatenate([part[name] for part in found])[: len(subsets)] for name in found[0]}


def chrf(written: str, answer: str, longest: int = 6, beta: float = 2.0) -> float:
    """F-score of character n-grams, n = 1 .. 6 averaged, recall counting twice as much; spaces left out.

    Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation".

    >>> chrf("two", "two"), chrf("", "two"), round(chrf("ab", "abc"), 4)
    (1.0, 0.0, 0.6364)
    """
    precisions, recalls = [], []
    one, other = (text.replace(" ", "").replace("\n", "") for text in (written, answer))
    for n in range(1, longest + 1):
        mine, theirs = (Counter(text[at : at + n] for at in range(len(text) - n + 1)) for text in (one, other))
        if theirs and mine:
            both = sum((mine & theirs).values())
            precisions.append(both / sum(mine.values()))
            recalls.append(both / sum(theirs.values()))
    if not precisions or not (precision := float(np.mean(precisions))):
        return 0.0
    recall = float(np.mean(recalls))
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
