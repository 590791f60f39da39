"""Kernels of infinitely wide ReLU networks, by the recursion of the arc-cosine kernel.

With ``K⁰ = σ_b² + σ_w² x·x' / D`` and ``c = cos θ = K / √(K(x,x) K(x',x'))``, one hidden layer maps

    K ↦ σ_b² + σ_w² √(K(x,x) K(x',x')) (sin θ + (π - θ) cos θ) / 2π,      K̇ = σ_w² (π - θ) / 2π.

Cho and Saul 2009, "Kernel Methods for Deep Learning"; Lee et al. 2018, "Deep Neural Networks as Gaussian Processes";
Jacot, Gabriel and Hongler 2018, "Neural Tangent Kernel".
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from bal.kernels.kernel import make_kernel
from bal.kernels.linear import flat
from bal.method import method
from bal.numerics import dot
from bal.typing import Candidates, Kernel, KernelOf, PyTree


@method
def nngp(num_hidden: int, weight_variance: float = 2.0, bias_variance: float = 0.0) -> KernelOf:
    """Prior covariance of the outputs of a ReLU network with `num_hidden` infinitely wide layers, on inputs ``[n, D]``.

    >>> import jax
    >>> import numpy as np
    >>> candidates = Candidates(np.eye(2), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> first_column = lambda kernel: kernel.column(kernel.row(0))
    >>> found = jax.jit(lambda candidates: first_column(nngp(1)(candidates)))(candidates)
    >>> [round(k, 4) for k in found.tolist()]
    [1.0, 0.3183]
    """
    return _infinite_width(num_hidden, weight_variance, bias_variance, tangent=False)


@method
def ntk(num_hidden: int, weight_variance: float = 2.0, bias_variance: float = 0.0) -> KernelOf:
    """Inner product of the output's gradients in all weights of the same network: ``Θ ↦ K + K̇ Θ``, ``Θ⁰ = K⁰``.

    >>> import jax
    >>> import numpy as np
    >>> candidates = Candidates(np.eye(2), np.arange(2), np.ones(2) > 0, np.ones(2))
    >>> first_column = lambda kernel: kernel.column(kernel.row(0))
    >>> found = jax.jit(lambda candidates: first_column(ntk(1)(candidates)))(candidates)
    >>> [round(k, 4) for k in found.tolist()]
    [2.0, 0.3183]
    """
    return _infinite_width(num_hidden, weight_variance, bias_variance, tangent=True)


def _infinite_width(num_hidden: int, weight_variance: float, bias_variance: float, tangent: bool) -> KernelOf:
    if num_hidden < 0 or not weight_variance > 0 or bias_variance < 0:
        raise ValueError(
            "expected num_hidden >= 0, weight_variance > 0 and bias_variance >= 0, "
            f"got {num_hidden}, {weight_variance} and {bias_variance}"
        )

    def kernel(candidates: Candidates) -> Kernel:
        def features(x: PyTree) -> tuple[Array, Array]:
            x = flat(x) / jnp.sqrt(x[0].size)
            return x, jnp.sum(x * x, -1)

        params = (jnp.asarray(weight_variance), jnp.asarray(bias_variance))
        return make_kernel(candidates, features, params, _recursion(num_hidden, tangent))

    return kernel


@method
def _recursion(num_hidden: int, tangent: bool) -> Callable[..., Array]:
    def pair(params: PyTree, a: PyTree, b: PyTree) -> Array:
        (w, bias), (x, xx), (y, yy) = params, a, b
        k, k_x, k_y = (bias + w * value for value in (dot(x, y), xx, yy))
        theta = k
        for _ in range(num_hidden):
            size = jnp.sqrt(k_x * k_y)
            cos, angle = _angle(k, size)
            k = bias + w * size * (jnp.sqrt((1 - cos) * (1 + cos)) + (jnp.pi - angle) * cos) / (2 * jnp.pi)
            theta = k + w * (jnp.pi - angle) / (2 * jnp.pi) * theta
            k_x, k_y = bias + w * k_x / 2, bias + w * k_y / 2
        return theta if tangent else k

    return pair


def _angle(k: Array, size: Array) -> tuple[Array, Array]:
    """Cosine and angle; a cosine within rounding of 1 is 1, so that a row is at angle 0 from its copy."""
    eps = jnp.finfo(k.dtype).eps
    cos = jnp.clip(k / jnp.maximum(size, jnp.finfo(k.dtype).tiny), -1.0, 1.0)
    cos = jnp.where(cos > 1 - 8 * eps, 1.0, cos)
    return cos, jnp.arctan2(jnp.sqrt((1 - cos) * (1 + cos)), cos)
