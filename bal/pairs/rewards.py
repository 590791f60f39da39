"""Rewards of single items, read from a posterior of pairs: what makes scores of all pairs products of items' halves.

Only differences are known, so each reward is that of the pair (item, anchor): the same anchor for all, which cancels
from every difference. So any learner of pairs has rewards, if its draws are differences of something.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels import learner_covariance
from bal.kernels.linear import covariance_features
from bal.numerics import first_argmax, rounding_error
from bal.pairs.comparison import Comparison, bradley_terry
from bal.pairs.nouns import Items, num_items
from bal.selection.variance.pivoted_cholesky import add_pick, no_picks
from bal.typing import Candidates, Latent, Posterior, PyTree

RANK = 64
"""Columns of a pivoted Cholesky factor of the covariance of rewards; exact for up to as many features."""


class Rewards(NamedTuple):
    """mean: posterior means, up to a constant. draws: of the posterior, up to a constant a draw; None of a process."""

    mean: Float[Array, "N"]
    draws: Float[Array, "N K"] | None


def rewards(posterior: Posterior, items: Items, comparison: Comparison = bradley_terry) -> Rewards:
    """Rewards of all items under a posterior of pairs.

    Args:
      posterior: of a learner of pairs that predicts ``log_probs [n, K, 2]`` or a `Latent`.
      items: what is compared.
      comparison: that of the learner, by which draws are read from log probabilities.

    Raises:
      ValueError: other predictions.

    >>> from bal.typing import Learner
    >>> logits = lambda state, x: jnp.stack([jnp.zeros((len(x), 2)), (x[:, 0] - x[:, 1]) * state[None]], -1)
    >>> posterior = Posterior(jnp.array([1.0, 2.0]), Learner(None, None, logits))  # two draws of a slope
    >>> rewards(posterior, Items(jnp.array([[1.0], [4.0]]))).draws.tolist()  # the first item is the anchor
    [[0.0, 0.0], [3.0, 6.0]]
    """
    predictions = posterior.predict(anchored(items.x))
    if isinstance(predictions, Latent):
        return Rewards(predictions.mean.mean(-1), None)
    if not hasattr(predictions, "ndim") or predictions.ndim != 3 or predictions.shape[-1] != 2:
        got = list(predictions.shape) if hasattr(predictions, "ndim") else type(predictions).__name__
        raise ValueError(
            f"expected log_probs [n, K, 2] or a Latent of pairs, got {got}; use linear_reward, gp_reward, or a learner "
            "of reward_network(...) with the likelihood of a comparison"
        )
    draws = comparison.difference(predictions)
    return Rewards(draws.mean(-1), draws)


def reward_features(
    posterior: Posterior, items: Items, comparison: Comparison = bradley_terry, rank: int = RANK
) -> Float[Array, "N R"]:
    """Features ψ with ``|ψ_a - ψ_b|²`` the posterior variance of ``r(a) - r(b)``.

    Of a learner with a kernel a pivoted Cholesky factor of at most `rank` columns, exact where the covariance has no
    higher rank and otherwise too small; of others the covariance of draws.
    """
    if posterior.learner.kernel is None:
        draws = rewards(posterior, items, comparison).draws
        if draws is None:
            raise ValueError("a Latent without a kernel has no covariance; use gp_reward")
        return covariance_features(draws)
    one = jnp.ones(num_items(items))
    embedded = posterior.embed(anchored(items.x))
    index = jnp.arange(len(one), dtype=jnp.int32)
    kernel = learner_covariance(Candidates(embedded, index, one > 0, one, context=posterior))
    prior = kernel.diag()
    usable = jnp.isfinite(prior)
    count, rounding = min(rank, len(one)), rounding_error(jnp.where(usable, prior, 0.0))
    largest = lambda state: first_argmax(jnp.where(usable, state.variance, -1.0))
    step = lambda _, state: add_pick(kernel, rounding, state, largest(state))
    return jax.lax.fori_loop(0, count, step, no_picks(prior, count)).factor.T


def anchored(x: PyTree) -> PyTree:
    """Pairs of every item with the first one whose inputs are all finite."""
    x = jax.tree.map(jnp.asarray, x)
    sound = lambda leaf: jnp.isfinite(leaf).reshape(len(leaf), -1).all(1)
    anchor = jnp.argmax(jnp.stack([sound(leaf) for leaf in jax.tree.leaves(x)]).all(0))
    return jax.tree.map(lambda leaf: jnp.stack([leaf, jnp.broadcast_to(leaf[anchor], leaf.shape)], 1), x)
