"""Monte-Carlo error of scores that are averages over posterior draws, by leaving out one draw at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.method import method
from bal.numerics import centered_draws
from bal.typing import PyTree


@method
def standard_error(acquisition: Callable[..., Float[Array, "N"]]) -> Callable[..., Float[Array, "N"]]:
    """How far a score of K draws may be from that of K others, one standard deviation: the jackknife over draws.

    ``√((K - 1)/K Σ_k (s_{-k} - s̄)²)`` with ``s_{-k}`` the score without draw k. At least 0, in the unit of the score,
    exactly 0 for draws that agree. It says nothing of the bias, which in `bald` is of the order 1/K as well
    (`bal.acquisition.corrected_bald`), nor of draws that all miss what the posterior holds. Not for scores that jump,
    as votes and margins do. Costs K scores: for a shortlist, or in `bal.selection.with_standard_errors`, for the picks.

    Use it when a ranking is to be trusted: scores closer than this are in an order that other draws would change.

    Args:
      acquisition: of one or several predictions, which all have the axis of draws second: for EPIG about targets
        ``standard_error(epig)(log_probs, target_log_probs)``.

    Raises:
      ValueError: fewer than 3 draws.

    >>> from bal.acquisition import expected_entropy
    >>> log_probs = jnp.log(jnp.array([[[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0]], [[0.3, 0.7]] * 4]))
    >>> [round(error, 4) for error in jax.jit(standard_error(expected_entropy))(log_probs).tolist()]  # a mean: sd / √K
    [0.2001, 0.0]

    Miller 1974, "The Jackknife: A Review".
    """

    def error(*predictions: PyTree) -> Float[Array, "N"]:
        return jackknife_error(without_each_draw(acquisition, *predictions))

    return error


def without_each_draw(acquisition: Callable[..., Float[Array, "N"]], *predictions: PyTree) -> Float[Array, "K N"]:
    """Scores without draw k, for every k."""
    counts = {leaf.shape[1] for leaf in jax.tree.leaves(predictions)}
    if len(counts) != 1 or min(counts) < 3:
        raise ValueError(
            "a standard error needs predictions [rows, draws, ...] of the same draws, 3 at least; got "
            f"{sorted(counts)} of them; raise the number of draws"
        )
    (num_draws,) = counts

    def without(k: Array) -> Float[Array, "N"]:
        others = jnp.arange(num_draws - 1)
        others = others + (others >= k)
        return acquisition(*jax.tree.map(lambda leaf: leaf[:, others], predictions))

    return jax.lax.map(without, jnp.arange(num_draws))


def jackknife_error(without: Float[Array, "K *rest"]) -> Float[Array, "*rest"]:
    """The standard error of a statistic from its values without each draw."""
    return jnp.sqrt((len(without) - 1) * jnp.mean(centered_draws(without, axis=0) ** 2, 0))
