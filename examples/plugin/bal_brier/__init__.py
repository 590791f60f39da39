"""How far a label is expected to lower the Brier score of the mean prediction."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.numerics import centered_draws
from bal.query import by_score
from bal.typing import Query


def brier_gain(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """``Σ_c Var_k p_kc``: between 0, where all draws agree, and ``1 - 1/min(K, C)``."""
    return jnp.mean(centered_draws(jnp.exp(log_probs), axis=1) ** 2, 1).sum(-1)


def brier_gain_query() -> Query:
    """The rows of highest gain."""
    return by_score(brier_gain)
