"""D-optimal pairs: those whose answers shrink the volume of what is not known about the weights."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot, in_float64, to_double
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.greedy import PairRule, greedy_pairs
from bal.pairs.nouns import PairQuery, PairRound
from bal.pairs.rewards import RANK, anchored, reward_features, rewards
from bal.typing import PADDING, PRNGKey


class Design(NamedTuple):
    """psi: features of items in which not yet known directions are long, from their mean. mean: their rewards."""

    psi: Float[Array, "N F"]
    mean: Float[Array, "N"]


@method
def d_optimal(comparison: Comparison = bradley_terry, ridge: float = 1.0) -> PairQuery:
    """Greedily the batch of largest ``log det(ridge + Σ c_ab z_ab z_abᵀ)``: that of the batch's Fisher information.

    z is ``φ_a - φ_b``, the difference of the learner's embeddings (the last hidden layer of a reward network; members
    of an ensemble side by side), c the information of an answer at the mean rewards. So a pair is good where its items
    lie far apart and yet neither is sure to win. The score is a pick's gain ``log(1 + c z·S z)``, S the inverse of the
    matrix so far; they sum to the log-determinant over that of the ridge. Earlier answers do not count: see
    `past_aware_d_optimal`.

    A gain is ``|ψ_a - ψ_b|²`` of features turned by a root of S, and a pick turns them by one more rank: `greedy_pairs`
    over all pairs, O(N F) memory.

    Args:
      comparison: that of the learner.
      ridge: precision of a weight before any answer.

    Raises:
      ValueError: a ridge that is not positive; when traced, a learner without embeddings.

    >>> d_optimal(ridge=0.1) == d_optimal(ridge=0.1)
    True

    Shen, Sun and Ton 2025, "Reviving the Classics: Active Reward Modeling in Large Language Model Alignment", who sum
    over a pool of sampled pairs; here over all.
    """
    return _of_embeddings(comparison, ridge, lambda round: jnp.zeros(len(round.log.y), bool))


@method
def past_aware_d_optimal(comparison: Comparison = bradley_terry, ridge: float = 1.0) -> PairQuery:
    """`d_optimal` given the information of all pairs asked before: ``log det(ridge + Σ_past + Σ_batch)``.

    Past answers count with the information they have at the mean rewards of now, those to come too. With a
    `linear_reward` of prior ``1 / ridge`` it is `posterior_d_optimal`.

    Raises:
      ValueError: a ridge that is not positive; when traced, a learner without embeddings.

    >>> past_aware_d_optimal()
    past_aware_d_optimal(comparison=bradley_terry, ridge=1.0)

    Shen, Sun and Ton 2025, "Reviving the Classics: Active Reward Modeling in Large Language Model Alignment".
    """
    return _of_embeddings(comparison, ridge, lambda round: round.log.pairs[:, 0] != PADDING)


@method
def posterior_d_optimal(comparison: Comparison = bradley_terry, rank: int = RANK) -> PairQuery:
    """`d_optimal` where the learner's own posterior covariance of rewards says what is not known.

    The gain of a pick is ``log(1 + c v)``, v the posterior variance of ``r(a) - r(b)`` given the batch so far: twice
    the information that an answer of normal noise 1 / c has about the rewards.

    Use it for a Gaussian process, whose covariance is taken by `rank` columns, and for ensembles, by the covariance of
    their draws.

    Raises:
      ValueError: a rank below 1.

    >>> posterior_d_optimal(rank=8).made.settings["rank"]
    8

    MacKay 1992, "Information-Based Objective Functions for Active Data Selection".
    """
    check_count("rank", rank)
    check_comparison(comparison)
    return greedy_pairs(
        lambda key, round: design_rule(
            reward_features(round.posterior, round.items, comparison, rank),
            rewards(round.posterior, round.items, comparison).mean,
            comparison,
        )
    )


def design_rule(psi: Float[Array, "N F"], mean: Float[Array, "N"], comparison: Comparison) -> PairRule:
    """The rule of largest log-determinant, from features of items whose distances are variances of differences."""
    usable = jnp.isfinite(psi).all(1) & jnp.isfinite(mean)
    psi = jnp.where(usable[:, None], psi, 0.0)
    psi = psi - psi.sum(0, keepdims=True) / jnp.maximum(usable.sum(), 1)
    size = jnp.where(usable, jnp.sum(psi**2, 1), jnp.nan)

    def score(state: Design, rows: Array) -> Array:
        square = jnp.sum(state.psi**2, 1)
        apart = square[rows][:, None] + square[None] - 2 * dot(state.psi[rows], state.psi.T)
        return comparison.information(state.mean[rows][:, None] - state.mean[None]) * jnp.maximum(apart, 0.0)

    def facts(state: Design, a: Array, b: Array) -> tuple[Array, Array, Array]:
        z = state.psi[a] - state.psi[b]
        variance = jnp.sum(z**2)
        return z, variance, comparison.information(state.mean[a] - state.mean[b]) * variance

    def update(state: Design, a: Array, b: Array) -> Design:
        """Turn by ``1 - γ z zᵀ``, whose square is what the answer leaves, ``1 - c z zᵀ / (1 + c |z|²)``."""
        z, variance, ratio = facts(state, a, b)
        share = (1 - 1 / jnp.sqrt(1 + ratio)) / jnp.where(variance > 0, variance, 1.0)
        return state._replace(psi=state.psi - share * dot(state.psi, z)[:, None] * z[None])

    return PairRule(Design(psi, mean), size, score, lambda *at: jnp.log1p(facts(*at)[2]), update)


def _of_embeddings(comparison: Comparison, ridge: float, counts: Callable[[PairRound], Array]) -> PairQuery:
    check_comparison(comparison)
    if not 0 < ridge < float("inf"):
        raise ValueError(f"ridge is the precision of a weight and must be positive and finite, got {ridge}")

    def rule(key: PRNGKey, round: PairRound) -> PairRule:
        del key
        mean = rewards(round.posterior, round.items, comparison).mean
        embedded = round.posterior.embed(anchored(round.items.x))
        if not hasattr(embedded, "ndim"):
            raise ValueError(
                f"d_optimal needs embeddings that are features, got a {type(embedded).__name__}; of a Gaussian process "
                "use posterior_d_optimal"
            )
        phi = embedded.reshape(len(mean), -1)
        pairs = jnp.minimum(round.log.pairs, len(mean) - 1)
        z = phi[pairs[:, 0]] - phi[pairs[:, 1]]
        weight = comparison.information(mean[pairs[:, 0]] - mean[pairs[:, 1]])
        told = counts(round) & jnp.isfinite(weight) & jnp.isfinite(z).all(1)
        z, weight = jnp.where(told[:, None], z, 0.0), jnp.where(told, weight, 0.0)
        return design_rule(in_float64(whitened)(phi, z, weight).astype(phi.dtype), mean, comparison)

    def whitened(phi: Array, z: Array, weight: Array) -> Array:
        phi, z, weight = map(to_double, (phi, z, weight))
        matrix = dot(z.T, weight[:, None] * z) + ridge * jnp.eye(phi.shape[1], dtype=phi.dtype)
        return solve_triangular(jnp.linalg.cholesky(matrix), phi.T, lower=True).T

    return greedy_pairs(rule)
