"""Posterior kernels: what is left to learn about rows once the labeled rows are observed with noise.

``k(x, x' | labeled) = k(x, x') - k(x, X) (k(X, X) + Σ)⁻¹ k(X, x')``, in feature space or kernel by kernel. The linear
algebra is in float64, also inside a float32 program: in float32 such Cholesky factors are silently NaN.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.kernels.kernel import Kernel, KernelOf
from bal.kernels.transforms import Transform, check_features
from bal.numerics import in_row_blocks
from bal.typing import Candidates, PRNGKey, PyTree


def given_known(noise: float) -> Transform:
    """Features whose linear kernel is the posterior covariance of a Bayesian linear model given the labeled rows.

    ``φ ↦ φ L⁻ᵀ`` with ``L Lᵀ = I + Φᵀ Φ / σ²`` over the labeled rows Φ of positive weight, for weights with a standard
    normal prior and observation noise σ². Costs O(F³ + n F²) and no cancellation: no variance is ever negative.

    Raises ValueError if σ² is not positive, or there is no labeled buffer.

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR); written from the formula.

    >>> one = jnp.ones((1, 1))
    >>> candidates = Candidates(one, jnp.arange(1), jnp.ones(1) > 0, jnp.ones(1), one, jnp.ones(1))
    >>> float(given_known(1.0)(jax.random.key(0), candidates).rows[0, 0] ** 2).__round__(4)
    0.5
    """
    if not noise > 0:
        raise ValueError(f"the posterior needs a positive noise variance, got {noise}; 1e-6 is nearly noise-free")

    def transform(key: PRNGKey, candidates: Candidates) -> Candidates:
        del key
        rows, known, real = check_features(candidates), *_labeled(candidates.known, candidates.known_weight)
        with jax.enable_x64(True):
            phi = jnp.where(real[:, None], known, 0).astype(jnp.float64)
            identity = jnp.eye(phi.shape[1], dtype=jnp.float64)
            factor = jnp.linalg.cholesky(identity + _matmul(phi.T, phi) / noise)
            whiten = solve_triangular(factor, identity, lower=True).T
            apply = lambda block: _matmul(block.astype(jnp.float64), whiten).astype(block.dtype)
            return candidates._replace(rows=in_row_blocks(apply, rows), known=in_row_blocks(apply, known))

    return transform


def conditioned(kernel: KernelOf) -> KernelOf:
    """The posterior of any kernel given its labeled rows, each observed with its `known_noise`.

    Rows are joined by the whitened covariances ``v = L⁻¹ k(X, x) [n, L]``, ``L Lᵀ = k(X, X) + Σ``, so that
    ``k(x, x' | X) = k(x, x') - v·v'``. Without noise an observation is exact, up to 1e-10 of the largest variance. In
    float32 the difference cancels where the posterior variance is below 1e-6 of the prior's: where features are at
    hand, `given_known` does not.

    >>> from bal.kernels import linear, noisy
    >>> one = jnp.ones((1, 1))
    >>> candidates = Candidates(one, jnp.arange(1), jnp.ones(1) > 0, jnp.ones(1), one, jnp.ones(1))
    >>> conditioned(noisy(linear, 1.0))(candidates).diag().tolist()
    [0.5]
    """

    def conditioned_kernel(candidates: Candidates) -> Kernel:
        k = kernel(candidates)
        known, real = _labeled(k.known, k.known_weight)
        from_known = jax.vmap(jax.vmap(k.pair, (None, 0, None)), (None, None, 0))
        gram, cross = from_known(k.params, known, known), from_known(k.params, k.rows, known).T
        with jax.enable_x64(True):
            both = real[:, None] & real[None]
            identity = jnp.eye(len(real), dtype=jnp.float64)
            variance = jnp.where(both, gram, 0).astype(jnp.float64)
            jitter = 1e-10 * jnp.max(jnp.diagonal(variance))
            noise = jnp.where(real, k.known_noise.astype(jnp.float64) + jitter, 1.0)
            factor = jnp.linalg.cholesky(variance + identity * noise[:, None])
            inverse = solve_triangular(factor, identity, lower=True)
            whiten = lambda block: _whiten(inverse, real, block)
            v, v_known = in_row_blocks(whiten, cross), whiten(gram.T)
        return replace(k, rows=(k.rows, v), known=(known, v_known), pair=_posterior_pair(k.pair))

    return conditioned_kernel


def _labeled(known: PyTree, known_weight: Array | None) -> tuple[PyTree, Array]:
    if known is None or known_weight is None:
        raise ValueError("a posterior needs labeled rows, but the candidates have none; give the stage a row function")
    return known, known_weight > 0


def _matmul(a: Float[Array, "a b"], b: Float[Array, "b c"]) -> Float[Array, "a c"]:
    # Not jnp.matmul: it asks for an output dtype, which `vmap` of a compiled function would truncate to float32.
    return jax.lax.dot(a, b, precision="highest")


def _whiten(inverse: Float[Array, "L L"], real: Array, cross: Float[Array, "b L"]) -> Float[Array, "b L"]:
    wide = jnp.where(real[None], cross, 0).astype(jnp.float64)
    return _matmul(wide, inverse.T).astype(cross.dtype)


@lru_cache
def _posterior_pair(pair: Callable) -> Callable:
    def posterior_pair(params: PyTree, a: PyTree, b: PyTree) -> Array:
        return pair(params, a[0], b[0]) - jnp.vdot(a[1], b[1], precision="highest")

    return posterior_pair
