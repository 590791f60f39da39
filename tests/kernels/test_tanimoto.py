"""The Tanimoto kernel against sets of bits in float64, and what rules make of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.kernels import noisy, packed_bits, tanimoto
from bal.selection import k_center, max_det, select
from bal.typing import Candidates

BITS = np.random.default_rng(0).uniform(size=(30, 75)) < np.linspace(0, 0.9, 30)[:, None]


def min_max(bits):
    """``Σ min / Σ max`` of every two rows in float64, 1 where both are empty."""
    x = bits.astype(np.float64)
    least, most = np.minimum(x[:, None], x[None]).sum(-1), np.maximum(x[:, None], x[None]).sum(-1)
    return np.where(most == 0, 1, least / np.where(most == 0, 1, most))


def of_words(words):
    n = len(words)
    ones = jax.device_put(np.ones(n, np.float32))
    return Candidates(jax.device_put(words), jax.device_put(np.arange(n)), ones > 0, ones)


@pytest.mark.parametrize("pack", [packed_bits, lambda bits: np.packbits(bits, axis=1)], ids=["words", "bytes"])
def test_it_is_the_min_max_kernel_of_bits(pack):
    kernel = tanimoto(of_words(pack(BITS)))
    expected = min_max(BITS)
    np.testing.assert_allclose(kernel.block(kernel.rows), expected, rtol=1e-6)
    assert (kernel.diag() == 1).all()
    assert np.linalg.eigvalsh(expected).min() > -1e-12
    assert BITS[0].sum() == 0, "an empty fingerprint is among them"


def test_words_hold_the_bits_in_order_and_nothing_else():
    words = packed_bits(BITS)
    assert words.dtype == np.uint32
    assert words.shape == (30, 3)
    bits = (words[:, :, None] >> np.arange(32, dtype=np.uint32)[None, None]) & 1
    np.testing.assert_array_equal(bits.reshape(30, -1)[:, :75], BITS)
    assert bits.reshape(30, -1)[:, 75:].sum() == 0


def test_max_det_picks_what_log_determinants_say():
    picks = np.asarray(select(packed_bits(BITS), None, max_det(noisy(tanimoto, 0.1)), 5).indices).tolist()
    gram, chosen = min_max(BITS), []
    for _ in range(5):
        value = lambda i: np.linalg.slogdet(gram[np.ix_([*chosen, i], [*chosen, i])] + 0.1 * np.eye(len(chosen) + 1))[1]
        chosen.append(max((i for i in range(30) if i not in chosen), key=lambda i: (round(value(i), 6), -i)))
    assert picks == chosen


def test_distances_are_those_of_similarities():
    """The farthest from a known row is the least similar one."""
    words = packed_bits(BITS)
    picked = select(words[1:], words[:1], k_center(tanimoto), 1)
    assert float(picked.scores[0]) == 2.0  # nothing in common with the empty one
    picked = select(words[:-1], words[-1:], k_center(tanimoto), 1)
    similarity = min_max(BITS)[-1, :-1]
    np.testing.assert_allclose(picked.scores[0], 2 - 2 * similarity.min(), rtol=1e-6)


@pytest.mark.parametrize("rows", [jnp.ones((3, 4)), jnp.ones((3, 4), int), jnp.ones(3, jnp.uint32), (1,)])
def test_other_rows_are_named(rows):
    with pytest.raises(ValueError, match="packed_bits"):
        tanimoto(Candidates(rows, jnp.arange(3), jnp.ones(3) > 0, jnp.ones(3)))


@pytest.mark.parametrize("bits", [np.full((2, 3), 0.5), np.ones(3), np.ones((3, 0)), np.full((1, 2), np.nan)])
def test_what_are_no_bits_is_refused(bits):
    with pytest.raises(ValueError, match="zeros and ones"):
        packed_bits(bits)
