"""Posterior kernels: what is left to learn about rows once the labeled rows are observed with noise.

``k(x, x' | labeled) = k(x, x') - k(x, X) (k(X, X) + Σ)⁻¹ k(X, x')``, in feature space or kernel by kernel. The linear
algebra is in float64, also inside a float32 program, and so is the kernel between rows and labeled rows: rounded to
float32, a matrix of more labels than its rank is not positive definite, and its Cholesky factor silently NaN.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from bal.kernels.kernel import float_type
from bal.kernels.transforms import check_features
from bal.method import method
from bal.numerics import dot, in_float64, in_row_blocks
from bal.typing import Candidates, Kernel, KernelOf, PRNGKey, PyTree, Transform


@method
def given_known(noise: float) -> Transform:
    """Features whose linear kernel is the posterior covariance of a Bayesian linear model given the labeled rows.

    ``φ ↦ φ L⁻ᵀ`` with ``L Lᵀ = I + Φᵀ Φ / σ²`` over the labeled rows Φ of positive weight, for weights with a standard
    normal prior and observation noise σ². Costs O(F³ + n F²) and no cancellation: no variance is ever negative.

    Raises ValueError if σ² is not positive, or there is no labeled buffer.

    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> candidates = Candidates(one, np.arange(1), np.ones(1) > 0, np.ones(1), one, np.ones(1))
    >>> left = jax.jit(given_known(1.0))(jax.random.key(0), candidates)
    >>> round(left.rows.item() ** 2, 4)
    0.5

    Holzmüller, Zaverkin, Kästner and Steinwart 2023, "A Framework and Benchmark for Deep Batch Active Learning for
    Regression" (JMLR); written from the formula.
    """
    if not noise > 0:
        raise ValueError(f"the posterior needs a positive noise variance, got {noise}; 1e-6 is nearly noise-free")

    def transform(key: PRNGKey, candidates: Candidates) -> Candidates:
        del key
        rows, known, real = check_features(candidates), *_labeled(candidates.known, candidates.known_weight)

        def posterior_features(rows: Array, known: Array, real: Array) -> tuple[Array, Array]:
            phi = jnp.where(real[:, None], known, 0).astype(jnp.float64)
            identity = jnp.eye(phi.shape[1], dtype=jnp.float64)
            factor = jnp.linalg.cholesky(identity + dot(phi.T, phi) / noise)
            whiten = solve_triangular(factor, identity, lower=True).T
            apply = lambda block: dot(block.astype(jnp.float64), whiten).astype(block.dtype)
            return in_row_blocks(apply, rows), in_row_blocks(apply, known)

        rows, known = in_float64(posterior_features)(rows, known, real)
        return candidates._replace(rows=rows, known=known)

    return transform


@method
def conditioned(kernel: KernelOf) -> KernelOf:
    """The posterior of any kernel given its labeled rows, each observed with its `known_noise`.

    Rows are joined by the whitened covariances ``v = L⁻¹ k(X, x) [n, L]``, ``L Lᵀ = k(X, X) + Σ``, so that
    ``k(x, x' | X) = k(x, x') - v·v'``, v being computed in float64 and kept in the dtype of the rows. Besides its own
    noise every label has 1e-10 of the largest prior variance. In float32 the difference is off by about 1e-6 of the
    prior variance: a posterior variance below that, as near labels of little noise, means nothing but that it is small
    (the diagonal is at least 0 all the same). Where features are at hand, `given_known` does not cancel. Labeled rows
    that are not finite are left out.

    >>> from bal.kernels import linear, noisy
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> candidates = Candidates(one, np.arange(1), np.ones(1) > 0, np.ones(1), one, np.ones(1))
    >>> jax.jit(lambda candidates: conditioned(noisy(linear, 1.0))(candidates).diag())(candidates).tolist()
    [0.5]
    """

    def conditioned_kernel(candidates: Candidates) -> Kernel:
        k = kernel(candidates)
        known, real = _labeled(k.known, k.known_weight)
        whitened = in_float64(_whitened(k.pair))(k.params, k.rows, known, k.known_noise, real)
        v, v_known = (x.astype(float_type(k.rows)) for x in whitened)  # float64 where rows are whole numbers
        return replace(k, rows=(k.rows, v), known=(known, v_known), pair=_posterior_pair(k.pair), moves=False)

    return conditioned_kernel


def _labeled(known: PyTree, known_weight: Array | None) -> tuple[PyTree, Array]:
    if known is None or known_weight is None:
        raise ValueError("a posterior needs labeled rows, but the candidates have none; give the stage a row function")
    return known, known_weight > 0


def _whitened(pair: Callable) -> Callable:
    """``v = L⁻¹ k(X, x)`` of candidates and of labeled rows, in the dtype of the rows; call it `in_float64`."""

    def whitened(
        params: PyTree, rows: PyTree, known: PyTree, noise: Float[Array, "L"], real: Bool[Array, "L"]
    ) -> tuple[Float[Array, "n L"], Float[Array, "L L"]]:
        narrow, params, labeled = float_type(rows), _double(params), _double(known)
        with_known = jax.vmap(jax.vmap(pair, (None, None, 0)), (None, 0, None))
        gram = with_known(params, labeled, labeled)
        real = real & jnp.isfinite(jnp.diagonal(gram))
        variance = jnp.where(real[:, None] & real[None], gram, 0.0)
        jitter = 1e-10 * jnp.max(jnp.diagonal(variance))
        diagonal = jnp.diag(jnp.where(real, noise.astype(jnp.float64) + jitter, 1.0))
        inverse = solve_triangular(jnp.linalg.cholesky(variance + diagonal), jnp.eye(len(real)), lower=True)

        def whiten(block: PyTree) -> Float[Array, "b L"]:
            cross = jnp.where(real[None], with_known(params, _double(block), labeled), 0.0)
            return dot(cross, inverse.T).astype(narrow)

        return in_row_blocks(whiten, rows), in_row_blocks(whiten, known)

    return whitened


def _double(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


@method
def _posterior_pair(pair: Callable) -> Callable:
    def posterior_pair(params: PyTree, a: PyTree, b: PyTree) -> Array:
        return pair(params, a[0], b[0]) - dot(a[1], b[1])

    return posterior_pair
