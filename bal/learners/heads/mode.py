"""The mode of softmax regression by Newton's method, and products with its Hessian, a block of rows at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from bal.numerics import dot, rounding_error, rows_per_block, sum_in_row_blocks

BLOCK_BYTES = 2**21
"""What the logits of a block of rows may take."""


class Rows(NamedTuple):
    """Labeled rows: features with a one for the bias, class numbers or distributions, weights."""

    phi: Float[Array, "L F"]
    y: Num[Array, "L *C"]
    weight: Float[Array, "L"]


class Mode(NamedTuple):
    """weights: where the posterior is highest. precision: of the prior. scale: a preconditioner for the Hessian there.

    The scale is what the Hessian would be in the eigenbasis of ``Φᵀ W Φ``, given by `axes`, if all rows had the average
    ``p (1 - p)`` of each class.
    """

    weights: Float[Array, "F C"]
    precision: Float[Array, ""]
    axes: Float[Array, "F F"]
    scale: Float[Array, "F C"]
    converged: Bool[Array, ""]


class _Step(NamedTuple):
    weights: Float[Array, "F C"]
    scale: Float[Array, "F C"]
    decrement: Float[Array, ""]
    number: Int[Array, ""]


def over_blocks(function: Callable[[Any, Int[Array, ""]], Any], rows: Rows, num_classes: int) -> Any:
    """Sum of ``function(block, number)`` over blocks of rows; the last is filled up with rows of weight 0."""
    return sum_in_row_blocks(function, rows, rows_per_block(rows.phi.dtype.itemsize * num_classes, BLOCK_BYTES))


def times_hessian(
    rows: Rows, weights: Float[Array, "F C"], precision: Float[Array, ""], v: Float[Array, "F C"]
) -> Float[Array, "F C"]:
    """``H v`` at these weights."""

    def block(rows: Rows, number: Array) -> Array:
        del number
        p, z = jax.nn.softmax(dot(rows.phi, weights), -1), dot(rows.phi, v)
        return dot(rows.phi.T, rows.weight[:, None] * p * (z - jnp.sum(p * z, -1, keepdims=True)))

    return over_blocks(block, rows, weights.shape[1]) + precision * v


def solve(
    rows: Rows, at: Mode | _Step, precision: Array, axes: Array, b: Array, tol: float, num_steps: int
) -> Float[Array, "F C"]:
    """``H⁻¹ b`` by preconditioned conjugate gradients, until the residual is `tol` of b.

    Written out, because that of JAX, whose product is traced as a custom rule, gave NaN here where the product is a
    loop over blocks of rows.
    """

    def goes_on(carry: tuple) -> Bool[Array, ""]:
        return (jnp.sum(carry[1] ** 2) > tol**2 * size) & (carry[4] < num_steps)

    def step(carry: tuple) -> tuple:
        x, rest, direction, slope, number = carry
        pushed = times_hessian(rows, at.weights, precision, direction)
        share = slope / jnp.sum(direction * pushed)
        rest = rest - share * pushed
        better = precondition(rest)
        new = jnp.sum(rest * better)
        return x + share * direction, rest, better + (new / slope) * direction, new, number + 1

    precondition = lambda v: dot(axes, dot(axes.T, v) / at.scale)
    size, first = jnp.sum(b**2), precondition(b)
    start = jnp.zeros_like(b), b, first, jnp.sum(b * first), jnp.int32(0)
    return jax.lax.while_loop(goes_on, step, start)[0]


def spectrum(rows: Rows) -> tuple[Float[Array, "F"], Float[Array, "F F"]]:
    """Eigenvalues and eigenvectors of ``Φᵀ W Φ``, whatever the prior."""
    values, axes = jnp.linalg.eigh(dot(rows.phi.T, rows.weight[:, None] * rows.phi))
    return jnp.maximum(values, 0.0), axes


def find_mode(
    rows: Rows,
    known: tuple[Float[Array, "F"], Float[Array, "F F"]],
    precision: Float[Array, ""],
    start: Float[Array, "F C"],
    num_steps: int = 50,
) -> Mode:
    """The mode of ``log p(y | W) - ½ precision |W|²``, by steps that are halved where they would not descend.

    Ends behind the step that promised to gain less than rounding. `known` is the `spectrum` of the rows.
    """
    num_classes, (values, axes) = start.shape[1], known
    total = jnp.maximum(rows.weight.sum(), jnp.finfo(start.dtype).tiny)

    def loss(weights: Array) -> Float[Array, ""]:
        return over_blocks(lambda rows, _: _value(rows, weights), rows, num_classes) + precision * _half(weights)

    def slope(weights: Array) -> tuple[Array, Array]:
        grad, spread = over_blocks(lambda rows, _: _slope(rows, weights), rows, num_classes)
        return grad + precision * weights, values[:, None] * (spread / total)[None] + precision

    def goes_on(at: _Step) -> Bool[Array, ""]:
        return (at.decrement > 1e-5) & (at.number < num_steps)

    def step(at: _Step) -> _Step:
        grad, scale = slope(at.weights)
        move = solve(rows, at._replace(scale=scale), precision, axes, grad, 1e-4, 100)
        decrement, before = jnp.sum(move * grad), loss(at.weights)
        slack = rounding_error(jnp.abs(before))
        worse = lambda share: ~(loss(at.weights - share * move) <= before + slack) & (share > 1e-6)
        share = jax.lax.while_loop(worse, lambda share: share / 2, jnp.ones_like(before))
        return _Step(at.weights - share * move, scale, decrement, at.number + 1)

    infinite = jnp.full((), jnp.inf, start.dtype)
    end = jax.lax.while_loop(goes_on, step, _Step(start, jnp.ones_like(start), infinite, jnp.int32(0)))
    return Mode(end.weights, precision, axes, slope(end.weights)[1], end.decrement <= 1e-5)


def _half(weights: Float[Array, "F C"]) -> Float[Array, ""]:
    return 0.5 * jnp.sum(weights**2)


def _targets(rows: Rows, num_classes: int) -> Float[Array, "L C"]:
    return rows.y if rows.y.ndim == 2 else jax.nn.one_hot(rows.y, num_classes, dtype=rows.phi.dtype)


def _value(rows: Rows, weights: Float[Array, "F C"]) -> Float[Array, ""]:
    log_probs = jax.nn.log_softmax(dot(rows.phi, weights), -1)
    return -dot(rows.weight, jnp.sum(_targets(rows, weights.shape[1]) * log_probs, -1))


def _slope(rows: Rows, weights: Float[Array, "F C"]) -> tuple[Float[Array, "F C"], Float[Array, "C"]]:
    """Gradient of the loss, and ``Σ_i w_i p_i (1 - p_i)``."""
    p = jax.nn.softmax(dot(rows.phi, weights), -1)
    grad = dot(rows.phi.T, rows.weight[:, None] * (p - _targets(rows, weights.shape[1])))
    return grad, dot(rows.weight, p * (1 - p))
