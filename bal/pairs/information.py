"""BALD of pairs: those whose answer tells most about the model."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition import probit_bald
from bal.method import method
from bal.numerics import dot
from bal.numerics.divergence import divergence
from bal.pairs.comparison import Comparison, bradley_terry
from bal.pairs.greedy import PairRule, greedy_pairs
from bal.pairs.nouns import PairQuery, PairRound
from bal.pairs.rewards import RANK, reward_features, rewards
from bal.typing import Latent, PRNGKey

NUMBERS = 24
"""Of a pair in memory while it is scored, so that the few arrays of a block stay in cache."""


class Believed(NamedTuple):
    """Draws of rewards ``[N, K]``; or means ``[N]`` and features whose distances are variances ``[N, R]``."""

    draws: Float[Array, "N K"] | None
    mean: Float[Array, "N"]
    psi: Float[Array, "N R"] | None


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
    return greedy_pairs(lambda key, round: information_rule(key, round, comparison, rank))


def information_rule(key: PRNGKey, round: PairRound, comparison: Comparison, rank: int) -> PairRule:
    """The rule of most information, whatever was picked before."""
    del key
    found = rewards(round.posterior, round.items, comparison)
    psi = None if found.draws is not None else reward_features(round.posterior, round.items, comparison, rank)
    spread = psi if found.draws is None else found.draws
    usable = jnp.isfinite(spread).all(1) & jnp.isfinite(found.mean)
    center = jnp.where(usable[:, None], spread, 0.0)
    center = center - center.sum(0, keepdims=True) / jnp.maximum(usable.sum(), 1)
    size = jnp.where(usable, jnp.sum(center**2, 1), jnp.nan)

    def of_moments(mean: Array, variance: Array) -> Array:
        scale = comparison.probit_scale
        latent = Latent(scale * mean.ravel()[:, None], scale**2 * variance.ravel()[:, None])
        return probit_bald(latent).reshape(mean.shape)

    def score(state: Believed, rows: Array) -> Array:
        if state.draws is not None:
            return pairwise_bald(state.draws[rows], state.draws, comparison)
        square = jnp.sum(state.psi**2, 1)
        variance = square[rows][:, None] + square[None] - 2 * dot(state.psi[rows], state.psi.T)
        return of_moments(state.mean[rows][:, None] - state.mean[None], jnp.maximum(variance, 0.0))

    def gain(state: Believed, a: Array, b: Array) -> Array:
        if state.draws is not None:
            return pairwise_bald(state.draws[a][None], state.draws[b][None], comparison)[0, 0]
        return of_moments(state.mean[a] - state.mean[b], jnp.sum((state.psi[a] - state.psi[b]) ** 2))

    state = Believed(found.draws, found.mean, None if psi is None else jnp.where(usable[:, None], center, 0.0))
    return PairRule(state, size, score, gain, lambda state, a, b: state, NUMBERS)


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
