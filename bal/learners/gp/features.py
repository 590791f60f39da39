"""Random Fourier features of a stationary kernel: draws of a Gaussian process before any label, as functions."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from gpjax.kernels import AbstractKernel
from gpjax.kernels.stationary import StationaryKernel
from gpjax.parameters import val
from jaxtyping import Array, Float

from bal.learners.gp.noisy_input import NoisyInputRBF
from bal.numerics import dot
from bal.typing import PRNGKey


def draw_prior(
    key_frequencies: PRNGKey,
    key_weights: PRNGKey,
    kernel: Any,
    x: Float[Array, "L D"],
    num_draws: int,
    half: int,
) -> tuple[Float[Array, "F E"], Float[Array, "S F+F"]]:
    """Frequencies, and weights of the features: ``weights·φ(x)`` are S draws of a process of mean 0."""
    density = replace(kernel, n_dims=x[:, kernel.active_dims].shape[1]).spectral_density
    frequencies = jax.vmap(density.sample)(jax.random.split(key_frequencies, half)).astype(x.dtype)
    weights = jax.random.normal(key_weights, (num_draws, 2 * half), x.dtype) * jnp.sqrt(val(kernel.variance) / half)
    return frequencies, weights


def features(kernel: AbstractKernel, frequencies: Float[Array, "F E"], x: Float[Array, "n D"]) -> Float[Array, "n F+F"]:
    """``φ(x)``: cosines and sines of ``frequencies x``."""
    angles = dot(x[:, kernel.active_dims], frequencies.T)
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], 1)


def check_draws(kernel: AbstractKernel, num_draws: int, num_hyper: int, num_features: int) -> None:
    """ValueError for a kernel without features, draws that hyper-parameters cannot share, or half a pair."""
    if isinstance(kernel, NoisyInputRBF):
        raise ValueError(
            "a kernel of noisy inputs has no spectral density of its own; use gp_regression, or RBF on the inputs"
        )
    has_density = getattr(type(kernel), "spectral_density", None) not in (None, StationaryKernel.spectral_density)
    if not has_density:
        raise ValueError(
            f"draws need a stationary kernel with a spectral density, got {type(kernel).__name__}; "
            "use RBF, Matern12, Matern32 or Matern52 of gpjax"
        )
    if num_draws < 1 or num_draws % num_hyper:
        raise ValueError(
            f"{num_hyper} draws of hyper-parameters must share num_draws evenly, got num_draws={num_draws}"
        )
    if num_features < 2 or num_features % 2:
        raise ValueError(
            f"features are pairs of a cosine and a sine, got num_features={num_features}; use an even number"
        )
