"""Acquisition that trusts labels by their noise: for labels whose response, or whose input, is noisier here than there.

After Yue, Wen, Hunt and Shi 2021, "Active Learning for Gaussian Process Considering Uncertainties with Application to
Shape Control of Composite Fuselage". Its two rules are a variance and a determinant with weights; its exact weights are
not known to us: the weight one over the (effective) noise is our reconstruction, and any other may be given.

A weight pays where noisy labels say next to nothing. Where they are merely worse, leaving them out leaves that region
unknown, and `bal.query.alc_scores` about the rows to be predicted is the rule to use.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.acquisition.gaussian import epistemic_variance
from bal.acquisition.kinds import check_moments, check_shape
from bal.typing import Gaussian


def weighted_variance(prediction: Gaussian, weight: Float[Array, "N"] | None = None) -> Float[Array, "N"]:
    """Variance of the function times a weight, ``w(x) s²(x)``. At least 0.

    Args:
      prediction: of a Gaussian process; for noisy inputs of rows that carry their input noise
        (`bal.learners.gp.noisy_input`), so that ``prediction.noise`` is the effective noise of a label.
      weight: of each row, as a function of its location; ``1 / mean_k noise_k`` unless given, our reconstruction. The
        paper's weights sum to 1 over the candidates, which changes no ranking.

    >>> one = jnp.ones((2, 1))
    >>> weighted_variance(Gaussian(one, one, jnp.array([[1.0], [4.0]]))).tolist()
    [1.0, 0.25]

    Yue, Wen, Hunt and Shi 2021, "Active Learning for Gaussian Process Considering Uncertainties"; weights
    reconstructed.
    """
    check_moments("weighted_variance", prediction)
    if weight is None:
        weight = 1.0 / prediction.noise.mean(-1)
    check_shape("weighted_variance", "one weight per row, an array", weight, prediction.mean.shape[:1])
    return weight * epistemic_variance(prediction)


def weighted_information(prediction: Gaussian, weight: Float[Array, "N"] | None = None) -> Float[Array, "N"]:
    """D-optimality with weighted labels, ``½ log(1 + w(x) s²(x))``, in nats. At least 0.

    It is what a label adds to ``½ log det(I + W^½ K W^½)``, the information of labels of precisions w. With
    ``w = 1/noise`` that is ``½ (log det K_{n+1} - log det K_n - log noise(x))``, K being the covariance of the labels:
    the determinant of D-optimality less what the noise itself adds to it, and for one draw `gaussian_bald`. Where the
    noise is constant it ranks by variance. With the same weights it ranks single rows as `weighted_variance`; its
    values add up along a batch (`bal.selection.max_det`).

    Args:
      prediction, weight: as for `weighted_variance`.

    >>> one = jnp.ones((1, 1))
    >>> round(float(weighted_information(Gaussian(one, 3 * one, one))[0]), 4)
    0.6931

    Yue, Wen, Hunt and Shi 2021, "Active Learning for Gaussian Process Considering Uncertainties"; weights
    reconstructed.
    """
    check_moments("weighted_information", prediction)
    return 0.5 * jnp.log1p(weighted_variance(prediction, weight))
