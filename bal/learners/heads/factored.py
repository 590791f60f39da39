"""The posterior of softmax regression by conjugate gradients, which never form its Hessian."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bal.learners.heads.mode import BLOCK_BYTES, Mode, Rows, over_blocks, solve, times_hessian
from bal.numerics import dot, rows_per_block
from bal.typing import PRNGKey

TOLERANCE, NUM_STEPS, NUM_PROBES = 1e-5, 300, 4


def _trace_inverse(key: PRNGKey, rows: Rows, at: Mode) -> Float[Array, ""]:
    def probe(key: Array) -> Float[Array, ""]:
        signs = jax.random.rademacher(key, at.weights.shape, at.weights.dtype)
        return jnp.sum(signs * solve(rows, at, at.precision, at.axes, signs, 1e-3, NUM_STEPS))

    return _together(probe, jax.random.split(key, NUM_PROBES), at).mean()


def _draw(key: PRNGKey, rows: Rows, at: Mode, num_draws: int) -> tuple[Float[Array, "K F C"], Bool[Array, ""]]:
    def one(key: Array) -> tuple[Array, Array]:
        u = perturbation(key, rows, at)
        found = solve(rows, at, at.precision, at.axes, u, TOLERANCE, NUM_STEPS)
        rest = u - times_hessian(rows, at.weights, at.precision, found)
        return found, jnp.sum(rest**2) <= 1e-6 * jnp.sum(u**2)

    draws, solved = _together(one, jax.random.split(key, num_draws), at)
    return draws, solved.all()


def _together(one: Callable, keys: Array, at: Mode) -> Any:
    """Systems of all keys, as many side by side as have their arrays of weights in `BLOCK_BYTES`: products with the
    Hessian are then few and large."""
    return jax.lax.map(one, keys, batch_size=rows_per_block(at.weights.nbytes, BLOCK_BYTES))


factored = _trace_inverse, _draw, 1e-2
"""An estimate of ``tr H⁻¹`` and draws of ``N(0, H⁻¹)``, one linear system each; and how near a prior by the evidence is
found, well below what the estimate leaves open."""


def perturbation(key: PRNGKey, rows: Rows, at: Mode) -> Float[Array, "F C"]:
    """A draw of ``N(0, H)``: what the labels and the prior would push the weights by, had they noise."""
    key_rows, key_prior = jax.random.split(key)

    def block(rows: Rows, number: Array) -> Float[Array, "F C"]:
        p = jax.nn.softmax(dot(rows.phi, at.weights), -1)
        noise = jax.random.normal(jax.random.fold_in(key_rows, number), p.shape, p.dtype)
        root = jnp.sqrt(p)
        pushed = root * (noise - root * jnp.sum(root * noise, -1, keepdims=True))
        return dot(rows.phi.T, jnp.sqrt(rows.weight)[:, None] * pushed)

    own = jax.random.normal(key_prior, at.weights.shape, at.weights.dtype)
    return over_blocks(block, rows, at.weights.shape[1]) + jnp.sqrt(at.precision) * own
