"""Gradients of a network's loss, kept as the two factors of an outer product.

The gradient with respect to the weights of a dense layer is ``a ⊗ h``: the derivative `a` at the layer's output times
the layer's input `h`. So ``(a ⊗ h)·(a' ⊗ h') = (a·a')(h·h')``, and the long vector is never made.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.kernels.kernel import make_kernel
from bal.numerics import dot
from bal.typing import Candidates, Kernel, PyTree


class Factors(NamedTuple):
    """The gradients ``outer_n ⊗ inner_n`` of one layer: `outer` at its output, `inner` its input."""

    outer: Float[Array, "n C"]
    inner: Float[Array, "n F"]


Gradients = tuple[Factors, ...]
"""One `Factors` for each layer or ensemble member; inner products add up over them."""


def gradient(candidates: Candidates) -> Kernel:
    """``k(x, x') = Σ_l (a_l·a_l')(h_l·h_l')``: inner product of gradients given as `Gradients`.

    Raises ValueError if the rows are not a tuple of `Factors`.

    >>> rows = (Factors(jnp.ones((2, 3)), jnp.ones((2, 5))),)
    >>> candidates = Candidates(rows, jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> gradient(candidates).diag().tolist()
    [15.0, 15.0]
    """
    check_gradients(candidates.rows)
    return make_kernel(candidates, lambda rows: rows, None, _pair)


def label_residual(probs: Float[Array, "n *K C"]) -> Float[Array, "n *K C"]:
    """``p_k - e_ŷ``: the derivative of the loss at the outputs, for the label ``ŷ = argmax_c p̄`` the model would give.

    >>> label_residual(jnp.array([[0.75, 0.25]])).tolist()
    [[-0.25, 0.25]]
    """
    mean = probs if probs.ndim == 2 else probs.mean(1, keepdims=True)
    return probs - jax.nn.one_hot(mean.argmax(-1), probs.shape[-1], dtype=probs.dtype)


def label_gradients(log_probs: Float[Array, "n K C"], features: Float[Array, "n _ F"]) -> Gradients:
    """Factors ``(p_k - e_ŷ, h_k)`` of the hypothetical label ``ŷ = argmax_c p̄``; see `last_layer_gradients`."""
    probs = jnp.exp(log_probs)
    if features.shape[1] == 1:
        probs = probs.mean(1, keepdims=True)
    elif features.shape[1] != probs.shape[1]:
        raise ValueError(
            f"expected features of every draw or one for all, got {features.shape[1]} for {probs.shape[1]} draws"
        )
    outer = label_residual(probs)
    return tuple(Factors(outer[:, k], features[:, k]) for k in range(features.shape[1]))


def check_gradients(rows: PyTree) -> None:
    """Rows of gradient kernels are a tuple of `Factors`."""
    if not (isinstance(rows, tuple) and rows and all(isinstance(block, Factors) for block in rows)):
        raise ValueError(
            f"expected a tuple of Factors as rows, got {type(rows).__name__}; use last_layer_gradients in the stage"
        )


def _pair(params: PyTree, a: Gradients, b: Gradients) -> Array:
    products = (dot(x.outer, y.outer) * dot(x.inner, y.inner) for x, y in zip(a, b))
    return reduce(jnp.add, products)
