"""What is new in the figure of pruning: the small network, its price, and who sees how many images."""

import doctest

import jax
import numpy as np

from bal.backbones import count_flops, prune_filters, tiny_image_encoder
from paper_figures import pruning


def test_units_taken_out_are_zeros():
    network = jax.tree.map(np.asarray, pruning.new_network(jax.random.key(0)))
    less = jax.tree.map(np.asarray, pruning.prune(network, 0.25))
    for block, smaller in zip(network["blocks"], less["blocks"]):
        sizes = [abs(block["in"][:, j]).sum() * abs(block["out"][j]).sum() for j in range(pruning.INNER)]
        kept = sorted(sorted(range(len(sizes)), key=lambda j: -sizes[j])[:16])
        np.testing.assert_array_equal(smaller["in"], block["in"][:, kept])
        gone = np.setdiff1d(np.arange(pruning.INNER), kept)
        block["in"], block["out"] = block["in"].copy(), block["out"].copy()
        block["in"][:, gone] = block["out"][gone] = 0
    head = np.random.default_rng(0).normal(size=network["head"].shape).astype(np.float32)
    x = np.random.default_rng(1).uniform(size=(7, 64)).astype(np.float32)
    masked, physical = ({**one, "head": head} for one in (network, less))
    np.testing.assert_allclose(pruning.scores(physical, x), pruning.scores(masked, x), rtol=1e-5, atol=1e-5)


def test_prices_by_hand():
    assert pruning.step_flops(0.5) == 3 * 8 * 2 * (64 * 16 + 2 * (16 * 32 + 32 * 16) + 16 * 5)
    half = prune_filters(tiny_image_encoder(jax.random.key(0)), 0.5)
    head = 3 * pruning.HEAD_STEPS * 2 * 16 * 10
    assert pruning.image_flops(0.5, False) == count_flops(half.module.config, 32).features + head


def test_examples():
    assert doctest.testmod(pruning) == (0, 2)
