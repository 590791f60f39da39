"""Bounds on `bal.acquisition.mixture_bald` from distances between pairs of draws, which need no integration.

The entropy of a mixture lies between ``H[y | k] - mean_i log mean_j exp(-D_ij)`` for the Bhattacharyya distance and for
the divergence of Kullback and Leibler.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_moments
from bal.numerics import centered_draws, defined, in_row_blocks, rows_per_block
from bal.numerics.divergence import JOINT_BYTES, divergence
from bal.typing import Gaussian


def mixture_bald_lower(prediction: Gaussian) -> Float[Array, "N"]:
    """Lower bound of `mixture_bald` by Bhattacharyya distances, in nats.

    ``mean_k ½ log(1 + variance_k / noise_k) - mean_i log mean_j exp(-B_ij)`` with
    ``B = (m_i - m_j)² / 4(v_i + v_j) + ½ log((v_i + v_j) / 2√(v_i v_j))``, v being the variance of a label. At least 0;
    exact for draws that agree and for draws that are far apart; about the draw it is half the information where they
    nearly agree. The noise must be positive.

    Use it when draws or rows are many: it ranks nearly as `mixture_bald`, at K² distances a row, where the integral
    takes 78 K² densities. Where the size of a score counts, in nats, take the integral.

    >>> import jax
    >>> import numpy as np
    >>> one = np.ones((1, 2))
    >>> far = Gaussian(np.array([[-9.0, 9.0]]), 0 * one, one)
    >>> round(jax.jit(mixture_bald_lower)(far).item(), 4)  # log 2
    0.6931

    Kolchinsky and Tracey 2017, "Estimating Mixture Entropy with Pairwise Distances".
    """
    return _bound("mixture_bald_lower", _bhattacharyya, prediction)


def mixture_bald_upper(prediction: Gaussian) -> Float[Array, "N"]:
    """Upper bound of `mixture_bald` by divergences of Kullback and Leibler, in nats.

    As `mixture_bald_lower` with ``KL(i ‖ j) = ½ (v_i / v_j - 1 - log(v_i / v_j) + (m_i - m_j)² / v_j)`` in place of B.
    At most ``mean_k ½ log(1 + variance_k / noise_k) + log K``; about the draw it is twice the information where draws
    nearly agree, and `gaussian_bald` the lower of the two upper bounds there.

    Use it when the distance to `mixture_bald_lower` is to say how much the bounds leave open.

    >>> import jax
    >>> import numpy as np
    >>> one = np.ones((1, 2))
    >>> apart = Gaussian(np.array([[-1.0, 1.0]]), 0 * one, one)
    >>> [round(jax.jit(bound)(apart).item(), 4) for bound in (mixture_bald_lower, mixture_bald_upper)]
    [0.2191, 0.5662]

    Kolchinsky and Tracey 2017, "Estimating Mixture Entropy with Pairwise Distances".
    """
    return _bound("mixture_bald_upper", _kullback_leibler, prediction)


def _bound(name: str, distance: Callable[..., Array], prediction: Any) -> Float[Array, "N"]:
    check_moments(name, prediction)
    centered = centered_draws(prediction.mean)
    variance = prediction.variance + prediction.noise

    def block(draws: Float[Array, "n K two"]) -> Float[Array, "n"]:
        (m_i, v_i), (m_j, v_j) = draws[:, :, None].transpose(3, 0, 1, 2), draws[:, None].transpose(3, 0, 1, 2)
        return -jnp.log1p(jnp.expm1(-distance(m_i - m_j, v_i, v_j)).mean(-1)).mean(-1)

    rows = rows_per_block(variance.shape[1] ** 2 * variance.dtype.itemsize, JOINT_BYTES)
    information = in_row_blocks(block, jnp.stack([centered, variance], -1), rows)
    given_draw = 0.5 * jnp.log1p(prediction.variance / prediction.noise).mean(-1)
    return defined(information + given_draw, centered.sum(-1), variance.sum(-1))


def _bhattacharyya(apart: Array, v_i: Array, v_j: Array) -> Array:
    s_i, s_j = jnp.sqrt(v_i), jnp.sqrt(v_j)
    return 0.25 * apart**2 / (v_i + v_j) + 0.5 * jnp.log1p((s_i - s_j) ** 2 / (2 * s_i * s_j))


def _kullback_leibler(apart: Array, v_i: Array, v_j: Array) -> Array:
    return 0.5 * (v_i / v_j * divergence((v_j - v_i) / v_i) + apart**2 / v_j)
