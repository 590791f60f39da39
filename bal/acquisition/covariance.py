"""Acquisition functions on covariances: what the label of a row tells about the function at target rows.

Every function is row-wise in ``covariance [N, M]``, the covariances of f at N rows with f at M targets under the
current posterior. `bal.query.about_targets` makes these blocks from a Gaussian process, in pieces that fit a cache.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.kinds import check_matrix, check_shape, target_weights
from bal.numerics import at_most, defined, dot, in_row_blocks


def alc(
    covariance: Float[Array, "N M"],
    variance: Float[Array, "N"],
    noise: Float[Array, "N"],
    weight: Float[Array, "M"] | None = None,
) -> Float[Array, "N"]:
    """Drop of the mean posterior variance at the targets when row x is labeled, ``Σ_z w_z Σ_xz² / (Σ_xx + σ_x²)``.

    Exact for a Gaussian process with given hyper-parameters, whatever the label. Also known as integrated variance
    reduction; the negative integrated mean squared error (IMSE) after the label is this less a constant. At least 0 and
    at most the mean variance at the targets, in the squared unit of the label. The noise must be positive.

    Args:
      covariance, variance, noise: ``Σ_xz``, ``Σ_xx`` and the noise variance ``σ_x²`` of a label at x.
      weight: importance of each target; normalized here. All equal unless given.

    >>> alc(jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.ones(2), jnp.ones(2)).tolist()
    [0.25, 0.5]

    Cohn, Ghahramani and Jordan 1996, "Active Learning with Statistical Models".
    """
    num_rows, num_targets = check_matrix("alc", "covariances [rows, targets]", covariance)
    for what, x in (("variances", variance), ("noises", noise)):
        check_shape("alc", what, x, (num_rows,))
    weight = target_weights("alc", weight, num_targets, covariance.dtype)
    mean_square = lambda some: dot(some**2, weight)
    total = in_row_blocks(mean_square, covariance)
    return defined(total / (variance + noise), total, variance, noise)


def covariance_epig(
    covariance: Float[Array, "N M"],
    variance: Float[Array, "N"],
    noise: Float[Array, "N"],
    target_variance: Float[Array, "M"],
    target_noise: Float[Array, "M"],
    weight: Float[Array, "M"] | None = None,
) -> Float[Array, "N"]:
    """Weighted mean over targets z of ``I(y; y_z) = -½ log(1 - ρ²)``, ρ being the correlation of the labels, in nats.

    ``ρ² = Σ_xz² / ((Σ_xx + σ_x²) (Σ_zz + σ_z²))``, where y_z is a label still to come, with noise of its own. Exact for
    a Gaussian process with given hyper-parameters. At least 0 and at most `bal.acquisition.gaussian_bald` of the row,
    and of the target. The noises must be positive.

    Args:
      covariance, variance, noise: ``Σ_xz``, ``Σ_xx`` and the noise variance ``σ_x²`` of a label at x.
      target_variance, target_noise: ``Σ_zz`` and ``σ_z²``.
      weight: importance of each target; normalized here. All equal unless given.

    >>> import jax
    >>> one = jnp.ones(1)
    >>> round(jax.jit(covariance_epig)(jnp.ones((1, 1)), one, one, one, one).item(), 4)  # ρ = ½
    0.1438

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning", its regression form.
    """
    num_rows, num_targets = check_matrix("covariance_epig", "covariances [rows, targets]", covariance)
    for what, x in (("variances", variance), ("noises", noise)):
        check_shape("covariance_epig", what, x, (num_rows,))
    for what, x in (("variances of targets", target_variance), ("noises of targets", target_noise)):
        check_shape("covariance_epig", what, x, (num_targets,))
    own, away = variance + noise, target_variance + target_noise
    weight = defined(target_weights("covariance_epig", weight, num_targets, covariance.dtype), away)
    scale = jnp.sqrt(own)[:, None] * jnp.sqrt(away)[None]
    most, most_away = 0.5 * jnp.log(own / noise), 0.5 * jnp.log(away / target_noise)  # of rounding there may be more

    def information(some: tuple[Array, Array]) -> Float[Array, "r"]:
        found = -0.5 * jnp.log1p(-at_most(jnp.where(jnp.isinf(some[0]), jnp.nan, some[0] ** 2), 1.0))
        return jnp.sum(at_most(at_most(found, some[1][:, None]), most_away[None]) * weight[None], 1)

    return defined(in_row_blocks(information, (covariance / scale, most)), own)
