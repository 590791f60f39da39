"""Scores of binary classifiers with a normal latent f and the probit link, class 1 having probability ``Φ(f)``.

Every function takes a `bal.typing.Latent` with leaves ``[N, K]``, K draws of a normal for every row, and is row-wise.
Information is in nats. The normals are integrated in closed form or by a quadrature whose error is stated.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_moments, target_weights
from bal.numerics import at_least, at_most, defined, in_row_blocks, normal_excess, rows_per_block
from bal.numerics.divergence import JOINT_BYTES, divergence
from bal.typing import Latent

_BUMP = math.sqrt(math.pi * math.log(2) / 2)  # h(Φ(f)) is close to log 2 · exp(-f² / (2 _BUMP²))
_CERTAIN = 8.0  # Φ(-8) = 6e-16: what an event this rare can tell is below 1e-13
_BUMP_RULE = np.polynomial.hermite_e.hermegauss(16)


def probit_probability(prediction: Latent) -> Float[Array, "N"]:
    """Probability of class 1, ``mean_k Φ(m_k / √(1 + s²_k))``, in [0, 1]: a prediction, not a score to rank by.

    >>> import jax
    >>> round(jax.jit(probit_probability)(Latent(np.ones((1, 1)), np.zeros((1, 1)))).item(), 4)
    0.8413

    Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", equation 3.82.
    """
    check_moments("probit_probability", prediction, Latent)
    return ndtr(_standardized(prediction)).mean(-1)


def probit_entropy(prediction: Latent) -> Float[Array, "N"]:
    """Entropy of the predicted class, ``h(p̄)`` with ``p̄`` the `probit_probability`, in nats, in [0, log 2].

    >>> import jax
    >>> zero = np.zeros((1, 1))
    >>> round(jax.jit(probit_entropy)(Latent(zero, zero)).item(), 4)
    0.6931

    Shannon 1948, "A Mathematical Theory of Communication".
    """
    check_moments("probit_entropy", prediction, Latent)
    mean = _standardized(prediction)
    return _entropy(ndtr(mean).mean(-1)) + _entropy(ndtr(-mean).mean(-1))


def probit_bald(prediction: Latent) -> Float[Array, "N"]:
    """Mutual information of the class and the function, ``h(p̄) - mean_k E_{f ~ N(m_k, s²_k)} h(Φ(f))``, in nats.

    In [0, log 2]; rounding below 0 is cut. ``h(Φ(f))`` is a bump about 0, so that a Gauss-Hermite rule for the normal
    itself fails where that is wide (0.09 bits for 32 nodes at s² = 100). Here the nodes are those of the normal which
    the product of bump and density resembles: 16 of them err by less than 1e-9 for any mean and s² from 1e-4 to 1e4.

    >>> import jax
    >>> variance = np.array([[0.0], [1.0], [1e4]])
    >>> [round(score, 4) for score in jax.jit(probit_bald)(Latent(0 * variance, variance)).tolist()]
    [0.0, 0.1931, 0.6859]

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_moments("probit_bald", prediction, Latent)
    expected = in_row_blocks(_expected_entropy, jnp.stack(prediction, -1))
    return at_least(probit_entropy(prediction) - expected, 0.0)


def houlsby_bald(prediction: Latent) -> Float[Array, "N"]:
    """`probit_bald` with ``h(Φ(f)) ≈ log 2 · exp(-f² / 2C²)``, ``C = √(π log 2 / 2)``, integrated in closed form; nats.

    ``h(p̄) - log 2 · mean_k C/√(s²_k + C²) exp(-m²_k / 2(s²_k + C²))``. Off by at most 0.0019 nats (0.0027 bits), which
    is how far the two bumps are ever apart, and so as low as -0.0018 nats: where little is to be learned it misranks.

    >>> import jax
    >>> round(jax.jit(houlsby_bald)(Latent(np.zeros((1, 1)), np.ones((1, 1)))).item(), 4)
    0.1927

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning", equation 3.
    """
    check_moments("houlsby_bald", prediction, Latent)
    total = prediction.variance + _BUMP**2
    bump = _BUMP / jnp.sqrt(total) * jnp.exp(-0.5 * prediction.mean**2 / total)
    return probit_entropy(prediction) - math.log(2) * bump.mean(-1)


