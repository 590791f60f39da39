"""Acquisition functions on Gaussian predictions: K draws of a normal for every row.

Every function takes a `bal.typing.Gaussian` with leaves ``[N, K]``, is row-wise, and higher means: label first.
Variances carry the squared unit of the target. A row with NaN or infinity in any moment scores NaN, also where the
formula does not read that moment.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_moments
from bal.numerics import centered_draws, defined
from bal.typing import Gaussian


def epistemic_variance(prediction: Gaussian) -> Float[Array, "N"]:
    """Variance of the function, ``mean_k variance_k + Var_k mean_k``: what labels can remove. At least 0.

    With one draw of a Gaussian process this is the posterior variance (MacKay's active learning).

    >>> one = jnp.ones((1, 2))
    >>> float(epistemic_variance(Gaussian(jnp.array([[0.0, 2.0]]), one, one))[0])
    2.0

    MacKay 1992, "Information-Based Objective Functions for Active Data Selection".
    """
    check_moments("epistemic_variance", prediction)
    variance = _function_variance(prediction)
    return defined(variance, variance, prediction.noise.sum(-1))


def total_variance(prediction: Gaussian) -> Float[Array, "N"]:
    """Variance of the label, ``epistemic_variance + mean_k noise_k`` (the law of total variance). At least 0.

    >>> one = jnp.ones((1, 2))
    >>> float(total_variance(Gaussian(jnp.array([[0.0, 2.0]]), one, one))[0])
    3.0

    MacKay 1992, "Information-Based Objective Functions for Active Data Selection".
    """
    check_moments("total_variance", prediction)
    variance = _function_variance(prediction) + prediction.noise.mean(-1)
    return defined(variance, variance)


def gaussian_entropy(prediction: Gaussian) -> Float[Array, "N"]:
    """Entropy of the normal with the moments of the prediction, ``½ log(2πe total_variance)``, in nats.

    Exact for one draw, an upper bound for the mixture of several. Any real number; `-inf` at variance zero.

    >>> one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
    >>> round(float(gaussian_entropy(Gaussian(zero, zero, one))[0]), 4)
    1.4189

    Cover and Thomas 2006, "Elements of Information Theory", theorem 8.6.5.
    """
    check_moments("gaussian_entropy", prediction)
    return 0.5 * jnp.log(2 * math.pi * math.e * total_variance(prediction))


def gaussian_bald(prediction: Gaussian) -> Float[Array, "N"]:
    """Mutual information of the label and the function, ``½ log total_variance - mean_k ½ log noise_k``, in nats.

    Exact, ``½ log(1 + σ_f²/σ_n²)``, for one draw; for several it is the upper bound that replaces the mixture by the
    normal of the same moments. At least 0, and exactly 0 for draws that agree and have no variance of their own.
    The noise must be positive.

    >>> one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
    >>> round(float(gaussian_bald(Gaussian(zero, 3 * one, one))[0]), 4)
    0.6931

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_moments("gaussian_bald", prediction)
    first = prediction.noise[:, :1]
    excess = (prediction.noise - first) / first  # relative to one draw: agreeing draws cancel exactly
    epistemic = _function_variance(prediction) / first[:, 0]
    information = 0.5 * (jnp.log1p(epistemic + excess.mean(-1)) - jnp.log1p(excess).mean(-1))
    return defined(information, information)


def _function_variance(prediction: Gaussian) -> Float[Array, "N"]:
    return prediction.variance.mean(-1) + jnp.mean(centered_draws(prediction.mean) ** 2, -1)
