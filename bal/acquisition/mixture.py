"""Acquisition functions on several draws of hyper-parameters: a mixture of K normals for every row.

The draws of a fully Bayesian Gaussian process. A label is informative about the function given the hyper-parameters,
and about which hyper-parameters are right: ``I(y; f, k) = I(y; k) + mean_k I(y; f | k)``.

B-ALM, B-QBC and QB-MGP are those of Riis, Antunes, Hüttel, Azevedo and Pereira 2022, "Bayesian Active Learning with
Fully Bayesian Gaussian Processes" (NeurIPS).
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bal.acquisition.gaussian import total_variance
from bal.acquisition.kinds import check_moments
from bal.numerics import centered_draws, defined, in_row_blocks, rows_per_block
from bal.numerics.divergence import JOINT_BYTES, divergence
from bal.typing import Gaussian


def b_alm(prediction: Gaussian) -> Float[Array, "N"]:
    """B-ALM: predictive variance of the label averaged over draws, ``mean_k (variance_k + noise_k)``. Positive.

    The noise belongs to it, as in the paper's predictive distribution of y: it changes a ranking only where it differs
    between rows.

    >>> one = jnp.ones((1, 2))
    >>> b_alm(Gaussian(jnp.array([[0.0, 2.0]]), one, one)).tolist()
    [2.0]

    Riis et al. 2022, "Bayesian Active Learning with Fully Bayesian Gaussian Processes".
    """
    check_moments("b_alm", prediction)
    variance = jnp.mean(prediction.variance + prediction.noise, -1)
    return defined(variance, variance, prediction.mean.sum(-1))


def b_qbc(prediction: Gaussian) -> Float[Array, "N"]:
    """B-QBC: disagreement of draws about the mean, ``Var_k mean_k`` (over K, not K - 1). At least 0, 0 for one draw.

    >>> one = jnp.ones((1, 2))
    >>> b_qbc(Gaussian(jnp.array([[0.0, 2.0]]), one, one)).tolist()
    [1.0]

    Riis et al. 2022, "Bayesian Active Learning with Fully Bayesian Gaussian Processes".
    """
    check_moments("b_qbc", prediction)
    variance = jnp.mean(centered_draws(prediction.mean) ** 2, -1)
    return defined(variance, prediction.mean.sum(-1), prediction.variance.sum(-1), prediction.noise.sum(-1))


def qb_mgp(prediction: Gaussian) -> Float[Array, "N"]:
    """QB-MGP: ``b_alm + b_qbc``, the variance of the mixture of K normals: `total_variance` by its paper's name.

    >>> one = jnp.ones((1, 2))
    >>> qb_mgp(Gaussian(jnp.array([[0.0, 2.0]]), one, one)).tolist()
    [3.0]

    Riis et al. 2022, "Bayesian Active Learning with Fully Bayesian Gaussian Processes".
    """
    check_moments("qb_mgp", prediction)
    return total_variance(prediction)


def mixture_bald(prediction: Gaussian) -> Float[Array, "N"]:
    """Mutual information of the label and all that is unknown, ``H[mixture] - mean_k H[N(0, noise_k)]``, in nats.

    Function and draw together: `hyperparameter_bald` plus ``mean_k ½ log(1 + variance_k / noise_k)``. At least 0, and
    at most `gaussian_bald`, which replaces the mixture by one normal. The noise must be positive.

    >>> import jax
    >>> one, zero = np.ones((1, 2)), np.zeros((1, 2))
    >>> round(jax.jit(mixture_bald)(Gaussian(zero, 3 * one, one)).item(), 4)
    0.6931

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_moments("mixture_bald", prediction)
    given_draw = 0.5 * jnp.log1p(prediction.variance / prediction.noise)
    return hyperparameter_bald(prediction) + given_draw.mean(-1)


def hyperparameter_bald(prediction: Gaussian) -> Float[Array, "N"]:
    """Mutual information of label and draw, ``H[mixture] - mean_k H[N(mean_k, variance_k + noise_k)]``, in nats.

    In [0, log K]: exactly 0 for one draw and for draws that agree, log K where they are far apart. Computed as
    ``∫ p̄(y) mean_k φ(p_k(y) / p̄(y)) dy`` with ``φ(ρ) = ρ log ρ - ρ + 1 >= 0`` by Gauss-Legendre quadrature on the
    panels between the points ``mean_k + c sd_k`` of all draws. Panels follow the narrowest draw wherever it has mass,
    so that, unlike with Gauss-Hermite nodes, draws of very different width cost no accuracy: the error is below 1e-7
    for ratios of widths up to 1000 and means any distance apart. Float32 adds up to 2e-8 times the largest distance of
    means over the least ``sd_k``, and at least 1e-6: its nodes are that far from their places. A row takes O(K²) time,
    78 K densities of K draws: shortlist where K is large.

    The code published with Riis et al. 2022 ranks by ``log mean_k sd_k - mean_k log sd_k``, which drops the term
    between the means: it is not this information.

    >>> import jax
    >>> one = np.ones((1, 2))
    >>> far = Gaussian(np.array([[-9.0, 9.0]]), 0 * one, one)
    >>> round(jax.jit(hyperparameter_bald)(far).item(), 4)  # log 2
    0.6931

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_moments("hyperparameter_bald", prediction)
    deviation = jnp.sqrt(prediction.variance + prediction.noise)
    centered = centered_draws(prediction.mean)
    num_draws = centered.shape[1]
    row_bytes = len(_OFFSETS) * len(_NODES) * num_draws**2 * centered.dtype.itemsize
    return in_row_blocks(_information, jnp.stack([centered, deviation], -1), rows_per_block(row_bytes, JOINT_BYTES))


_TAIL = np.array([1.0, 2.0, 3.0, 4.5, 6.0, 8.0])
_OFFSETS = np.concatenate([-_TAIL[::-1], [0.0], _TAIL])  # ends of panels, in standard deviations of a draw
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def _information(draws: Float[Array, "n K two"]) -> Float[Array, "n"]:
    mean, deviation = draws[..., 0], draws[..., 1]
    offsets, nodes, weights = (jnp.asarray(x, mean.dtype) for x in (_OFFSETS, 0.5 * _NODES, 0.5 * _WEIGHTS))
    ends = jnp.sort((mean[:, :, None] + deviation[:, :, None] * offsets[None, None]).reshape(len(mean), -1), -1)
    width = jnp.diff(ends, axis=-1)
    middle = 0.5 * (ends[:, 1:] + ends[:, :-1])
    y = middle[:, :, None] + width[:, :, None] * nodes[None, None]
    standard = (y.reshape(len(y), 1, -1) - mean[:, :, None]) / deviation[:, :, None]
    log_density = -0.5 * standard**2 - jnp.log(deviation)[:, :, None] - 0.5 * math.log(2 * math.pi)
    top = log_density.max(1, keepdims=True)
    excess = jnp.exp(log_density - top) - 1.0
    mean_excess = excess.mean(1, keepdims=True)
    mixture = 1.0 + mean_excess  # relative to its densest draw
    apart = divergence((excess - mean_excess) / mixture).mean(1)
    measure = (width[:, :, None] * weights[None, None]).reshape(len(y), -1)
    return jnp.sum(measure * jnp.exp(top[:, 0]) * mixture[:, 0] * apart, -1)
