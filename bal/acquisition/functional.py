"""What the label of a row tells about linear functionals of the function: differences, effects, integrals.

A functional is ``T = Σ_m a_m f(z_m) + e`` over M target rows, its weights a row of ``functional [Q, M]``: one of a
difference is ``[1, -1]``, of an integral the weights of a quadrature, of the evaluation at a target a row of the
identity. For the mean over M units of their information about a treatment's effect, the targets are the treated and
then the untreated units, and the functional is ``hstack([eye(M), -eye(M)])``.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.kinds import check_draws, check_matrix, check_moments, check_shape, target_weights
from bal.numerics import at_most, centered_draws, defined, dot, in_row_blocks, rounding_error
from bal.typing import Gaussian


def functional_epig(
    covariance: Float[Array, "N M"],
    variance: Float[Array, "N"],
    noise: Float[Array, "N"],
    target_covariance: Float[Array, "M M2"],
    functional: Float[Array, "Q M3"],
    functional_noise: Float[Array, "Q"] | None = None,
    weight: Float[Array, "Q"] | None = None,
) -> Float[Array, "N"]:
    """Weighted mean over functionals T of ``I(y; T) = -½ log(1 - ρ²)``, ρ being the correlation of y and T, in nats.

    ``ρ² = (a · Σ_xz)² / ((Σ_xx + σ_x²) (aᵀ Σ_zz a + σ_T²))``. Exact for a Gaussian process with given hyper-parameters.
    At least 0 and at most `bal.acquisition.gaussian_bald` of the row; 0 about a functional that is known. With the
    identity and the noise of labels at the targets it is `bal.acquisition.covariance_epig`. The noise of a label must
    be positive.

    Use it when what is wanted of a regression is not its values but what is computed from them.

    Args:
      covariance, variance, noise: ``Σ_xz``, ``Σ_xx`` and the noise variance ``σ_x²`` of a label at x.
      target_covariance: ``Σ_zz`` of the function at the targets.
      functional: weights ``a`` of each functional.
      functional_noise: ``σ_T²``; 0 unless given: about the function itself.
      weight: importance of each functional; normalized here. All equal unless given.

    >>> import jax
    >>> import numpy as np
    >>> one, score = np.ones(1), jax.jit(functional_epig)
    >>> about = lambda a: score(np.array([[0.5, -0.5]]), one, one, np.eye(2), np.array([a]))
    >>> [round(about(a).item(), 4) for a in ([1.0, -1.0], [1.0, 1.0])]  # a difference, and a sum
    [0.1438, 0.0]

    Gao, Fawkes and Sejdinovic 2025, "Causal-EPIG"; for integrals O'Hagan 1991, "Bayes-Hermite Quadrature".
    """
    num_rows, num_targets = check_matrix("functional_epig", "covariances [rows, targets]", covariance)
    num_functionals, _ = check_matrix("functional_epig", "functionals [functionals, targets]", functional)
    check_shape("functional_epig", "functionals", functional, (num_functionals, num_targets))
    check_shape("functional_epig", "covariances of targets", target_covariance, (num_targets, num_targets))
    for what, x in (("variances", variance), ("noises", noise)):
        check_shape("functional_epig", what, x, (num_rows,))
    if functional_noise is not None:
        check_shape("functional_epig", "noises of functionals", functional_noise, (num_functionals,))
    spread = jnp.sum(dot(functional, target_covariance) * functional, 1)
    known = spread <= rounding_error(dot(functional**2, jnp.diagonal(target_covariance)))
    away = spread if functional_noise is None else spread + functional_noise
    weight = defined(target_weights("functional_epig", weight, num_functionals, covariance.dtype), away)
    scaled = functional * jnp.where(known, 0.0, jnp.where(known, 1.0, away) ** -0.5)[:, None]
    own = variance + noise

    def with_functionals(some: Float[Array, "r M"]) -> Float[Array, "r Q"]:
        if num_functionals == 1:  # a matrix times one column is rounded by where a row stands: equal rows must tie
            return jnp.sum(some * scaled, 1, keepdims=True)
        return dot(some, scaled.T)

    def block(rows: tuple[Array, Array, Array]) -> Float[Array, "r"]:
        square = with_functionals(rows[0]) ** 2 / rows[1][:, None]
        return -0.5 * dot(jnp.log1p(-at_most(square, rows[2][:, None])), weight)

    return defined(in_row_blocks(block, (covariance, own, variance / own)), own)


def gaussian_functional_epig(
    prediction: Gaussian,
    target: Gaussian,
    functional: Float[Array, "Q M"],
    functional_noise: Float[Array, "Q"] | None = None,
    weight: Float[Array, "Q"] | None = None,
) -> Float[Array, "N"]:
    """`functional_epig` by draws: the covariances are those of the means of K draws, in nats.

    Given a draw, rows are taken as independent, as they are for a network. At least 0 and at most `gaussian_bald`; with
    the identity and the mean noise of the targets it is `bal.acquisition.gaussian_epig`.

    Use it when an ensemble of regressions is asked for differences, effects or integrals.

    Args:
      prediction, target: by the same draws.
      functional, functional_noise, weight: as for `functional_epig`.

    Raises:
      ValueError: pool and targets have different numbers of draws.

    >>> import jax
    >>> import numpy as np
    >>> draws = Gaussian(np.array([[-1.0, 1.0], [1.0, -1.0]]), np.zeros((2, 2)), np.ones((2, 2)))
    >>> score = jax.jit(gaussian_functional_epig)
    >>> about = lambda a: score(draws, draws, np.array([a]))
    >>> [[round(score, 4) for score in about(a).tolist()] for a in ([1.0, -1.0], [1.0, 1.0])]
    [[0.3466, 0.3466], [0.0, 0.0]]

    Bickford Smith et al. 2023, "Prediction-Oriented Bayesian Active Learning"; Gao, Fawkes and Sejdinovic 2025.
    """
    check_moments("gaussian_functional_epig", prediction)
    check_moments("gaussian_functional_epig", target, rows="targets")
    num_draws = prediction.mean.shape[1]
    weight = target_weights("gaussian_functional_epig", weight, len(functional), prediction.mean.dtype)
    check_draws(num_draws, target.mean.shape[1])
    away = centered_draws(target.mean)
    covariance = dot(centered_draws(prediction.mean), away.T) / num_draws
    joint = dot(away, away.T) / num_draws + jnp.diag(target.variance.mean(-1))
    moments = epistemic_variance(prediction), prediction.noise.mean(-1)
    information = functional_epig(covariance, *moments, joint, functional, functional_noise, weight)
    return defined(information, jnp.broadcast_to(target.noise.sum(), information.shape))
