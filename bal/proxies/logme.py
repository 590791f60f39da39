"""How well features explain labels before anything is trained: the log evidence of Bayesian linear regression."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bal.proxies.labels import check_features, class_numbers
from bal.typing import Values

NUM_STEPS, TOLERANCE, RANGE = 1000, 1e-10, 1e12


class Evidence(NamedTuple):
    """The largest log evidence a row of each target, and the precisions of weights and of noise that give it."""

    value: Float[np.ndarray, "C"]
    alpha: Float[np.ndarray, "C"]
    beta: Float[np.ndarray, "C"]


def evidence(features: Values, targets: Values) -> Evidence:
    """The log evidence a row of linear regressions with known normal priors, at its maximum over both precisions.

    ``max_{α, β} log N(y; 0, I / β + F Fᵀ / α) / n`` for each column y of the targets. With ``σ_k`` the squared singular
    values of F, one decomposition serves all columns and all steps of MacKay's fixed point: ``t = α / β``,
    ``γ = Σ σ_k / (σ_k + t)``, ``α = γ / |m|²``, ``β = (n - γ) / |y - F m|²``, m the most probable weights, until t
    moves by less than 1e-10 of itself. The log determinant has its exact form, ``k / 2 log α -
    ½ Σ_k log(α + β σ_k)`` over the ``k = min(n, D)`` singular values; the authors' code has ``D / 2 log α`` there, too
    much by ``(D - n) / 2n · log α`` a row where D > n, and adds 1e-5 to two denominators.

    In float64, on the host; O(n D min(n, D)). Where the evidence has no maximum, because the features explain a target
    without noise or not at all, t is held within 1e±12 of the mean of σ.

    Args:
      features: F, rows as they are: no mean is taken off.
      targets: real numbers, or classes one-hot.

    Raises:
      ValueError: no rows, shapes that differ in rows, numbers that are not finite, a target that is 0 in all rows.

    >>> x = np.arange(6.0)[:, None]
    >>> noisy = 2 * x + np.array([0.1, -0.1, 0, 0, 0.1, -0.1])[:, None]
    >>> [bool(evidence(x, y).value[0] > 0) for y in (noisy, noisy[[3, 0, 5, 1, 4, 2]])]
    [True, False]

    You, Liu, Wang, Long 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning"; MacKay 1992.
    """
    features, targets = check_features(features), np.asarray(targets, np.float64)
    n = len(features)
    if targets.ndim != 2 or len(targets) != n or not np.isfinite(targets).all():
        raise ValueError(f"expected finite targets [{n}, C], one row for each row of features, got {targets.shape}")
    if (targets == 0).all(0).any():
        raise ValueError(
            f"target {int((targets == 0).all(0).argmax())} is 0 in all rows, which has no evidence; leave it out"
        )
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    sigma, squared = (singular**2)[:, None], (left.T @ targets) ** 2
    total = (targets**2).sum(0)
    outside = np.maximum(total - squared.sum(0), 0.0) if n > len(sigma) else np.zeros(targets.shape[1])
    if sigma.mean() < RANGE * np.finfo(float).tiny:  # features of nothing: what is left is noise
        sigma = np.zeros_like(sigma)
    unit = sigma.mean() or 1.0
    ratio = np.full(targets.shape[1], unit)
    for _ in range(NUM_STEPS):
        alpha, beta = _precisions(sigma, squared, outside, ratio, n)
        before, ratio = ratio, np.clip(alpha / beta, unit / RANGE, unit * RANGE)
        if (np.abs(np.log(ratio / before)) < TOLERANCE).all():
            break
    shrunk, residual = _energies(sigma, squared, outside, ratio)
    beta = n / (residual + ratio * shrunk)  # the best one at this ratio, where a step need not be at its fixed point
    alpha = ratio * beta
    halves = len(sigma) * np.log(alpha) + n * np.log(beta) - np.log(alpha + beta * sigma).sum(0)
    value = (halves - beta * residual - alpha * shrunk - n * np.log(2 * np.pi)) / (2 * n)
    return Evidence(value, alpha, beta)


def _energies(sigma: Any, squared: Any, outside: Any, ratio: Any) -> tuple[Any, Any]:
    """``|m|²`` and ``|y - F m|²`` of the most probable weights m."""
    shrunk = (sigma * squared / (ratio + sigma) ** 2).sum(0)
    return shrunk, (squared * (ratio / (ratio + sigma)) ** 2).sum(0) + outside


def _precisions(sigma: Any, squared: Any, outside: Any, ratio: Any, n: int) -> tuple[Any, Any]:
    """One step of the fixed point."""
    shrunk, residual = _energies(sigma, squared, outside, ratio)
    known = (sigma / (sigma + ratio)).sum(0)
    tiny = np.finfo(float).tiny
    unknown = n - len(sigma) + (ratio / (sigma + ratio)).sum(0)
    return np.maximum(known, tiny) / np.maximum(shrunk, tiny), np.maximum(unknown, tiny) / np.maximum(residual, tiny)


def logme(features: Values, y: Values) -> float:
    """LogME: the mean of `evidence` over classes, each against all others, one-hot.

    In nats a row; it may have either sign, and only differences between features of the same labels mean something. A
    rotation of the features changes nothing, nor does one scale for all of them. Classes without a row do not count.

    Use it to choose between pretrained encoders on a few labels, and, round by round, to see whether the labels have
    outgrown frozen features: `bal.proxies.when_flat`.

    Args:
      features: of the labeled rows. y: class numbers.

    Returns:
      One number; higher = the features explain the labels better.

    Raises:
      ValueError: features that are not finite or not ``[n, D]``, labels that are no class numbers, one a row.

    >>> y = np.arange(30) % 3
    >>> noise = np.sin(np.arange(90)).reshape(30, 3)
    >>> logme(np.eye(3)[y] + 0.1 * noise, y) > logme(noise, y)
    True

    You, Liu, Wang, Long 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning".
    """
    features = check_features(features)
    y = class_numbers(y, len(features))
    return float(evidence(features, (y[:, None] == np.unique(y)).astype(float)).value.mean())
