"""What a batch rule compares rows with: a positive semi-definite function of two rows, and ways to combine them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bal.method import method
from bal.typing import Candidates, Kernel, KernelOf, PyTree


def make_kernel(
    candidates: Candidates,
    features: Callable[[PyTree], PyTree],
    params: PyTree,
    pair: Callable[..., Array],
    moves: bool = False,
) -> Kernel:
    """A noise-free kernel that compares ``features(rows)``, the labeled rows treated alike."""
    known = None if candidates.known is None else features(candidates.known)
    rows = features(candidates.rows)
    noise = jnp.zeros(candidates.index.shape[0], float_type(rows))
    known_noise = None if known is None else jnp.zeros(jax.tree.leaves(known)[0].shape[0], float_type(known))
    return Kernel(rows, known, candidates.known_weight, noise, known_noise, params, pair, moves)


def float_type(rows: PyTree) -> Any:
    """The dtype in which a function of these rows comes out, also where float64 is switched on around float32 rows."""
    return jnp.result_type(*(leaf for leaf in jax.tree.leaves(rows) if jnp.issubdtype(leaf.dtype, jnp.floating)), 0.0)


@method
def noisy(kernel: KernelOf, noise: float | Callable[[PyTree], Array]) -> KernelOf:
    """The same kernel where row n is observed with noise variance σ²_n: one number, or a function ``rows -> [n]``.

    >>> from bal.kernels import linear
    >>> candidates = Candidates(jnp.ones((2, 3)), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> noisy(linear, 0.5)(candidates).noise.tolist()
    [0.5, 0.5]
    """
    if not callable(noise) and not noise > 0:
        raise ValueError(f"a noise variance is positive, got {noise}; leave out `noisy` for a noise-free kernel")
    variance = noise if callable(noise) else lambda rows: jnp.full(jax.tree.leaves(rows)[0].shape[0], noise)

    def noisy_kernel(candidates: Candidates) -> Kernel:
        known_noise = None if candidates.known is None else variance(candidates.known)
        return replace(kernel(candidates), noise=variance(candidates.rows), known_noise=known_noise)

    return noisy_kernel


@method
def kernel_of_part(part: Callable[[PyTree], PyTree], kernel: KernelOf) -> KernelOf:
    """The kernel of a part of the rows, as ``kernel_of_part(lambda rows: rows["features"], linear)``.

    >>> from bal.kernels import linear
    >>> rows = {"features": jnp.ones((2, 3)), "noise": jnp.ones(2)}
    >>> candidates = Candidates(rows, jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> kernel_of_part(lambda rows: rows["features"], linear)(candidates).diag().tolist()
    [3.0, 3.0]
    """

    def part_kernel(candidates: Candidates) -> Kernel:
        known = None if candidates.known is None else part(candidates.known)
        return kernel(candidates._replace(rows=part(candidates.rows), known=known))

    return part_kernel


@method
def scaled_by(kernel: KernelOf, factor: float | Array) -> KernelOf:
    """``factor · k``; the noise stays.

    >>> from bal.kernels import linear
    >>> candidates = Candidates(jnp.ones((2, 3)), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> scaled_by(linear, 2.0)(candidates).diag().tolist()
    [6.0, 6.0]
    """

    def scaled_kernel(candidates: Candidates) -> Kernel:
        k = kernel(candidates)
        return replace(k, params=(jnp.asarray(factor), k.params), pair=_scaled_pair(k.pair))

    return scaled_kernel


@method
def kernel_sum(*kernels: KernelOf) -> KernelOf:
    """``Σ_j k_j``: the kernel of a sum of independent functions, as of the members of an ensemble. Noises add.

    >>> from bal.kernels import linear
    >>> candidates = Candidates(jnp.ones((2, 3)), jnp.arange(2), jnp.ones(2) > 0, jnp.ones(2))
    >>> kernel_sum(linear, linear)(candidates).diag().tolist()
    [6.0, 6.0]
    """
    if not kernels:
        raise ValueError("a sum of kernels needs at least one kernel, got none")

    def summed(candidates: Candidates) -> Kernel:
        ks = [kernel(candidates) for kernel in kernels]
        known, known_noise = None, None
        if candidates.known is not None:
            known, known_noise = tuple(k.known for k in ks), sum(k.known_noise for k in ks)
        rows, params = tuple(k.rows for k in ks), tuple(k.params for k in ks)
        noise, pair = sum(k.noise for k in ks), _sum_pair(tuple(k.pair for k in ks))
        return Kernel(rows, known, candidates.known_weight, noise, known_noise, params, pair)

    return summed


@method
def _scaled_pair(pair: Callable) -> Callable:
    return lambda params, a, b: params[0] * pair(params[1], a, b)


@method
def _sum_pair(pairs: tuple[Callable, ...]) -> Callable:
    return lambda params, a, b: sum(pair(p, x, y) for pair, p, x, y in zip(pairs, params, a, b))
