"""Curvature of labels in five structures: its eigenvalues, and draws of ``N(0, (H + α)⁻¹)`` from standard normals.

Layers are those of `tapped`, the slopes of a row scaled by the root of its weight, 0 for padding.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from bal.learners.laplace.tapped import Layer
from bal.numerics import dot, in_float64, rows_per_block, sum_in_row_blocks, to_double

Draw = Callable[[Float[Array, "K P"], Float[Array, ""]], tuple[Float[Array, "K I O"], ...]]

LARGEST, SMALL = 5000, 300
"""Weights of a whole Hessian at most, and those whose eigenvectors a last layer takes."""

ROWS, BLOCK_BYTES = 64, 2**24
"""Rows that are held at once: of whole slopes, and what their products by pairs of outputs may take."""


class Curvature(NamedTuple):
    """values: eigenvalues of H. draw: ``z, α -> R z``, ``R Rᵀ = (H + α)⁻¹``, for rows of standard normals, by layer."""

    values: Float[Array, "P"]
    draw: Draw


def full(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """All weights together, in float64."""
    del weight
    _check_size(layers)
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
    """The weights of the last layer together; those before it are known.

    Of more than `SMALL` weights a Cholesky factor is taken, and the eigenvalues are those of `kfac`: all eigenvectors
    would cost tens of trainings of a small network.
    """
    layers = layers[-1:]
    if layers[0].weights.size <= SMALL:
        return full(layers, weight)
    _check_size(layers)
    return Curvature(kfac(layers, weight).values, _by_factor(layers[0]))


def _by_factor(layer: Layer) -> Draw:
    """Draws by a Cholesky factor of ``H + α`` in float64; NaN where α is below the rounding of H."""

    def hessian(inner: Array, outer: Array) -> Float[Array, "P P"]:
        size, num_outputs = layer.weights.shape
        one, other = np.triu_indices(num_outputs)
        pairs = jnp.sum(outer[:, :, one] * outer[:, :, other], 1)
        num_rows = rows_per_block(8 * size * len(one), BLOCK_BYTES)
        found = sum_in_row_blocks(block, (inner, pairs), num_rows).reshape(size, size, -1)
        place = np.zeros((num_outputs, num_outputs), np.int32)
        place[one, other] = place[other, one] = np.arange(len(one))
        whole = found[:, :, place]
        return whole.transpose(0, 2, 1, 3).reshape(layer.weights.size, -1)

    def block(parts: tuple[Array, Array], number: Array) -> Array:
        del number
        inner, pairs = parts
        return dot(inner.T, (inner[:, :, None] * pairs[:, None]).reshape(len(inner), -1))

    def solve(z: Array, alpha: Array, *parts: Array) -> Array:
        whole = hessian(*map(to_double, parts))
        factor = jnp.linalg.cholesky(whole + to_double(alpha) * jnp.eye(len(whole)), symmetrize_input=False)
        return solve_triangular(factor, to_double(z).T, lower=True, trans=1).T

    def draw(z: Array, alpha: Array) -> tuple[Array, ...]:
        return _split(in_float64(solve)(z, alpha, layer.inner, layer.outer).astype(z.dtype), (layer,))

    return draw


def last_kfac(layers: tuple[Layer, ...], weight: Float[Array, "L"]) -> Curvature:
    """The last layer by itself, as a Kronecker product; those before it are known."""
    return kfac(layers[-1:], weight)


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


def _check_size(layers: tuple[Layer, ...]) -> None:
    size = sum(layer.weights.size for layer in layers)
    if size > LARGEST:
        raise ValueError(
            f"a whole Hessian of {size} weights takes {8 * size**2 / 2**30:.1f} GB, {LARGEST} are the most; use "
            'structure="kfac", "last_kfac" or "diagonal"'
        )


def _split(flat: Float[Array, "K P"], layers: tuple[Layer, ...]) -> tuple[Array, ...]:
    ends, total = [], 0
    for layer in layers:
        total += layer.weights.size
        ends.append(total)
    parts = jnp.split(flat, ends[:-1], 1)
    return tuple(part.reshape(-1, *layer.weights.shape) for part, layer in zip(parts, layers, strict=True))
