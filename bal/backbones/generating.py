"""Text that a language model writes: one compiled loop with kept keys and values, greedy or sampled."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from bal.backbones.llama import empty_cache
from bal.backbones.nouns import LanguageModel
from bal.backbones.scoring import STEP, check_length
from bal.learners.settings import check_count
from bal.typing import PRNGKey, PyTree

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
END = "<|im_end|>"


def chat(*turns: str, system: str = SYSTEM) -> str:
    """A prompt in the form that instruction models of this kind were taught: questions and answers in turn.

    >>> print(chat("How are you?", system="Be brief"))
    <|im_start|>system
    Be brief<|im_end|>
    <|im_start|>user
    How are you?<|im_end|>
    <|im_start|>assistant
    <BLANKLINE>
    """
    said = [("system", system), *((("user", "assistant")[number % 2], turn) for number, turn in enumerate(turns))]
    return "".join(f"<|im_start|>{who}\n{what}{END}\n" for who, what in said) + "<|im_start|>assistant\n"


def generate(
    lm: LanguageModel,
    prompts: Sequence[str],
    num_tokens: int = 32,
    *,
    temperature: float = 0.0,
    key: PRNGKey | None = None,
    stop: str = END,
    among: Sequence[int] | None = None,
    batch_size: int = 32,
) -> list[str]:
    """Continuations: the most likely token each time, or one drawn from ``softmax(logits / temperature)``.

    Keys and values of earlier tokens are kept, so a token costs one pass of one token. A row's draws depend on its
    number and the key, not on the rows beside it.

    Use it when a model is to write; where answers are known, `log_probabilities` ranks them at a fraction of the cost.

    Args:
      prompts: n texts.
      num_tokens: at most so many.
      temperature: 0 = greedy.
      key: of the draws.
      stop: the text of the token that ends a continuation, and is not part of it.
      among: numbers of the tokens that may be written, the stop besides; None = all.
      batch_size: prompts that are continued together.

    Raises:
      ValueError: an empty prompt, one that is longer than the model with its continuation, a stop of several tokens, a
        temperature without a key or below 0, `among` of no token of the model, a number of tokens or rows below 1.

    >>> from bal.backbones import tiny_language_model
    >>> lm = tiny_language_model(jax.random.key(0))
    >>> [len(text) for text in generate(lm, ["one and one is", "more"], num_tokens=5)]
    [5, 5]
    """
    if isinstance(prompts, str) or not prompts or temperature < 0 or (temperature > 0 and key is None):
        raise ValueError(
            "expected a list of prompts and a temperature of at least 0, with a key where it is positive, got "
            f"{type(prompts).__name__} of {len(prompts)}, {temperature} and {'no' if key is None else 'a'} key"
        )
    check_count("num_tokens", num_tokens)
    check_count("batch_size", batch_size)
    vocabulary = lm.module.config.vocabulary
    if among is not None and (not len(among) or not all(0 <= token < vocabulary for token in among)):
        raise ValueError(f"expected tokens to write among, numbers from 0 to {vocabulary - 1}, got {list(among)[:8]}")
    ends = lm.tokenizer.encode_batch([stop])[0].ids
    if len(ends) != 1:
        raise ValueError(f"expected a stop of one token, got {stop!r} of {len(ends)}; use {END!r} or a line break")
    rows = [list(one.ids) for one in lm.tokenizer.encode_batch(list(prompts))]
    if not all(rows):
        raise ValueError("expected prompts, got an empty one; begin with a word, or with chat()")
    length = -(-max(map(len, rows)) // STEP) * STEP
    check_length(lm, max(map(len, rows)) + num_tokens)
    allowed = None if among is None else np.isin(np.arange(vocabulary), [*among, ends[0]])
    batch_size, found = min(batch_size, len(rows)), []
    for begin in range(0, len(rows), batch_size):
        part = rows[begin : begin + batch_size]
        part += [part[-1]] * (batch_size - len(part))
        tokens = np.zeros((batch_size, length), np.int32)
        for place, row in zip(tokens, part, strict=True):
            place[: len(row)] = row
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(0) if key is None else key))(
            begin + jnp.arange(batch_size)
        )
        lengths = np.array([len(row) for row in part], np.int32)
        found += np.asarray(
            continued(
                *(lm.module, lm.variables, keys, tokens, lengths, temperature, ends[0], num_tokens, temperature == 0),
                allowed,
            )
        ).tolist()[: len(rows) - begin]
    return [lm.tokenizer.decode(row[: row.index(ends[0])] if ends[0] in row else row) for row in found]


@partial(jax.jit, static_argnames=("module", "num_tokens", "greedy"))
def continued(
    module: Any,
    variables: PyTree,
    keys: Any,
    tokens: Int[Array, "n T"],
    lengths: Int[Array, "n"],
    temperature: Any,
    stop: Any,
    num_tokens: int,
    greedy: bool,
    allowed: Bool[Array | np.ndarray, "V"] | None = None,
) -> Int[Array, "n S"]:
    """The S tokens behind each row of `tokens`, of which `lengths` count; `stop` from the first one on."""
    n, length = tokens.shape
    kept = empty_cache(module.config, n, length + num_tokens, module.dtype)
    positions = jnp.broadcast_to(jnp.arange(length), (n, length))
    hidden, kept = module.apply(variables, tokens, positions, kept, method="onward")
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], 1)[:, 0]

    def unfinished(carry: tuple) -> Bool[Array, ""]:
        step, _, _, done, _ = carry
        return (step < num_tokens) & ~done.all()

    def write(carry: tuple) -> tuple:
        step, last, kept, done, written = carry
        logits = module.apply(variables, last, method="logits")
        if allowed is not None:
            logits = jnp.where(jnp.asarray(allowed)[None], logits, -jnp.inf)
        if greedy:
            chosen = jnp.argmax(logits, -1)
        else:
            fold = lambda key, row: jax.random.categorical(jax.random.fold_in(key, step), row / temperature)
            chosen = jax.vmap(fold)(keys, logits)
        chosen = jnp.where(done, stop, chosen).astype(jnp.int32)
        hidden, kept = module.apply(variables, chosen[:, None], (lengths + step)[:, None], kept, method="onward")
        return step + 1, hidden[:, 0], kept, done | (chosen == stop), written.at[:, step].set(chosen)

    written = jnp.full((n, num_tokens), stop, jnp.int32)
    return jax.lax.while_loop(unfinished, write, (0, last, kept, jnp.zeros(n, bool), written))[-1]
