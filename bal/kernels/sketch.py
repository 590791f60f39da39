"""Random features: projections that shorten features or gradients, and those of expected log-likelihoods."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.gradient import check_gradients
from bal.kernels.linear import flat
from bal.kernels.transforms import check_features, map_rows
from bal.method import method
from bal.numerics import dot, in_row_blocks
from bal.typing import Candidates, PRNGKey, PyTree, Transform


@method
def sketch(num_features: int) -> Transform:
    """A random Gaussian projection to m features, whose inner products are unbiased for those of the rows.

    Features ``[n, F]`` become ``φ R / √m``. Gradients, given as `Factors`, become the sum over layers of
    ``(a A) ⊙ (h H) / √m``, the sketch of an outer product from the sketches of its factors, so that neither the
    gradients ``[n, parameters]`` nor a projection of that length exist. The variance of ``k(x, x)`` is 2 k²/m for
    features and 8 k²/m for the gradients of one layer. A row of NaN or infinity stays so and changes no other.

    The factors of all rows are there before a transform sees them. Where they are too long for that, `sketched` makes
    the same sketch a chunk at a time.

    Raises ValueError for less than one feature, or rows that are neither an array nor gradients.

    >>> import numpy as np
    >>> candidates = Candidates(np.ones((2, 3)), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> jax.jit(sketch(5))(jax.random.key(0), candidates).rows.shape
    (2, 5)

    Holzmüller et al. 2023; Kar and Karnick 2012, "Random Feature Maps for Dot Product Kernels".
    """
    check_length(num_features)

    def transform(key: PRNGKey, candidates: Candidates) -> Candidates:
        return map_rows(lambda rows: sketch_rows(key, rows, num_features))(key, candidates)

    return transform


@method
def acs_features(num_features: int, noise: float) -> Transform:
    """Random features of expected log-likelihoods, from posterior features (behind `given_known`).

    For J draws ``f_j(x) = φ(x)·z_j`` of the centered posterior and ``s² = |φ(x)|²`` the features are
    ``(½ log(1 + s²/σ²) - (f_j² + s²) / 2σ²) / √J``: the expected log-likelihood of a draw plus the entropy of the
    prediction, as sparse subset approximation matches them. With ``m = ½ log(1 + s²/σ²) - s²/σ²`` inner products
    have the mean ``m m' + k(x, x')² / 2σ⁴``.

    >>> import numpy as np
    >>> candidates = Candidates(np.ones((2, 3)), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> jax.jit(acs_features(5, 0.1))(jax.random.key(0), candidates).rows.shape
    (2, 5)

    Pinsler, Gordon, Nalisnick and Hernández-Lobato 2019, "Bayesian Batch Active Learning as Sparse Subset
    Approximation"; as a kernel transform in Holzmüller et al. 2023. Derived anew from the definition.
    """
    if num_features < 1 or not noise > 0:
        raise ValueError(f"expected num_features >= 1 and a positive noise, got {num_features} and {noise}")

    def transform(key: PRNGKey, candidates: Candidates) -> Candidates:
        check_features(candidates)

        def features(rows: Float[Array, "n F"]) -> Float[Array, "n J"]:
            draws = dot(rows, _matrix(key, rows, num_features))
            ratio = jnp.sum(rows * rows, 1, keepdims=True) / noise
            return (0.5 * (jnp.log1p(ratio) - ratio) - draws * draws / (2 * noise)) / jnp.sqrt(num_features)

        return map_rows(features)(key, candidates)

    return transform


def sketch_rows(key: PRNGKey, rows: PyTree, num_features: int) -> Float[Array, "n m"]:
    """In blocks of rows: all at once, XLA holds the products ``[n, m]`` of all layers."""
    if hasattr(rows, "reshape"):
        rows = flat(rows)
        matrix = _matrix(key, rows, num_features)
        project = lambda block: dot(block, matrix)
    else:
        check_gradients(rows)
        keys = [jax.random.split(jax.random.fold_in(key, layer)) for layer in range(len(rows))]
        matrices = [
            (_matrix(k[0], layer.outer, num_features), _matrix(k[1], layer.inner, num_features))
            for k, layer in zip(keys, rows)
        ]
        project = lambda block: sum(
            dot(layer.outer, outer) * dot(layer.inner, inner) for layer, (outer, inner) in zip(block, matrices)
        )
    return in_row_blocks(lambda block: project(block) / jnp.sqrt(num_features), rows)


def _matrix(key: PRNGKey, rows: Float[Array, "n F"], num_features: int) -> Float[Array, "F m"]:
    return jax.random.normal(key, (rows.shape[1], num_features), rows.dtype)


def check_length(num_features: int) -> None:
    """A sketch has at least one feature."""
    if num_features < 1:
        raise ValueError(f"a sketch has at least 1 feature, got num_features={num_features}")
