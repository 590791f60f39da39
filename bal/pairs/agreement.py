"""How well a posterior of pairs orders items."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.nouns import Items
from bal.pairs.rewards import rewards
from bal.typing import Posterior, PyTree


def kendall_tau(one: Float[Array, "n"], other: Float[Array, "n"]) -> Float[Array, ""]:
    """Kendall's τ-a: pairs in the same order less pairs in opposite order, over all; in [-1, 1], ties count as 0.

    >>> round(float(kendall_tau(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0]))), 4)
    0.3333

    Kendall 1938, "A New Measure of Rank Correlation".
    """
    if one.shape != other.shape:
        raise ValueError(f"expected rewards of the same items, got shapes {one.shape} and {other.shape}")
    sign = lambda values: jnp.sign(values[:, None] - values[None])
    return jnp.sum(sign(one) * sign(other)) / (len(one) * (len(one) - 1))


@method
def rank_agreement(comparison: Comparison = bradley_terry) -> Callable[[Posterior, PyTree], dict[str, Array]]:
    """What a `PairSetup` may measure: ``tau``, Kendall's τ of posterior mean rewards with true ones, of given items.

    The test is ``(x, rewards)``, inputs and true rewards of items: those of the pool, or others.

    >>> rank_agreement()
    rank_agreement(comparison=bradley_terry)
    """

    check_comparison(comparison)

    def evaluate(posterior: Posterior, test: PyTree) -> dict[str, Array]:
        x, true = test
        return {"tau": kendall_tau(rewards(posterior, Items(x), comparison).mean, true)}

    return evaluate
