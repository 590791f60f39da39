"""The designs of the study of few samples on a language model: which subsets, by which keys, and what they are like."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from bal.backbones import generate, smollm2, tiny_language_model
from bal.evaluation.protocol import random_subsets, subset_means, window_subsets
from paper_figures.common import Options, on_record
from paper_figures.few_samples_words import Keys, chrf, in_words, measured, prepare, prompt_of, trainings, tuned


class Words(NamedTuple):
    """How much the language model runs: numbers below `below`, rows of a subset, and how many of each design."""

    below: int
    num_test: int
    last: int
    subset: int
    epochs: int
    minibatch: int
    num_random: int
    levels: tuple[int, int, int, int]
    windows: tuple[int, int]
    written: int


@cache
def model(real: bool, words: Words) -> tuple[Any, Any, dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """The language model, what the trainings share, scores of pool and test before any, and the numbers."""
    lm = smollm2() if real else tiny_language_model(jax.random.key(0))
    numbers = np.random.default_rng(0).permutation(np.arange(1, words.below))
    ready = prepare(lm, numbers, words.num_test, words.last)
    before = jax.jit(lambda ones, rows: measured(ready, ones, rows))
    first, last = (jax.tree.map(np.asarray, before(ready.ones, rows)) for rows in (ready.pool, ready.test))
    return lm, ready, first, last, numbers


def subset_features(
    subsets: Int[np.ndarray, "r s"], before: dict[str, np.ndarray], ready: Any
) -> dict[str, np.ndarray]:
    """Of each subset: what strategies choose by, and how many tokens its answers have."""
    answers, counts = ready.pool.answers, np.asarray(ready.pool.answers.counts)
    weight = np.asarray(answers.mask)[..., None] / np.asarray(answers.mask).sum(1)[:, None, None]
    states = (np.asarray(ready.pool.hidden) * weight).sum(1)
    states = (states - states.mean(0)) / (states.std(0) + 1e-9)  # a few units of the first token are large beyond all
    targets = np.where(counts, np.asarray(answers.targets), -1)
    return {
        "confidence": subset_means(before["log_prob"], subsets),
        "entropy": subset_means(before["entropy"], subsets),
        "variety": np.array([len(np.unique(targets[rows])) - 1.0 for rows in subsets]),
        "spread": np.array([states[rows].var(0).sum() for rows in subsets]),
        "tokens": subset_means(counts.sum(1), subsets),
    }


def keys_of(*numbers: np.ndarray) -> Keys:
    """Keys of order, start and dropout, by numbers of their own for each."""
    made = (jax.vmap(partial(jax.random.fold_in, jax.random.key(purpose))) for purpose in (1, 2, 3))
    return Keys(*(make(jnp.asarray(of)) for make, of in zip(made, numbers, strict=True)))


def run_words(config: Options, real: bool, words: Words) -> dict[str, dict[str, np.ndarray]]:
    """Random subsets, windows and crossed sources, and what is written before and after one training."""

    def trained(subsets: np.ndarray, keys: Keys) -> dict[str, np.ndarray]:
        return trainings(model(real, words)[1], subsets, keys, words.epochs, words.minibatch)

    def drawn(count: int) -> np.ndarray:
        return random_subsets(words.below - 1 - words.num_test, words.subset, count)

    def randomly() -> dict[str, np.ndarray]:
        subsets, of = drawn(words.num_random), np.arange(words.num_random)
        _, ready, before, tested, _ = model(real, words)
        told_before = {f"before_{name}": values.mean() for name, values in tested.items()}
        return trained(subsets, keys_of(of, of, of)) | subset_features(subsets, before, ready) | told_before

    def by_window() -> dict[str, np.ndarray]:
        count, repeats = words.windows
        _, ready, before, _, _ = model(real, words)
        subsets = np.repeat(window_subsets(before["log_prob"], words.subset, count), repeats, 0)
        of = 1000 + np.arange(len(subsets))
        return trained(subsets, keys_of(of, of, of)) | subset_features(subsets, before, ready)

    def crossed() -> dict[str, np.ndarray]:
        subset, *others = (places.ravel() for places in np.indices(words.levels))
        return trained(drawn(words.levels[0])[subset], keys_of(*(2000 + of for of in others)))

    def written() -> dict[str, np.ndarray]:
        lm, ready, _, _, numbers = model(real, words)
        one = keys_of(*np.zeros((3, 1), int))
        adapter = tuned(ready, jnp.asarray(drawn(1)[0]), Keys(*(key[0] for key in one)), words.epochs, words.minibatch)
        asked, found = numbers[: words.written].tolist(), {}
        for name, more in (("before", {}), ("after", {"ia3": adapter})):
            model_of, prompts, among = (
                lm._replace(variables=lm.variables | more),
                [*map(prompt_of, asked)],
                ready.vocabulary,
            )
            texts = generate(model_of, prompts, 10, stop="\n", among=among.tolist())
            found[name] = np.array([chrf(text, in_words(number)) for text, number in zip(texts, asked, strict=True)])
        return found

    parts: dict[str, Callable] = {"random": randomly, "windows": by_window, "crossed": crossed, "written": written}
    whole = {"real": real, **words._asdict()}
    of = len(parts)
    return {
        name: on_record(config, "few-samples", {"part": name, **whole}, compute, of=of)
        for name, compute in parts.items()
    }
