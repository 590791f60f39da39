"""How good predictions for M test rows are: one scalar a metric.

Every function works on numpy and on JAX arrays, also under `jax.jit` and `jax.vmap`: it takes its operations
from the arrays' own namespace. Labels are integers ``0 .. C - 1`` and probabilities sum to one: of numpy arrays
both are checked. Of JAX arrays, which may be traced, labels outside the range make the metric NaN. One NaN among
the predictions makes it NaN as well, and nothing is clipped: a label that was given probability zero makes the
negative log likelihood infinite.
"""

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


def mixture_probabilities(log_probs: Float[Any, "M K C"]) -> Probs:
    """Marginal probabilities of K posterior draws, ``p_mc = mean_k exp(log_probs_mkc)``, in [0, 1].

    >>> import numpy as np
    >>> mixture_probabilities(np.log([[[0.5, 0.5], [0.9, 0.1]]])).round(3).tolist()
    [[0.7, 0.3]]
    """
    xp = namespace(log_probs, 3, "log_probs [M, K, C]")
    return xp.mean(xp.exp(log_probs), axis=1)


def accuracy(probs: Probs, labels: Labels) -> Scalar:
    """Share of rows whose most probable class is the label, in [0, 1]; ties go to the lowest class.

    Raises TypeError and ValueError for arrays of the wrong kind or shape, as all metrics here.

    >>> import numpy as np
    >>> float(accuracy(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0])))
    0.5
    """
    xp = check_classification(probs, labels)
    right = xp.mean(xp.astype(xp.argmax(probs, axis=1) == labels, probs.dtype))
    return where_valid(xp, right, probs, labels)


def nll(probs: Probs, labels: Labels) -> Scalar:
    """Negative log likelihood ``-mean_m log p_m(y_m)`` in nats, in [0, inf].

    Infinite as soon as one label has probability zero, which float32 reaches below 1e-45: from the draws of a
    posterior use `mixture_nll`, which does not underflow.

    >>> import numpy as np
    >>> round(float(nll(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1]))), 3)
    0.49
    """
    xp = check_classification(probs, labels)
    with np.errstate(divide="ignore"):
        loss = -xp.mean(xp.log(xp.sum(xp.where(one_hot(probs, labels), probs, 0), axis=1)))
    return where_valid(xp, loss, probs, labels)


def mixture_nll(log_probs: Float[Any, "M K C"], labels: Labels) -> Scalar:
    """`nll` of the marginal of K draws, ``-mean_m log mean_k exp(log_probs_mk(y_m))``, without underflow.

    >>> import numpy as np
    >>> float(mixture_nll(np.array([[[0.0, -2000.0], [0.0, -2000.0]]]), np.array([1])))
    2000.0
    """
    xp = namespace(log_probs, 3, "log_probs [M, K, C]")
    check_classification(mixture_probabilities(log_probs), labels)
    chosen = one_hot(log_probs[:, 0, :], labels)[:, None, :]
    log_likelihood = xp.max(xp.where(chosen, log_probs, -np.inf), axis=2)
    return where_valid(xp, -xp.mean(log_mean_exp(xp, log_likelihood)), log_probs, labels)


def brier(probs: Probs, labels: Labels) -> Scalar:
    """Brier score ``mean_m sum_c (p_mc - [y_m = c])^2``, in [0, 2].

    The sum is over all classes, also for two of them: twice the score of the positive class.
    Source: G. W. Brier, Verification of forecasts expressed in terms of probability, 1950.

    >>> import numpy as np
    >>> float(brier(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 0])))
    1.25
    """
    xp = check_classification(probs, labels)
    score = xp.mean(xp.sum((probs - xp.astype(one_hot(probs, labels), probs.dtype)) ** 2, axis=1))
    return where_valid(xp, score, probs, labels)


def ece(probs: Probs, labels: Labels, num_bins: int = 15) -> Scalar:
    """Expected calibration error ``sum_b |sum_{m in b} ([y_m = argmax] - conf_m)| / M``, in [0, 1].

    The confidence ``conf_m = max_c p_mc`` falls in one of `num_bins` bins of equal width over [0, 1], each
    closed on the right: a confidence equal to the edge j / num_bins belongs to the lower bin. The estimate
    is biased upward for small M and depends on the number of bins: compare only equal settings.
    Source: C. Guo et al., On calibration of modern neural networks, ICML 2017.

    >>> import numpy as np
    >>> probs = np.array([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]])
    >>> round(float(ece(probs, np.array([0, 0, 0, 1]))), 3)
    0.05
    """
    xp = check_classification(probs, labels)
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    confidence = xp.max(probs, axis=1)
    gap = xp.astype(xp.argmax(probs, axis=1) == labels, probs.dtype) - confidence
    # Edges are rounded once, from float64: a division inside XLA may miss the nearest float32 by one bit.
    edges = (np.arange(1, num_bins) / num_bins).astype(probs.dtype)[None, :]
    bins = xp.sum(xp.astype(confidence[:, None] > edges, np.int32), axis=1)
    member = bins[:, None] == np.arange(num_bins)[None, :]
    error = xp.sum(xp.abs(xp.sum(xp.where(member, gap[:, None], 0), axis=0))) / len(labels)
    return where_valid(xp, error, probs, labels)


def rmse(mean: Float[Any, "M"], y: Float[Any, "M"]) -> Scalar:
    """Root mean squared error ``sqrt(mean_m (mean_m - y_m)^2)``, in units of y.

    >>> import numpy as np
    >>> float(rmse(np.array([1.0, 2.0]), np.array([4.0, 5.0])))
    3.0
    """
    xp = namespace(mean, 1, "mean [M]")
    check_rows(mean, y, "y")
    return xp.sqrt(xp.mean((mean - y) ** 2))


def gaussian_nll(mean: Float[Any, "M K"], variance: Float[Any, "M K"], y: Float[Any, "M"]) -> Scalar:
    """Negative log density of a mixture, ``-mean_m log mean_k N(y_m; mean_mk, variance_mk)``, in nats.

    `variance` is that of y (function and noise together). K = 1 gives the score of one Gaussian a row. The
    value depends on the units of y: subtract nothing, but add ``log(scale)`` to undo a standardization.

    >>> import numpy as np
    >>> round(float(gaussian_nll(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))), 4)
    0.9189
    """
    xp = namespace(mean, 2, "mean [M, K]")
    if variance.shape != mean.shape:
        raise ValueError(f"variance must have the shape of mean, {mean.shape}, got {variance.shape}")
    check_rows(mean, y, "y")
    log_density = -0.5 * ((y[:, None] - mean) ** 2 / variance + xp.log(2 * np.pi * variance))
    return -xp.mean(log_mean_exp(xp, log_density))
