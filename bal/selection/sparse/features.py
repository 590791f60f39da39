"""Features for sparse approximations: how each row would pull on the posterior once it is labeled.

Constants in the parameters do not move a posterior, so log likelihoods are centered over the draws before their
Euclidean product is taken; without that the constants dominate every norm.

Pinsler et al. 2019, "Bayesian Batch Active Learning as Sparse Subset Approximation"; Shen et al. 2022, "A Sparse
Approximation Approach to Batch Active Learning" (the variance term; its details are reconstructed from a summary).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.gradient import label_residual
from bal.numerics import centered_draws, dot, in_row_blocks
from bal.selection.sparse.rows import SparseRows
from bal.typing import Gaussian


def expected_log_likelihoods(log_probs: Float[Array, "n K C"]) -> SparseRows:
    """Expected log likelihood of a row at each of K draws, labels drawn from the mean predictive; J = K, in nats.

    ``g_n(y)_k = (log p_k(y) - mean_k log p_k(y)) / √K``, ``Φ_n = Σ_y p̄(y) g_n(y)``,
    ``s²_n = Σ_y p̄(y) ‖g_n(y) - Φ_n‖²``. Identical draws give exactly 0. Probabilities below the smallest normal number
    of the dtype count as that number, so that a draw that excludes a class keeps the vector finite.

    >>> import jax
    >>> import numpy as np
    >>> rows = jax.jit(expected_log_likelihoods)(np.log([[[0.5, 0.5], [0.5, 0.5]]]))
    >>> rows.features.tolist(), rows.variance.tolist()
    ([[0.0, 0.0]], [0.0])
    """
    return in_row_blocks(_log_likelihood_block, log_probs)


def _log_likelihood_block(log_probs: Float[Array, "n K C"]) -> SparseRows:
    mean = jnp.exp(log_probs).mean(1, keepdims=True)
    kept = jnp.maximum(log_probs, jnp.log(jnp.finfo(log_probs.dtype).tiny))
    centered = centered_draws(kept) / log_probs.shape[1] ** 0.5
    features = (mean * centered).sum(2, keepdims=True)
    variance = jnp.sum(mean * (centered - features) ** 2, (1, 2))
    return SparseRows(features[:, :, 0], variance)


def expected_gaussian_log_likelihoods(gaussian: Gaussian) -> SparseRows:
    """The same for regression: each draw a normal, the label drawn from their equal mixture; J = K, in nats.

    With ``τ_k = variance_k + noise_k``, m̄ and V the mean and variance of the mixture, and everything centered over k:
    ``Φ_nk = -(½ log τ_k + (V + (m̄ - m_k)²) / (2 τ_k)) / √K``. s² is exact from the mixture's first four moments.

    >>> import jax
    >>> import numpy as np
    >>> predicted = Gaussian(np.array([[-1.0, 1.0]]), np.zeros((1, 2)), np.ones((1, 2)))
    >>> rows = jax.jit(expected_gaussian_log_likelihoods)(predicted)
    >>> rows.features.tolist(), round(rows.variance.item(), 4)  # g(y) = (-y, y) / √2, Var y = 2
    ([[-0.0, -0.0]], 2.0)
    """
    tau = gaussian.variance + gaussian.noise
    center = gaussian.mean.mean(1, keepdims=True)
    delta = gaussian.mean - center
    second = (tau + delta**2).mean(1)
    third = (delta**3 + 3 * delta * tau).mean(1)
    fourth = (delta**4 + 6 * delta**2 * tau + 3 * tau**2).mean(1)
    total = second.reshape(-1, 1)

    centered = lambda x: centered_draws(x) / x.shape[1] ** 0.5
    features = -centered(0.5 * jnp.log(tau) + (total + delta**2) / (2 * tau))
    square, slope = centered(-0.5 / tau), centered(delta / tau)  # g(y) = square u² + slope u + constant, u = y - m̄
    spread = jnp.sum(square**2, 1) * (fourth - second**2) + jnp.sum(slope**2, 1) * second
    return SparseRows(features, spread + 2 * jnp.sum(square * slope, 1) * third)


def pseudo_label_gradients(log_probs: Float[Array, "n K C"], hidden: Float[Array, "n F"]) -> SparseRows:
    """Gradients of the loss in a linear last layer at the label the model would give; J = C F.

    ``Φ_n = (p̄ - e_ŷ) ⊗ h``, ``s²_n = ‖h‖² (1 - ‖p̄‖²)``, the variance of the gradient under labels from p̄ (the mean
    over draws, K = 1 for one network). Under p̄ itself the expected gradient is zero, hence the pseudo-label ŷ.

    >>> import jax
    >>> import numpy as np
    >>> rows = jax.jit(pseudo_label_gradients)(np.log([[[0.75, 0.25]]]), np.array([[2.0]]))
    >>> rows.features.tolist(), rows.variance.tolist()
    ([[-0.5, 0.5]], [1.5])
    """
    probs = jnp.exp(log_probs).mean(1)
    features = label_residual(probs)[:, :, None] * hidden[:, None, :]
    variance = jnp.sum(hidden**2, 1) * (1 - jnp.sum(probs**2, 1))
    return SparseRows(features.reshape(len(probs), -1), variance)


def linear_features(
    x: Float[Array, "n D"], covariance: Float[Array, "D D"], noise: Float[Array, ""] | float
) -> SparseRows:
    """Explicit features of the Fisher product of Bayesian linear regression; J = D².

    ``Φ_n = x_n ⊗ (Lᵀ x_n) / noise`` with ``covariance = L Lᵀ``, so that ``Φ_n·Φ_m = (x_n·x_m) (x_nᵀ S x_m) / noise²``
    exactly, and ``s²_n = ‖x_n‖² (noise + x_nᵀ S x_n) / noise²``, the spread of the gradient over labels. For large D
    use the kernel form.

    >>> import jax
    >>> import numpy as np
    >>> rows = jax.jit(linear_features)(np.array([[1.0, 2.0]]), np.eye(2), 1.0)
    >>> float(np.sum(np.square(rows.features))), rows.variance.tolist()
    (25.0, [30.0])
    """
    projected = dot(x, jnp.linalg.cholesky(covariance))
    features = x[:, :, None] * projected[:, None, :] / noise
    variance = jnp.sum(x**2, 1) * (noise + jnp.sum(projected**2, 1)) / noise**2
    return SparseRows(features.reshape(len(x), -1), variance)
