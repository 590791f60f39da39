"""Whether probabilities are what they say: bins of equal content, each class by itself, and labels of several rows."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from bal.evaluation.checks import (
    Labels,
    Probs,
    Scalar,
    check_classification,
    check_rows,
    log_mean_exp,
    namespace,
    one_hot,
    where_valid,
)
from bal.evaluation.metrics import mixture_probabilities


def adaptive_ece(probs: Probs, labels: Labels, num_bins: int = 15) -> Scalar:
    """`ece` with bins of equal content: the b-th holds the rows of ranks ``[b M / B, (b + 1) M / B)`` by confidence.

    In [0, 1]. Bins of equal width hold next to nothing where a network is hardly ever unsure. Rows of equal confidence
    may fall in different bins, in their order. As biased for few rows as `ece`: compare only equal settings.

    >>> import numpy as np
    >>> probs = np.array([[0.8, 0.2], [0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])
    >>> round(float(adaptive_ece(probs, np.array([0, 0, 1, 0]), num_bins=2)), 3)
    0.15

    Nixon, Dusenberry, Zhang, Jerfel and Tran 2019, "Measuring Calibration in Deep Learning".
    """
    xp = check_classification(probs, labels)
    num_rows = len(labels)
    if not 1 <= num_bins <= num_rows:
        raise ValueError(f"num_bins must be between 1 and the number of rows, {num_rows}, got {num_bins}")
    confidence = xp.max(probs, axis=1)
    gap = xp.astype(xp.argmax(probs, axis=1) == labels, probs.dtype) - confidence
    gap = gap[xp.argsort(confidence, stable=True)]
    member = (np.arange(num_rows) * num_bins // num_rows)[:, None] == np.arange(num_bins)[None, :]
    error = xp.sum(xp.abs(xp.sum(xp.where(member, gap[:, None], 0), axis=0))) / num_rows
    return where_valid(xp, error, probs, labels)


def classwise_ece(probs: Probs, labels: Labels, num_bins: int = 15) -> Scalar:
    """Mean over classes c of ``Σ_b |Σ_{m in b} ([y_m = c] - p_mc)| / M``, the bins being those of `ece` for ``p_mc``.

    In [0, 1]. `ece` looks at the likeliest class alone; this also finds a class that is promised too often or too
    rarely where it is not the likeliest. The more classes there are, the smaller it is: most p_mc are near 0.

    >>> import numpy as np
    >>> probs = np.array([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]])
    >>> round(float(classwise_ece(probs, np.array([0, 0, 0, 1]))), 3)
    0.05

    Kull, Perello-Nieto, Kängsepp, Silva Filho, Song and Flach 2019, "Beyond Temperature Scaling".
    """
    xp = check_classification(probs, labels)
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    gap = xp.astype(one_hot(probs, labels), probs.dtype) - probs
    edges = (np.arange(num_bins + 1) / num_bins).astype(probs.dtype)
    total = 0.0
    for b in range(num_bins):
        inside = (probs > edges[b]) & (probs <= edges[b + 1]) if b else probs <= edges[1]
        total = total + xp.abs(xp.sum(xp.where(inside, gap, 0), axis=0))
    return where_valid(xp, xp.mean(total) / len(labels), probs, labels)


def joint_nll(log_probs: Float[Any, "M K C"], labels: Labels, size: int = 10) -> Scalar:
    """Negative log likelihood of the labels of `size` rows jointly, in nats a label.

    ``-mean_g log mean_k exp(Σ_{m in g} log p_mk(y_m)) / size`` over groups g of consecutive rows, which should stand in
    random order; rows behind the last whole group are left out. `mixture_nll` for a size of 1. A posterior whose draws
    are the same everywhere gains nothing from rows together: what batch scores live on shows here, and hardly in nll.

    Raises:
      ValueError: fewer rows than a group.

    >>> import numpy as np
    >>> one_of_two = np.log([[[1.0, 1e-9], [1e-9, 1.0]]] * 4)
    >>> [round(float(joint_nll(one_of_two, np.ones(4, int), size)), 4) for size in (1, 2, 4)]  # log 2 / size
    [0.6931, 0.3466, 0.1733]

    Osband, Wen, Asghari, Dwaracherla, Lu and Van Roy 2022, "The Neural Testbed: Evaluating Joint Predictions".
    """
    xp = namespace(log_probs, 3, "log_probs [M, K, C]")
    check_classification(mixture_probabilities(log_probs), labels)
    chosen = one_hot(log_probs[:, 0, :], labels)[:, None, :]
    log_likelihood = xp.max(xp.where(chosen, log_probs, -np.inf), axis=2)
    return where_valid(xp, _joint(xp, log_likelihood, size), log_probs, labels)


def joint_gaussian_nll(
    mean: Float[Any, "M K"], variance: Float[Any, "M K"], y: Float[Any, "M"], size: int = 10
) -> Scalar:
    """`joint_nll` of K draws of a regression, rows being independent given a draw: as they are for a network.

    For a Gaussian process with one draw it is `gaussian_nll`, whose covariances it does not see.

    Raises:
      ValueError: fewer rows than a group.

    >>> import numpy as np
    >>> zero = np.zeros((4, 1))
    >>> round(float(joint_gaussian_nll(zero, zero + 1, np.zeros(4), size=2)), 4)
    0.9189

    Osband et al. 2022, "The Neural Testbed".
    """
    xp = namespace(mean, 2, "mean [M, K]")
    if variance.shape != mean.shape:
        raise ValueError(f"variance must have the shape of mean, {mean.shape}, got {variance.shape}")
    check_rows(mean, y, "y")
    return _joint(xp, -0.5 * ((y[:, None] - mean) ** 2 / variance + xp.log(2 * math.pi * variance)), size)


def _joint(xp: Any, log_likelihood: Float[Any, "M K"], size: int) -> Scalar:
    num_groups = len(log_likelihood) // size if size > 0 else 0
    if not num_groups:
        raise ValueError(f"expected groups of at least 1 row and at most {len(log_likelihood)}, got size={size}")
    groups = xp.reshape(log_likelihood[: num_groups * size], (num_groups, size, -1))
    return -xp.mean(log_mean_exp(xp, xp.sum(groups, axis=1))) / size
