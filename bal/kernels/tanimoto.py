"""The Tanimoto kernel of fingerprints, sets of bits that are kept packed in words."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt

from bal.kernels.kernel import make_kernel
from bal.typing import Candidates, Kernel, PyTree


def tanimoto(candidates: Candidates) -> Kernel:
    """Tanimoto (Jaccard) similarity of fingerprints: ``k(a, b) = |a ∧ b| / |a ∨ b|`` of sets of bits.

    In [0, 1], and 1 between equal fingerprints, also between two empty ones. Positive semi-definite: on bits it is the
    min-max kernel ``Σ min / Σ max``. Rows are packed, 2,048 bits in 256 bytes; a column reads them once and counts bits
    by the word, so that 10^6 fingerprints need neither a matrix nor their bits as numbers.

    Use it when rows are molecules: ``max_det(noisy(tanimoto, 0.01))`` for a batch of different ones, `k_center` to
    cover a library.

    Args:
      candidates: rows that are words ``[n, W]`` of unsigned integers, as `packed_bits` makes them.

    Returns:
      The kernel, noise-free.

    Raises:
      ValueError: rows that are not words.

    >>> bits = packed_bits([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    >>> candidates = Candidates(jnp.asarray(bits), jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3))
    >>> kernel = tanimoto(candidates)
    >>> [round(k, 3) for k in kernel.column(kernel.row(0)).tolist()]
    [1.0, 0.667, 0.0]

    Tanimoto 1958, "An Elementary Mathematical Theory of Classification and Prediction"; Ralaivola, Swamidass, Saigo and
    Baldi 2005, "Graph Kernels for Chemical Informatics".
    """
    rows = candidates.rows
    if not (getattr(rows, "ndim", 0) == 2 and jnp.issubdtype(rows.dtype, jnp.unsignedinteger)):
        got = f"{rows.dtype} {list(rows.shape)}" if hasattr(rows, "dtype") else type(rows).__name__
        raise ValueError(f"tanimoto compares packed fingerprints, unsigned words [n, W], got {got}: use packed_bits")
    return make_kernel(candidates, _counted, None, _pair)


def packed_bits(bits: Any) -> UInt[np.ndarray, "n W"]:
    """Fingerprints ``[n, bits]`` of zeros and ones as 32-bit words ``[n, W]``, the last one filled up with zeros.

    Use it where fingerprints come as arrays; bytes packed elsewhere (`numpy.packbits`) serve as they are.

    Raises:
      ValueError: numbers other than 0 and 1, or no rows of bits.

    >>> packed_bits(np.eye(2, 40, 1)).tolist()
    [[2, 0], [4, 0]]
    """
    bits = np.asarray(bits)
    if bits.ndim != 2 or not bits.shape[1] or not ((bits == 0) | (bits == 1)).all():
        raise ValueError(f"expected fingerprints [n, bits] of zeros and ones, got {bits.dtype} {list(bits.shape)}")
    whole = np.pad(bits.astype(bool), ((0, 0), (0, -bits.shape[1] % 32)))
    return np.packbits(whole, axis=1, bitorder="little").view(np.dtype("<u4")).astype(np.uint32)


def _counted(words: UInt[Array, "n W"]) -> tuple[Array, Array]:
    return words, _count(words)


def _count(words: UInt[Array, "*n W"]) -> Array:
    return jnp.sum(jax.lax.population_count(words).astype(jnp.int32), -1)


def _pair(params: PyTree, a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
    both = _count(a[0] & b[0])
    either = a[1] + b[1] - both
    return jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
