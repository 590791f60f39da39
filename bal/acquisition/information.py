"""Information-theoretic acquisition functions on draws of class probabilities.

Every function takes ``log_probs [N, K, C]``: log predictive probabilities of N rows under K posterior draws that
all rows share. Each is row-wise, in nats, and higher means: label first.
"""

from jaxtyping import Array, Float

from bal.acquisition.kinds import check_log_probs
from bal.numerics import defined, entropy, in_row_blocks, mean_divergence_of_draws, mean_log_probs, xlogx


def predictive_entropy(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Entropy of the marginal prediction, ``H[p̄] = -Σ_c p̄_c log p̄_c`` with ``p̄ = mean_k p_k``.

    The Monte-Carlo dropout entropy ("max entropy") when the draws are dropout masks. Between 0 and log C nats; equal
    to `bald` + `expected_entropy`. It does not tell noise in the labels from lack of knowledge.

    >>> import jax, jax.numpy as jnp
    >>> log_probs = jnp.log(jnp.array([[[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]]))
    >>> [round(score, 4) for score in jax.jit(predictive_entropy)(log_probs).tolist()]
    [0.6931, 0.0]

    Shannon 1948; Gal, Islam and Ghahramani 2017, "Deep Bayesian Active Learning with Image Data".
    """
    check_log_probs("predictive_entropy", log_probs)
    return entropy(mean_log_probs(log_probs))


def expected_entropy(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Mean entropy of the draws, ``mean_k H[p_k]``: the uncertainty that no label can remove.

    Between 0 and `predictive_entropy`. As an acquisition it asks for noisy rows; it is here as a diagnostic.

    >>> import jax, jax.numpy as jnp
    >>> round(jax.jit(expected_entropy)(jnp.log(jnp.array([[[0.5, 0.5], [1.0, 0.0]]]))).item(), 4)
    0.3466

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_log_probs("expected_entropy", log_probs)
    num_draws = log_probs.shape[1]
    mean = in_row_blocks(lambda x: -xlogx(x.transpose(1, 2, 0)).sum((0, 1)) / num_draws, log_probs)
    return defined(mean, mean)


def bald(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """Mutual information of a row's label and the parameters, ``I(y; θ) = H[p̄] - mean_k H[p_k]``.

    Computed as ``mean_k KL(p_k ‖ p̄)`` from non-negative terms: exactly 0 for identical draws, never negative, and
    accurate when the draws nearly agree, where the difference of entropies is rounding noise in float32. At most
    ``min(log C, log K, H[p̄])``. With few draws it is biased low, see `corrected_bald`.

    >>> import jax, jax.numpy as jnp
    >>> log_probs = jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.3, 0.7], [0.3, 0.7]]]))
    >>> [round(score, 4) for score in jax.jit(bald)(log_probs).tolist()]
    [0.6931, 0.0]

    Houlsby et al. 2011, "Bayesian Active Learning for Classification and Preference Learning".
    """
    check_log_probs("bald", log_probs)
    return mean_divergence_of_draws(log_probs)


def corrected_bald(log_probs: Float[Array, "N K C"]) -> Float[Array, "N"]:
    """`bald` times ``K / (K - 1)``, which removes the bias of few draws where the draws nearly agree.

    There the plug-in estimate has expectation ``(1 - 1/K) I`` (0.5 I at K = 2, 0.95 I at K = 20), so that scores from
    different K are comparable only after the correction; within one K the ranking is that of `bald`. Draws that are
    certain and disagree lose less, about ``1/2K`` nats for two equal classes, and are corrected by too much: to 0.703
    for log 2 at K = 20. May exceed the bounds of `bald`.

    Raises:
      ValueError: a single draw, which holds no information.

    >>> import jax, jax.numpy as jnp
    >>> round(jax.jit(corrected_bald)(jnp.log(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]))).item(), 4)
    1.3863

    Miller 1955, "Note on the Bias of Information Estimates", on the bias; the factor follows from its leading term. It
    is the jackknife of the estimate for K = 2 alone.
    """
    check_log_probs("corrected_bald", log_probs)
    num_draws = log_probs.shape[1]
    if num_draws < 2:
        raise ValueError(f"corrected_bald needs at least 2 posterior draws, got {num_draws}; raise the number of draws")
    return bald(log_probs) * (num_draws / (num_draws - 1))
