"""Gaussian predictive-entropy batches (BBB-AL): the batch whose class probabilities vary the most over the draws.

Ober, Power, Diethe and Moss 2025, "Big Batch Bayesian Active Learning by Considering Predictive Probabilities" (arXiv
2501.08223); reconstructed from its abstract, see `gaussian_batch` for the choices made.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.method import method
from bal.numerics import centered_draws, dot, small_log_determinants
from bal.selection.kinds import check_draws
from bal.selection.rules.greedy import Greedy, greedy
from bal.typing import Candidates, PRNGKey, Select


@method
def gaussian_batch(shrinkage: float | None = None) -> Select:
    """Greedy maximization of ``½ log det(2πe Σ_BB)``, the entropy in nats of the batch's probabilities as one normal.

    Σ is the covariance over K draws of the class probabilities of all eligible rows, shrunk to ``(1 - α) S + α μ I``
    with μ the mean variance, without which its rank is K - 1. The score of a pick is its conditional entropy given the
    earlier picks; any real number. Epistemic only: noise in the labels does not count, and the score has no ceiling at
    log K, unlike `batchbald`'s.

    Rows are ``log_probs [n, K, C]``. The C probabilities of a row sum to one, so they enter by C - 1 orthonormal
    contrasts, which treat classes alike. α is estimated once, over all eligible rows, so that the objective is one
    fixed submodular function. Time per pick n C K (K + C).

    Args:
      shrinkage: α in (0, 1]; by Ledoit and Wolf's formula unless given. Below about 1e-4 float32 rounding shows.

    Raises:
      ValueError: a shrinkage outside (0, 1].

    >>> from bal.selection import select
    >>> rows = np.log([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]], [[0.4, 0.6], [0.6, 0.4]]])
    >>> select(None, None, gaussian_batch(0.1), 2, log_probs=rows).indices.tolist()
    [0, 2]

    Ober et al. 2025; Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    if shrinkage is not None and not 0 < shrinkage <= 1:
        raise ValueError(f"shrinkage must lie in (0, 1], got {shrinkage}; without it K draws give a singular matrix")

    def rule(key: PRNGKey, candidates: Candidates, batch_size: int) -> Greedy:
        check_draws("gaussian_batch", candidates.rows)
        num_draws = candidates.rows.shape[1]
        centered = _centered_contrasts(candidates.rows)
        num_contrasts = centered.shape[1]
        usable = candidates.eligible & ~jnp.isnan(centered).any((1, 2))
        counted = jnp.where(usable[:, None, None], centered, 0.0)
        alpha, mean_variance = ledoit_wolf(counted, jnp.maximum(usable.sum(), 1) * num_contrasts)
        alpha = alpha if shrinkage is None else jnp.asarray(shrinkage, centered.dtype)
        floor = jnp.maximum(alpha * mean_variance, jnp.finfo(centered.dtype).tiny)
        unexplained = floor * jnp.eye(num_contrasts, dtype=centered.dtype)  # by any other row
        deviations = centered * jnp.sqrt((1.0 - alpha) / num_draws)  # x_i · x_j is the covariance

        def score(remaining: Float[Array, "K K"]) -> Float[Array, "n"]:
            covariance = dot(dot(deviations, remaining), deviations.transpose(0, 2, 1)) + unexplained[None]
            return 0.5 * small_log_determinants(covariance) + 0.5 * num_contrasts * math.log(2 * math.pi * math.e)

        def update(remaining: Float[Array, "K K"], position: Array) -> Float[Array, "K K"]:
            """The operator on draws that is left once the labels of this row, too, are known."""
            picked = deviations[position]
            across = dot(remaining, picked.T)
            factor = jnp.linalg.cholesky(dot(picked, across) + unexplained)
            half = jax.scipy.linalg.solve_triangular(factor, across.T, lower=True)
            return remaining - dot(half.T, half)

        return Greedy(jnp.eye(num_draws, dtype=centered.dtype), score, update)

    return greedy(rule)


def ledoit_wolf(centered: Float[Array, "n F K"], num_quantities: Array) -> tuple[Array, Array]:
    """Ledoit and Wolf's shrinkage α and the mean variance μ of P quantities over K draws.

    ``α = min(b², d²) / d²`` with ``d² = ‖S - μI‖²`` and ``b² = Σ_k ‖x_k x_kᵀ - S‖² / K²``. Only the K x K products of
    draws are formed, never the covariance of the pool. Rows of zeros do not count.
    """
    num_draws = centered.shape[-1]
    flat = centered.reshape(-1, num_draws)
    gram = dot(flat.T, flat)
    mean_variance = jnp.trace(gram) / (num_draws * num_quantities)
    size = jnp.sum(gram**2) / num_draws**2  # ‖S‖²
    away = size - num_quantities * mean_variance**2
    noise = (jnp.sum(jnp.diagonal(gram) ** 2) / num_draws - size) / num_draws
    alpha = jnp.minimum(jnp.maximum(noise, 0.0), away) / jnp.where(away > 0, away, 1.0)
    return jnp.where(away > 0, alpha, 1.0), mean_variance


def _centered_contrasts(log_probs: Float[Array, "n K C"]) -> Float[Array, "n F K"]:
    """Class probabilities in an orthonormal basis of what sums to zero, less their mean over draws."""
    num_classes = log_probs.shape[-1]
    basis = np.linalg.qr(np.eye(num_classes) - 1.0 / num_classes)[0][:, : num_classes - 1]
    probs = jnp.exp(log_probs)
    return dot(centered_draws(probs), jnp.asarray(basis, log_probs.dtype)).transpose(0, 2, 1)
