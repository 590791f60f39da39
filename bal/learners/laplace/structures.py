"""Curvature of labels in four structures: its eigenvalues, and draws of ``N(0, (H + α)⁻¹)`` from standard normals.

Layers are those of `tapped`, the slopes of a row scaled by the root of its weight, 0 for padding.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from bal.learners.laplace.tapped import Layer
from bal.numerics import dot, in_float64, sum_in_row_blocks, to_double

Draw = Callable[[Float[Array, "K P"], Float[Array, ""]], tuple[Float[Array, "K I O"], ...]]

LARGEST, ROWS = 5000, 64
"""Weights of which a whole Hessian is made, and rows whose slopes are held at once."""


class Curvature(NamedTuple):
    """values: eigenvalues of H. draw: ``z, α -> (H + α)^-½ z`` for rows of standard normals, layer by layer."""

    values: Float[Array, "P"]
    draw: Draw


def full(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """All weights together, in float64."""
    del weight
    size = sum(layer.weights.size for layer in layers)
    if size > LARGEST:
        raise ValueError(
            f"a whole Hessian of {size} weights takes {8 * size**2 / 2**30:.1f} GB, {LARGEST} are the most; use "
            'structure="kfac" or "diagonal", or bayesian_softmax(..., structure="factored") on the features'
        )
    dtype = layers[0].weights.dtype

    def decompose(*parts: Array) -> tuple[Array, Array]:
        return jnp.linalg.eigh(sum_in_row_blocks(gram, tuple(map(to_double, parts)), ROWS))

    def gram(parts: tuple[Array, ...], number: Array) -> Array:
        del number
        each = [g[:, :, None, :] * h[:, None, :, None] for h, g in zip(parts[::2], parts[1::2], strict=True)]
        slopes = jnp.concatenate([part.reshape(part.shape[0] * part.shape[1], -1) for part in each], 1)
        return dot(slopes.T, slopes)

    parts = [part for layer in layers for part in (layer.inner, layer.outer)]
    values, vectors = (part.astype(dtype) for part in in_float64(decompose)(*parts))
    values = jnp.maximum(values, 0.0)

    def draw(z: Array, alpha: Array) -> tuple[Array, ...]:
        return _split(dot(z / jnp.sqrt(values + alpha)[None], vectors.T), layers)

    return Curvature(values, draw)


def last_layer(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """The weights of the last layer together; those before it are known."""
    return full(layers[-1:], weight)


def diagonal(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """Every weight by itself: the diagonal of the Hessian."""
    del weight
    squares = [dot((layer.inner**2).T, jnp.sum(layer.outer**2, 1)).ravel() for layer in layers]
    values = jnp.concatenate(squares)
    return Curvature(values, lambda z, alpha: _split(z / jnp.sqrt(values + alpha)[None], layers))


def kfac(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """Layer by layer ``(Σ_i w_i h_i h_iᵀ / Σ_i w_i) ⊗ Σ_i w_i g_i g_iᵀ``, in the eigenbasis of both factors."""
    values, axes, total = [], [], jnp.maximum(weight.sum(), jnp.finfo(weight.dtype).tiny)
    for layer in layers:
        outer = layer.outer.reshape(-1, layer.outer.shape[2])
        inner = dot(layer.inner.T, weight[:, None] * layer.inner) / total
        (a, left), (b, right) = jnp.linalg.eigh(inner), jnp.linalg.eigh(dot(outer.T, outer))
        values.append(jnp.maximum(a, 0.0)[:, None] * jnp.maximum(b, 0.0)[None])
        axes.append((left, right))
    flat = jnp.concatenate([value.ravel() for value in values])

    def draw(z: Array, alpha: Array) -> tuple[Array, ...]:
        scaled = _split(z / jnp.sqrt(flat + alpha)[None], layers)
        rotate = lambda part, left, right: dot(dot(part, right.T).swapaxes(1, 2), left.T).swapaxes(1, 2)
        return tuple(rotate(part, *both) for part, both in zip(scaled, axes, strict=True))

    return Curvature(flat, draw)


def _split(flat: Float[Array, "K P"], layers: tuple[Layer, ...]) -> tuple[Array, ...]:
    ends, total = [], 0
    for layer in layers:
        total += layer.weights.size
        ends.append(total)
    parts = jnp.split(flat, ends[:-1], 1)
    return tuple(part.reshape(-1, *layer.weights.shape) for part, layer in zip(parts, layers, strict=True))
