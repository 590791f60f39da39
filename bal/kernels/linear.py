"""Kernels of explicit features: linear, and the covariance of posterior draws."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.kernel import make_kernel
from bal.method import method
from bal.numerics import centered_draws, dot
from bal.typing import Candidates, Kernel, KernelOf, PyTree


def linear(candidates: Candidates) -> Kernel:
    """``k(x, x') = φ(x)·φ(x')`` of features ``[n, F]``; of ``[n, K, F]`` the sum over members ``Σ_k φ_k(x)·φ_k(x')``.

    Raises ValueError unless the rows are one array of features.

    >>> candidates = Candidates(jnp.eye(2), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> linear(candidates).column(jnp.array([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    return make_kernel(candidates, flat, None, _inner, moves=True)


@method
def draw_covariance(of_draw: Callable[[Array], Array] = jnp.exp) -> KernelOf:
    """Covariance of predictions over K posterior draws, summed over classes: ``Σ_c Cov_k(p_kc(x), p_kc(x'))``.

    The rows are ``log_probs [n, K, C]`` or draws of a mean ``[n, K]``; `of_draw` says what of them is compared:
    `jnp.exp` (probabilities), or ``lambda f: f`` (the draws themselves; log probabilities must then be finite). The
    divisor is K - 1, so that the kernel is unbiased for the posterior covariance.

    Raises ValueError with fewer than two draws.

    >>> candidates = Candidates(jnp.array([[1.0, 3.0]]), jnp.arange(1), jnp.ones(1) > 0, jnp.ones(1))
    >>> draw_covariance(lambda f: f)(candidates).diag().tolist()
    [2.0]

    Kirsch 2023, "Black-Box Batch Active Learning for Regression" (TMLR); reconstructed from memory, with the sum over
    classes of ours.
    """

    def kernel(candidates: Candidates) -> Kernel:
        if not hasattr(candidates.rows, "ndim"):
            raise ValueError(
                "draw_covariance compares draws, log_probs [n, K, C] or means [n, K], got rows of type "
                f"{type(candidates.rows).__name__}; of a regression kernel_of_part(lambda rows: rows.mean, "
                "draw_covariance(lambda f: f))"
            )
        return make_kernel(candidates, lambda rows: flat(covariance_features(of_draw(rows))), None, _inner, moves=True)

    return kernel


def covariance_features(draws: Float[Array, "n *KC"]) -> Float[Array, "n K *C"]:
    """Features whose inner products are covariances over draws: ``(f_k - mean_k f) / √(K - 1)``."""
    if draws.ndim < 2:
        raise ValueError(
            "a covariance over draws needs the draws of every row, [n, K] or [n, K, C], got one number a row, "
            f"{list(draws.shape)}: use Stage(predictions, ...)"
        )
    num_draws = draws.shape[1]
    if num_draws < 2:
        raise ValueError(f"a covariance over draws needs at least 2 draws, got {num_draws}")
    return centered_draws(draws) / jnp.sqrt(num_draws - 1.0)


def flat(rows: PyTree) -> Float[Array, "n F"]:
    """Features as one vector a row, or an error that says what came instead."""
    if not hasattr(rows, "reshape"):
        got = type(rows).__name__
        raise ValueError(
            f"expected rows that are one array of features [n, F], got {got}; pick a part with `kernel_of_part`"
        )
    if rows.ndim < 2:
        raise ValueError(
            f"a kernel compares features [n, F], got one number a row, {list(rows.shape)}: give the stage features in "
            "place of scores, as Stage(embeddings, k_center()) does"
        )
    return rows.reshape(rows.shape[0], -1)


def _inner(params: PyTree, a: Float[Array, "F"], b: Float[Array, "F"]) -> Float[Array, ""]:
    return dot(a, b)
