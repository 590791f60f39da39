"""What a language model gives answers to prompts: log probabilities, token by token."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bal.backbones.nouns import LanguageModel
from bal.backbones.sentences import batches
from bal.typing import PyTree

STEP = 8
"""Lengths are rounded up to multiples of it, so that few programs serve all prompts and answers."""


class Answered(NamedTuple):
    """Prompts with an answer each, as tokens: n rows of T, in which answers have at most A.

    at: the token behind which answer token a is expected; targets: that answer token; counts: True = there is one.
    """

    tokens: Int[Array | np.ndarray, "n T"]
    mask: Bool[Array | np.ndarray, "n T"]
    at: Int[Array | np.ndarray, "n A"]
    targets: Int[Array | np.ndarray, "n A"]
    counts: Bool[Array | np.ndarray, "n A"]


class TokenLogProbs(NamedTuple):
    """``log p(answer token a | prompt, answer tokens before it)`` of C answers to each of n prompts, 0 where none is.

    mask: True = there is such a token.
    """

    log_probs: Float[np.ndarray, "n C A"]
    mask: Bool[np.ndarray, "n C A"]


def answered(
    lm: LanguageModel, prompts: Sequence[str], answers: Sequence[str], shape: tuple[int, int] | None = None
) -> Answered:
    """Tokens of prompts with one answer each; prompt and answer are cut into tokens apart.

    An answer that is to go on as a text does begins with a space.

    Use it when answers are scored or learned in a program of your own, with `answer_log_probs`.

    Args:
      prompts, answers: one answer a prompt.
      shape: T and A; None = as needed, rounded up.

    Raises:
      ValueError: no prompt, an empty prompt or answer, or more tokens than the model or the shape has places.
      TypeError: a string in place of a list.
    """
    if isinstance(prompts, str) or isinstance(answers, str):
        raise TypeError("expected lists of prompts and answers, got a string; put it into a list")
    asked, said = (_tokens(lm, texts, what) for texts, what in ((prompts, "prompt"), (answers, "answer")))
    if not asked or len(asked) != len(said):
        raise ValueError(f"expected one answer a prompt, got {len(asked)} prompts and {len(said)} answers")
    length = max(len(a) + len(b) for a, b in zip(asked, said, strict=True))
    check_length(lm, length)
    wanted = length, max(map(len, said))
    whole, most = tuple(-(-size // STEP) * STEP for size in wanted) if shape is None else shape
    if whole < wanted[0] or most < wanted[1]:
        raise ValueError(f"expected at most {whole} tokens, {most} of them of an answer, got {wanted}; ask for more")
    tokens, at, targets = (np.zeros((len(asked), size), np.int32) for size in (whole, most, most))
    mask, counts = (np.zeros((len(asked), size), bool) for size in (whole, most))
    for row, (a, b) in enumerate(zip(asked, said, strict=True)):
        tokens[row, : len(a) + len(b)] = [*a, *b]
        mask[row, : len(a) + len(b)] = True
        at[row, : len(b)] = np.arange(len(b)) + len(a) - 1
        targets[row, : len(b)] = b
        counts[row, : len(b)] = True
    return Answered(tokens, mask, at, targets, counts)


def answer_log_probs(
    module: Any, variables: PyTree, hidden: Float[Array, "n T D"], rows: Answered
) -> Float[Array, "n A"]:
    """``log p`` of each answer token from hidden states behind the last layer; 0 where there is none.

    Logits are taken where an answer token is expected and nowhere else: with a large vocabulary they are the dear part.
    """
    there = jnp.take_along_axis(hidden, rows.at[..., None], 1)
    log_probs = jax.nn.log_softmax(module.apply(variables, there, method="logits"), -1)
    return jnp.where(rows.counts, jnp.take_along_axis(log_probs, rows.targets[..., None], -1)[..., 0], 0.0)


def log_probabilities(
    lm: LanguageModel, prompts: Sequence[str], answers: Sequence[Sequence[str]], batch_tokens: int = 2048
) -> TokenLogProbs:
    """``log p(y_t | x, y_<t)`` for every token of every answer: what answers are ranked and adapters are taught by.

    Use it when answers to choose from are known: the mean over tokens ranks them (T-Few), the sum is their probability.

    Args:
      prompts: n texts.
      answers: those to choose from, for each prompt as many as it has; one that goes on begins with a space.
      batch_tokens: rows of a batch times their length.

    Raises:
      ValueError: texts that are empty or longer than the model, another number of prompts than of lists of answers.
      TypeError: a string in place of a list.

    >>> from bal.backbones import tiny_language_model
    >>> found = log_probabilities(tiny_language_model(jax.random.key(0)), ["one and one is"], [[" two", " three"]])
    >>> found.log_probs.shape, found.mask.sum(-1).tolist()
    ((1, 2, 8), [[4, 6]])

    Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning".
    """
    if isinstance(prompts, str) or any(isinstance(choices, str) for choices in (answers, *answers)):
        raise TypeError('expected a list of prompts and for each a list of answers, as [[" yes", " no"]], got a string')
    if not prompts or len(prompts) != len(answers) or not all(answers):
        raise ValueError(f"expected some answers for each of {len(prompts)} prompts, got lists for {len(answers)}")
    pairs = [(row, choice) for row, choices in enumerate(answers) for choice in range(len(choices))]
    rows = answered(lm, [prompts[row] for row, _ in pairs], [answers[row][choice] for row, choice in pairs])
    shape = (len(prompts), max(map(len, answers)), rows.at.shape[1])
    found = TokenLogProbs(np.zeros(shape, np.float32), np.zeros(shape, bool))
    lengths = [row[:length].tolist() for row, length in zip(rows.tokens, rows.mask.sum(1), strict=True)]
    for places, (tokens, mask) in batches(lengths, batch_tokens):
        part = [np.resize(leaf[places], (len(tokens), leaf.shape[1])) for leaf in rows[2:]]
        scores = np.asarray(_scores(lm.module, lm.variables, Answered(tokens, mask, *part)))
        for place, values in zip(places, scores, strict=False):
            found.log_probs[pairs[place]], found.mask[pairs[place]] = values, rows.counts[place]
    return found


@partial(jax.jit, static_argnums=0)
def _scores(module: Any, variables: PyTree, rows: Answered) -> Float[Array, "n A"]:
    hidden = module.apply(variables, rows.tokens, method="embed")
    hidden = module.apply(variables, hidden, rows.mask, 0, module.config.num_layers, method="blocks")
    return answer_log_probs(module, variables, hidden, rows)


def _tokens(lm: LanguageModel, texts: Sequence[str], what: str) -> list[list[int]]:
    found = [list(one.ids) for one in lm.tokenizer.encode_batch(list(texts))]
    if not all(found):
        raise ValueError(f"expected texts, got an empty {what}; leave it out")
    return found


def check_length(lm: LanguageModel, length: int) -> None:
    """ValueError for a text that is longer than the model."""
    if length > (longest := lm.module.config.longest):
        raise ValueError(f"expected at most {longest} tokens of {lm.source.name}, got {length}; shorten the text")
