"""The losses of T-Few on a language model: (IA)³ in its last block, taught to rank two answers about a message."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.adapters import Upper, init_ia3, rank, tfew_loss, tfew_optimizer, tune, upper
from bal.backbones import Answered, LanguageModel, answer_log_probs, answered
from bal.loop import seed_keys
from bal.pool import take
from bal.typing import Data, PRNGKey, PyTree

ANSWERS = (" a normal message.", " spam.")
PROMPT = "Text message: {}\nThis is"
LOSSES = {
    "LM": {"unlikelihood": False, "length_normalized": False},
    "LM + LN": {"unlikelihood": False, "length_normalized": True},
    "LM + LN + UL": {"unlikelihood": True, "length_normalized": True},
}
BATCH = 8


class Choices(NamedTuple):
    """Rows of C answers: states below the last block, and which tokens are those of the answer."""

    hidden: Float[Array, "n C T D"]
    rows: Any


def choices(lm: LanguageModel, texts: list[str], start: int) -> Choices:
    """Prompts with both answers, run through the frozen blocks below `start` once."""
    asked = [PROMPT.format(text) for text in texts for _ in ANSWERS]
    rows = answered(lm, asked, [*ANSWERS] * len(texts))

    @jax.jit
    def below(params: PyTree, tokens: Array, mask: Array) -> Any:
        hidden = lm.module.apply({"params": params}, tokens, method="embed")
        return lm.module.apply({"params": params}, hidden, mask, 0, start, method="blocks")

    pieces = []
    for first in range(0, len(asked), 2 * BATCH):
        part = [np.resize(leaf[first : first + 2 * BATCH], (2 * BATCH, leaf.shape[1])) for leaf in rows[:2]]
        pieces.append(np.asarray(below(lm.variables["params"], *part), np.float16))
    by_text = lambda leaf: jnp.asarray(leaf).reshape(len(texts), len(ANSWERS), *leaf.shape[1:])
    return Choices(by_text(np.concatenate(pieces)[: len(asked)]), Answered(*map(by_text, rows)))


def answer_scores(top: Upper, variables: PyTree, x: Choices) -> Float[Array, "n C A"]:
    """``log p`` of every token of every answer."""
    flat = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])
    rows: Answered = jax.tree.map(flat, x.rows)
    hidden: Any = flat(x.hidden).astype(jnp.float32)
    hidden = top.module.apply(variables, hidden, rows.mask, top.start, top.stop, method="blocks")
    scores = answer_log_probs(top.module, variables, hidden, rows)
    return scores.reshape(*x.hidden.shape[:2], -1)


def accuracies(lm: LanguageModel, texts: list[str], y: np.ndarray, sizes: Any) -> dict[str, Float[np.ndarray, "S"]]:
    """Test accuracy of every seed by loss, and before training; labels, order and test are those of the seed in all."""
    top = upper(lm, 1)
    x = choices(lm, texts, top.start)
    frozen = {"params": lm.variables["params"]}
    adapter = init_ia3(top.places)
    num_test = sizes.num_answer_test
    test, pool = np.arange(num_test), np.arange(num_test, len(texts))
    labels = jnp.asarray(y)

    def correct(variables: PyTree) -> Float[Array, ""]:
        def of_some(rows: Array) -> Array:
            some = take(x, rows)
            found = rank(answer_scores(top, variables, some), some.rows.counts).argmax(1)
            return (found == labels[rows]).mean()

        blocks = test[: num_test // BATCH * BATCH].reshape(-1, BATCH)
        return jax.lax.map(of_some, jnp.asarray(blocks)).mean()

    def of_seed(frozen: PyTree, terms: dict[str, bool], key: PRNGKey) -> Float[Array, ""]:
        drawn = jax.random.choice(jax.random.fold_in(key, 0), jnp.asarray(pool), (sizes.num_answers,), replace=False)
        data = Data(take(x, drawn), labels[drawn], jnp.ones(sizes.num_answers))

        def loss(variables: PyTree, x: Choices, y: Array, key: PRNGKey) -> Float[Array, "n"]:
            return tfew_loss(answer_scores(top, variables, x), x.rows.counts, y, **terms)

        rule = tfew_optimizer(sizes.answer_steps)
        tuned = tune(loss, rule, jax.random.fold_in(key, 1), adapter, frozen, data, sizes.answer_steps, BATCH)
        return correct(frozen | tuned)

    keys, found = seed_keys(0, sizes.num_answer_seeds), {"before": np.asarray([jax.jit(correct)(frozen)])}
    for name, terms in LOSSES.items():
        every = jax.jit(lambda frozen, keys, terms=terms: jax.lax.map(partial(of_seed, frozen, terms), keys))
        found[name] = np.asarray(every(frozen, keys))
    return found
