"""How well the chains of a sampler agree, and how much they hold, in what can be traced.

Gelman and Rubin 1992, "Inference from Iterative Simulation Using Multiple Sequences"; Gelman et al. 2013, "Bayesian
Data Analysis", 11.4 (split chains); Geyer 1992, "Practical Markov Chain Monte Carlo" (initial monotone sequence).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def split_r_hat(draws: Float[Array, "M n J"]) -> Float[Array, "J"]:
    """Potential scale reduction of M chains of n values, each cut in two: near 1 where halves and chains agree.

    1 for a quantity that never moves; infinite where the chains sit still at different values. n is at least 4.

    >>> import jax
    >>> import numpy as np
    >>> together = np.zeros((2, 8, 1))
    >>> apart = together + [[[0.0]], [[1.0]]]
    >>> jax.jit(split_r_hat)(np.concatenate([together, apart], -1)).tolist()
    [1.0, inf]
    """
    half = draws.shape[1] // 2
    parts = jnp.concatenate([draws[:, :half], draws[:, -half:]])
    within = parts.var(1, ddof=1).mean(0)
    between = parts.mean(1).var(0, ddof=1)
    ratio = (half - 1) / half + between / jnp.where(within > 0, within, 1.0)
    return jnp.sqrt(jnp.where(within > 0, ratio, jnp.where(between > 0, jnp.inf, 1.0)))


def effective_size(draws: Float[Array, "M n J"]) -> Float[Array, "J"]:
    """Number of independent draws that would give means as good; all of them for a quantity that never moves.

    Chains that alternate may be better than independent draws: up to ``log10(M n)`` times as many count (Vehtari et al.
    2021, "Rank-Normalization, Folding, and Localization").
    """
    num_chains, n = draws.shape[:2]
    centered = draws - draws.mean(1, keepdims=True)
    spectrum = jnp.fft.rfft(centered, 2 * n, axis=1)
    covariance = (jnp.fft.irfft(jnp.abs(spectrum) ** 2, 2 * n, axis=1)[:, :n] / n).mean(0)
    within = spread = covariance[0]
    if num_chains > 1:
        within, spread = within * n / (n - 1), spread + draws.mean(1).var(0, ddof=1)
    moves = spread > 0
    correlation = 1 - (within[None] - covariance) / jnp.where(moves, spread, 1.0)[None]
    correlation = jnp.concatenate([jnp.ones_like(correlation[:1]), correlation[1:]])
    pairs = correlation[: n // 2 * 2].reshape(n // 2, 2, -1).sum(1)
    falling = jnp.concatenate([pairs[:1], jnp.minimum.accumulate(jnp.maximum(pairs[1:], 0.0))])
    time = jnp.maximum(2 * falling.sum(0) - 1, 1 / math.log10(num_chains * n))
    return jnp.where(moves, num_chains * n / time, num_chains * n)
