"""BALD of pairs: those whose answer tells most about the model."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bal.acquisition import probit_bald
from bal.learners.settings import check_count
from bal.method import method
from bal.numerics import dot
from bal.numerics.divergence import divergence
from bal.pairs.comparison import Comparison, bradley_terry, check_comparison
from bal.pairs.greedy import PairRule, greedy_pairs
from bal.pairs.nouns import PairQuery, PairRound
from bal.pairs.rewards import RANK, reward_features, rewards
from bal.typing import Latent, PRNGKey

NUMBERS = 24
"""Of a pair in memory while it is scored, so that the few arrays of a block stay in cache."""


class Believed(NamedTuple):
    """Means of rewards, and features whose distances are variances of differences."""

    mean: Float[Array, "N"]
    psi: Float[Array, "N R"]


@method
def pair_bald(comparison: Comparison = bradley_terry, rank: int = RANK) -> PairQuery:
    """The pairs of most BALD: mutual information of the answer and the model, ``I(y; θ)``, in nats, at most log 2.

    Of draws ``H[mean_k g(d_k)] - mean_k H[g(d_k)]`` with d_k the difference of two items' rewards in draw k. Of a
    Gaussian process `probit_bald` of the mean and variance of d, which is exact for `thurstone`; `bradley_terry` is
    replaced by the probit of d / 1.702.

    The best B by themselves, so several of a batch may say the same: use it for one pair a round, and `d_optimal` or
    `bal_pm` for batches.

    >>> pair_bald(rank=8).made.settings["rank"]
    8

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_comparison(comparison)
    check_count("rank", rank)
    return greedy_pairs(lambda key, round: information_rule(key, round, comparison, rank))


def information_rule(key: PRNGKey, round: PairRound, comparison: Comparison, rank: int) -> PairRule:
    """The rule of most information, whatever was picked before."""
    del key
    found = rewards(round.posterior, round.items, comparison)
    draws = found.draws
    if draws is None:
        psi = reward_features(round.posterior, round.items, comparison, rank)
        return _rule_of_moments(found.mean, psi, comparison)

    def gain(draws: Array, a: Array, b: Array) -> Array:
        return pairwise_bald(draws[a][None], draws[b][None], comparison)[0, 0]

    score = lambda draws, rows: pairwise_bald(draws[rows], draws, comparison)
    most = most_information if comparison is bradley_terry else None
    return PairRule(draws, _size(draws)[1], score, gain, lambda state, a, b: state, NUMBERS, most)


def most_information(draws: Float[Array, "N K"], rows: Int[Array, "r"]) -> Float[Array, "r N"]:
    """At least `pairwise_bald` of some items with all, for `bradley_terry`: ``Var_k(d_k) / 8``, and at most log 2.

    ``I = mean_k KL(p_k ‖ p̄) <= mean_k KL(p_k ‖ g(d̄))``, and the log partition function ``log(1 + e^d)``, whose Bregman
    divergence that is, is nowhere curved by more than 1/4. Rounding is allowed for.
    """
    away, square = _size(draws - draws.mean(1, keepdims=True))
    square = jnp.where(jnp.isfinite(square), square, 0.0)
    together = square[rows][:, None] + square[None]
    variance = (together - 2 * dot(away[rows], away.T) + 1e-5 * together) / draws.shape[1]
    return jnp.minimum(variance / 8, jnp.log(2.0)) * (1 + 1e-5) + 1e-6


def _rule_of_moments(mean: Float[Array, "N"], psi: Float[Array, "N R"], comparison: Comparison) -> PairRule:
    scale, (psi, size) = comparison.probit_scale, _size(psi)

    def told(mean: Array, variance: Array) -> Array:
        latent = Latent(scale * mean.ravel()[:, None], scale**2 * variance.ravel()[:, None])
        return probit_bald(latent).reshape(mean.shape)

    def score(state: Believed, rows: Array) -> Array:
        square = jnp.sum(state.psi**2, 1)
        variance = square[rows][:, None] + square[None] - 2 * dot(state.psi[rows], state.psi.T)
        return told(state.mean[rows][:, None] - state.mean[None], jnp.maximum(variance, 0.0))

    def gain(state: Believed, a: Array, b: Array) -> Array:
        return told(state.mean[a] - state.mean[b], jnp.sum((state.psi[a] - state.psi[b]) ** 2))

    size = jnp.where(jnp.isfinite(mean), size, jnp.nan)
    return PairRule(Believed(mean, psi), size, score, gain, lambda state, a, b: state, NUMBERS)


def _size(rows: Float[Array, "N K"]) -> tuple[Float[Array, "N K"], Float[Array, "N"]]:
    """Rows from their mean, 0 where not finite, and how far they lie from it, NaN there."""
    usable = jnp.isfinite(rows).all(1)
    rows = jnp.where(usable[:, None], rows, 0.0)
    rows = rows - rows.sum(0, keepdims=True) / jnp.maximum(usable.sum(), 1)
    return jnp.where(usable[:, None], rows, 0.0), jnp.where(usable, jnp.sum(rows**2, 1), jnp.nan)


def pairwise_bald(
    one: Float[Array, "r K"], other: Float[Array, "n K"], comparison: Comparison = bradley_terry
) -> Float[Array, "r n"]:
    """`bald` of all pairs of two sets of items, from draws of their rewards: a few arrays ``[r, n]`` at a time.

    ``mean_k KL(p_k ‖ p̄)`` from terms that are not negative, ``p̄ φ(p_k / p̄) + q̄ φ(q_k / q̄)`` with ``φ(ρ) = ρ log ρ -
    ρ + 1`` and q = 1 - p, of which the lesser is what differences are taken of: exactly 0 for draws that agree.

    >>> pairwise_bald(jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 4.0]])).tolist()
    [[0.0]]
    """
    columns = one.T, other.T
    p = lambda a, b: comparison.probability(a[:, None] - b[None])
    q = lambda a, b: comparison.probability(b[None] - a[:, None])
    zeros = jnp.zeros((len(one), len(other)), one.dtype)
    add = lambda total, draw: ((total[0] + p(*draw), total[1] + q(*draw)), None)
    total, _ = jax.lax.scan(add, (zeros, zeros), columns)
    least = jnp.finfo(one.dtype).tiny
    p_mean, q_mean = (part / one.shape[1] for part in total)

    def divergences(total: Array, draw: tuple[Array, Array]) -> tuple[Array, None]:
        away = jnp.where(p_mean <= q_mean, p(*draw) - p_mean, q_mean - q(*draw))
        for mean, sign in ((p_mean, 1.0), (q_mean, -1.0)):
            total = total + mean * divergence(sign * away / jnp.maximum(mean, least))
        return total, None

    return jax.lax.scan(divergences, zeros, columns)[0] / one.shape[1]
