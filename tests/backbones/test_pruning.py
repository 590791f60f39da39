"""Filters taken out of an encoder: the same as zeros in their place, and the work that is left."""

from functools import cache

import jax
import numpy as np
import pytest

from bal.backbones import (
    TextEncoder,
    count_flops,
    image_features,
    kept_filters,
    mask_filters,
    prune_filters,
    tiny_image_encoder,
    tiny_text_encoder,
)
from bal.backbones.efficientnet import LITE0, TINY

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@cache
def encoder():
    """The tiny one, its scales, shifts and statistics random, too."""
    tiny, random = tiny_image_encoder(jax.random.key(0)), np.random.default_rng(1)
    shaken = lambda leaf: (np.asarray(leaf) + 0.3 * random.uniform(size=leaf.shape)).astype(np.float32)
    return tiny._replace(variables=jax.tree.map(shaken, tiny.variables))


def slow_scores(params):
    """Of each inner channel, by its filters one at a time."""
    expand, depthwise, project = (params[layer]["kernel"] for layer in ("expand", "depthwise", "project"))
    size = lambda filters: sum(abs(float(weight)) for weight in np.ravel(filters))
    return [size(expand[:, j]) * size(depthwise[:, :, j]) * size(project[j]) for j in range(len(project))]


def test_the_largest_filters_are_kept():
    kept = kept_filters(encoder(), 0.3)
    assert kept[0] is None
    for i, number in ((1, 4), (2, 5)):  # 0.3 of 12 and of 18, rounded
        scores = slow_scores(encoder().variables["params"][f"block_{i}"])
        assert kept[i].tolist() == sorted(sorted(range(len(scores)), key=lambda j: -scores[j])[:number])
    assert [len(at) for at in kept_filters(encoder(), 1e-6)[1:]] == [1, 1]
    assert any((a != b).any() for a, b in zip(kept_filters(encoder(), 0.5)[1:], kept_filters(encoder(), 0.5, 2)[1:]))


@pytest.mark.parametrize("order", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_taking_filters_out_is_writing_zeros_in_their_place(order):
    features = image_features(encoder(), IMAGES)
    masked = image_features(mask_filters(encoder(), 0.5, order), IMAGES)
    assert masked.shape == features.shape
    assert np.abs(masked - features).max() > 0.01
    pruned = prune_filters(encoder(), 0.5, order)
    np.testing.assert_allclose(image_features(pruned, IMAGES), masked, rtol=1e-5, atol=1e-5)
    assert [block.inner for block in pruned.module.config.blocks] == [None, 6, 9]
    assert f"0.5 of inner filters by norm of order {order}" in pruned.source.name


def test_a_share_of_one_is_the_encoder():
    whole = encoder()
    for same in (prune_filters(whole, 1.0), mask_filters(whole, 1.0)):
        assert same.module == whole.module
        assert same.source == whole.source
        jax.tree.map(np.testing.assert_array_equal, same.variables, whole.variables)


def test_work_by_hand():
    flops = count_flops(TINY, 18)
    by_hand = {
        "stem_conv": 2 * 27 * 8 * 81,  # 18 -> 9 pixels a side
        "block_0/depthwise": 2 * 9 * 8 * 81,
        "block_0/project": 2 * 8 * 4 * 81,
        "block_1/expand": 2 * 4 * 12 * 81,
        "block_1/depthwise": 2 * 9 * 12 * 25,  # 9 -> 5
        "block_1/project": 2 * 12 * 6 * 25,
        "block_2/expand": 2 * 6 * 18 * 25,
        "block_2/depthwise": 2 * 25 * 18 * 25,
        "block_2/project": 2 * 18 * 6 * 25,
        "head_conv": 2 * 6 * 16 * 25,
        "classifier": 2 * 16 * 5,
    }
    assert flops.layers == by_hand
    assert flops.total == sum(by_hand.values()) == flops.features + 160


def test_inner_work_falls_in_proportion():
    half = LITE0._replace(blocks=tuple(b if b.inner is None else b._replace(inner=b.inner // 2) for b in LITE0.blocks))
    whole, less = count_flops(LITE0, 112).layers, count_flops(half, 112).layers
    for name, work in whole.items():
        inner = "/" in name and not name.startswith("block_0/")
        assert less[name] * (2 if inner else 1) == work, name


def test_what_cannot_be_pruned_is_refused():
    for keep in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="expected a share of filters above 0 and at most 1, got keep="):
            prune_filters(encoder(), keep)
    with pytest.raises(ValueError, match="expected a norm of order 1 or 2, got order=3"):
        mask_filters(encoder(), 0.5, 3)
    text: TextEncoder = tiny_text_encoder(jax.random.key(0))
    with pytest.raises(TypeError, match="expected an EfficientNet, whose blocks have inner channels, got Bert"):
        prune_filters(encoder()._replace(module=text.module), 0.5)