def probit_epig(
    prediction: Latent,
    target: Latent,
    covariance: Float[Array, "N M"],
    weight: Float[Array, "M"] | None = None,
    *,
    budget: int = JOINT_BYTES,
) -> Float[Array, "N"]:
    """Weighted mean over targets of the mutual information of the two classes, ``I(y; y_z)``, in nats.

    Both classes are 1 with probability ``P(u <= a, v <= b)`` for standard normals u and v of correlation
    ``ρ = Σ_xz / (√(1 + s²) √(1 + s_z²))``, ``a = m / √(1 + s²)`` and b alike. That is ``Φ(a) Φ(b) + δ`` with
    ``δ = 1/2π ∫₀^{asin ρ} exp(-(a² + b² - 2ab sin θ) / 2cos² θ) dθ``, integrated by 14 Gauss-Legendre nodes in
    ``atanh(sin θ)`` on the part of the range that counts; the information follows from δ in a form that cannot cancel.

    At least 0, exactly 0 where the covariance is, at most `probit_bald`, symmetric in row and target. The quadrature
    errs by less than 1e-7 for variances up to 1e4, of which the correlation is at most 0.9999. Several draws are
    replaced by the normal of their moments, of which `covariance` must be the covariance, as a learner's `kernel` is.

    Args:
      prediction, target: moments of the latent f of rows and of targets.
      covariance: posterior covariance of f between rows and targets.
      weight: importance of each target; normalized here. All equal unless given.
      budget: bytes of one block of rows by targets; changes speed only.

    Raises:
      ValueError: a covariance that is not rows by targets.

    >>> import jax
    >>> zero, one = np.zeros((1, 1)), np.ones((1, 1))
    >>> round(jax.jit(probit_epig)(Latent(zero, one), Latent(zero, one), one).item(), 4)  # P(both 1) = 1/3
    0.0566

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning"; for the bivariate normal Drezner and
    Wesolowsky 1990, "On the Computation of the Bivariate Normal Integral".
    """
    check_moments("probit_epig", prediction, Latent)
    check_moments("probit_epig", target, Latent, "targets")
    num_rows, num_targets = prediction.mean.shape[0], target.mean.shape[0]
    if covariance.shape != (num_rows, num_targets):
        expected = f"a covariance of {num_rows} rows by {num_targets} targets"
        raise ValueError(f"expected {expected}, got shape {covariance.shape}; see bal.query.epig_scores")
    weight = target_weights("probit_epig", weight, num_targets, covariance.dtype)
    away = _moments(target)

    def block(some: tuple[Latent, Array]) -> Float[Array, "r"]:
        mean, scale = _moments(some[0])
        correlation = some[1] / (scale[:, None] * away[1][None])
        information = _information(mean[:, None], away[0][None], correlation)
        return jnp.sum(information * weight[None], 1)

    rows = rows_per_block(num_targets * covariance.dtype.itemsize, budget)
    return in_row_blocks(block, (prediction, covariance), rows)


def _standardized(prediction: Latent) -> Float[Array, "N K"]:
    mean, variance = prediction
    return defined(mean / jnp.sqrt(1 + variance), mean, variance)


def _moments(prediction: Latent) -> tuple[Float[Array, "N"], Float[Array, "N"]]:
    """Of ``f + e``, whose sign is the class: the mean in standard deviations, and the standard deviation."""
    mean = prediction.mean.mean(-1)
    spread = jnp.mean((prediction.mean - mean[:, None]) ** 2, -1)
    scale = jnp.sqrt(1 + prediction.variance.mean(-1) + spread)
    return defined(mean / scale, scale), scale


def _entropy(probability: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``-p log p``, its limit 0 at p = 0; what `maximum` does to NaN is undone by the factor.

    On a CPU `probit_bald` takes half as long again with `jax.scipy.special.entr`, whose cases XLA all computes.
    """
    return -probability * jnp.log(jnp.maximum(probability, jnp.finfo(probability.dtype).tiny))


def _expected_entropy(moments: Float[Array, "n K 2"]) -> Float[Array, "n"]:
    """``mean_k E h(Φ(f))``; bump and density together resemble a normal, whose Gauss-Hermite nodes are used."""
    mean, variance = moments.transpose(2, 1, 0)
    nodes, weights = (jnp.asarray(x, moments.dtype)[:, None, None] for x in _BUMP_RULE)
    total = variance + _BUMP**2
    ratio = _BUMP / jnp.sqrt(total)
    f = (mean * (_BUMP**2 / total))[None] + jnp.sqrt(variance)[None] * ratio[None] * nodes
    away = nodes * ratio[None] - (mean * jnp.sqrt(variance) / total)[None]  # (f - mean) / s, at s = 0 too
    rare, common = ndtr(-jnp.abs(f)), ndtr(jnp.abs(f))
    bump = _entropy(rare) - common * jnp.log1p(-rare)
    factor = jnp.exp(0.5 * (nodes * nodes - away * away)) * weights
    return jnp.mean(ratio * jnp.sum(factor * bump, 0), 0) / math.sqrt(2 * math.pi)


def _information(a: Float[Array, "n 1"], b: Float[Array, "1 M"], correlation: Float[Array, "n M"]) -> Array:
    """Mutual information of ``u <= a`` and ``v <= b``, as a sum of divergences over the four cells of their table."""
    a, b = (at_most(at_least(x, -_CERTAIN), _CERTAIN) for x in (a, b))
    rows, targets = (ndtr(a), ndtr(-a)), (ndtr(b), ndtr(-b))
    excess = normal_excess(a, b, correlation)
    total = jnp.zeros_like(excess)
    for i in (0, 1):
        for j in (0, 1):
            ratio = (excess if i == j else -excess) * ((1 / rows[i]) * (1 / targets[j]))
            total = total + rows[i] * targets[j] * divergence(ratio)
    return defined(total, correlation)
