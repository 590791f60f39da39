"""Query by committee on a stream: two members are drawn, and asked whether they agree."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from bal.method import method
from bal.stream.rule import Rule, Wish, unchanged
from bal.typing import PRNGKey


@method
def query_by_committee() -> Rule:
    """Wants a label where two draws of the posterior, chosen at random for each row, predict different classes.

    With votes v it is asked with probability ``1 - Σ_c v_c²``, the draws being with replacement: always somewhat at
    random, and without a threshold. The score is 1 where the two differ, else 0. For scores of the whole committee use
    ``threshold(vote_entropy, ...)`` or `quantile` of `consensus_kl`.

    >>> log_probs = jnp.log(jnp.array([[[0.9, 0.1], [0.8, 0.2]]]))
    >>> jax.jit(query_by_committee().decide)(jax.random.key(0), (), log_probs, 0).ask.item()
    False

    Seung, Opper and Sompolinsky 1992, "Query by Committee"; Freund, Seung, Shamir and Tishby 1997, "Selective Sampling
    Using the Query by Committee Algorithm".
    """

    def decide(key: PRNGKey, state: tuple, predictions: Array, time: Int[Array, ""] | int) -> Wish:
        votes = predictions[0].argmax(-1)
        first, second = votes[jax.random.randint(key, (2,), 0, len(votes))]
        differ = first != second
        return Wish(differ, differ.astype(jnp.float32), jnp.full((), 0.5))

    return Rule(tuple, decide, unchanged)
